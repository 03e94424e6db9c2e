"""Reads a published export again and compares every byte of it with what its manifest says.

In constant memory: a file is looked at piece by piece, however large it is, also when decompressed.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.content_index import RECORD_BYTES
from airflow_provider_honeyhive.decompression import DECOMPRESSION_ERRORS
from airflow_provider_honeyhive.event_times import event_times
from airflow_provider_honeyhive.layout import FORMATS
from airflow_provider_honeyhive.windows import Window, format_time, from_micros

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airflow_provider_honeyhive.layout import Layout
    from airflow_provider_honeyhive.manifest import IndexFile, Manifest, PartFile
    from airflow_provider_honeyhive.stores import Store


def find_problems(manifest: Manifest, store: Store, layout: Layout, there: Collection[str] | None = None) -> list[str]:
    """Return what differs from the manifest, each with the name of the file; nothing where all is well.

    :param manifest: what should be there.
    :param store: the folder it is in.
    :param layout: names of the export.
    :param there: names of the files in the folder; default: what the store lists.
    :raises DestinationError: a file cannot be read.
    """
    there = store.files() if there is None else there
    try:
        # The events of whole sessions lie where they lie; their roots are in the window.
        inside = not manifest.request.sessions
        bounds, back = (window_bounds(manifest), _lookback_bounds(manifest)) if inside else (None, None)
    except ValueError as error:
        return [f"its window cannot be read: {error}"]
    if manifest.compression not in FORMATS.get(manifest.file_format, ()):
        return [f"format {manifest.file_format!r} with compression {manifest.compression!r} is unknown"]
    there = {*there, *_in_folders(manifest, store)}
    problems: list[str] = []
    looks: dict[str, Iterator[str]] = {
        part.path: _problems_of(part, store, manifest, within)
        for parts, within in ((manifest.files, bounds), (manifest.corrections, back))
        for part in parts
    }
    if manifest.index is not None:
        looks[manifest.index.path] = _index_problems(manifest.index, store)
    for name, look in looks.items():
        problems += [f"{name}: {problem}" for problem in (look if name in there else ["missing"])]
    named = manifest.sizes
    problems += [f"{name}: not in the manifest" for name in sorted(there) if name not in named and layout.owns(name)]
    total = sum(part.event_count for part in manifest.files)
    if total != manifest.event_count:
        problems.append(f"the parts hold {total} events, the manifest says {manifest.event_count}")
    return [*problems, *_corrections_problems(manifest)]


def _corrections_problems(manifest: Manifest) -> Iterator[str]:
    facts = manifest.lookback
    if facts is None:
        if manifest.corrections or manifest.index:
            yield "it has corrections or an index, but does not say what was read again"
        return
    for reason, count in (("late", facts.late_count), ("changed", facts.changed_count)):
        total = sum(part.event_count for part in manifest.corrections if part.reason == reason)
        if total != count:
            yield f"the corrections hold {total} {reason} events, the manifest says {count}"
    records = 0 if manifest.index is None else manifest.index.record_count
    events = manifest.event_count + facts.late_count + facts.changed_count
    if records != events:
        yield f"the index holds {records} events, the parts and corrections {events}"


def _in_folders(manifest: Manifest, store: Store) -> Iterator[str]:
    """Yield the names of the files in the folders of the manifest's partitions."""
    for folder in {path.rpartition("/")[0] for path in manifest.sizes} - {""}:
        yield from (f"{folder}/{name}" for name in store.files(folder))


def window_bounds(manifest: Manifest) -> tuple[int, int] | None:
    """Return start and end of the manifest's window in microseconds since 1970, None for all of time.

    :raises InvalidArgumentError: it is no window.
    """
    if manifest.start_time is None or manifest.end_time is None:
        return None
    window = Window.parse(manifest.start_time, manifest.end_time)
    return window.start_us, window.end_us


def _lookback_bounds(manifest: Manifest) -> tuple[int, int] | None:
    facts = manifest.lookback
    if facts is None:
        return None
    window = Window.parse(facts.start_time, facts.end_time)
    return window.start_us, window.end_us


def _index_problems(index: IndexFile, store: Store) -> Iterator[str]:
    digest, size = sha256(), 0
    for chunk in store.chunks(index.path):
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


def _problems_of(part: PartFile, store: Store, manifest: Manifest, bounds: tuple[int, int] | None) -> Iterator[str]:
    digest, size = sha256(), 0

    def hashed() -> Iterator[bytes]:
        nonlocal size
        for chunk in store.chunks(part.path):
            digest.update(chunk)
            size += len(chunk)
            yield chunk

    count, first, last = 0, None, None
    try:
        for time in event_times(manifest.file_format, manifest.compression, hashed()):
            count += 1
            if time is not None:
                first = time if first is None else min(first, time)
                last = time if last is None else max(last, time)
    except DECOMPRESSION_ERRORS as error:
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
    if bounds and first is not None and last is not None and not bounds[0] <= first <= last < bounds[1]:
        yield f"holds events from outside the window [{_shown(bounds[0])}, {_shown(bounds[1])})"


def _shown(micros: int | None) -> str | None:
    return None if micros is None else format_time(from_micros(micros))
