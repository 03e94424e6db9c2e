"""Store, Sink; errors without secrets."""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, TypeAlias

from airflow_provider_honeyhive.display import get_logger, place_of, shown
from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError
from airflow_provider_honeyhive.models.layout import LARGEST_FILE, LONGEST_NAME
from airflow_provider_honeyhive.storage.denials import is_denied, lacks_credentials

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from datetime import datetime


#: Characters of a store's own message in an error.
LONGEST_REASON = 400

log = get_logger(__name__)


#: What to do about missing credentials or rights, where nothing more is known.
OTHER_CREDENTIALS = "give credentials that may do this by output_conn_id"


@contextmanager
def failing(what: str, where: str, remedy: str = OTHER_CREDENTIALS) -> Iterator[None]:
    """Turn what a store raises into an error that says what could not be done, and where.

    :param what: a verb.
    :param where: a path or URL.
    :param remedy: what to do where a right is missing.
    :raises DestinationAccessError: a right is missing, or credentials are wrong.
    :raises DestinationError: something else was raised inside, also that there are no credentials.
    """
    try:
        yield
    except DestinationError:
        raise
    except Exception as error:  # noqa: BLE001 - each store has its own tree of errors
        kind = type(error).__name__
        log.debug("Cannot %s %s: %s was raised at %s", what, where, kind, place_of(error))
        text = f"cannot {what} {where}: {kind}: {_reason(error)}"
        # Without the original, whose text may hold a signature or a password: Airflow's log shows those that follow.
        if lacks_credentials(error):
            raise DestinationError(
                "no credentials were found: give some by output_conn_id, or try again", text
            ) from None
        if is_denied(error):
            raise DestinationAccessError(f"access denied: {remedy}", text) from None
        raise DestinationError(text) from None


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return shown("; ".join(part.strip() for part in text.splitlines() if part.strip()), LONGEST_REASON)


#: Bytes that an upload holds in memory before they go out as one part of it.
UPLOAD_BLOCK = 8 * 1024**2

#: Bytes that a read holds in memory at once.
READ_BLOCK = 4 * 1024**2

#: Bytes of a small file, which is read and written as a whole.
LARGEST_SMALL_FILE = LARGEST_FILE


def segments_of(name: str) -> tuple[str, ...]:
    """Return the segments of a name that is given to a store, none for its folder itself.

    :raises DestinationError: the name could lead out of the folder.
    """
    segments = tuple(name.split("/")) if name else ()
    if not is_name(name):
        raise DestinationError(
            f"{shown(repr(name), LONGEST_REASON)} cannot be the name of a file in a destination: it must be relative, "
            f"of at most {LONGEST_NAME} characters, without empty segments, '.', '..' and NUL"
        )
    return segments


def is_name(name: str) -> bool:
    """Return whether a store can be given a name: others may have made files there that have none such."""
    parts = name.split("/") if name else ()
    return "\0" not in name and len(name) <= LONGEST_NAME and {"", ".", ".."}.isdisjoint(parts)


def check_small(size_bytes: int, where: str) -> None:
    """Refuse what is too large to be read and written as a whole.

    :param where: path or URL of the file.
    :raises DestinationError: it has more than :data:`LARGEST_SMALL_FILE` bytes.
    """
    if size_bytes > LARGEST_SMALL_FILE:
        raise DestinationError(
            "move a file away that is too large for one of this provider",
            f"{where} is too large: manifests and checkpoints have at most {LARGEST_SMALL_FILE} bytes",
        )


#: Identifies the content of a file, in terms that only its store knows; "there is no such file" is a version, too.
Version = Hashable


class Sink(Protocol):
    """A file being written."""

    def write(self, data: bytes, /) -> Any:
        """Append ``data``."""


class StoredPiece(NamedTuple):
    """A piece of a file that is in the store already, made by ``create(name, piece_of=...)``.

    :param name: of the piece.
    :param size_bytes: of it.
    """

    name: str
    size_bytes: int


class LocalPiece(Protocol):
    """A piece of a file that this process still holds."""

    @property
    def size_bytes(self) -> int:
        """Number of its bytes."""

    def chunks(self) -> Iterator[bytes]:
        """Yield its bytes, from the first one at each call."""


Piece: TypeAlias = StoredPiece | LocalPiece


class GuardedSink:
    """Tells errors of the store from errors of whoever writes.

    :param file: of the store.
    :param where: its path or URL.
    :param remedy: see :func:`failing`.
    :param block: most bytes to give to the file at once.
    """

    def __init__(self, file: Any, where: str, remedy: str, block: int = UPLOAD_BLOCK) -> None:
        self._file = file
        self._where = where
        self._remedy = remedy
        self._block = block

    def write(self, data: bytes) -> None:
        """Append ``data``."""
        view = memoryview(data)
        with failing("write", self._where, self._remedy):
            for start in range(0, len(view), self._block):
                self._file.write(view[start : start + self._block])


class Store(Protocol):
    """A folder, and the files below it by their names relative to it.

    Every method raises :class:`~airflow_provider_honeyhive.exceptions.DestinationError` where the store fails, where a
    name could lead out of the folder, and where a symbolic link is in the way: none is followed. A small file has at
    most :data:`LARGEST_SMALL_FILE` bytes; a larger one is neither written nor read.
    """

    #: Whether reading a file again costs next to nothing.
    reads_cheaply: bool

    #: Whether it takes the right to delete a file to overwrite it.
    overwrites_by_deleting: bool

    #: Whether :meth:`join` lets the store itself put pieces together, so that their bytes do not travel again.
    joins: bool

    def url(self, name: str = "") -> str:
        """Return where ``name`` is, as a user would write it."""

    def below(self, folder: str) -> Store:
        """Return the store of a folder in this one."""

    def length_problem(self, name: str) -> str | None:
        """Return why the store takes no file of such a length of name, None where it does."""

    def create(self, name: str, *, piece_of: str | None = None) -> AbstractContextManager[Sink]:
        """Open ``name`` for writing; it shows whole at the end, and not at all after an exception inside.

        :param piece_of: the file that it becomes a piece of. Such a piece is good for nothing but :meth:`join` into
            that file, and for :meth:`delete`; :meth:`files` lists it with its own size.
        """

    def join(self, target: str, pieces: Sequence[Piece]) -> None:
        """Let ``target`` be these pieces one after the other, whole or not at all, replacing what has that name.

        Pieces in the store stay as they are. Where not :attr:`joins`, all bytes are read and written again.

        :param pieces: those in the store were made with ``target`` as their ``piece_of``; with another file, their
            bytes may travel again, and what there is of that file may show.
        """

    def put(self, name: str, data: bytes) -> None:
        """Write a small file, visible whole or not at all, replacing what has that name."""

    def get(self, name: str) -> bytes | None:
        """Return a small file's bytes, None where there is none."""

    def read(self, name: str) -> tuple[bytes | None, Version]:
        """Return a small file's bytes, None where there is none, and the version for :meth:`swap`."""

    def swap(self, name: str, data: bytes, version: Version) -> bool:
        """Write a small file if its version is still the one that was read, in one atomic step (compare-and-swap).

        After an error the file may have been written or not: the response may have been lost. :meth:`read` tells.

        :param data: unique to its writer: where the file holds just this, this writer has written it.
        :param version: from :meth:`read`.
        :return: whether the file holds ``data`` now; False: another writer has changed or removed it, or made it.
        """

    def can_swap(self) -> bool:
        """Return whether :meth:`swap` is atomic here; where it is not, a lease makes a lost update unlikely.

        It takes one request at most, and writes nothing that stays.
        """

    def chunks(self, name: str, offset: int = 0, length: int | None = None) -> Iterator[bytes]:
        """Yield bytes of a file in pieces of at most :data:`READ_BLOCK` bytes.

        :param offset: the first byte.
        :param length: number of bytes; None: all to the end. A file that has fewer is an error.
        """

    def copy(self, source: str, target: str) -> None:
        """Let ``target`` be what ``source`` is, whole or not at all, replacing what has that name."""

    def delete(self, name: str) -> None:
        """Remove a file, if it is there."""

    def delete_all(self, names: Iterable[str]) -> None:
        """Remove files, those that are there, in as few requests as the store allows."""

    def listing(self, folder: str = "") -> tuple[dict[str, int], list[str]]:
        """Return what :meth:`files` and :meth:`folders` return, of one listing."""

    def files(self, folder: str = "") -> dict[str, int]:
        """Return the files right in ``folder``: names relative to it, and sizes in bytes."""

    def folders(self, folder: str = "") -> list[str]:
        """Return the names of the folders right in ``folder``."""

    def links(self, folder: str = "") -> list[str]:
        """Return the symbolic links in ``folder`` and below it, which are no files and no folders.

        :returns: names relative to ``folder``.
        """

    def modified(self, folder: str = "") -> dict[str, datetime]:
        """Return the files in ``folder`` and below it: names relative to it, and when each was last modified (UTC).

        Object stores list them in pages, however many folders they lie in.
        """

    def newest(self, folder: str = "") -> datetime | None:
        """Return when a file in ``folder`` or below it was last modified (UTC), None where there is no file."""

    def abort(self) -> None:
        """Throw away what is being written, for those who cannot do it themselves any more.

        Object stores begin no upload after that; files may be copied, put and deleted.
        """

    def remove_folder(self, folder: str = "") -> None:
        """Remove ``folder`` if nothing is left in it, where the store has folders at all."""


def files_in(store: Store, folders: Iterable[str]) -> set[str]:
    """Return the names, relative to the store, of the files right in some of its folders.

    :param folders: relative to the store; empty: the store's own folder.
    :raises DestinationError: the store fails.
    """
    return {f"{folder}/{name}" if folder else name for folder in folders for name in store.files(folder)}
