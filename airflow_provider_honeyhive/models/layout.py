"""Names on disk: what ``output_path`` means, what its suffix says, how parts and manifests are called."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from airflow_provider_honeyhive.exceptions import Argument, InvalidArgumentError

_TEXT = {"none": "", "gzip": ".gz", "zstd": ".zst"}

_PARQUET = ("zstd", "snappy", "gzip", "lz4", "brotli", "none")

#: File format -> compression -> suffix. The first compression is the default.
FORMATS: dict[str, dict[str, str]] = {
    **{
        name: {compression: f".{name}{_TEXT[compression]}" for compression in ("gzip", "zstd", "none")}
        for name in ("jsonl", "csv", "json")
    },
    # Parquet compresses inside of the file.
    "parquet": dict.fromkeys(_PARQUET, ".parquet"),
}

#: Suffix -> (file format, compression); of several compressions, the default.
SUFFIXES: dict[str, tuple[str, str]] = {
    suffix: (name, compression)
    for name, suffixes in FORMATS.items()
    for compression, suffix in reversed(suffixes.items())
}

FILE_FORMATS = tuple(FORMATS)

COMPRESSIONS = tuple(dict.fromkeys(compression for suffixes in FORMATS.values() for compression in suffixes))

DEFAULT_FORMAT = "jsonl"

#: What events can be partitioned by, into folders such as ``event_date=2026-11-22``.
PARTITION_KEYS = ("event_date", "event_type")

MANIFEST_NAME = "_manifest.json"

#: Folder of what came late or has changed since earlier runs exported it, and the key of the folders in there.
CORRECTIONS_FOLDER = "_corrections"

REASON_KEY = "reason"

#: What folders of data files are called, or their names begin with.
FOLDER_KEYS = (*PARTITION_KEYS, CORRECTIONS_FOLDER, REASON_KEY)

#: Stands for a partition where what is staged is no event but the index of events.
INDEX_PARTITION = "_index"

STAGING_PREFIX = "_staging-"

#: Begins the name of the folder of an export's shards.
SHARDS_PREFIX = "_shards-"

#: Stands in the name of a staging folder for the manifest that was claimed where there was none.
NO_MANIFEST = "0" * 8

OBJECT_MANIFEST_SUFFIX = ".manifest.json"

#: What is built from exports -> its one file that has the same name each time, None where there is none.
BUILDS: dict[str, str | None] = {"tables": None, "dataset": "README.md", "report": "report.html"}

#: Name of a build's manifest -> what is built.
BUILD_MANIFESTS = {f"_{kind}.json": kind for kind in BUILDS}

#: Folders are those of partitions, alone or in the folder of corrections.
_FOLDERS = rf"(?:{CORRECTIONS_FOLDER}/{REASON_KEY}=[a-z]+/)?(?:(?:{'|'.join(PARTITION_KEYS)})=[^/]+/)*"

_PART_NAME = re.compile(
    rf"{_FOLDERS}part-[0-9]{{5,}}-[0-9a-f]{{12}}(?:{'|'.join(map(re.escape, SUFFIXES))})"
    rf"|{INDEX_PARTITION}-[0-9a-f]{{12}}\.bin"
)

#: The second form is that of earlier releases.
_STAGING_NAME = re.compile(
    rf"{STAGING_PREFIX}(?:[0-9a-f]{{8}}-[0-9a-f]{{8}}-[0-9a-f]{{8}}|[0-9a-f]{{16}}(?:-again-\d+)?)"
)

#: Earlier releases had no writer's id in them.
_STAGED_NAME = re.compile(
    r"(?:joined-)?\d{5,}-\d{5,}(?:-[0-9a-f]{8})?|\d{5,}(?:-[0-9a-f]{8})?\.json|plan\.json"
    r"|commit-[0-9a-f]{8}\.(?:json|data)"
)


_SHARDS_NAME = re.compile(rf"{SHARDS_PREFIX}[0-9a-f]{{16}}")


def is_part(name: str) -> bool:
    """Return whether a name is one that exports give to data files in a folder, whatever their format."""
    return _PART_NAME.fullmatch(name) is not None


def is_data_folder(name: str) -> bool:
    """Return whether a name, without the folders above, is one that exports give to folders of data files."""
    return name == CORRECTIONS_FOLDER or ("=" in name and name.partition("=")[0] in (*PARTITION_KEYS, REASON_KEY))


def is_staging(name: str) -> bool:
    """Return whether a name is one that exports give to staging folders, whoever made it."""
    return _STAGING_NAME.fullmatch(name) is not None


def is_shards_folder(name: str) -> bool:
    """Return whether a name is one of a folder for the shards of an export."""
    return _SHARDS_NAME.fullmatch(name) is not None


def is_staged(name: str) -> bool:
    """Return whether a name, without that of its folder, is one that exports give to files in staging folders."""
    return _STAGED_NAME.fullmatch(name) is not None


#: Most bytes of a file that is read back as a whole, such as a manifest or a checkpoint.
LARGEST_FILE = 64 * 1024**2

#: Most characters of the name of a file, the folders that it lies in included.
LONGEST_NAME = 1_024

#: Characters that no name of a file has: those that control a terminal or the direction of writing, halves of
#: surrogate pairs, and the backslash, which parts folders elsewhere.
_UNFIT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\\]")


class StagingNames(ABC):
    """Names of what is not published yet; engines skip names with ``_``."""

    __slots__ = ()

    @property
    @abstractmethod
    def manifest_name(self) -> str:
        """Name of the manifest, relative to the store's folder."""

    @property
    def staging_prefix(self) -> str:
        """Begins the names of the staging folders of this place; others in the folder have other ones."""
        return f"{STAGING_PREFIX}{_digest(self.manifest_name, 8)}-"

    def staging_name(self, request: str, claimed: bytes | None) -> str:
        """Name of the folder that holds what is not published yet.

        :param request: tells requests apart, in hexadecimal digits of which the first eight count.
        :param claimed: the manifest that is to be replaced, None where there is none.
        """
        return f"{self.staging_prefix}{request[:8]}-{NO_MANIFEST if claimed is None else _digest(claimed, 8)}"

    def is_dead(self, staging_name: str, current: bytes | None) -> bool:
        """Return whether nobody can publish what is in a staging folder: what it was to replace is not there now.

        :param current: the manifest that is in place.
        """
        return staging_name != self.staging_name(staging_name.removeprefix(self.staging_prefix), current)

    def stages_in(self, name: str) -> bool:
        """Return whether a name is one of a staging folder of this place."""
        return name.startswith(self.staging_prefix) and is_staging(name)


@dataclass(frozen=True, slots=True)
class Layout(StagingNames):
    """Where an export goes.

    :param file_format: one of :data:`FORMATS`.
    :param compression: one of the format's.
    :param object_name: name of the one object; None: a folder of parts.
    """

    file_format: str
    compression: str
    object_name: str | None

    @property
    def suffix(self) -> str:
        """The suffix of every data file."""
        return FORMATS[self.file_format][self.compression]

    @property
    def manifest_name(self) -> str:
        """Name of the manifest, relative to the store's folder."""
        return MANIFEST_NAME if self.object_name is None else f"{self.object_name}{OBJECT_MANIFEST_SUFFIX}"

    def part_name(self, number: int, sha256: str, writer: str, partition: str = "") -> str:
        """Name of a data file: no two writers give the same, so none overwrites a file of another one.

        :param sha256: of the file's content.
        :param writer: the id of who writes it.
        :param partition: the folders of its partition, such as ``event_date=2026-11-22``.
        """
        digest = _digest(f"{sha256}{writer}", 12)
        if partition == INDEX_PARTITION:
            return f"{INDEX_PARTITION}-{digest}.bin"
        folder = f"{partition}/" if partition else ""
        return self.object_name or f"{folder}part-{number:05d}-{digest}{self.suffix}"

    def owns(self, name: str) -> bool:
        """Return whether a name in the folder is one that an export of this kind gives."""
        return name == self.object_name if self.object_name else is_part(name)


#: In one folder, so that none of an export or a build that is in the same folder, or in one below, has such a name.
_BUILT_NAME = re.compile(r"[a-z][a-z0-9_]*/[a-z][a-z0-9_]*-[0-9]{5,}-[0-9a-f]{12}(?:\.[a-z0-9]+)+")


@dataclass(frozen=True, slots=True)
class BuildLayout(StagingNames):
    """Where what is built from exports goes: always a folder.

    :param kind: one of :data:`BUILDS`.
    """

    kind: str

    @property
    def object_name(self) -> str | None:
        """Name of the one file that has the same name each time, None where there is none."""
        return BUILDS[self.kind]

    @property
    def manifest_name(self) -> str:
        """Name of the manifest, relative to the store's folder."""
        return f"_{self.kind}.json"

    def file_name(self, folder: str, stem: str, suffix: str, number: int, unique: str) -> str:
        """Name of a file: no two writers give the same, but for the one that has the same name each time.

        :param folder: a letter, then letters, digits and ``_``; empty: for the one file of a fixed name.
        :param stem: begins the name.
        :param suffix: with its dot.
        :param number: among the files of that folder and stem.
        :param unique: what no other writer has; its hash becomes a part of the name.
        """
        if not folder and f"{stem}{suffix}" == self.object_name:
            return self.object_name
        return f"{folder}/{stem}-{number:05d}-{_digest(unique, 12)}{suffix}"

    def owns(self, name: str) -> bool:
        """Return whether a name in the folder is one that a build of this kind gives."""
        return name == self.object_name or _BUILT_NAME.fullmatch(name) is not None


def has_unfit_characters(text: str) -> bool:
    """Return whether a text has characters that no name of a file has."""
    return _UNFIT.search(text) is not None


def name_problem(name: str) -> str | None:
    """Return why a text cannot be the name of a file below a folder, None where it can.

    :param name: relative to the folder.
    """
    if not 0 < len(name) <= LONGEST_NAME:
        return f"allowed: 1 to {LONGEST_NAME} characters"
    if not {"", ".", ".."}.isdisjoint(name.split("/")):
        return "allowed: a name relative to the folder, without empty parts, '.' and '..'"
    return "allowed: no backslash, and no characters that do not print" if has_unfit_characters(name) else None


def is_partition(name: str) -> bool:
    """Return whether a name is that of a partition: folders with no slash at the end, or nothing."""
    return name == INDEX_PARTITION or re.fullmatch(_FOLDERS, f"{name}/" if name else "") is not None


def _digest(text: str | bytes, length: int) -> str:
    return sha256(text.encode() if isinstance(text, str) else text).hexdigest()[:length]


def choose_layout(path: Any, file_format: str | None = None, compression: str | None = None) -> tuple[Any, Layout]:
    """Return the folder to write into, and the layout.

    A path with a known suffix is one object; any other is a folder.

    :param path: ``output_path``, path-like or a text.
    :param file_format: None: by the suffix, else ``jsonl``.
    :param compression: None: by the suffix, else the format's default.
    :raises InvalidArgumentError: format or compression are unknown, do not fit each other, or contradict the
        suffix; the suffix is unknown, or that of manifests; the path climbs with ``..``.
    """
    _known("file_format", file_format, FILE_FORMATS)
    _known("compression", compression, COMPRESSIONS)
    text = str(path)
    if ".." in text.replace("\\", "/").split("/"):
        raise InvalidArgumentError("output_path", text, "it must not climb with '..'")
    name = text.rpartition("/")[2]
    if name == MANIFEST_NAME or name in BUILD_MANIFESTS or name.endswith(OBJECT_MANIFEST_SUFFIX):
        raise InvalidArgumentError("output_path", text, "that is the name of a manifest: give the export another one")
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), None)
    if suffix is None:
        _no_other_suffix(text, name)
        wanted = file_format or DEFAULT_FORMAT
        return path, Layout(wanted, _compression_for(wanted, compression), None)
    if (problem := name_problem(name)) is not None:
        raise InvalidArgumentError("output_path", text, f"the name of the file cannot be right; {problem}")
    by_suffix = SUFFIXES[suffix][0]
    if file_format not in (None, by_suffix):
        raise _contradiction("file_format", file_format, suffix, by_suffix)
    compressions = [each for each, its_suffix in FORMATS[by_suffix].items() if its_suffix == suffix]
    if compression is not None and compression not in compressions:
        raise _contradiction("compression", compression, suffix, " or ".join(compressions))
    folder = Path(path).parent if isinstance(path, str) else path.parent  # a text only names, it is not opened
    return folder, Layout(by_suffix, compression or compressions[0], object_name=name)


def check_folder(path: Any, why: str) -> Any:
    """Return the path, which must be that of a folder.

    :param path: path-like or a text.
    :param why: one object is not enough.
    :raises InvalidArgumentError: it is one object, or cannot be right.
    """
    if choose_layout(path)[1].object_name is not None:
        raise InvalidArgumentError("output_path", str(path), f"allowed: a folder; {why}")
    return path


def _compression_for(file_format: str, compression: str | None) -> str:
    allowed = tuple(FORMATS[file_format])
    if compression is not None and compression not in allowed:
        raise InvalidArgumentError(
            "compression", compression, f"allowed for {file_format}: {', '.join(map(repr, allowed))}"
        )
    return compression or allowed[0]


def _contradiction(argument: str, value: str | None, suffix: str, implied: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        argument,
        value,
        Argument("output_path"),
        f" ends in {suffix!r}, which means {implied!r}; leave one of them out",
    )


def _known(argument: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InvalidArgumentError(argument, value, f"allowed: {', '.join(map(repr, allowed))}")


def _no_other_suffix(text: str, name: str) -> None:
    # A typed suffix that nobody writes would silently become a folder of that name.
    foreign = (".ndjson", ".gz", ".zst", ".zip", ".bz2", ".txt", ".tsv", ".avro", ".orc")
    if name.endswith(foreign):
        raise InvalidArgumentError("output_path", text, f"allowed: a folder, or a file ending in {', '.join(SUFFIXES)}")
