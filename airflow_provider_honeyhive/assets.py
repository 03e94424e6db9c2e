"""What the assets that a task produces are told of its export, as the extra of their events.

Of Airflow it knows its assets and the shape of a task's context.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_honeyhive._compat import ASSETS, Asset, AssetAlias
from airflow_provider_honeyhive.windows import parse_time

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_honeyhive.outcomes import Outcome

#: As Airflow's own cron partitions are called, in UTC.
_PARTITION_KEY = "%Y-%m-%dT%H:%M:%S"
#: What stands in URLs as it is; all else is percent-encoded, because assets take ASCII only.
_URL_CHARACTERS = ":/?#[]@!$&'()*+,;=%~"


def asset_facts(outcome: Outcome) -> dict[str, str | int | None]:
    """Return what an asset event says of an export, as a flat object.

    No list of files, which may be long, and which aliases of Airflow 2.11 could not carry: the manifest has it.
    """
    facts: dict[str, str | int | None] = {
        "project": outcome.project,
        "start_time": outcome.start_time,
        "end_time": outcome.end_time,
        "event_count": outcome.event_count,
    }
    if outcome.corrected is not None:
        facts |= dict(zip(("late_count", "changed_count"), outcome.corrected, strict=True))
    files = outcome.files
    if files is not None:
        facts |= {
            "reported_total": outcome.reported_total,
            "output_path": files.url,
            "manifest_path": files.manifest_url,
            "file_count": files.file_count,
            "size_bytes": files.size_bytes,
            "file_format": files.file_format,
            "compression": files.compression,
        }
    return facts


def tell_outlets(outlets: Iterable[Any], context: Mapping[str, Any], outcome: Outcome) -> None:
    """Give the events of a task's assets the facts of its export, beside what is there already.

    An alias gets the asset of what was written, by its URL; none where the events are the task's result. Outlets that
    are no assets are let be. In a DAG with ``PartitionedAtRuntime``, whose run has no partition, the assets' events
    get the window's start as their partition key; in all other runs with a partition Airflow gives them the run's.

    :param outlets: of the task.
    :param context: of the task.
    :param outcome: of the export.
    """
    facts, partition_key = asset_facts(outcome), _partition_key(context, outcome)
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            if outcome.files is not None:
                context["outlet_events"][outlet].add(Asset(uri=asset_uri(outcome.files.url)), extra=dict(facts))
        elif isinstance(outlet, ASSETS):
            event = context["outlet_events"][outlet]
            event.extra.update(facts)
            if partition_key is not None and not event.partition_keys:
                event.add_partitions(partition_key)


def asset_uri(url: str) -> str:
    """Return the URI of the asset that a file or a folder is.

    :param url: a URL or a local path.
    """
    return quote(url, safe=_URL_CHARACTERS) if "://" in url else PurePosixPath(url).as_uri()


def _partition_key(context: Mapping[str, Any], outcome: Outcome) -> str | None:
    at_runtime = getattr(getattr(context.get("dag"), "timetable", None), "partitioned_at_runtime", False)
    has_one = getattr(context.get("dag_run"), "partition_key", None) is not None
    if not at_runtime or has_one or outcome.start_time is None:
        return None
    return parse_time(outcome.start_time).strftime(_PARTITION_KEY)
