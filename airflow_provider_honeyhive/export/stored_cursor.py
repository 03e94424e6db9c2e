"""Where the reading of a slice stands, as a checkpoint keeps it: each key of a row is checked when it is read back."""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Set as AbstractSet
from itertools import chain
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, ConfigDict, PlainSerializer

from airflow_provider_honeyhive.models.stored import Count, Micros, StoredModel
from airflow_provider_honeyhive.models.window import FIRST_US, LAST_US, MILLISECOND_US, SECOND_US
from airflow_provider_honeyhive.reading.known_rows import PACKED_BYTES, KnownRows, unpack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.reading.rows import RowKey


_CONTENT_DIGEST = re.compile(r"[0-9a-f]{16}")


def _dump_keys(keys: KnownRows) -> str:
    # As a JSON text of its own, because ids may hold what JSON can escape but UTF-8 cannot say.
    packed = bytearray()
    others: list[list[Any]] = []
    for form in keys.packed():
        if isinstance(form, bytes):
            packed += form
        else:
            id_, *rest = form
            others.append([id_.hex() if isinstance(id_, bytes) else id_, isinstance(id_, bytes), *rest])
    return json.dumps([*others, b64encode(packed).decode()] if packed else others)


def _load_keys(value: Any) -> Any:
    """Return the keys of rows, of a set that this process has made, or of a text, which is checked.

    :raises ValueError: they are none.
    """
    if isinstance(value, AbstractSet):
        return value if isinstance(value, KnownRows) else KnownRows(value)
    found = json.loads(value) if isinstance(value, str) else None
    if not isinstance(found, list):
        raise ValueError("allowed: a text with a list of keys")
    return KnownRows(chain.from_iterable(map(_load_some, found)))


def _load_some(found: Any) -> Iterator[RowKey]:
    """Yield the keys of an entry: a text has those of many rows."""
    if not isinstance(found, str):
        yield _load_key(found)
        return
    packed = b64decode(found, validate=True)
    if len(packed) % PACKED_BYTES:
        raise ValueError("allowed: packed keys of whole rows")
    for begin in range(0, len(packed), PACKED_BYTES):
        id_, time = unpack(packed[begin : begin + PACKED_BYTES])
        yield id_, _checked_time(time)


def _load_key(found: Any) -> RowKey:
    if not isinstance(found, list) or len(found) < 3:
        raise ValueError("allowed: keys of rows")
    id_, is_hash, time, *rest = found
    if is_hash is True and isinstance(id_, str):
        id_ = bytes.fromhex(id_)
    elif is_hash is not False or not isinstance(id_, str | int):
        raise ValueError("allowed: ids that are texts or whole numbers")
    if time is not None:
        _checked_time(time)
    digests, counts = [one for one in rest if isinstance(one, str)], [one for one in rest if type(one) is int]
    if len(digests) > 1 or len(counts) > 1 or rest != [*digests, *counts]:
        raise ValueError("allowed: a digest of the content, and a number")
    if not all(map(_CONTENT_DIGEST.fullmatch, digests)) or not all(0 < one < 2**63 for one in counts):
        raise ValueError("allowed: a digest of the content, and a number")
    return (id_, time, *rest)


def _checked_time(time: Any) -> int:
    if type(time) is not int or not FIRST_US <= time <= LAST_US:
        raise ValueError("allowed: times in microseconds")
    return time


#: Keys of rows; in files a text.
_Keys: TypeAlias = Annotated[Any, BeforeValidator(_load_keys), PlainSerializer(_dump_keys)]


class StagingModel(StoredModel):
    """What is not read at all where it has more than is known here: reading the events again costs little."""

    model_config = ConfigDict(extra="forbid")


class StoredCursor(StagingModel):
    """What is kept of a :class:`~airflow_provider_honeyhive.reading.cursor.Cursor`; see there."""

    upper: Micros | None
    known: _Keys
    elsewhere: _Keys
    expect_seam: bool
    unit: Literal[MILLISECOND_US, SECOND_US]  # type: ignore[valid-type]
    any_order: bool
    by_content: bool
    taken: Count
    done: bool
