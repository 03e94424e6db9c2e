"""The button that leads from a task to what it exported, in HoneyHive's web app."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode, urlsplit

from airflow_provider_honeyhive._compat import BaseOperatorLink
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.window import parse_time

if TYPE_CHECKING:
    from datetime import datetime

    from airflow_provider_honeyhive._compat import BaseOperator
    from airflow_provider_honeyhive.export.result import ExportResult


class HoneyHiveEventsLink(BaseOperatorLink):
    """Leads to the project's events in HoneyHive, over a range of time that holds the task's window.

    There is no link before the task has exported something, nor where the connection has no extra ``app_url``.
    The address is made by :func:`events_url`.
    """

    name = "HoneyHive events"
    #: Where Airflow 3 keeps what :meth:`get_link` returned on the worker; the task puts it there on Airflow 2.
    xcom_key = "_link_HoneyHiveEventsLink"

    def get_link(self, operator: BaseOperator, *, ti_key: Any) -> str:
        """Return the address; an empty text where there is none.

        :param operator: the task that has run (workers of Airflow 3), or what the web server knows of it (2).
        :param ti_key: of the task instance.
        """
        url = getattr(operator, "events_url", None)
        if url is None:
            # Here, because only the web server of Airflow 2 needs it.
            from airflow.providers.common.compat.sdk import XCom  # noqa: PLC0415

            url = XCom.get_value(ti_key=ti_key, key=self.xcom_key)
        # Any task can push that key.
        return url if isinstance(url, str) and _is_web_address(url) else ""


#: The ranges of time that the web app can show: all of them end now.
RANGES = {
    "1d": timedelta(days=1),
    "3d": timedelta(days=3),
    "7d": timedelta(days=7),
    "30d": timedelta(days=30),
    "90d": timedelta(days=90),
    "6m": timedelta(days=180),
    "12m": timedelta(days=360),
}

ALL_TIME = "AllTime"

#: Characters of a project's id at the most.
LONGEST_ID = 200

#: How long after the export the range still reaches back to the window.
FOLLOWED_WITHIN = timedelta(days=7)


def events_url(app_url: str, result: ExportResult, now: datetime) -> str:
    """Return the address that shows the project's events, over a range that holds the window.

    Assumed is the form that HoneyHive's own guide to shareable links gives (cookbook, "Trace Link", 2026):
    ``{app_url}/p/{project id}/traces/events?range={range}``. It takes ranges that end now only, so the shortest one
    is chosen that reaches back to the window's start for a week to come. The id is the one that the exported events
    name; where there is none, because the window was empty, or it cannot be an id, the address is that of the app
    itself.

    :param app_url: base URL of the web app; without a scheme: https.
    :param result: of the export.
    :param now: when the link is made.
    :raises InvalidArgumentError: ``app_url`` is no address of a web page.
    """
    base = (app_url if "://" in app_url else f"https://{app_url}").strip().rstrip("/")
    if not _is_web_address(base):
        raise InvalidArgumentError("app_url", app_url, "allowed: a base URL such as https://app.us.honeyhive.ai")
    if result.project_id is None or not _can_be_id(result.project_id):
        return base
    query = urlencode({"range": _range(result.start_time, now)})
    return f"{base}/p/{quote(result.project_id, safe='')}/traces/events?{query}"


def _range(start_time: str | None, now: datetime) -> str:
    if start_time is None:
        return ALL_TIME
    age = now - parse_time(start_time) + FOLLOWED_WITHIN
    return next((name for name, length in RANGES.items() if length >= age), ALL_TIME)


def _can_be_id(text: str) -> bool:
    # What a server says may be anything. Dots alone would lead to another page, however they are encoded.
    return len(text) <= LONGEST_ID and text.isprintable() and bool(text.strip(". "))


def _is_web_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return False
    # urlsplit leaves out line breaks without a word, and a browser takes a backslash for a slash.
    is_plain = url.isprintable() and not set(url) & set(' "<>\\^`{|}')
    return is_plain and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
