"""Whatever an event holds and however it is written: exactly what the rules name goes, and not a byte more.

Two references of their own making say what must come out: one on parsed events, one that splices the text.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple
from unittest.mock import patch

from hypothesis import assume, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.events import masking
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


#: Indexes of elements, and what looks like one.
INDEXES = ("0", "1", "2")
keys = st.one_of(
    st.sampled_from((*NAMES, *INDEXES, "00", "²", "event_id")),
    st.lists(st.sampled_from((*NAMES, *INDEXES, "")), min_size=2, max_size=4).map(".".join),
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
paths = st.lists(st.sampled_from((*NAMES, *INDEXES)), min_size=1, max_size=4).map(".".join)


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


def leads(path: Sequence[str], trail: Sequence[str], *, below_the_field: bool = False) -> bool:
    """Say whether a path leads to the value at the end of a trail, or to one on the way."""
    if not path or not trail:
        return not path
    if path[0] == trail[0] and leads(path[1:], trail[1:], below_the_field=True):
        return True
    is_left_out = below_the_field and re.fullmatch("[0-9]+", trail[0]) is not None
    return is_left_out and leads(path, trail[1:], below_the_field=True)


class Wanted(NamedTuple):
    """Rules, and the names on the way to a value.

    :param trail: pieces of keys, and indexes of elements.
    """

    exclude: tuple[tuple[str, ...], ...]
    redact: tuple[tuple[str, ...], ...]
    kept: frozenset[str] | None = None
    trail: tuple[str, ...] = ()

    def below(self, key: str | int) -> Wanted | str:
        """Return what holds of a member or an element: its rules, or what happens to it."""
        if self.kept is not None and not self.trail and key not in self.kept:
            return "exclude"
        trail = (*self.trail, *str(key).split("."))
        for action in ("exclude", "redact"):
            if any(leads(path, trail) for path in getattr(self, action)):
                return action
        return self._replace(trail=trail)

    def inside(self, value: Any) -> list[tuple[Any, Wanted | str]]:
        """Return what is in an object or a list, and what holds of it."""
        if isinstance(value, Pairs):
            return [(pair, self.below(pair[0])) for pair in value]
        return [(element, self.below(index)) for index, element in enumerate(value)]


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


def expected_of(value: Any, wanted: Wanted | str) -> Any:
    """Say what must be left of a parsed value."""
    if isinstance(wanted, str):
        return value if value is None else hash_of(as_bytes(writable(value)))
    if not isinstance(value, list):
        return value
    left = [(inner, rule) for inner, rule in wanted.inside(value) if rule != "exclude"]
    if isinstance(value, Pairs):
        return Pairs((key, expected_of(member, rule)) for (key, member), rule in left)
    return [expected_of(element, rule) for element, rule in left]


def writable(value: Any) -> Any:
    if isinstance(value, Pairs):
        return Pairs((key, writable(member)) for key, member in value)
    if isinstance(value, list):
        return [writable(element) for element in value]
    return ("raw", json.dumps(value)) if value is None or isinstance(value, bool) else value


@thorough
@given(written_events(), rules_and_meaning())
def test_what_is_left_is_what_a_parser_would_leave(raw, rules_and_wanted):
    rules, wanted = rules_and_wanted
    assert parsed(Masker(rules).apply(raw)) == expected_of(parsed(raw), wanted)


# ------------------------------------------------------------------------------ bytes


class Span(NamedTuple):
    """A value, and where it is.

    :param inside: of an object and of a list: key or index, where that begins, value.
    """

    start: int
    end: int
    inside: Sequence[tuple[str | int, int, Span]] = ()


def spans_of(text: str, at: int) -> Span:
    """Read one value after the other, character by character."""
    decoder = json.JSONDecoder(strict=False)
    if text[at] not in "{[":
        return Span(at, decoder.raw_decode(text, at)[1])
    start, is_object = at, text[at] == "{"
    inside: list[tuple[str | int, int, Span]] = []
    at = _past_space(text, at + 1)
    while text[at] not in "}]":
        if is_object:
            key, key_end = decoder.raw_decode(text, at)
            value = spans_of(text, _past_space(text, _past_space(text, key_end) + 1))
            inside.append((key, at, value))
        else:
            value = spans_of(text, at)
            inside.append((len(inside), at, value))
        at = _past_space(text, value.end)
        if text[at] == ",":
            at = _past_space(text, at + 1)
    return Span(start, at + 1, inside)


def _past_space(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def spliced(text: str, span: Span, wanted: Wanted | str) -> str:
    """Return the text of a value after the rules: each kept member or element with what stood before it."""
    own = text[span.start : span.end]
    if isinstance(wanted, str):
        return own if own == "null" else json.dumps(hash_of(own.encode("utf-8", "surrogateescape")))
    if not span.inside:
        return own
    pieces, before, last_end = [], text[span.start + 1 : span.inside[0][1]], span.start
    for key, start, value in span.inside:
        rule = wanted.below(key)
        if rule != "exclude":
            pieces.append(before if not pieces else text[last_end:start])
            pieces.append(text[start : value.start] + spliced(text, value, rule))
        last_end = value.end
    return own[0] + ("".join(pieces) or before) + text[last_end : span.end]


@thorough
@given(written_events(), rules_and_meaning(), st.integers(0, 2))
def test_every_other_byte_is_as_it_was(raw, rules_and_wanted, quick_levels):
    rules, wanted = rules_and_wanted
    text = raw.decode("utf-8", "surrogateescape")
    with patch.object(masking, "QUICK_LEVELS", quick_levels):
        left = Masker(rules).apply(raw)
    assert left == spliced(text, spans_of(text, 0), wanted).encode("utf-8", "surrogateescape")


@thorough
@given(st.lists(written_events(), max_size=6), rules_and_meaning(), st.integers(1, 8))
def test_what_is_known_of_keys_may_be_forgotten_at_any_time(raw_events, rules_and_wanted, most):
    rules, _ = rules_and_wanted
    with patch.object(masking, "MOST_STEPS", most):
        forgetful = Masker(rules)
        assert list(map(forgetful.apply, raw_events)) == [Masker(rules).apply(raw) for raw in raw_events]


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
    assert left == set(marks.findall(as_bytes(writable(expected_of(event, wanted)))))


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
    assert canonical(raw) == canonical(as_bytes(writable(again)))
    assert canonical(raw) == canonical(as_bytes(shuffled, random))
    assert canonical(canonical(raw)) == canonical(raw)


def _shuffled(value: Any, random: Random) -> Any:
    if isinstance(value, dict):
        return Pairs(
            sorted(((key, _shuffled(member, random)) for key, member in value.items()), key=lambda _: random.random())
        )
    if isinstance(value, list):
        return [_shuffled(element, random) for element in value]
    return writable(value)


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
