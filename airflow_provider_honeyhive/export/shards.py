"""Where the shards of one export by many tasks lie until they are combined: their folders, and the plan beside them.

``<output_path>/_shards-<digest>/<start>-<end>/`` holds each shard, an ordinary export of its sub-window; engines skip
names that begin with ``_``. ``_shards-<digest>/plan.json`` says what the split knew.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.exceptions import DestinationError, InvalidArgumentError
from airflow_provider_honeyhive.models.layout import (
    MANIFEST_NAME,
    SHARDS_PREFIX,
    is_data_folder,
    is_part,
    is_shards_folder,
    is_staged,
    is_staging,
)
from airflow_provider_honeyhive.models.stored import Count, Instant, StoredFile
from airflow_provider_honeyhive.storage.lease import lease_name
from airflow_provider_honeyhive.storage.local import is_temporary
from airflow_provider_honeyhive.storage.paths import as_path, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_honeyhive.models.request import ExportRequest
    from airflow_provider_honeyhive.models.window import Window
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)

#: By how much the clocks of two workers may differ.
CLOCKS_APART = timedelta(days=1)

_SHARD = re.compile(r"[0-9TZ_]+-[0-9TZ_]+")
_PLAN = "plan.json"


class ShardPlan(StoredFile):
    """What was known when a window was split.

    :param made_at: when.
    :param total: events that the server reported for the window, None where it reported no usable total.
    """

    KIND: ClassVar[str] = "plan of a split"
    LARGEST: ClassVar[int] = 1024**2

    made_at: Instant
    total: Count | None


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
    return window.id


def locate_shard(store: Store, url: str) -> tuple[str, str]:
    """Return the names of the shards' folder and of the shard's folder in it.

    :param store: of the ``output_path``.
    :param url: of the shard, as its export says it.
    :raises InvalidArgumentError: it does not lie under ``output_path``, in a folder made by :func:`shards_folder`.
    """
    base = store.url().rstrip("/") + "/"
    folder, _, shard = url.rstrip("/").removeprefix(base).partition("/")
    if not (is_shards_folder(folder) and _SHARD.fullmatch(shard)):
        raise InvalidArgumentError(
            "exports", url, f"the parts must lie where the split put them: {base}{SHARDS_PREFIX}<digest>/<start>-<end>/"
        )
    return folder, shard


def write_plan(output_path: Any, folder: str, total: int | None) -> None:
    """Keep for combining what the split knows.

    :param output_path: of the whole export, path-like or a text.
    :param folder: name of the shards' folder.
    :param total: see :class:`ShardPlan`.
    :raises DestinationError: it cannot be written.
    """
    plan = ShardPlan(made_at=datetime.now(UTC), total=total)
    open_store(as_path(output_path)).put(f"{folder}/{_PLAN}", plan.to_json())


def read_plan(store: Store, folder: str) -> ShardPlan | None:
    """Return what the split knew, None where it left nothing that can be known.

    :param store: of the ``output_path``.
    :param folder: name of the shards' folder.
    """
    name = f"{folder}/{_PLAN}"
    data = store.get(name)
    if data is None:
        return None
    try:
        plan = ShardPlan.load(data, store.url(name))
    except DestinationError as error:
        log.warning("What the split knew is not known any more: %s", error)
        return None
    if plan.made_at - datetime.now(UTC) > CLOCKS_APART:
        log.warning("What the split knew is passed over, since it was made in the future: %s", store.url(name))
        return None
    return plan


def is_shard_file(name: str) -> bool:
    """Return whether a file in a shards' folder is one that exports put there.

    :param name: relative to the shards' folder.
    """
    *folders, last = name.split("/")
    if not folders:
        return last == _PLAN or is_temporary(last)
    shard, *inner = folders
    if inner and is_staging(inner[-1]):
        is_ours, inner = is_staged(last), inner[:-1]
    else:
        is_ours = is_part(last) or (not inner and last in (MANIFEST_NAME, lease_name(MANIFEST_NAME)))
    return _SHARD.fullmatch(shard) is not None and all(map(is_data_folder, inner)) and (is_ours or is_temporary(last))


def remove_shards(store: Store, folder: str) -> None:
    """Remove a shards' folder with all that exports put into it; what else is in it stays, with the folders around it.

    Each shard's manifest goes first, so that none without some of its files counts as one; the plan goes last.

    :param store: of the ``output_path``.
    :param folder: name of the shards' folder.
    """
    for name in filter(_SHARD.fullmatch, store.folders(folder)):
        store.delete(f"{folder}/{name}/{MANIFEST_NAME}")
    folders = [folder]
    for place in folders:
        folders += [f"{place}/{name}" for name in store.folders(place)]
    for place in reversed(folders):
        for name in store.files(place):
            path = f"{place}/{name}"
            if is_shard_file(path.removeprefix(f"{folder}/")):
                store.delete(path)
        store.remove_folder(place)
