"""What a rule may name, what it takes out of an event, and that nothing else of the event changes."""

from __future__ import annotations

import hmac
import json
import pickle
from typing import TYPE_CHECKING

import msgspec
import pytest
from pydantic import SecretStr

from airflow_provider_honeyhive.api.pages import decode_page
from airflow_provider_honeyhive.events.keyed_hash import canonical
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError, InvalidArgumentError
from airflow_provider_honeyhive.models.fields import (
    ALWAYS_PROJECTED,
    KEPT_FIELDS,
    FieldRules,
    check_fields,
    parse_paths,
)
from tests.unit.api.odd_bytes import ODD_EVENTS
from tests.unit.programs import modules_loaded_by

if TYPE_CHECKING:
    from airflow_provider_honeyhive.events.raw import RawEvent

KEY = "a key of more than sixteen characters"


def exclude(raw: RawEvent, *paths: str) -> RawEvent:
    return Masker(FieldRules.parse(exclude_fields=paths)).apply(raw)


def redact(raw: RawEvent, *paths: str, key: str = KEY) -> RawEvent:
    return Masker(FieldRules.parse(redact=paths, redact_secret=key)).apply(raw)


def hash_of(value: bytes, key: str = KEY) -> str:
    return json.loads(redact(b'{"v":' + value + b"}", "v", key=key))["v"]


# ------------------------------------------------------------------------------ what is taken out


def test_without_rules_an_event_is_the_very_same_object():
    raw = b'{"inputs":1}'
    assert Masker(FieldRules()).apply(raw) is raw
    assert FieldRules.parse(projections=[], exclude_fields="", redact=None) == FieldRules()
    assert not FieldRules().active


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b'{"event_id":"e","inputs":{"q":"x"},"outputs":1}', b'{"event_id":"e","outputs":1}'),
        (b'{"inputs":1,"a":2}', b'{"a":2}'),
        (b'{"a":2,"inputs":1}', b'{"a":2}'),
        (b'{"inputs":1}', b"{}"),
        (b'{ "inputs" : 1 }', b"{  }"),
        (b'{ "inputs" : 1 , "a":\t2 }', b'{ "a":\t2 }'),
        (b'{ "a":\t2 , "inputs" : 1 }', b'{ "a":\t2 }'),
        (b'{ "a":1 ,  "inputs":1,"b" :2 }', b'{ "a":1,"b" :2 }'),
        (b'{"inputs":1,"inputs":2,"a":3,"inputs":4,"inputs":5}', b'{"a":3}'),
        (b'{"\\u0069nputs":1,"a":"inputs"}', b'{"a":"inputs"}'),
        (b'{"a":{"inputs":1},"b":[{"inputs":2}]}', b'{"a":{"inputs":1},"b":[{"inputs":2}]}'),
        (b'{"Inputs":1,"inputs ":2}', b'{"Inputs":1,"inputs ":2}'),
        (b"{}", b"{}"),
        (b"{ }", b"{ }"),
        (b'{"\xff":1,"inputs":2}', b'{"\xff":1}'),
    ],
)
def test_a_field_goes_with_its_comma_and_the_rest_stays_byte_by_byte(raw, left):
    assert exclude(raw, "inputs") == left


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b'{"o":{"c":1,"d":2}}', b'{"o":{"d":2}}'),
        (b'{"o":{"c":{"d":1}},"c":2}', b'{"o":{},"c":2}'),
        (b'{"o":[{"c":1,"d":2},{"d":3},{"c":4}]}', b'{"o":[{"d":2},{"d":3},{}]}'),
        (b'{"o":[[{"c":1}],[],[[{"d":2,"c":"]"}]],7,"c",null]}', b'{"o":[[{}],[],[[{"d":2}]],7,"c",null]}'),
        (b'{"o":{"c":1},"o":{"c":2,"d":3}}', b'{"o":{},"o":{"d":3}}'),
        (b'{"\\u006f":{"\\u0063":1}}', b'{"\\u006f":{}}'),
        (b'{"o":"{\\"c\\":1}"}', b'{"o":"{\\"c\\":1}"}'),
        (b'{"o":null}', b'{"o":null}'),
        (b'{"x":{"o":{"c":1}}}', b'{"x":{"o":{"c":1}}}'),
    ],
)
def test_a_dotted_path_leads_through_objects_and_lists(raw, left):
    assert exclude(raw, "o.c") == left


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b'{"m":{"gen_ai.prompt":1,"gen_ai.model":2}}', b'{"m":{"gen_ai.model":2}}'),
        (b'{"m":{"gen_ai.prompt.0.content":1,"gen_ai.prompts":2}}', b'{"m":{"gen_ai.prompts":2}}'),
        (b'{"m":{"gen_ai":{"prompt":1}}}', b'{"m":{"gen_ai":{}}}'),
        (b'{"m.gen_ai":{"prompt":1},"m":{"gen_ai":2}}', b'{"m.gen_ai":{},"m":{"gen_ai":2}}'),
        (b'{"m.gen_ai.prompt":1,"m..prompt":2}', b'{"m..prompt":2}'),
    ],
)
def test_a_key_that_holds_dots_counts_as_so_many_names(raw, left):
    assert exclude(raw, "m.gen_ai.prompt") == left


def test_projections_keep_the_named_fields_and_those_that_always_come():
    raw = b'{"event_id":"e","inputs":1,"x":2,"start_time":3,"inputs.x":4,"\\u0069nputs":5,"project":"p","project_id":6}'
    kept = b'{"event_id":"e","inputs":1,"start_time":3,"\\u0069nputs":5,"project":"p","project_id":6}'
    assert Masker(FieldRules.parse(projections=["inputs", "absent"])).apply(raw) == kept

    assert set(KEPT_FIELDS) == {*ALWAYS_PROJECTED, "session_id"}


def test_a_view_is_as_good_as_bytes():
    raw = b'{"inputs":{"q":1},"a":2}'
    assert exclude(msgspec.Raw(raw), "inputs.q") == b'{"inputs":{},"a":2}'
    assert exclude(msgspec.Raw(raw), "x.y") == raw


def test_all_rules_work_together():
    rules = FieldRules.parse(
        projections='["inputs","user"]', exclude_fields='["inputs.a"]', redact='["user.id"]', redact_secret=KEY
    )
    left = Masker(rules).apply(b'{"x":0,"inputs":{"a":1,"b":2},"user":{"id":"u","plan":"free"},"event_id":"e"}')
    expected = b'{"inputs":{"b":2},"user":{"id":"%b","plan":"free"},"event_id":"e"}'
    assert left == expected % hash_of(b'"u"').encode()


@pytest.mark.parametrize("raw", ODD_EVENTS.values(), ids=ODD_EVENTS)
@pytest.mark.parametrize("last", [True, False])
def test_in_whatever_pages_let_through_the_fields_are_found(raw, last):
    secret = b'"inputs":{"q":"secret"}'
    whole = raw[:-1] + b"," + secret + b"}" if last else b"{" + secret + b"," + raw[1:]
    (event,) = decode_page(b'{"events":[' + whole + b"]}", 1).raw_events
    assert exclude(event, "inputs") == raw
    assert exclude(event, "inputs.q") == whole.replace(b'{"q":"secret"}', b"{}")
    assert redact(event, "inputs.q") == whole.replace(b'"secret"', json.dumps(hash_of(b'"secret"')).encode())


def test_depth_is_no_obstacle_on_the_way_nor_in_the_value():
    deep = b"[" * 20_000 + b'{"c":1,"d":[' + b'{"e":' * 20_000 + b"0" + b"}" * 20_000 + b"]}" + b"]" * 20_000
    assert exclude(b'{"o":' + deep + b"}", "o.c") == b'{"o":' + deep.replace(b'"c":1,', b"") + b"}"
    assert exclude(b'{"o":' + deep + b',"a":1}', "o") == b'{"a":1}'
    assert hash_of(deep) == hash_of(deep.replace(b'"c":1,', b' "c" : 1.0, '))
    assert hash_of(deep) != hash_of(deep.replace(b'"c":1,', b'"c":2,'))


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"null",
        b'{"secret":1',
        b'{"secret":1]',
        b'{"secret" 1}',
        b'{"secret":}',
        b'{"secret":1,}',
        b'{"secret":1 "b":2}',
        b"{secret:1}",
        b'{"\\q":"secret"}',
        b'{"inputs":["secret"}',
        b'{"inputs":[{"secret":1}',
        b'{"inputs":[{"secret"}]}',
        b'{"a":"secret}',
        b'{"a":"secret\\"}',
        b'{"secret":1}{',
        b'{"secret":1} ',
        b'["secret":1}',
        b'{"secret":}}}',
        b"{}{",
        b"{} ",
        b'{"a":{"secret":1}}}',
    ],
)
def test_what_cannot_be_read_does_not_pass_and_is_not_shown(raw):
    with pytest.raises(HoneyHiveResponseError, match=r"at its byte \d+") as caught:
        exclude(raw, "inputs.q")
    assert "secret" not in str(caught.value)


# ------------------------------------------------------------------------------ hashes


@pytest.mark.parametrize("value", ["ada@example.com", "Zoë 😀", 'say "hi"\\\n\t/\x7f\u2028', ""])
def test_the_hash_is_the_documented_formula(value):
    digest = hmac.new(KEY.encode(), json.dumps(value, ensure_ascii=False).encode(), "sha256").hexdigest()[:32]
    for raw in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert hash_of(raw.encode()) == f"hh_redacted:{digest}"


def test_equal_values_have_equal_hashes_in_every_place_and_event():
    rules = FieldRules.parse(redact=["user.id", "list.id", "top"], redact_secret=SecretStr(f" {KEY}\n"))
    first = json.loads(Masker(rules).apply(b'{"user":{"id":"u1"},"top":"u\\u0031","list":[{"id":"u1"},{"id":"u2"}]}'))
    second = json.loads(Masker(rules).apply(b'{"event_id":"e","user": {"x":1, "id": "u1"}}'))
    assert first["user"]["id"] == first["top"] == first["list"][0]["id"] == second["user"]["id"] == hash_of(b'"u1"')
    assert first["list"][1]["id"] == hash_of(b'"u2"') != hash_of(b'"u1"')
    assert hash_of(b'"u1"') != hash_of(b'"u1"', key=KEY + "2")


def test_both_values_of_a_key_that_comes_twice_are_replaced():
    left = redact(b'{"a":"x","\\u0061":"y"}', "a")
    assert left == b'{"a":"%b","\\u0061":"%b"}' % (hash_of(b'"x"').encode(), hash_of(b'"y"').encode())


def test_null_stays_null_but_not_an_empty_text():
    assert redact(b'{"a":null,"b":[null]}', "a", "b") == b'{"a":null,"b":"%b"}' % hash_of(b"[null]").encode()
    assert hash_of(b'""').startswith("hh_redacted:")


@pytest.mark.parametrize(
    "same",
    [
        [b'"a"', b'"\\u0061"'],
        [b'"/\\n"', b'"\\/\\u000a"', b'"/\n"'],
        ['"é😀"'.encode(), b'"\\u00e9\\ud83d\\ude00"'],
        [b'"\\ud83d"', b'"\\uD83D"'],
        [b'"\xff\\u0061"', b'"\xffa"'],
        [b'"\x01\\u0061"', b'"\\u0001a"', b'"\x01a"'],
        [b"1", b"1.0", b"1e0", b"10E-1", b"0.01e2"],
        [b"0", b"-0", b"0.0", b"0e9", b"-0.00e-5"],
        [b"1e400", b"10E+399"],
        [b"-12.50", b"-1.25e1"],
        [b'{"a":1,"b":[true]}', b'{ "b" : [ true ] , "\\u0061" : 1.0 }', b'{"a":2,"b":[true],"a":1}'],
        [b"[]", b"[ ]"],
        [b"[1.0,1e" + b"9" * 5000 + b"]", b"[1, 1e" + b"9" * 5000 + b"]"],
        [b"{}", b"{\t}"],
    ],
)
def test_values_that_are_equal_however_written(same):
    assert len({hash_of(value) for value in same}) == 1


def test_values_that_differ():
    values = [b'"1"', b"1", b"true", b'"true"', b"[1]", b'["1"]', b"[[1]]", b'{"1":1}', b"{}", b"[]", b'""', b"0"]
    values += [b"false", b"NaN", b"Infinity", b"-Infinity", b'"NaN"', b"[null]", b"-1", b"1e99", b"1e-99", b'"\xff"']
    values += [b"9007199254740992", b"9007199254740993", b"0.1", b"0.1000000000000000055", b'"a"', b'"A"', b'"a "']
    values += [b'"\\ud83d"', b'"\\ude00"', b"[1,2]", b"[2,1]", b"[12]", b'{"a":1,"b":2}', b'{"a":{"b":2}}', b'["a,b"]']
    values += [b'["a","b"]', b"1e%d" % 10**17, b"1e" + b"9" * 5000]
    assert len({hash_of(value) for value in values}) == len(values)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        (b"100000000000000000000", b"100000000000000000000"),
        (b"1000000000000000000000", b"1e+21"),
        (b"123456789012345678901234567890", b"1.2345678901234567890123456789e+29"),
        (b"0.000001", b"0.000001"),
        (b"1E-7", b"1e-7"),
        (b"12345678901234567890.50", b"12345678901234567890.5"),
        (b"-1.5e300", b"-1.5e+300"),
        (b"824.8056", b"824.8056"),
        (b'{"\xef\xbf\xbd":1,"\\ud83d\\ude00":2,"b":3}', '{"b":3,"😀":2,"\ufffd":1}'.encode()),
    ],
)
def test_the_canonical_text_is_that_of_rfc_8785_with_all_digits(text, number):
    assert canonical(text) == number


@pytest.mark.parametrize("value", [b'[{"a" "b"}, 1 2]', b"{1:2}", b"{[] {[]}}", b'["\\q"]', b"[}", b"{]", b'[{"a":}]'])
def test_what_is_no_json_is_replaced_all_the_same(value):
    # Deep inside an event that no parser reads to the ground, this may come.
    assert hash_of(value).startswith("hh_redacted:")


def test_the_id_of_a_key_tells_keys_apart_without_showing_them():
    ids = [Masker(FieldRules.parse(redact=["a"], redact_secret=key)).key_id for key in (KEY, KEY, KEY + "2")]
    assert ids[0] == ids[1] != ids[2]
    assert ids[0] == hmac.new(KEY.encode(), b"key id", "sha256").hexdigest()[:16]
    assert Masker(FieldRules.parse(redact_secret=KEY)).key_id is None


def test_rules_show_no_key_and_survive_pickling():
    rules = FieldRules.parse(redact=["a"], redact_secret=KEY)
    Masker(rules).apply(b'{"a":1}')
    assert KEY not in repr(rules)
    again = pickle.loads(pickle.dumps(rules))  # noqa: S301
    assert again == rules
    assert Masker(again).apply(b'{"a":1}') == Masker(rules).apply(b'{"a":1}')


# ------------------------------------------------------------------------------ arguments


@pytest.mark.parametrize("argument", ["exclude_fields", "redact"])
@pytest.mark.parametrize("field", KEPT_FIELDS)
@pytest.mark.parametrize("below", ["", ".x"])
def test_a_field_that_every_event_needs_stays_and_the_error_says_why(argument, field, below):
    with pytest.raises(InvalidArgumentError, match=f"{argument}.*{field} stays in every event: {KEPT_FIELDS[field]}"):
        check_fields(**{argument: [field + below]})


@pytest.mark.parametrize("argument", ["projections", "exclude_fields", "redact"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("inputs", "JSON text"),
        ('"inputs"', "JSON text"),
        ({"inputs": 1}, "JSON text"),
        ([1], "JSON text"),
        ([""], "names of fields"),
        (["a..b"], "one dot"),
        ([".a"], "one dot"),
        (["a."], "one dot"),
        ([" a"], "white space"),
        (["a. b"], "white space"),
        (["a.*"], "no wildcards"),
        (["$.a"], "no wildcards"),
        (["a[0].b"], "write 'outputs.choices.0.message' for one element, 'outputs.choices.message' for all"),
        (["a[*]"], "no wildcards"),
        (["a[].b"], "no wildcards"),
        ([".".join(["a"] * 51)], "at most 50 names"),
    ],
)
def test_a_path_that_cannot_be_right_is_refused(argument, value, message):
    with pytest.raises(InvalidArgumentError, match=f"(?s)^{argument}: .*{message}"):
        check_fields(**{argument: value})


def test_paths_with_spaces_inside_and_fifty_names_are_fine():
    path = ".".join(["Answer Faithfulness"] * 50)
    assert FieldRules.parse(exclude_fields=[path, path]).exclude_fields == (path,)
    nested = b'{"Answer Faithfulness":' * 50 + b"1" + b"}" * 50
    assert exclude(nested, path) == nested.replace(b'{"Answer Faithfulness":1}', b"{}")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"projections": ["metadata.cost"]}, "projections.*top-level fields"),
        ({"projections": ["inputs"], "exclude_fields": ["inputs"]}, "exclude_fields.*projections asks to keep"),
        ({"exclude_fields": ["a"], "redact": ["a"]}, "redact.*exclude_fields takes out 'a'"),
        ({"exclude_fields": ["a"], "redact": ["a.b"]}, "redact.*exclude_fields takes out 'a'"),
        ({"exclude_fields": ["a.b"], "redact": ["a"]}, "redact.*exclude_fields takes out 'a.b'"),
    ],
)
def test_rules_that_contradict_each_other_are_refused(arguments, message):
    with pytest.raises(InvalidArgumentError, match=message):
        check_fields(**arguments)
    with pytest.raises(InvalidArgumentError, match=message):
        FieldRules(**{name: tuple(paths) for name, paths in arguments.items()})


def test_rules_that_only_overlap_are_fine():
    rules = FieldRules.parse(
        projections=["a", "b"],
        exclude_fields=["a.x", "a.x.y", "c", "ab"],
        redact=["b", "b.c", "abc"],
        redact_secret=KEY,
    )
    left = Masker(rules).apply(b'{"a":{"x":1,"z":2},"b":{"c":3},"c":4,"abc":5}')
    assert left == b'{"a":{"z":2},"b":"%b"}' % hash_of(b'{"c":3}').encode()


@pytest.mark.parametrize("key", [None, "", "  "])
def test_redacting_without_a_key_says_where_to_put_one(key):
    with pytest.raises(
        InvalidArgumentError, match=r"redact: got \['a'\].*extra redact_secret of the HoneyHive connection"
    ):
        FieldRules.parse(redact=["a"], redact_secret=key)
    check_fields(redact=["a"])


def test_a_key_that_can_be_guessed_is_refused_and_not_shown():
    with pytest.raises(InvalidArgumentError, match="redact_secret: got '11 characters'.*at least 16") as caught:
        FieldRules.parse(redact=["a"], redact_secret="hunter2_abc")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(InvalidArgumentError, match="redact_secret: got 'int'"):
        FieldRules.parse(redact=["a"], redact_secret=12345678901234567890)


def test_checking_paths_loads_nothing_heavy():
    loaded = modules_loaded_by("""
from airflow_provider_honeyhive.models.fields import FieldRules, check_fields
check_fields(["inputs"], '["outputs"]', ["user_properties"])
FieldRules.parse(projections=["inputs"])
""")
    assert not {"msgspec", "airflow", "requests"} & loaded


@pytest.mark.parametrize("argument", ["projections", "exclude_fields", "redact"])
def test_a_list_that_a_template_printed_as_python_is_told_how_to_be_json(argument):
    with pytest.raises(InvalidArgumentError, match=r"\| tojson"):
        parse_paths(argument, "['inputs', 'outputs']")


@pytest.mark.parametrize("argument", ["projections", "exclude_fields", "redact"])
def test_json_that_nests_without_end_is_refused(argument):
    with pytest.raises(InvalidArgumentError, match="nests too many"):
        parse_paths(argument, "[" * 200_000)
