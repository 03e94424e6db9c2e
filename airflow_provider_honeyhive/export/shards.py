"""Where the shards of one export by many tasks lie until they are combined: their folders, and the plan beside them.

``<output_path>/_shards-<digest>/<start>-<end>/`` holds each shard, an ordinary export of its sub-window; engines skip
names that begin with ``_``. ``_shards-<digest>/plan.json`` says what the split knew.
"""

from __future__ import annotations

import hashlib
import json
import re
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from airflow_provider_honeyhive.exceptions import DestinationError, InvalidArgumentError
from airflow_provider_honeyhive.export.checkpoint import LONGEST_AGE, Checkpoints
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME, STAGING_PREFIX
from airflow_provider_honeyhive.models.window import parse_time
from airflow_provider_honeyhive.storage.paths import as_path, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.models.window import Window
    from airflow_provider_honeyhive.storage.base import Store


SHARDS_PREFIX = "_shards-"

_SHARD = re.compile(rf"({SHARDS_PREFIX}[0-9a-f]{{16}})/([0-9TZ_]+-[0-9TZ_]+)")


class ShardPlan(BaseModel):
    """What was known when a window was split.

    :param made_at: when.
    :param total: events that the server reported for the window, None where it reported no usable total.
    """

    model_config = ConfigDict(frozen=True)

    made_at: datetime
    total: int | None


def shards_folder(request: ExportRequest, api_host: str, owner: Iterable[str | None] = ()) -> str:
    """Return the name of the folder for the shards of an export, relative to its ``output_path``.

    :param request: what is exported.
    :param api_host: whom it is asked of.
    :param owner: what tells the runs that may export it apart: ids of DAG and run.
    """
    facts = [
        request.project,
        [item.to_wire() for item in request.filters],
        request.evaluation_id,
        str(request.window),
        api_host,
        *owner,
    ]
    return SHARDS_PREFIX + hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:16]


def shard_name(window: Window) -> str:
    """Return the name of a shard's folder, such as ``20261122T000000Z-20261122T061500Z``."""
    return "-".join(
        f"{time:%Y%m%dT%H%M%S}{f'_{time.microsecond:06d}' if time.microsecond else ''}Z"
        for time in (window.start, window.end)
    )


def locate_shard(store: Store, url: str) -> tuple[str, str]:
    """Return the names of the shards' folder and of the shard's folder in it.

    :param store: of the ``output_path``.
    :param url: of the shard, as its export says it.
    :raises InvalidArgumentError: it does not lie under ``output_path``, in a folder made by :func:`shards_folder`.
    """
    base = store.url().rstrip("/") + "/"
    found = _SHARD.fullmatch(url.rstrip("/").removeprefix(base))
    if found is None:
        raise InvalidArgumentError(
            "exports", url, f"the parts must lie where the split put them: {base}{SHARDS_PREFIX}<digest>/<start>-<end>/"
        )
    return found[1], found[2]


def write_plan(output_path: Any, folder: str, total: int | None) -> None:
    """Keep for combining what the split knows.

    :param output_path: of the whole export, path-like or a text.
    :param folder: name of the shards' folder.
    :param total: see :class:`ShardPlan`.
    :raises DestinationError: it cannot be written.
    """
    plan = ShardPlan(made_at=datetime.now(UTC), total=total)
    open_store(as_path(output_path)).put(f"{folder}/plan.json", plan.model_dump_json().encode())


def read_plan(store: Store, folder: str) -> ShardPlan | None:
    """Return what the split knew, None where it left nothing.

    :param store: of the ``output_path``.
    :param folder: name of the shards' folder.
    """
    try:
        return ShardPlan.model_validate_json(store.get(f"{folder}/plan.json") or b"")
    except ValidationError:
        return None


def remove_shards(output_path: Any, folder: str) -> None:
    """Remove a shards' folder with all that is in it, and those that runs which failed for good left long ago.

    The plan goes last: while it is there, so may be some of the shards.

    :param output_path: of the whole export, path-like.
    :param folder: name of the shards' folder.
    """
    store = open_store(output_path)
    for name in store.folders():
        if name.startswith(SHARDS_PREFIX) and (name == folder or _are_abandoned(store, name)):
            _remove_tree(store, output_path, name)


def _are_abandoned(store: Store, folder: str) -> bool:
    """Return whether nobody has split, staged or published anything of these shards for long."""
    young = datetime.now(UTC) - LONGEST_AGE
    plan = read_plan(store, folder)
    if plan is not None and plan.made_at > young:
        return False
    for shard in (f"{folder}/{name}" for name in store.folders(folder)):
        data = store.get(f"{shard}/{MANIFEST_NAME}")
        with suppress(DestinationError, InvalidArgumentError):
            if data is not None and parse_time(Manifest.from_json(data, shard).finished_at) > young:
                return False
        for name in store.folders(shard):
            if name.startswith(STAGING_PREFIX) and not Checkpoints(store, f"{shard}/{name}").are_abandoned():
                return False
    return True


def _remove_tree(store: Store, path: Any, folder: str) -> None:
    inner = open_store(path / folder)
    for name in inner.folders():
        _remove_tree(inner, path / folder, name)
    for name in inner.files():
        inner.delete(name)
    store.remove_folder(folder)
