"""Exports in processes of their own, to be killed: one process imports everything, and forks for each of them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from itertools import count
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.export import open_file
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.storage.base import UPLOAD_BLOCK
from airflow_provider_honeyhive.storage.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from multiprocessing.process import BaseProcess

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__])


def start(
    url: str,
    *arguments: Any,
    work: Callable[..., Any] = export_events,
    die_at: int = 0,
    upload_block: int = UPLOAD_BLOCK,
    **more: Any,
) -> BaseProcess:
    """Start an export, or other work with these arguments, by a client of its own; SIGTERM stops it.

    :param die_at: the step of writing at which it kills itself; 0: none.
    :param upload_block: bytes of a file from which on it goes to the store while it is read.
    """
    process = _FORKS.Process(target=_run, args=(url, work, arguments, more, die_at, upload_block))
    process.start()
    return process


def _run(
    url: str,
    work: Callable[..., Any],
    arguments: tuple[Any, ...],
    more: dict[str, Any],
    die_at: int,
    upload_block: int,
) -> None:
    open_file.UPLOAD_BLOCK = upload_block
    steps = count(1)

    def deadly(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            if next(steps) == die_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return method(*args, **kwargs)

        return call

    for name in ("create", "put", "swap", "copy", "delete", "remove_folder"):
        setattr(LocalStore, name, deadly(getattr(LocalStore, name)))
    client = HoneyHiveClient(ClientSettings.parse(api_key="hh_sandbox", api_url=url))
    signal.signal(signal.SIGTERM, lambda *_: client.stop())
    work(client, *arguments, **more)
