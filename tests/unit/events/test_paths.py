"""Paths and numbers: with them one element is meant, without them all, in whatever shape an event has them."""

from __future__ import annotations

import json
from unittest.mock import patch

import pytest

from airflow_provider_honeyhive.events import masking
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError, InvalidArgumentError
from airflow_provider_honeyhive.models.fields import FieldRules, check_fields

KEY = "a key of more than sixteen characters"

#: The same three texts, as clients send them: path of the second, path of all, event.
DOTTED_MESSAGES = {f"_event.gen_ai.user.message.{number}.content": f"said-{number}" for number in range(3)}
SHAPES = {
    "dotted keys": ("metadata._event.gen_ai.user.message", {"metadata": DOTTED_MESSAGES}),
    "objects in lists": (
        "outputs.tool_calls",
        {"outputs": {"tool_calls": [{"content": f"said-{number}"} for number in range(3)]}},
    ),
    "objects by number": (
        "outputs.tool_calls",
        {"outputs": {"tool_calls": {str(number): {"content": f"said-{number}"} for number in range(3)}}},
    ),
    "dotted keys of objects": (
        "metadata.llm.input_messages",
        {"metadata": {f"llm.input_messages.{number}": {"content": f"said-{number}"} for number in range(3)}},
    ),
    "a list under a dotted key": (
        "metadata.llm.input_messages",
        {"metadata": {"llm.input_messages": [{"content": f"said-{number}"} for number in range(3)]}},
    ),
    "a number that begins a key": (
        "metadata.llm",
        {"metadata": {"llm": {f"{number}.content": f"said-{number}" for number in range(3)}}},
    ),
    "at the top": (
        "outputs.tool_calls",
        {f"outputs.tool_calls.{number}.content": f"said-{number}" for number in range(3)},
    ),
}


def left_of(event: object, **rules: object) -> str:
    return Masker(FieldRules.parse(**rules, redact_secret=KEY)).apply(json.dumps(event).encode()).decode()


@pytest.mark.parametrize(("prefix", "event"), SHAPES.values(), ids=SHAPES)
@pytest.mark.parametrize("argument", ["exclude_fields", "redact"])
def test_a_path_with_a_number_means_one_and_without_it_all(argument, prefix, event):
    one = left_of(event, **{argument: [f"{prefix}.1.content"]})
    assert [f"said-{number}" in one for number in range(3)] == [True, False, True]
    assert "said-" not in left_of(event, **{argument: [f"{prefix}.content"]})
    assert left_of(event, **{argument: [f"{prefix}.3.content", f"{prefix}.contents"]}) == json.dumps(event)
    for text in (one, left_of(event, **{argument: [f"{prefix}.content"]})):
        assert text.count("hh_redacted:") == (0 if argument == "exclude_fields" else 3 - text.count("said-"))


@pytest.mark.parametrize(
    ("path", "left"),
    [
        ("a.0.b.c", '{"a": [{"b": [{}, {}]}, {"b": [{"c": 3}, {"c": 4}]}]}'),
        ("a.b.0.c", '{"a": [{"b": [{}, {"c": 2}]}, {"b": [{}, {"c": 4}]}]}'),
        ("a.0.b.1.c", '{"a": [{"b": [{"c": 1}, {}]}, {"b": [{"c": 3}, {"c": 4}]}]}'),
        ("a.1.b.0.c", '{"a": [{"b": [{"c": 1}, {"c": 2}]}, {"b": [{}, {"c": 4}]}]}'),
        ("a.b.c", '{"a": [{"b": [{}, {}]}, {"b": [{}, {}]}]}'),
    ],
)
def test_some_of_the_numbers_may_be_left_out(path, left):
    event = {"a": [{"b": [{"c": 1}, {"c": 2}]}, {"b": [{"c": 3}, {"c": 4}]}]}
    assert left_of(event, exclude_fields=[path]) == left


@pytest.mark.parametrize(
    ("raw", "path", "left"),
    [
        (b'{"a":["x","y","z"]}', "a.0", b'{"a":["y","z"]}'),
        (b'{"a":["x","y","z"]}', "a.1", b'{"a":["x","z"]}'),
        (b'{"a":["x","y","z"]}', "a.2", b'{"a":["x","y"]}'),
        (b'{"a":[ "x" ]}', "a.0", b'{"a":[  ]}'),
        (b'{"a":[ "x" , "y"\t]}', "a.0", b'{"a":[ "y"\t]}'),
        (b'{"a":[ "x" , "y"\t]}', "a.1", b'{"a":[ "x"\t]}'),
        (b'{"a":[[1,2],[3,4]]}', "a.1", b'{"a":[[1]]}'),
        (b'{"a":[[1,2],[3,4]]}', "a.0.1", b'{"a":[[1],[3,4]]}'),
        (b'{"a":[[1,2],[3,4]]}', "a.01", b'{"a":[[1,2],[3,4]]}'),
        (b'{"a":{"01":1,"1":2}}', "a.01", b'{"a":{"1":2}}'),
        (b'{"a":{"0":1},"0":{"a":2},"0.a":3}', "a", b'{"0":{"a":2},"0.a":3}'),
        (b'{"a":{"0":1},"0":{"a":2},"0.a":3,"1":{"0":{"a":4}}}', "0.a", b'{"a":{"0":1},"0":{},"1":{"0":{"a":4}}}'),
        (b'{"a":[],"b":[ ]}', "a.b", b'{"a":[],"b":[ ]}'),
        ('{"a":{"²":{"b":1},"٣":{"b":1}}}'.encode(), "a.b", '{"a":{"²":{"b":1},"٣":{"b":1}}}'.encode()),
        (b'{"a":{"\\u0030":{"b":1},"0":{"b":1},"c":[{"b":1}]}}', "a.b", b'{"a":{"\\u0030":{},"0":{},"c":[{"b":1}]}}'),
    ],
)
def test_an_element_goes_with_its_comma_and_the_rest_stays_byte_by_byte(raw, path, left):
    assert Masker(FieldRules.parse(exclude_fields=[path])).apply(raw) == left


def test_what_is_taken_out_by_one_path_is_not_replaced_by_another():
    event = {"a": [["both", "x"], ["y", "z"]], "a.1.0": "both"}
    left = left_of(event, exclude_fields=["a.0.0"], redact=["a.1.0"])
    assert json.loads(left) == {"a": [["x"], [json.loads(left)["a"][1][0], "z"]], "a.1.0": json.loads(left)["a.1.0"]}
    # a.1.0 holds what "a.1" leads to and, since 1 may be left out, what "a.0" leads to.
    assert json.loads(left_of({"a.1.0": "both"}, exclude_fields=["a.0"], redact=["a.1"])) == {}


@pytest.mark.parametrize(
    ("excluded", "redacted"),
    [
        ("metadata.a.content", "metadata.a.0.content"),
        ("metadata.a.0.content", "metadata.a.content"),
        ("metadata.a", "metadata.a.0.content"),
        ("metadata.a.0", "metadata.a.1.0.content"),
        ("metadata.a.1.0.content", "metadata.a.0"),
    ],
)
def test_paths_that_lead_to_the_same_are_not_both_excluded_and_redacted(excluded, redacted):
    with pytest.raises(InvalidArgumentError, match=rf"redact.*exclude_fields takes out '{excluded}'"):
        check_fields(exclude_fields=[excluded], redact=[redacted])


@pytest.mark.parametrize(
    ("excluded", "redacted"),
    [("a.0.b", "a.1.b"), ("a.b", "0.a.b"), ("a.0.b", "a.c.b"), ("a.0", "a.00"), ("a.b", "a.0.c")],
)
def test_paths_that_lead_elsewhere_are(excluded, redacted):
    check_fields(exclude_fields=[excluded], redact=[redacted])


# ------------------------------------------------------------------------------ depth and size


@pytest.mark.parametrize("opening", ["[", '{"0":', '[{"1":'], ids=["lists", "objects", "both"])
def test_lists_and_objects_in_each_other_are_read_once_however_deeply(opening):
    depth = 100_000
    closing = "".join({"[": "]", "{": "}"}.get(letter, "") for letter in reversed(opening))
    event = f'{{"a":{opening * depth}{{"c":"said","d":1}}{closing * depth},"z":0}}'.encode()
    with (
        patch.object(masking, "end_of_value", side_effect=masking.end_of_value) as ends,
        patch.object(masking, "member_spans", side_effect=masking.member_spans) as objects,
    ):
        assert Masker(FieldRules.parse(exclude_fields=["a.c"])).apply(event) == event.replace(b'"c":"said",', b"")
    # These read on to the end of a value, so each call for a level of many would read all of the levels below again.
    assert ends.call_count + objects.call_count <= 2 * masking.QUICK_LEVELS + 4


def test_more_levels_than_memory_has_room_for_are_refused():
    raw = b'{"a":' + b"[" * 50 + b'"said"' + b"]" * 50 + b"}"
    with patch.object(masking, "MOST_LEVELS", 50):
        assert Masker(FieldRules.parse(exclude_fields=["a.b"])).apply(raw) == raw
    with (
        patch.object(masking, "MOST_LEVELS", 49),
        pytest.raises(HoneyHiveResponseError, match="nests more than 49 lists and objects") as caught,
    ):
        Masker(FieldRules.parse(exclude_fields=["a.b"])).apply(raw)
    assert "said" not in str(caught.value)


def test_in_a_list_of_a_million_one_is_taken_out():
    numbers = [b"%d" % number for number in range(1_000_000)]
    masker, raw = Masker(FieldRules.parse(exclude_fields=["a.123456"])), b'{"a":[%b]}' % b",".join(numbers)
    del numbers[123_456]
    assert masker.apply(raw) == b'{"a":[%b]}' % b",".join(numbers)


def test_a_key_of_a_million_numbers_is_read_in_one_go():
    key = "a." + "0." * 500_000
    masker = Masker(FieldRules.parse(exclude_fields=["a.b", "a.0.1.c"]))
    assert masker.apply(f'{{"{key}b":1}}'.encode()) == b"{}"
    assert masker.apply(f'{{"{key}1.c":1,"z":2}}'.encode()) == b'{"z":2}'


def test_what_is_known_of_keys_does_not_grow_without_bound():
    masker = Masker(FieldRules.parse(exclude_fields=["a.b", "a.0.c", "a.1.0.d"]))
    for number in range(3 * masking.MOST_STEPS):
        masker.apply(b'{"a":{"%d.x":{"0":{"c":1}}},"%b":1}' % (number, b"k" * (number % 300)))
    known = [masker._top, *masker._places.values()]
    assert sum(len(place.steps) for place in known) + len(known) <= masking.MOST_STEPS + 2
    assert max(len(key) for place in known for key in place.steps) <= masking.LONGEST_STEP


# ------------------------------------------------------------------------------ what matched nothing


def unmatched(rules: FieldRules, *events: object) -> list[str]:
    matched: set[int] = set()
    for event in events:
        Masker(rules).apply(json.dumps(event).encode(), matched)
    return rules.unmatched(matched)


def test_paths_that_led_to_nothing_are_named_in_their_order():
    rules = FieldRules.parse(exclude_fields=["z.y", "a", "b.0", "c.d"], redact=["e", "f.g", "b.1.x"], redact_secret=KEY)
    assert unmatched(rules) == ["z.y", "a", "b.0", "c.d", "e", "f.g", "b.1.x"]
    assert unmatched(rules, {"e": None}, {"c": {"d": 1}}) == ["z.y", "a", "b.0", "f.g", "b.1.x"]
    assert unmatched(rules, {"a": 1, "b": [2, {"x": 3}], "f.g": 4}) == ["z.y", "c.d", "e"]
    assert unmatched(rules, {"b": {}, "c": "d", "f": [[]], "z": {"Y": 1}}) == list(rules.paths)


def test_a_path_to_what_went_with_another_one_is_not_called_unmatched():
    rules = FieldRules.parse(exclude_fields=["a.0.b", "a.b", "a", "c.d", "c"])
    assert unmatched(rules, {"a": 1}) == ["c.d", "c"]
    assert unmatched(rules, {"c": {"e": 1}}) == ["a.0.b", "a.b", "a"]
    assert unmatched(FieldRules.parse(exclude_fields=["a.b", "a.0.b"]), {"a": {"b": 1}}) == ["a.0.b"]
    assert unmatched(FieldRules.parse(exclude_fields=["a.b", "a.0.b"]), {"a": [{"b": 1}]}) == []


def test_a_field_that_projections_leave_out_matches_nothing():
    rules = FieldRules.parse(projections=["a"], exclude_fields=["a.x", "b.x"])
    assert unmatched(rules, {"a": {"x": 1}, "b": {"x": 1}}) == ["b.x"]


@pytest.mark.parametrize(
    ("excluded", "event"),
    [
        (["outputs.choices.0", "outputs.choices.message"], {"outputs": {"choices": [{"message": "m"}]}}),
        (["a.0", "a.b.c"], {"a": [{"b": {"c": 1}}]}),
        (["a.1", "a.b"], {"a": [{"c": 1}, {"b": 1}]}),
    ],
)
def test_what_another_path_may_have_taken_out_with_a_number_is_not_unmatched(excluded, event):
    assert unmatched(FieldRules.parse(exclude_fields=excluded), event) == []


def test_a_path_beside_what_was_taken_out_is_unmatched():
    assert unmatched(FieldRules.parse(exclude_fields=["a.0", "b.x"]), {"a": [1]}) == ["b.x"]
    assert unmatched(FieldRules.parse(exclude_fields=["a.b", "a.0.b"]), {"a": {"b": 1}}) == ["a.0.b"]
