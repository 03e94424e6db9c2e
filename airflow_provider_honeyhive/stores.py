"""Files in a folder of any store: what must be atomic is, and what fails says where.

Two kinds, told apart once: the local file system, where a rename publishes, and everything that fsspec
reaches, where an upload or a copy shows when it is complete. Facts behind it, tried on S3,
Azure and Google Cloud Storage: leaving ``path.open("wb")`` by an exception uploads what was written so
far, and only ``discard`` prevents that; a local copy is visible while it grows.
"""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_honeyhive.exceptions import DestinationError

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Bytes that an upload holds in memory before they go out as one part of it.
UPLOAD_BLOCK = 8 * 1024**2
#: Begins the names of files that are about to get their own; one left by a killed process is litter.
TEMPORARY_PREFIX = "_new-"
_COPY_BLOCK = 1024**2


class Sink(Protocol):
    """A file being written."""

    def write(self, data: bytes, /) -> Any:
        """Append ``data``."""


class Store(Protocol):
    """A folder, and the files below it by their names relative to it."""

    def url(self, name: str = "") -> str:
        """Return where ``name`` is, as a user would write it."""

    def create(self, name: str) -> Any:
        """Open ``name`` for writing, as a context manager; an exception inside leaves no file."""

    def put(self, name: str, data: bytes) -> None:
        """Write a small file, visible whole or not at all."""

    def get(self, name: str) -> bytes | None:
        """Return a small file's bytes, None where there is none."""

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield a file's bytes in pieces."""

    def put_new(self, name: str, data: bytes) -> bool:
        """Write a small file unless there is one of that name; return whether it was written."""

    def copy(self, source: str, target: str) -> None:
        """Let ``target`` be what ``source`` is, whole or not at all, replacing what has that name."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    def files(self, folder: str = "") -> dict[str, int]:
        """Return the files right in ``folder``: names relative to it, and sizes in bytes."""

    def folders(self) -> list[str]:
        """Return the names of the folders right in this one."""

    def abort(self) -> None:
        """Throw away what is being written, for those who cannot do it themselves any more."""

    def remove_folder(self, folder: str = "") -> None:
        """Remove ``folder`` if nothing is left in it, where the store has folders at all."""


def as_path(path: Any) -> Any:
    """Return a text as a path, local or ``upath.UPath`` where it is a URL; a path as it is."""
    if not isinstance(path, str):
        return path
    if "://" not in path:
        return Path(path)
    # Here, because only URLs need it.
    from upath import UPath  # noqa: PLC0415

    return UPath(path)


def open_store(path: Any) -> Store:
    """Return the store of a folder.

    :param path: anything path-like: :class:`pathlib.Path`, ``upath.UPath``, ``ObjectStoragePath``.
    """
    fs = getattr(path, "fs", None)
    if fs is None:
        return LocalStore(Path(path))
    protocols = (fs.protocol,) if isinstance(fs.protocol, str) else tuple(fs.protocol)
    if "file" in protocols or "local" in protocols:
        return LocalStore(Path(path.path))
    return FsspecStore(fs, path.path, str(path))


@contextmanager
def _failing(what: str, where: str) -> Iterator[None]:
    try:
        yield
    except DestinationError:
        raise
    except Exception as error:
        # Each store has its own tree of errors; all of them mean the same here.
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise DestinationError(f"cannot {what} {where}: {type(error).__name__}: {reason}") from error


class _GuardedSink:
    """Tells errors of the store from errors of whoever writes."""

    def __init__(self, file: Any, where: str) -> None:
        self._file = file
        self._where = where

    def write(self, data: bytes) -> None:
        with _failing("write", self._where):
            self._file.write(data)


class LocalStore:
    """A folder on the local file system."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._root_is_ours = not root.exists()

    def url(self, name: str = "") -> str:
        """Return the path as a text."""
        return str(self._root / name)

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """Open a file for writing; an exception inside removes it."""
        path = self._root / name
        with _failing("create", str(path)):
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("wb")
        try:
            with file:
                yield _GuardedSink(file, str(path))
                with _failing("write", str(path)):
                    file.flush()
                    os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                path.unlink(missing_ok=True)
            raise

    def put(self, name: str, data: bytes) -> None:
        """Write beside the name, then rename onto it."""
        with self._beside(name) as temporary:
            with self.create(temporary) as sink:
                sink.write(data)
            with _failing("write", self.url(name)):
                (self._root / temporary).replace(self._root / name)

    def put_new(self, name: str, data: bytes) -> bool:
        """Write beside the name, then link onto it, which refuses a name that is taken."""
        with self._beside(name) as temporary:
            with self.create(temporary) as sink:
                sink.write(data)
            with _failing("write", self.url(name)):
                try:
                    os.link(self._root / temporary, self._root / name)
                except FileExistsError:
                    return False
        return True

    @contextmanager
    def _beside(self, name: str) -> Iterator[str]:
        """Give a temporary name in the same folder; whatever has it in the end is removed."""
        temporary = str(Path(name).with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}"))
        try:
            yield temporary
        finally:
            with suppress(OSError):
                (self._root / temporary).unlink(missing_ok=True)

    def get(self, name: str) -> bytes | None:
        """Return the file's bytes, None where there is none."""
        with _failing("read", self.url(name)):
            try:
                return (self._root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the file's bytes."""
        with _failing("read", self.url(name)), (self._root / name).open("rb") as file:
            while chunk := file.read(_COPY_BLOCK):
                yield chunk

    def copy(self, source: str, target: str) -> None:
        """Link beside the name, which costs nothing, or copy; then rename onto it."""
        with _failing("write", self.url(target)), self._beside(target) as temporary:
            (self._root / target).parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(self._root / source, self._root / temporary)
            except OSError:
                # Some file systems know no links.
                shutil.copyfile(self._root / source, self._root / temporary)
            (self._root / temporary).replace(self._root / target)

    def delete(self, name: str) -> None:
        """Remove the file, if it is there."""
        with _failing("delete", self.url(name)):
            (self._root / name).unlink(missing_ok=True)

    def files(self, folder: str = "") -> dict[str, int]:
        """Return names and sizes of the files in the folder."""
        with _failing("list", self.url(folder)):
            return {path.name: path.stat().st_size for path in self._list(folder) if path.is_file()}

    def folders(self) -> list[str]:
        """Return the names of the folders in this one."""
        return [path.name for path in self._list() if path.is_dir()]

    def _list(self, folder: str = "") -> list[Path]:
        with _failing("list", self.url(folder)):
            try:
                return sorted((self._root / folder).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def abort(self) -> None:
        """Do nothing: a file that is left half written is one of a staging folder, and written anew by a retry."""

    def remove_folder(self, folder: str = "") -> None:
        """Remove the folder if it is empty; the root only if it was not there before."""
        if folder or self._root_is_ours:
            with suppress(OSError):
                (self._root / folder).rmdir()


class FsspecStore:
    """A prefix of an object store."""

    def __init__(self, fs: Any, root: str, url: str) -> None:
        self._fs = fs
        self._root = root.rstrip("/")
        self._url = url.rstrip("/")
        self._uploads: set[Any] = set()

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def url(self, name: str = "") -> str:
        """Return the URL, without the connection id that Airflow writes into it."""
        scheme, separator, rest = self._url.partition("://")
        bucket, slash, key = rest.partition("/")
        plain = f"{scheme}{separator}{bucket.rpartition('@')[2]}{slash}{key}"
        return f"{plain}/{name}" if name else plain

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """Open an upload; an exception inside aborts it."""
        with _failing("create", self.url(name)):
            file = self._fs.open(self._key(name), "wb", block_size=UPLOAD_BLOCK)
        self._uploads.add(file)
        try:
            yield _GuardedSink(file, self.url(name))
            with _failing("write", self.url(name)):
                file.close()
        except BaseException:
            self._discard(file)
            raise
        finally:
            self._uploads.discard(file)

    def abort(self) -> None:
        """Abort the uploads under way."""
        for file in list(self._uploads):
            self._discard(file)

    @staticmethod
    def _discard(file: Any) -> None:
        # Before anything else can close the file, which would upload what it has.
        with suppress(Exception):
            file.discard()
        file.closed = True

    def put(self, name: str, data: bytes) -> None:
        """Write in one request."""
        with _failing("write", self.url(name)):
            self._fs.pipe_file(self._key(name), data)

    def put_new(self, name: str, data: bytes) -> bool:
        """Write on condition that there is none, where the store knows conditions."""
        with _failing("write", self.url(name)):
            try:
                self._fs.pipe_file(self._key(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def get(self, name: str) -> bytes | None:
        """Return the object's bytes, None where there is none."""
        with _failing("read", self.url(name)):
            self._fs.invalidate_cache()
            try:
                data: bytes = self._fs.cat_file(self._key(name))
            except FileNotFoundError:
                return None
            return data

    def chunks(self, name: str) -> Iterator[bytes]:
        """Yield the object's bytes."""
        with _failing("read", self.url(name)), self._fs.open(self._key(name), "rb") as file:
            while chunk := file.read(_COPY_BLOCK):
                yield chunk

    def copy(self, source: str, target: str) -> None:
        """Copy the object, by the store itself."""
        with _failing("write", self.url(target)):
            self._fs.copy(self._key(source), self._key(target))

    def delete(self, name: str) -> None:
        """Remove the object, if it is there."""
        with _failing("delete", self.url(name)), suppress(FileNotFoundError):
            self._fs.rm_file(self._key(name))

    def files(self, folder: str = "") -> dict[str, int]:
        """Return names and sizes of the objects right under the prefix."""
        return self._list(folder, "file")

    def folders(self) -> list[str]:
        """Return the common prefixes right under this one."""
        return list(self._list("", "directory"))

    def _list(self, folder: str, kind: str) -> dict[str, int]:
        with _failing("list", self.url(folder)):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(self._key(folder), detail=True)
            except FileNotFoundError:
                return {}
        wanted = (item for item in found if item["type"] == kind)
        return {item["name"].rstrip("/").rpartition("/")[2]: item.get("size") or 0 for item in wanted}

    def remove_folder(self, folder: str = "") -> None:
        """Do nothing: a prefix without objects does not exist."""
