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
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError
from airflow_provider_honeyhive.export.checkpoint import Checkpoints
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import FOLDER_KEYS, PARTITION_KEYS, STAGING_PREFIX
from airflow_provider_honeyhive.storage.local import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_honeyhive.export.assembly import DataFile
    from airflow_provider_honeyhive.export.checkpoint import StagedFile
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.manifest import RequestFacts
    from airflow_provider_honeyhive.models.layout import Layout
    from airflow_provider_honeyhive.storage.base import Store


log = logging.getLogger(__name__)

#: Seconds after which the lock of somebody else counts as left by one that died.
LOCK_S = 3600.0


class Destination:
    """The place of one export.

    :param store: the folder.
    :param layout: names in it.
    :param fingerprint: of the request, so that exports of different things never share staged files.
    """

    def __init__(self, store: Store, layout: Layout, fingerprint: str) -> None:
        self.store = store
        self._layout = layout
        self._fingerprint = fingerprint
        self._staging = layout.staging_name(fingerprint)
        self._asides: list[Destination] = []
        # Two processes may run the same try of the same task, when Airflow takes one for dead that is not.
        self._writer = uuid.uuid4().hex[:8]
        self._old: Manifest | None = None

    @property
    def manifest_url(self) -> str:
        """Where the manifest is, or will be."""
        return self.store.url(self._layout.manifest_name)

    def url(self, name: str = "") -> str:
        """Return where a data file of the manifest is; without a name the export itself."""
        return self.store.url(name or self._layout.object_name or "")

    @property
    def staging(self) -> str:
        """Name of the folder of what is not published yet."""
        return self._staging

    def staged_name(self, slice_number: int, part_number: int) -> str:
        """Return the name of a data file that is not published yet."""
        return f"{self._staging}/{slice_number:05d}-{part_number:05d}-{self._writer}"

    @property
    def checkpoints(self) -> Checkpoints:
        """What is staged so far."""
        return Checkpoints(self.store, self._staging)

    @property
    def replaced(self) -> Manifest | None:
        """The manifest of the export that this one takes the place of, once :meth:`claim` has looked."""
        return self._old

    def aside(self, name: str) -> Destination:
        """Return a place to stage something else for the same export, gone when that is published or has failed."""
        place = Destination(self.store, self._layout, f"{self._fingerprint}-{name}")
        self._asides.append(place)
        return place

    def claim(self, wanted: Manifest, *, replace: bool) -> None:
        """Make sure that this export may go here.

        :param wanted: a manifest with the request's facts.
        :param replace: an earlier export of the same window may be replaced.
        :raises DestinationTakenError: something else is here, or something and ``replace`` is False.
        """
        data = self.store.get(self._layout.manifest_name)
        self._old = None if data is None else Manifest.from_json(data, self.manifest_url)
        if not replace and (self._old is not None or self._data_files()):
            raise DestinationTakenError(f"{self.url()} already holds an export, and replace is False")
        if self._old is not None and not _same_export(self._old, wanted):
            raise DestinationTakenError(
                f"{self.url()} already holds another export: of project {self._old.project!r}, window "
                f"[{self._old.start_time}, {self._old.end_time}), by task {_task(self._old)}. It is not replaced, "
                "or its events would be lost: make output_path different for each window and task, for example "
                "with {{ run_id }} in it"
            )

    def discard(self, files: Sequence[StagedFile]) -> None:
        """Remove staged files that did not turn out to be whole."""
        for file in files:
            self.store.delete(file.path)

    def abandon(self, *, keep_staged: bool) -> None:
        """Leave nothing behind after a failure, except what a retry can go on from.

        :param keep_staged: a retry can; what is staged stays under its staging name.
        """
        # A reader that waits for a slow answer is not waited for, and cannot put down what it holds.
        self.store.abort()
        if not keep_staged:
            with suppress(DestinationError):
                self.clear_staging()
        for place in self._asides:
            with suppress(DestinationError):
                place.clear_staging()
        self.store.remove_folder(self._staging)
        self.store.remove_folder()

    def clear_staging(self) -> None:
        """Remove everything staged for this request."""
        self._clear(self._staging)

    def _clear(self, folder: str) -> None:
        for name in self.store.files(folder):
            self.store.delete(f"{folder}/{name}")
        self.store.remove_folder(folder)

    def _sweep(self, manifest: Manifest) -> None:
        """Remove what no longer counts: an earlier run's files, and what runs that failed for good left."""
        kept = manifest.sizes
        for name in self._data_files():
            if name not in kept:
                self.store.delete(name)
        for name in self.store.files():
            if name.startswith(TEMPORARY_PREFIX):
                self.store.delete(name)
        for folder in self._partition_folders():
            self.store.remove_folder(folder)
        for folder in self.store.folders():
            if folder.startswith(STAGING_PREFIX) and Checkpoints(self.store, folder).read_plan() is None:
                self._clear(folder)

    def _data_files(self) -> dict[str, int]:
        """Return the data files and the index that are here, those in folders too, and their sizes."""
        found = {name: size for name, size in self.store.files().items() if self._layout.owns(name)}
        for folder in self._partition_folders():
            inside = {f"{folder}/{name}": size for name, size in self.store.files(folder).items()}
            found |= {name: size for name, size in inside.items() if self._layout.owns(name)}
        return found

    def _partition_folders(self) -> list[str]:
        """Return the folders that partitions and corrections have, the deepest first."""
        if self._layout.object_name is not None:
            return []
        found: list[str] = []
        level = [""]
        while level:
            level = [
                f"{folder}/{name}" if folder else name
                for folder in level
                if not _is_innermost(folder)
                for name in self.store.folders(folder)
                if name.partition("=")[0] in FOLDER_KEYS
            ]
            found += level
        return found[::-1]

    def publish(
        self,
        files: Sequence[DataFile],
        build: Callable[[list[PartFile]], Manifest],
        *,
        replace: bool,
    ) -> Manifest:
        """Give files their final names, write the manifest, and remove an earlier run's files.

        :param files: the data files under their present names, in the order in which they are to be read.
        :param build: makes the manifest of the final files.
        :param replace: as for :meth:`claim`, which is asked again: reading takes time.
        :raises DestinationError: the earlier export is still, or again, in place.
        """
        finals = {
            file.part.path: file.part.model_copy(
                update={"path": self._layout.part_name(number, file.part.sha256, file.partition)}
            )
            for number, file in enumerate(files)
        }
        manifest = build(list(finals.values()))
        with self._locked(manifest):
            self.claim(manifest, replace=replace)
            self._put_in_place(finals, manifest)
            self._sweep(manifest)
        for place in (self, *self._asides):
            place.clear_staging()
        return manifest

    @contextmanager
    def _locked(self, manifest: Manifest) -> Iterator[None]:
        lock = self._lock_name
        mine = json.dumps(
            {"staging": self._staging, "writer": self._writer, "task": _task(manifest), "since": time.time()}
        ).encode()
        if not self.store.put_new(lock, mine):
            held = self._holder()
            if held.get("staging") != self._staging and time.time() - held.get("since", 0) < LOCK_S:
                raise DestinationError(
                    f"{held.get('task')} is publishing to {self.url()} at the same time; this one leaves it alone"
                )
            # Of an earlier try of this export, or of one that died long ago.
            self.store.put(lock, mine)
        try:
            yield
        finally:
            if self._holder().get("writer") == self._writer:
                self.store.delete(lock)

    @property
    def _lock_name(self) -> str:
        return f"_publishing-{self._layout.manifest_name.lstrip('_')}"

    def _holder(self) -> dict[str, Any]:
        try:
            held = json.loads(self.store.get(self._lock_name) or b"{}")
        except ValueError:
            return {}
        return held if isinstance(held, dict) else {}

    def _put_in_place(self, finals: dict[str, PartFile], manifest: Manifest) -> None:
        backup = self._back_up() if finals else None
        before = self.store.get(self._layout.manifest_name)
        placed: list[str] = []
        try:
            for source, final in finals.items():
                placed.append(final.path)
                self.store.copy(source, final.path)
            if self._holder().get("writer") != self._writer:
                raise DestinationError(f"another try of this export has begun to publish to {self.url()}")
            self.store.put(self._layout.manifest_name, manifest.to_json())
        except BaseException:
            # A store may do what it was asked and fail to say so: then the manifest stands, and so must its files.
            if self._manifest_is(before):
                self._take_back(placed, backup)
            raise
        if not manifest.sizes.items() <= self._data_files().items():
            if before is not None:
                self.store.put(self._layout.manifest_name, before)
            raise DestinationError(f"files of this export were removed from {self.url()} while it published them")

    def _manifest_is(self, before: bytes | None) -> bool:
        try:
            return self.store.get(self._layout.manifest_name) == before
        except DestinationError:
            return False

    def _back_up(self) -> str | None:
        # Only one object has to overwrite its predecessor; parts never share a name with different content.
        name = self._layout.object_name
        if name is None or name not in self.store.files():
            return None
        backup = f"{self._staging}/backup"
        self.store.copy(name, backup)
        return backup

    def _take_back(self, placed: Sequence[str], backup: str | None) -> None:
        earlier = self._old.sizes if self._old else {}
        try:
            for name in placed:
                if backup is not None:
                    self.store.copy(backup, name)
                elif name not in earlier:
                    self.store.delete(name)
        except DestinationError:
            log.exception("Could not restore %s as it was before", self.url())


def _is_innermost(folder: str) -> bool:
    keys = [name.partition("=")[0] for name in folder.split("/")]
    return sum(map(keys.count, PARTITION_KEYS)) == len(PARTITION_KEYS)


def _same_export(old: Manifest, new: Manifest) -> bool:
    """Return whether ``new`` may take the place of ``old``: the same window of the same request or task."""
    if (old.project, old.start_time, old.end_time) != (new.project, new.start_time, new.end_time):
        return False
    if asked_alike(old.request, new.request):
        return True
    return old.airflow is not None and new.airflow is not None and _task(old) == _task(new)


def asked_alike(one: RequestFacts, other: RequestFacts) -> bool:
    """Return whether two requests ask for the same of each event; their projects and windows aside."""
    asked = ("filters", "projections", "evaluation_id", "exclude_fields", "redact", "redact_key_id", "sessions")
    return all(getattr(one, name) == getattr(other, name) for name in asked)


def _task(manifest: Manifest) -> str:
    facts = manifest.airflow
    if facts is None:
        return "outside Airflow"
    index = f"[{facts.map_index}]" if facts.map_index is not None and facts.map_index >= 0 else ""
    return f"{facts.dag_id}.{facts.task_id}{index}"
