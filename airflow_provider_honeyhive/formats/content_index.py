"""What an export has written, in short: a hash of each event's identity, and one of what it says.

A record has 24 bytes, so the index of a million events takes 24 MB. Equal as JSON values are equal here: the order of
the keys, the white space and the spelling of numbers do not matter (500, 500.0 and 5e2 are one number). Numbers are
compared as doubles, integers to 64 bits; an event with a longer integer is compared as it is written. The index is made
of what is written, after fields were taken out or replaced, so nothing that is not in the files is in it.
"""

from __future__ import annotations

import json
import math
from decimal import Decimal
from hashlib import blake2b, sha256
from struct import Struct
from typing import TYPE_CHECKING, Any

import msgspec

from airflow_provider_honeyhive.events.scan import decode_json, member_spans, text_of
from airflow_provider_honeyhive.models.stored import Count, FileName, Sha256, StoredModel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from airflow_provider_honeyhive.events.raw import RawEvent
    from airflow_provider_honeyhive.formats.datafile import PartFile


_IDENTITY_BYTES, _CONTENT_BYTES = 16, 8

_RECORD = Struct(f"{_IDENTITY_BYTES}s{_CONTENT_BYTES}s")

RECORD_BYTES = _RECORD.size


def _number(text: str) -> int | float:
    """Return a number with a fraction or an exponent, as the integer that it is, if it is one."""
    number = float(text)
    if not number.is_integer():
        if math.isinf(number):
            raise ValueError("beyond all doubles")
        return number
    if abs(number) < _EXACT_BELOW:
        return int(number)
    exact = Decimal(text)
    is_whole = abs(exact) < 2**64 and exact == exact.to_integral_value()
    return int(exact) if is_whole else number


#: Below, a double tells each integer from its neighbours.
_EXACT_BELOW = 2**53

_decode = msgspec.json.Decoder(dict[str, Any], float_hook=_number).decode

_decode_as_spelled = msgspec.json.Decoder(dict[str, Any]).decode

_canonical = msgspec.json.Encoder(order="deterministic").encode


def records_of(events: Iterable[RawEvent], *, as_spelled: bool = False) -> bytes:
    """Return the records of events.

    :param events: their JSON texts, as they are written.
    :param as_spelled: as release 0.1.0 made them, for which 500.0 was another number than 500.
    """
    decode = _decode_as_spelled if as_spelled else _decode
    return b"".join(_record_of(event, decode) for event in events)


def _record_of(event: RawEvent, decode: Callable[[RawEvent], dict[str, Any]]) -> bytes:
    event_id, text = _told_apart_by(event, decode)
    content = blake2b(text, digest_size=_CONTENT_BYTES).digest()
    # What has no id can only be told apart by what it says.
    identity = identity_of(event_id) or blake2b(text, digest_size=_IDENTITY_BYTES).digest()
    return _RECORD.pack(identity, content)


def identity_of(event_id: object) -> bytes | None:
    """Return what stands for an event's id in records, None where it is no usable id."""
    if not isinstance(event_id, str | int) or event_id == "":
        return None
    # ASCII, and with the quotes that tell the text "1" from the number 1.
    return blake2b(json.dumps(event_id).encode(), digest_size=_IDENTITY_BYTES).digest()


def _told_apart_by(event: RawEvent, decode: Callable[[RawEvent], dict[str, Any]]) -> tuple[Any, bytes]:
    """Return the event's id, and a text that is the same for equal events."""
    try:
        found = decode(event)
        return found.get("event_id"), _canonical(found)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError, OverflowError):
        # JSON allows more than msgspec takes.
        raw = bytes(event)
        ids = [raw[start:end] for name, _, start, end in member_spans(raw, 0, len(raw)) if name == "event_id"]
        return _plain(ids[-1]) if ids else None, raw


def _plain(token: bytes) -> str | int | None:
    if token.startswith(b'"'):
        return text_of(token)
    found: str | int | None = decode_json(token.decode()) if token.lstrip(b"-").isdigit() else None
    return found


def packed_records(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return records as an index has them.

    :param records: identities, and hashes of what the events say.
    """
    return b"".join(_RECORD.pack(*record) for record in records)


def unpacked_records(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield the identity and the content hash of each of some whole records, as :func:`packed_records` joins them."""
    return _RECORD.iter_unpack(data)


def read_index(chunks: Iterable[bytes], index: IndexFile) -> Iterator[tuple[bytes, bytes]]:
    """Yield the identity and the content hash of each record of an index.

    :param chunks: bytes of the index.
    :param index: what its manifest says of it.
    :raises ValueError: they are not what the manifest says; some records may have been given before.
    """
    digest, size, rest = sha256(), 0, b""
    for chunk in chunks:
        size += len(chunk)
        if size > index.size_bytes:
            break
        digest.update(chunk)
        data = rest + chunk
        whole = len(data) // RECORD_BYTES * RECORD_BYTES
        yield from _RECORD.iter_unpack(data[:whole])
        rest = data[whole:]
    if rest or digest.hexdigest() != index.sha256:
        raise ValueError("the index is not what its manifest says")


def count_records(size_bytes: int) -> int:
    """Return how many records an index of that size has."""
    return size_bytes // RECORD_BYTES


class IndexFile(StoredModel):
    """What was written, in short, for runs that look back.

    :param path: relative to the manifest.
    :param record_count: events in it, those of corrections included.
    :param size_bytes: bytes on disk.
    :param sha256: of the bytes on disk.
    """

    path: FileName
    record_count: Count
    size_bytes: Count
    sha256: Sha256

    @classmethod
    def of(cls, file: PartFile) -> IndexFile:
        """Return what an index is that was written as any other file.

        :param file: its path, size and hash.
        """
        count = count_records(file.size_bytes)
        return cls(path=file.path, record_count=count, size_bytes=file.size_bytes, sha256=file.sha256)


def index_problems(index: IndexFile, chunks: Iterable[bytes]) -> Iterator[str]:
    """Yield what an index file has that its facts do not say.

    :param index: what should be there.
    :param chunks: the bytes of the file.
    """
    digest, size = sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    yield from (
        f"{what} is {found}, the manifest says {wanted}"
        for what, found, wanted in (
            ("size", size, index.size_bytes),
            ("SHA-256", digest.hexdigest(), index.sha256),
            ("number of records", size / RECORD_BYTES, index.record_count),
        )
        if found != wanted
    )
