"""Addresses of pages in HoneyHive's web app."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urlsplit

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.window import parse_time

if TYPE_CHECKING:
    from datetime import datetime

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

#: How long after the link is made its range still reaches back to the window.
FOLLOWED_WITHIN = timedelta(days=7)


def events_url(app_url: str, project_id: str | None, start_time: str | None, now: datetime) -> str:
    """Return the address that shows the project's events, over a range that holds the window.

    Assumed is the form that HoneyHive's own guide to shareable links gives (cookbook, "Trace Link", 2026):
    ``{app_url}/p/{project id}/traces/events?range={range}``. It takes ranges that end now only, so the shortest one
    is chosen that reaches back to the window's start for a week to come. No form is documented that leads to a single
    session or event.

    :param app_url: base URL of the web app; without a scheme: https.
    :param project_id: that the exported events name. Where there is none, because the window was empty, or it cannot
        be an id, the address is that of the app itself.
    :param start_time: of the window, ISO 8601; None: all of time.
    :param now: when the link is made.
    :raises InvalidArgumentError: ``app_url`` is no address of a web page.
    """
    base = base_address(app_url)
    if project_id is None or not _can_be_id(project_id):
        return base
    query = urlencode({"range": _range(start_time, now)})
    return f"{base}/p/{quote(project_id, safe='')}/traces/events?{query}"


def base_address(app_url: str) -> str:
    """Return the base URL of the web app as links begin with it.

    :param app_url: of a connection; without a scheme: https.
    :raises InvalidArgumentError: it is no address of a web page.
    """
    base = (app_url if "://" in app_url else f"https://{app_url}").strip().rstrip("/")
    if not is_web_address(base):
        raise InvalidArgumentError("app_url", app_url, "allowed: a base URL such as https://app.us.honeyhive.ai")
    return base


def _range(start_time: str | None, now: datetime) -> str:
    if start_time is None:
        return ALL_TIME
    age = now - parse_time(start_time) + FOLLOWED_WITHIN
    return next((name for name, length in RANGES.items() if length >= age), ALL_TIME)


def _can_be_id(text: str) -> bool:
    # What a server says may be anything. Dots alone would lead to another page, however they are encoded.
    return len(text) <= LONGEST_ID and text.isprintable() and bool(text.strip(". "))


def is_web_address(url: str) -> bool:
    """Return whether a text is the address of a web page: http or https, without a user, and of plain characters."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for one that is no number
    except ValueError:
        return False
    # urlsplit leaves out line breaks without a word, and a browser takes a backslash for a slash.
    is_plain = url.isprintable() and not set(url) & set(' "<>\\^`{|}')
    return is_plain and parts.scheme in ("http", "https") and bool(parts.hostname) and "@" not in parts.netloc
