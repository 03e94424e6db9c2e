"""A folder on the local file system: what is written stands beside its name first; a rename makes it count."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import uuid
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import READ_BLOCK, GuardedSink, failing
from airflow_provider_honeyhive.storage.lease import swap_by_lease

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_honeyhive.storage.base import Sink, Version


#: Begins the names of files that are about to get their own; one left by a killed process is litter.
TEMPORARY_PREFIX = "_new-"


class LocalStore:
    """A folder on the local file system; see :class:`~airflow_provider_honeyhive.storage.base.Store`."""

    reads_cheaply = True

    def __init__(self, root: Path) -> None:
        self._root = root
        self._root_is_ours = not root.exists()
        self._being_written: set[Path] = set()

    def url(self, name: str = "") -> str:
        """Return the path as a text."""
        return str(self._root / name)

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """Write beside the name, then rename onto it.

        Does not wait for the disk: :meth:`copy` does, for what gets its final name.
        """
        with self._beside(name) as temporary:
            with failing("create", self.url(name)):
                file = temporary.open("xb")
            with file:
                yield GuardedSink(file, self.url(name))
                with failing("write", self.url(name)):
                    file.flush()
            with failing("write", self.url(name)):
                temporary.replace(self._root / name)

    def put(self, name: str, data: bytes) -> None:
        """Write beside the name, to the disk, then rename onto it."""
        with self._beside(name) as temporary, failing("write", self.url(name)):
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self._root / name)

    @contextmanager
    def _beside(self, name: str, *, make_folder: bool = True) -> Iterator[Path]:
        """Give a temporary path in the folder of ``name``; whatever is there in the end is removed."""
        path = (self._root / name).with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        if make_folder:
            with failing("create", self.url(name)):
                path.parent.mkdir(parents=True, exist_ok=True)
        self._being_written.add(path)
        try:
            yield path
        finally:
            self._being_written.discard(path)
            _remove(path)

    def abort(self) -> None:
        """Remove what is being written; whoever writes it fails when it should get its name."""
        for path in list(self._being_written):
            _remove(path)

    def get(self, name: str) -> bytes | None:
        """Return the file's bytes, None where there is none."""
        with failing("read", self.url(name)):
            try:
                return (self._root / name).read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, name: str) -> tuple[bytes | None, Version]:
        """Return the file's bytes, which are their own version."""
        data = self.get(name)
        return data, data

    def swap(self, name: str, data: bytes, version: Version) -> bool:
        """Compare and write under a lock of the kernel on the file's folder, which ends with the process.

        A killed process leaves at most one temporary file of a fixed name, which the next swap overwrites. Where the
        file system has no such locks, a lease takes their place, which is weaker.
        """
        if not self.can_swap():
            return swap_by_lease(self, name, data, version)
        path = self._root / name
        temporary = f"{TEMPORARY_PREFIX}{path.name}"
        with failing("write", str(path)):
            if version is None:
                path.parent.mkdir(parents=True, exist_ok=True)
            try:
                folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            except FileNotFoundError:
                return False
            # Everything by the folder's descriptor: its path may lead to another folder meanwhile.
            with _locked(folder):
                found = _read(folder, path.name)
                if found != version:
                    return found == data
                _write(folder, temporary, data)
                os.replace(temporary, path.name, src_dir_fd=folder, dst_dir_fd=folder)
                os.fsync(folder)
        return True

    def can_swap(self) -> bool:
        """Return whether the file system locks folders; network file systems often do not."""
        folder = next(path for path in (self._root, *self._root.parents) if path.is_dir())
        try:
            with _locked(os.open(folder, os.O_RDONLY | os.O_DIRECTORY), fcntl.LOCK_NB):
                return True
        except BlockingIOError:
            return True
        except OSError:
            return False

    def chunks(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield bytes of the file."""
        with failing("read", self.url(name)), (self._root / name).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            end = size if length is None else offset + length
            if end > size:
                raise DestinationError(f"{self.url(name)} has {size} bytes, not {end}")
            file.seek(offset)
            for start in range(offset, end, READ_BLOCK):
                yield file.read(min(READ_BLOCK, end - start))

    def copy(self, source: str, target: str) -> None:
        """Link beside the source, which costs nothing, or copy; to the disk; then rename onto the target.

        A killed process leaves nothing in the target's folder, unless that is on another file system.
        """
        with failing("write", self.url(target)):
            (self._root / target).parent.mkdir(parents=True, exist_ok=True)
            try:
                self._copy_beside(source, source, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy_beside(target, source, target)

    def _copy_beside(self, name: str, source: str, target: str) -> None:
        with self._beside(name, make_folder=name != source) as temporary:
            try:
                os.link(self._root / source, temporary)
            except OSError:
                # Some file systems know no links, and none goes to another file system.
                shutil.copyfile(self._root / source, temporary)
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(self._root / target)

    def delete(self, name: str) -> None:
        """Remove the file, if it is there."""
        with failing("delete", self.url(name)), suppress(FileNotFoundError, NotADirectoryError):
            (self._root / name).unlink()

    def files(self, folder: str = "") -> dict[str, int]:
        """Return names and sizes of the files in the folder."""
        found = {}
        with failing("list", self.url(folder)):
            for path in self._list(folder):
                # Another run may take it away meanwhile.
                with suppress(FileNotFoundError):
                    if path.is_file():
                        found[path.name] = path.stat().st_size
        return found

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders in the folder."""
        return [path.name for path in self._list(folder) if path.is_dir()]

    def _list(self, folder: str = "") -> list[Path]:
        with failing("list", self.url(folder)):
            try:
                return sorted((self._root / folder).iterdir())
            except (FileNotFoundError, NotADirectoryError):
                return []

    def modified(self, folder: str = "") -> dict[str, datetime]:
        """Return modification times of the files in the folder and below it."""
        root = self._root / folder
        found = {}
        with failing("list", self.url(folder)):
            for parent, _, names in os.walk(root, onerror=_raise_unless_gone, followlinks=True):
                for path in (os.path.join(parent, name) for name in names):
                    # Another run may take it away meanwhile.
                    with suppress(FileNotFoundError):
                        found[os.path.relpath(path, root)] = datetime.fromtimestamp(os.stat(path).st_mtime, UTC)
        return found

    def newest(self, folder: str = "") -> datetime | None:
        """Return the latest modification time of a file in the folder or below it."""
        return max(self.modified(folder).values(), default=None)

    def remove_folder(self, folder: str = "") -> None:
        """Remove the folder if it is empty; the root only if it was not there before."""
        if folder or self._root_is_ours:
            with suppress(OSError):
                (self._root / folder).rmdir()


@contextmanager
def _locked(folder: int, how: int = 0) -> Iterator[None]:
    """Lock a folder against other descriptors of it, in this process too; close it at the end."""
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | how)
        try:
            yield
        finally:
            # Not by closing alone: a process forked meanwhile has the descriptor, too.
            fcntl.flock(folder, fcntl.LOCK_UN)
    finally:
        os.close(folder)


def _read(folder: int, name: str) -> bytes | None:
    try:
        with open(name, "rb", opener=_opener(folder)) as file:
            return file.read()
    except FileNotFoundError:
        return None


def _write(folder: int, name: str, data: bytes) -> None:
    with open(name, "wb", opener=_opener(folder)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _opener(folder: int) -> Callable[[str, int], int]:
    return lambda name, flags: os.open(name, flags, 0o666, dir_fd=folder)


def _raise_unless_gone(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
