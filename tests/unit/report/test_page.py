"""The page of the report: nothing but itself is needed to read it, and nothing that was said is in it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
import vl_convert

from airflow_provider_honeyhive.sandbox.data.traces import SEED_EVENT, generate_events

# First, because it is what finds the report.
from .test_tables import END, HOUR_MS, START, START_MS, WINDOW, event, write_parts  # isort: skip

from honeyhive_report import charts, clock, figures, forms, page, tables  # isort: skip

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES_OF_EVIL = (
    "</script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "\"'><b>&amp;`${x}",
    "__proto__",
    "constructor",
    "a" * 5000,
    "$.x",
    "others",
    "\u2028\0",
    "datum['x']",
    " ",
)


class Page(HTMLParser):
    """What a browser finds in the page.

    :param scripts: texts of scripts by their type.
    :param links: all addresses that elements name.
    :param handlers: attributes that would run code.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.scripts: list[tuple[str | None, str]] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.words: list[str] = []
        self._script: str | None = None
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._in_script, self._script = tag == "script", given.get("type")
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "action", "data", "srcset"}]
        self.handlers += [name for name in given if name.startswith("on")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts.append((self._script, data))
        elif data.strip():
            self.words.append(data.strip())

    @property
    def specs(self) -> list[dict[str, Any]]:
        return [json.loads(text) for kind, text in self.scripts if kind == "application/json"]

    @property
    def code(self) -> str:
        (text,) = [text for kind, text in self.scripts if kind is None]
        return text


def page_of(folder: Path, events: list[Any], window: tuple[str | None, ...] = WINDOW) -> Page:
    connection = tables.make_tables(write_parts(folder, events) if events else [], *window)
    return Page(page.render_page(connection, "demo"))


@pytest.fixture(scope="module")
def events() -> list[dict[str, Any]]:
    return generate_events(800, seed=4, start=START, end=END)


@pytest.fixture(scope="module")
def usual(events, tmp_path_factory) -> Page:
    return page_of(tmp_path_factory.mktemp("usual"), events)


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from texts_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from texts_in(each)
    elif isinstance(value, str):
        yield value


def expressions_in(value: Any) -> Iterator[str]:
    """Yield what Vega would parse as code."""
    if isinstance(value, dict):
        for name, each in value.items():
            if isinstance(each, str) and name in {"expr", "signal", "test", "update", "init"}:
                yield each
            yield from expressions_in(each)
    elif isinstance(value, list):
        for each in value:
            yield from expressions_in(each)


def test_the_page_needs_no_network(usual):
    assert usual.links == []
    assert "default-src 'none'" in usual.policy
    style = re.search(r"<style>(.*?)</style>", usual.html, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "://" not in json.dumps(usual.specs)


def test_no_code_but_the_pages_own_may_run(usual):
    assert f"script-src 'sha256-{b64encode(sha256(usual.code.encode()).digest()).decode()}'" in usual.policy
    assert usual.handlers == []


def test_the_page_holds_its_charts_and_numbers(usual, events):
    assert len(usual.specs) == 17
    assert {"demo", "10 Mar 2026, 00:00 to 11 Mar 2026, 00:00 UTC", "800", "Answer Faithfulness"} <= set(usual.words)
    models = [event for event in events if event["event_type"] == "model"]
    names = {event["config"].get("model") or event["metadata"]["model_name"] for event in models}
    assert names <= set(usual.words)


def test_every_chart_is_one_that_vega_can_draw(usual):
    for spec in usual.specs:
        assert vl_convert.vegalite_to_svg(spec).startswith("<svg")


def test_nothing_that_was_said_is_in_the_page(usual, events):
    said = {
        text
        for event in events
        for field in ("inputs", "outputs", "error", "feedback", "user_properties")
        for text in texts_in(event[field])
        if len(text) > 10
    }
    explanations = {event["metrics"].get("Answer Faithfulness_explanation") for event in events} - {None}
    assert len(said) > 1000
    assert len(explanations) > 100
    readable = usual.html.replace(usual.code, "")
    assert [text for text in said | explanations if text in readable or json.dumps(text)[1:-1] in readable] == []


def test_of_each_text_field_only_names_are_in_the_page(tmp_path):
    kept = {"event_type", "session_id", "source", "model", "provider"}
    secret = "whisper"
    event = {
        name: f"{name} {secret}" if name not in kept else value
        for name, value in (SEED_EVENT | {"start_time": START_MS, "extra_field": "x"}).items()
    }
    maps = ("config", "metadata", "metrics", "feedback", "inputs", "outputs", "user_properties")
    events = [event, *({**SEED_EVENT, "start_time": START_MS, name: {"any": secret, secret: secret}} for name in maps)]
    html = page_of(tmp_path, events).html
    assert secret not in html


@pytest.mark.parametrize("window", [WINDOW, (None, None)])
def test_without_events_every_chart_says_so(tmp_path, window):
    found = page_of(tmp_path, [], window)
    assert found.specs == []
    sentences = [plan.absent for plan in (*figures.COST, *figures.LATENCY, *figures.ERRORS, *figures.SESSIONS)]
    assert {*sentences, "No event has a score.", "0", forms.ABSENT} <= set(found.words)


def test_a_field_that_no_event_has_gives_a_sentence_instead_of_its_charts(tmp_path, events):
    fewer = [{name: value for name, value in each.items() if name not in {"metadata", "metrics"}} for each in events]
    found = page_of(tmp_path, fewer)
    assert {"No event says what it cost.", "No event says how many tokens it took.", "No event has a score."} <= set(
        found.words
    )
    assert len(found.specs) == 8


def test_names_are_shown_as_text_whatever_they_hold(tmp_path, usual):
    events = [
        event(
            session_id=name,
            event_type=name,
            source=name,
            config={"model": name, "provider": name},
            metadata={"cost": 1, "prompt_tokens": 1},
            metrics={name: number},
            start_time=START_MS + HOUR_MS * number,
            duration=number,
        )
        for number, name in enumerate(NAMES_OF_EVIL)
    ]
    found = page_of(tmp_path, events)
    assert found.code == usual.code
    assert found.handlers == found.links == []
    assert {name.strip() for name in NAMES_OF_EVIL} - {""} <= {word.strip() for word in found.words}


def test_no_name_becomes_part_of_an_expression(tmp_path):
    name = "o'hara\u2028"
    events = [
        event(
            event_type=name,
            config={"model": f"{name}{n}"},
            metadata={"cost": 1},
            metrics={name: n},
            duration=n,
            error=name,
        )
        for n in range(1, 4)
    ]
    specs = page_of(tmp_path, events).specs
    assert len([spec for spec in specs if "o'hara" in json.dumps(spec)]) > 5
    for spec in specs:
        assert [text for text in expressions_in(vl_convert.vegalite_to_vega(spec)) if "hara" in text] == []


def test_many_models_share_a_colour_and_many_rows_are_counted(tmp_path):
    events = [
        event(session_id=str(n), config={"model": f"m{n % 30}"}, metadata={"cost": n}, metrics={f"e{n % 30}": n})
        for n in range(300)
    ]
    found = page_of(tmp_path, events)
    cost = found.specs[0]["data"]["values"]
    assert sum(value["amount"] for value in cost) == sum(range(300))
    assert sorted({value["hue"] for value in cost}) == [*"12345678"]
    assert found.words.count("others") == 2
    assert "And 280 more in sessions.parquet." in found.words
    titles = [word for word in found.words if word.startswith("e") and word[1:].isdigit()]
    assert len(titles) == figures.MOST_EVALUATORS + 20


def test_bars_of_one_time_stand_on_each_other(usual):
    piles: dict[Any, list[dict[str, Any]]] = {}
    for value in usual.specs[0]["data"]["values"]:
        piles.setdefault(value["time"], []).append(value)
    assert max(map(len, piles.values())) == 5
    for pile in piles.values():
        assert [value["low"] for value in pile] == [0, *(value["high"] for value in pile[:-1])]


@pytest.mark.parametrize(
    ("form", "value", "text"),
    [
        (forms.count, 1234.0, "1,234"),
        (forms.short_count, 9_999_999, "9,999,999"),
        (forms.short_count, 12_345_678, "12.3 M"),
        (forms.short_count, 12_345_678_901, "12.3 B"),
        (forms.amount, 0.04913, "0.0491"),
        (forms.amount, 1823, "1,823"),
        (forms.dollars, 88_500, "$88,500"),
        (forms.dollars, 14.2528, "$14.25"),
        (forms.dollars, 0.0102, "$0.0102"),
        (forms.short_count, 45e12, "45.0 T"),
        (forms.amount, 0.0000123, "0.0000123"),
        (forms.amount, 100, "100"),
        (forms.amount, 1e-9, "1e-09"),
        (forms.amount, 1.5e18, "1.5e+18"),
        (forms.dollars, 12_345_678, "$12.3 M"),
        (forms.dollars, 0.1, "$0.10"),
        (forms.dollars, 0.12, "$0.12"),
        (forms.dollars, 0.1234, "$0.123"),
        (forms.dollars, 0.00008, "$0.00008"),
        (forms.dollars, 2e-9, "under $0.000001"),
        (forms.dollars, -0.5, "-$0.50"),
        (forms.dollars, 0, "$0"),
        (forms.share, 0.0207, "2.1%"),
        (forms.share, 0, "0%"),
        (forms.share, 0.00001, "under 0.1%"),
        (forms.share, 0.99999, "over 99.9%"),
        (forms.share, 1, "100%"),
        (forms.seconds, 0, "0 ms"),
        (forms.seconds, 0.0004, "under 0.01 ms"),
        (forms.seconds, 0.25, "0.25 ms"),
        (forms.seconds, 150.2, "150 ms"),
        (forms.seconds, 999.7, "1.00 s"),
        (forms.seconds, 9_000_000, "2.5 h"),
        (forms.seconds, 864_000_000, "10.0 d"),
        (forms.duration, 0.25, "250 ms"),
        (forms.seconds, 1346, "1.35 s"),
        (forms.seconds, 3_600_000, "60 min"),
    ],
)
def test_numbers_are_as_people_read_them(form, value, text):
    assert forms.show(value, form) == text
    assert forms.show(None, form) == "–"  # noqa: RUF001


def test_a_step_that_the_window_cuts_is_shown_as_far_as_it_is_in_it():
    day = clock.Clock(START_MS + 1000, START_MS + HOUR_MS - 1000, HOUR_MS)
    placed = day.place({"time": START_MS})
    assert (placed["time"], placed["until"]) == (START_MS + 1000, START_MS + HOUR_MS - 1000)
    assert placed["at"] == "10 Mar 2026, 00:00 to 10 Mar 2026, 01:00"


def labels_of(spec: dict[str, Any]) -> list[str]:
    """Return what stands at the vertical axis."""
    svg = ElementTree.fromstring(vl_convert.vegalite_to_svg(spec))  # noqa: S314 - our own
    axes = [each for each in svg.iter() if (each.get("aria-label") or "").startswith("Y-axis")]
    return [text.text or "" for axis in axes for text in axis.iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize(
    ("cost", "labels"),
    [
        (0.1, ["$0.00", "$0.02", "$0.04", "$0.06", "$0.08", "$0.10"]),
        (0.0005, ["$0.0000", "$0.0001", "$0.0002", "$0.0003", "$0.0004", "$0.0005"]),
        (50, ["$0", "$10", "$20", "$30", "$40", "$50"]),
        (5_000_000, ["$0", "$1,000,000", "$2,000,000", "$3,000,000", "$4,000,000", "$5,000,000"]),
    ],
)
def test_the_axis_of_money_is_in_dollars_and_cents(tmp_path, cost, labels):
    found = page_of(tmp_path, [event(config={"model": "m"}, metadata={"cost": cost})])
    assert labels_of(found.specs[0]) == labels
    assert found.specs[0]["data"]["values"][0]["shown"] == forms.dollars(cost)


@pytest.mark.parametrize(
    ("tokens", "labels"),
    [(1, ["0", "1"]), (2_000_000_000, ["0", "500,000,000", "1,000,000,000", "1,500,000,000", "2,000,000,000"])],
)
def test_the_axis_of_tokens_is_in_whole_ones(tmp_path, tokens, labels):
    found = page_of(tmp_path, [event(config={"model": "m"}, metadata={"prompt_tokens": tokens})])
    assert labels_of(found.specs[0]) == labels


@pytest.mark.parametrize(
    ("axis", "most", "labels"),
    [
        (charts.shares_axis, 0.0004, ["0%", "0.01%", "0.02%", "0.03%", "0.04%"]),
        (charts.shares_axis, 1, ["0%", "20%", "40%", "60%", "80%", "100%"]),
        (charts.numbers_axis, 0.0002, ["0", "0.00005", "0.0001", "0.00015", "0.0002"]),
        (charts.numbers_axis, 250_000, ["0", "50,000", "100,000", "150,000", "200,000", "250,000"]),
    ],
)
def test_no_two_ticks_of_an_axis_are_written_alike(axis, most, labels):
    values = [{"time": START_MS, "series": "a", "hue": "1", "amount": amount, "count": 1} for amount in (0, most)]
    spec = charts.lines_over_time(
        values,
        clock.Clock(START_MS, START_MS + HOUR_MS, HOUR_MS),
        unit="x",
        form=str,
        axis=axis,
        from_zero=True,
        counted="calls",
    )
    assert labels_of(spec) == labels
