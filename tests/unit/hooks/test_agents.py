"""Whatever makes tools for agents of the hook's methods finds in their hints and docstrings what it needs."""

from __future__ import annotations

import inspect
import re
from types import NoneType, UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest
from pydantic import TypeAdapter, create_model, validate_call

from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from tests.unit.conftest import CONN_ID
from tests.unit.export.test_exporter import DAY, GENERATED

METHODS = {
    name: found
    for name, found in vars(HoneyHiveHook).items()
    if inspect.isfunction(getattr(found, "__func__", found)) and not name.startswith("_")
}
READING = ("export_events", "iter_events", "count_events")
PARAMETERS = [
    (name, parameter)
    for name in READING
    for parameter in inspect.signature(METHODS[name]).parameters
    if parameter != "self"
]
#: What even the simplest of them makes JSON schemas of.
PLAIN = (str, int, float, bool, list, dict, NoneType)


def hints_of(name: str) -> dict[str, Any]:
    return get_type_hints(getattr(HoneyHiveHook, name))


def schema_of(name: str) -> dict[str, Any]:
    """Return the JSON schema of a method's arguments, as pydantic makes it."""
    hints = hints_of(name)
    fields = {
        parameter.name: (hints[parameter.name], parameter.default)
        for parameter in inspect.signature(METHODS[name]).parameters.values()
        if parameter.name != "self"
    }
    return create_model(name, **fields).model_json_schema()


def parts_of(hint: Any) -> set[Any]:
    """Return every type in a hint."""
    return {hint, *(part for each in get_args(hint) for part in parts_of(each))}


def test_these_are_the_methods_that_read():
    assert set(READING) <= METHODS.keys()


@pytest.mark.parametrize("name", METHODS)
def test_no_hint_is_any(name):
    signature = inspect.signature(getattr(HoneyHiveHook, name))
    written = [signature.return_annotation, *(each.annotation for each in signature.parameters.values())]
    assert not [text for text in written if re.search(r"\bAny\b", str(text))]
    if name in READING:
        assert not [hint for hint in hints_of(name).values() if Any in parts_of(hint)]


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_each_argument_has_a_schema_and_a_description(name, parameter):
    schema = schema_of(name)["properties"][parameter]
    assert schema.keys() & {"type", "anyOf", "$ref"}
    assert {} not in schema.get("anyOf", [])
    assert re.search(rf":param {parameter}: \w", inspect.getdoc(METHODS[name]) or "")


@pytest.mark.parametrize(("name", "parameter"), PARAMETERS)
def test_plain_types_come_first(name, parameter):
    hint = hints_of(name)[parameter]
    first = get_args(hint)[0] if get_origin(hint) is UnionType else hint
    assert (get_origin(first) or first) in PLAIN


def test_what_a_schema_allows_the_method_takes(sandbox_with, connect):
    connect(sandbox_with(count=300, **GENERATED))
    hook = HoneyHiveHook(CONN_ID)
    count = hook.count_events(start_time=DAY.start, end_time=DAY.end)
    arguments = TypeAdapter(dict[str, Any]).validate_json(
        '{"project": "demo", "filters": [{"field": "event_type", "operator": "is", "value": "model"}],'
        f' "start_time": "{DAY.start.isoformat()}", "end_time": "{DAY.end.isoformat()}"}}'
    )

    models = validate_call(hook.count_events)(**arguments)
    events = list(validate_call(hook.iter_events)(**arguments, projections=["event_type"]))
    page = validate_call(hook.export_events)(**arguments, exclude_fields=["inputs"], limit=10)

    assert 0 < models == len(events) < count
    assert {event["event_type"] for event in events} == {"model"}
    assert len(page.events) == 10
    assert not any("inputs" in event for event in page.events)
