"""The manifest of a build: which exports it is made of, and which files it has.

A build is what is made of exports: tables, a dataset, a report. Like an export, it counts once its manifest is there.
"""

from __future__ import annotations

from hashlib import sha256
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.display import listed
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.manifest import MOST_FILES_LISTED, Manifest, PlacedManifest, layout_at
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.layout import BUILD_MANIFESTS, BuildLayout, Layout
from airflow_provider_honeyhive.models.stored import Count, FileName, Items, Plain, Sha256, StoredModel, TimeText
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.storage.base import files_in
from airflow_provider_honeyhive.storage.paths import as_path, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from airflow_provider_honeyhive.storage.base import Store


class SourceFile(StoredModel):
    """A data file that a build has read.

    :param path: relative to the manifest of its export.
    :param sha256: as that manifest says.
    """

    path: FileName
    sha256: Sha256


class SourceFacts(StoredModel):
    """An export that a build is made of.

    :param manifest_path: path or URL of the export's manifest.
    :param manifest_sha256: of the manifest's bytes.
    :param event_count: its events, without its corrections.
    :param finished_at: when it was published.
    :param files: what was read of it.
    """

    manifest_path: str
    manifest_sha256: Sha256
    event_count: Count
    finished_at: TimeText
    files: Items[SourceFile] = []


class BuiltFile(StoredModel):
    """One file of a build.

    :param path: relative to the manifest.
    :param name: what it is a file of: a table, or a split of a dataset.
    :param row_count: rows in it.
    :param size_bytes: bytes on disk.
    :param sha256: of the bytes on disk.
    """

    path: FileName
    name: str
    row_count: Count
    size_bytes: Count
    sha256: Sha256


class BuildManifest(PlacedManifest):
    """All about a published build.

    :param kind: what was built: ``tables``, ``dataset`` or ``report``.
    :param project: whose events it is made of, None where exports of several were asked for, or none was named.
    :param start_time: start of the window that it is about, inclusive, ISO 8601 in UTC; None: all of time.
    :param end_time: end of that window, exclusive.
    :param sources: the exports that it is made of.
    :param settings: what was asked for, and the version of the SQL that has made it.
    :param counts: numbers of what is in it, by what they count.
    :param engine: what has made it, such as ``duckdb 2.0.0``.
    """

    KIND: ClassVar[str] = "manifest of a build"
    VERSION_KEY: ClassVar[str] = "schema_version"
    MARKS: ClassVar[frozenset[str]] = frozenset({"provider_version", "kind"})

    schema_version: Count = 1
    provider_version: str = __version__
    kind: Literal["tables", "dataset", "report"]
    project: str | None
    start_time: TimeText | None
    end_time: TimeText | None
    sources: Items[SourceFacts]
    settings: dict[str, Plain | list[Plain]] = {}
    counts: dict[str, Count] = {}
    engine: str
    started_at: TimeText
    finished_at: TimeText
    airflow: AirflowFacts | None = None
    files: Items[BuiltFile]

    @property
    def window(self) -> Window | None:
        """The window that it is about; None: all of time."""
        if self.start_time is None or self.end_time is None:
            return None
        return Window.parse(self.start_time, self.end_time)

    @property
    def size_bytes(self) -> int:
        """Bytes of all ``files`` on disk."""
        return sum(file.size_bytes for file in self.files)

    @property
    def event_count(self) -> int:
        """Events of all exports that it is made of, without their corrections."""
        return sum(source.event_count for source in self.sources)

    @property
    def folders(self) -> set[str]:
        """Names of the folders that ``files`` are in, but for the one of the manifest."""
        return {path.rpartition("/")[0] for path in self.sizes} - {""}

    @property
    def sizes(self) -> dict[str, int]:
        """Names of everything that was published beside the manifest, and their bytes."""
        return {file.path: file.size_bytes for file in self.files}

    @classmethod
    def at(cls, store: Store, name: str, data: bytes) -> Self:
        """Read a manifest's bytes in its place: it may name only files that a build to this place gives.

        :param store: a folder above it.
        :param name: of the manifest, relative to that.
        :param data: its bytes.
        :raises DestinationError: they are no manifest of a build, or that of a newer version, or it names other files.
        """
        manifest = cls.load(data, store.url(name))
        layout = BuildLayout(manifest.kind)
        if layout.manifest_name != name.rpartition("/")[2]:
            raise cls._unfit(store.url(name), f"it says that it is of kind {manifest.kind!r}")
        if len(manifest.sizes) < len(manifest.files) or not all(map(layout.owns, manifest.sizes)):
            raise cls._unfit(store.url(name), "it names a file twice, or one that no build to this place has")
        return manifest

    @classmethod
    def read(cls, path: Any) -> Self:
        """Read the manifest at ``path``: the manifest itself, or its folder.

        :param path: anything path-like.
        :raises DestinationError: there is none, or there are several.
        """
        path = as_path(path)
        if path.name in BUILD_MANIFESTS:
            store, names = open_store(path.parent), [path.name]
        else:
            store = open_store(path)
            names = sorted(BUILD_MANIFESTS.keys() & store.files().keys())
        if len(names) > 1:
            raise DestinationError(f"give one of the manifests in {store.url()}: {', '.join(names)}")
        data = store.get(names[0]) if names else None
        if data is None:
            raise DestinationError(f"there is no manifest of a build at {store.url(*names)}")
        return cls.at(store, names[0], data).placed(store, names[0])

    def url(self, name: str = "") -> str:
        """Return where a file of the build is; without a name its folder.

        :raises DestinationError: the manifest was neither read from its place nor published.
        """
        return self.place[0].url(name)

    def file_urls(self, name: str | None = None) -> list[str]:
        """Return where the files of a table or a split are, in their order.

        :param name: of the table or split; None: all files.
        :raises DestinationError: the manifest was neither read from its place nor published.
        """
        return [self.url(file.path) for file in self.files if name in (None, file.name)]

    def verify(self) -> None:
        """Read all files again and compare them with this manifest: sizes and hashes.

        Only for a manifest that was read with :meth:`read`, or has just been published.

        :raises DestinationError: names what is missing, differs, or is there too many.
        """
        problems = build_problems(self, self.place[0])
        if problems:
            raise DestinationError(f"{self.manifest_url} does not hold: " + listed(problems))

    def summary(self) -> dict[str, Any]:
        """Return what was published, and where, as plain data.

        ``files`` has the URLs of the files by table or split. With more than 1,000 files it is missing: whoever needs
        it fails, instead of reading a part for the whole. :meth:`file_urls` always has all.

        :raises DestinationError: the manifest was neither read from its place nor published.
        """
        summary: dict[str, Any] = {
            "output_path": self.url(),
            "manifest_path": self.manifest_url,
            "kind": self.kind,
            "project": self.project,
            "start_time": self.start_time,
            "end_time": self.end_time,
            "event_count": self.event_count,
            "counts": dict(self.counts),
            "size_bytes": self.size_bytes,
            "file_count": len(self.files),
        }
        if len(self.files) <= MOST_FILES_LISTED:
            names = dict.fromkeys(file.name for file in self.files)
            summary["files"] = {name: self.file_urls(name) for name in names}
        return summary


def build_problems(manifest: BuildManifest, store: Store) -> list[str]:
    """Return what differs from the manifest, each with the name of the file; nothing where all is well.

    :param manifest: what should be there.
    :param store: the folder it is in.
    :raises DestinationError: a file cannot be read.
    """
    layout = BuildLayout(manifest.kind)
    there = files_in(store, manifest.folders | {""})
    problems: list[str] = []
    for file in manifest.files:
        look = _differences(file, store.chunks(file.path)) if file.path in there else ["missing"]
        problems += [f"{file.path}: {problem}" for problem in look]
    extra = sorted(name for name in there - manifest.sizes.keys() if layout.owns(name))
    return problems + [f"{name}: not in the manifest" for name in extra]


def _differences(file: BuiltFile, chunks: Iterable[bytes]) -> Iterator[str]:
    digest, size = sha256(), 0
    for chunk in chunks:
        digest.update(chunk)
        size += len(chunk)
    for what, found, wanted in (("size", size, file.size_bytes), ("SHA-256", digest.hexdigest(), file.sha256)):
        if found != wanted:
            yield f"{what} is {found}, the manifest says {wanted}"


#: What says which files of a folder count.
AnyManifest: TypeAlias = Manifest | BuildManifest


def layout_of(manifest_name: str) -> Layout | BuildLayout:
    """Return the layout of the export or the build that a manifest of this name is of."""
    kind = BUILD_MANIFESTS.get(manifest_name)
    return layout_at(manifest_name) if kind is None else BuildLayout(kind)


def load_manifest(store: Store, name: str, data: bytes) -> AnyManifest:
    """Read the bytes of what has the name of a manifest, in its place.

    :param store: the folder that it is in.
    :param name: of the manifest.
    :param data: its bytes.
    :raises DestinationError: they are no manifest of that kind, or it names files that are not its own.
    """
    kind: type[AnyManifest] = BuildManifest if name in BUILD_MANIFESTS else Manifest
    return kind.at(store, name, data)
