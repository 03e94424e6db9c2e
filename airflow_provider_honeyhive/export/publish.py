"""From staged files to a published export: everything under its final name, then the manifest, or nothing.

The order is what makes it safe. Data files get names made of their content, so they stand beside an earlier
run's until the manifest, written in one request, says which ones count; then the earlier ones go. Staged
files stay until the very end, so that a retry after any kind of death does the same again. A lock, see
:mod:`.lock`, keeps two exports from publishing to one place at the same time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.destination import task_of
from airflow_provider_honeyhive.export.lock import PublishLock

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_honeyhive.export.assembly import AssembledFile
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.manifest import Manifest


log = logging.getLogger(__name__)


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
    with PublishLock(place, task_of(manifest)) as lock:
        place.claim(manifest, replace=replace)
        _put_in_place(place, finals, manifest, lock)
        place.sweep(manifest)
    place.clear_all_staging()
    return manifest.placed(place.store, place.layout.manifest_name)


def _put_in_place(place: Destination, finals: dict[str, PartFile], manifest: Manifest, lock: PublishLock) -> None:
    backup = _back_up(place) if finals else None
    before = place.store.get(place.layout.manifest_name)
    placed: list[str] = []
    try:
        for source, final in finals.items():
            placed.append(final.path)
            place.store.copy(source, final.path)
        if not lock.is_held:
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
