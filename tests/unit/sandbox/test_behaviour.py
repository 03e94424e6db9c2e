"""Each way of being an odd server, shown once."""

from __future__ import annotations

import gzip
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.sandbox import Behaviour, Sandbox

from .wire import EXPORT, LEGACY, MINIMAL, PROJECT_SEARCH, SEARCH, ask, event

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMES = {"legacy": LEGACY, "export": EXPORT, "search": SEARCH, "project-search": PROJECT_SEARCH}


@pytest.fixture(scope="module")
def ten() -> Iterator[Sandbox]:
    """Ten events, a second apart; tests change only how they are served."""
    with Sandbox([event(f"e{n}", n * 1000, end_time=(20 - n) * 1000) for n in range(10)]) as sandbox:
        yield sandbox


def serve(sandbox: Sandbox, **behaviour: Any) -> Sandbox:
    sandbox.behaviour = Behaviour(**behaviour)
    return sandbox


def between(start: Any, end: Any) -> dict[str, Any]:
    return {"dateRange": {"start_time": start, "end_time": end}}


def since(operator: str, value: str) -> dict[str, Any]:
    return {"filters": [{"field": "start_time", "operator": operator, "value": value, "type": "datetime"}]}


@pytest.mark.parametrize("name", list(NAMES))
def test_endpoints_that_do_not_exist_are_the_routers_404(ten: Sandbox, name: str) -> None:
    serve(ten, endpoints=frozenset({name}))
    for path in MINIMAL:
        reply = ask(ten, path)
        assert reply.status == (200 if path == NAMES[name] else 404)
        assert reply.status == 200 or f"Cannot POST {path}".encode() in reply.body


def test_unknown_endpoints_are_a_mistake() -> None:
    with pytest.raises(ValueError, match="serch"):
        Behaviour(endpoints=frozenset({"serch"}))


@pytest.mark.parametrize(
    ("style", "missing", "wrong_method"),
    [
        ("html", (404, b"<pre>Cannot POST /x</pre>"), (404, b"<pre>Cannot GET /v1/events/search</pre>")),
        ("nest", (404, b'{"message":"Cannot POST /x","error":"Not Found","statusCode":404}'), (404, b"Cannot GET")),
        ("gateway", (404, b'{"message":"Not Found"}'), (405, b'{"message":"Method Not Allowed"}')),
    ],
)
def test_three_routers_say_not_found(
    ten: Sandbox, style: str, missing: tuple[int, bytes], wrong_method: tuple[int, bytes]
) -> None:
    serve(ten, router_404=style)
    for (status, body), reply in ((missing, ask(ten, "/x")), (wrong_method, ask(ten, SEARCH, method="GET"))):
        assert reply.status == status
        assert body in reply.body
        assert reply.headers["content-type"].startswith("text/html" if style == "html" else "application/json")


@pytest.mark.parametrize(
    ("total", "shown"),
    [
        ("events_total", {"count": 10}),
        ("page", {"count": 3}),
        ("all", {"count": 10}),
        ("wrong", {"count": 7}),
        ("null", {"count": None}),
        ("absent", {}),
    ],
)
def test_the_total_may_mean_anything(ten: Sandbox, total: str, shown: dict[str, Any]) -> None:
    answer = ask(serve(ten, total=total, wrong_total=7), SEARCH, {"limit": 3}).json
    assert len(answer.pop("events")) == 3
    assert answer == shown


def test_a_total_of_all_events_ignores_the_range_and_the_filters(ten: Sandbox) -> None:
    answer = ask(serve(ten, total="all"), SEARCH, between(2000, 4000) | since("after", "1970-01-01T00:00:02Z")).json
    assert (len(answer["events"]), answer["count"]) == (2, 10)


def test_a_total_may_be_another_number_in_each_answer(ten: Sandbox) -> None:
    serve(ten, total="random")
    totals = [ask(ten, SEARCH, {"limit": 1}).json["count"] for _ in range(30)]
    assert len(set(totals)) > 5
    assert 0 <= min(totals) < 10 < max(totals) <= 20


def test_a_total_may_end_at_a_number(ten: Sandbox) -> None:
    serve(ten, total_cap=4)
    assert (len(ask(ten).ids), ask(ten).json["count"]) == (10, 4)
    assert ask(ten, SEARCH, between(0, 2000)).json["count"] == 3


def test_the_totals_name_can_be_set(ten: Sandbox) -> None:
    assert ask(serve(ten, total_key="totalEvents"), SEARCH).json["totalEvents"] == 10
    assert ask(serve(ten, total_key="count"), LEGACY).json["count"] == 10


def test_a_cap_shortens_pages_silently(ten: Sandbox) -> None:
    serve(ten, cap=3)
    assert [ask(ten, SEARCH, {"limit": 5, "page": page}).ids for page in (1, 2)] == [
        ["e9", "e8", "e7"],
        ["e6", "e5", "e4"],
    ]


def test_a_cap_may_leave_holes_between_pages(ten: Sandbox) -> None:
    serve(ten, cap=3, cap_affects_offset=False)
    assert [ask(ten, SEARCH, {"limit": 5, "page": page}).ids for page in (1, 2)] == [
        ["e9", "e8", "e7"],
        ["e4", "e3", "e2"],
    ]


def pages(sandbox: Sandbox, limit: int, count: int) -> list[list[str]]:
    return [ask(sandbox, SEARCH, {"limit": limit, "page": page}).ids for page in range(1, count + 1)]


@pytest.fixture
def unequal() -> Iterator[Sandbox]:
    """Six events, newest first of 50, 50, 110, 50, 50 and 50 bytes."""
    blank = len(json.dumps(event("e0", 0, pad=""), separators=(",", ":")))
    sizes = [50, 50, 50, 110, 50, 50]
    with Sandbox([event(f"e{n}", 0, pad="x" * (size - blank)) for n, size in enumerate(sizes)]) as sandbox:
        yield sandbox


def test_answers_may_end_silently_at_so_many_bytes(unequal: Sandbox) -> None:
    for most, shown in ((49, 1), (99, 1), (100, 2), (209, 2), (210, 3), (360, 6)):
        answer = ask(serve(unequal, cut_bytes=most), SEARCH, {"limit": 6}).json
        assert (len(answer["events"]), answer["count"]) == (shown, 6)


def test_page_numbers_count_pages_as_bytes_cut_them(unequal: Sandbox) -> None:
    serve(unequal, cut_bytes=100)
    assert pages(unequal, 6, 5) == [["e5", "e4"], ["e3"], ["e2", "e1"], ["e0"], []]
    assert ask(serve(unequal, cut_bytes=100, past_end="repeat"), SEARCH, {"page": 9}).ids == ["e0"]
    assert ask(serve(unequal, cut_bytes=100, past_end="error"), SEARCH, {"page": 5}).status == 400
    assert pages(serve(unequal, cut_bytes=100, cap=1), 6, 3) == [["e5"], ["e4"], ["e3"]]


def test_page_numbers_may_count_pages_as_asked_for_whatever_bytes_cut(unequal: Sandbox) -> None:
    serve(unequal, cut_bytes=100, cap_affects_offset=False)
    assert pages(unequal, 3, 3) == [["e5", "e4"], ["e2", "e1"], []]


def test_bytes_are_those_of_the_fields_asked_for(unequal: Sandbox) -> None:
    assert ask(serve(unequal, cut_bytes=100), EXPORT, {"projections": ["event_id"]}).ids == [
        f"e{n}" for n in (5, 4, 3, 2, 1)
    ]


def test_nothing_beyond_an_offset_is_shown(ten: Sandbox) -> None:
    serve(ten, max_offset=5)
    assert pages(ten, 3, 3) == [["e9", "e8", "e7"], ["e6", "e5"], []]
    assert ask(ten, SEARCH, {"limit": 3, "page": 2}).json["count"] == 10
    assert ask(ten, SEARCH, between(0, 3000)).ids == ["e3", "e2", "e1", "e0"]


def test_what_lies_beyond_an_offset_may_be_refused_after_a_full_page(ten: Sandbox) -> None:
    serve(ten, max_offset=6, past_end="error")
    assert len(ask(ten, SEARCH, {"limit": 3, "page": 2}).ids) == 3
    assert ask(ten, SEARCH, {"limit": 3, "page": 3}).status == 400
    assert ask(ten, SEARCH, {"limit": 5, "page": 2}).status == 400
    serve(ten, max_offset=7, past_end="error", cap=2, cap_affects_offset=False)
    assert ask(ten, SEARCH, {"limit": 5, "page": 2}).ids == ["e4", "e3"]
    assert ask(ten, SEARCH, {"limit": 5, "page": 3}).status == 400


def test_answers_may_lack_events_that_their_total_counts(ten: Sandbox) -> None:
    serve(ten, lose_per_answer=3)
    answers = [ask(ten) for _ in range(5)]
    assert {reply.json["count"] for reply in answers} == {10}
    assert {len(reply.ids) for reply in answers} == {7}
    assert {(reply.ids[0], reply.ids[-1]) for reply in answers} == {("e9", "e0")}
    assert len({tuple(reply.ids) for reply in answers}) > 1
    assert [len(ask(ten, SEARCH, {"limit": limit}).ids) for limit in (1, 2, 3, 4, 5)] == [1, 2, 2, 2, 2]


def test_max_limit_replaces_the_dialects_own(ten: Sandbox) -> None:
    serve(ten, max_limit=4)
    assert ask(ten, EXPORT, {"limit": 4}).status == 200
    assert ask(ten, EXPORT, {"limit": 5}).status == 400
    assert ask(serve(ten, max_limit=5000), SEARCH, {"limit": 5000}).status == 200


def test_beyond_the_last_page_is_empty_the_last_page_again_or_an_error(ten: Sandbox) -> None:
    beyond = {"limit": 4, "page": 9}
    assert ask(serve(ten, past_end="empty"), SEARCH, beyond).ids == []
    assert ask(serve(ten, past_end="repeat"), SEARCH, beyond).ids == ["e1", "e0"]
    assert ask(serve(ten, past_end="error"), SEARCH, beyond).status == 400
    assert ask(ten, SEARCH, {"limit": 5, "page": 2}).status == 200
    assert ask(ten, SEARCH, {"limit": 5, "page": 3}).status == 400


def test_ascending_order(ten: Sandbox) -> None:
    assert ask(serve(ten, order="asc"), SEARCH, {"limit": 3, "page": 2}).ids == ["e3", "e4", "e5"]


def test_random_order_is_new_at_each_request(ten: Sandbox) -> None:
    serve(ten, order="random")
    answers = [ask(ten).ids for _ in range(3)]
    assert all(sorted(ids) == [f"e{n}" for n in range(10)] for ids in answers)
    assert len({tuple(ids) for ids in answers}) == 3


def test_ties_may_be_shuffled_within_the_order() -> None:
    events = [event(f"{second}{tie}", second * 1000) for second in (1, 2) for tie in "abcdefgh"]
    with Sandbox(events, behaviour=Behaviour(order="ties_random")) as sandbox:
        answers = [ask(sandbox).ids for _ in range(3)]
    assert len({tuple(ids) for ids in answers}) == 3
    for ids in answers:
        assert [each[0] for each in ids] == ["2"] * 8 + ["1"] * 8


@pytest.mark.parametrize(
    ("time_format", "start", "end"),
    [
        ("as_is", 1711924699123, "2024-04-01 22:38:19"),
        ("ms", 1711924699123, 1712011099000),
        ("iso", "2024-03-31T22:38:19.123Z", "2024-04-01T22:38:19.000Z"),
        ("text", "2024-03-31 22:38:19", "2024-04-01 22:38:19"),
        ("seconds_iso", "2024-03-31T22:38:19Z", "2024-04-01T22:38:19Z"),
        ("us_iso", "2024-03-31T22:38:19.123355Z", "2024-04-01T22:38:19.000981Z"),
    ],
)
def test_times_are_written_and_compared_in_the_servers_format(time_format: Any, start: Any, end: Any) -> None:
    events = [event("a", 1711924699123, end_time="2024-04-01 22:38:19"), event("n", None), event("x", "soon")]
    with Sandbox(events, behaviour=Behaviour(time_format=time_format)) as sandbox:
        shown = {each["event_id"]: each for each in ask(sandbox).json["events"]}
        assert (shown["a"]["start_time"], shown["a"]["end_time"]) == (start, end)
        assert (shown["n"]["start_time"], shown["x"]["start_time"]) == (None, "soon")
        assert ask(sandbox, SEARCH, between(start, start)).ids == ["a"]
        truncated = time_format in {"text", "seconds_iso"}
        at_the_second = between("2024-03-31T22:38:19.000Z", "2024-03-31T22:38:19.000Z")
        assert ask(sandbox, SEARCH, at_the_second).ids == (["a"] if truncated else [])


def test_ties_stay_ties_in_microseconds() -> None:
    with Sandbox([event("a", 5), event("b", 5)], behaviour=Behaviour(time_format="us_iso")) as sandbox:
        first, second = ask(sandbox).json["events"]
    assert first["start_time"] == second["start_time"]


def test_the_project_field_can_be_missing() -> None:
    events = [event("a", project="demo", project_id="p")]
    with Sandbox(events, behaviour=Behaviour(drop_project_field=True)) as sandbox:
        assert ask(sandbox).json["events"] == [event("a", project_id="p")]


def test_bounds_may_be_cut_to_seconds(ten: Sandbox) -> None:
    serve(ten, truncate_bounds="second")
    assert ask(ten, SEARCH, between(2999, 4999)).ids == ["e4", "e3", "e2"]


def test_the_end_may_be_exclusive(ten: Sandbox) -> None:
    assert ask(serve(ten, exclusive_end=True), SEARCH, between(2000, 4000)).ids == ["e3", "e2"]


def test_the_date_range_may_be_ignored(ten: Sandbox) -> None:
    serve(ten, ignore_date_range=True)
    assert len(ask(ten, SEARCH, between(2000, 4000)).ids) == 10
    assert ask(ten, SEARCH, between("soon", 4000)).status == 400
    assert ask(ten, SEARCH, since("after", "1970-01-01T00:00:07Z")).ids == ["e9", "e8"]


def test_time_filters_may_be_ignored(ten: Sandbox) -> None:
    serve(ten, ignore_time_filters=True)
    assert len(ask(ten, SEARCH, since("after", "1970-01-01T00:00:07Z")).ids) == 10
    assert ask(ten, SEARCH, between(2000, 3000)).ids == ["e3", "e2"]


def test_the_date_range_may_compare_another_field(ten: Sandbox) -> None:
    serve(ten, date_range_field="end_time")
    reply = ask(ten, SEARCH, between(12_000, 14_000))
    assert reply.ids == ["e8", "e7", "e6"]
    assert reply.json["count"] == 3


@pytest.fixture
def untimed() -> Iterator[Sandbox]:
    """Four events, two of them without a time."""
    with Sandbox([event("u", None), event("e1", 1000), event("e2", 2000), event("v", "soon")]) as sandbox:
        yield sandbox


@pytest.mark.parametrize("order", ["desc", "asc", "ties_random"])
def test_events_without_a_time_may_be_in_every_range(untimed: Sandbox, order: str) -> None:
    timed = ["e1", "e2"] if order == "asc" else ["e2", "e1"]
    for place in ("first", "last"):
        serve(untimed, untimed_everywhere=place, order=order)
        for asked, found in (({}, timed), (between(2000, 9000), ["e2"]), (between(5000, 9000), [])):
            reply = ask(untimed, SEARCH, asked)
            shown = reply.ids[:2] if place == "first" else reply.ids[-2:]
            assert sorted(shown) == ["u", "v"]
            assert [each for each in reply.ids if each not in shown] == found
            assert reply.json["count"] == len(found) + 2


def test_events_without_a_time_in_every_range_still_meet_filters(untimed: Sandbox) -> None:
    serve(untimed, untimed_everywhere="first")
    of_one = {"filters": [{"field": "event_id", "operator": "is", "value": "u", "type": "string"}]}
    assert ask(untimed, SEARCH, between(5000, 9000) | of_one).ids == ["u"]


def test_pretty_answers_change_nothing_but_white_space(ten: Sandbox) -> None:
    raw = rb'{"event_id":"odd","n":[],"o":{},"k":1.50,"k":123456789012345678901234567890,"s":"a, b: \"{\ud83d\\"}'
    ten.add([raw])
    plain, pretty = ask(serve(ten)).body, ask(serve(ten, pretty=True)).body
    ten.delete(["odd"])
    assert raw in plain
    assert rb'"s": "a, b: \"{\ud83d\\"' in pretty
    assert rb'"k": 1.50,' in pretty
    assert b'\n      "event_id": "e9",\n' in pretty
    assert json.loads(pretty) == json.loads(plain)
    assert plain.replace(b" ", b"") == pretty.replace(b" ", b"").replace(b"\n", b"")


def test_answers_are_compressed_for_clients_that_accept_it(ten: Sandbox) -> None:
    accept = {"Accept-Encoding": "deflate, gzip"}
    plain = ask(serve(ten), headers=accept)
    zipped = ask(serve(ten, gzip=True), headers=accept)
    assert "content-encoding" not in plain.headers
    assert zipped.headers["content-encoding"] == "gzip"
    assert gzip.decompress(zipped.body) == plain.body == ask(ten).body


@pytest.mark.parametrize(
    ("behaviour", "seconds"),
    [({"latency": 0.05}, 0.05), ({"latency_per_event": 0.02}, 0.06), ({"latency_per_skipped": 0.01}, 0.03)],
)
def test_answers_take_the_time_they_are_told_to(ten: Sandbox, behaviour: dict[str, float], seconds: float) -> None:
    serve(ten, **behaviour)
    began = time.monotonic()
    ask(ten, SEARCH, {"limit": 3, "page": 2})
    assert seconds <= time.monotonic() - began < seconds + 1


def test_answers_that_are_too_large_are_refused_by_the_proxy(ten: Sandbox) -> None:
    serve(ten, max_answer_bytes=300)
    assert ask(ten, SEARCH, {"limit": 2}).status == 200
    reply = ask(ten, SEARCH, {"limit": 10})
    assert (reply.status, reply.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert ask(serve(ten, max_answer_bytes=300, heavy_status=504), SEARCH, {"limit": 10}).status == 504
    assert ten.requests[-1].event_count == 0


def test_late_events_appear_before_each_request_but_the_first() -> None:
    with Sandbox(count=50, seed=3, behaviour=Behaviour(insert_per_request=2)) as sandbox:
        before = {stored.event_id for stored in sandbox.events()}
        assert set(ask(sandbox).ids) == before
        second = set(ask(sandbox).ids)
        assert len(sandbox.inserted) == 2
        assert second == before | sandbox.inserted
        times = [stored.time_us or 0 for stored in sandbox.events()]
        new = [stored.time_us or 0 for stored in sandbox.events() if stored.event_id in sandbox.inserted]
        assert min(times) <= min(new) <= max(new) <= max(times)


def test_events_vanish_before_each_request_but_the_first() -> None:
    with Sandbox(count=50, seed=3, behaviour=Behaviour(delete_per_request=2)) as sandbox:
        first, second = set(ask(sandbox).ids), set(ask(sandbox).ids)
        assert len(sandbox.deleted) == 2
        assert first - second == sandbox.deleted


def test_late_and_vanishing_events_are_the_same_for_the_same_seed() -> None:
    def churned(seed: int) -> tuple[set[str], set[str]]:
        churn = Behaviour(insert_per_request=2, delete_per_request=2)
        with Sandbox(count=50, seed=seed, behaviour=churn) as sandbox:
            ask(sandbox)
            ask(sandbox)
            return sandbox.inserted, sandbox.deleted

    assert churned(1) == churned(1) != churned(2)


def test_a_hook_runs_before_each_request(ten: Sandbox) -> None:
    seen: list[int] = []

    def hook(sandbox: Sandbox, number: int) -> None:
        seen.append(number)
        sandbox.behaviour = replace(sandbox.behaviour, cap=len(seen))

    serve(ten, before_request=hook)
    assert [len(ask(ten).ids) for _ in range(3)] == [1, 2, 3]
    assert seen == sorted(seen)
