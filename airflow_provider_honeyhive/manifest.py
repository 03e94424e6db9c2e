"""The manifest: the proof and the commit point of an export. Written last, in one request; read back to verify.

Its facts come from :mod:`.exporter` and :mod:`.combine`; what ``verify`` checks of a file is in :mod:`.datafile`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar, Self

from pydantic import PrivateAttr

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.display import listed
from airflow_provider_honeyhive.exceptions import DestinationError, InvalidArgumentError
from airflow_provider_honeyhive.formats.content_index import IndexFile, index_problems
from airflow_provider_honeyhive.formats.datafile import CorrectionFile, PartFile, problems_of
from airflow_provider_honeyhive.models.export_facts import (
    AirflowFacts,
    LookbackFacts,
    ReplacedFacts,
    RequestFacts,
    StoredProjectName,
)
from airflow_provider_honeyhive.models.layout import (
    BUILD_MANIFESTS,
    DEFAULT_FORMAT,
    FORMATS,
    MANIFEST_NAME,
    OBJECT_MANIFEST_SUFFIX,
    Layout,
    choose_layout,
)
from airflow_provider_honeyhive.models.stored import Count, Items, StoredFile, TimeText
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.storage.base import Store, files_in
from airflow_provider_honeyhive.storage.paths import as_path, open_store

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator


#: The newest version; and the one that a manifest has where earlier releases read it rightly, too: of a file of pieces
#: they would say that it is damaged.
SCHEMA_VERSION, PLAIN_SCHEMA_VERSION = 2, 1


#: Most files whose URLs are listed in a task's result, which goes through Airflow's database: about as many as Airflow
#: maps a task over, unless it is configured otherwise.
MOST_FILES_LISTED = 1_000


class PlacedManifest(StoredFile):
    """What manifests of all kinds have in common: they know where they are once they were read or published."""

    _place: tuple[Store, str] | None = PrivateAttr(default=None)

    def to_json(self) -> bytes:
        """Return the manifest as it stands on disk."""
        return json.dumps(self.model_dump(), indent=2).encode() + b"\n"

    def placed(self, store: Store, name: str) -> Self:
        """Return this manifest, which knows from now on where it is.

        :param store: the folder of what it is about.
        :param name: of the manifest in it.
        """
        self._place = (store, name)
        return self

    @property
    def manifest_url(self) -> str:
        """Where the manifest is.

        :raises DestinationError: it was neither read from its place nor published.
        """
        store, name = self.place
        return store.url(name)

    @property
    def place(self) -> tuple[Store, str]:
        """The folder of what it is about, and the name of the manifest in it.

        :raises DestinationError: the manifest was neither read from its place nor published.
        """
        if self._place is None:
            raise DestinationError(f"this manifest has no place: read it with {type(self).__name__}.read(path)")
        return self._place


class Manifest(PlacedManifest):
    """All about a published export.

    :param start_time: start of the window, inclusive, ISO 8601 in UTC.
    :param end_time: end of the window, exclusive.
    :param event_count: events in all of ``files``.
    :param session_count: sessions in all files, where whole ones were asked for; their events may lie outside of the
        window.
    :param reported_total: what the server reported for the window, None where it reported no total. It
        may count events that lie on the window's end, and those deleted while reading.
    :param total_trusted: whether the events were compared with what the server reported, where it did.
    :param duplicates_dropped: events that came more than once and were dropped, seams included.
    :param repeated_ids: events in the files whose id one before them has: the server holds several of that id. Of
        what the last try has read; combined exports add up what each part has found within itself.
    :param events_without_time: events that have no usable ``start_time``, in the files nevertheless.
    :param misfits: values that did not fit their columns, and are in ``extra`` instead, by column.
    :param columns: of the files, in their order; none where the format has no columns.
    :param unmatched_fields: paths of ``exclude_fields`` and ``redact``, in the order asked, that led to nothing in any
        event; none where there are no events.
    :param partition_by: what the files are sorted by into folders.
    :param project_names: what the events say of their project: each ``project`` with its ``project_id``.
    :param slice_count: parts of the window that were read side by side.
    :param page_count: answers read.
    :param bytes_read: bytes of these answers, decompressed.
    :param retries: requests that were sent again. Like the other numbers of reading, of the last try
        alone, where that went on from what an earlier one had staged.
    :param lookback: what was read again, None where nothing was to be.
    :param corrections: data files with late and changed events of earlier windows.
    :param replaced: the export whose place this one took, None where there was none.
    :param index: of all events that were written; None where nothing was to be read again, or nothing was written.
    """

    KIND: ClassVar[str] = "manifest"
    VERSION: ClassVar[int] = SCHEMA_VERSION
    VERSION_KEY: ClassVar[str] = "schema_version"
    MARKS: ClassVar[frozenset[str]] = frozenset({"provider_version"})

    schema_version: Count = PLAIN_SCHEMA_VERSION
    provider_version: str = __version__
    project: str | None
    start_time: TimeText | None
    end_time: TimeText | None
    event_count: Count
    session_count: Count | None = None
    reported_total: Count | None = None
    total_trusted: bool = True
    duplicates_dropped: Count = 0
    repeated_ids: Count = 0
    events_without_time: Count = 0
    misfits: dict[str, Count] = {}
    columns: Items[str] = []
    unmatched_fields: Items[str] = []
    partition_by: Items[str] = []
    project_names: Items[StoredProjectName] = []
    slice_count: Count = 0
    page_count: Count = 0
    bytes_read: Count = 0
    retries: Count = 0
    started_at: TimeText
    finished_at: TimeText
    file_format: str
    compression: str
    request: RequestFacts
    airflow: AirflowFacts | None = None
    files: Items[PartFile]
    lookback: LookbackFacts | None = None
    corrections: Items[CorrectionFile] = []
    index: IndexFile | None = None
    replaced: ReplacedFacts | None = None

    @property
    def size_bytes(self) -> int:
        """Bytes of all ``files`` on disk."""
        return sum(part.size_bytes for part in self.files)

    @property
    def sizes(self) -> dict[str, int]:
        """Names of everything that was published beside the manifest, and their bytes."""
        sizes = {part.path: part.size_bytes for part in (*self.files, *self.corrections)}
        return sizes if self.index is None else sizes | {self.index.path: self.index.size_bytes}

    @classmethod
    def from_json(cls, data: bytes, where: str) -> Manifest:
        """Read a manifest's bytes, wherever they are from.

        :param where: the manifest, for messages.
        :raises DestinationError: they are no manifest, or that of a newer version.
        """
        return cls.load(data, where)

    @classmethod
    def at(cls, store: Store, name: str, data: bytes) -> Manifest:
        """Read a manifest's bytes in its place: it may name only files that an export to this place gives.

        :param store: a folder above it.
        :param name: of the manifest, relative to that.
        :param data: its bytes.
        :raises DestinationError: they are no manifest, or that of a newer version, or it names other files.
        """
        manifest = cls.load(data, store.url(name))
        if manifest.compression not in FORMATS.get(manifest.file_format, ()):
            text = f"format {manifest.file_format!r} with compression {manifest.compression!r} is unknown"
            raise cls._unfit(store.url(name), text)
        layout = layout_at(name.rpartition("/")[2])
        names = [part.path for part in (*manifest.files, *manifest.corrections, manifest.index) if part is not None]
        if len(set(names)) < len(names) or not all(map(layout.owns, names)):
            raise cls._unfit(store.url(name), "it names a file twice, or one that no export to this place has")
        return manifest

    @classmethod
    def read(cls, path: Any) -> Manifest:
        """Read the manifest at ``path``: the manifest itself, its folder, or the one object beside it.

        :param path: anything path-like.
        :raises DestinationError: there is none.
        """
        folder, name = locate_manifest(path)
        store = open_store(folder)
        data = store.get(name)
        if data is None:
            raise DestinationError(f"there is no manifest at {store.url(name)}")
        return cls.at(store, name, data).placed(store, name)

    def url(self, name: str = "") -> str:
        """Return where a file of the export is; without a name the export itself: its folder, or its one object.

        :raises DestinationError: the manifest was neither read from its place nor published.
        """
        store, manifest_name = self.place
        return store.url(name or object_name_of(manifest_name) or "")

    @property
    def file_urls(self) -> list[str]:
        """Where all of ``files`` are, in their order.

        :raises DestinationError: the manifest was neither read from its place nor published.
        """
        return [self.url(part.path) for part in self.files]

    @property
    def correction_urls(self) -> list[str]:
        """Where all of ``corrections`` are, in their order.

        :raises DestinationError: the manifest was neither read from its place nor published.
        """
        return [self.url(part.path) for part in self.corrections]

    def verify(self) -> None:
        """Read all parts again and compare them with this manifest: hashes, sizes, counts and times.

        Only for a manifest that was read with :meth:`read`, or has just been published.

        :raises DestinationError: names what is missing, differs, or is there too many, and in what. After 20 problems
            it counts the rest; the command ``verify`` prints all.
        """
        store, name = self.place
        problems = find_problems(self, store, name)
        if problems:
            raise DestinationError(f"{store.url(name)} does not hold: " + listed(problems))


def object_name_of(manifest_name: str) -> str | None:
    """Return the one object that a manifest stands beside, None where it stands in the folder of its export."""
    return None if manifest_name == MANIFEST_NAME else manifest_name.removesuffix(OBJECT_MANIFEST_SUFFIX)


def layout_at(manifest_name: str) -> Layout:
    """Return the layout of the export that a manifest is of: its names are right, whatever its format."""
    return Layout(DEFAULT_FORMAT, "none", object_name_of(manifest_name))


def locate_manifest(path: Any) -> tuple[Any, str]:
    """Return the folder and the name of the manifest that is meant.

    :param path: of the manifest itself, its folder, or the one object beside it.
    """
    path = as_path(path)
    if path.name in (MANIFEST_NAME, *BUILD_MANIFESTS) or path.name.endswith(OBJECT_MANIFEST_SUFFIX):
        return path.parent, path.name
    try:
        folder, layout = choose_layout(path)
    except InvalidArgumentError:
        return path, MANIFEST_NAME
    return folder, layout.manifest_name


def find_problems(
    manifest: Manifest, store: Store, manifest_name: str, there: Collection[str] | None = None
) -> list[str]:
    """Return what differs from the manifest, each with the name of the file; nothing where all is well.

    :param manifest: what should be there.
    :param store: the folder it is in.
    :param manifest_name: the manifest in it.
    :param there: names of the files in the folder; default: what the store lists.
    :raises DestinationError: a file cannot be read.
    """
    there = store.files() if there is None else there
    try:
        # The events of whole sessions lie where they lie; their roots are in the window.
        inside = not manifest.request.sessions
        bounds, back = (_bounds(manifest), _bounds(manifest.lookback)) if inside else (None, None)
    except ValueError as error:
        return [f"its window cannot be read: {error}"]
    layout = layout_at(manifest_name)
    there = {*there, *files_in(store, {path.rpartition("/")[0] for path in manifest.sizes} - {""})}
    problems: list[str] = []
    looks: dict[str, Iterator[str]] = {
        part.path: problems_of(part, manifest.file_format, manifest.compression, store.chunks(part.path), within)
        for parts, within in ((manifest.files, bounds), (manifest.corrections, back))
        for part in parts
    }
    if manifest.index is not None:
        looks[manifest.index.path] = index_problems(manifest.index, store.chunks(manifest.index.path))
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


def window_bounds(manifest: Manifest) -> tuple[int, int] | None:
    """Return start and end of the manifest's window in microseconds since 1970, None for all of time.

    :raises InvalidArgumentError: it is no window.
    """
    return _bounds(manifest)


def _bounds(facts: Manifest | LookbackFacts | None) -> tuple[int, int] | None:
    if facts is None or facts.start_time is None or facts.end_time is None:
        return None
    window = Window.parse(facts.start_time, facts.end_time)
    return window.start_us, window.end_us
