"""Finds the exports below a folder, verifies each, and how their windows lie to each other: gaps and overlaps.

What is built from exports is verified, too. All are looked at one after the other, as they are found. Only the bounds
and the place of each export stay in memory, some hundred bytes for a window, however many events it has.
"""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from math import inf
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeAlias

from airflow_provider_honeyhive.build_manifest import BuildManifest, build_problems, load_manifest
from airflow_provider_honeyhive.display import get_logger, shown
from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError
from airflow_provider_honeyhive.manifest import Manifest, find_problems, locate_manifest, object_name_of, window_bounds
from airflow_provider_honeyhive.models.layout import BUILD_MANIFESTS, MANIFEST_NAME, OBJECT_MANIFEST_SUFFIX, is_part
from airflow_provider_honeyhive.models.window import format_time, from_micros
from airflow_provider_honeyhive.storage.base import is_name
from airflow_provider_honeyhive.storage.paths import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from datetime import datetime

    from airflow_provider_honeyhive.build_manifest import AnyManifest
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)

#: Manifests that are read side by side: most of the time is waiting for the store.
LOOKED_AT_ONCE = 16

_HIDDEN = ("_", ".")


class Export(NamedTuple):
    """A published export.

    :param folder: relative to where it was looked for; empty: right there.
    :param start: of its window, in microseconds since 1970.
    :param end: of its window.
    """

    folder: str
    manifest: Manifest
    start: int
    end: int

    def path(self, name: str) -> str:
        """Return a file of the export, relative to where it was looked for."""
        return _join(self.folder, name)


def find_exports(store: Store, wanted: Callable[[Manifest], bool], since: datetime | None = None) -> Iterator[Export]:
    """Yield the exports of windows in the store's folder, and in its folders at any depth.

    An export's own folders are not looked into, nor those whose names begin with ``_`` or a dot, nor what is behind
    symbolic links. It takes one listing of all files, and a request for each manifest that is read.

    :param store: the folder.
    :param wanted: tells which of them to give; the others do not stay in memory.
    :param since: manifests last modified before are not read; None: all are.
    :raises DestinationError: the store cannot be read.
    """
    for link in shown_links(store):
        log.warning("%s is a symbolic link: it is not followed, exports behind it do not count", store.url(link))
    modified = store.modified()
    manifests = {
        path.rpartition("/")[0]: time for path, time in modified.items() if path.rpartition("/")[2] == MANIFEST_NAME
    }
    folders = [
        folder
        for folder, time in sorted(manifests.items())
        if (since is None or time >= since)
        and not _is_hidden(folder)
        and manifests.keys().isdisjoint(_folders_above(folder))
    ]
    with ThreadPoolExecutor(LOOKED_AT_ONCE, "honeyhive-look") as pool:
        yield from filter(None, pool.map(partial(_look, store, wanted), folders))


def shown_links(store: Store) -> list[str]:
    """Return the symbolic links in a folder and below it, but for those whose names begin with ``_`` or a dot.

    :raises DestinationError: the store cannot be read.
    """
    return [link for link in store.links() if not _is_hidden(link)]


def _is_hidden(path: str) -> bool:
    return any(name.startswith(_HIDDEN) for name in path.split("/"))


def _folders_above(folder: str) -> Iterator[str]:
    """Yield the folders in which the folder lies, without the one that is looked in."""
    while folder := folder.rpartition("/")[0]:
        yield folder


def _look(store: Store, wanted: Callable[[Manifest], bool], folder: str) -> Export | None:
    name = _join(folder, MANIFEST_NAME)
    data = store.get(name)
    if data is None:
        return None
    try:
        manifest = Manifest.at(store, name, data)
        bounds = window_bounds(manifest)
    except DestinationTakenError:
        raise
    except (DestinationError, ValueError):
        where = store.url(name)
        log.warning("%s is no manifest that can be read, so what it is about counts as not exported", where)
        return None
    if bounds is None or not wanted(manifest):
        return None
    return Export(folder, manifest, *bounds)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


#: Facts of a request that say how it was answered, not what was asked; and the project, told apart by itself.
_NOT_ASKED = {"project", "endpoint", "api_host"}

#: Characters of what an export asked for, in the text of a gap or an overlap.
LONGEST_ASKED = 1_000

_ENDLESS = {-inf: "the beginning of time", inf: "the end of time"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """What became of the verification of one export or build.

    :param place: its folder or its one object.
    :param manifest: None where it cannot be read.
    :param problems: what is wrong with it.
    :param unreachable: the store failed, so that another time may tell more.
    :param build: what was built; None: it is an export.
    """

    place: str
    manifest: AnyManifest | None
    problems: list[str]
    unreachable: bool = False
    build: str | None = None


@dataclass(frozen=True, slots=True)
class Seam:
    """Where two neighbouring windows do not meet.

    :param text: what lies between which exports, or in both.
    """

    kind: Literal["gap", "overlap"]
    text: str


def verify_exports(path: Any) -> Iterator[Verdict]:
    """Verify the exports and builds at a path, in the order of their names, each when it is asked for.

    :param path: path-like: an export's one object, or a manifest; or a folder, for all exports and builds in it and
        in its folders at any depth; what is behind symbolic links is left out, see :func:`skipped_links`.
    :raises DestinationError: a folder cannot be listed.
    """
    folder, name = locate_manifest(path)
    if name == MANIFEST_NAME and path.name != MANIFEST_NAME:
        yield from _walk(open_store(path))
        return
    store = open_store(folder)
    yield _verify(store, name, store.files())


def skipped_links(path: Any) -> list[str]:
    """Return the symbolic links that :func:`verify_exports` does not follow, as a user writes them.

    :param path: as there.
    :raises DestinationError: a folder cannot be listed.
    """
    folder, name = locate_manifest(path)
    if name != MANIFEST_NAME or path.name == MANIFEST_NAME:
        return []
    store = open_store(folder)
    return [store.url(link) for link in shown_links(store)]


def _walk(root: Store) -> Iterator[Verdict]:
    # Folders, and whether one above holds an export, or a build with files in it; the next one comes last.
    waiting = [("", False)]
    while waiting:
        folder, is_known = waiting.pop()
        store = root.below(folder)
        there = store.files()
        is_known = is_known or MANIFEST_NAME in there
        of_builds: set[str] = set()
        for name in sorted(filter(_is_manifest, there)):
            verdict = _verify(store, name, there)
            if isinstance(verdict.manifest, BuildManifest):
                of_builds |= verdict.manifest.folders
            yield verdict
        if not is_known and any(map(is_part, there)):
            yield Verdict(
                store.url(), None, [f"data files without {MANIFEST_NAME}: an export or a build that was not finished"]
            )
        below = sorted((name for name in store.folders() if not name.startswith(_HIDDEN)), reverse=True)
        waiting += [(path, is_known or name in of_builds) for name in below if is_name(path := _join(folder, name))]


def _is_manifest(name: str) -> bool:
    return name in (MANIFEST_NAME, *BUILD_MANIFESTS) or (
        name.endswith(OBJECT_MANIFEST_SUFFIX) and not name.startswith(_HIDDEN)
    )


def _verify(store: Store, name: str, there: Collection[str]) -> Verdict:
    build = BUILD_MANIFESTS.get(name)
    verdict = partial(Verdict, store.url(object_name_of(name) or "" if build is None else ""), build=build)
    try:
        data = store.get(name)
    except DestinationError as error:
        return verdict(None, [shown(error)], unreachable=True)
    if data is None:
        return verdict(None, [f"there is no manifest at {store.url(name)}"])
    try:
        manifest = load_manifest(store, name, data)
    except DestinationError as error:
        return verdict(None, [shown(error)])
    try:
        if isinstance(manifest, BuildManifest):
            return verdict(manifest, build_problems(manifest, store))
        return verdict(manifest, find_problems(manifest, store, name, there))
    except DestinationError as error:
        return verdict(manifest, [shown(error)], unreachable=True)


_Placed: TypeAlias = tuple[float, float, str]


@dataclass(slots=True)
class Timeline:
    """The windows that were seen: a series for each project, request, format and compression.

    Exports of other formats or requests are no overlap. Each series is to be without gaps from its first window to its
    last, and so is the time between two series of one request, where the format was changed.
    """

    _windows: dict[str, dict[str, list[_Placed]]] = field(default_factory=dict)

    def add(self, manifest: Manifest, place: str) -> None:
        """Take note of an export's window.

        :raises InvalidArgumentError: it has none that can be read.
        """
        start, end = window_bounds(manifest) or (-inf, inf)
        form = f"{manifest.file_format} with compression {manifest.compression}"
        self._windows.setdefault(_asked(manifest), {}).setdefault(form, []).append((start, end, place))

    def seams(self) -> Iterator[Seam]:
        """Yield the gaps and overlaps, by project, request and format, and in the order of time."""
        for key, series in sorted(self._windows.items()):
            asked = shown(key, LONGEST_ASKED)
            for form, windows in sorted(series.items()):
                for kind, start, end, places in _seams(sorted(windows)):
                    yield _seam(kind, f"{asked}, {form}" if len(series) > 1 else asked, start, end, places)
            spans = [(min(windows)[0], max(end for _, end, _ in windows)) for windows in series.values()]
            for kind, start, end, places in _seams(sorted(chain.from_iterable(series.values()))):
                if kind == "gap" and not any(first < start and end < last for first, last in spans):
                    yield _seam(kind, asked, start, end, places)


def _seams(windows: list[_Placed]) -> Iterator[tuple[Literal["gap", "overlap"], float, float, tuple[str, str]]]:
    """Yield where windows that are in the order of time do not meet: from when to when, and between which exports."""
    _, reach, before = windows[0]
    for start, end, place in windows[1:]:
        if start > reach:
            yield "gap", reach, start, (before, place)
        elif start < reach:
            yield "overlap", start, min(end, reach), (before, place)
        if end > reach:
            reach, before = end, place


def _seam(kind: Literal["gap", "overlap"], asked: str, start: float, end: float, places: tuple[str, str]) -> Seam:
    before, place = places
    if kind == "gap":
        return Seam(kind, f"{asked}: no export of {_span(start, end)}, between {before} and {place}")
    return Seam(kind, f"{asked}: {_span(start, end)} is in {before} and in {place}")


def _asked(manifest: Manifest) -> str:
    """Return what the export asked for, its window aside, as a text that is the same for the same request."""
    asked = manifest.request.model_dump(exclude=_NOT_ASKED, exclude_defaults=True)
    words = [f"{name} {json.dumps(value)}" for name, value in sorted(asked.items()) if value]
    return ", ".join([f"project {manifest.project!r}", *words])


def _span(start: float, end: float) -> str:
    return f"[{_time(start)}, {_time(end)})"


def _time(micros: float) -> str:
    return _ENDLESS.get(micros) or format_time(from_micros(int(micros)))
