"""Whatever an event holds and however it is written: exactly what the rules name goes, and not a byte more.

Two references of their own making say what must come out: one on parsed events, one that splices the text.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.events import scan as json_spans
from airflow_provider_honeyhive.events.keyed_hash import canonical
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.events.scan import STRING
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.fields import ALWAYS_PROJECTED, FieldRules
from airflow_provider_honeyhive.sandbox.paging import projected
from airflow_provider_honeyhive.sandbox.store import StoredEvent
from tests.unit.property_settings import thoroughly

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from random import Random

KEY = "k" * 32
thorough = thoroughly(400)

# ------------------------------------------------------------------------------ events

NAMES = ("a", "b", "c", "é")
NUMBERS = (
    "0",
    "-0.0",
    "1",
    "1.0",
    "1e0",
    "10",
    "0.1",
    "1e400",
    "123456789012345678901234567890",
    "0.12345678901234567",
)
OTHERS = ("true", "false", "null", "NaN", "-Infinity")


class Pairs(list):
    """An object with all of its members, also those whose key comes again."""


keys = st.one_of(
    st.sampled_from((*NAMES, "event_id")), st.lists(st.sampled_from((*NAMES, "")), min_size=2, max_size=3).map(".".join)
)
# Lone surrogates up to U+DC7F; those above stand for bytes that are no UTF-8, as Python reads them.
texts = st.text(
    st.one_of(st.characters(codec="utf-8"), st.sampled_from('\ud83d\ude00\udcff"\\/{}[],: \n\x00')), max_size=8
)
scalars = st.one_of(texts, st.sampled_from([("raw", text) for text in (*NUMBERS, *OTHERS)]))


def objects_of(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Pairs]:
    return st.lists(st.tuples(keys, values), max_size=5).map(Pairs)


values = st.recursive(scalars, lambda inner: st.one_of(objects_of(inner), st.lists(inner, max_size=4)), max_leaves=12)
events = objects_of(values)
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map(".".join)


def written(value: Any, random: Random | None) -> str:
    """Return the JSON text of a value, with white space and escapes at random; None: compact."""
    space: Callable[[], str] = lambda: "" if random is None else random.choice(("", "", " ", "\t \r\n"))  # noqa: E731
    if isinstance(value, tuple):
        return value[1]
    if isinstance(value, str):
        return '"' + "".join(_character(character, random) for character in value) + '"'
    if isinstance(value, Pairs):
        inside = [f"{written(k, random)}{space()}:{space()}{written(v, random)}" for k, v in value]
        opening, closing = "{}"
    else:
        inside = [written(element, random) for element in value]
        opening, closing = "[]"
    return f"{opening}{space()}{f'{space()},{space()}'.join(inside)}{space()}{closing}"


def _character(character: str, random: Random | None) -> str:
    if "\udc80" <= character <= "\udcff":
        return character
    must = character in '"\\' or "\ud800" <= character <= "\udfff" or (random is None and character < " ")
    if not must and (random is None or random.random() < 0.7):
        return character
    if random is not None and random.random() < 0.5 and character in '"\\/\n':
        return "\\" + {"\n": "n"}.get(character, character)
    units = character.encode("utf-16-be", "surrogatepass")
    escapes = (f"\\u{units[at : at + 2].hex()}" for at in range(0, len(units), 2))
    return "".join(escapes)


def as_bytes(value: Any, random: Random | None = None) -> bytes:
    return written(value, random).encode("utf-8", "surrogateescape")


def parsed(raw: bytes, **hooks: Any) -> Any:
    hooks.setdefault("object_pairs_hook", Pairs)
    return json.loads(
        raw.decode("utf-8", "surrogateescape"),
        strict=False,
        parse_int=lambda text: ("raw", text),
        parse_float=lambda text: ("raw", text),
        parse_constant=lambda text: ("raw", text),
        **hooks,
    )


@st.composite
def written_events(draw: st.DrawFn) -> bytes:
    return as_bytes(draw(events), draw(st.one_of(st.none(), st.randoms(use_true_random=False))))


# ------------------------------------------------------------------------------ what the rules mean


class Wanted(NamedTuple):
    """Rules, as paths of names: what is left of each on the way down."""

    exclude: tuple[tuple[str, ...], ...]
    redact: tuple[tuple[str, ...], ...]
    kept: frozenset[str] | None = None

    def below(self, key: str) -> Wanted | str | None:
        """Return what holds of a member: its rules, or what happens to it."""
        if self.kept is not None and key not in self.kept:
            return "exclude"
        names = tuple(key.split("."))
        for action in ("exclude", "redact"):
            if any(names[: len(path)] == path for path in getattr(self, action)):
                return action
        left = [
            tuple(path[len(names) :] for path in paths if path[: len(names)] == names)
            for paths in (self.exclude, self.redact)
        ]
        return Wanted(*left) if any(left) else None


@st.composite
def rules_and_meaning(draw: st.DrawFn) -> tuple[FieldRules, Wanted]:
    projections = draw(st.one_of(st.none(), st.lists(st.sampled_from(NAMES), min_size=1)))
    chosen = {name: draw(st.lists(paths, max_size=3)) for name in ("exclude_fields", "redact")}
    try:
        rules = FieldRules.parse(projections=projections, redact_secret=KEY, **chosen)
    except InvalidArgumentError:
        assume(False)
    names = [tuple(tuple(path.split(".")) for path in paths) for paths in chosen.values()]
    return rules, Wanted(*names, kept=frozenset((*projections, *ALWAYS_PROJECTED)) if projections else None)


def hash_of(raw: bytes) -> str:
    redacted: str = json.loads(Masker(FieldRules.parse(redact=["v"], redact_secret=KEY)).apply(b'{"v":%b}' % raw))["v"]
    return redacted


def expected_of(value: Any, wanted: Wanted | str | None) -> Any:
    """Say what must be left of a parsed value."""
    if wanted == "redact":
        return value if value is None else hash_of(as_bytes(_writable(value)))
    if wanted is None:
        return value
    if isinstance(value, Pairs):
        below = [(key, member, wanted.below(key)) for key, member in value]
        return Pairs((key, expected_of(member, rule)) for key, member, rule in below if rule != "exclude")
    if isinstance(value, list):
        return [expected_of(element, wanted) for element in value]
    return value


def _writable(value: Any) -> Any:
    if isinstance(value, Pairs):
        return Pairs((key, _writable(member)) for key, member in value)
    if isinstance(value, list):
        return [_writable(element) for element in value]
    return ("raw", json.dumps(value)) if value is None or isinstance(value, bool) else value


@thorough
@given(written_events(), rules_and_meaning())
def test_what_is_left_is_what_a_parser_would_leave(raw, rules_and_wanted):
    rules, wanted = rules_and_wanted
    assert parsed(Masker(rules).apply(raw)) == expected_of(parsed(raw), wanted)


# ------------------------------------------------------------------------------ bytes


class Span(NamedTuple):
    """A value and where it is; an object has members (key, where it starts, value), a list elements."""

    start: int
    end: int
    members: Sequence[tuple[str, int, Span]] | None = None
    elements: Sequence[Span] = ()


def spans_of(text: str, at: int) -> Span:
    """Read one value after the other, character by character."""
    decoder = json.JSONDecoder(strict=False)
    if text[at] not in "{[":
        return Span(at, decoder.raw_decode(text, at)[1])
    start, is_object = at, text[at] == "{"
    inside: list[Any] = []
    at = _past_space(text, at + 1)
    while text[at] not in "}]":
        if is_object:
            key, key_end = decoder.raw_decode(text, at)
            value = spans_of(text, _past_space(text, _past_space(text, key_end) + 1))
            inside.append((key, at, value))
        else:
            value = spans_of(text, at)
            inside.append(value)
        at = _past_space(text, value.end)
        if text[at] == ",":
            at = _past_space(text, at + 1)
    return Span(start, at + 1, inside) if is_object else Span(start, at + 1, None, inside)


def _past_space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def spliced(text: str, span: Span, wanted: Wanted | str | None) -> str:
    """Return the text of a value after the rules: each kept member with what stood before it."""
    own = text[span.start : span.end]
    if wanted == "redact":
        return own if own == "null" else json.dumps(hash_of(own.encode("utf-8", "surrogateescape")))
    if wanted is None or not (span.members or span.elements):
        return own
    if span.members is None:
        pieces, at = [], span.start
        for element in span.elements:
            pieces += [text[at : element.start], spliced(text, element, wanted)]
            at = element.end
        return "".join(pieces) + text[at : span.end]
    pieces, before, last_end = [], text[span.start + 1 : span.members[0][1]], span.start
    for key, key_start, value in span.members:
        rule = wanted.below(key)
        if rule != "exclude":
            pieces.append(before if not pieces else text[last_end:key_start])
            pieces.append(text[key_start : value.start] + spliced(text, value, rule))
        last_end = value.end
    return "{" + ("".join(pieces) or before) + text[last_end : span.end]


@thorough
@given(written_events(), rules_and_meaning())
def test_every_other_byte_is_as_it_was(raw, rules_and_wanted):
    rules, wanted = rules_and_wanted
    text = raw.decode("utf-8", "surrogateescape")
    assert Masker(rules).apply(raw) == spliced(text, spans_of(text, 0), wanted).encode("utf-8", "surrogateescape")


def _marked(value: Any, numbers: Iterator[int]) -> Any:
    if isinstance(value, Pairs):
        return Pairs((key, _marked(member, numbers)) for key, member in value)
    if isinstance(value, list):
        return [_marked(element, numbers) for element in value]
    return f"secret-{next(numbers)}-"


@thorough
@given(events, rules_and_meaning(), st.booleans())
def test_nothing_of_what_is_taken_out_is_in_the_bytes(event, rules_and_wanted, spaced):
    rules, wanted = rules_and_wanted
    event = _marked(event, iter(range(10_000)))
    raw = as_bytes(event).replace(b",", b" ,\n" if spaced else b",")
    marks = re.compile(rb"secret-\d+-")
    left = set(marks.findall(Masker(rules).apply(raw)))
    assert left == set(marks.findall(as_bytes(_writable(expected_of(event, wanted)))))


@thorough
@given(written_events())
def test_the_quick_way_finds_the_same_members_as_the_thorough_one_or_none(raw):
    quick = json_spans.spans_of_compact(raw, 0, len(raw))
    assert quick is None or quick == list(json_spans.spans_by_scanning(raw, 0, len(raw)))


@thorough
@given(st.sets(st.text(st.characters(codec="utf-8", exclude_characters='"\\', min_codepoint=32)), min_size=1))
def test_the_quick_way_takes_every_compact_object_that_hides_nothing(names):
    raw = as_bytes(Pairs((name, "value") for name in names))
    assert json_spans.spans_of_compact(raw, 0, len(raw)) is not None


@thorough
@given(st.text('"\\a{', max_size=30))
def test_a_string_ends_at_the_first_quote_that_is_not_escaped(rest):
    text = ('"' + rest).encode()
    simple = re.match(rb'"(?:[^"\\]|\\.)*"', text)
    found = re.match(STRING, text, re.DOTALL)
    assert (found and found[0]) == (simple and simple[0])


# ------------------------------------------------------------------------------ hashes


def meaning_of(value: Any) -> Any:
    """Return a value that equals another exactly where the JSON values are equal."""
    if isinstance(value, tuple) and value[1] in ("NaN", "-Infinity"):
        return value
    if isinstance(value, tuple):
        return ("number", Decimal(value[1]))
    if isinstance(value, dict):
        return ("object", frozenset((key, meaning_of(member)) for key, member in value.items()))
    if isinstance(value, list):
        return ("list", *map(meaning_of, value))
    return (type(value).__name__, value)


@thorough
@given(values, st.randoms(use_true_random=False))
def test_a_value_has_one_canonical_text_however_it_is_written(value, random):
    raw = as_bytes(value, random)
    again = parsed(raw)
    shuffled = _shuffled(parsed(raw, object_pairs_hook=dict), random)
    assert canonical(raw) == canonical(as_bytes(_writable(again)))
    assert canonical(raw) == canonical(as_bytes(shuffled, random))
    assert canonical(canonical(raw)) == canonical(raw)


def _shuffled(value: Any, random: Random) -> Any:
    if isinstance(value, dict):
        return Pairs(
            sorted(((key, _shuffled(member, random)) for key, member in value.items()), key=lambda _: random.random())
        )
    if isinstance(value, list):
        return [_shuffled(element, random) for element in value]
    return _writable(value)


small_values = st.recursive(
    st.sampled_from(
        ["", "a", "1", "b,c", '"', *(("raw", text) for text in ("0", "-0.0", "1", "1.0", "true", "null", "NaN"))]
    ),
    lambda inner: st.one_of(objects_of(inner), st.lists(inner, max_size=2)),
    max_leaves=3,
)


@thorough
@given(small_values, small_values)
def test_only_equal_values_share_a_canonical_text(one, other):
    raws = as_bytes(one), as_bytes(other)
    one, other = (meaning_of(parsed(raw, object_pairs_hook=dict)) for raw in raws)
    assert (canonical(raws[0]) == canonical(raws[1])) == (one == other)


# ------------------------------------------------------------------------------ projections


@thorough
@given(
    st.dictionaries(st.sampled_from((*NAMES, *ALWAYS_PROJECTED)), st.integers() | st.dictionaries(keys, st.integers())),
    st.lists(st.sampled_from(NAMES), min_size=1, unique=True),
)
def test_projections_here_leave_what_a_server_would_send(event, names):
    raw = json.dumps(event).encode()
    sent = projected(StoredEvent(raw, ""), (*names, *ALWAYS_PROJECTED))
    assert json.loads(Masker(FieldRules.parse(projections=names)).apply(raw)) == json.loads(sent)
