"""Which exports a build reads, and which of their files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import DestinationError, InvalidArgumentError
from airflow_provider_honeyhive.export.claim import differing, same_project
from airflow_provider_honeyhive.manifest import Manifest, locate_manifest, window_bounds
from airflow_provider_honeyhive.models.window import Window, format_time, from_micros, parse_time
from airflow_provider_honeyhive.storage.paths import open_store

if TYPE_CHECKING:
    from collections.abc import Sequence

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


@dataclass(frozen=True, slots=True)
class DataFile:
    """A data file of a build's exports.

    :param number: in the order of reading: oldest publication first, in the order of its manifest, corrections last.
    :param export_number: index of its export.
    :param set_number: counts the sets of files, of which a later one has the newer versions of events.
    :param is_correction: whether it holds events of earlier windows.
    :param part: its facts.
    """

    number: int
    export_number: int
    set_number: int
    is_correction: bool
    part: PartFile


@dataclass(frozen=True, slots=True)
class Sources:
    """The exports that a build reads.

    :param exports: the oldest publication first.
    :param window: that the build is about; None: all of time.
    :param cut: events from outside of the window do not count.
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

    def data_files(self) -> list[DataFile]:
        """Return the data files that are read, in the order of reading."""
        found: list[DataFile] = []
        for number, source in enumerate(self.exports):
            sets: tuple[Sequence[PartFile], ...] = (source.files, source.corrections)
            for is_correction, parts in enumerate(sets):
                found += [
                    DataFile(len(found) + at, number, 2 * number + is_correction, bool(is_correction), part)
                    for at, part in enumerate(parts)
                ]
        return found


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
    check_alike([source.manifest for source in sources], "export")
    return Sources(
        tuple(sources),
        _hull([source.manifest for source in sources]),
        corrections_left_out=sum(part.event_count for source in sources for part in source.manifest.corrections),
    )


def _is_list(export: Any) -> bool:
    # What mapped tasks give is a lazy sequence of Airflow's own kind.
    return not isinstance(export, str | Mapping | Manifest) and hasattr(export, "__iter__")


def _source_of(export: Any) -> Source:
    if isinstance(export, Manifest):
        source = read_source(*export.place)
        if source.manifest != export:
            raise DestinationError(f"{export.manifest_url} has been replaced since it was read: read it again")
        return source
    path = _path_in(export) if isinstance(export, Mapping) else export
    if not path or isinstance(path, bytes | int | float):
        raise InvalidArgumentError("export", export, "allowed: the result of an export task, or the path of an export")
    folder, name = locate_manifest(path)
    return read_source(open_store(folder), name)


def _path_in(result: Mapping[str, Any]) -> Any:
    path = result.get("manifest_path") or result.get("output_path")
    if not isinstance(path, str):
        raise InvalidArgumentError(
            "export", sorted(map(str, result)), "it names no manifest_path: give the result of an export to files"
        )
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


def _published(source: Source) -> tuple[Any, str]:
    return parse_time(source.manifest.finished_at), source.manifest.manifest_url


def check_alike(manifests: Sequence[Manifest], argument: str) -> None:
    """Check that exports are of one project and ask for the same of each event.

    :param argument: that names them.
    :raises InvalidArgumentError: they do not.
    """
    first, *others = manifests
    for other in others:
        names = differing(first.request, other.request)
        pairs = [(name, getattr(first.request, name), getattr(other.request, name)) for name in names]
        if not same_project(first, other):
            pairs.insert(0, ("project", first.project, other.project))
        if pairs:
            raise InvalidArgumentError(
                argument,
                [first.url(), other.url()],
                f"give exports of one project and one request: they differ in {', '.join(name for name, *_ in pairs)}",
            )


def _hull(manifests: Sequence[Manifest]) -> Window | None:
    """Return the window from the first start to the last end; None where one has no bounds."""
    bounds = [window_bounds(manifest) for manifest in manifests]
    known = [pair for pair in bounds if pair is not None]
    if len(known) < len(bounds):
        return None
    start, end = min(start for start, _ in known), max(end for _, end in known)
    return Window.parse(format_time(from_micros(start)), format_time(from_micros(end)))
