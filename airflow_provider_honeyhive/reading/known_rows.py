"""Rows that were taken, in few bytes each: one timestamp may have as many of them as there are events."""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from struct import Struct
from struct import error as StructError  # noqa: N812
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from airflow_provider_honeyhive.reading.rows import RowKey


#: So many rows are kept as they are: packing takes time, and a slice has more of them only at a crowded timestamp.
MOST_UNPACKED = 30_000

#: A row's id and time as bytes where both fit, else its key.
Form: TypeAlias = "bytes | RowKey"

#: The one way to write a UUID that is packed: any other id stays as it is, so that no two are mistaken.
_UUID = re.compile("[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

_ID_BYTES = 16

_TIME = Struct(">q")

#: Bytes of a packed row.
PACKED_BYTES = _ID_BYTES + _TIME.size


def pack(key: Form) -> Form:
    """Return a UUID and a time as bytes, any other key as it is."""
    if isinstance(key, bytes) or len(key) != 2:
        return key
    id_, time = key
    if type(id_) is not str or type(time) is not int or not _UUID.fullmatch(id_):
        return key
    try:
        return bytes.fromhex(id_.replace("-", "")) + _TIME.pack(time)
    except StructError:  # no time of an event
        return key


def unpack(form: Form) -> RowKey:
    """Return the key that was packed."""
    if not isinstance(form, bytes):
        return form
    digits = form[:_ID_BYTES].hex()
    id_ = f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
    return id_, *_TIME.unpack_from(form, _ID_BYTES)


class KnownRows(AbstractSet[Any]):
    """Keys of rows, to which others may be added; a copy of what they are at some time costs nothing.

    :param keys: the first of them.
    """

    def __init__(self, keys: Iterable[RowKey] = ()) -> None:
        #: In the order in which they came, so that the first ones are what was there earlier.
        self._forms: dict[Form, None] = {}
        self._is_packed = False
        #: How many of the forms are meant; None: all, and they belong to nobody else.
        self._count: int | None = None
        for key in keys:
            self._forms[pack(key) if self._is_packed else key] = None
            if len(self._forms) > MOST_UNPACKED:
                self._pack()

    def __contains__(self, key: object) -> bool:
        return isinstance(key, tuple) and next(self.find([key]))

    def __iter__(self) -> Iterator[RowKey]:
        return map(unpack, self._listed())

    def __len__(self) -> int:
        return len(self._forms) if self._count is None else self._count

    def __sub__(self, other: AbstractSet[RowKey]) -> KnownRows:
        rest = self.copy()
        forms, others = rest.to_add_to(list(other))
        for form in others:
            forms.pop(form, None)
        return rest

    def packed(self) -> Iterator[Form]:
        """Yield each row packed."""
        return iter(self._listed()) if self._is_packed else map(pack, self._listed())

    def _listed(self) -> list[Form]:
        # All at once, since another thread may be adding to what this is a copy of.
        return list(self._forms)[: self._count]

    def isdisjoint(self, other: Iterable[RowKey]) -> bool:
        """Return whether none of some other rows is among them."""
        return not any(self.find(list(other)))

    def find(self, keys: list[RowKey]) -> Iterator[bool]:
        """Yield of each of some rows whether it is among them."""
        forms, others = self.to_add_to(keys)
        return map(forms.__contains__, others)

    def copy(self) -> KnownRows:
        """Return what they are now."""
        copy = KnownRows()
        copy._forms, copy._is_packed, copy._count = self._forms, self._is_packed, len(self)
        return copy

    def add(self, key: RowKey) -> None:
        """Add a row."""
        forms, others = self.to_add_to([key])
        forms[others[0]] = None

    def to_add_to(self, keys: Sequence[RowKey]) -> tuple[dict[Form, None], Sequence[Form]]:
        """Return what is to be looked at and added to, and what the keys are in there.

        Valid until the next call.
        """
        if self._count is not None:
            self._forms, self._count = dict.fromkeys(self._listed()), None
        if len(self._forms) > MOST_UNPACKED:
            self._pack()
        return self._forms, list(map(pack, keys)) if self._is_packed else keys

    def _pack(self) -> None:
        if not self._is_packed:
            self._forms = dict.fromkeys(map(pack, self._forms))
            self._is_packed = True
