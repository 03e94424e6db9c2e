"""Names on disk: what ``output_path`` means, what its suffix says, how parts and manifests are called."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from airflow_provider_honeyhive.exceptions import InvalidArgumentError

#: Suffix -> (file format, compression).
SUFFIXES: dict[str, tuple[str, str]] = {
    ".jsonl": ("jsonl", "none"),
    ".jsonl.gz": ("jsonl", "gzip"),
    ".jsonl.zst": ("jsonl", "zstd"),
}
FILE_FORMATS = tuple(dict.fromkeys(file_format for file_format, _ in SUFFIXES.values()))
COMPRESSIONS = tuple(dict.fromkeys(compression for _, compression in SUFFIXES.values()))
DEFAULT_FORMAT, DEFAULT_COMPRESSION = "jsonl", "gzip"
MANIFEST_NAME = "_manifest.json"
STAGING_PREFIX = "_staging-"
OBJECT_MANIFEST_SUFFIX = ".manifest.json"
_PART_NAME = re.compile(rf"part-\d{{5,}}-[0-9a-f]{{12}}({'|'.join(map(re.escape, SUFFIXES))})")


@dataclass(frozen=True, slots=True)
class Layout:
    """Where an export goes.

    :param file_format: ``jsonl``.
    :param compression: ``gzip`` or ``none``.
    :param object_name: name of the one object; None: a folder of parts.
    """

    file_format: str
    compression: str
    object_name: str | None

    @property
    def suffix(self) -> str:
        """The suffix of every data file."""
        wanted = (self.file_format, self.compression)
        return next(suffix for suffix, meaning in SUFFIXES.items() if meaning == wanted)

    @property
    def manifest_name(self) -> str:
        """Name of the manifest, relative to the store's folder."""
        return MANIFEST_NAME if self.object_name is None else f"{self.object_name}{OBJECT_MANIFEST_SUFFIX}"

    def staging_name(self, fingerprint: str) -> str:
        """Name of the folder that holds what is not published yet; engines skip names with ``_``."""
        return f"{STAGING_PREFIX}{fingerprint}"

    def part_name(self, number: int, sha256: str) -> str:
        """Name of a data file: by content, so that a new run's files never overwrite an old run's."""
        return self.object_name or f"part-{number:05d}-{sha256[:12]}{self.suffix}"

    def owns(self, name: str) -> bool:
        """Return whether a name in the folder is one that an export of this kind gives."""
        return name == self.object_name if self.object_name else _PART_NAME.fullmatch(name) is not None


def choose_layout(path: Any, file_format: str | None = None, compression: str | None = None) -> tuple[Any, Layout]:
    """Return the folder to write into, and the layout.

    A path with a known suffix is one object; any other is a folder.

    :param path: ``output_path``, path-like or a text.
    :param file_format: None: by the suffix, else ``jsonl``.
    :param compression: None: by the suffix, else ``gzip``.
    :raises InvalidArgumentError: format or compression are unknown, or contradict the suffix; the suffix is
        unknown; the path climbs with ``..``.
    """
    _known("file_format", file_format, FILE_FORMATS)
    _known("compression", compression, COMPRESSIONS)
    text = str(path)
    if ".." in text.replace("\\", "/").split("/"):
        raise InvalidArgumentError("output_path", text, "it must not climb with '..'")
    name = text.rpartition("/")[2]
    suffix = next((suffix for suffix in sorted(SUFFIXES, key=len, reverse=True) if name.endswith(suffix)), None)
    if suffix is None:
        _no_other_suffix(text, name)
        return path, Layout(file_format or DEFAULT_FORMAT, compression or DEFAULT_COMPRESSION, None)
    by_suffix = SUFFIXES[suffix]
    for argument, given, implied in zip(
        ("file_format", "compression"), (file_format, compression), by_suffix, strict=True
    ):
        if given is not None and given != implied:
            raise InvalidArgumentError(
                argument, given, f"output_path ends in {suffix!r}, which means {implied!r}; leave one of them out"
            )
    folder = Path(path).parent if isinstance(path, str) else path.parent  # a text only names, it is not opened
    return folder, Layout(*by_suffix, object_name=name)


def _known(argument: str, value: str | None, allowed: tuple[str, ...]) -> None:
    if value is not None and value not in allowed:
        raise InvalidArgumentError(argument, value, f"allowed: {', '.join(map(repr, allowed))}")


def _no_other_suffix(text: str, name: str) -> None:
    # A typed suffix that nobody writes would silently become a folder of that name.
    foreign = (".json", ".csv", ".parquet", ".ndjson", ".gz", ".zst", ".zip", ".bz2", ".txt")
    if name.endswith(foreign):
        raise InvalidArgumentError("output_path", text, f"allowed: a folder, or a file ending in {', '.join(SUFFIXES)}")
