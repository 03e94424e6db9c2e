"""Raw events -> the values of all columns of :mod:`.columns`, as Arrow and CSV take them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

from airflow_provider_honeyhive.column_values import Form, read_column
from airflow_provider_honeyhive.columns import EXTRA, FIELD_COLUMNS, FIELD_NAMES, SENT_AS, WHOLE_EVENT
from airflow_provider_honeyhive.event_columns import Leftovers, split_events
from airflow_provider_honeyhive.json_text import joined, quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_honeyhive.pages import RawEvent

#: Values that their column cannot hold, so that ``extra`` has them: how many, by name of the column.
Misfits: TypeAlias = Counter[str]


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of events by columns.

    :param count: of events.
    :param values: by name of the column, one for each event; None is NULL. Times are microseconds since 1970, JSON
        texts are bytes or buffers of them.
    :param misfits: what ``extra`` has of the columns' values.
    """

    count: int
    values: dict[str, Sequence[Any]]
    misfits: Misfits


def to_rows(raw_events: Sequence[RawEvent]) -> Rows:
    """Return the values of all columns.

    :param raw_events: JSON texts of events, as :mod:`.pages` gives them.
    """
    count = len(raw_events)
    columns, left = split_events(raw_events)
    values: dict[str, Sequence[Any]] = {}
    forms: dict[str, Sequence[Form]] = {}
    for column, tokens in zip(FIELD_COLUMNS, columns, strict=True):
        values[column.name], found = read_column(column, tokens, left)
        if found is not None:
            forms[column.name] = found
    values[SENT_AS] = _sent_as(count, forms, left)
    values[EXTRA] = _extra(count, left)
    return Rows(count, values, Counter(name for _, name in left.misfits))


def _sent_as(count: int, forms: dict[str, Sequence[Form]], left: Leftovers) -> list[bytes | None]:
    texts: list[bytes | None] = [None] * count
    if forms:
        texts = [_known_object_of(tuple(forms), told) for told in zip(*forms.values(), strict=True)]
    for row in left.members if forms else left.encodings:
        # Of what is in extra, only its encoding matters.
        kept = dict.fromkeys(name for name, _ in left.members[row])
        told = {name: found[row] for name, found in forms.items()} | kept
        told |= left.encodings.get(row, {})
        # In one order, whatever the other events of the batch hold.
        told = dict(sorted(told.items(), key=_place))
        texts[row] = _object_of(told, told.values())
    for row, (codec, _) in left.whole.items():
        texts[row] = quoted(codec)
    return texts


def _place(told: tuple[str, Form]) -> int:
    return FIELD_NAMES.index(told[0]) if told[0] in FIELD_NAMES else len(FIELD_NAMES)


def _object_of(names: Iterable[str], forms: Iterable[Form]) -> bytes | None:
    told = [(name, quoted(form)) for name, form in zip(names, forms, strict=True) if form is not None]
    return joined(told) if told else None


#: Most events of an export are written alike.
_known_object_of = lru_cache(maxsize=1024)(_object_of)


def _extra(count: int, left: Leftovers) -> list[bytes | None]:
    texts: list[bytes | None] = [None] * count
    for row, kept in left.members.items():
        texts[row] = joined(kept)
    for row, (_, text) in left.whole.items():
        texts[row] = joined([(WHOLE_EVENT, text)])
    return texts
