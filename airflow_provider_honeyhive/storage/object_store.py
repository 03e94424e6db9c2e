"""A prefix of an object store that fsspec reaches: S3, Google Cloud Storage, and most others.

Facts behind it, tried on S3, Google Cloud Storage and Azure: an upload shows when it is complete. Leaving
``path.open("wb")`` by an exception completes it with what was written so far, and so does the end of the file
object's life, unless the file counts as closed. Listings are kept, and shown again after others have written.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import READ_BLOCK, UPLOAD_BLOCK, GuardedSink, failing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from airflow_provider_honeyhive.storage.base import Sink, Version


#: Those whose listings take an argument to ask the store anew. Dropping what is kept beforehand is not quite
#: enough: another thread's answer, older than what was written since, may come in between.
_REFRESHING_PROTOCOLS = {"gcs", "gs", "s3", "s3a"}


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
    """

    reads_cheaply = False

    def __init__(self, fs: Any, root: str, url: str) -> None:
        self._fs = fs
        self._root = root.rstrip("/")
        self._url = url.rstrip("/")
        self._uploads: set[Any] = set()
        protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
        self._refresh = {"refresh": True} if protocols & _REFRESHING_PROTOCOLS else {}

    def _key(self, name: str) -> str:
        return f"{self._root}/{name}" if name else self._root

    def url(self, name: str = "") -> str:
        """Return the URL."""
        return f"{self._url}/{name}" if name else self._url

    @contextmanager
    def create(self, name: str) -> Iterator[Sink]:
        """Open an upload; an exception inside aborts it."""
        with failing("create", self.url(name)):
            file = self._fs.open(self._key(name), "wb", block_size=UPLOAD_BLOCK)
        self._uploads.add(file)
        try:
            yield GuardedSink(file, self.url(name), UPLOAD_BLOCK)
            with failing("write", self.url(name)):
                if file.closed:
                    raise DestinationError(f"the upload of {self.url(name)} was aborted")
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
        # Before anything else can close the file, which would complete the upload with what it has.
        with suppress(Exception):
            file.discard()
        file.closed = True

    def put(self, name: str, data: bytes) -> None:
        """Write in one request."""
        with failing("write", self.url(name)):
            self._fs.pipe_file(self._key(name), data)

    def put_new(self, name: str, data: bytes) -> bool:
        """Write on condition that there is none, which the store itself checks."""
        with failing("write", self.url(name)):
            try:
                self._fs.pipe_file(self._key(name), data, mode="create")
            except FileExistsError:
                return False
        return True

    def get(self, name: str) -> bytes | None:
        """Return the object's bytes, None where there is none."""
        with failing("read", self.url(name)):
            try:
                data: bytes = self._fs.cat_file(self._key(name))
            except FileNotFoundError:
                return None
            return data

    def read(self, name: str) -> tuple[bytes | None, Version]:
        """Return the object's bytes, which are their own version."""
        data = self.get(name)
        return data, data

    def swap(self, name: str, data: bytes, version: Version) -> bool:
        """Compare, then write: two steps."""
        found = self.get(name)
        if found != version:
            return found == data
        self.put(name, data)
        return True

    def can_swap(self) -> bool:
        """Return False."""
        return False

    def chunks(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield bytes of the object, a request for each piece: files opened by fsspec read far ahead."""
        key = self._key(name)
        with failing("read", self.url(name)):
            end = self._size(key) if length is None else offset + length
            for start in range(offset, end, READ_BLOCK):
                stop = min(start + READ_BLOCK, end)
                data = self._fs.cat_file(key, start=start, end=stop)
                if start + len(data) != stop:
                    raise DestinationError(f"{self.url(name)} has {start + len(data)} bytes, not {end}")
                yield data

    def _size(self, key: str) -> int:
        self._fs.invalidate_cache()
        size: int = self._fs.info(key)["size"]
        return size

    def copy(self, source: str, target: str) -> None:
        """Copy the object, by the store itself."""
        with failing("write", self.url(target)):
            self._fs.invalidate_cache()
            self._fs.cp_file(self._key(source), self._key(target))

    def delete(self, name: str) -> None:
        """Remove the object, if it is there."""
        with failing("delete", self.url(name)), suppress(FileNotFoundError):
            self._fs.rm_file(self._key(name))

    def files(self, folder: str = "") -> dict[str, int]:
        """Return names and sizes of the objects right under the prefix."""
        return {entry.name: entry.size_bytes for entry in self._list(folder) if not entry.is_folder}

    def folders(self, folder: str = "") -> list[str]:
        """Return the common prefixes right under the prefix."""
        return [entry.name for entry in self._list(folder) if entry.is_folder]

    def _list(self, folder: str) -> list[Entry]:
        key = self._key(folder)
        with failing("list", self.url(folder)):
            self._fs.invalidate_cache()
            try:
                found = self._fs.ls(key, detail=True, **self._refresh)
            except FileNotFoundError:
                return []
        return [
            Entry(item["name"].rstrip("/").rpartition("/")[2], item["size"] or 0, item["type"] == "directory")
            for item in found
            # An object that has the folder's own name, or stands for the folder, is not in it.
            if item["name"].strip("/") != key.strip("/")
        ]

    def newest(self, folder: str = "") -> datetime | None:
        """Return the latest modification time of an object below the prefix."""
        with failing("list", self.url(folder)):
            self._fs.invalidate_cache()
            found = self._fs.find(self._key(folder), detail=True)
            return max((self._fs.modified(key) for key in found), default=None)

    def remove_folder(self, folder: str = "") -> None:
        """Do nothing: a prefix without objects does not exist."""
