"""The button that leads from a task to what it exported, in HoneyHive's web app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import BaseOperatorLink
from airflow_provider_honeyhive.api import web_app

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
        return url if isinstance(url, str) and web_app.is_web_address(url) else ""


def events_url(app_url: str, result: ExportResult, now: datetime) -> str:
    """Return the address that shows the project's events, see :func:`.web_app.events_url`.

    :param app_url: base URL of the web app; without a scheme: https.
    :param result: of the export.
    :param now: when the link is made.
    :raises InvalidArgumentError: ``app_url`` is no address of a web page.
    """
    return web_app.events_url(app_url, result.project_id, result.start_time, now)
