"""Small state, beside an asset or in a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from airflow_provider_honeyhive._compat import ObjectStoragePath
from airflow_provider_honeyhive.exceptions import DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.tasks.polling import in_thread

if TYPE_CHECKING:
    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.storage.base import Store


class ExportTask(Protocol):
    """What a watermark needs to know of the task that exports."""

    outlets: list[Any]
    inlets: list[Any]
    honeyhive_conn_id: str
    filters: Any
    evaluation_id: str | None
    output_path: Any
    output_path_template: Any
    output_conn_id: str | None

    def render_template(self, content: Any, context: Context) -> Any:
        """Return a template with the values of the run in it."""


class _AssetPlace:
    """Airflow's own store beside one of the task's assets (Airflow 3.3 and later).

    :param store: of the asset.
    :param key: tells tasks and requests apart.
    """

    def __init__(self, store: Any, key: str) -> None:
        self._store = store
        self._key = f"honeyhive-watermark-{key}"

    def __str__(self) -> str:
        return f"{self._key} of {self._store!r}"

    @classmethod
    def of(cls, task: ExportTask, context: Context, key: str) -> _AssetPlace | None:
        """Return the place beside the task's first outlet that is an asset, else inlet; None where there is none."""
        stores: Any = context.get("asset_state_store")
        for asset in (*task.outlets, *task.inlets) if stores is not None else ():
            try:
                return cls(stores[asset], key)
            except (KeyError, TypeError):
                # Aliases have no state.
                continue
        return None

    def load(self) -> Any:
        """Return the object, None where there is none."""
        return self._store.get(self._key)

    def save(self, data: dict[str, Any]) -> None:
        """Replace the object."""
        self._store.set(self._key, data)


class WatchStore(Protocol):
    """Keeps one watcher's state."""

    @property
    def capacity(self) -> int:
        """Most events that a state may remember."""

    async def load(self) -> dict[str, Any] | None:
        """Return what was saved last, None where nothing was."""

    async def save(self, data: dict[str, Any]) -> None:
        """Keep the state, whole or not at all."""


class AssetStore:
    """Airflow's own store, beside the watched asset (Airflow 3.3 and later).

    :param accessors: what the triggerer gives to an event trigger.
    :param watcher: tells the state from that of other watchers of the asset.
    """

    #: Airflow takes 64 KiB for one value, and an event seen is 16 bytes of it.
    capacity = 3_400

    def __init__(self, accessors: Any, watcher: str) -> None:
        self._accessors = accessors
        self._key = f"honeyhive-watch-{watcher}"

    async def load(self) -> dict[str, Any] | None:
        """Return the state.

        :raises InvalidArgumentError: the trigger watches more than one asset.
        """
        try:
            data: dict[str, Any] | None = await self._accessors.aget(self._key)
        except ValueError:
            raise InvalidArgumentError(
                "state_path",
                None,
                "several assets share this trigger, so it is not clear with which of them its state belongs: give "
                "state_path, or let the triggers of the assets differ",
            ) from None
        return data

    async def save(self, data: dict[str, Any]) -> None:
        """Keep the state."""
        await self._accessors.aset(self._key, data)


class FileStore:
    """One small file, wherever ``ObjectStoragePath`` reaches.

    :param path: of the file.
    :param watcher: guards the file against a second watcher.
    """

    capacity = 100_000

    def __init__(self, path: str, watcher: str) -> None:
        self._path = path
        self._watcher = watcher

    async def load(self) -> dict[str, Any] | None:
        """Return the state.

        :raises DestinationTakenError: the file holds something else.
        """
        raw = await in_thread(self._read)
        if raw is None:
            return None
        try:
            data: dict[str, Any] = json.loads(raw)
            owner = data["watcher"]
        except (ValueError, KeyError, TypeError):
            owner = None
        if owner != self._watcher:
            raise DestinationTakenError(
                f"{self._path} is not the state of this watcher: after a change of its project, filters, "
                "evaluation_id or connection give another state_path, or delete the file to begin again"
            )
        return data

    async def save(self, data: dict[str, Any]) -> None:
        """Replace the file."""
        raw = json.dumps({**data, "watcher": self._watcher}).encode()
        await in_thread(lambda: self._write(raw))

    def _read(self) -> bytes | None:
        store, name = self._located()
        found: bytes | None = store.get(name)
        return found

    def _write(self, raw: bytes) -> None:
        store, name = self._located()
        store.put(name, raw)

    def _located(self) -> tuple[Any, str]:
        from airflow_provider_honeyhive.storage.paths import open_store  # noqa: PLC0415

        path = ObjectStoragePath(self._path)
        return open_store(path.parent), path.name


class Place(Protocol):
    """Keeps one JSON object, whole or not at all."""

    def load(self) -> Any:
        """Return the object, None where there is none."""

    def save(self, data: dict[str, Any]) -> None:
        """Replace the object."""


class FilePlace:
    """A file in a folder of any store.

    :param store: the folder.
    :param key: tells tasks and requests apart.
    """

    def __init__(self, store: Store, key: str) -> None:
        self._store = store
        self._name = f"_watermark-{key}.json"

    def __str__(self) -> str:
        return self._store.url(self._name)

    def load(self) -> Any:
        """Return the file's object; bytes that are no JSON are returned as they are."""
        raw = self._store.get(self._name)
        try:
            return None if raw is None else json.loads(raw)
        except ValueError:
            return raw

    def save(self, data: dict[str, Any]) -> None:
        """Replace the file."""
        self._store.put(self._name, json.dumps(data, indent=2).encode())
