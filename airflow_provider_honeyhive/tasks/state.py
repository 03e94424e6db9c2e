"""Small state that outlives a task or a trigger: one JSON object, beside an asset or in a file."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.models.layout import LARGEST_FILE
from airflow_provider_honeyhive.models.stored import parse_json
from airflow_provider_honeyhive.storage.paths import open_store
from airflow_provider_honeyhive.tasks.arguments import storage_path

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.storage.base import Store


#: How often a file is read again because others have replaced it meanwhile.
MOST_SWAPS = 10


class StateStore(Protocol):
    """Keeps one JSON object, whole or not at all. Blocks: a trigger calls it in a thread."""

    @property
    def most_bytes(self) -> int:
        """How long the object's JSON may be."""

    def load(self) -> Any:
        """Return what was saved last, None where nothing was."""

    def may_name(self, path: str) -> bool:
        """Return whether the object may name a place that its reader then looks at."""

    def save(self, data: dict[str, Any]) -> None:
        """Replace the object."""

    def change(self, make: Callable[[Any], dict[str, Any] | None]) -> None:
        """Replace the object by what is made of the present one; None: leave it.

        :param make: called again where somebody else has replaced the object meanwhile, if the store can tell.
        """


class AssetState:
    """Airflow's own store, beside an asset (Airflow 3.3 and later).

    :param accessor: what Airflow gives to a task or a trigger for the state of one asset.
    :param key: tells the object from others beside the asset.
    """

    #: What Airflow takes for one value, unless ``[state_store] max_value_storage_bytes`` says otherwise.
    most_bytes = 65_535

    def __init__(self, accessor: Any, key: str) -> None:
        self._accessor = accessor
        self._key = key

    def __str__(self) -> str:
        return f"{self._key} of {self._accessor!r}"

    def load(self) -> Any:
        """Return the object.

        :raises InvalidArgumentError: the accessor is that of a trigger which several assets share.
        """
        try:
            return self._accessor.get(self._key)
        except ValueError:
            raise InvalidArgumentError(
                "state_path",
                None,
                "several assets share this trigger, so it is not clear with which of them its state belongs: give "
                "state_path, or let the triggers of the assets differ",
            ) from None

    def may_name(self, path: str) -> bool:
        """Return True: only Airflow writes here."""
        return True

    def save(self, data: dict[str, Any]) -> None:
        """Replace the object."""
        self._accessor.set(self._key, data)

    def change(self, make: Callable[[Any], dict[str, Any] | None]) -> None:
        """Replace the object by what is made of it. Airflow swaps nothing: a change in the last moment is lost."""
        while True:
            data = self.load()
            made = make(data)
            if made is None:
                return
            if self.load() == data:
                self.save(made)
                return


class FileState:
    """A file, wherever ``ObjectStoragePath`` reaches.

    :param path: of the file.
    :param conn_id: Airflow connection of its store; None: the store's own.
    :param watcher: the only watcher that may use the file, which names it; None: the file names none.
    :param argument: that the path comes from, for errors.
    """

    most_bytes = 2_000_000

    def __init__(
        self,
        path: str,
        conn_id: str | None = None,
        *,
        watcher: str | None = None,
        argument: str = "output_path",
    ) -> None:
        self._path = path
        self._argument = argument
        self._conn_id = conn_id
        self._watcher = watcher

    def __str__(self) -> str:
        store, name = self._located()
        return store.url(name)

    def load(self) -> Any:
        """Return the file's object; bytes that are no JSON are returned as they are.

        :raises DestinationTakenError: the file is not this watcher's.
        """
        store, name = self._located()
        return self._read(store.get(name))

    def _read(self, data: Any) -> Any:
        if data is None:
            return None
        if len(data) > LARGEST_FILE:
            raise DestinationTakenError(f"{self} is no state of this provider: it has {len(data):,} bytes")
        with suppress(ValueError):
            found = parse_json(data)
            data = data if found is None else found  # a file that says null is not one that is not there
        if self._watcher is not None and not (isinstance(data, dict) and data.get("watcher") == self._watcher):
            raise DestinationTakenError(
                f"{self} is not the state of this watcher: after a change of its project, filters, "
                "evaluation_id or connection give another state_path, or delete the file to begin again"
            )
        return data

    def may_name(self, path: str) -> bool:
        """Return whether a place is in the folder of the file: who may write there must not point elsewhere."""
        return path.startswith(f"{self._path.rpartition('/')[0]}/") and ".." not in path.split("/")

    def save(self, data: dict[str, Any]) -> None:
        """Replace the file."""
        store, name = self._located()
        store.put(name, self._written(data))

    def change(self, make: Callable[[Any], dict[str, Any] | None]) -> None:
        """Replace the file by what is made of it, unless somebody else does so meanwhile (compare-and-swap).

        :raises DestinationError: others have replaced it each time.
        """
        store, name = self._located()
        for _ in range(MOST_SWAPS):
            data, version = store.read(name)
            made = make(self._read(data))
            if made is None or store.swap(name, self._written(made), version):
                return
        raise DestinationError(
            f"others have changed {self} {MOST_SWAPS} times in a row: let the DAG's runs come one after the other, "
            "with max_active_runs=1"
        )

    def _written(self, data: dict[str, Any]) -> bytes:
        # Somebody may want to read the few lines of a watermark; what a watcher has seen is one long text.
        text = json.dumps(data, indent=2) if self._watcher is None else json.dumps({**data, "watcher": self._watcher})
        return text.encode()

    def _located(self) -> tuple[Store, str]:
        path = storage_path(self._path, self._conn_id, self._argument)
        return open_store(path.parent), path.name
