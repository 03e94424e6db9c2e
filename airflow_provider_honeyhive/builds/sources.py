"""Which exports a build reads, and which of their files."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_honeyhive.build_manifest import SourceFacts, SourceFile
from airflow_provider_honeyhive.display import LONGEST_VALUE, listed, shown
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, Argument, DestinationError, Fact, InvalidArgumentError
from airflow_provider_honeyhive.export.catalog import LOOKED_AT_ONCE, find_exports
from airflow_provider_honeyhive.export.claim import asked_alike, differing, same_project
from airflow_provider_honeyhive.manifest import Manifest, locate_manifest, window_bounds
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME
from airflow_provider_honeyhive.models.window import Window, format_time, from_micros, parse_bound, parse_time
from airflow_provider_honeyhive.storage.paths import as_path, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from airflow_provider_honeyhive.formats.datafile import CorrectionFile, PartFile
    from airflow_provider_honeyhive.storage.base import Store


@dataclass(frozen=True, slots=True)
class Source:
    """One export that a build reads.

    :param manifest: of the export, read from its place.
    :param manifest_sha256: of the manifest's bytes.
    :param files: data files with events of the export's own window that are read.
    :param corrections: data files with corrections that are read.
    """

    manifest: Manifest
    manifest_sha256: str
    files: Sequence[PartFile]
    corrections: Sequence[CorrectionFile] = ()

    @property
    def published(self) -> tuple[datetime, str]:
        """When it was published; of two at the same moment, the one whose manifest's path sorts last is the newer."""
        return parse_time(self.manifest.finished_at), self.manifest.manifest_url


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file of a build's exports.

    :param number: in the order of reading: oldest publication first, in the order of its manifest, corrections last.
    :param export_number: index of its export.
    :param set_number: counts the sets of files, of which a later one has the newer versions of events.
    :param is_correction: whether it holds events of earlier windows.
    :param counts_untimed: whether its events without a usable ``start_time`` are of the build's window.
    :param part: its facts.
    """

    number: int
    export_number: int
    set_number: int
    is_correction: bool
    counts_untimed: bool
    part: PartFile


@dataclass(frozen=True, slots=True)
class Sources:
    """The exports that a build reads.

    :param exports: the oldest publication first.
    :param window: that the build is about; None: all of time.
    :param cut: events from outside of the window do not count; False: all events of the files do.
    :param corrections_left_out: events in correction files that are not read: they are of earlier windows.
    """

    exports: tuple[Source, ...]
    window: Window | None
    cut: bool = False
    corrections_left_out: int = 0

    @property
    def project(self) -> str | None:
        """The project that was asked for."""
        return self.exports[-1].manifest.project

    @property
    def include_content(self) -> bool:
        """Whether the files hold what was said, not only what was measured."""
        return self.exports[-1].manifest.request.include_content

    @property
    def whole_sessions(self) -> bool:
        """Whether the exports are of whole sessions, whose events may lie outside of the window."""
        return self.exports[-1].manifest.request.sessions is not None

    def about(self) -> dict[str, str | None]:
        """Return what a build of them is about: project, start and end in ISO 8601, as its manifest has them."""
        window = self.window
        return {
            "project": self.project,
            "start_time": None if window is None else format_time(window.start),
            "end_time": None if window is None else format_time(window.end),
        }

    def facts(self) -> list[SourceFacts]:
        """Return what the manifest of a build says of them."""
        return [
            SourceFacts(
                manifest_path=source.manifest.manifest_url,
                manifest_sha256=source.manifest_sha256,
                event_count=source.manifest.event_count,
                finished_at=source.manifest.finished_at,
                files=[SourceFile(path=part.path, sha256=part.sha256) for part in (*source.files, *source.corrections)],
            )
            for source in self.exports
        ]

    def data_files(self) -> list[DataFile]:
        """Return the data files that are read, in the order of reading."""
        found: list[DataFile] = []
        for number, source in enumerate(self.exports):
            sets: tuple[Sequence[PartFile], ...] = (source.files, source.corrections)
            for is_correction, parts in enumerate(sets):
                untimed = not is_correction and (not self.cut or self._begins_with(source))
                found += [
                    DataFile(len(found) + at, number, 2 * number + is_correction, bool(is_correction), untimed, part)
                    for at, part in enumerate(parts)
                ]
        return found

    def set_windows(self) -> list[tuple[int, str, str]]:
        """Return the window of each export that has one: the number of its set of files, start and end in ISO 8601."""
        bounds = [(2 * number, window_bounds(source.manifest)) for number, source in enumerate(self.exports)]
        return [
            (number, format_time(from_micros(pair[0])), format_time(from_micros(pair[1])))
            for number, pair in bounds
            if pair is not None
        ]

    def _begins_with(self, source: Source) -> bool:
        """Return whether an export begins in the window: of windows that lie side by side, this is true for one."""
        bounds = window_bounds(source.manifest)
        return self.window is None or bounds is None or self.window.start_us <= bounds[0] < self.window.end_us


def parquet_name(number: int) -> str:
    """Return the name in the folder of the Parquet file of a data file."""
    return f"{number:08d}.parquet"


def export_sources(export: Any) -> Sources:
    """Return the export of a task, or several that one task was mapped to.

    A build of it is about the events of its window. Its corrections are events of earlier windows, so they are not
    read: :func:`folder_sources` applies them.

    :param export: the result of the export operator; the path, URL or path-like of an export's folder, its one object,
        or its manifest; a :class:`~airflow_provider_honeyhive.manifest.Manifest`; or a list of such.
    :raises InvalidArgumentError: there is no export in it; or several are not of one project and request.
    :raises DestinationError: a manifest cannot be read, or is not there.
    """
    given = list(export) if _is_list(export) else [export]
    found = {source.manifest.manifest_url: source for source in map(_source_of, given)}
    if not found:
        raise InvalidArgumentError("export", export, "there is no export in it: give at least one")
    sources = sorted(found.values(), key=_published)
    _check_alike(sources, "export")
    return Sources(
        tuple(sources),
        _span_of(sources),
        corrections_left_out=sum(part.event_count for source in sources for part in source.manifest.corrections),
    )


def _is_list(export: Any) -> bool:
    # What mapped tasks give is a lazy sequence of Airflow's own kind.
    return not isinstance(export, str | bytes | Mapping | Manifest) and hasattr(export, "__iter__")


def _source_of(export: Any) -> Source:
    if isinstance(export, Manifest):
        source = read_source(*export.place)
        if source.manifest != export:
            raise DestinationError(
                "the export was replaced since its manifest was read: read it again", export.manifest_url
            )
        return source
    path = _path_in(export) if isinstance(export, Mapping) else export
    if not path or not (isinstance(path, str) or hasattr(path, "parent")):
        raise InvalidArgumentError("export", export, "allowed: the result of an export task, or the path of an export")
    folder, name = locate_manifest(path)
    return read_source(open_store(folder), name)


def _path_in(result: Mapping[str, Any]) -> Any:
    path = result.get("manifest_path") or result.get("output_path")
    if not isinstance(path, str):
        text = "it names no manifest_path: give the result of a task that exports to output_path"
        raise InvalidArgumentError("export", sorted(map(str, result)), text)
    return path


def read_source(store: Store, name: str) -> Source:
    """Read an export's manifest.

    :param store: the folder of the export.
    :param name: of the manifest in it.
    :raises DestinationError: there is none, or it cannot be read.
    """
    data = store.get(name)
    if data is None:
        raise DestinationError(f"there is no export: no manifest at {store.url(name)}")
    manifest = Manifest.at(store, name, data).placed(store, name)
    return Source(manifest, sha256(data).hexdigest(), tuple(manifest.files))


def _published(source: Source) -> tuple[datetime, str]:
    return source.published


def _check_alike(sources: Sequence[Source], argument: str) -> None:
    """Check that exports are of one project and ask for the same of each event.

    :param argument: that names them.
    :raises InvalidArgumentError: they do not.
    """
    first, *others = [source.manifest for source in sources]
    for other in others:
        names = [*([] if same_project(first, other) else ["project"]), *differing(first.request, other.request)]
        if names:
            raise InvalidArgumentError(
                argument,
                NOT_SHOWN,
                f"give exports of one project and one request; these differ in {', '.join(names)}",
                *(Fact(f"{one.url()}: {_asked(one, names)}") for one in (first, other)),
            )


def _asked(manifest: Manifest, names: Iterable[str]) -> str:
    asked = {**manifest.request.model_dump(), "project": manifest.project}
    return ", ".join(f"{name} {shown(repr(asked[name]), LONGEST_VALUE)}" for name in names)


def _span_of(sources: Iterable[Source]) -> Window | None:
    """Return the window from the first start to the last end; None where one has no bounds."""
    bounds = [window_bounds(source.manifest) for source in sources]
    known = [pair for pair in bounds if pair is not None]
    if len(known) < len(bounds):
        return None
    return Window(from_micros(min(start for start, _ in known)), from_micros(max(end for _, end in known)))


class _Found(NamedTuple):
    """An export below a folder.

    :param folder: of the export, relative to the one that was looked in.
    :param start: of its window, in microseconds since 1970.
    :param end: of its window.
    :param corrects: whether it has corrections.
    """

    folder: str
    start: int
    end: int
    corrects: bool

    def overlaps(self, window: Window) -> bool:
        """Return whether its window and another one have time in common."""
        return self.start < window.end_us and self.end > window.start_us


def folder_sources(folder: Any, start: Any = None, end: Any = None, *, last: int | None = None) -> Sources:
    """Return the exports below a folder that hold the events of a window, and the corrections of all exports there.

    Exports are found in folders at any depth, but neither behind symbolic links, nor in folders whose names begin with
    ``_`` or a dot, nor in one object.

    :param folder: path, URL or path-like.
    :param start: of the window, inclusive, in any form that users write times in; not together with ``last``.
    :param end: of the window, exclusive; with ``last``: no export that ends later counts.
    :param last: of how many exports, those whose windows end latest, to take the window; a positive number.
    :raises InvalidArgumentError: neither a window nor ``last`` was given, or both; or the exports of the window are
        not of one project and request.
    :raises DestinationError: no export holds a part of the window; or the folder or a manifest cannot be read.
    """
    store = open_store(as_path(folder))
    _check_asked(start, end, last)
    window = None if last is not None else Window.parse(start, end)
    until = None if end is None else parse_bound(end, "end_time")
    found = [
        _Found(one.folder, one.start, one.end, bool(one.manifest.corrections))
        for one in find_exports(store, lambda manifest: window is None or _concerns(manifest, window))
    ]
    if window is None:
        window = _window_of_last(found, last or 0, until, store.url())
    _check_covered([one for one in found if one.overlaps(window)], window, store.url())
    # Each manifest once: another export may just take its place.
    with ThreadPoolExecutor(LOOKED_AT_ONCE, "honeyhive-look") as pool:
        concerned = [one for one in found if one.corrects or one.overlaps(window)]
        sources = list(pool.map(lambda one: read_source(store.below(one.folder), MANIFEST_NAME), concerned))
    chosen = [source for one, source in zip(concerned, sources, strict=True) if one.overlaps(window)]
    _check_alike(chosen, "exports_folder")
    first = chosen[0].manifest
    return _with_corrections(
        chosen,
        [
            source
            for source in sources
            if same_project(first, source.manifest) and asked_alike(first.request, source.manifest.request)
        ],
        window,
    )


def _check_asked(start: Any, end: Any, last: int | None) -> None:
    if last is None and (start is None or end is None):
        missing = "start_time" if start is None else "end_time"
        raise InvalidArgumentError(
            missing,
            None,
            "give ",
            Argument("start_time"),
            " and ",
            Argument("end_time"),
            ", or ",
            Argument("last_exports"),
        )
    if last is not None and start is not None:
        raise InvalidArgumentError("start_time", start, "leave it out, or ", Argument("last_exports"))
    if last is not None and (not isinstance(last, int) or isinstance(last, bool) or last < 1):
        raise InvalidArgumentError("last_exports", last, "allowed: a positive number of exports, or None")


def _concerns(manifest: Manifest, window: Window) -> bool:
    bounds = window_bounds(manifest)
    inside = bounds is not None and bounds[0] < window.end_us and bounds[1] > window.start_us
    return inside or bool(manifest.corrections)


def _window_of_last(found: Iterable[_Found], last: int, until: datetime | None, where: str) -> Window:
    ended = [one for one in found if until is None or from_micros(one.end) <= until]
    if not ended:
        before = "" if until is None else f" whose window ends by {format_time(until)}"
        raise DestinationError(f"there is no export{before} below the folder: export a window first", f"In {where}")
    newest = sorted(ended, key=lambda one: (one.end, one.start, one.folder))[-last:]
    return Window(from_micros(min(one.start for one in newest)), from_micros(newest[-1].end))


def _check_covered(inside: Iterable[_Found], window: Window, where: str) -> None:
    gaps: list[str] = []
    reach = window.start_us
    for start, end in [*sorted((one.start, one.end) for one in inside), (window.end_us, window.end_us)]:
        if start > reach:
            gaps.append(str(Window(from_micros(reach), from_micros(start))))
        reach = max(reach, end)
    if gaps:
        raise DestinationError(
            "a part of the window has no export: export it first, or take another window",
            f"No export holds {listed(gaps, ', ')}. Asked for is {window}",
            f"Looked below {where}; exports in one object do not count",
        )


def _with_corrections(chosen: Sequence[Source], alike: Sequence[Source], window: Window) -> Sources:
    """Return what to read: the chosen exports, and of all those alike the corrections that may matter."""
    # A correction that is older than every row of the window changes none, unless it is such a row itself.
    in_window = [one for one in alike if any(_may_lie_in(window, part) for part in one.manifest.corrections)]
    since = min(one.published for one in (*chosen, *in_window))
    whole_sessions = chosen[0].manifest.request.sessions is not None
    places = {one.manifest.manifest_url for one in chosen}
    sources = []
    for one in sorted(alike, key=_published):
        corrections = tuple(one.manifest.corrections) if whole_sessions or one.published >= since else ()
        if one.manifest.manifest_url in places:
            sources.append(replace(one, corrections=corrections))
        elif corrections:
            sources.append(replace(one, files=(), corrections=corrections))
    bounds = [window_bounds(one.manifest) for one in chosen]
    is_cut = any(one.corrections for one in sources) or not all(
        pair is not None and window.start_us <= pair[0] and pair[1] <= window.end_us for pair in bounds
    )
    return Sources(tuple(sources), window, cut=is_cut and not whole_sessions)


def _may_lie_in(window: Window, part: PartFile) -> bool:
    first, last = part.min_start_time, part.max_start_time
    return (
        first is not None and last is not None and parse_time(first) < window.end and parse_time(last) >= window.start
    )
