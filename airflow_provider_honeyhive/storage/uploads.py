"""An upload that holds its first bytes back until it is known whether it is small."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


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
