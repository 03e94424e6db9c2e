"""The place of one export or build: what it is to replace, what is staged for it, and the steps that publish it."""

from __future__ import annotations

import hashlib
import uuid
from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, ClassVar

from airflow_provider_honeyhive.build_manifest import load_manifest
from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError, ExportWouldShrinkError
from airflow_provider_honeyhive.export.checkpoint import Checkpoints
from airflow_provider_honeyhive.export.claim import check_claim, check_folders, published_by
from airflow_provider_honeyhive.export.recovery import (
    COMMIT_PREFIX,
    Commit,
    Current,
    check_can_delete,
    clear_staging,
    delete_files,
    recover,
)
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.options import FAIL, REPLACE

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from airflow_provider_honeyhive.build_manifest import AnyManifest
    from airflow_provider_honeyhive.export.staging_records import StagedFile
    from airflow_provider_honeyhive.models.layout import BuildLayout, Layout
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)

#: Files that the store gives their final names at the same time.
COPIES_AT_ONCE = 8

NOTHING = Current(None, None, None)


class Place(ABC):
    """Where something is published: an export or a build.

    :param store: the folder.
    :param layout: names in it.
    :param fingerprint: of what is asked for, in hexadecimal digits, so that different things share no staged file.
    :param claimed: the manifest that is to be replaced, as it was read.
    """

    #: What messages call what is published.
    THING: ClassVar[str]

    layout: Layout | BuildLayout

    def __init__(
        self, store: Store, layout: Layout | BuildLayout, fingerprint: str, claimed: Current = NOTHING
    ) -> None:
        self.store = store
        self.layout = layout
        #: Two processes may run the same try of the same task, when Airflow takes one for dead that is not. So every
        #: file has the id of its writer in its name, but the plan, from which all tries go on.
        self.writer = uuid.uuid4().hex[:8]
        self._fingerprint = fingerprint
        self._claimed = claimed
        self._asides: list[Place] = []
        #: What is in place and to be taken back after a failure; None: nothing, or nobody knows, or it is published.
        self._commit: Commit | None = None
        self._data = b""  # of the manifest that is to be published

    @property
    def manifest_url(self) -> str:
        """Where the manifest is, or will be."""
        return self.store.url(self.layout.manifest_name)

    @abstractmethod
    def url(self) -> str:
        """Return where what is published is."""

    @property
    def staging(self) -> str:
        """Name of the folder of what is not published yet."""
        return self.layout.staging_name(self._fingerprint, self._claimed.data)

    def staged_name(self, slice_number: int, part_number: int) -> str:
        """Return the name of a data file that is not published yet."""
        return f"{self.staging}/{slice_number:05d}-{part_number:05d}-{self.writer}"

    def _hold(self, current: Current) -> None:
        """Let this be what is replaced: while another manifest is in place, nothing is published."""
        if not self.store.can_swap():
            log.warning(
                "The store of %s cannot write on condition that a file is unchanged: of two %ss that publish there "
                "at the same time, one may overwrite the other's manifest",
                self.url(),
                self.THING,
            )
        self._claimed = current

    @abstractmethod
    def _check_folders(self, names: Collection[str]) -> None:
        """Refuse files in folders that hold an export of their own.

        :param names: of the files that are to be there.
        :raises DestinationTakenError: one of the folders does.
        """

    # -------------------------------------------------------------------------------- publishing

    def publish(self, finals: Mapping[str, str], manifest: AnyManifest) -> None:
        """Give staged files their final names, and put the manifest in place of the one that was claimed.

        :param finals: final names of the data files by their present names.
        :param manifest: names them.
        :raises DestinationError: as for :func:`.publish`.
        """
        self._data = manifest.to_json()
        # What cannot be read back is not published.
        load_manifest(self.store, self.layout.manifest_name, self._data)
        self._prepare(finals, manifest)
        if not self._swap():
            raise self._overtaken()
        current = recover(self.store, self.layout)
        if self.layout.object_name is not None and current.data != self._data:
            # The copy of the object may have come over a later one.
            raise DestinationError(f"another {self.THING} replaced this one at once; a retry begins anew", self.url())

    def _prepare(self, finals: Mapping[str, str], manifest: AnyManifest) -> None:
        """Write down what is to happen, then put everything beside what is there already."""
        self._check_folders(manifest.sizes)
        object_name = self.layout.object_name
        record, source = (f"{COMMIT_PREFIX}{self.writer}{suffix}" for suffix in (".json", ".data"))
        replaced = {} if self._claimed.manifest is None else self._claimed.manifest.sizes
        self._commit = Commit(
            manifest_name=self.layout.manifest_name,
            manifest_sha256=hashlib.sha256(self._data).hexdigest(),
            placed=sorted(final for final in finals.values() if final != object_name),
            replaced=sorted(replaced.keys() - manifest.sizes.keys()),
            source=None if object_name is None else source,
        )
        self.store.put(f"{self.staging}/{record}", self._commit.to_json())
        # What has the same name each time gets it after the manifest: until then all tries may still lose.
        names = [
            (present, f"{self.staging}/{source}" if final == object_name else final)
            for present, final in finals.items()
        ]
        at_once = min(COPIES_AT_ONCE, len(names))
        if at_once <= 1:
            for pair in names:
                self.store.copy(*pair)
            return
        pool = ThreadPoolExecutor(at_once, "honeyhive-copy")
        try:
            for done in [pool.submit(self.store.copy, *pair) for pair in names]:
                done.result()
        finally:
            # None is to go on while what they have placed is taken back.
            pool.shutdown(cancel_futures=True)

    def _swap(self) -> bool:
        """Return whether the manifest is in place now; after an error nobody knows."""
        commit, self._commit = self._commit, None
        name = self.layout.manifest_name
        try:
            done = self.store.swap(name, self._data, self._claimed.version)
        except DestinationError:
            # A store may do what it was asked and fail to say so.
            done = self.store.get(name) == self._data
            if not done:
                self._commit = commit
                raise
        if not done:
            self._commit = commit
        return done

    # ---------------------------------------------------------------------------------- failures

    def abandon(self, error: BaseException, *, keep_staged: bool) -> None:
        """Leave nothing behind after a failure, except what a retry can go on from.

        :param error: the failure.
        :param keep_staged: a retry can; what is staged stays under its staging name.
        :raises DestinationError: the failure is one of the store, or of what was compared with what is there, because
            another export was published here.
        """
        # A reader that waits for a slow answer is not waited for, and cannot put down what it holds.
        self.store.abort()
        taken = None
        with suppress(DestinationError):
            self._take_back()
            if not keep_staged:
                self.clear_staging()
            for place in self._asides:
                place.clear_staging()
            if isinstance(error, DestinationError | ExportWouldShrinkError):
                taken = self._taken_by(recover(self.store, self.layout))
        for folder in (self.staging, *(place.staging for place in self._asides), ""):
            self.store.remove_folder(folder)
        if taken is not None:
            raise taken from error

    def _take_back(self) -> None:
        if self._commit is not None:
            delete_files(self.store, self._commit.placed)
            record = f"{self.staging}/{COMMIT_PREFIX}{self.writer}"
            self.store.delete_all(f"{record}{suffix}" for suffix in (".data", ".json"))

    def _taken_by(self, current: Current) -> DestinationError | None:
        """Return the error that says who has published here since the claim, None where nobody has."""
        if current.data in (self._claimed.data, self._data):
            return None
        if current.manifest is None:
            return self._overtaken("its manifest was removed again")
        return self._overtaken(f"it was published {published_by(current.manifest)}")

    def _overtaken(self, *facts: str) -> DestinationError:
        text = f"another {self.THING} was published there meanwhile, so this one was not; a retry begins anew"
        return DestinationError(text, self.url(), *facts)

    def clear_staging(self) -> None:
        """Remove everything staged for this request, but what a try that may have published needs to complete it."""
        clear_staging(self.store, self.staging)
        self.store.remove_folder(self.staging)


class Destination(Place):
    """The place of one export.

    :param store: the folder.
    :param layout: names in it.
    :param fingerprint: of the request, in hexadecimal digits, so that exports of different things share no staged file.
    :param claimed: the manifest that is to be replaced, as it was read; :meth:`claim` reads it.
    """

    THING = "export"

    layout: Layout

    def url(self, name: str = "") -> str:
        """Return where a data file of the manifest is; without a name the export itself."""
        return self.store.url(name or self.layout.object_name or "")

    def joined_name(self, partition: int, number: int) -> str:
        """Return the name of a data file that is put together of staged ones, and has no final name yet."""
        return f"{self.staging}/joined-{partition:05d}-{number:05d}-{self.writer}"

    @property
    def checkpoints(self) -> Checkpoints:
        """What is staged so far."""
        is_new = self.staging not in self._claimed.there
        return Checkpoints(self.store, self.staging, self.writer, is_new=is_new)

    @property
    def replaced(self) -> Manifest | None:
        """The manifest of the export that this one takes the place of, once :meth:`claim` has looked."""
        manifest = self._claimed.manifest
        return manifest if isinstance(manifest, Manifest) else None

    @property
    def claimed_sha256(self) -> str:
        """Hash of the bytes of that manifest."""
        return hashlib.sha256(self._claimed.data or b"").hexdigest()

    def aside(self, name: str) -> Destination:
        """Return a place to stage something else for the same export, which only this writer uses."""
        digest = hashlib.sha256(f"{self._fingerprint}-{name}-{self.writer}".encode()).hexdigest()
        place = Destination(self.store, self.layout, digest, self._claimed)
        self._asides.append(place)
        return place

    def claim(self, wanted: Manifest, *, replace: bool, on_shrink: str = FAIL) -> None:
        """Make sure that this export may go here; what earlier tries left half published is finished first.

        :param wanted: a manifest with the request's facts.
        :param replace: an earlier export of the same window may be replaced; one of this very run always may.
        :param on_shrink: ``replace``: one of another request of the same task may be, too.
        :raises DestinationTakenError: something else is here, or something and ``replace`` is False.
        """
        current = recover(self.store, self.layout)
        any_request = on_shrink == REPLACE
        check_claim(self.store, self.layout, current, wanted, replace=replace, any_request=any_request)
        self._hold(current)

    def check_can_replace(self) -> None:
        """Refuse to replace an export whose files the store would not let go.

        :raises DestinationAccessError: the right to delete is missing.
        """
        is_folder = self.layout.object_name is None
        check_can_delete(self.store, self.replaced.sizes if is_folder and self.replaced is not None else ())

    def _check_folders(self, names: Collection[str]) -> None:
        check_folders(self.store, self.replaced, names=names)

    def discard(self, files: Sequence[StagedFile]) -> None:
        """Remove staged files that did not turn out to be whole."""
        # Where they must stay, no manifest names them.
        with suppress(DestinationAccessError):
            self.store.delete_all(file.path for file in files)
