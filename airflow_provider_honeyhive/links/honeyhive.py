"""The button that leads from a task to what it exported, in HoneyHive's web app."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import BaseOperatorLink

if TYPE_CHECKING:
    from airflow_provider_honeyhive._compat import BaseOperator


class HoneyHiveEventsLink(BaseOperatorLink):
    """Leads to the project's events in HoneyHive, over a range of time that holds the task's window.

    There is no link before the task has exported something, nor where the connection has no extra ``app_url``.
    The address is made by :func:`airflow_provider_honeyhive.web_app.events_url`.
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
        return url or ""
