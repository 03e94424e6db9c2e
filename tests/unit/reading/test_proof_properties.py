"""Random rows are missing in random answers, whose totals are right: no success counts fewer than were reported."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, assume, example, given, settings
from hypothesis import strategies as st

from airflow_provider_honeyhive.exceptions import IncompleteExportError
from airflow_provider_honeyhive.export import extract_window, slice_queue
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.shards import shard_name, shards_folder, write_plan
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import MILLISECOND_US, SECOND_US, Window, from_micros
from airflow_provider_honeyhive.reading.sharding import split_by_counts
from tests.unit.model_server import ModelClient, Oddities
from tests.unit.property_settings import thoroughly

from .test_slice_reader_properties import BASE, SPAN, times_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.api.pages import Page
    from airflow_provider_honeyhive.manifest import Manifest
    from airflow_provider_honeyhive.models.filters import EventFilter

WINDOW = Window(from_micros(BASE), from_micros(BASE + SPAN))
PLAIN = {"file_format": "jsonl", "compression": "none"}
TASK = AirflowFacts(dag_id="d", task_id="t", run_id="r")
#: With threads a failure comes and goes: to shrink it would take minutes.
exports = settings(thoroughly(80), phases=[Phase.explicit, Phase.generate])


@pytest.fixture(scope="module", autouse=True)
def small_slices() -> Iterator[None]:
    """Let few events be worth a slice and a cell, so that several read these small windows."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(extract_window, "EVENTS_WORTH_A_SLICE", 5)
        patch.setattr(slice_queue, "EVENTS_IN_A_CELL", 2)
        yield


@dataclass
class Server(ModelClient):
    """A reference server of JSON events for several readers.

    :param sessions: of each row, by name; a row whose name is its session's is the root.
    :param fewest: the fewest rows that the window held at any request.
    """

    sessions: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.settings = SimpleNamespace(api_host="model", trust_total=True)
        self.retries, self.is_stopped = 0, False
        self.lock = threading.Lock()
        self.fewest = self.held("events").total()

    def fetch_page(self, *args: Any, **kwargs: Any) -> Page:
        # Others get their turn.
        time.sleep(0.000_1)
        with self.lock:
            page = super().fetch_page(*args, **kwargs)
            if self.oddities.deletes:
                self.fewest = min(self.fewest, self.held("events").total())
            return replace(page, raw_events=[self.raw(bytes(row).decode()) for row in page.raw_events])

    def raw(self, row: str) -> bytes:
        """Return a row's event; no other has the same bytes."""
        micros, session = self.events[row], self.sessions.get(row, "none")
        event = {"event_id": self.ids.get(row, row), "session_id": session, "row": row}
        event["event_type"] = "session" if row == session else "model"
        return json.dumps(event | {"start_time": None if micros is None else micros / 1000}).encode()

    def _passes(self, id_: str, item: EventFilter) -> bool:
        event = json.loads(self.raw(id_))
        return super()._passes(id_, item) if item.field == "start_time" else event[item.field] == item.value

    def is_in(self, row: str, window: Window = WINDOW) -> bool:
        """Return whether an export of the window has the row."""
        at = self.events[row]
        return self._is_everywhere(at) if at is None else window.start_us <= at < window.end_us

    def held(self, kind: str, window: Window = WINDOW) -> Counter[str]:
        """Return the rows that an export should have."""
        if kind == "events":
            return Counter(row for row in self.events if self.is_in(row, window))
        readable = (row for row, at in self.events.items() if at is not None or self._is_everywhere(at))
        return Counter(row for row in readable if self.is_in(self.sessions[row], window))

    def reported(self, kind: str) -> int:
        """Return how many rows, or roots, the server counts from the first to the last millisecond of the window."""
        high = BASE + SPAN - MILLISECOND_US
        if self.oddities.truncate_bounds:
            high = high // SECOND_US * SECOND_US
        high -= self.oddities.exclusive_end
        return sum(
            self._within(row, BASE, high) for row in self.events if kind == "events" or row == self.sessions[row]
        )


KINDS = {"events": ExportRequest(window=WINDOW), "sessions": ExportRequest(window=WINDOW, sessions="complete")}


@st.composite
def traffic(draw: st.DrawFn, most: int = 40) -> dict[str, Any]:
    """Draw events of some sessions, some of them without a time, and some ids that are in two rows."""
    step = draw(st.sampled_from([MILLISECOND_US, SECOND_US]))
    times = draw(st.lists(times_at(step), max_size=most))
    sessions = draw(st.integers(1, 8))
    events: dict[str, int | None] = {}
    of: dict[str, str] = {}
    for number, at in enumerate(times):
        name = f"session-{number % sessions}"
        row = f"row-{number}" if number >= sessions else name
        events[row], of[row] = at, name
    children = [row for row in events if row != of[row]]
    ids: dict[str, str] = {}
    if children:
        for number in range(draw(st.integers(0, 4))):
            events[f"untimed-{number}"], of[f"untimed-{number}"] = None, of[draw(st.sampled_from(children))]
        for number in range(draw(st.integers(0, 3))):
            one, row = draw(st.sampled_from(children)), f"twin-{number}"
            events[row] = draw(st.one_of(st.just(events[one]), times_at(step)))
            of[row], ids[row] = of[one], one
    return {"events": events, "sessions": of, "ids": ids, "seed": draw(st.integers(0, 1000))}


@st.composite
def dialects(draw: st.DrawFn) -> tuple[Oddities, int]:
    """Draw a server's ways, and a page size with which its answers can be read in some hundreds of requests."""
    order = draw(st.sampled_from(["desc", "desc", "ties_random", "asc", "random"]))
    # Answers that show no order are halved down to so many events.
    is_sorted = order in ("desc", "ties_random")
    bounds = [
        *[{}, {}, {"truncate_bounds": True}, {"exclusive_end": True}],
        # Who ignores ranges shows what has no time, too.
        {"ignore_date_range": True, "untimed_everywhere": "last"},
    ]
    ways = {
        "order": order,
        "cap": draw(st.sampled_from([None, None, 3, 7] if is_sorted else [None, 7])),
        "cut_bytes": draw(st.sampled_from([None, None, 100, 1_500] if is_sorted else [None, 5_000])),
        "past_end": draw(st.sampled_from(["empty", "error"])),
        "untimed_everywhere": draw(st.sampled_from(["none", "none", "first", "last"])),
    }
    page_size = draw(st.sampled_from([2, 5, 20] if is_sorted else [5, 20]))
    return Oddities(**ways | draw(st.sampled_from(bounds))), page_size


losses = st.dictionaries(st.integers(1, 40), st.integers(1, 8), min_size=1, max_size=8)
concurrencies = st.integers(1, 8)
kinds = st.sampled_from(list(KINDS))


def rows_of(folder: Path, files: Any) -> Counter[str]:
    return Counter(json.loads(line)["row"] for part in files for line in (folder / part.path).read_text().splitlines())


def export(client: Server, kind: str, **options: Any) -> Counter[str]:
    """Export the window, and return the rows in the files."""
    with tempfile.TemporaryDirectory() as folder:
        manifest = export_events(client, KINDS[kind], folder, ExportOptions(**PLAIN, **options))  # type: ignore[arg-type]
        rows = rows_of(Path(folder), manifest.files)
    assert manifest.event_count == rows.total()
    return rows


def assert_not_fewer(client: Server, kind: str, rows: Counter[str]) -> None:
    """Check what was published of a server that does not change."""
    held = client.held(kind)
    assert rows <= held, f"too many: {rows - held}"
    if not client.oddities.truncate_bounds and not client.oddities.exclusive_end:
        assert rows == held, f"lost: {held - rows}"
        return
    # Such a server's totals leave out what lies on the end of a range, so that nobody can miss as many as that.
    if kind == "events":
        assert rows.total() >= client.reported(kind)
        return
    sessions = {client.sessions[row] for row in rows}
    assert len(sessions) >= client.reported(kind)
    assert rows == Counter(row for row in held if client.sessions[row] in sessions)


def assert_whole_or_told(client: Server, kind: str, page_size: int, concurrency: int) -> None:
    """Check that an export has all rows, or fails with how many are missing, where a total shows it."""
    try:
        rows = export(client, kind, page_size=page_size, concurrency=concurrency)
    except IncompleteExportError as error:
        assert error.expected is None or error.received < error.expected  # noqa: PT017 - most cases raise none
    else:
        assert_not_fewer(client, kind, rows)


@exports
@given(drawn=traffic(), dialect=dialects(), concurrency=concurrencies, kind=kinds)
def test_without_losses_the_rows_are_the_servers(drawn, dialect, concurrency, kind):
    oddities, page_size = dialect
    client = Server(oddities=oddities, **drawn)
    try:
        rows = export(client, kind, page_size=page_size, concurrency=concurrency)
    except IncompleteExportError:
        # One event at a time in changing order: whether all were seen may stay unknown.
        assert oddities.order in ("random", "ties_random")
    else:
        assert rows == client.held(kind)


@exports
@given(drawn=traffic(), dialect=dialects(), concurrency=concurrencies, kind=kinds, lost=losses)
def test_no_success_lacks_what_answers_lacked(drawn, dialect, concurrency, kind, lost):
    oddities, page_size = dialect
    assert_whole_or_told(Server(oddities=oddities, losses=lost, **drawn), kind, page_size, concurrency)


@exports
@given(
    drawn=traffic(),
    dialect=dialects(),
    concurrency=concurrencies,
    kind=kinds,
    empty=st.integers(1, 30),
)
def test_no_success_lacks_what_an_empty_answer_lacked(drawn, dialect, concurrency, kind, empty):
    oddities, page_size = dialect
    assert_whole_or_told(Server(oddities=oddities, empties=frozenset([empty]), **drawn), kind, page_size, concurrency)


@exports
@given(
    drawn=traffic(most=80),
    cap=st.sampled_from([None, 7]),
    churn=st.sampled_from([{"inserts": 1}, {"deletes": 1}, {"inserts": 1, "deletes": 1}]),
    page_size=st.sampled_from([10, 50]),
    concurrency=concurrencies,
    lost=losses,
)
def test_no_success_counts_fewer_than_a_changing_server_ever_held(drawn, cap, churn, page_size, concurrency, lost):
    client = Server(oddities=Oddities(cap=cap, **churn), losses=lost, span=(BASE, BASE + SPAN - 1), **drawn)
    try:
        rows = export(client, "events", page_size=page_size, concurrency=concurrency)
    except IncompleteExportError:
        return
    assert rows.total() >= client.fewest
    assert max(rows.values(), default=1) == 1


@exports
@given(
    drawn=traffic(),
    late=st.lists(st.integers(0, SPAN // MILLISECOND_US - 1), min_size=1, max_size=20),
    dialect=dialects(),
    concurrency=concurrencies,
    lost=losses,
)
def test_looking_back_finds_all_that_came_late_or_fails(drawn, late, dialect, concurrency, lost):
    oddities, page_size = dialect
    assume(not oddities.truncate_bounds and not oddities.exclusive_end)
    # Lookback tells events by their ids, and what has no time is in every window.
    rows = {row: at for row, at in drawn["events"].items() if at is not None and row not in drawn["ids"]}
    client = Server(**drawn | {"events": rows, "ids": {}}, oddities=oddities)
    following = Window(WINDOW.end, from_micros(WINDOW.end_us + SPAN))
    options = ExportOptions(**PLAIN, page_size=page_size, concurrency=concurrency, lookback_windows=1)  # type: ignore[arg-type]

    def run(window: Window, path: Path) -> Manifest:
        return export_events(client, ExportRequest(window=window), path, options, TASK, exports_folder=path.parent)  # type: ignore[arg-type]

    with tempfile.TemporaryDirectory() as folder:
        try:
            run(WINDOW, Path(folder) / "first")
        except IncompleteExportError:
            assume(False)
        came = {f"late-{number}": BASE + at * MILLISECOND_US for number, at in enumerate(late)}
        client.events |= came
        asked = len(client.requests)
        client.losses = {number + asked: count for number, count in lost.items()}
        try:
            manifest = run(following, Path(folder) / "second")
        except IncompleteExportError:
            return
        found = rows_of(Path(folder) / "second", manifest.files)
        corrections = rows_of(Path(folder) / "second", manifest.corrections)
    assert found == client.held("events", following)
    assert corrections == Counter(list(came))


#: Rows of which several have one time, and two one id, by their milliseconds.
_AT = {"row-0": 0, "row-1": 0, "row-2": 3, "row-3": 3, "row-4": -492, "row-5": -290, "row-6": 5_000, "row-7": 5_000}
_AT |= {"row-8": 5_002, "row-9": 19_999, "row-10": 20_001, "row-11": 22_000, "twin-0": 1}
TIED: dict[str, Any] = {
    "events": {row: BASE + at * MILLISECOND_US for row, at in _AT.items()},
    "sessions": dict.fromkeys(_AT, "row-0"),
    "ids": {"twin-0": "row-0"},
    "seed": 51,
}
REFUSING = (Oddities(cap=7, order="asc", past_end="error", ignore_date_range=True, untimed_everywhere="last"), 5)


@exports
@given(
    drawn=traffic(),
    dialect=dialects(),
    parts=st.integers(1, 5),
    concurrency=concurrencies,
    lost=losses,
)
# An answer lacks a row at the end of a range, and what is asked for behind it is refused.
@example(drawn=TIED, dialect=REFUSING, parts=3, concurrency=1, lost={31: 4, 38: 1, 39: 1, 36: 1})
def test_no_combination_of_parts_lacks_what_answers_lacked(drawn, dialect, parts, concurrency, lost):
    oddities, page_size = dialect
    # Each part would have what has no time.
    timed = {row: at for row, at in drawn["events"].items() if at is not None}
    client: Any = Server(**drawn | {"events": timed}, oddities=oddities, losses=lost)
    request, options = KINDS["events"], ExportOptions(**PLAIN, page_size=page_size, concurrency=concurrency)  # type: ignore[arg-type]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        try:
            split = split_by_counts(client, request, parts)
            shards = shards_folder(request, "model", ("d", "r"))
            write_plan(path, shards, split.total)
            places = [path / shards / shard_name(window) for window in split.windows]
            for window, place in zip(split.windows, places, strict=True):
                export_events(client, request.model_copy(update={"window": window}), place, options)
            manifest = combine_exports(client, path, map(str, places), WINDOW, airflow=TASK)
        except IncompleteExportError:
            return
        rows = rows_of(path, manifest.files)
    assert_not_fewer(client, "events", rows)
