"""From staged files to a published export: everything under its final name, then the manifest, or nothing.

The order is what makes it safe. Data files get names made of their content, so they stand beside an earlier
run's until the manifest, written in one request, says which ones count; then the earlier ones go. Staged
files stay until the very end, so that a retry after any kind of death does the same again. A lock keeps two
exports from publishing to one place at the same time.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.destination import task_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_honeyhive.export.assembly import AssembledFile
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.manifest import Manifest


log = logging.getLogger(__name__)

#: Seconds after which the lock of somebody else counts as left by one that died.
LOCK_S = 3600.0


def publish(
    place: Destination,
    files: Sequence[AssembledFile],
    build: Callable[[list[PartFile]], Manifest],
    *,
    replace: bool,
) -> Manifest:
    """Give files their final names, write the manifest, and remove an earlier run's files.

    :param place: where to.
    :param files: the data files under their present names, in the order in which they are to be read.
    :param build: makes the manifest of the final files.
    :param replace: as for :meth:`.Destination.claim`, which is asked again: reading takes time.
    :raises DestinationError: the earlier export is still, or again, in place.
    """
    finals = {
        file.part.path: file.part.model_copy(
            update={"path": place.layout.part_name(number, file.part.sha256, file.partition)}
        )
        for number, file in enumerate(files)
    }
    manifest = build(list(finals.values()))
    with _locked(place, manifest):
        place.claim(manifest, replace=replace)
        _put_in_place(place, finals, manifest)
        place.sweep(manifest)
    place.clear_all_staging()
    return manifest.placed(place.store, place.layout.manifest_name)


@contextmanager
def _locked(place: Destination, manifest: Manifest) -> Iterator[None]:
    lock = _lock_name(place)
    mine = json.dumps(
        {"staging": place.staging, "writer": place.writer, "task": task_of(manifest), "since": time.time()}
    ).encode()
    if not place.store.put_new(lock, mine):
        held = _holder(place)
        if held.get("staging") != place.staging and time.time() - held.get("since", 0) < LOCK_S:
            raise DestinationError(
                f"{held.get('task')} is publishing to {place.url()} at the same time; this one leaves it alone"
            )
        # Of an earlier try of this export, or of one that died long ago.
        place.store.put(lock, mine)
    try:
        yield
    finally:
        if _holder(place).get("writer") == place.writer:
            place.store.delete(lock)


def _lock_name(place: Destination) -> str:
    return f"_publishing-{place.layout.manifest_name.lstrip('_')}"


def _holder(place: Destination) -> dict[str, Any]:
    try:
        held = json.loads(place.store.get(_lock_name(place)) or b"{}")
    except ValueError:
        return {}
    return held if isinstance(held, dict) else {}


def _put_in_place(place: Destination, finals: dict[str, PartFile], manifest: Manifest) -> None:
    backup = _back_up(place) if finals else None
    before = place.store.get(place.layout.manifest_name)
    placed: list[str] = []
    try:
        for source, final in finals.items():
            placed.append(final.path)
            place.store.copy(source, final.path)
        if _holder(place).get("writer") != place.writer:
            raise DestinationError(f"another try of this export has begun to publish to {place.url()}")
        place.store.put(place.layout.manifest_name, manifest.to_json())
    except BaseException:
        # A store may do what it was asked and fail to say so: then the manifest stands, and so must its files.
        if _manifest_is(place, before):
            _take_back(place, placed, backup)
        raise
    if not manifest.sizes.items() <= place.data_files().items():
        if before is not None:
            place.store.put(place.layout.manifest_name, before)
        raise DestinationError(f"files of this export were removed from {place.url()} while it published them")


def _manifest_is(place: Destination, before: bytes | None) -> bool:
    try:
        return place.store.get(place.layout.manifest_name) == before
    except DestinationError:
        return False


def _back_up(place: Destination) -> str | None:
    # Only one object has to overwrite its predecessor; parts never share a name with different content.
    name = place.layout.object_name
    if name is None or name not in place.store.files():
        return None
    backup = f"{place.staging}/backup"
    place.store.copy(name, backup)
    return backup


def _take_back(place: Destination, placed: Sequence[str], backup: str | None) -> None:
    earlier = place.replaced.sizes if place.replaced else {}
    try:
        for name in placed:
            if backup is not None:
                place.store.copy(backup, name)
            elif name not in earlier:
                place.store.delete(name)
    except DestinationError:
        log.exception("Could not restore %s as it was before", place.url())
