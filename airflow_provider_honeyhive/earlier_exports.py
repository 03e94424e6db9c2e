"""Finds the exports below a folder, by their manifests."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.layout import MANIFEST_NAME
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.verification import window_bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_honeyhive.stores import Store

log = logging.getLogger(__name__)

#: Folders that are looked at side by side: most of the time is waiting for the store.
LOOKED_AT_ONCE = 16
_HIDDEN = ("_", ".")


class Export(NamedTuple):
    """A published export.

    :param folder: relative to where it was looked for; empty: right there.
    :param start: of its window, in microseconds since 1970.
    :param end: of its window.
    """

    folder: str
    manifest: Manifest
    start: int
    end: int

    def path(self, name: str) -> str:
        """Return a file of the export, relative to where it was looked for."""
        return _join(self.folder, name)


def find_exports(store: Store, wanted: Callable[[Manifest], bool]) -> Iterator[Export]:
    """Yield the exports of windows in the store's folder, and in its folders at any depth.

    An export's own folders are not looked into, nor those whose names begin with ``_`` or a dot. It takes a request
    for each export, and two for each other folder.

    :param store: the folder.
    :param wanted: tells which of them to give; the others do not stay in memory.
    :raises DestinationError: the store cannot be read.
    """
    level = [""]
    with ThreadPoolExecutor(LOOKED_AT_ONCE, "honeyhive-look") as pool:
        while level:
            below: list[str] = []
            for export, folders in pool.map(partial(_look, store, wanted), level):
                below += folders
                if export is not None:
                    yield export
            level = below


def _look(store: Store, wanted: Callable[[Manifest], bool], folder: str) -> tuple[Export | None, list[str]]:
    data = store.get(_join(folder, MANIFEST_NAME))
    folders: list[str] = []
    if data is None or not folder:
        folders = [_join(folder, name) for name in store.folders(folder) if not name.startswith(_HIDDEN)]
    return None if data is None else _read(data, store.url(_join(folder, MANIFEST_NAME)), folder, wanted), folders


def _read(data: bytes, where: str, folder: str, wanted: Callable[[Manifest], bool]) -> Export | None:
    try:
        manifest = Manifest.from_json(data, where)
        bounds = window_bounds(manifest)
    except (DestinationError, ValueError):
        log.warning("%s is no manifest that can be read, so what it is about counts as not exported", where)
        return None
    if bounds is None or not wanted(manifest):
        return None
    return Export(folder, manifest, *bounds)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
