"""The page of the report: nothing but itself is needed to read it, and nothing that was said is in it."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from math import inf, nan
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest
import vl_convert

from airflow_provider_honeyhive.report import charts, clock, figures, forms, lists, page, tables

from .handmade import HOUR, START, WINDOW, connect, event, ordinary_day, score, session, tables_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

START_MS = int(START.timestamp() * 1000)
HOUR_MS = 3_600_000
LINK = "https://app.us.honeyhive.ai/p/x/traces/events?range=7d"

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
    "\u202eevil\u200f",
    "\U0001f41d\U0001f3fd\u200d",
    "\u05e9\u05dc\u05d5\u05dd",
)


class Page(HTMLParser):
    """What a browser finds in the page.

    :param scripts: texts of scripts by their type.
    :param links: all addresses that elements name.
    :param handlers: attributes that would run code.
    :param lists: rows of cells of each list, by its title.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.html = html
        self.scripts: list[tuple[str | None, str]] = []
        self.links: list[str] = []
        self.handlers: list[str] = []
        self.policy = ""
        self.words: list[str] = []
        self.titles: list[str] = []
        self.lists: dict[str, list[list[str]]] = {}
        self._script: str | None = None
        self._tag = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self._tag, self._script = tag, given.get("type")
        self.links += [value or "" for name, value in attrs if name in {"src", "href", "action", "data", "srcset"}]
        self.titles += [value or "" for name, value in attrs if name == "title"]
        self.handlers += [name for name in given if name.startswith("on")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if given.get("class") == "scroll":
            self.lists[given["aria-label"] or ""] = self._rows = []
        if tag == "tr":
            self._rows.append([])
        if tag in {"th", "td"}:
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def handle_data(self, data: str) -> None:
        if self._tag == "script":
            self.scripts.append((self._script, data))
        elif data.strip():
            self.words.append(data.strip())
        if self._tag in {"th", "td"}:
            self._rows[-1][-1] += data

    @property
    def specs(self) -> list[dict[str, Any]]:
        return [json.loads(text) for kind, text in self.scripts if kind == "application/json"]

    @property
    def code(self) -> str:
        (text,) = [text for kind, text in self.scripts if kind is None]
        return text


def tables_build(**facts: Any) -> Any:
    source = SimpleNamespace(
        manifest_path="/data/_manifest.json", event_count=600, finished_at="2026-03-11T00:05:00.000Z"
    )
    return SimpleNamespace(**{"project": "demo", "sources": [source], **facts})


def render(
    rows: dict[str, list[dict[str, Any]]],
    window: tuple[str | None, ...] = WINDOW,
    link: str | None = None,
    **facts: Any,
) -> Page:
    connection = connect(rows)
    tables.make_tables(connection, *window)
    return Page(page.render_page(connection, tables_build(**facts), link))


@pytest.fixture(scope="module")
def day() -> dict[str, list[dict[str, Any]]]:
    return ordinary_day()


@pytest.fixture(scope="module")
def made(day) -> duckdb.DuckDBPyConnection:
    connection = connect(day)
    tables.make_tables(connection, *WINDOW)
    return connection


@pytest.fixture(scope="module")
def usual(made) -> Page:
    return Page(page.render_page(made, tables_build(), None))


def strings_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings_in(each)


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
    assert "default-src 'none'; base-uri 'none'; form-action 'none'" in usual.policy
    style = re.search(r"<style>(.*?)</style>", usual.html, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "://" not in json.dumps(usual.specs)
    assert len(usual.html.encode()) < 2_000_000


def test_no_code_but_the_pages_own_may_run(usual):
    assert f"script-src 'sha256-{b64encode(sha256(usual.code.encode()).digest()).decode()}'" in usual.policy
    assert usual.handlers == []


def test_the_page_holds_its_charts_and_names(usual, day):
    assert len(usual.specs) == 19
    assert {"demo", "600", "faithfulness", "rating"} <= set(usual.words)
    assert {call["model"] for call in day["model_calls"]} - {None} <= set(usual.words)
    assert (
        "10 Mar 2026, 00:00 to 11 Mar 2026, 00:00 UTC. "
        "Made of one export with 600 events, published 11 Mar 2026, 00:05:00." in usual.words
    )


def test_every_chart_is_one_that_vega_can_draw(usual):
    for spec in usual.specs:
        assert vl_convert.vegalite_to_svg(spec).startswith("<svg")


def test_headlines_are_those_of_the_summary(usual, made):
    (summary,) = tables.rows(made, "SELECT * EXCLUDE (first_event, last_event) FROM summary")
    for name, (column, form) in page.HEADLINES.items():
        assert usual.words[usual.words.index(name) + 1] == form(summary[column])


LISTINGS = [value for value in vars(lists).values() if isinstance(value, lists.Listing)]


@pytest.mark.parametrize("listing", LISTINGS, ids=lambda listing: listing.title)
def test_lists_hold_the_rows_of_their_tables(usual, made, listing):
    heading, *rows = usual.lists[listing.title]
    assert heading == list(listing.columns)
    found = made.table(listing.table).filter(listing.condition).to_arrow_table().to_pylist()
    assert len(rows) == min(len(found), lists.MOST_ROWS)
    for line, row in zip(rows, found, strict=False):
        for cell, (expression, form) in zip(line, listing.columns.values(), strict=True):
            if expression == "epoch_ms(start_time)":
                assert cell == f"{row['start_time']:%d %b %Y, %H:%M:%S}"
            elif expression.startswith("coalesce(model"):
                assert cell == (row["model"] or "Other events")
            else:
                assert cell == forms.show(row[expression], form)


@pytest.mark.parametrize(
    ("title", "table", "column"),
    [("Cost by model", "models_over_time", "cost"), ("Calls by model", "models_over_time", "calls")],
)
def test_charts_hold_the_numbers_of_their_tables(made, title, table, column):
    (plan,) = [plan for plan in figures.COST if plan.title == title]
    figure = figures.draw(made, plan, clock.read_clock(made))
    drawn: dict[Any, float] = {}
    for value in figure.spec["data"]["values"]:
        name = {"other events": None}.get(value["series"], value["series"])
        drawn[value["time"], name] = value["amount"]
    told = {
        (row["time"].timestamp() * 1000, row["model"]): row[column]
        for row in made.table(table).to_arrow_table().to_pylist()
        if row[column]
    }
    assert drawn == told


def test_nothing_that_was_said_is_in_the_page():
    secret = "whisper"
    rows = tables_of([event(failed=True, error=secret)], [score("comment", secret, explanation=secret)], [])
    rows["sessions"] = [session(first_question=secret, last_answer=secret, user_id=secret, cost=1.0, duration_ms=1.0)]
    assert secret not in render(rows).html


@pytest.mark.parametrize("window", [WINDOW, (None, None)])
def test_without_events_every_chart_says_so(window):
    found = render(tables_of(), window, sources=[])
    assert found.specs == []
    plans = (*figures.COST, *figures.LATENCY, *figures.ERRORS, *figures.SESSIONS)
    absent = {listing.absent for listing in LISTINGS} - {""}
    sentences = {*(plan.absent for plan in plans), *absent, "No event has a score.", "No event has feedback."}
    assert {*sentences, "0", forms.ABSENT} <= set(found.words)
    assert any(word.endswith("Made of no export.") for word in found.words)


def test_a_number_that_no_event_has_gives_a_sentence_instead_of_its_charts():
    found = render(tables_of([event(model="m")]))
    assert {"No event says what it cost.", "No event says how many tokens it took.", "No event has a score."} <= set(
        found.words
    )
    assert len(found.specs) == 5


def test_one_link_leads_to_the_project():
    found = render(tables_of([event()]), link=LINK)
    assert found.links == [LINK]
    assert "Events in HoneyHive" in found.words


def test_ids_are_whole_in_the_page_and_in_their_titles(usual, day):
    slowest = max(day["model_calls"], key=lambda call: call["latency_ms"] or 0)
    assert {slowest["event_id"], slowest["session_id"]} <= set(usual.words) & set(usual.titles)


def test_the_page_says_what_it_is_made_of():
    sources = [
        SimpleNamespace(
            manifest_path=f"/data/{day}/_manifest.json", event_count=day, finished_at=f"2026-03-{day}T00:00:00Z"
        )
        for day in range(10, 28)
    ]
    rows = tables_of([event(session_id=None), event(start_time=None)])
    rows["edges"] = [{"kind": "orphan"}, {"kind": "cycle"}, {"kind": "cycle"}]
    found = render(rows, sources=sources)
    assert any(
        f"Made of 18 exports with {sum(range(10, 28))} events, the last one published 27 Mar" in w for w in found.words
    )
    assert found.lists["Exports"][1] == ["/data/10/_manifest.json", "10", "10 Mar 2026, 00:00:00"]
    assert "And 3 more in the manifest of the tables." in found.words
    assert [row[1] for row in found.lists["Coverage"][1:]] == ["1", "1", "0", "1", "2"]


def evil_rows() -> dict[str, list[dict[str, Any]]]:
    places = list(enumerate(NAMES_OF_EVIL))
    return tables_of(
        [
            event(
                name,
                session_id=name,
                event_name=name,
                model=name,
                provider=name,
                failed=True,
                cost=1.0,
                total_tokens=1,
                input_tokens=1,
                start_time=START + HOUR * number,
                duration_ms=float(number),
            )
            for number, name in places
        ],
        [score(name, number, event_id=name, event_name=name) for number, name in places]
        + [score(name, number % 2 == 0, source="feedback") for number, name in places],
        [session(name, source=name, cost=1.0, duration_ms=1.0) for name in NAMES_OF_EVIL],
    )


def test_names_are_shown_as_text_whatever_they_hold(usual):
    found = render(evil_rows(), project=NAMES_OF_EVIL[0])
    assert found.code == usual.code
    assert found.handlers == found.links == []
    names = {forms.text(name).strip() for name in NAMES_OF_EVIL}
    assert names <= {word.strip() for word in found.words}
    assert max(map(len, strings_in(found.specs))) <= forms.LONGEST_TEXT
    assert found.lists.keys() == {*(listing.title for listing in LISTINGS), "Exports", "Coverage"} - {
        lists.LOWEST_SCORES.title
    }


def test_no_name_becomes_part_of_an_expression():
    name = "o'hara\u2028"
    rows = [
        event(name, event_type="model", event_name=name, model=f"{name}{n}", cost=1.0, duration_ms=1.0, failed=True)
        for n in range(1, 4)
    ]
    specs = render(tables_of(rows, [score(name, n) for n in range(3)])).specs
    assert len([spec for spec in specs if "o'hara" in json.dumps(spec)]) > 4
    for spec in specs:
        assert [text for text in expressions_in(vl_convert.vegalite_to_vega(spec)) if "hara" in text] == []


def test_many_names_share_a_colour_and_many_rows_are_counted():
    rows = [event(str(n), session_id=str(n), model=f"m{n % 500}", cost=float(n)) for n in range(1000)]
    scores = [score(f"e{n % 60}", n) for n in range(300)]
    found = render(tables_of(rows, scores))
    cost = found.specs[0]["data"]["values"]
    assert sum(value["amount"] for value in cost) == sum(range(1000))
    assert sorted({value["hue"] for value in cost}) == [*"12345678"]
    assert found.words.count("other models") == 2
    assert {"And 485 more in the table by_model.", "And 45 more in the table by_score."} <= set(found.words)
    assert len(found.specs) == 6 + figures.MOST_SCORES


def test_numbers_at_the_end_of_what_can_be_written_are_drawn():
    rows = [event(str(n), model="m", cost=1e9, total_tokens=10**11, duration_ms=1e300) for n in range(3)]
    scores = [
        score("a", value, start_time=START + HOUR * n) for n, value in enumerate([1e300, -1e300, 1.7e308, 1.7e308])
    ]
    scores += [score("a", 1.7e308, start_time=START + HOUR * 3)]
    found = render(tables_of(rows, scores, [session(cost=1e9, duration_ms=1e300)]))
    assert "Infinity" not in found.html.replace(found.code, "")
    for spec in found.specs:
        assert max(map(len, labels_of(spec)), default=0) < 40
    assert max(len(cell) for rows in found.lists.values() for row in rows for cell in row) < 80


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
        (forms.seconds, 1e300, "1.16e+292 d"),
        (forms.text, "a" * 201, "a" * 199 + "…"),
        (forms.text, "a" * 200, "a" * 200),
        (forms.text, " \n", "(blank)"),
        (forms.moment, 1e18, "31 Dec 9999, 23:59:59"),
        (forms.moment, START_MS + 1500, "10 Mar 2026, 00:00:01"),
        (forms.yes_no, True, "yes"),
        (forms.yes_no, False, "no"),
    ],
)
def test_numbers_are_as_people_read_them(form, value, text):
    assert forms.show(value, form) == text
    assert {forms.show(absent, form) for absent in (None, inf, -inf, nan)} == {"–"}  # noqa: RUF001


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
def test_the_axis_of_money_is_in_dollars_and_cents(cost, labels):
    found = render(tables_of([event(model="m", cost=cost)]))
    assert labels_of(found.specs[0]) == labels
    assert found.specs[0]["data"]["values"][0]["shown"] == forms.dollars(cost)


@pytest.mark.parametrize(
    ("tokens", "labels"),
    [(1, ["0", "1"]), (2_000_000_000, ["0", "500,000,000", "1,000,000,000", "1,500,000,000", "2,000,000,000"])],
)
def test_the_axis_of_tokens_is_in_whole_ones(tokens, labels):
    found = render(tables_of([event(model="m", input_tokens=tokens, total_tokens=tokens)]))
    assert labels_of(found.specs[0]) == labels


@pytest.mark.parametrize(
    ("axis", "most", "labels"),
    [
        (charts.shares_axis, 0.0004, ["0%", "0.01%", "0.02%", "0.03%", "0.04%"]),
        (charts.shares_axis, 1, ["0%", "20%", "40%", "60%", "80%", "100%"]),
        (charts.numbers_axis, 0.0002, ["0", "0.00005", "0.0001", "0.00015", "0.0002"]),
        (charts.numbers_axis, 250_000, ["0", "50,000", "100,000", "150,000", "200,000", "250,000"]),
        (charts.numbers_axis, 5e300, ["0e+0", "1e+300", "2e+300", "3e+300", "4e+300", "5e+300"]),
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
