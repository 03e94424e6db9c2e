"""What puts files together of pieces, whatever the store is."""

from __future__ import annotations

from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, TypeVar

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import StoredPiece

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from airflow_provider_honeyhive.storage.base import Piece, Store

#: Requests to a store that are under way at a time.
AT_ONCE = 8

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def bytes_of(store: Store, piece: Piece) -> Iterator[bytes]:
    """Yield the bytes of a piece, wherever it is.

    :raises DestinationError: they are more or fewer than its size.
    """
    if isinstance(piece, StoredPiece):
        yield from store.chunks(piece.name, 0, piece.size_bytes)
        return
    size = 0
    for chunk in piece.chunks():
        size += len(chunk)
        yield chunk
    check_size(size, piece.size_bytes)


def check_size(size_bytes: int, expected_bytes: int) -> None:
    """Refuse to put a file together of what is not all there.

    :raises DestinationError: the sizes differ.
    """
    if size_bytes != expected_bytes:
        raise DestinationError(
            "try again, which writes the file anew: a piece of it on this machine is not what it was",
            f"it has {size_bytes:,} bytes, not {expected_bytes:,}",
        )


def join_by_writing(store: Store, target: str, pieces: Sequence[Piece]) -> None:
    """Write a file of pieces, all bytes of which travel; see ``Store.join``."""
    with store.create(target) as sink:
        for piece in pieces:
            for chunk in bytes_of(store, piece):
                sink.write(chunk)


def side_by_side(function: Callable[[_Item], _Result], items: Iterable[_Item], at_once: int = AT_ONCE) -> list[_Result]:
    """Call a function for each item, and return what it returned, in the order of the items.

    After an error no further call begins, and the error is raised once those under way have ended.
    """
    pool = ThreadPoolExecutor(at_once)
    try:
        calls = [pool.submit(function, item) for item in items]
        for call in wait(calls, return_when=FIRST_EXCEPTION).done:
            call.result()
        return [call.result() for call in calls]
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
