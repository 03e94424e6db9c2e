"""Finishes what writers that died have begun: completes an export whose manifest is in place, takes back all others.

A staging folder carries in its name the manifest that its writers are to replace. Once another manifest is in place,
none of them can publish any more, so all that they left may be removed. What they have placed outside of the folder,
and what is left to do where one of them did publish, they wrote down before: see :class:`Commit`.
"""

from __future__ import annotations

import hashlib
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.manifest import Manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_honeyhive.models.layout import Layout
    from airflow_provider_honeyhive.storage.base import Store, Version


#: Begins the names of what a writer has in a staging folder that only itself and the recovery may remove.
COMMIT_PREFIX = "commit-"


class Commit(BaseModel):
    """What one writer is about to publish, written before the first file gets its final name.

    :param manifest_name: name of its manifest.
    :param manifest_sha256: of the manifest's bytes.
    :param placed: names of the data files, which no other writer gives.
    :param replaced: names of the replaced manifest's data files that the new one does not name.
    :param source: name, in the staging folder, of what becomes the one object; None for a folder of parts.
    """

    model_config = ConfigDict(frozen=True)

    manifest_name: str
    manifest_sha256: str
    placed: list[str] = []
    replaced: list[str] = []
    source: str | None = None

    def is_of(self, manifest: bytes | None) -> bool:
        """Return whether this is the commit of a manifest."""
        return manifest is not None and self.manifest_sha256 == hashlib.sha256(manifest).hexdigest()


@dataclass(frozen=True, slots=True)
class Current:
    """The manifest of a place as it was read.

    :param data: its bytes, None where there is none.
    :param version: to swap it.
    :param manifest: what it says.
    """

    data: bytes | None
    version: Version
    manifest: Manifest | None

    @classmethod
    def read(cls, store: Store, name: str) -> Current:
        """Read the manifest of that name.

        :raises DestinationError: it cannot be read, or is none.
        """
        data, version = store.read(name)
        return cls(data, version, None if data is None else Manifest.from_json(data, store.url(name)))


def recover(store: Store, layout: Layout) -> Current:
    """Finish what dead writers of a place have begun, and return its manifest.

    :param store: the folder.
    :param layout: names in it.
    :raises DestinationError: the store fails, or what has the manifest's name is none.
    """
    # Before the manifest is read: a folder that is made later may be to replace a later manifest.
    folders = [name for name in store.folders() if name.startswith(layout.staging_prefix)]
    current = Current.read(store, layout.manifest_name)
    dead = [folder for folder in folders if layout.is_dead(folder, current.data)]
    finish(store, layout.object_name, dead, current)
    return current


def read_commits(store: Store, folder: str) -> list[Commit]:
    """Return what writers of a staging folder were about to publish."""
    found = []
    for name in store.files(folder):
        if name.startswith(COMMIT_PREFIX) and name.endswith(".json"):
            with suppress(ValidationError):
                found.append(Commit.model_validate_json(store.get(f"{folder}/{name}") or b""))
    return found


def finish(store: Store, object_name: str | None, folders: Sequence[str], current: Current) -> None:
    """Complete or take back what is in staging folders, and remove them.

    :param store: the folder that they are in.
    :param object_name: name of the one object, None where the place is a folder of parts.
    :param folders: staging folders from which nothing can be published any more.
    :param current: the manifest that is in place.
    """
    named = {} if current.manifest is None else current.manifest.sizes
    for folder in folders:
        # First what somebody who sleeps could still give names to, then what is written down of such names.
        for name in store.files(folder):
            if not name.startswith(COMMIT_PREFIX):
                store.delete(f"{folder}/{name}")
    commits = {folder: read_commits(store, folder) for folder in folders}
    # The commit that counts comes last: who has lost its place could still copy its object while its source is there.
    for folder in sorted(commits, key=lambda name: any(commit.is_of(current.data) for commit in commits[name])):
        for commit in commits[folder]:
            if object_name is not None and commit.source is not None and commit.is_of(current.data):
                copy_unless_gone(store, f"{folder}/{commit.source}", object_name)
            # Where no manifest is in place, nothing was replaced: somebody took it away.
            gone = {*commit.placed, *(commit.replaced if current.data is not None else ())} - named.keys()
            delete_files(store, gone)
        remove_folder(store, folder)


def copy_unless_gone(store: Store, source: str, target: str) -> None:
    """Copy a file, unless another process has done so before and removed the source."""
    try:
        store.copy(source, target)
    except DestinationError:
        folder, _, name = source.rpartition("/")
        if name in store.files(folder):
            raise


def delete_files(store: Store, names: Iterable[str]) -> None:
    """Delete files, and the folders of partitions that are empty then."""
    names = sorted(names)
    for name in names:
        store.delete(name)
    folders = {name.rpartition("/")[0] for name in names} - {""}
    while folders:
        for folder in sorted(folders):
            store.remove_folder(folder)
        folders = {folder.rpartition("/")[0] for folder in folders} - {""}


def remove_folder(store: Store, folder: str) -> None:
    """Remove a folder that has files, but no folders in it."""
    for name in store.files(folder):
        store.delete(f"{folder}/{name}")
    store.remove_folder(folder)
