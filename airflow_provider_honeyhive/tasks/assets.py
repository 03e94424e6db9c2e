"""Tells those who watch Airflow what a task has exported: its assets, OpenLineage, the link, the task's log."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from airflow_provider_honeyhive._compat import ASSETS, Asset, AssetAlias
from airflow_provider_honeyhive.display import get_logger, shown
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.links.honeyhive import HoneyHiveEventsLink, events_url
from airflow_provider_honeyhive.models.window import parse_time
from airflow_provider_honeyhive.tasks.lineage import operator_lineage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from airflow_provider_honeyhive._compat import BaseOperatorLink, Context
    from airflow_provider_honeyhive.export.result import ExportResult
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.manifest import Manifest
    from airflow_provider_honeyhive.models.request import ExportRequest


log = get_logger(__name__)

#: What stands in the path of a URI as it is. All else is percent-encoded: assets take ASCII only, and what is behind
#: "?" or "#" would be no part of the path, so that several places would have one asset.
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"
#: In the part before the path, an IPv6 address may stand, too.
_HOST_CHARACTERS = f"{_PATH_CHARACTERS}[]"


def asset_facts(result: ExportResult) -> dict[str, str | int | None]:
    """Return what an asset event says of an export, as a flat object; its texts are such as may be shown.

    No list of files, which may be long, and which aliases of Airflow 2.11 could not carry: the manifest has it.
    """
    facts: dict[str, str | int | None] = {
        "project": result.project,
        "start_time": result.start_time,
        "end_time": result.end_time,
        "event_count": result.event_count,
    }
    manifest = result.manifest
    if manifest is None:
        return shown_facts(facts)
    if manifest.lookback is not None:
        facts |= {"late_count": manifest.lookback.late_count, "changed_count": manifest.lookback.changed_count}
    facts |= {
        "reported_total": manifest.reported_total,
        "output_path": manifest.url(),
        "manifest_path": manifest.manifest_url,
        "file_count": len(manifest.files),
        "size_bytes": manifest.size_bytes,
        "file_format": manifest.file_format,
        "compression": manifest.compression,
    }
    return shown_facts(facts)


def shown_facts(facts: Mapping[str, str | int | None]) -> dict[str, str | int | None]:
    """Return facts with texts that may be shown."""
    return {name: shown(fact) if isinstance(fact, str) else fact for name, fact in facts.items()}


def tell_outlets(outlets: Iterable[Any], context: Mapping[str, Any], result: ExportResult) -> None:
    """Tell the assets of a task what it has exported; see :func:`tell_assets`.

    :param outlets: of the task.
    :param context: of the task.
    :param result: of the export.
    """
    url = None if result.manifest is None else result.manifest.url()
    tell_assets(outlets, context, asset_facts(result), url, result.start_time)


def tell_assets(
    outlets: Iterable[Any],
    context: Mapping[str, Any],
    facts: Mapping[str, str | int | None],
    url: str | None,
    start_time: str | None,
) -> None:
    """Give the events of a task's assets the facts of what it has written, beside what is there already.

    An alias gets the asset of what was written, by its URL; none where the events are the task's result. Outlets that
    are no assets are let be. In a DAG with ``PartitionedAtRuntime``, whose run has no partition, the assets' events
    get the window's start as their partition key; in all other runs with a partition Airflow gives them the run's.

    :param outlets: of the task.
    :param context: of the task.
    :param facts: a flat object, whose texts may be shown.
    :param url: of what was written; None: nothing was.
    :param start_time: of the window; None: all of time.
    """
    partition_key = _partition_key(context, start_time)
    for outlet in outlets:
        if isinstance(outlet, AssetAlias):
            if url is not None:
                context["outlet_events"][outlet].add(Asset(uri=asset_uri(url)), extra=dict(facts))
        elif isinstance(outlet, ASSETS):
            event = context["outlet_events"][outlet]
            event.extra.update(facts)
            if partition_key is not None and not event.partition_keys:
                event.add_partitions(partition_key)


def asset_uri(url: str) -> str:
    """Return the URI of the asset that a file or a folder is; no two places have the same.

    :param url: a URL or a local path.
    """
    # What does not print is escaped, and the escapes are encoded: an asset's URI is ASCII that prints.
    url = shown(url)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return PurePosixPath(url).as_uri()
    host, slash, path = rest.partition("/")
    return f"{scheme}://{quote(host, safe=_HOST_CHARACTERS)}{slash}{quote(path, safe=_PATH_CHARACTERS)}"


def _partition_key(context: Mapping[str, Any], start_time: str | None) -> str | None:
    at_runtime = getattr(getattr(context.get("dag"), "timetable", None), "partitioned_at_runtime", False)
    has_one = getattr(context.get("dag_run"), "partition_key", None) is not None
    if not at_runtime or has_one or start_time is None:
        return None
    # As Airflow's own cron partitions are called, in UTC.
    return parse_time(start_time).replace(tzinfo=None).isoformat(timespec="seconds")


#: Files that the log lists; the manifest has them all.
MOST_FILES_SHOWN = 50


class ExportResultMixin:
    """An operator that exports, and says so."""

    operator_extra_links: Collection[BaseOperatorLink] = (HoneyHiveEventsLink(),)
    outlets: list[Any]
    #: What the task has exported; None: nothing yet.
    result: ExportResult | None = None
    #: Where the link leads; empty: there is none.
    events_url: str = ""

    def report(self, context: Context, result: ExportResult, app_url: str | None) -> None:
        """Tell assets, lineage and the link.

        :param context: of the task.
        :param result: of its export.
        :param app_url: base URL of HoneyHive's web app; None: no link.
        """
        self.result = result
        tell_outlets(self.outlets, context, result)
        self.events_url = _link(app_url, result)
        if self.events_url:
            context["ti"].xcom_push(key=HoneyHiveEventsLink.xcom_key, value=self.events_url)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what the task has read and written; called by Airflow's OpenLineage provider.

        :param task_instance: of the task.
        """
        return operator_lineage(self.result)


def log_files(manifest: Manifest) -> None:
    """List the files of an export in the log, folded up."""
    if not manifest.event_count:
        log.info(
            "No events in the window [%s, %s) of project %s", manifest.start_time, manifest.end_time, manifest.project
        )
    files = [*manifest.files, *manifest.corrections]
    if not files:
        return
    with log_group(f"Files: {len(files):,}"):
        for part in files[:MOST_FILES_SHOWN]:
            log.info("%s: %s events, %.1f MB%s", part.path, f"{part.event_count:,}", part.size_bytes / 1e6, _span(part))
        if len(files) > MOST_FILES_SHOWN:
            log.info("and %s more, which the manifest lists", f"{len(files) - MOST_FILES_SHOWN:,}")


def log_returned(events: list[Any], request: ExportRequest) -> None:
    """Say in the log how many events a task returns."""
    if events:
        log.info("Returning %s events of project %s, window %s", f"{len(events):,}", request.project, request.window)
    else:
        log.info("No events in the window %s of project %s", request.window, request.project)


@contextmanager
def log_group(title: str) -> Iterator[None]:
    """Fold up in Airflow's web interface what is logged inside.

    :param title: of the group, which is always seen.
    """
    log.info("::group::%s", title)
    try:
        yield
    finally:
        log.info("::endgroup::")


def _span(part: PartFile) -> str:
    return f", {part.min_start_time} to {part.max_start_time}" if part.min_start_time else ""


def _link(app_url: str | None, result: ExportResult) -> str:
    if not app_url:
        return ""
    try:
        return events_url(app_url, result, datetime.now(UTC))
    except InvalidArgumentError as error:
        # What was exported is worth more than a link to it.
        log.warning("No link to HoneyHive: the connection's extra %s", error)
        return ""
