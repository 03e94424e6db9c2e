"""A prefix of an object store that fsspec reaches: S3, Google Cloud Storage, and most others.

Facts behind it, tried on S3, Google Cloud Storage and Azure: an upload shows when it is complete. Leaving
``path.open("wb")`` by an exception completes it with what was written so far, and so does the end of the file
object's life, unless the file counts as closed. Listings are kept, and shown again after others have written.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import (
    OTHER_CREDENTIALS,
    READ_BLOCK,
    UPLOAD_BLOCK,
    GuardedSink,
    check_small,
    failing,
    is_name,
    segments_of,
)
from airflow_provider_honeyhive.storage.joining import join_by_writing, side_by_side
from airflow_provider_honeyhive.storage.lease import swap_by_lease
from airflow_provider_honeyhive.storage.uploads import SmallFirst, discard_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from typing import Self

    from airflow_provider_honeyhive.storage.base import Piece, Sink, Version


log = get_logger(__name__)

#: What drivers call the time of an object's last modification in a listing.
_MODIFIED = ("LastModified", "last_modified", "mtime", "modified", "created")


class Entry(NamedTuple):
    """What is right in a folder."""

    name: str
    size_bytes: int
    is_folder: bool


class FsspecStore:
    """A prefix of an object store; see :class:`~airflow_provider_honeyhive.storage.base.Store`.

    :param fs: the file system.
    :param root: the prefix, as the file system writes it, with the bucket.
    :param url: the prefix, as a user writes it.
    :raises DestinationError: the prefix has ``..`` in it, which stores take for different things.
    """

    reads_cheaply = False
    overwrites_by_deleting = False
    joins = False

    #: Most bytes of a key, without the bucket; None: not known.
    _longest_key: ClassVar[int | None] = None

    #: What the store calls the rights to "read", "list", "write" (which an upload and a copy need, too) and "delete".
    _rights: ClassVar[Mapping[str, str]] = {}

    def __init__(self, fs: Any, root: str, url: str) -> None:
        self._fs = fs
        self._root = root.rstrip("/")
        self._url = url.rstrip("/")
        self._uploads: set[Any] = set()
        self._is_aborted = False
        if ".." in self._root.split("/"):
            raise DestinationError(f"{self._url} must not climb with '..': give the path itself")

    def _key(self, name: str) -> str:
        """Return the key of a file, or of a folder; none lies outside of the prefix."""
        return "/".join((self._root, *segments_of(name)))

    def _remedy(self, what: str) -> str:
        right = self._rights.get("write" if what == "create" else what)
        return f"allow {right}, or give output_conn_id with other credentials" if right else OTHER_CREDENTIALS

    def _failing(self, what: str, name: str = "") -> AbstractContextManager[None]:
        return failing(what, self.url(name), self._remedy(what))

    def length_problem(self, name: str) -> str | None:
        """Return by how much the key is too long, None where it is not."""
        size = len(f"{self._root}/{name}".lstrip("/").partition("/")[2].encode(errors="replace"))
        if self._longest_key is None or size <= self._longest_key:
            return None
        return f"its files would have paths of {size:,} bytes, and the store takes {self._longest_key:,}"

    def below(self, folder: str) -> Self:
        """Return the store of a folder in this one."""
        return type(self)(self._fs, self._key(folder), self.url(folder))

    def url(self, name: str = "") -> str:
        """Return the URL."""
        return f"{self._url}/{name}" if name else self._url

    @contextmanager
    def create(self, name: str, *, piece_of: str | None = None) -> Iterator[Sink]:
        """Open an upload; an exception inside aborts it."""
        with self._failing("create", name):
            file = self._open(name, piece_of, UPLOAD_BLOCK)
        with self._underway(file):
            yield GuardedSink(file, self.url(name), self._remedy("write"), UPLOAD_BLOCK)
            with self._failing("write", name):
                self._check_underway(file, name)
                file.close()

    def _open(self, name: str, piece_of: str | None, block: int) -> Any:
        """Return a file that is an upload: with ``write``, ``close``, ``discard`` and ``closed``."""
        key = self._key(name)
        return SmallFirst(
            lambda: self._fs.open(key, "wb", block_size=block),
            lambda data: self._write(key, data),
            block,
        )

    @contextmanager
    def _underway(self, upload: Any) -> Iterator[None]:
        """Let others abort an upload; an exception inside does."""
        self._uploads.add(upload)
        try:
            if self._is_aborted:  # Whoever aborts looks at the uploads after that.
                raise DestinationError("the upload was aborted")
            yield
        except BaseException:
            discard_file(upload)
            raise
        finally:
            self._uploads.discard(upload)

    def _check_underway(self, upload: Any, name: str) -> None:
        if upload.closed:
            raise DestinationError(f"the upload of {self.url(name)} was aborted")

    def abort(self) -> None:
        """Abort the uploads under way, and those that would begin."""
        self._is_aborted = True
        for file in list(self._uploads):
            discard_file(file)

    def put(self, name: str, data: bytes) -> None:
        """Write in one request."""
        check_small(len(data), self.url(name))
        with self._failing("write", name):
            self._write(self._key(name), data)

    def _write(self, key: str, data: bytes) -> None:
        self._fs.pipe_file(key, data)

    def get(self, name: str) -> bytes | None:
        """Return the object's bytes, None where there is none."""
        with self._failing("read", name):
            key = self._key(name)
            try:
                check_small(self._size(key), self.url(name))
                data: bytes = self._fs.cat_file(key)
            except FileNotFoundError:
                return None
            return data

    def read(self, name: str) -> tuple[bytes | None, Version]:
        """Return the object's bytes, which are their own version."""
        data = self.get(name)
        return data, data

    def swap(self, name: str, data: bytes, version: Version) -> bool:
        """Read, compare and write while holding a lease, which is weaker than what the store itself would check."""
        return swap_by_lease(self, name, data, version)

    def can_swap(self) -> bool:
        """Return False: fsspec knows no conditions that all stores have."""
        return False

    def chunks(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield bytes of the object, a request for each piece: files opened by fsspec read far ahead."""
        with self._failing("read", name):
            key = self._key(name)
            end = self._size(key) if length is None else offset + length
            for start in range(offset, end, READ_BLOCK):
                stop = min(start + READ_BLOCK, end)
                data = self._fs.cat_file(key, start=start, end=stop)
                if start + len(data) != stop:
                    raise DestinationError(f"{self.url(name)} has {start + len(data)} bytes, not {end}")
                yield data

    def _size(self, key: str) -> int:
        self._fs.invalidate_cache()
        return self._fs.info(key)["size"] or 0

    def copy(self, source: str, target: str) -> None:
        """Copy the object, by the store itself."""
        with self._failing("write", target):
            self._fs.invalidate_cache()
            self._fs.cp_file(self._key(source), self._key(target))

    def join(self, target: str, pieces: Sequence[Piece]) -> None:
        """Write all pieces anew."""
        join_by_writing(self, target, pieces)

    def delete(self, name: str) -> None:
        """Remove the object, if it is there."""
        with self._failing("delete", name), suppress(FileNotFoundError):
            self._fs.rm_file(self._key(name))

    def delete_all(self, names: Iterable[str]) -> None:
        """Remove one after the other."""
        for name in names:
            self.delete(name)

    def listing(self, folder: str = "") -> tuple[dict[str, int], list[str]]:
        """Return the objects right under the prefix, with their sizes, and the common prefixes there."""
        entries = self._list(folder)
        return (
            {entry.name: entry.size_bytes for entry in entries if not entry.is_folder},
            [entry.name for entry in entries if entry.is_folder],
        )

    def files(self, folder: str = "") -> dict[str, int]:
        """Return names and sizes of the objects right under the prefix."""
        return self.listing(folder)[0]

    def folders(self, folder: str = "") -> list[str]:
        """Return the common prefixes right under the prefix."""
        return self.listing(folder)[1]

    def _list(self, folder: str) -> list[Entry]:
        key = self._key(folder)
        with self._failing("list", folder):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(key, detail=True)
            except FileNotFoundError:
                return []
        return [
            Entry(item["name"].rstrip("/").rpartition("/")[2], item["size"] or 0, item["type"] == "directory")
            for item in found
            # An object that has the folder's own name, or stands for the folder, is not in it.
            if item["name"].strip("/") != key.strip("/")
        ]

    def links(self, folder: str = "") -> list[str]:  # noqa: ARG002, RUF100
        """Return none: object stores know no links."""
        return []

    def modified(self, folder: str = "") -> dict[str, datetime]:
        """Return modification times of all objects below the prefix, in one listing."""
        key = self._key(folder)
        with self._failing("list", folder):
            found = self._modified(key)
        start = len(key.strip("/")) + 1
        # An object that has the folder's own name, or stands for a folder, is none of its files. Keys may have empty
        # segments, which no export writes: they are no reason not to find the others.
        return {name: time for path, time in found.items() if (name := path.strip("/")[start:]) and is_name(name)}

    def _modified(self, key: str) -> dict[str, datetime]:
        self._fs.invalidate_cache()
        return {path: _time(item) for path, item in self._fs.find(key, detail=True).items()}

    def newest(self, folder: str = "") -> datetime | None:
        """Return the latest modification time of an object below the prefix."""
        return max(self.modified(folder).values(), default=None)

    def remove_folder(self, folder: str = "") -> None:
        """Do nothing: a prefix without objects does not exist."""

    def _run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        from fsspec.asyn import sync  # noqa: PLC0415 - only needed here

        return sync(self._fs.loop, function, *args, **kwargs)


def _time(item: dict[str, Any]) -> datetime:
    time = next(item[name] for name in _MODIFIED if name in item)
    return time.astimezone(UTC) if isinstance(time, datetime) else datetime.fromtimestamp(time, UTC)


class ConditionalStore(FsspecStore, ABC):
    """An object store that writes on condition that an object's version is still the same.

    A subclass says how, in two requests: ``_read`` raises FileNotFoundError where there is no object, and reads no more
    of one than shows that it is larger than ``LARGEST_SMALL_FILE``; ``_write_if`` raises anything where the condition
    does not hold; its version is None for "there is none".
    """

    #: S3, Google Cloud Storage and Azure have the same.
    _longest_key = 1_024

    def get(self, name: str) -> bytes | None:
        """Return the object's bytes, None where there is none."""
        data, _ = self.read(name)
        return data

    def read(self, name: str) -> tuple[bytes | None, Version]:
        """Return the object's bytes and version, of one response."""
        with self._failing("read", name):
            try:
                data, version = self._run(self._read, self._key(name))
            except FileNotFoundError:
                return None, None
            check_small(len(data), self.url(name))
            return data, version

    def swap(self, name: str, data: bytes, version: Version) -> bool:
        """Write on condition, which the store itself checks."""
        check_small(len(data), self.url(name))
        if not self.can_swap():
            return super().swap(name, data, version)
        with self._failing("write", name):
            try:
                self._run(self._write_if, self._key(name), data, version)
            except Exception as error:
                # Refused, or done and the response was lost: what the store holds now tells.
                found, now = self.read(name)
                if found == data or now != version:
                    return found == data
                if not self._lacks_condition(error):
                    raise
                log.warning("The store does not know a condition on %s: a lease takes its place", self.url(name))
                return super().swap(name, data, version)
        return True

    def _lacks_condition(self, error: Exception) -> bool:
        """Return whether the store says that it does not know a condition."""
        return False

    def can_swap(self) -> bool:
        """Return True."""
        return True

    def delete_all(self, names: Iterable[str]) -> None:
        """Remove several at a time, a request for each."""
        side_by_side(self.delete, names)

    @abstractmethod
    async def _read(self, key: str) -> tuple[bytes, Version]: ...

    @abstractmethod
    async def _write_if(self, key: str, data: bytes, version: Version) -> None: ...
