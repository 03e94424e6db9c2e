"""What may be asked, in which forms, and what the errors say."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime

import pytest
from pydantic import ValidationError

from airflow_provider_honeyhive import exceptions
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.filters import EventFilter, parse_filters
from airflow_provider_honeyhive.models.request import ExportRequest

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("operator", "value", "kind"),
    [
        ("is", "model", "string"),
        ("is not", "model", "string"),
        ("contains", "x", "string"),
        ("not contains", "x", "string"),
        ("is", 5, "number"),
        ("is not", 0.5, "number"),
        ("greater than", 5, "number"),
        ("less than", 5, "number"),
        ("is", True, "boolean"),
        ("exists", None, "string"),
        ("not exists", None, "string"),
    ],
)
def test_a_filter_goes_to_the_wire_with_the_type_its_value_suggests(operator, value, kind):
    made = EventFilter(field="metadata.cost", operator=operator, value=value)
    assert made.to_wire() == {"field": "metadata.cost", "operator": operator, "value": value, "type": kind}


@pytest.mark.parametrize("operator", ["is", "is not", "after", "before"])
@pytest.mark.parametrize(
    "value", [NOON, "2026-11-22T12:00:00Z", "2026-11-22 12:00:00", NOON.timestamp(), 1795348800000]
)
def test_a_datetime_filter_takes_every_form_of_time(operator, value):
    made = EventFilter(field="start_time", operator=operator, value=value, type="datetime")
    assert made.to_wire()["value"] == "2026-11-22T12:00:00.000Z"


@pytest.mark.parametrize(("text", "number"), [("5", 5), ("0.25", 0.25)])
def test_a_templated_number_is_a_number_on_the_wire(text, number):
    assert EventFilter(field="metadata.cost", operator="greater than", value=text).value == number


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_a_templated_boolean_is_a_boolean_on_the_wire(text, value):
    assert EventFilter(field="metadata.ok", operator="is", value=text, type="boolean").value is value


@pytest.mark.parametrize(
    ("operator", "kind", "allowed"),
    [
        ("greater than", "string", "is, is not, contains, not contains"),
        ("contains", "number", "is, is not, greater than, less than"),
        ("is not", "boolean", "is, exists"),
        ("contains", "datetime", "is, is not, after, before"),
    ],
)
def test_an_operator_that_does_not_fit_is_refused_with_those_that_do(operator, kind, allowed):
    with pytest.raises(ValidationError, match=allowed):
        EventFilter(field="a", operator=operator, value="1", type=kind)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([{"field": "a", "operator": "equals", "value": 1}], r"filters\[0\].*operator.*'is not'"),
        ([{"field": "a", "operator": "is", "value": 1, "kind": "string"}], r"filters\[0\].*kind"),
        ([{"operator": "is", "value": 1}], r"filters\[0\].*field"),
        ([{"field": " ", "operator": "is", "value": 1}], r"name of a field is needed"),
        ([{"field": "a", "operator": "is", "value": "x", "type": "number"}], "not a number"),
        ([{"field": "a", "operator": "is", "value": "x", "type": "boolean"}], "true or false"),
        ([{"field": "a", "operator": "after", "value": "soon"}], "ISO 8601"),
        ("{not json", "must be JSON"),
        ([7], r"filters\[0\].*EventFilter, a dict"),
    ],
)
def test_a_wrong_filter_is_named_with_what_is_allowed(value, message):
    with pytest.raises(InvalidArgumentError, match=message):
        parse_filters(value)


def test_filters_come_as_objects_dicts_and_json_texts_alone_or_in_lists():
    plain = {"field": "event_type", "operator": "is", "value": "model"}
    made = EventFilter(**plain)
    text = '{"field": "event_type", "operator": "is", "value": "model"}'
    for form in (made, plain, text, [made], [plain], [text], f"[{text}]", (made,)):
        assert parse_filters(form) == (made,)
    assert parse_filters(None) == parse_filters("") == parse_filters([]) == ()


def test_models_are_frozen():
    with pytest.raises(ValidationError):
        EventFilter(field="a", operator="exists").field = "b"  # type: ignore[misc]


def test_texts_of_a_request_are_checked_by_name():
    with pytest.raises(InvalidArgumentError, match="project: got 5"):
        ExportRequest.parse(project=5)
    with pytest.raises(InvalidArgumentError, match="projections"):
        ExportRequest.parse(projections=[1])
    assert ExportRequest.parse(projections='["inputs"]').projections == ("inputs",)
    assert ExportRequest.parse(project=" ", evaluation_id="").project is None


@pytest.mark.parametrize(
    "error",
    [
        exceptions.InvalidArgumentError("a", 1, "allowed: 2"),
        exceptions.InvalidArgumentError("a", 1, "not with ", exceptions.Argument("b")),
        exceptions.HoneyHiveConnectionError("gone", timed_out=True),
        exceptions.HoneyHiveRateLimitError("slow", status_code=429, error_code="X", server_message="m", retry_after=3),
        exceptions.WrongProjectError("a", "b"),
        exceptions.IncompleteExportError(5, 3),
        exceptions.TooFewEventsError(5, 3),
        exceptions.UnmatchedFieldsError(["a.b"]),
        exceptions.ExportWouldShrinkError(5, 3, 2, "/exports", "at noon"),
        exceptions.TooLargeForXComError(5, 3),
        exceptions.DestinationError("full"),
    ],
)
def test_errors_survive_pickling_with_their_attributes(error):
    error.attempts = 3
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own bytes
    assert str(again) == str(error)
    assert vars(again) == vars(error)
    assert "3 attempts" in str(again)


def test_a_list_that_a_template_printed_as_python_is_told_how_to_be_json():
    with pytest.raises(InvalidArgumentError, match=r"\| tojson"):
        parse_filters("[{'field': 'event_type', 'operator': 'is', 'value': 'model'}]")


def test_json_that_nests_without_end_is_refused():
    with pytest.raises(InvalidArgumentError, match="nests too many"):
        parse_filters("[" * 200_000)


def test_filters_that_nest_without_end_as_objects_are_refused():
    nested = []
    for _ in range(20_000):
        nested = [nested]

    with pytest.raises(InvalidArgumentError, match="nests too many"):
        parse_filters(nested)


def test_an_integer_is_a_text_where_the_filter_is_of_type_string():
    wanted = EventFilter(field="user_id", operator="is", value="123", type="string")

    assert parse_filters({"field": "user_id", "operator": "is", "value": 123, "type": "string"}) == (wanted,)


@pytest.mark.parametrize("value", [1.5, True])
def test_no_other_number_is_a_text(value):
    with pytest.raises(InvalidArgumentError, match="not a text"):
        parse_filters({"field": "user_id", "operator": "is", "value": value, "type": "string"})
