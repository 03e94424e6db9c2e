"""A folder on the local file system: what is written stands beside its name first; a rename makes it count."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import uuid
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from hashlib import sha256
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import READ_BLOCK, GuardedSink, check_small, failing
from airflow_provider_honeyhive.storage.joining import join_by_writing
from airflow_provider_honeyhive.storage.lease import swap_by_lease
from airflow_provider_honeyhive.storage.tree import LONGEST_SEGMENT, Tree, open_file, open_new, reopened, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from airflow_provider_honeyhive.storage.base import Piece, Sink, Version


#: Bytes of a small file that are read at once.
_PIECE = 1024**2

#: What to do where a permission is missing.
_REMEDY = "let the user that runs this read, write and delete there"

_TEMPORARY = "_new-{}"

_TEMPORARY_NAME = re.compile(_TEMPORARY.format("[0-9a-f]{32}"))


def is_temporary(name: str) -> bool:
    """Return whether a name is one of a file that is about to get its own; one left by a killed process is litter."""
    return _TEMPORARY_NAME.fullmatch(name) is not None


class LocalStore:
    """A folder on the local file system; see :class:`~airflow_provider_honeyhive.storage.base.Store`.

    :param root: the folder, there or not.
    :param tree: what leads to it; None: its path, which may go through symbolic links.
    :raises DestinationError: the system does not let it be looked at.
    """

    reads_cheaply = True
    overwrites_by_deleting = False
    joins = False

    def __init__(self, root: Path, tree: Tree | None = None) -> None:
        self._root = root
        with _failing("open", str(root)):
            self._tree = Tree(root) if tree is None else tree
        #: Names of what is being written.
        self._being_written: set[str] = set()

    def url(self, name: str = "") -> str:
        """Return the path as a text."""
        return str(self._root / name)

    def length_problem(self, name: str) -> str | None:
        """Return which part of the name is too long, None where none is."""
        longest = max(map(len, name.encode(errors="surrogateescape").split(b"/")))
        if longest <= LONGEST_SEGMENT:
            return None
        return f"a file beside it would have a name of {longest} bytes, and a disk takes {LONGEST_SEGMENT}"

    def below(self, folder: str) -> LocalStore:
        """Return the store of a folder in this one, which is reached through this one."""
        with _failing("open", self.url(folder)):
            return LocalStore(self._root / folder, self._tree.below(folder))

    @contextmanager
    def create(self, name: str, *, piece_of: str | None = None) -> Iterator[Sink]:
        """Write beside the name, then rename onto it.

        Does not wait for the disk: :meth:`copy` does, for what gets its final name.
        """
        with self._beside(name) as temporary:
            with _failing("create", self.url(name)):
                file = os.fdopen(self._tree.open_new(temporary), "wb")
            with file:
                yield GuardedSink(file, self.url(name), _REMEDY)
                with _failing("write", self.url(name)):
                    file.flush()
            with _failing("write", self.url(name)):
                self._tree.rename(temporary, name)

    def put(self, name: str, data: bytes) -> None:
        """Write beside the name, to the disk, then rename onto it."""
        check_small(len(data), self.url(name))
        with self._beside(name) as temporary:
            with _failing("create", self.url(name)):
                file = self._tree.open_new(temporary)
            with _failing("write", self.url(name)):
                _write(file, data)
                self._tree.rename(temporary, name)
                self._tree.sync(name)

    @contextmanager
    def _beside(self, name: str) -> Iterator[str]:
        """Give a temporary name in the folder of ``name``; whatever has it in the end is removed."""
        temporary = beside(name, uuid.uuid4().hex)
        self._being_written.add(temporary)
        try:
            yield temporary
        finally:
            self._being_written.discard(temporary)
            self._remove(temporary)

    def _remove(self, name: str) -> None:
        with suppress(OSError, DestinationError):
            self._tree.unlink(name)

    def abort(self) -> None:
        """Remove what is being written; whoever writes it fails when it should get its name."""
        for name in list(self._being_written):
            self._remove(name)

    def get(self, name: str) -> bytes | None:
        """Return the file's bytes, None where there is none."""
        with _failing("read", self.url(name)):
            try:
                return _read(self._tree.open_file(name), self.url(name))
            except (FileNotFoundError, NotADirectoryError):
                return None

    def read(self, name: str) -> tuple[bytes | None, Version]:
        """Return the file's bytes, which are their own version."""
        data = self.get(name)
        return data, data

    def swap(self, name: str, data: bytes, version: Version) -> bool:
        """Compare and write under a lock of the kernel on the file's folder, which ends with the process.

        A killed process leaves at most one temporary file of a fixed name, which the next swap replaces. Where the
        file system has no such locks, a lease takes their place, which is weaker.
        """
        if not self.can_swap():
            return swap_by_lease(self, name, data, version)
        where = self.url(name)
        check_small(len(data), where)
        with _failing("write", where), ExitStack() as stack:
            try:
                folder, leaf = stack.enter_context(self._tree.parent(name, make=version is None))
            except FileNotFoundError:
                return False
            temporary = beside(leaf, sha256(leaf.encode(errors="surrogateescape")).hexdigest()[:32])
            listing = reopened(folder)
            with _locked(listing):
                found = _found(folder, leaf, where)
                if found != version:
                    return found == data
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)
                _write(open_new(folder, temporary), data)
                os.replace(temporary, leaf, src_dir_fd=folder, dst_dir_fd=folder)
                sync_folder(folder)
        return True

    def can_swap(self) -> bool:
        """Return whether the file system locks folders; network file systems often do not."""
        try:
            with _locked(self._tree.nearest(), fcntl.LOCK_NB):
                return True
        except BlockingIOError:
            return True
        except OSError:
            return False

    def chunks(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield bytes of the file."""
        with _failing("read", self.url(name)), os.fdopen(self._tree.open_file(name), "rb") as file:
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
        with _failing("write", self.url(target)):
            with self._tree.parent(target, make=True):
                pass
            try:
                self._copy_beside(source, source, target)
            except OSError as error:
                if error.errno != errno.EXDEV:
                    raise
                self._copy_beside(target, source, target)

    def _copy_beside(self, name: str, source: str, target: str) -> None:
        with self._beside(name) as temporary:
            try:
                self._tree.link(source, temporary)
            except OSError:
                # Some file systems know no links, and none goes to another file system.
                with (
                    os.fdopen(self._tree.open_file(source), "rb") as old,
                    os.fdopen(self._tree.open_new(temporary), "wb") as new,
                ):
                    shutil.copyfileobj(old, new, READ_BLOCK)
            with self._tree.parent(temporary) as (folder, leaf):
                # A link, where the source is one.
                file = open_file(folder, leaf, self.url(source))
            try:
                os.fsync(file)
            finally:
                os.close(file)
            self._tree.rename(temporary, target)
            self._tree.sync(target)

    def join(self, target: str, pieces: Sequence[Piece]) -> None:
        """Write all pieces anew."""
        join_by_writing(self, target, pieces)

    def delete(self, name: str) -> None:
        """Remove the file, if it is there; of a symbolic link the link itself."""
        with _failing("delete", self.url(name)), suppress(FileNotFoundError, NotADirectoryError):
            self._tree.unlink(name)

    def delete_all(self, names: Iterable[str]) -> None:
        """Remove one after the other."""
        for name in names:
            self.delete(name)

    def listing(self, folder: str = "") -> tuple[dict[str, int], list[str]]:
        """Return the files in the folder, with their sizes, and the folders in it."""
        with _failing("list", self.url(folder)):
            entries = self._tree.entries(folder)
        return (
            {entry.name: entry.facts.st_size for entry in entries if entry.is_file},
            [entry.name for entry in entries if entry.is_folder],
        )

    def files(self, folder: str = "") -> dict[str, int]:
        """Return names and sizes of the files in the folder."""
        return self.listing(folder)[0]

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders in the folder."""
        return self.listing(folder)[1]

    def links(self, folder: str = "") -> list[str]:
        """Return the symbolic links in the folder and below it."""
        with _failing("list", self.url(folder)):
            return sorted(entry.name for entry in self._tree.walk(folder) if entry.is_link)

    def modified(self, folder: str = "") -> dict[str, datetime]:
        """Return modification times of the files in the folder and below it."""
        with _failing("list", self.url(folder)):
            return {
                entry.name: datetime.fromtimestamp(entry.facts.st_mtime, UTC)
                for entry in self._tree.walk(folder)
                if entry.is_file
            }

    def newest(self, folder: str = "") -> datetime | None:
        """Return the latest modification time of a file in the folder or below it."""
        return max(self.modified(folder).values(), default=None)

    def remove_folder(self, folder: str = "") -> None:
        """Remove the folder if it is empty; the root only if it was not there before."""
        if folder or not self._tree.was_there:
            with suppress(OSError, DestinationError):
                self._tree.rmdir(folder)


def _failing(what: str, where: str) -> AbstractContextManager[None]:
    return failing(what, where, _REMEDY)


def beside(name: str, digest: str) -> str:
    """Return the name of a temporary file in the folder of ``name``, which :func:`is_temporary` tells.

    :param digest: 32 hexadecimal digits.
    """
    folder, slash, _ = name.rpartition("/")
    return f"{folder}{slash}{_TEMPORARY.format(digest)}"


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


def _found(folder: int, name: str, where: str) -> bytes | None:
    try:
        return _read(open_file(folder, name, where), where)
    except FileNotFoundError:
        return None


def _read(descriptor: int, where: str) -> bytes:
    data = bytearray()
    with os.fdopen(descriptor, "rb") as file:
        # Not by its size: it may grow meanwhile.
        while piece := file.read(_PIECE):
            data += piece
            check_small(len(data), where)
    return bytes(data)


def _write(descriptor: int, data: bytes) -> None:
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
