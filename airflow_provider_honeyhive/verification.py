"""Reads a published export again and compares every byte of it with what its manifest says."""

from __future__ import annotations

import zlib
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.pages import time_of
from airflow_provider_honeyhive.windows import format_time, from_micros, parse_time, to_micros

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_honeyhive.layout import Layout
    from airflow_provider_honeyhive.manifest import Manifest, PartFile
    from airflow_provider_honeyhive.stores import Store


def find_problems(manifest: Manifest, store: Store, layout: Layout) -> list[str]:
    """Return what differs from the manifest, each with the name of the file; nothing where all is well.

    :param manifest: what should be there.
    :param store: the folder it is in.
    :param layout: names of the export.
    """
    problems: list[str] = []
    there = set(store.files())
    for part in manifest.files:
        if part.path not in there:
            problems.append(f"{part.path}: missing")
            continue
        problems += [f"{part.path}: {problem}" for problem in _problems_of(part, manifest, store)]
    named = {part.path for part in manifest.files}
    problems += [f"{name}: not in the manifest" for name in sorted(there - named) if layout.owns(name)]
    total = sum(part.event_count for part in manifest.files)
    if total != manifest.event_count:
        problems.append(f"the parts hold {total} events, the manifest says {manifest.event_count}")
    return problems


def _problems_of(part: PartFile, manifest: Manifest, store: Store) -> Iterator[str]:
    digest, size = sha256(), 0

    def hashed() -> Iterator[bytes]:
        nonlocal size
        for chunk in store.chunks(part.path):
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    count, first, last = 0, None, None
    try:
        for line in _lines(hashed() if manifest.compression == "none" else _gunzip(hashed())):
            count += 1
            time = time_of(line)
            if time is not None:
                first = time if first is None else min(first, time)
                last = time if last is None else max(last, time)
    except (zlib.error, ValueError) as error:
        yield f"cannot be read: {error}"
        return
    yield from (
        f"{what} is {found}, the manifest says {wanted}"
        for what, found, wanted in (
            ("size", size, part.size_bytes),
            ("SHA-256", digest.hexdigest(), part.sha256),
            ("number of events", count, part.event_count),
            ("earliest start_time", _shown(first), part.min_start_time),
            ("latest start_time", _shown(last), part.max_start_time),
        )
        if found != wanted
    )
    if first is not None and last is not None and not _inside(manifest, first, last):
        yield f"holds events from outside the window [{manifest.start_time}, {manifest.end_time})"


def _shown(micros: int | None) -> str | None:
    return None if micros is None else format_time(from_micros(micros))


def _inside(manifest: Manifest, first: int, last: int) -> bool:
    if manifest.start_time is None or manifest.end_time is None:
        return True
    start, end = (to_micros(parse_time(bound)) for bound in (manifest.start_time, manifest.end_time))
    return start is not None and end is not None and start <= first and last < end


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """Decompress one gzip member after the other, as joined parts have them."""
    member = zlib.decompressobj(31)
    for chunk in chunks:
        data = chunk
        while data:
            yield member.decompress(data)
            data = member.unused_data
            if member.eof:
                member = zlib.decompressobj(31)
    yield member.flush()


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes]:
    rest = b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        yield from whole
    if rest:
        raise ValueError("it ends in the middle of a line")
