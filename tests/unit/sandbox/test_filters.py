"""Filters: every operator of every type, dotted fields, and what is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.sandbox import Sandbox
from airflow_provider_honeyhive.sandbox.filters import OPERATORS, OPERATORS_BY_TYPE

from .wire import EXPORT, LEGACY, SEARCH, ask, event

if TYPE_CHECKING:
    from collections.abc import Iterator

NOON = "2026-11-01T12:00:00Z"
EVENTS = [
    event("a", 1, s="Grüße", n=1, b=True, t="2026-11-01T11:59:59Z"),
    event("b", 2, s="bon voyage", n=2.5, b=False, t="2026-11-01 12:00:00"),
    event("c", 3, s=None, n=None, b=None, t=None),
    event("d", 4, s="", n=-7, t=1793534400001, o={"deep": {"s": "x"}, "list": [{"s": "zero"}, {"s": "one"}]}),
    event("e", 5),
]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(EVENTS) as serving:
        yield serving


def found(sandbox: Sandbox, field: str, operator: str, value: Any, kind: str, path: str = EXPORT) -> str:
    filters = [{"field": field, "operator": operator, "value": value, "type": kind}]
    reply = ask(sandbox, path, {"filters": filters})
    assert reply.status == 200, reply.body
    return "".join(sorted(reply.ids))


@pytest.mark.parametrize(
    ("kind", "operator", "value", "ids"),
    [
        ("string", "is", "Grüße", "a"),
        ("string", "is", None, "ce"),
        ("string", "is not", "Grüße", "bcde"),
        ("string", "is not", None, "abd"),
        ("string", "contains", "o", "b"),
        ("string", "not contains", "o", "acde"),
        ("string", "exists", None, "abd"),
        ("string", "not exists", None, "ce"),
        ("number", "is", 2.5, "b"),
        ("number", "is", "2.5", "b"),
        ("number", "is not", 1, "bcde"),
        ("number", "greater than", 1, "b"),
        ("number", "less than", 1, "d"),
        ("number", "exists", None, "abd"),
        ("number", "not exists", None, "ce"),
        ("boolean", "is", True, "a"),
        ("boolean", "is", "false", "b"),
        ("boolean", "exists", None, "ab"),
        ("boolean", "not exists", None, "cde"),
        ("datetime", "is", NOON, "b"),
        ("datetime", "is not", NOON, "acde"),
        ("datetime", "after", NOON, "d"),
        ("datetime", "before", NOON, "a"),
        ("datetime", "exists", None, "abd"),
        ("datetime", "not exists", None, "ce"),
    ],
)
@pytest.mark.parametrize("path", [EXPORT, SEARCH, LEGACY])
def test_every_operator_of_every_type(
    sandbox: Sandbox, path: str, kind: str, operator: str, value: Any, ids: str
) -> None:
    assert found(sandbox, kind[0] if kind != "datetime" else "t", operator, value, kind, path) == ids


@pytest.mark.parametrize("kind", ["string", "number", "boolean", "datetime"])
@pytest.mark.parametrize("operator", sorted(OPERATORS))
def test_operators_that_do_not_fit_the_type_are_refused(sandbox: Sandbox, kind: str, operator: str) -> None:
    value = {"string": "x", "number": 1, "boolean": True, "datetime": NOON}[kind]
    body = {"filters": [{"field": "f", "operator": operator, "value": value, "type": kind}]}
    for path in (EXPORT, SEARCH, LEGACY):
        reply = ask(sandbox, path, body)
        assert reply.status == (200 if operator in OPERATORS_BY_TYPE[kind] else 400)
        assert reply.status == 200 or repr(operator) in reply.json["message"]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"operator": "like"}, "filters[1].operator"),
        ({"operator": None}, "filters[1].operator"),
        ({"type": "object"}, "filters[1].type"),
        ({"type": "id"}, "filters[1].type"),
        ({"field": ""}, "filters[1].field"),
        ({"field": 3}, "filters[1].field"),
        ({"value": {}}, "filters[1].value"),
        ({"value": "many", "type": "number", "operator": "is"}, "filters[1].value"),
        ({"value": None, "type": "number", "operator": "less than"}, "filters[1].value"),
        ({"value": "soon", "type": "datetime", "operator": "after"}, "filters[1].value"),
        ({"value": "maybe", "type": "boolean", "operator": "is"}, "filters[1].value"),
    ],
)
def test_a_bad_filter_is_refused_by_place(sandbox: Sandbox, change: dict[str, Any], named: str) -> None:
    good = {"field": "s", "operator": "is", "value": "x", "type": "string"}
    reply = ask(sandbox, SEARCH, {"filters": [good, {**good, **change}]})
    assert reply.status == 400
    assert reply.json["message"].startswith(named)


@pytest.mark.parametrize("missing", ["field", "operator", "value", "type"])
def test_all_keys_of_a_filter_are_required_but_the_type_on_search(sandbox: Sandbox, missing: str) -> None:
    whole = {"field": "s", "operator": "is", "value": "x", "type": "string"}
    body = {"filters": [{key: value for key, value in whole.items() if key != missing}]}
    for path in (LEGACY, EXPORT, SEARCH):
        reply = ask(sandbox, path, body)
        assert reply.status == (200 if (missing, path) == ("type", SEARCH) else 400)
        assert reply.status == 200 or f"filters[0].{missing}" in reply.json["message"]


@pytest.mark.parametrize("filters", [{}, "x", None, [1], [[]]])
def test_filters_are_a_list_of_objects(sandbox: Sandbox, filters: Any) -> None:
    assert ask(sandbox, EXPORT, {"filters": filters}).status == 400


@pytest.mark.parametrize(
    ("field", "operator", "value", "ids"),
    [
        ("n", "is", 2.5, ["b"]),
        ("n", "greater than", 1, ["b"]),
        ("b", "is", True, ["a"]),
        ("t", "after", NOON, ["d"]),
        ("s", "contains", "voy", ["b"]),
        ("s", "exists", None, ["d", "b", "a"]),
    ],
)
def test_search_guesses_a_missing_type(sandbox: Sandbox, field: str, operator: str, value: Any, ids: list[str]) -> None:
    assert ask(sandbox, SEARCH, {"filters": [{"field": field, "operator": operator, "value": value}]}).ids == ids


@pytest.mark.parametrize(
    ("field", "value"), [("o.deep.s", "x"), ("o.list.1.s", "one"), ("o.deep", '{"s": "x"}'), ("event_id", "d")]
)
def test_fields_may_be_dotted(sandbox: Sandbox, field: str, value: str) -> None:
    assert found(sandbox, field, "is", value, "string") == "d"


def test_all_filters_must_match(sandbox: Sandbox) -> None:
    filters = [
        {"field": "s", "operator": "exists", "value": None, "type": "string"},
        {"field": "n", "operator": "less than", "value": 2, "type": "number"},
    ]
    assert ask(sandbox, EXPORT, {"filters": filters}).ids == ["d", "a"]


def test_the_vendors_old_client_may_filter_by_id(sandbox: Sandbox) -> None:
    assert found(sandbox, "event_id", "is", "b", "id", LEGACY) == "b"


@pytest.mark.parametrize(("operator", "ids"), [("after", "de"), ("before", "ab"), ("is", "c"), ("is not", "abde")])
def test_time_filters_on_start_time_leave_the_bound_itself_out(sandbox: Sandbox, operator: str, ids: str) -> None:
    assert found(sandbox, "start_time", operator, "1970-01-01T00:00:00.003Z", "datetime") == ids


def test_filtered_pages_see_events_that_come_and_go() -> None:
    body = {"filters": [{"field": "k", "operator": "is", "value": 1, "type": "number"}]}
    with Sandbox([event("a", 1, k=1), event("b", 2, k=2)]) as sandbox:
        assert ask(sandbox, EXPORT, body).ids == ["a"]
        sandbox.add([event("c", 3, k=1), event("d", 4, k=2)])
        assert ask(sandbox, EXPORT, body).ids == ["c", "a"]
        sandbox.delete(["a", "d"])
        assert ask(sandbox, EXPORT, body).ids == ["c"]
        assert ask(sandbox, EXPORT).ids == ["c", "b"]
