"""Uploads that hold their first bytes back until it is known whether they are small, and go out in blocks if not."""

from __future__ import annotations

import io
import tempfile
import weakref
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Callable

#: Bytes of a block that wait in memory; of a larger one all wait on the disk.
BYTES_IN_MEMORY = 256 * 1024


class Body(io.BufferedIOBase):
    """Bytes that wait in a temporary file until they go out from there, a few at a time.

    Drivers copy bytes that they are given at once, some of them several times. A file they read, and read again from
    its beginning where they try again; some close it in between, which therefore does nothing.
    """

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(BYTES_IN_MEMORY)  # noqa: SIM115 - closed with the body
        # After a failure nobody else does.
        self.free = weakref.finalize(self, self._file.close)
        self.size_bytes = 0

    def append(self, data: memoryview) -> None:
        """Add bytes at the end.

        :raises DestinationError: there is no room for a temporary file.
        """
        with temporary_space():
            self._file.seek(self.size_bytes)
            self._file.write(data)
        self.size_bytes += len(data)

    def drop(self, count: int) -> None:
        """Forget the first bytes."""
        with temporary_space():
            self._file.seek(count)
            rest = self._file.read()
            self._file.seek(0)
            self._file.truncate()
            self._file.write(rest)
        self.size_bytes = len(rest)

    def close(self) -> None:
        """Do nothing: whoever has made it may send it once more."""

    def __exit__(self, *_: object) -> None:
        self.free()

    def read(self, size: int | None = -1, /) -> bytes:
        """Return the next bytes."""
        return self._file.read(-1 if size is None else size)

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Go to a place."""
        self._file.seek(offset, whence)
        return self._file.tell()

    def tell(self) -> int:
        """Return the place."""
        return self._file.tell()

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True


class BlockUpload(Protocol):
    """An upload that a store takes in blocks."""

    def send(self, number: int, body: Body, /) -> Any:
        """Send a block, and return what completes the upload.

        :param number: of the block, from 1 on.
        """

    def complete(self, sent: list[Any], /) -> Any:
        """Let the file show, made of its blocks in order."""

    def discard(self) -> None:
        """Let the store throw the blocks away."""


class BlockFile:
    """A file that goes out in blocks of one size, or in one request where it has fewer bytes than one block.

    :param begin: begins the upload in blocks.
    :param put_small: writes all in one request; None: a block is needed even so.
    :param block: bytes of a block.
    """

    def __init__(
        self, begin: Callable[[], BlockUpload], put_small: Callable[[Body], object] | None, block: int
    ) -> None:
        self.closed = False
        self._begin = begin
        self._put_small = put_small
        self._block = block
        self._body = Body()
        self._upload: BlockUpload | None = None
        self._sent: list[Any] = []

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        rest = memoryview(data)
        while rest:
            self._check_open()
            room = self._block - self._body.size_bytes
            self._body.append(rest[:room])
            rest = rest[room:]
            if self._body.size_bytes == self._block:
                self._send(self._upload or self._begin())

    def _send(self, upload: BlockUpload) -> None:
        self._upload = upload
        self._check_open()
        self._body.seek(0)
        self._sent.append(upload.send(len(self._sent) + 1, self._body))
        self._body.drop(self._body.size_bytes)

    def close(self) -> None:
        """Complete the upload."""
        self._check_open()
        if self._upload is None and self._put_small is not None:
            self._body.seek(0)
            self._put_small(self._body)
        else:
            upload = self._upload or self._begin()
            if self._body.size_bytes:
                self._send(upload)
            self._check_open()
            upload.complete(self._sent)
        self.closed = True
        self._body.free()

    def discard(self) -> None:
        """Abort the upload."""
        self.closed = True
        if self._upload is not None:
            self._upload.discard()

    def _check_open(self) -> None:
        if self.closed:
            raise ValueError("the upload was aborted")


class SmallFirst:
    """A file that goes out in one request where it is small; drivers take two or three for an upload.

    :param open_large: begins an upload in blocks, and returns its file.
    :param put_small: writes all in one request.
    :param block: bytes from which on a file is large.
    """

    def __init__(self, open_large: Callable[[], Any], put_small: Callable[[bytes], Any], block: int) -> None:
        self.closed = False
        self._open_large = open_large
        self._put_small = put_small
        self._block = block
        self._held = bytearray()
        self._large: Any = None

    def write(self, data: bytes | memoryview) -> None:
        """Append ``data``."""
        if self.closed:
            raise ValueError("the upload was aborted")
        if self._large is None:
            if len(self._held) + len(data) < self._block:
                self._held += data
                return
            self._large = self._open_large()
            # Less than a block: the driver sends nothing yet, and what is held is gone from memory before it does.
            self._large.write(self._held)
            self._held = bytearray()
        self._large.write(data)

    def close(self) -> None:
        """Complete the upload."""
        if self._large is None:
            self._put_small(bytes(self._held))
        else:
            self._large.close()
        self.closed = True

    def discard(self) -> None:
        """Abort the upload."""
        self.closed = True
        if self._large is not None:
            discard_file(self._large)


def discard_file(file: Any) -> None:
    """Abort the upload of a driver's file, before anything else can close it: that completes it with what it has."""
    with suppress(Exception):
        file.discard()
    # Files in memory complete nothing when they are closed, and do not let themselves be marked.
    with suppress(AttributeError):
        file.closed = True


class Pending:
    """What stands for a file that is made in several requests, which others may abort in between."""

    def __init__(self) -> None:
        self.closed = False

    def discard(self) -> None:
        """Let no further request follow."""
        self.closed = True
