"""Compare-and-swap for stores that have none: a file says who may write, for a limited time.

This is weaker than a condition that the store itself checks. It holds as long as a request takes less than
:data:`SETTLE_S`, and a write less than half of :data:`LEASE_S`; a store that is slower may lose an update. It needs
no clocks that agree: who waits for a lease measures by its own clock how long that has not changed.
"""

from __future__ import annotations

import time
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError

if TYPE_CHECKING:
    from airflow_provider_honeyhive.storage.base import Store, Version

#: Seconds after which a lease that has not changed counts as left by a process that died.
LEASE_S = 60.0
#: Seconds between writing a lease and looking whether another writer has overwritten it.
SETTLE_S = 2.0
#: Seconds between two looks at the lease of another writer.
POLL_S = 0.5
#: Seconds after which a writer that never got the lease gives up.
PATIENCE_S = 10 * LEASE_S


def lease_name(name: str) -> str:
    """Return the name of the lease on a file."""
    folder, slash, leaf = name.rpartition("/")
    return f"{folder}{slash}_lease-{leaf.lstrip('_')}"


def swap_by_lease(store: Store, name: str, data: bytes, version: Version) -> bool:
    """Read, compare and write while holding the lease on a file; see ``Store.swap``.

    :raises DestinationError: this writer lost its lease before it wrote, or never got it.
    """
    lease = lease_name(name)
    mine = uuid.uuid4().hex.encode()
    since = _acquire(store, lease, mine)
    try:
        found, now = store.read(name)
        if now != version:
            return found == data
        if store.get(lease) != mine or time.monotonic() - since > LEASE_S / 2:
            raise DestinationError(
                f"cannot write {store.url(name)}: its lease was lost, as the store is slow. Try again"
            )
        store.put(name, data)
        return True
    finally:
        # Where it must stay, others wait until it counts as left.
        with suppress(DestinationAccessError):
            if store.get(lease) == mine:
                store.delete(lease)


def _acquire(store: Store, lease: str, mine: bytes) -> float:
    """Wait until the lease is this writer's; return since when."""
    begun = time.monotonic()
    seen, unchanged_since = store.get(lease), begun
    while time.monotonic() - begun < PATIENCE_S:
        if seen is None or time.monotonic() - unchanged_since > LEASE_S:
            since = time.monotonic()
            store.put(lease, mine)
            # All who saw it free have written theirs by then, and the last one to write has it.
            time.sleep(SETTLE_S)
            if (seen := store.get(lease)) == mine:
                return since
            unchanged_since = time.monotonic()
        else:
            time.sleep(POLL_S)
            if (found := store.get(lease)) != seen:
                seen, unchanged_since = found, time.monotonic()
    raise DestinationError(f"cannot get the lease {store.url(lease)}: other writers hold it, one after the other")
