"""The order of looking, saving and announcing: nothing is lost at any moment, and nothing ends the watch."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.api.retries import LONGEST_PAUSE_S
from airflow_provider_honeyhive.exceptions import (
    DestinationTakenError,
    HoneyHiveAuthError,
    HoneyHiveRateLimitError,
    HoneyHiveServerError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import to_micros
from airflow_provider_honeyhive.sandbox import Behaviour
from airflow_provider_honeyhive.tasks.state import AssetState, FileState
from airflow_provider_honeyhive.triggers.watch import Watch
from tests.unit.test_display import HOSTILE

if TYPE_CHECKING:
    from collections.abc import Callable

START = datetime(2026, 11, 22, 12, tzinfo=UTC)
START_US = to_micros(START)
REQUEST = ExportRequest.parse(project="demo", filters=[{"field": "error", "operator": "exists"}])
INTERVAL = 60.0


def failed(name: str, at: float = 0.0) -> dict[str, Any]:
    return {"event_id": name, "project": "demo", "start_time": START_US // 1000 + int(at * 1000), "error": "boom"}


class Asked:
    """A polling client of a sandbox, without Airflow; fails as told."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.request = REQUEST
        self.errors: list[Exception] = []
        self.closed = False

    def ask(self, question: Callable[[Any, ExportRequest], Any]) -> Any:
        if self.errors:
            raise self.errors.pop(0)
        return question(self.client, self.request)

    def close(self) -> None:
        self.closed = True


class MemoryState:
    """A store that remembers all that was saved; refuses as told."""

    most_bytes = 65_535

    def __init__(self) -> None:
        self.saved: list[dict[str, Any]] = []
        self.refusals = 0
        #: That have asked for something.
        self.threads: set[threading.Thread] = set()

    def load(self) -> dict[str, Any] | None:
        self.threads.add(threading.current_thread())
        return json.loads(json.dumps(self.saved[-1])) if self.saved else None

    def save(self, data: dict[str, Any]) -> None:
        self.threads.add(threading.current_thread())
        if self.refusals:
            self.refusals -= 1
            raise OSError("the disk is full")
        if len(json.dumps(data)) > self.most_bytes:
            raise OSError("the value is too long")
        self.saved.append(data)

    @property
    def pending(self) -> list[str] | None:
        pending = self.saved[-1]["pending"]
        return pending and pending["event_ids"]


class Stage:
    """A watcher whose time passes only while it sleeps."""

    def __init__(self, client: Any, store: Any = None, begin: int | None = START_US) -> None:
        self.polling_client = Asked(client)
        self.store = store or MemoryState()
        self.now = START_US
        self.pauses: list[float] = []
        #: What happens in the next pauses.
        self.meanwhile: list[Callable[[], object]] = []
        self.begin = begin

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += int(seconds * 1e6)
        assert len(self.pauses) < 200, "nothing was announced"
        if self.meanwhile:
            self.meanwhile.pop(0)()
        await asyncio.sleep(0)

    def watch(self) -> Watch:
        return Watch(
            self.polling_client,
            self.store,
            filters=[item.to_wire() for item in self.polling_client.request.filters],
            begin=self.begin,
            poll_interval=INTERVAL,
            lookback=3600,
            clock=lambda: self.now,
            sleep=self.sleep,
        )


@pytest.fixture
def sandbox(sandbox_with):
    return sandbox_with([])


@pytest.fixture
def stage(sandbox, client_of):
    return Stage(client_of(sandbox))


def first(watch: Watch, count: int = 1) -> list[list[str]]:
    """Return the ids of the first announcements, each confirmed but the last."""

    async def collect() -> list[list[str]]:
        found = []
        async for announced in watch.announcements():
            found.append(announced["event_ids"])
            if len(found) == count:
                return found
            watch.confirm()
        return found

    return asyncio.run(collect())


def test_the_beginning_is_saved_so_that_a_restart_does_not_move_it(sandbox, client_of):
    stage = Stage(client_of(sandbox), begin=None)
    begun = stage.now
    stage.meanwhile = [lambda: None, lambda: sandbox.add([failed("a", 30)])]

    assert first(stage.watch()) == [["a"]]
    assert stage.store.saved[0]["begin"] == begun
    assert stage.store.saved[0]["since"] == begun - 3_600_000_000


def test_an_announcement_is_saved_before_it_is_made(sandbox, stage):
    sandbox.add([failed("a")])

    assert first(stage.watch()) == [["a"]]
    assert stage.store.pending == ["a"]


def test_a_confirmed_announcement_is_taken_out_of_the_state(sandbox, stage):
    sandbox.add([failed("a")])
    stage.meanwhile = [lambda: None, lambda: sandbox.add([failed("b", 90)])]

    assert first(stage.watch(), 2) == [["a"], ["b"]]
    assert [saved["pending"] and saved["pending"]["event_ids"] for saved in stage.store.saved] == [
        None,  # the beginning
        None,  # what matched then
        ["a"],
        None,
        ["b"],
    ]


def test_what_matched_at_the_beginning_is_saved_before_anything_is_announced(sandbox, stage):
    """A restart would take what matches by then for what matched at the beginning."""
    sandbox.add([{**failed("rated", -600), "error": None}, failed("matched", -60)])

    def rate() -> None:
        sandbox.delete(["rated"])
        sandbox.add([failed("rated", -600)])

    stage.meanwhile = [rate]

    async def look_once(watch: Watch) -> None:
        await watch._look()

    asyncio.run(look_once(stage.watch()))  # and the triggerer dies
    rate()
    assert first(stage.watch()) == [["rated"]]


def test_nothing_more_is_asked_until_an_announcement_is_confirmed(sandbox, stage):
    sandbox.add([failed("a")])

    async def go_on_without_confirming() -> int:
        announcements = stage.watch().announcements()
        await anext(announcements)
        asked = len(sandbox.requests)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(anext(announcements), 0.05)
        return len(sandbox.requests) - asked

    assert asyncio.run(go_on_without_confirming()) == 0


def test_after_a_death_before_the_confirmation_the_same_announcement_is_made_again(sandbox, stage):
    sandbox.add([failed("a")])
    first(stage.watch())
    sandbox.add([failed("b", 30)])
    stage.now += 120_000_000

    assert first(stage.watch(), 2) == [["a"], ["b"]]
    batches = [saved["pending"]["batch"] for saved in stage.store.saved if saved["pending"]]
    assert len(set(batches)) == 2


def test_what_cannot_be_saved_is_not_announced(sandbox, stage):
    sandbox.add([failed("a")])
    stage.meanwhile = [lambda: setattr(stage.store, "refusals", 3)]

    assert first(stage.watch()) == [["a"]]
    assert stage.pauses == [INTERVAL] * 4


def test_a_confirmation_is_saved_before_the_next_look(sandbox, stage):
    sandbox.add([failed("a")])
    watch = stage.watch()

    async def collect() -> None:
        announcements = watch.announcements()
        await anext(announcements)
        stage.store.refusals = 2
        sandbox.add([failed("b", 1)])
        asked = len(sandbox.requests)
        stage.meanwhile = [lambda: None, lambda: seen.append(len(sandbox.requests) - asked)]
        watch.confirm()
        assert (await anext(announcements))["event_ids"] == ["b"]

    seen: list[int] = []
    asyncio.run(collect())
    assert seen == [0]
    assert stage.store.saved[-2]["pending"] is None


@pytest.mark.parametrize(
    "error",
    [
        HoneyHiveServerError("down"),
        HoneyHiveAuthError("wrong key"),
        InvalidArgumentError("project", None, "give it"),
        RuntimeError("something else"),
    ],
)
def test_no_error_ends_the_watch(sandbox, stage, error, caplog):
    sandbox.add([failed("a")])
    stage.polling_client.errors = [error, error]

    assert first(stage.watch()) == [["a"]]
    assert stage.pauses == [INTERVAL] * 2
    assert str(error) in caplog.text


def test_an_error_is_logged_with_its_place_and_neither_its_secrets_nor_what_it_came_from(sandbox, stage, caplog):
    def fail() -> None:
        try:
            raise KeyError("http://u:S3cr3t@proxy")
        except KeyError:
            raise RuntimeError(f"{HOSTILE} http://u:S3cr3t@proxy") from None

    error: Any = None
    try:
        fail()
    except RuntimeError as caught:
        error = caught
    sandbox.add([failed("a")])
    stage.polling_client.errors = [error]

    assert first(stage.watch()) == [["a"]]
    assert "Watching goes on after RuntimeError: a\\nOK: fine" in caplog.text
    assert "test_watch.py:" in caplog.text
    assert "Traceback" not in caplog.text
    assert "S3cr3t" not in caplog.text
    assert all(map(str.isprintable, caplog.text.splitlines()))


@pytest.mark.parametrize(("asked", "waited"), [(10, INTERVAL), (300, 300), (10_000_000, LONGEST_PAUSE_S)])
def test_the_server_may_ask_for_patience_within_reason(sandbox, stage, asked, waited):
    sandbox.add([failed("a")])
    stage.polling_client.errors = [HoneyHiveRateLimitError("slower", retry_after=asked)]

    first(stage.watch())

    assert stage.pauses[0] == waited


def test_a_state_that_cannot_be_read_is_not_replaced(sandbox, stage, caplog):
    stage.store.saved = [{"version": 99}]
    sandbox.add([failed("a")])

    with pytest.raises(AssertionError, match="nothing was announced"):
        first(stage.watch())
    assert stage.store.saved == [{"version": 99}]
    assert "version 99" in caplog.text


def test_a_quiet_watcher_saves_its_state_once_in_a_lookback(sandbox, stage):
    stage.meanwhile = [lambda: None] * 150 + [lambda: sandbox.add([failed("a", 9000)])]

    first(stage.watch())

    assert [saved["since"] - START_US for saved in stage.store.saved] == [
        -3_600_000_000,  # the beginning
        -3_600_000_000,  # what matched then
        0,
        3_600_000_000,
        5_460_000_000,
    ]


def test_events_beyond_the_capacity_are_warned_of(sandbox, stage, caplog):
    sandbox.add([failed(f"event {n}", n / 10) for n in range(150)])
    stage.store.most_bytes = 3_000
    stage.meanwhile = [lambda: None]

    assert len(first(stage.watch())[0]) == 100
    assert "matching events within the lookback than can be remembered" in caplog.text


def test_many_events_and_long_filters_are_announced_and_fit_into_the_store(sandbox, stage):
    sandbox.add([failed(f"event {n:036d}", n / 2) for n in range(4_000)])
    stage.now += 3_000_000_000
    long = {"field": "error", "operator": "is not", "value": "x" * 70_000}
    stage.polling_client.request = ExportRequest.parse(project="demo", filters=[long])

    async def announced() -> dict[str, Any]:
        return await anext(stage.watch().announcements())

    said = asyncio.run(announced())
    assert said["event_count"] == 4_000
    assert said["filters"] == [item.to_wire() for item in stage.polling_client.request.filters]
    # The same from the saved state, after a death.
    assert asyncio.run(announced()) == said
    assert 3_500 <= len(stage.store.saved[-1]["seen"]) // 16 < 4_000


def test_the_event_loop_goes_on_while_the_server_is_silent(sandbox_with, client_of):
    answer = asyncio.Event()

    def hold(sandbox: Any, number: int) -> None:
        # Only the event loop can end this wait.
        asyncio.run_coroutine_threadsafe(answer.wait(), loop).result(timeout=30)

    sandbox = sandbox_with([failed("a", -1), failed("b")], behaviour=Behaviour(before_request=hold))
    stage = Stage(client_of(sandbox))
    stage.now += 1_000_000

    async def watch() -> list[str]:
        nonlocal loop
        loop = asyncio.get_running_loop()
        announcements = stage.watch().announcements()
        waiting = asyncio.ensure_future(anext(announcements))
        await asyncio.sleep(0)
        answer.set()
        return (await waiting)["event_ids"]

    loop: Any = None
    assert asyncio.run(watch()) == ["b"]


def test_closing_the_watch_ends_what_is_being_asked(stage):
    stage.watch().close()

    assert stage.polling_client.closed


def test_the_store_is_asked_in_a_thread_since_it_blocks(stage, sandbox):
    sandbox.add([failed("a")])

    assert first(stage.watch()) == [["a"]]
    assert len(stage.store.saved) > 1
    assert threading.main_thread() not in stage.store.threads


# ---------------------------------------------------------------------------------------------------- stores


def test_a_file_keeps_the_state_whole(tmp_path):
    path = tmp_path / "folder" / "watch.json"
    store = FileState(str(path), watcher="watcher")

    assert store.load() is None
    store.save({"version": 1, "since": 5})
    assert FileState(str(path), watcher="watcher").load() == {"version": 1, "since": 5, "watcher": "watcher"}
    assert path.read_text() == '{"version": 1, "since": 5, "watcher": "watcher"}'
    assert [found.name for found in path.parent.iterdir()] == ["watch.json"]


@pytest.mark.parametrize("content", ['{"version": 1, "watcher": "another"}', "[]", "no JSON", "{}", ""])
def test_a_file_of_somebody_else_is_left_alone(tmp_path, content):
    path = tmp_path / "watch.json"
    path.write_text(content)

    with pytest.raises(DestinationTakenError, match="another state_path"):
        FileState(str(path), watcher="watcher").load()
    assert path.read_text() == content


class Accessors:
    """What the triggerer gives to an event trigger; of one asset, or of several."""

    def __init__(self, *, of_one: bool = True) -> None:
        self.values: dict[str, Any] = {}
        self.of_one = of_one

    def get(self, key: str, default: Any = None) -> Any:
        if not self.of_one:
            raise ValueError("which asset?")
        return self.values.get(key, default)

    def set(self, key: str, value: Any) -> None:
        self.values[key] = value

    @property
    def pending(self) -> Any:
        """What the one state that was set says is pending."""
        (state,) = self.values.values()
        return state["pending"]


def test_watchers_of_one_asset_keep_their_states_apart():
    accessors = Accessors()
    one, other = AssetState(accessors, "one"), AssetState(accessors, "other")

    one.save({"since": 1})
    assert (one.load(), other.load()) == ({"since": 1}, None)


def test_a_trigger_that_several_assets_share_is_told_what_to_do():
    with pytest.raises(InvalidArgumentError, match="let the triggers of the assets differ"):
        AssetState(Accessors(of_one=False), "one").load()
