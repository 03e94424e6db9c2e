"""Everything an odd or hostile server may do while it answers correctly by its own lights, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Callable

ALL_ENDPOINTS = frozenset({"legacy", "export", "search", "project-export", "project-search"})


@dataclass(frozen=True)
class Behaviour:
    """One way to be a HoneyHive server; the default is the plain, documented one.

    ``sandbox.behaviour`` may be replaced while the sandbox serves. What says *stored* below is applied when
    an event is added, the rest at each request.

    :param generation: how it takes keys and says no. ``today``: the kind of key decides which paths it may ask, paths
        take a project's id, the body of a search has no unknown members, and every refusal is the same 404.
        ``older``: any key but a data plane key may ask any path, and refusals are 401, 403 and 404.
    :param endpoints: which of ``legacy``, ``export``, ``search``, ``project-export``, ``project-search`` exist.
    :param total: what the number beside the events means: the events that match, those on this page, ``all`` of
        the project's, ``wrong_total``, another ``random`` number in each answer (up to twice as many as match),
        no such key, or ``null``.
    :param total_key: name of that number; default: the dialect's own.
    :param wrong_total: the number that ``total="wrong"`` reports.
    :param total_cap: no larger number is reported.
    :param cap: no answer has more events than this, whatever the limit asked for; nothing says so.
    :param cap_affects_offset: whether ``page`` counts in pages as ``cap`` and ``cut_bytes`` make them (or in pages
        as asked for).
    :param cut_bytes: an answer ends before the event with which its events would have more bytes than this, but
        has at least one event; nothing says so.
    :param max_offset: events that come after so many others are on no page; with ``past_end="error"`` each page but
        the first that reaches beyond so many is refused, whether there are as many or not.
    :param lose_per_answer: so many events are missing in each answer, anywhere but at its ends; no total tells.
    :param max_limit: a larger ``limit`` is refused with 400; default: the dialect's own.
    :param past_end: what a page number beyond the last page brings: nothing, the last page, or 400.
    :param order: of the events; ``ties_random`` is newest first with equal times shuffled at each request,
        ``random`` shuffles everything at each request.
    :param time_format: how dict events' ``start_time`` and ``end_time`` are written (stored). What the
        format cannot say is lost to the server's comparisons, too.
    :param drop_project_field: dict events lose ``project`` (stored).
    :param truncate_bounds: ``second`` cuts both ends of a date range to whole seconds.
    :param exclusive_end: the end of a date range does not belong to it.
    :param ignore_date_range: the date range is checked, then forgotten.
    :param ignore_time_filters: so are ``datetime`` filters on ``start_time``.
    :param date_range_field: dotted name of the field that date ranges compare; default ``start_time``.
    :param untimed_everywhere: events without a time are in every range of time, ``first`` or ``last`` in its order.
    :param pretty: answers are indented.
    :param gzip: compress answers for clients that accept it.
    :param latency: seconds before each answer.
    :param latency_per_event: seconds more for each event in the answer.
    :param latency_per_skipped: seconds more for each event on the pages before it.
    :param max_answer_bytes: a larger answer is replaced by ``heavy_status`` and a proxy's HTML.
    :param heavy_status: status of such an answer.
    :param router_404: who answers for an unknown route: Express (``html``), ``nest``, an API ``gateway``, or HoneyHive
        itself as it refuses a key (``vendor``).
    :param forbidden_keys: API keys that are known and may not read.
    :param export_checks_project: the export endpoint refuses a ``project`` that is not the key's.
    :param insert_per_request: late events that appear before each request but the first.
    :param delete_per_request: events that vanish before each request but the first.
    :param before_request: called with the sandbox and the request's number before each request.
    """

    generation: Literal["today", "older"] = "today"
    endpoints: frozenset[str] = ALL_ENDPOINTS
    total: Literal["events_total", "page", "all", "wrong", "random", "absent", "null"] = "events_total"
    total_key: Literal["count", "totalEvents"] | None = None
    wrong_total: int = 123
    total_cap: int | None = None
    cap: int | None = None
    cap_affects_offset: bool = True
    cut_bytes: int | None = None
    max_offset: int | None = None
    lose_per_answer: int = 0
    max_limit: int | None = None
    past_end: Literal["empty", "repeat", "error"] = "empty"
    order: Literal["desc", "asc", "random", "ties_random"] = "desc"
    time_format: Literal["as_is", "ms", "iso", "text", "seconds_iso", "us_iso"] = "as_is"
    drop_project_field: bool = False
    truncate_bounds: Literal["none", "second"] = "none"
    exclusive_end: bool = False
    ignore_date_range: bool = False
    ignore_time_filters: bool = False
    date_range_field: str | None = None
    untimed_everywhere: Literal["none", "first", "last"] = "none"
    pretty: bool = False
    gzip: bool = False
    latency: float = 0.0
    latency_per_event: float = 0.0
    latency_per_skipped: float = 0.0
    max_answer_bytes: int | None = None
    heavy_status: int = 413
    router_404: Literal["html", "nest", "gateway", "vendor"] = "html"
    forbidden_keys: frozenset[str] = frozenset()
    export_checks_project: bool = False
    insert_per_request: int = 0
    delete_per_request: int = 0
    before_request: Callable[[Any, int], None] | None = None

    def __post_init__(self) -> None:
        unknown = self.endpoints - ALL_ENDPOINTS
        if unknown:
            raise ValueError(f"endpoints: {sorted(unknown)} not among {sorted(ALL_ENDPOINTS)}")
