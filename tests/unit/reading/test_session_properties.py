"""Whatever the server does: adjacent windows export each session once, with all its events, and no others."""

from __future__ import annotations

import itertools
import json
import tempfile
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import SECOND_US, Window, from_micros
from airflow_provider_honeyhive.reading.session_roots import LEAST_IN_A_GROUP, Root, group_bounds, share_out
from tests.unit.model_server import ModelClient, Oddities

from .test_slice_reader_properties import BASE, SPAN, thorough, times_at

if TYPE_CHECKING:
    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.models.filters import EventFilter

#: Side by side; the traffic lies in and around the middle one.
EDGES = (BASE - 10 * SECOND_US, BASE, BASE + SPAN, BASE + SPAN + 10 * SECOND_US)
WINDOWS = [Window(from_micros(low), from_micros(high)) for low, high in itertools.pairwise(EDGES)]


#: Three exports in each.
exports = settings(thorough, max_examples=thorough.max_examples // 4)


@dataclass
class Traces(ModelClient):
    """A reference server whose events belong to sessions.

    :param belongs: session and type of each event.
    """

    belongs: dict[str, tuple[str, str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settings = SimpleNamespace(api_host="model", trust_total=True)
        self.retries, self.is_stopped = 0, False

    def fetch_page(self, *args: Any, **kwargs: Any) -> Page:
        page = super().fetch_page(*args, **kwargs)
        return replace(page, raw_events=list(map(self._raw, page.ids)))

    def _raw(self, id_: Any) -> bytes:
        session_id, kind = self.belongs[id_]
        micros = self.events[id_]
        event = {"event_id": id_, "session_id": session_id, "event_type": kind, "start_time": (micros or 0) / 1000}
        return json.dumps(event).encode()

    def _passes(self, id_: str, item: EventFilter) -> bool:
        session_id, kind = self.belongs[id_]
        has = {"session_id": session_id, "event_type": kind, "event_id": id_}
        return has[item.field] == item.value if item.field in has else super()._passes(id_, item)


@st.composite
def traces(draw: st.DrawFn, step: int, most: int) -> tuple[dict[str, int], dict[str, tuple[str, str]]]:
    """Draw sessions: with a root or without, of one event or many, with a root that has an id of its own."""
    events: dict[str, int] = {}
    belongs: dict[str, tuple[str, str]] = {}
    for number in range(draw(st.integers(0, most))):
        name = f"session-{number}"
        times = draw(st.lists(times_at(step), min_size=1, max_size=9))
        roots = draw(st.sampled_from([1, 1, 1, 0, 2]))
        own_id = draw(st.sampled_from([0, 0, 0, 1, 99]))
        for place, time in enumerate(times):
            id_ = name if place == own_id and place < roots else f"{name}-{place}"
            events[id_] = time
            belongs[id_] = (name, "session" if place < roots else "model")
    return events, belongs


def wanted(client: Traces, window: Window) -> Counter[str]:
    """Return what an export of the window should hold, by the definition of a root."""
    candidates: dict[str, list[str]] = {}
    for id_, (name, kind) in client.belongs.items():
        if kind == "session":
            candidates.setdefault(name, []).append(id_)
    roots = {
        name: name if name in ids else min(ids, key=lambda id_: (client.events[id_], id_))
        for name, ids in candidates.items()
    }
    inside = {name for name, id_ in roots.items() if window.start_us <= (client.events[id_] or 0) < window.end_us}
    return Counter(id_ for id_, (name, _) in client.belongs.items() if name in inside)


def export(client: Traces, window: Window, page_size: int) -> Counter[str]:
    request = ExportRequest(window=window, sessions="complete")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "events.jsonl"
        export_events(client, request, path, ExportOptions(page_size=page_size, concurrency=1))  # type: ignore[arg-type]
        found = path.read_text().splitlines() if path.exists() else []
    return Counter(json.loads(line)["event_id"] for line in found)


@exports
@given(
    drawn=st.sampled_from([1, 1_000, SECOND_US]).flatmap(lambda step: traces(step, 8)),
    page_size=st.sampled_from([1, 2, 3, 5, 100]),
    cap=st.sampled_from([None, None, 2, 3, 7]),
    order=st.sampled_from(["desc", "desc", "ties_random"]),
    total=st.sampled_from(["total", "page", "absent", "low"]),
    past_end=st.sampled_from(["empty", "repeat", "error"]),
    bounds=st.sampled_from([{}, {"truncate_bounds": True}, {"exclusive_end": True}]),
    seed=st.integers(0, 1000),
)
def test_a_quiet_server_is_read_exactly(drawn, page_size, cap, order, total, past_end, bounds, seed):
    # One event at a time, in changing order, without a total: nothing can tell when all were seen.
    assume(order == "desc" or page_size > 1)
    events, belongs = drawn
    for window in WINDOWS:
        oddities = Oddities(cap=cap, order=order, total=total, past_end=past_end, **bounds)
        client = Traces(dict(events), oddities, seed, belongs=belongs)
        assert export(client, window, page_size) == wanted(client, window)


@exports
@given(
    drawn=st.sampled_from([1_000, SECOND_US]).flatmap(lambda step: traces(step, 5)),
    page_size=st.sampled_from([5, 10, 100]),
    cap=st.sampled_from([None, 5, 7]),
    order=st.sampled_from(["asc", "random"]),
    total=st.sampled_from(["total", "page"]),
    seed=st.integers(0, 1000),
)
def test_unsorted_answers_are_read_exactly(drawn, page_size, cap, order, total, seed):
    assume(total == "total" or cap is None)
    events, belongs = drawn
    for window in WINDOWS:
        client = Traces(dict(events), Oddities(cap=cap, order=order, total=total), seed, belongs=belongs)
        assert export(client, window, page_size) == wanted(client, window)


@thorough
@given(
    st.tuples(st.sampled_from([0, 1, 30, SPAN - 1]), st.sampled_from([0, 5, 16, 17, 60])).flatmap(
        lambda drawn: st.lists(
            st.one_of(st.integers(0, drawn[0]), st.integers(0, drawn[0]), st.none()), min_size=drawn[1], max_size=60
        )
    )
)
def test_groups_cover_the_window_and_hold_each_root_once(times):
    drawn = [Root(None if time is None else BASE + time, f"s{n}", f"s{n}") for n, time in enumerate(times)]
    roots = sorted(drawn, key=lambda root: (root.time is None, -(root.time or 0), root.session_id))
    bounds = group_bounds(roots, WINDOWS[1])
    assert (bounds[0][1], bounds[-1][0]) == (EDGES[2], EDGES[1])
    assert all(newer[0] == older[1] for newer, older in itertools.pairwise(bounds))
    assert all(low < high for low, high in bounds)
    groups = share_out(roots, bounds)
    assert [root for group in groups for root in group] == roots
    for group, (low, high) in zip(groups, bounds, strict=True):
        timed = [root.time for root in group if root.time is not None]
        assert all(low <= time < high for time in timed)
        if len(timed) > LEAST_IN_A_GROUP:
            assert len(set(timed[LEAST_IN_A_GROUP - 1 :])) == 1, "more than a group's worth"
