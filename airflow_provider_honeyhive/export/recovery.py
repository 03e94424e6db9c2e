"""Finishes what writers that died have begun: completes what has its manifest in place, takes back all others.

Of exports and builds alike: by the name of a manifest it is known which files are theirs.

A staging folder carries in its name the manifest that its writers are to replace. Once another manifest is in place,
none of them can publish any more, so all that they left may be removed. What they have placed outside of the folder,
and what is left to do where one of them did publish, they wrote down before: see :class:`Commit`.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from typing import TYPE_CHECKING, ClassVar

import msgspec

from airflow_provider_honeyhive.build_manifest import AnyManifest, layout_of, load_manifest
from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError, DestinationTakenError
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME, is_staged
from airflow_provider_honeyhive.models.stored import FileName, Items, Sha256, StoredFile
from airflow_provider_honeyhive.storage.local import is_temporary

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from airflow_provider_honeyhive.models.layout import StagingNames
    from airflow_provider_honeyhive.storage.base import Store, Version


log = get_logger(__name__)

#: Begins the names of what a writer has in a staging folder that only itself and the recovery may remove.
COMMIT_PREFIX = "commit-"

#: How often a copy is begun. Whoever clears the same folder at the same time removes temporary files of copies, once.
COPY_TRIES = 3

_COMMIT_NAME = re.compile(rf"({COMMIT_PREFIX}[0-9a-z]+)\.json")


class Commit(StoredFile):
    """What one writer is about to publish, written before the first file gets its final name.

    :param manifest_name: name of its manifest.
    :param manifest_sha256: of the manifest's bytes.
    :param placed: names of the data files, which no other writer gives.
    :param replaced: names of the replaced manifest's data files that the new one does not name.
    :param source: name, in the staging folder, of what becomes the one object, or the one file of a build that has the
        same name each time; None where there is none. It is there without events, too: whoever slept before deleting
        it would delete a later one.
    """

    KIND: ClassVar[str] = "commit record"
    HAS_CHECKSUM: ClassVar[bool] = True

    manifest_name: FileName
    manifest_sha256: Sha256
    placed: Items[FileName] = []
    replaced: Items[FileName] = []
    source: FileName | None = None

    def is_of(self, manifest: bytes | None) -> bool:
        """Return whether this is the commit of a manifest."""
        return manifest is not None and self.manifest_sha256 == hashlib.sha256(manifest).hexdigest()

    def belongs_to(self, folder: str, record: str) -> bool:
        """Return whether the writer of a staging folder can have written this: only its own names are in it.

        :param folder: the staging folder.
        :param record: name of the commit record in it, without its suffix.
        """
        layout = layout_of(self.manifest_name)
        return (
            folder.startswith(layout.staging_prefix)
            and all(map(layout.owns, (*self.placed, *self.replaced)))
            and (self.source is None or self.source == f"{record}.data")
        )


class Current(msgspec.Struct, frozen=True):
    """The manifest of a place as it was read.

    :param data: its bytes, None where there is none.
    :param version: to swap it.
    :param manifest: what it says.
    :param there: names of the files and folders that were in the folder just before.
    """

    data: bytes | None
    version: Version
    manifest: AnyManifest | None
    there: frozenset[str] = frozenset()

    @classmethod
    def read(cls, store: Store, name: str, there: Iterable[str] = ()) -> Current:
        """Read the manifest of that name.

        :raises DestinationError: it cannot be read, or is none.
        """
        data, version = store.read(name)
        return cls(data, version, None if data is None else load_manifest(store, name, data), frozenset(there))


def recover(store: Store, layout: StagingNames) -> Current:
    """Finish what dead writers of a place have begun, and return its manifest.

    :param store: the folder.
    :param layout: names in it.
    :raises DestinationError: the store fails, or what has the manifest's name is none.
    """
    # Before the manifest is read: a folder that is made later may be to replace a later manifest.
    files, folders = store.listing()
    current = Current.read(store, layout.manifest_name, (*files, *folders))
    folders = [name for name in folders if layout.stages_in(name)]
    dead = [folder for folder in folders if layout.is_dead(folder, current.data)]
    finish(store, layout.manifest_name, dead, current)
    return current


def read_commits(store: Store, folder: str, names: Iterable[str] | None = None) -> list[Commit]:
    """Return what writers of a staging folder were about to publish; what none of them can have written is left out.

    :param names: of the files in the folder; None: what the store lists.
    :raises DestinationTakenError: one of them is of a newer version.
    """
    found = []
    for name in store.files(folder) if names is None else names:
        record = _COMMIT_NAME.fullmatch(name)
        data = store.get(f"{folder}/{name}") if record else None
        if record is None or data is None:
            continue
        try:
            commit = Commit.load(data, where := store.url(f"{folder}/{name}"))
        except DestinationTakenError:
            raise
        except DestinationError as error:
            log.warning("A commit record is passed over: %s", error)
            continue
        if commit.belongs_to(folder, record[1]):
            found.append(commit)
        else:
            log.warning("A commit record is passed over, since it names files that are not its writer's: %s", where)
    return found


def manifest_of(commits: Sequence[Commit]) -> str:
    """Return the name of the manifest that commits in one staging folder are about.

    :param commits: none: that of a folder of parts, since one object is never placed without a commit.
    """
    return next((commit.manifest_name for commit in commits), MANIFEST_NAME)


def check_can_delete(store: Store, replaced: Iterable[str]) -> None:
    """Refuse, before anything is read, an export that could not be completed without the right to delete.

    :param store: the folder.
    :param replaced: data files that are to be removed: while they stay, readers of the folder find both exports.
    :raises DestinationAccessError: the right is missing, and needed.
    """
    if not (store.overwrites_by_deleting or any(replaced)):
        return
    try:
        # Stores say whether somebody may delete also of what is not there.
        store.delete(f"_new-{uuid.uuid4().hex}")
    except DestinationAccessError as error:
        raise DestinationAccessError(
            *error.args,
            "Without it this store overwrites nothing, not even what is staged"
            if store.overwrites_by_deleting
            else "Without it an export can be made where there is none, but not take the place of another one",
        ) from None


def finish(
    store: Store, manifest_name: str, folders: Sequence[str], current: Current, *, must_delete: bool = False
) -> None:
    """Complete or take back what is in staging folders, and remove them.

    Where the store denies to delete, what nobody reads stays, and a warning says so: what was published is whole.

    :param store: the folder that they are in.
    :param manifest_name: name of the place's manifest.
    :param folders: staging folders from which nothing can be published any more.
    :param current: the manifest that is in place.
    :param must_delete: it is an error that something stays.
    :raises DestinationAccessError: the store denies to delete data files that no manifest names.
    """
    object_name = layout_of(manifest_name).object_name
    named = {} if current.manifest is None else current.manifest.sizes
    denied = set()
    staged = {folder: _staged(store, folder) for folder in folders}
    for folder in folders:
        # First what somebody who sleeps could still give names to, then what is written down of such names.
        try:
            _delete_staged(store, folder, (name for name in staged[folder] if not name.startswith(COMMIT_PREFIX)))
        except DestinationAccessError as error:
            if must_delete:
                raise
            denied.add(folder)
            log.warning("%s stays until the command 'cleanup' may remove it: %s", store.url(folder), error)
    commits = {folder: read_commits(store, folder, staged[folder]) for folder in folders}
    # The commit that counts comes last: who has lost its place could still copy its object while its source is there.
    for folder in sorted(commits, key=lambda name: any(commit.is_of(current.data) for commit in commits[name])):
        for commit in commits[folder]:
            if commit.manifest_name != manifest_name:
                continue
            if object_name is not None and commit.source is not None and commit.is_of(current.data):
                copy_unless_gone(store, f"{folder}/{commit.source}", object_name)
            # Where no manifest is in place, nothing was replaced: somebody took it away.
            gone = {*commit.placed, *(commit.replaced if current.data is not None else ())} - named.keys()
            delete_files(store, _without_neighbours(store, gone))
        if folder not in denied:
            # What somebody has added meanwhile stays for the next one who looks.
            _delete_staged(store, folder, (name for name in staged[folder] if name.startswith(COMMIT_PREFIX)))
            store.remove_folder(folder)


def _without_neighbours(store: Store, names: Iterable[str]) -> list[str]:
    """Return the names without those in folders that hold an export of their own: whoever names them is mistaken."""
    owners: dict[str, bool] = {"": False}

    def is_owned(folder: str) -> bool:
        if folder not in owners:
            is_below = is_owned(folder.rpartition("/")[0])
            owners[folder] = is_below or store.get(f"{folder}/{MANIFEST_NAME}") is not None
        return owners[folder]

    return [name for name in names if not is_owned(name.rpartition("/")[0])]


def copy_unless_gone(store: Store, source: str, target: str) -> None:
    """Copy a file, unless another process has done so before and removed the source."""
    folder, _, name = source.rpartition("/")
    for left in reversed(range(COPY_TRIES)):
        try:
            store.copy(source, target)
            return
        except DestinationError:
            if name not in store.files(folder):
                return
            if not left:
                raise


def delete_files(store: Store, names: Iterable[str]) -> None:
    """Delete files, and the folders of partitions that are empty then."""
    names = sorted(names)
    store.delete_all(names)
    folders = {name.rpartition("/")[0] for name in names} - {""}
    while folders:
        for folder in sorted(folders):
            store.remove_folder(folder)
        folders = {folder.rpartition("/")[0] for folder in folders} - {""}


def clear_staging(store: Store, folder: str) -> None:
    """Remove everything from a staging folder but commits, and what is no export's."""
    _delete_staged(store, folder, (name for name in _staged(store, folder) if not name.startswith(COMMIT_PREFIX)))


def _delete_staged(store: Store, folder: str, names: Iterable[str]) -> None:
    store.delete_all([f"{folder}/{name}" for name in names])


def _staged(store: Store, folder: str) -> list[str]:
    return [name for name in store.files(folder) if is_staged(name) or is_temporary(name)]
