"""Tells those who watch Airflow what a task has exported: its assets, OpenLineage, the link, the task's log."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.assets import tell_outlets
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.links.honeyhive import HoneyHiveEventsLink

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from airflow_provider_honeyhive._compat import BaseOperatorLink, Context
    from airflow_provider_honeyhive.manifest import Manifest, PartFile
    from airflow_provider_honeyhive.outcomes import Outcome

log = logging.getLogger(__name__)

#: Files that the log lists; the manifest has them all.
MOST_FILES_SHOWN = 50


class Announcing:
    """An operator that exports, and says so."""

    operator_extra_links: Collection[BaseOperatorLink] = (HoneyHiveEventsLink(),)
    outlets: list[Any]
    #: What the task has exported; None: nothing yet.
    outcome: Outcome | None = None
    #: Where the link leads; empty: there is none.
    events_url: str = ""

    def announce(self, context: Context, outcome: Outcome, app_url: str | None) -> None:
        """Tell assets, lineage and the link.

        :param context: of the task.
        :param outcome: of its export.
        :param app_url: base URL of HoneyHive's web app; None: no link.
        """
        self.outcome = outcome
        tell_outlets(self.outlets, context, outcome)
        self.events_url = _link(app_url, outcome)
        if self.events_url:
            context["ti"].xcom_push(key=HoneyHiveEventsLink.xcom_key, value=self.events_url)

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> Any:
        """Return what the task has read and written; called by Airflow's OpenLineage provider.

        :param task_instance: of the task.
        """
        from airflow_provider_honeyhive.lineage import operator_lineage  # noqa: PLC0415

        return operator_lineage(self.outcome)


def log_files(manifest: Manifest) -> None:
    """List the files of an export in the log, folded up."""
    files = [*manifest.files, *manifest.corrections]
    with log_group(f"Files: {len(files):,}"):
        for part in files[:MOST_FILES_SHOWN]:
            log.info("%s: %s events, %.1f MB%s", part.path, f"{part.event_count:,}", part.size_bytes / 1e6, _span(part))
        if len(files) > MOST_FILES_SHOWN:
            log.info("and %s more, which the manifest lists", f"{len(files) - MOST_FILES_SHOWN:,}")


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


def _link(app_url: str | None, outcome: Outcome) -> str:
    from airflow_provider_honeyhive.web_app import events_url  # noqa: PLC0415

    if not app_url:
        return ""
    try:
        return events_url(app_url, outcome, datetime.now(UTC))
    except InvalidArgumentError as error:
        # What was exported is worth more than a link to it.
        log.warning("No link to HoneyHive: the connection's extra %s", error)
        return ""
