"""The folder of one export: what it may take the place of, what is staged in it, and what no longer counts there."""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError
from airflow_provider_honeyhive.export.checkpoint import Checkpoints
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import FOLDER_KEYS, PARTITION_KEYS, STAGING_PREFIX
from airflow_provider_honeyhive.storage.local import TEMPORARY_PREFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive.export.checkpoint import StagedFile
    from airflow_provider_honeyhive.manifest import RequestFacts
    from airflow_provider_honeyhive.models.layout import Layout
    from airflow_provider_honeyhive.storage.base import Store


log = logging.getLogger(__name__)


class Destination:
    """The place of one export.

    :param store: the folder.
    :param layout: names in it.
    :param fingerprint: of the request, so that exports of different things never share staged files.
    """

    def __init__(self, store: Store, layout: Layout, fingerprint: str) -> None:
        self.store = store
        self.layout = layout
        self._fingerprint = fingerprint
        self._staging = layout.staging_name(fingerprint)
        self._asides: list[Destination] = []
        #: Two processes may run the same try of the same task, when Airflow takes one for dead that is not.
        self.writer = uuid.uuid4().hex[:8]
        self._old: Manifest | None = None

    @property
    def manifest_url(self) -> str:
        """Where the manifest is, or will be."""
        return self.store.url(self.layout.manifest_name)

    def url(self, name: str = "") -> str:
        """Return where a data file of the manifest is; without a name the export itself."""
        return self.store.url(name or self.layout.object_name or "")

    @property
    def staging(self) -> str:
        """Name of the folder of what is not published yet."""
        return self._staging

    def staged_name(self, slice_number: int, part_number: int) -> str:
        """Return the name of a data file that is not published yet."""
        return f"{self._staging}/{slice_number:05d}-{part_number:05d}-{self.writer}"

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
        place = Destination(self.store, self.layout, f"{self._fingerprint}-{name}")
        self._asides.append(place)
        return place

    def claim(self, wanted: Manifest, *, replace: bool) -> None:
        """Make sure that this export may go here.

        :param wanted: a manifest with the request's facts.
        :param replace: an earlier export of the same window may be replaced.
        :raises DestinationTakenError: something else is here, or something and ``replace`` is False.
        """
        data = self.store.get(self.layout.manifest_name)
        self._old = None if data is None else Manifest.from_json(data, self.manifest_url)
        if not replace and (self._old is not None or self.data_files()):
            raise DestinationTakenError(f"{self.url()} already holds an export, and replace is False")
        if self._old is not None and not _same_export(self._old, wanted):
            raise DestinationTakenError(
                f"{self.url()} already holds another export: of project {self._old.project!r}, window "
                f"[{self._old.start_time}, {self._old.end_time}), by task {task_of(self._old)}. It is not replaced, "
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

    def clear_all_staging(self) -> None:
        """Remove everything staged for this export, aside too."""
        for place in (self, *self._asides):
            place.clear_staging()

    def _clear(self, folder: str) -> None:
        for name in self.store.files(folder):
            self.store.delete(f"{folder}/{name}")
        self.store.remove_folder(folder)

    def sweep(self, manifest: Manifest) -> None:
        """Remove what no longer counts: an earlier run's files, and what runs that failed for good left."""
        kept = manifest.sizes
        for name in self.data_files():
            if name not in kept:
                self.store.delete(name)
        for name in self.store.files():
            if name.startswith(TEMPORARY_PREFIX):
                self.store.delete(name)
        for folder in self._partition_folders():
            self.store.remove_folder(folder)
        for folder in self.store.folders():
            if folder.startswith(STAGING_PREFIX) and Checkpoints(self.store, folder).are_abandoned():
                self._clear(folder)

    def data_files(self) -> dict[str, int]:
        """Return the data files and the index that are here, those in folders too, and their sizes."""
        found = {name: size for name, size in self.store.files().items() if self.layout.owns(name)}
        for folder in self._partition_folders():
            inside = {f"{folder}/{name}": size for name, size in self.store.files(folder).items()}
            found |= {name: size for name, size in inside.items() if self.layout.owns(name)}
        return found

    def _partition_folders(self) -> list[str]:
        """Return the folders that partitions and corrections have, the deepest first."""
        if self.layout.object_name is not None:
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


def _is_innermost(folder: str) -> bool:
    keys = [name.partition("=")[0] for name in folder.split("/")]
    return sum(map(keys.count, PARTITION_KEYS)) == len(PARTITION_KEYS)


def _same_export(old: Manifest, new: Manifest) -> bool:
    """Return whether ``new`` may take the place of ``old``: the same window of the same request or task."""
    if (old.project, old.start_time, old.end_time) != (new.project, new.start_time, new.end_time):
        return False
    if asked_alike(old.request, new.request):
        return True
    return old.airflow is not None and new.airflow is not None and task_of(old) == task_of(new)


def asked_alike(one: RequestFacts, other: RequestFacts) -> bool:
    """Return whether two requests ask for the same of each event; their projects and windows aside."""
    asked = ("filters", "projections", "evaluation_id", "exclude_fields", "redact", "redact_key_id", "sessions")
    return all(getattr(one, name) == getattr(other, name) for name in asked)


def task_of(manifest: Manifest) -> str:
    """Return the task that wrote an export, for a message."""
    facts = manifest.airflow
    if facts is None:
        return "outside Airflow"
    index = f"[{facts.map_index}]" if facts.map_index is not None and facts.map_index >= 0 else ""
    return f"{facts.dag_id}.{facts.task_id}{index}"
