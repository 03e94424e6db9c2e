"""The export to XCom, where there is no ``output_path``: the events themselves. Else XCom gets :func:`.summarize`."""

from __future__ import annotations

import math
import re
import threading
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.display import get_logger
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.events.raw import load_event
from airflow_provider_honeyhive.exceptions import TooFewEventsError, TooLargeForXComError
from airflow_provider_honeyhive.export.threads import run_in_threads
from airflow_provider_honeyhive.export.unmatched import tell_unmatched
from airflow_provider_honeyhive.models.options import LARGE_XCOM_BYTES, WARN
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.stream import ProvedReader, read_again

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.models.request import ExportRequest

log = get_logger(__name__)


def collect_events(
    client: HoneyHiveClient,
    request: ExportRequest,
    *,
    max_bytes: int,
    page_size: int | None = None,
    min_events: int | None = None,
    on_unmatched: str = WARN,
    trust_total: bool | None = None,
) -> list[dict[str, Any]]:
    """Return the events of the request's window, newest first; warn of more than :data:`LARGE_XCOM_BYTES` of them.

    :param max_bytes: most bytes of JSON that they may have.
    :param page_size: most events in one request; None: by the size of the answers.
    :param min_events: fewer events than this are an error.
    :param on_unmatched: what happens where a path of ``exclude_fields`` or ``redact`` matches nothing in any event:
        ``warn`` in the log, or ``fail``.
    :param trust_total: compare them with the total that the server reports; None: as the connection says.
    :raises TooLargeForXComError: they have more bytes.
    :raises TooFewEventsError: there are fewer.
    :raises UnmatchedFieldsError: a path matches nothing, and ``on_unmatched`` is ``fail``.
    :raises HoneyHiveError: see :mod:`~airflow_provider_honeyhive.exceptions`.
    """
    fetcher = RangeFetcher(client, request, ReadStats(), page_size, trust_total=trust_total)
    reader = ProvedReader.of(fetcher, request.window)
    rules = request.rules
    masker = Masker(rules)
    matched: set[int] = set()
    size = 0

    def collect() -> list[dict[str, Any]]:
        nonlocal size
        found: list[dict[str, Any]] = []
        size = 0
        for batch in reader.read():
            raw_events = [masker.apply(raw, matched) for raw in batch.raw_events]
            size += sum(map(len, raw_events))
            if size > max_bytes:
                raise TooLargeForXComError(size, max_bytes)
            found.extend(map(load_event, raw_events))
        return found

    def collect_whole() -> list[dict[str, Any]]:
        return read_again(collect, reader.start_over, "the window")

    # In a thread, so that a signal finds the main thread free to act.
    (events,) = run_in_threads([collect_whole], threading.Event(), lambda: client.is_stopped, lambda: None)
    if len(events) < (min_events or 0):
        raise TooFewEventsError(min_events or 0, len(events))
    tell_unmatched(rules.unmatched(matched) if events else (), on_unmatched)
    if size > LARGE_XCOM_BYTES:
        log.warning(
            "The events are %s bytes of JSON, which is much for XCom: give output_path to write them to files. Airflow "
            "keeps XCom values in its database, and means them to be small: below %s bytes",
            f"{size:,}",
            f"{LARGE_XCOM_BYTES:,}",
        )
    return events


#: Halves of surrogate pairs, which texts cut at UTF-16 units end with, and NUL.
_UNFIT_CHARACTERS = re.compile("[\ud800-\udfff\0]")

#: Keys by which Airflow tells objects that it has serialized from dicts: it refuses the first two, and makes of a dict
#: with the third what that says. Those with more underscores before them are told apart from what these become.
_RESERVED_KEY = re.compile("_*(__id__|__classname__|__var)")


def fit_for_xcom(value: Any) -> Any:
    """Return decoded JSON with what XCom cannot carry replaced by the nearest thing that it can.

    Workers of Airflow 3 send results as MessagePack and strict JSON, and PostgreSQL keeps them as JSONB. So half a
    surrogate pair and NUL become U+FFFD, integers beyond 64 bits become text, and NaN and the infinities None.

    :param value: what :func:`json.loads` gives.
    """
    if isinstance(value, str):
        return _UNFIT_CHARACTERS.sub("\ufffd", value)
    if isinstance(value, dict):
        return _fit_object(value)
    if isinstance(value, list):
        return [fit_for_xcom(item) for item in value]
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**63 else str(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value


def _fit_object(value: dict[str, Any]) -> dict[str, Any]:
    fit: dict[str, Any] = {}
    for key, item in value.items():
        name = _fit_key(key)
        # Two keys may differ by what is replaced alone.
        while name in fit:
            name = f"_{name}"
        fit[name] = fit_for_xcom(item)
    return fit


def _fit_key(key: str) -> str:
    fit = _UNFIT_CHARACTERS.sub("\ufffd", key)
    return f"_{fit}" if _RESERVED_KEY.fullmatch(fit) else fit
