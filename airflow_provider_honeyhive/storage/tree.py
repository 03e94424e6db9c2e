"""A folder of the local disk and what is below it: the one door to it, by exact names, and through no symbolic link.

Others may write to the folder, too. A link that they put where an export has a folder or a file must not decide whose
files are read, written or deleted. So everything below is reached folder by folder, each opened in the one above
without following a link, and what is done is done by the descriptor of the last one: no path is looked up twice. The
folder itself may be reached through links: whoever gives its path decides that, and it is looked up once.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import is_name, segments_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: Bytes of a name without its folder, at the most; no common file system takes more.
LONGEST_SEGMENT = 255

#: To go through a folder takes no permission to list it, where the system can tell the two apart.
_FOLDER = getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY | os.O_NOFOLLOW
#: Without O_NONBLOCK, a named pipe would keep whoever opens it waiting.
_OLD_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW


class Entry(NamedTuple):
    """What is in a folder.

    :param name: relative to where it was listed.
    :param facts: of the entry itself, which may be a link.
    """

    name: str
    facts: os.stat_result

    @property
    def is_file(self) -> bool:
        """Whether it is a file, and no pipe, device or link."""
        return stat.S_ISREG(self.facts.st_mode)

    @property
    def is_folder(self) -> bool:
        """Whether it is a folder, and no link to one."""
        return stat.S_ISDIR(self.facts.st_mode)

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return stat.S_ISLNK(self.facts.st_mode)


class Tree:
    """A folder, there or not, and what is below it; every name is relative to it.

    :param path: of the folder.
    :raises DestinationError: it leads through a link to what is not there, or has ``..`` below what is there.
    :raises OSError: the system does not tell whether it is there.
    """

    def __init__(self, path: Path) -> None:
        there, below = path.absolute(), []
        while not _is_there(there):
            below.append(there.name)
            there = there.parent
        try:
            #: The part of the path that is there, looked up once.
            self._base = os.path.realpath(there, strict=True)
        except FileNotFoundError:
            raise DestinationError(
                "remove a symbolic link, or make the folder that it leads to",
                f"{there} is a symbolic link to what is not there",
            ) from None
        self._shown_base = str(there)
        #: The folders from there to this one.
        self._above = _segments("/".join(reversed(below)))
        #: Whether it was there at the time.
        self.was_there = not below

    def below(self, folder: str) -> Tree:
        """Return the tree of a folder in this one, which is reached through this one."""
        tree = object.__new__(Tree)
        tree._base, tree._shown_base, tree.was_there = self._base, self._shown_base, True
        tree._above = (*self._above, *_segments(folder))
        return tree

    @contextmanager
    def folder(self, name: str = "", *, make: bool = False) -> Iterator[int]:
        """Open a folder and give its descriptor, which may only be good for reaching what is in it.

        :param name: of the folder; empty: this one.
        :param make: make it, and those above, where they are not there.
        :raises DestinationError: one of the folders is a link.
        :raises OSError: one of them cannot be opened, or made.
        """
        with self._opened((*self._above, *_segments(name)), make=make) as descriptor:
            yield descriptor

    @contextmanager
    def parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder that a file is in, and give its descriptor and the file's name there; see :meth:`folder`."""
        if not (segments := _segments(name)):
            raise DestinationError(f"{self._where(name)} is the folder itself, not a file in it")
        with self._opened((*self._above, *segments[:-1]), make=make) as descriptor:
            yield descriptor, segments[-1]

    @contextmanager
    def _opened(self, segments: Sequence[str], *, make: bool) -> Iterator[int]:
        if make:
            with suppress(FileExistsError):
                os.makedirs(self._base, exist_ok=True)
        where = self._shown_base
        descriptor = _open_folder(self._base, where)
        try:
            for segment in segments:
                where = os.path.join(where, segment)
                below = _open_below(descriptor, segment, where, make=make)
                os.close(descriptor)
                descriptor = below
            yield descriptor
        finally:
            os.close(descriptor)

    def nearest(self) -> int:
        """Open this folder to lock it, or where it is not there the nearest one above that is."""
        for count in range(len(self._above), -1, -1):
            with suppress(FileNotFoundError), self._opened(self._above[:count], make=False) as descriptor:
                return reopened(descriptor)
        raise FileNotFoundError(self._base)

    def open_file(self, name: str) -> int:
        """Open a file to read it.

        :raises DestinationError: it is a link, or no file but a pipe, a device or a folder.
        """
        with self.parent(name) as (folder, leaf):
            return open_file(folder, leaf, self._where(name))

    def open_new(self, name: str) -> int:
        """Make a file to write it, and the folders above it; what is there already is an error."""
        with self.parent(name, make=True) as (folder, leaf):
            return open_new(folder, leaf)

    def rename(self, source: str, target: str) -> None:
        """Give a file another name, in the place of what has it; of a link there the link itself."""
        with self.parent(source) as (source_folder, old), self.parent(target) as (target_folder, new):
            os.replace(old, new, src_dir_fd=source_folder, dst_dir_fd=target_folder)

    def link(self, source: str, target: str) -> None:
        """Give a file one more name, which nothing has yet."""
        with self.parent(source) as (source_folder, old), self.parent(target) as (target_folder, new):
            os.link(old, new, src_dir_fd=source_folder, dst_dir_fd=target_folder, follow_symlinks=False)

    def unlink(self, name: str) -> None:
        """Remove a file, or a link itself."""
        with self.parent(name) as (folder, leaf):
            os.unlink(leaf, dir_fd=folder)

    def rmdir(self, name: str = "") -> None:
        """Remove an empty folder; this one only where it was not there when its path was looked up."""
        *folders, leaf = (*self._above, *_segments(name))
        with self._opened(folders, make=False) as descriptor:
            os.rmdir(leaf, dir_fd=descriptor)

    def sync(self, name: str) -> None:
        """Wait until the names in the folder that a file is in stand on the disk."""
        with self.parent(name) as (folder, _):
            sync_folder(folder)

    def entries(self, folder: str = "") -> list[Entry]:
        """Return what is right in a folder, by name; nothing where it is not there."""
        found = []
        with suppress(FileNotFoundError, NotADirectoryError), self.folder(folder) as descriptor:
            listing = reopened(descriptor)
            try:
                with os.scandir(listing) as entries:
                    for entry in entries:
                        # Another run may take it away meanwhile.
                        with suppress(FileNotFoundError):
                            found.append(Entry(entry.name, entry.stat(follow_symlinks=False)))
            finally:
                os.close(listing)
        return sorted(found)

    def walk(self, folder: str = "") -> Iterator[Entry]:
        """Yield what is in a folder and below it, but the folders themselves; no link is followed.

        What lies so deep that its name is too long for a store is left out, as no export writes there.
        """
        waiting = [""]
        while waiting:
            parent = waiting.pop()
            for name, facts in self.entries("/".join(filter(None, (folder, parent)))):
                entry = Entry(f"{parent}/{name}" if parent else name, facts)
                if not is_name("/".join(filter(None, (folder, entry.name)))):
                    continue
                if entry.is_folder:
                    waiting.append(entry.name)
                else:
                    yield entry

    def _where(self, name: str) -> str:
        return os.path.join(self._shown_base, *self._above, name)


def open_file(folder: int, leaf: str, where: str) -> int:
    """Open a file right in an open folder to read it; see :meth:`Tree.open_file`.

    :param where: its path, for an error.
    """
    try:
        descriptor = os.open(leaf, _OLD_FILE, dir_fd=folder)
    except OSError:
        _refuse_link(leaf, folder, where)
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise DestinationError("remove what is no file, but a folder, a pipe or a device", str(where))


def open_new(folder: int, leaf: str) -> int:
    """Make a file right in an open folder to write it; the umask decides who may read it."""
    return os.open(leaf, _NEW_FILE, 0o666, dir_fd=folder)


def reopened(folder: int) -> int:
    """Open an open folder again, to list, lock or sync it."""
    return os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)


def sync_folder(folder: int) -> None:
    """Wait until the names in an open folder stand on the disk, where the file system can tell."""
    listing = reopened(folder)
    try:
        os.fsync(listing)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.EBADF):
            raise
    finally:
        os.close(listing)


def _segments(name: str) -> tuple[str, ...]:
    """Return the segments of a name that the system could give, also where the folder of it is not there yet.

    :raises ValueError: a segment has characters that no name can have.
    """
    segments = segments_of(name)
    if any(len(os.fsencode(segment)) > LONGEST_SEGMENT for segment in segments):
        raise OSError(errno.ENAMETOOLONG, os.strerror(errno.ENAMETOOLONG))
    return segments


def _open_below(folder: int, segment: str, where: str, *, make: bool) -> int:
    try:
        return _open_folder(segment, where, folder)
    except FileNotFoundError:
        if not make:
            raise
    with suppress(FileExistsError):
        os.mkdir(segment, dir_fd=folder)
        sync_folder(folder)
    return _open_folder(segment, where, folder)


def _open_folder(path: str, where: str, folder: int | None = None) -> int:
    try:
        return os.open(path, _FOLDER, dir_fd=folder)
    except OSError:
        _refuse_link(path, folder, where)
        raise


def _refuse_link(path: str, folder: int | None, where: str) -> None:
    """Say so where a link is what could not be opened: systems have several error codes for that."""
    with suppress(OSError):
        if stat.S_ISLNK(os.stat(path, dir_fd=folder, follow_symlinks=False).st_mode):
            raise DestinationError(
                "remove a symbolic link, or give the path that it leads to",
                f"{where} is a symbolic link. Below the folder of an export none is followed",
            ) from None


def _is_there(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True
