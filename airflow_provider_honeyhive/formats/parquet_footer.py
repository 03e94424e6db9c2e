"""Whole Parquet files, one after the other -> one Parquet file, by a footer that counts the row groups of all.

Nothing but the footer says where a file's columns are, so the headers and footers in between are bytes that nobody
reads. pyarrow cannot make such a footer: ``FileMetaData.append_row_groups`` leaves the offsets as they were.

A footer is the structure ``FileMetaData`` of parquet.thrift, in Thrift's compact protocol. Fields that are not named
here are kept as they are, known or not.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MAGIC = b"PAR1"

_LENGTH = struct.Struct("<I")


def footer_of(tail: bytes | bytearray) -> bytes:
    """Return the footer of a Parquet file: its ``FileMetaData``, without the length and the magic number.

    :param tail: the file's last bytes, or all of them.
    :raises ValueError: they are not the end of a Parquet file, or do not reach back to where the footer begins.
    """
    end = len(tail) - _LENGTH.size - len(MAGIC)
    if end < 0 or not tail.endswith(MAGIC):
        raise ValueError("not the end of a Parquet file")
    (length,) = _LENGTH.unpack_from(tail, end)
    if length > end:
        raise ValueError(f"the footer of the Parquet file has {length} bytes, but only {end} of them are here")
    return bytes(tail[end - length : end])


def row_count(footer: bytes) -> int:
    """Return how many rows a footer says that its file has.

    :raises ValueError: it could not be joined to others.
    """
    joined_footer([(footer, 0)])
    return _Cursor(_fields_of(footer)[_ROWS].value).integer()


def joined_footer(parts: Sequence[tuple[bytes, int]]) -> bytes:
    """Return what to append to Parquet files that stand one after the other, so that they are one Parquet file.

    It has the row groups of all files in their order; the schema, the key-value metadata and the name of the writer are
    the first file's. Page indexes, which hold offsets themselves, are left out.

    :param parts: of each file, the footer (see :func:`footer_of`) and the offset at which the file begins. The files'
        own footers need not be there, and other bytes may stand between the files.
    :return: the footer, its length and the magic number.
    :raises ValueError: there is no file, a footer is damaged, the schemas differ, or a file is encrypted.
    """
    if not parts:
        raise ValueError("there is no Parquet file to join")
    groups = bytearray()
    rows = 0
    place = _Place()
    first: dict[int, _Field] = {}
    for footer, begin in parts:
        fields = _fields_of(footer)
        first = first or fields
        if fields[_SCHEMA] != first[_SCHEMA]:
            raise ValueError("the schemas of the Parquet files to join differ")
        rows += _Cursor(fields[_ROWS].value).integer()
        place.begin = begin
        groups += _moved_groups(_Cursor(fields[_GROUPS].value), place)
    first[_ROWS] = _Field(_I64, _zigzag(rows))
    first[_GROUPS] = _Field(_LIST, _list_header(place.ordinal, _STRUCT) + groups)
    whole = bytearray()
    last = 0
    for number, field in first.items():
        whole += _field_header(number, last, field.kind) + field.value
        last = number
    whole.append(_STOP)
    return bytes(whole) + _LENGTH.pack(len(whole)) + MAGIC


# Thrift's compact protocol: kinds of values.
_STOP, _TRUE, _FALSE, _BYTE, _I16, _I32, _I64, _DOUBLE, _BINARY, _LIST, _SET, _MAP, _STRUCT, _UUID = range(14)

_SIZES = {_BYTE: 1, _DOUBLE: 8, _UUID: 16}

_DEEPEST = 32

_VARINT_BITS = 64

# Numbers of fields of ``FileMetaData``.
_SCHEMA, _ROWS, _GROUPS, _ENCRYPTION = 2, 3, 4, 8

_KINDS = {_SCHEMA: _LIST, _ROWS: _I64, _GROUPS: _LIST}

#: ``RowGroup.ordinal`` is an i16 and optional.
_MOST_ORDINALS = 2**15


@dataclass(frozen=True, slots=True)
class _Field:
    """A field of a structure: the kind of its value, and the bytes of it."""

    kind: int
    value: bytes


@dataclass(slots=True)
class _Place:
    """Where row groups go.

    :param begin: the offset at which their file begins.
    :param ordinal: how many row groups there were before.
    """

    begin: int = 0
    ordinal: int = 0


class _Cursor:
    """Reads values from bytes, each of them at least one byte, so that damage cannot make it do much."""

    __slots__ = ("_data", "position")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.position = 0

    @property
    def is_at_end(self) -> bool:
        return self.position == len(self._data)

    def since(self, begin: int) -> bytes:
        return self._data[begin : self.position]

    def byte(self) -> int:
        try:
            value = self._data[self.position]
        except IndexError:
            raise _damaged() from None
        self.position += 1
        return value

    def varint(self) -> int:
        value = shift = 0
        while shift < _VARINT_BITS:
            byte = self.byte()
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7
        raise _damaged()

    def integer(self) -> int:
        value = self.varint()
        return (value >> 1) ^ -(value & 1)

    def skip_bytes(self, count: int) -> None:
        self.position += count
        if self.position > len(self._data):
            raise _damaged()

    def fields(self) -> Iterator[tuple[int, int]]:
        """Yield number and kind of each field of a structure; whoever asks has then to read or skip its value."""
        number = 0
        while kind := self.byte():
            delta, kind = kind >> 4, kind & 0x0F
            number = number + delta if delta else self.integer()
            yield number, kind

    def elements(self) -> tuple[int, int]:
        """Return how many elements a list has, and their kind."""
        header = self.byte()
        count = header >> 4
        return (self.varint() if count == 0x0F else count), header & 0x0F

    def skip(self, kind: int, depth: int = 0) -> None:
        """Go past a value."""
        if depth > _DEEPEST:
            raise _damaged()
        if kind in (_I16, _I32, _I64):
            self.varint()
        elif kind == _BINARY:
            self.skip_bytes(self.varint())
        elif kind == _STRUCT:
            for _, inner in self.fields():
                # A boolean field has its value in the kind.
                if inner not in (_TRUE, _FALSE):
                    self.skip(inner, depth + 1)
        elif kind in (_LIST, _SET):
            count, inner = self.elements()
            self._skip_elements(count, (inner,), depth)
        elif kind == _MAP:
            count = self.varint()
            if count:
                kinds = self.byte()
                self._skip_elements(count, (kinds >> 4, kinds & 0x0F), depth)
        elif kind in _SIZES:
            self.skip_bytes(_SIZES[kind])
        else:
            raise _damaged()

    def _skip_elements(self, count: int, kinds: tuple[int, ...], depth: int) -> None:
        for _ in range(count):
            for kind in kinds:
                self.skip(_BYTE if kind in (_TRUE, _FALSE) else kind, depth + 1)


def _damaged() -> ValueError:
    return ValueError("the footer of a Parquet file is damaged")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _zigzag(value: int) -> bytes:
    return _varint(value << 1 if value >= 0 else ~(value << 1))


def _field_header(number: int, last: int, kind: int) -> bytes:
    if 0 < number - last < 0x10:
        return bytes([number - last << 4 | kind])
    return bytes([kind]) + _zigzag(number)


def _list_header(count: int, kind: int) -> bytes:
    if count < 0x0F:
        return bytes([count << 4 | kind])
    return bytes([0xF0 | kind]) + _varint(count)


def _fields_of(footer: bytes) -> dict[int, _Field]:
    cursor = _Cursor(footer)
    fields = {}
    for number, kind in cursor.fields():
        begin = cursor.position
        if kind not in (_TRUE, _FALSE):
            cursor.skip(kind)
        fields[number] = _Field(kind, cursor.since(begin))
    if not cursor.is_at_end or any(number not in fields or fields[number].kind != _KINDS[number] for number in _KINDS):
        raise _damaged()
    if _ENCRYPTION in fields:
        raise _encrypted()
    return fields


def _encrypted() -> ValueError:
    return ValueError("encrypted Parquet files cannot be joined")


def _moved_groups(cursor: _Cursor, place: _Place) -> bytes:
    """Return the row groups of a file, without the list's header, and count them."""
    moved = bytearray()
    count, kind = cursor.elements()
    if count and kind != _STRUCT:
        raise _damaged()
    for _ in range(count):
        moved += _moved(cursor, _ROW_GROUP, place)
        place.ordinal += 1
    return bytes(moved)


#: Reads the value of a field and returns what to write instead; None: leave the field out.
_Rule: TypeAlias = "Callable[[_Cursor, int, _Place], bytes | None]"


def _moved(cursor: _Cursor, rules: Mapping[int, _Rule], place: _Place) -> bytes:
    """Return a structure with its fields as rules by their numbers say; others as they are."""
    out = bytearray()
    last = 0
    for number, kind in cursor.fields():
        rule = rules.get(number, _kept)
        value = rule(cursor, kind, place)
        if value is not None:
            out += _field_header(number, last, kind)
            out += value
            last = number
    out.append(_STOP)
    return bytes(out)


def _kept(cursor: _Cursor, kind: int, place: _Place) -> bytes:
    begin = cursor.position
    if kind not in (_TRUE, _FALSE):
        cursor.skip(kind)
    return cursor.since(begin)


def _left_out(cursor: _Cursor, kind: int, place: _Place) -> None:
    cursor.skip(kind)


def _refused(cursor: _Cursor, kind: int, place: _Place) -> bytes:
    raise _encrypted()


def _offset(cursor: _Cursor, kind: int, place: _Place) -> bytes:
    if kind != _I64:
        raise _damaged()
    offset = cursor.integer()
    # Writers say "none" by 0 or a negative number.
    return _zigzag(offset + place.begin if offset > 0 else offset)


def _ordinal(cursor: _Cursor, kind: int, place: _Place) -> bytes | None:
    if kind != _I16:
        raise _damaged()
    cursor.varint()
    return _zigzag(place.ordinal) if place.ordinal < _MOST_ORDINALS else None


def _structure(rules: Mapping[int, _Rule]) -> _Rule:
    def moved(cursor: _Cursor, kind: int, place: _Place) -> bytes:
        if kind != _STRUCT:
            raise _damaged()
        return _moved(cursor, rules, place)

    return moved


def _columns(cursor: _Cursor, kind: int, place: _Place) -> bytes:
    count, inner = cursor.elements() if kind == _LIST else (0, _STOP)
    if inner != _STRUCT:
        raise _damaged()
    return _list_header(count, _STRUCT) + b"".join(_moved(cursor, _COLUMN, place) for _ in range(count))


#: ``ColumnMetaData``: the offsets of its first data page, index page, dictionary page and Bloom filter.
_COLUMN_DATA: dict[int, _Rule] = dict.fromkeys((9, 10, 11, 14), _offset)

#: ``ColumnChunk``.
_COLUMN: dict[int, _Rule] = {
    2: _offset,
    3: _structure(_COLUMN_DATA),
    # Where the page indexes are.
    **dict.fromkeys((4, 5, 6, 7), _left_out),
    # How it is encrypted.
    **dict.fromkeys((8, 9), _refused),
}

#: ``RowGroup``.
_ROW_GROUP: dict[int, _Rule] = {1: _columns, 5: _offset, 7: _ordinal}
