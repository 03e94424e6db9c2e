r"""Which fields of an event are exported: projected, taken out, or replaced by a keyed hash.

A path is the names of fields on the way down, with dots between them: ``inputs``, ``outputs.content``,
``user_properties.email``. A key that itself holds dots counts as so many names, as tracing libraries write them:
``metadata.gen_ai.prompt`` also means the key ``gen_ai.prompt`` in ``metadata``, and so does ``metadata.gen_ai``.
The index of an element of a list is a name, too. Names of digits alone may be left out of a path, below its first
name: ``outputs.choices.message`` means the ``message`` of each choice, ``outputs.choices.0.message`` that of the
first, whether the choices are a list, an object with such keys, or keys such as ``choices.0.message``. Keys are
compared by what they say, so ``"\u0069nputs"`` is ``inputs``; of a key that comes twice both values are meant.
Upper and lower case differ, as in JSON.

Only fields are left out, not what they say: a text that quotes an excluded value, or holds JSON text of its
own with such a field in it, stays as it is. Exclude the field that holds the text.

Light enough for DAG parsing: :mod:`~airflow_provider_honeyhive.events.masking` applies the rules.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from airflow_provider_honeyhive.exceptions import Argument, Fact, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


#: What every exported event keeps as it is, and why.
KEPT_FIELDS = {
    "event_id": "events are told apart, counted and corrected by it, and parent_id points at it",
    "start_time": "the window, the manifest's proof and partitions by date go by it",
    "project": "it says whose events these are, and the manifest names the project all the same",
    "project_id": "it says whose events these are, and the manifest names the project all the same",
    "session_id": "it joins the events of a trace, and the session's own event_id is the same id",
}

#: Of these, what comes too where ``projections`` does not name it: the reader and the check of the project need it.
ALWAYS_PROJECTED = ("event_id", "start_time", "project", "project_id")

MOST_NAMES = 50

SHORTEST_KEY = 16

#: What other path languages write for the elements of a list, or for everything.
_FOREIGN = re.compile(r"\*+|\$|.*\[(\d+|\*)?\]")

#: Of a text that should be JSON: a list from a template is Python's own text of it unless the template says otherwise.
NOT_JSON = "a text must be JSON, in a template {{ params.name | tojson }}"

_FORMS = "allowed: a list of paths such as ['inputs', 'outputs.content'], or its JSON text"


@dataclass(frozen=True)
class FieldRules:
    """What to keep, take out and replace in each event. Without rules, events stay as they are.

    :param projections: top-level fields to keep, beside those that always come too; None keeps all.
    :param exclude_fields: paths of what to take out.
    :param redact: paths of what to replace by a keyed hash. Equal values have equal hashes, wherever they
        are, as long as the key is the same; null stays null. See :mod:`~airflow_provider_honeyhive.events.keyed_hash`
        for what counts as equal and what a hash does not hide.
    :param redact_secret: the secret of these hashes, needed where there is something to redact.
    :param include_content: False keeps only what was measured: see
        :mod:`~airflow_provider_honeyhive.models.content`. A redacted value is kept, as its hash.
    :raises InvalidArgumentError: a path that cannot be right, a field that no event may be without, fields
        both kept and excluded, or both excluded and redacted, or no key to redact with.
    """

    projections: tuple[str, ...] | None = None
    exclude_fields: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    redact_secret: SecretStr | None = None
    include_content: bool = True

    def __post_init__(self) -> None:
        check_fields(self.projections, self.exclude_fields, self.redact)
        check_include_content(self.include_content)
        if self.redact or (not self.include_content and self.redact_secret is not None):
            _check_key(self.redact, self.redact_secret)

    @classmethod
    def parse(
        cls,
        *,
        projections: Any = None,
        exclude_fields: Any = None,
        redact: Any = None,
        redact_secret: Any = None,
        include_content: Any = True,
    ) -> FieldRules:
        """Make rules of arguments as users, templates and connections write them.

        :param projections: names of fields, or a JSON text of a list of them; empty keeps all.
        :param exclude_fields: paths, or a JSON text of a list of them.
        :param redact: the same.
        :param redact_secret: a ``SecretStr`` or a text; white space around it is not part of it.
        :param include_content: True or False.
        :raises InvalidArgumentError: names the argument, what came and what is allowed.
        """
        return cls(
            projections=parse_paths("projections", projections) or None,
            exclude_fields=parse_paths("exclude_fields", exclude_fields),
            redact=parse_paths("redact", redact),
            redact_secret=_parse_key(redact_secret),
            include_content=include_content,
        )

    @property
    def active(self) -> bool:
        """Whether there is any rule."""
        return bool(self.projections or self.exclude_fields or self.redact or not self.include_content)

    @property
    def paths(self) -> tuple[str, ...]:
        """The paths of ``exclude_fields``, and then those of ``redact``."""
        return self.exclude_fields + self.redact

    def unmatched(self, matched: Collection[int]) -> list[str]:
        """Return the paths that matched nothing.

        Not those to what may lie in a value that another path led to: it has gone with that.

        :param matched: numbers of those of ``paths`` that led to a value.
        """
        found = [path for number, path in enumerate(self.paths) if number in matched]
        return [path for path in self.paths if path not in found and not any(_may_hold(one, path) for one in found)]


def check_include_content(include_content: Any) -> None:
    """Check that nothing is taken for True that was meant as False, such as a text.

    :raises InvalidArgumentError: it is neither True nor False.
    """
    if not isinstance(include_content, bool):
        raise InvalidArgumentError("include_content", include_content, "allowed: True or False")


def check_fields(projections: Any = None, exclude_fields: Any = None, redact: Any = None) -> None:
    """Check everything but the key, which only the connection knows: for literals when a DAG is parsed.

    :raises InvalidArgumentError: as :class:`FieldRules` does.
    """
    projected = parse_paths("projections", projections)
    excluded = parse_paths("exclude_fields", exclude_fields)
    redacted = parse_paths("redact", redact)
    for name in projected:
        if "." in name:
            raise InvalidArgumentError(
                "projections",
                name,
                *("allowed: names of top-level fields; ", Argument("exclude_fields"), " takes out parts of one"),
            )
        if name in excluded:
            raise InvalidArgumentError(
                "exclude_fields", name, Argument("projections"), " asks to keep this field: name it in one"
            )
    for argument, paths in (("exclude_fields", excluded), ("redact", redacted)):
        for path in paths:
            _check_may_go(argument, path)
    for path in redacted:
        for other in excluded:
            if _covers(other, path) or _covers(path, other):
                raise InvalidArgumentError(
                    "redact",
                    path,
                    Argument("exclude_fields"),
                    f" takes out {other!r}: what is taken out cannot be replaced too",
                )


def parse_paths(argument: str, value: Any) -> tuple[str, ...]:
    """Return the different paths of an argument.

    :raises InvalidArgumentError: they are none.
    """
    if isinstance(value, str):
        try:
            paths = json.loads(value) if value.strip() else None
        except RecursionError:
            raise InvalidArgumentError(
                argument, value, "it nests too many lists: give one flat list of paths"
            ) from None
        except ValueError:
            raise InvalidArgumentError(argument, value, NOT_JSON, Fact(_FORMS)) from None
    else:
        paths = value
    if paths is None:
        return ()
    if not isinstance(paths, list | tuple) or not all(isinstance(path, str) for path in paths):
        raise InvalidArgumentError(argument, value, _FORMS)
    for path in paths:
        for problem in _problems(path):
            raise InvalidArgumentError(argument, path, problem)
    return tuple(dict.fromkeys(paths))


def _problems(path: str) -> Iterator[str]:
    names = path.split(".")
    if len(names) > MOST_NAMES:
        yield f"allowed: at most {MOST_NAMES} names in a path"
    for name in names:
        if not name or name != name.strip():
            yield "allowed: names of fields with one dot between them, without white space around a name"
        if _FOREIGN.fullmatch(name):
            yield (
                f"{name!r} is no name, and there are no wildcards: write 'outputs.choices.0.message' for one element, "
                "'outputs.choices.message' for all"
            )


def _check_may_go(argument: str, path: str) -> None:
    field = path.split(".", 1)[0]
    if field in KEPT_FIELDS:
        raise InvalidArgumentError(
            argument, path, f"{field} stays in every event: {KEPT_FIELDS[field]}. Other fields may be named"
        )


def is_number(name: str) -> bool:
    """Return whether paths may leave a name out: it is the index of an element, or looks like one."""
    return name.isdigit() and name.isascii()


def _covers(outer: str, inner: str) -> bool:
    """Return whether ``outer`` leads to all that ``inner`` leads to, or to what that lies in."""
    wanted = outer.split(".")
    places = {0}
    for position, name in enumerate(inner.split(".")):
        found = {place + 1 for place in places if wanted[place] == name}
        if len(wanted) in found:
            return True
        places = found | places if position and is_number(name) else found
    return False


def _may_hold(outer: str, inner: str) -> bool:
    """Return whether what ``inner`` leads to may lie in a value that ``outer`` leads to.

    Both may leave out numbers, so ``choices.0`` may lead to what holds the ``message`` of ``choices.message``.
    """
    names = (outer.split("."), inner.split("."))
    places, known = [(0, 0)], {(0, 0)}
    while places:
        at = places.pop()
        if at[0] == len(names[0]):
            if at[1] < len(names[1]):
                return True
            continue
        for name in {wanted[place] for wanted, place in zip(names, at, strict=True) if place < len(wanted)}:
            # A field's own name is left out by no path.
            may_stay = is_number(name) and at != (0, 0)
            steps = [
                [*([place + 1] if wanted[place : place + 1] == [name] else []), *([place] if may_stay else [])]
                for wanted, place in zip(names, at, strict=True)
            ]
            fresh = {(one, other) for one in steps[0] for other in steps[1]} - known
            known |= fresh
            places += fresh
    return False


def _parse_key(key: Any) -> SecretStr | None:
    if key is None:
        return None
    if not isinstance(key, str | SecretStr):
        raise InvalidArgumentError("redact_secret", type(key).__name__, "allowed: a text, in the connection's extra")
    text = (key if isinstance(key, str) else key.get_secret_value()).strip()
    return SecretStr(text) if text else None


def _check_key(redact: tuple[str, ...], key: SecretStr | None) -> None:
    advice = (
        "put a long random text, such as `openssl rand -hex 32` prints, into the extra redact_secret of the "
        "HoneyHive connection, and keep it: another key gives other hashes"
    )
    if key is None:
        raise InvalidArgumentError("redact", list(redact), f"there is no key to hash with: {advice}")
    if len(key.get_secret_value()) < SHORTEST_KEY:
        raise InvalidArgumentError(
            "redact_secret",
            f"{len(key.get_secret_value())} characters",
            f"allowed: at least {SHORTEST_KEY}, since whoever guesses the key can try out values; {advice}",
        )
