"""One question asked of one connection again and again, by whoever waits for the answer to change."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from airflow_provider_honeyhive._compat import airflow_version
from airflow_provider_honeyhive.arguments import request_of
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.client import HoneyHiveClient
    from airflow_provider_honeyhive.models import ExportRequest

T = TypeVar("T")


class Inquiry:
    """A client and a request, made when they are first needed, and made anew after an error.

    So a key that has been replaced in the connection is used without a restart. Blocks: never to be asked
    in the triggerer's event loop.

    :param honeyhive_conn_id: id of the HoneyHive connection.
    :param most_retries: how often a request is sent again at most; the connection may say less. Whoever
        waits asks again anyway.
    :param leaves_long_waits: raise where the server asks for a wait of more than a minute, instead of waiting.
    :param arguments: of :func:`~airflow_provider_honeyhive.arguments.request_of`.
    """

    def __init__(
        self, honeyhive_conn_id: str, *, most_retries: int, leaves_long_waits: bool = False, **arguments: Any
    ) -> None:
        self._conn_id = honeyhive_conn_id
        self._most_retries = most_retries
        self._leaves_long_waits = leaves_long_waits
        self._arguments = arguments
        self._open: tuple[HoneyHiveClient, ExportRequest] | None = None

    def ask(self, question: Callable[[HoneyHiveClient, ExportRequest], T]) -> T:
        """Return what ``question`` makes of the client and the request.

        :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
        """
        try:
            if self._open is None:
                self._open = self._opened()
            return question(*self._open)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close the connections, and let what is being asked end soon; safe to call from a signal handler."""
        if self._open is not None:
            client, _ = self._open
            self._open = None
            client.stop()
            client.close()

    def _opened(self) -> tuple[HoneyHiveClient, ExportRequest]:
        from airflow_provider_honeyhive.client import HoneyHiveClient  # noqa: PLC0415

        hook = HoneyHiveHook(self._conn_id)
        request = request_of(hook, **self._arguments)
        retries = min(hook.settings.max_retries, self._most_retries)
        settings = hook.settings.model_copy(update={"max_retries": retries})
        client = HoneyHiveClient(settings, user_agent=f"apache-airflow/{airflow_version}")
        client.leaves_long_waits = self._leaves_long_waits
        return client, request
