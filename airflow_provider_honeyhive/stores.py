"""Files in a folder of any store: what must be atomic is, and what fails says where.

Two kinds, told apart once: the local file system, where a rename publishes, and everything that fsspec
reaches, where an upload or a copy shows when it is complete.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_honeyhive.azure_store import AzureStore
from airflow_provider_honeyhive.fsspec_store import READ_BLOCK, UPLOAD_BLOCK, FsspecStore
from airflow_provider_honeyhive.local_store import TEMPORARY_PREFIX, LocalStore
from airflow_provider_honeyhive.store_errors import failing

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = [
    "READ_BLOCK",
    "TEMPORARY_PREFIX",
    "UPLOAD_BLOCK",
    "AzureStore",
    "FsspecStore",
    "LocalStore",
    "Sink",
    "Store",
    "as_path",
    "open_store",
]

_LOCAL_PROTOCOLS = {"file", "local"}
_AZURE_PROTOCOLS = {"abfs", "abfss", "adl", "az"}


class Sink(Protocol):
    """A file being written."""

    def write(self, data: bytes, /) -> Any:
        """Append ``data``."""


class Store(Protocol):
    """A folder, and the files below it by their names relative to it.

    Every method raises :class:`~airflow_provider_honeyhive.exceptions.DestinationError` where the store fails.
    """

    #: Whether reading a file again costs next to nothing.
    reads_cheaply: bool

    def url(self, name: str = "") -> str:
        """Return where ``name`` is, as a user would write it."""

    def create(self, name: str) -> AbstractContextManager[Sink]:
        """Open ``name`` for writing; it shows whole at the end, and not at all after an exception inside."""

    def put(self, name: str, data: bytes) -> None:
        """Write a small file, visible whole or not at all, replacing what has that name."""

    def put_new(self, name: str, data: bytes) -> bool:
        """Write a small file unless there is one of that name; return whether it was written."""

    def get(self, name: str) -> bytes | None:
        """Return a small file's bytes, None where there is none."""

    def chunks(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield bytes of a file in pieces of at most :data:`READ_BLOCK` bytes.

        :param offset: the first byte.
        :param length: number of bytes; None: all to the end. A file that has fewer is an error.
        """

    def copy(self, source: str, target: str) -> None:
        """Let ``target`` be what ``source`` is, whole or not at all, replacing what has that name."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    def files(self, folder: str = "") -> dict[str, int]:
        """Return the files right in ``folder``: names relative to it, and sizes in bytes."""

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders right in ``folder``."""

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
    :raises DestinationError: the path's connection or its driver is not there, or does not work.
    """
    url = _without_user(path)
    with failing("open", url):
        # The first look at it connects.
        fs = getattr(path, "fs", None)
    if fs is None:
        return LocalStore(Path(path))
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if protocols & _LOCAL_PROTOCOLS:
        return LocalStore(Path(path.path))
    return (AzureStore if protocols & _AZURE_PROTOCOLS else FsspecStore)(fs, path.path, url)


def _without_user(path: Any) -> str:
    """Return the path as a text, without the connection id that Airflow writes into it, and without passwords."""
    scheme, separator, rest = str(path).partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if not at or (scheme in _AZURE_PROTOCOLS and not getattr(path, "conn_id", None)):
        # abfs://container@account is no user.
        return str(path)
    return f"{scheme}{separator}{rest.removeprefix(f'{user}@')}"
