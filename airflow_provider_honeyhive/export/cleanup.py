"""Removes what exports and builds that failed for good have left; nothing else removes what belongs to others."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from airflow_provider_honeyhive.export.recovery import Current, finish, manifest_of, read_commits
from airflow_provider_honeyhive.export.shards import is_shard_file, remove_shards
from airflow_provider_honeyhive.models.layout import is_shards_folder, is_staged, is_staging
from airflow_provider_honeyhive.storage.local import is_temporary
from airflow_provider_honeyhive.storage.paths import open_store


class Leftover(NamedTuple):
    """A staging folder, a folder of shards, or a temporary file.

    :param name: relative to where it was looked for.
    :param newest: when a file in it was last modified.
    """

    name: str
    newest: datetime


def find_leftovers(path: Any, older_than: timedelta) -> list[Leftover]:
    """Return what exports and builds have left at a path and at any depth below it, none of it younger.

    No symbolic link is followed, and what only begins as the names of exports do is nobody's leftover.

    :param path: path-like, a folder.
    :param older_than: age of the newest file, at the least.
    :raises DestinationError: the folder cannot be listed.
    """
    newest: dict[str, datetime] = {}
    for name, modified in open_store(path).modified().items():
        leftover = _leftover_of(name)
        if leftover is not None:
            newest[leftover] = max(modified, newest.get(leftover, modified))
    before = datetime.now(UTC) - older_than
    return [Leftover(name, time) for name, time in sorted(newest.items()) if time < before]


def find_links(path: Any) -> list[str]:
    """Return the symbolic links at any depth below a path: what is behind them was not looked at.

    :param path: path-like, a folder.
    :raises DestinationError: the folder cannot be listed.
    """
    return open_store(path).links()


def _leftover_of(name: str) -> str | None:
    """Return the leftover that a file belongs to, None where it belongs to none."""
    *folders, last = name.split("/")
    for depth, folder in enumerate(folders, 1):
        if is_shards_folder(folder) and is_shard_file("/".join((*folders[depth:], last))):
            return "/".join(folders[:depth])
    if folders and is_staging(folders[-1]) and (is_staged(last) or is_temporary(last)):
        return "/".join(folders)
    return name if is_temporary(last) else None


def remove_leftover(path: Any, leftover: Leftover) -> None:
    """Remove a leftover, and the data files that its writers had placed; none that a manifest names.

    :param path: where it was looked for.
    :raises DestinationError: the store fails.
    """
    parent, _, name = leftover.name.rpartition("/")
    store = open_store(path).below(parent)
    if is_temporary(name):
        store.delete(name)
    elif is_shards_folder(name):
        remove_shards(store, name)
    else:
        manifest_name = manifest_of(read_commits(store, name))
        finish(store, manifest_name, [name], Current.read(store, manifest_name), must_delete=True)
