"""What is asked of HoneyHive: filters, date ranges, requests. Frozen, checked when made, free of I/O.

Names, operators and types are those of the API's ``POST /events/export`` (OpenAPI files 1.1.0 and 1.9.0).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, SecretStr

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.fields import FieldRules
from airflow_provider_honeyhive.models.filters import EventFilter, parse_filters
from airflow_provider_honeyhive.models.window import Window  # noqa: TC001 - pydantic needs it at run time

if TYPE_CHECKING:
    from collections.abc import Sequence


#: None: the events of the window. ``complete``: all events of each session whose root lies in the window.
Sessions: TypeAlias = Literal["complete"] | None

#: The ``event_type`` of a session's root.
ROOT_TYPE = "session"


class ExportRequest(BaseModel):
    """What one export asks for.

    :param project: name or id of the project; None leaves it to the key.
    :param filters: conditions, all of which must hold.
    :param window: the half-open window; None means all of time.
    :param projections: top-level fields to keep; None keeps all.
    :param evaluation_id: restricts to the events of one experiment run.
    :param exclude_fields: paths of what is taken out of each event.
    :param redact: paths of what is replaced by a keyed hash.
    :param redact_secret: the key of these hashes.
    :param include_content: False: only what was measured is exported, and not what was said.
    :param sessions: ``complete``: all events of each session whose root event lies in the window, and meets the
        filters; None: the events that do.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    project: str | None = None
    filters: tuple[EventFilter, ...] = ()
    window: Window | None = None
    projections: tuple[str, ...] | None = None
    evaluation_id: str | None = None
    exclude_fields: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    redact_secret: SecretStr | None = None
    include_content: bool = True
    sessions: Sessions = None

    @classmethod
    def parse(
        cls,
        *,
        project: Any = None,
        filters: Any = (),
        window: Window | None = None,
        projections: Any = None,
        evaluation_id: Any = None,
        exclude_fields: Any = None,
        redact: Any = None,
        redact_secret: SecretStr | str | None = None,
        include_content: Any = True,
        sessions: Any = None,
    ) -> ExportRequest:
        """Make a request of arguments as users and templates write them.

        :param filters: :class:`EventFilter` objects, dicts, or JSON texts of one or a list of them.
        :param projections: names of fields, or a JSON text of a list of them.
        :param exclude_fields: paths such as ``outputs.content``, or a JSON text of a list of them.
        :param redact: the same.
        :param redact_secret: of the connection.
        :param include_content: True or False.
        :param sessions: ``complete`` or None.
        :raises InvalidArgumentError: names the argument, what came and what is allowed.
        """
        rules = FieldRules.parse(
            projections=projections,
            exclude_fields=exclude_fields,
            redact=redact,
            redact_secret=redact_secret,
            include_content=include_content,
        )
        parsed = parse_filters(filters)
        if check_sessions(sessions) is not None:
            check_root_filters(parsed)
        return cls(
            project=_optional_text("project", project),
            filters=parsed,
            window=window,
            projections=rules.projections,
            evaluation_id=_optional_text("evaluation_id", evaluation_id),
            exclude_fields=rules.exclude_fields,
            redact=rules.redact,
            redact_secret=rules.redact_secret,
            include_content=rules.include_content,
            sessions=sessions,
        )

    @property
    def rules(self) -> FieldRules:
        """What to do to each event; with the projections, since not every server keeps to them."""
        return FieldRules(
            projections=self.projections,
            exclude_fields=self.exclude_fields,
            redact=self.redact,
            redact_secret=self.redact_secret,
            include_content=self.include_content,
        )


def check_sessions(sessions: Any) -> Sessions:
    """Return the argument where it is one.

    :raises InvalidArgumentError: it is none.
    """
    if sessions is None or sessions == "complete":
        found: Sessions = sessions
        return found
    raise InvalidArgumentError("sessions", sessions, "allowed: 'complete', or None")


def check_root_filters(filters: Sequence[EventFilter]) -> None:
    """Check that root events can meet filters that choose sessions.

    :raises InvalidArgumentError: one asks for events of another type.
    """
    for number, item in enumerate(filters):
        if item.field == "event_type" and (item.operator, item.value) != ("is", ROOT_TYPE):
            raise InvalidArgumentError(
                f"filters[{number}]",
                item.to_wire(),
                "with sessions='complete' filters choose sessions by their root event, whose event_type is "
                f"{ROOT_TYPE!r}, and all events of these sessions are exported: leave this one out",
            )


def _optional_text(argument: str, value: Any) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidArgumentError(argument, value, "allowed: a text")
    return value.strip() or None
