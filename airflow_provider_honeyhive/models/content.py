"""Which texts of an event ``include_content=False`` keeps: those of one table, and of these what has the right form.

Everything else that is a text may be what somebody said: prompts, answers, errors, comments, explanations. Numbers and
booleans are kept wherever they lie. The keys above them are texts as well, so they must be identifiers; in the fields
that evaluators write, which are keyed by the evaluators' names, they must be names.

Light enough for DAG parsing: :mod:`~airflow_provider_honeyhive.events.measured` applies it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

from airflow_provider_honeyhive.models.window import event_micros, format_time, from_micros


class Treatment(StrEnum):
    """What becomes of a value that the table names."""

    #: Kept where it is an id; else hashed as below.
    ID = "kept, if an id"
    #: Kept where it is a name.
    NAME = "kept, if a name"
    #: Kept where it is a time; else null, since of a key that comes twice the last value counts.
    TIME = "kept, if a time"
    #: Replaced by a keyed hash, whatever it is, where there is a key; else taken out.
    HASHED = "hashed"


#: Names of the OpenTelemetry conventions and of the libraries around them, which stand in ``metadata`` or ``config``.
_ATTRIBUTES = {
    "gen_ai.system": (Treatment.NAME, "provider"),
    "gen_ai.provider.name": (Treatment.NAME, "provider"),
    "gen_ai.operation.name": (Treatment.NAME, "operation"),
    "gen_ai.request.model": (Treatment.NAME, "model"),
    "gen_ai.response.model": (Treatment.NAME, "model"),
    "gen_ai.response.id": (Treatment.ID, "id of the answer"),
    "gen_ai.agent.id": (Treatment.ID, "id of the agent"),
    "gen_ai.agent.name": (Treatment.NAME, "name of the agent"),
    "gen_ai.tool.name": (Treatment.NAME, "name of the tool"),
    "gen_ai.tool.call.id": (Treatment.ID, "id of the tool's call"),
    "gen_ai.conversation.id": (Treatment.HASHED, "session"),
    "llm.model_name": (Treatment.NAME, "model"),
    "llm.provider": (Treatment.NAME, "provider"),
    "llm.system": (Treatment.NAME, "provider"),
    "session.id": (Treatment.HASHED, "session"),
    "user.id": (Treatment.HASHED, "user"),
    "enduser.id": (Treatment.HASHED, "user"),
    "honeyhive.session_id": (Treatment.HASHED, "session"),
}

#: Path -> what becomes of a text there, and what it says. Dotted keys count as nested ones. ``[]``: the elements of a
#: list; other lists keep no texts.
TABLE: dict[str, tuple[Treatment, str]] = {
    "event_id": (Treatment.ID, "id of the event"),
    "parent_id": (Treatment.ID, "id of the event above"),
    "children_ids[]": (Treatment.ID, "ids of the events below"),
    "session_id": (Treatment.HASHED, "session"),
    "user_id": (Treatment.HASHED, "user"),
    "project": (Treatment.NAME, "project"),
    "project_id": (Treatment.NAME, "project; older servers have its name here"),
    "source": (Treatment.NAME, "where it was recorded, such as production"),
    "event_type": (Treatment.NAME, "model, tool, chain or session"),
    "event_name": (Treatment.NAME, "name of the event; of a root, of the session"),
    "session_name": (Treatment.NAME, "name of the session"),
    "start_time": (Treatment.TIME, "when it began"),
    "end_time": (Treatment.TIME, "when it ended"),
    "created_at": (Treatment.TIME, "when the server got it"),
    "updated_at": (Treatment.TIME, "when the server changed it last"),
    "config.model": (Treatment.NAME, "model"),
    "config.provider": (Treatment.NAME, "provider"),
    "metadata.model": (Treatment.NAME, "model"),
    "metadata.model_name": (Treatment.NAME, "model"),
    "metadata.provider": (Treatment.NAME, "provider"),
    "metadata.operation_name": (Treatment.NAME, "operation"),
    "metadata.event_type": (Treatment.NAME, "model, tool, chain or session"),
    "metadata.session_name": (Treatment.NAME, "name of the session"),
    "metadata.trace_id": (Treatment.ID, "id of the trace"),
    "metadata.span_id": (Treatment.ID, "id of the span"),
    "metadata.parent_span_id": (Treatment.ID, "id of the span above"),
    "metadata.session_id": (Treatment.HASHED, "session"),
    "metadata.conversation_id": (Treatment.HASHED, "session"),
    "metadata.thread_id": (Treatment.HASHED, "session"),
    "metadata.user_id": (Treatment.HASHED, "user"),
    **{f"{place}.{name}": entry for place in ("metadata", "config") for name, entry in _ATTRIBUTES.items()},
    "user_properties.user_id": (Treatment.HASHED, "user"),
    "user_properties.id": (Treatment.HASHED, "user"),
    "user_properties.user": (Treatment.HASHED, "user"),
    "user_properties.session_id": (Treatment.HASHED, "session"),
}

#: Fields whose keys are names of evaluators.
NAMED_BY_EVALUATORS = ("metrics", "evaluations")

LONGEST_ID = 128

LONGEST_NAME = 200

LONGEST_KEY = 100

_ID = re.compile(rf"[A-Za-z0-9_.:/@-]{{1,{LONGEST_ID}}}")

_IDENTIFIER = re.compile(rf"[A-Za-z0-9_.:-]{{1,{LONGEST_KEY}}}")

#: What servers and clients write times with; the parser takes more, such as any character before the hour.
_PLAIN_TIME = re.compile(r"[0-9TtZz:.+ -]{1,40}")


def is_id(text: str) -> bool:
    """Return whether a text may be an id: one word of some characters."""
    return _ID.fullmatch(text) is not None


def is_name(text: str, longest: int = LONGEST_NAME) -> bool:
    """Return whether a text may be a name: one line of printable characters.

    :param longest: the most characters.
    """
    return 0 < len(text) <= longest and text.isprintable()


def is_key(text: str, *, named: bool) -> bool:
    """Return whether a key may stand above a number.

    :param named: it may be any name, not only an identifier.
    """
    return is_name(text, LONGEST_KEY) if named else _IDENTIFIER.fullmatch(text) is not None


def time_in(text: str) -> str | None:
    """Return the time that a text says, in the same words where they can say nothing else; None: it says none."""
    micros = event_micros(text)
    if micros is None:
        return None
    return text if _PLAIN_TIME.fullmatch(text) else format_time(from_micros(micros))


@dataclass(eq=False)
class Place:
    """A place in an event that the table knows, or one on the way there.

    :param treatment: of the value there; None: its texts go.
    :param members: of an object there.
    :param elements: of a list there.
    """

    treatment: Treatment | None = None
    members: dict[str, Place] = field(default_factory=dict)
    elements: Place | None = None

    def member(self, key: str) -> Place | None:
        """Return the place of a member of an object here, None where the table knows none."""
        here: Place | None = self
        for name in key.split("."):
            here = here.members.get(name) if here else None
            if here is None or here.treatment is Treatment.HASHED:
                break
        return here


def _places() -> Place:
    top = Place()
    for path, (treatment, _) in TABLE.items():
        here = top
        for name in path.removesuffix("[]").split("."):
            here = here.members.setdefault(name, Place())
        if path.endswith("[]"):
            here.elements = here = Place()
        here.treatment = treatment
    return top


#: Of the event itself.
EVENT = _places()
