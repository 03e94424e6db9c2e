"""Where a watcher's state outlives the triggerer: Airflow's asset state store, or a file."""

from __future__ import annotations

import json
from typing import Any, Protocol

from airflow_provider_honeyhive._compat import ObjectStoragePath
from airflow_provider_honeyhive.exceptions import DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.triggers.threads import in_thread


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
        from airflow_provider_honeyhive.stores import open_store  # noqa: PLC0415

        path = ObjectStoragePath(self._path)
        return open_store(path.parent), path.name
