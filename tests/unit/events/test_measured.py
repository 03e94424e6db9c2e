"""What was measured in an event stays, digit by digit; of its texts only those of the table; nothing else."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_honeyhive.api.pages import decode_page
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.exceptions import HoneyHiveResponseError, InvalidArgumentError
from airflow_provider_honeyhive.models.content import TABLE, Treatment
from airflow_provider_honeyhive.models.fields import FieldRules
from tests.unit.api.odd_bytes import ODD_EVENTS
from tests.unit.programs import modules_loaded_by

KEY = "a key of more than sixteen characters"


def measure(raw: bytes, **rules: Any) -> bytes:
    return bytes(Masker(FieldRules.parse(include_content=False, **rules)).apply(raw))


def hash_of(value: bytes) -> bytes:
    """Return what ``redact`` makes of a value."""
    return bytes(Masker(FieldRules.parse(redact=["v"], redact_secret=KEY)).apply(b'{"v":' + value + b"}"))[5:-1]


# ------------------------------------------------------------------------------ numbers and booleans


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        (b'{"a":1.50,"b":-0.0,"c":1E+9,"d":12345678901234567890123,"e":true,"f":false}', None),
        (b'{"a":{"b":[[1],{"c":[2,{"d":3}]}]}}', None),
        (b'{"a":NaN,"b":Infinity,"c":-Infinity,"d":1e999}', None),
        (b'{"a":' + b"7" * 5000 + b"}", None),
        (b'{"a":null,"b":"1.0","c":[],"d":{},"e":[null,"x"],"f":{"g":{"h":"x"}},"i":1}', b'{"i":1}'),
        (b'{"a":[1,"x",2,null,[],3,{"b":"x"}]}', b'{"a":[1,2,3]}'),
        (b' { "a" : [ 1 ,\t2 ] ,\r\n "b" : { "c" : true } } '.strip(), b'{"a":[1,2],"b":{"c":true}}'),
        (b'{"a":"x","a":1,"a":"y","a":2}', b'{"a":1,"a":2}'),
        (b'{"inputs":"x"}', b"{}"),
        (b"{}", b"{}"),
        (b'{"inputs":{"a":"x","b":"y","c":1,"d":"z"},"outputs":["x","y",1,"z"]}', b'{"inputs":{"c":1},"outputs":[1]}'),
        (rb'{"inputs":{"a":"\\","b":"\\\"","c":1,"d":"]}"}}', b'{"inputs":{"c":1}}'),
    ],
)
def test_every_number_and_boolean_stays_as_it_was_written(raw, left):
    assert measure(raw) == (raw if left is None else left)


@pytest.mark.parametrize(
    ("raw", "left"),
    [
        # Anybody may write these keys: they are the words of a text where they are no identifiers.
        (b'{"inputs":{"What did he say?":1,"ok-1_2.3:4":2}}', b'{"inputs":{"ok-1_2.3:4":2}}'),
        (b'{"unknown":{"\xc3\xa9t\xc3\xa9":1,"":2,"a\\nb":3}}', b"{}"),
        (b'{"feedback":{"why not":{"rating":1}},"user properties":{"age":1}}', b"{}"),
        (b'{"metadata":{"' + b"k" * 100 + b'":1}}', b'{"metadata":{"' + b"k" * 100 + b'":1}}'),
        (b'{"metadata":{"' + b"k" * 101 + b'":1}}', b"{}"),
        # Evaluators have names.
        (
            b'{"metrics":{"Assistant Answer Reporting Accurate":5,"a.b/c (d)":{"Ada is ill":true,"pass_rate":true}}}',
            b'{"metrics":{"Assistant Answer Reporting Accurate":5,"a.b/c (d)":{"pass_rate":true}}}',
        ),
        (
            b'{"evaluations":{"my \xc3\xa9valuator":{"score":1}}}',
            b'{"evaluations":{"my \xc3\xa9valuator":{"score":1}}}',
        ),
        (b'{"metrics":{"two\\nlines":1,"' + b"k" * 101 + b'":2,"ok":3}}', b'{"metrics":{"ok":3}}'),
        (b'{"metadata":{"metrics":{"no evaluator":1}}}', b"{}"),
        # Compared by what they say, kept as they were written.
        (rb'{"inputs":{"\u0061":1,"a\u0020b":2}}', rb'{"inputs":{"\u0061":1}}'),
        (rb'{"m\u0065trics":{"a\u0020b":2}}', rb'{"m\u0065trics":{"a\u0020b":2}}'),
        (b'{"metrics":{"' + rb"\ud83d\ude00" * 100 + b'":1}}', b'{"metrics":{"' + rb"\ud83d\ude00" * 100 + b'":1}}'),
        (b'{"metrics":{"\\ud83d":1,"\xff":2}}', b"{}"),
    ],
)
def test_a_number_stays_where_its_key_is_no_text(raw, left):
    assert measure(raw) == left


# ------------------------------------------------------------------------------ texts


def nested(path: str, value: bytes) -> bytes:
    """Return an event in which a value lies at a path of the table, object in object."""
    for name in reversed(path.removesuffix("[]").split(".")):
        value = b"{%b:%b}" % (json.dumps(name).encode(), b"[%b]" % value if path.endswith("[]") else value)
        path = name
    return value


def dotted(path: str, value: bytes) -> bytes:
    """Return the same with all names but the first in one key."""
    first, _, rest = path.partition(".")
    return b'{"%b":{"%b":%b}}' % (first.encode(), rest.encode(), value) if rest else nested(path, value)


OF_ITS_KIND = {
    Treatment.ID: b'"7f22137a-6911-4ed3-bc36-110f1dde6b66"',
    Treatment.NAME: b'"Model Completion (v2)"',
    Treatment.TIME: b'"2024-04-01 22:38:19"',
    Treatment.HASHED: b'"ada lovelace"',
}

#: No id, no name, and no time.
PROSE = '"Dear doctor,\\nI …"'.encode()


@pytest.mark.parametrize("path", TABLE)
@pytest.mark.parametrize("written", [nested, dotted])
def test_the_texts_of_the_table_stay_where_they_are_what_they_should_be(path, written):
    treatment = TABLE[path][0]
    raw, other = written(path, OF_ITS_KIND[treatment]), written(path, PROSE)
    hashed = written(path, hash_of(PROSE))
    if treatment is Treatment.HASHED:
        assert measure(raw) == b"{}"
        assert measure(raw, redact_secret=KEY) == written(path, hash_of(OF_ITS_KIND[treatment]))
    else:
        assert measure(raw) == measure(raw, redact_secret=KEY) == raw
    assert measure(other) == (written(path, b"null") if treatment is Treatment.TIME else b"{}")
    is_hashed = treatment in (Treatment.HASHED, Treatment.ID)
    assert measure(other, redact_secret=KEY) == (hashed if is_hashed else measure(other))


@pytest.mark.parametrize("path", [path for path in TABLE if not path.endswith("[]")])
def test_no_text_stays_below_or_beside_those_of_the_table(path):
    shown = b'{"x":1}' if TABLE[path][0] is not Treatment.HASHED else None
    for value in (b'{"x":1,"y":"a"}', b'[{"x":1,"name":"a"},"a"]'):
        left = value.replace(b',"y":"a"', b"").replace(b',"name":"a"},"a"', b"}") if shown else None
        assert measure(nested(path, value)) == (nested(path, left) if left else b"{}")
    for other in (f"{path}x", f"x.{path}", path.upper()):
        assert measure(nested(other, b'"a"')) == b"{}"


def test_no_path_lies_below_another_that_is_hashed():
    hashed = [path for path, (treatment, _) in TABLE.items() if treatment is Treatment.HASHED]
    assert not [path for path in TABLE for other in hashed if path.startswith(f"{other}.")]


@pytest.mark.parametrize("value", [b"4711", b'["a","b"]', b'{"id":4711,"name":"Ada"}', b"true"])
def test_whatever_names_a_user_is_hashed(value):
    raw = b'{"user_properties":{"id":%b,"age":36}}' % value
    assert measure(raw) == b'{"user_properties":{"age":36}}'
    assert measure(raw, redact_secret=KEY) == b'{"user_properties":{"id":%b,"age":36}}' % hash_of(value)


def test_nothing_is_no_id():
    raw = b'{"session_id":null,"metadata":{"parent_span_id":"","user_id":""},"children_ids":[""]}'
    assert measure(raw, redact_secret=KEY) == b"{}"


@pytest.mark.parametrize(
    ("time", "left"),
    [
        (b"1711000000000", b"1711000000000"),
        (b"1711000000000.5", b"1711000000000.5"),
        (b'"1711000000000"', b'"1711000000000"'),
        (b'"2024-04-01T22:38:19.123456+02:00"', b'"2024-04-01T22:38:19.123456+02:00"'),
        (b'"2024-04-01x22:38:19"', b'"2024-04-01T22:38:19.000Z"'),
        (b'"2024-04-01%b"' % (b" " * 40), b'"2024-04-01T00:00:00.000Z"'),
        (b'"2024-04-01T00:00:00.' + b"1" * 100 + b'"', b'"2024-04-01T00:00:00.111111Z"'),
        (b'"soon"', b"null"),
        (b"null", b"null"),
        (b'{"a":"b"}', b"null"),
    ],
)
def test_a_time_says_a_time_and_nothing_else(time, left):
    assert measure(b'{"start_time":%b}' % time) == b'{"start_time":%b}' % left
    # Of a key that comes twice the last value counts, for the manifest and for who reads the file.
    assert measure(b'{"start_time":1,"start_time":%b}' % time) == b'{"start_time":1,"start_time":%b}' % left


# ------------------------------------------------------------------------------ with other rules


def test_what_is_redacted_stays_as_its_hash():
    raw = b'{"inputs":{"q":"x","n":1},"user_properties":{"email":"a@b.c","id":"u"},"a":null,"outputs":["x"]}'
    left = measure(raw, redact=["user_properties.email", "user_properties.id", "inputs", "a"], redact_secret=KEY)
    email, user, inputs = hash_of(b'"a@b.c"'), hash_of(b'"u"'), hash_of(b'{"q":"x","n":1}')
    assert left == b'{"inputs":%b,"user_properties":{"email":%b,"id":%b}}' % (inputs, email, user)


def test_what_looks_like_a_hash_is_a_text():
    text = hash_of(b'"x"')
    assert measure(b'{"a":%b,"b":"x"}' % text, redact=["b"], redact_secret=KEY) == b'{"b":%b}' % text


def test_what_is_excluded_or_not_projected_goes_too():
    raw = b'{"event_id":"e","event_name":"n","metrics":{"a":1,"b":2},"duration":3}'
    assert (
        measure(raw, exclude_fields=["metrics.a", "event_name"]) == b'{"event_id":"e","metrics":{"b":2},"duration":3}'
    )
    assert measure(raw, projections=["metrics"]) == b'{"event_id":"e","metrics":{"a":1,"b":2}}'


def test_a_secret_is_long_or_not_there():
    with pytest.raises(InvalidArgumentError, match="at least 16"):
        FieldRules.parse(include_content=False, redact_secret="short")
    assert FieldRules.parse(redact_secret="short").redact_secret  # nothing is hashed with it


def test_the_id_of_the_key_is_told():
    assert Masker(FieldRules.parse(include_content=False)).key_id is None
    with_key = Masker(FieldRules.parse(include_content=False, redact_secret=KEY)).key_id
    assert with_key == Masker(FieldRules.parse(redact=["a"], redact_secret=KEY)).key_id is not None
    assert Masker(FieldRules.parse(redact_secret=KEY)).key_id is None


@pytest.mark.parametrize("value", ["false", 0, None, "{{ params.content }}"])
def test_only_a_boolean_says_whether(value):
    with pytest.raises(InvalidArgumentError, match="include_content.*True or False"):
        FieldRules.parse(include_content=value)


def test_the_table_is_light():
    assert not modules_loaded_by("import airflow_provider_honeyhive.models.content") & {
        "msgspec",
        "pyarrow",
        "requests",
    }


# ------------------------------------------------------------------------------ unusual events


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[1]",
        b'"x"',
        b'{"a":1',
        b'{"a":1}}',
        b'{"a":1,}',
        b'{,"a":1}',
        b'{"a" 1}',
        b'{"a":}',
        b'{"a":[1,]}',
        b'{"a":[1}',
        b'{"a":{"b":1]}',
        b'{"a":[1,"x""y"]}',
        b'{"a":prose}',
        b'{"a b":prose}',
        b'{"a":01}',
        b'{"a":1.}',
        b'{"a":"x}',
        b'{"a b":{"c":1}',
        b'{"session_id":{"c":[1}',
        b'{"\\x":1}',
        b'{"event_id":"\\x"}',
    ],
)
def test_nothing_of_what_is_no_object_passes(raw):
    with pytest.raises(HoneyHiveResponseError, match="cannot be read as JSON"):
        measure(raw, redact_secret=KEY)


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'[{"a":1,"b":', b"}]")])
def test_depth_costs_no_more_than_length(opening, closing):
    depth = 100_000
    raw = b'{"inputs":' + opening * depth + b"%b" + closing * depth + b"}"
    assert measure(raw % b"1") == raw % b"1"
    if b"1" not in opening:
        assert measure(raw % b'"x"') == b"{}"
    # Also where all of it is hashed, or goes with its key.
    assert measure((raw % b"1").replace(b"inputs", b"session_id")) == b"{}"
    assert measure((raw % b"1").replace(b"inputs", b"in puts")) == b"{}"


@pytest.mark.parametrize("name", ODD_EVENTS)
def test_what_servers_send_all_the_same_is_understood(name):
    page = decode_page(b'{"events":[' + ODD_EVENTS[name] + b"]}", 1)
    left = measure(bytes(page.raw_events[0]))
    assert left.startswith(b"{")
    assert left.endswith(b"}")
