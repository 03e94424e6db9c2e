"""What a file holds is checked as a whole before any of it is used; what does not fit is one kind of error."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.export.recovery import Commit
from airflow_provider_honeyhive.export.staging_records import Plan, SliceCheckpoint
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import LARGEST_FILE, LONGEST_NAME, choose_layout, name_problem
from airflow_provider_honeyhive.models.stored import (
    Count,
    FileName,
    Instant,
    Micros,
    Sha256,
    StoredFile,
    StoredModel,
    TimeText,
)

from ..property_settings import thoroughly


class Inner(StoredModel):
    """A part of a file."""

    count: Count = 0


class Everything(StoredFile):
    """A file with a member of each type."""

    KIND: ClassVar[str] = "thing"
    VERSION: ClassVar[int] = 3
    HAS_CHECKSUM: ClassVar[bool] = True

    count: Count = 0
    micros: Micros = 0
    instant: Instant = datetime(2026, 1, 1, tzinfo=UTC)
    text: TimeText = "2026-01-01T00:00:00.000Z"
    sha256: Sha256 = "0" * 64
    name: FileName = "a"
    flag: bool = False
    said: str | None = None
    inner: list[Inner] = []


def load(**facts: Any) -> Everything:
    return Everything.load(json.dumps(facts).encode(), "s3://bucket/here")


@pytest.mark.parametrize("said", ["text", "\ud83d", "\u202e", "e\u0301", "x" * 10_000])
def test_what_was_written_is_read(said):
    there = Everything(count=2**63 - 1, micros=-1, name="event_type=a%2Fb é/part.jsonl", said=said, inner=[Inner()])
    data = there.to_json()
    assert Everything.load(data, "here") == there
    assert json.loads(data)["version"] == 3


@pytest.mark.parametrize("version", [None, 1, 2, 3])
def test_each_version_up_to_the_present_is_read_and_none_is_the_first(version):
    assert load(count=5, **({} if version is None else {"version": version})).count == 5


@pytest.mark.parametrize("version", [4, 10**300])
def test_a_newer_version_is_told_as_such_whatever_else_is_in_the_file(version):
    with pytest.raises(DestinationTakenError) as caught:
        load(version=version, count="of another kind")
    assert str(caught.value).startswith("the thing was written by a newer version of this provider: update it\n")
    assert "s3://bucket/here" in str(caught.value)
    assert not caught.value.retryable


def test_of_a_file_that_is_not_ours_no_version_is_told():
    class Marked(Everything):
        MARKS: ClassVar[frozenset[str]] = frozenset({"ours"})

    for facts, error in (({"version": 9}, DestinationError), ({"version": 9, "ours": 1}, DestinationTakenError)):
        with pytest.raises(DestinationError) as caught:
            Marked.load(json.dumps({**facts, "count": -1}).encode(), "here")
        assert type(caught.value) is error


@pytest.mark.parametrize(
    "facts",
    [
        *({"version": version} for version in (0, -1, "1", 1.0, True, None, [])),
        *({"count": count} for count in (-1, 2**63, 10**400, 1.0, 1e308, "1", True, None, [], {})),
        *({"micros": micros} for micros in (-(10**18), 10**18, 10**400, 0.5, "0", False)),
        *({"inner": inner} for inner in (None, {}, "", [1], [[]], [{"count": "1"}], [{"count": 10**400}])),
        *({"flag": flag} for flag in (0, 1, "true", None)),
        *({"said": said} for said in (0, False, [], {})),
        *(
            {"sha256": digest}
            for digest in ("", "0" * 63, "0" * 65, "G" * 64, "A" * 64, "0" * 64 + "\n", "../" * 21, 0)
        ),
    ],
    ids=lambda facts: json.dumps(facts)[:40],
)
def test_no_type_stands_for_another_and_numbers_have_bounds(facts):
    with pytest.raises(DestinationError, match="^s3://bucket/here is not a thing of this provider: "):
        load(**facts)


@pytest.mark.parametrize("field", ["instant", "text"])
@pytest.mark.parametrize(
    "time",
    [
        *(0, 1_773_000_000, True, None, "", "soon", "2026-01-01", "2026-01-01T00:00:00", "2026-13-01T00:00:00Z"),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "10000-01-01T00:00:00Z", "1e400"),
        *("2026-01-01T00:00:00Z" + " " * 100, "2026-01-01T00:00:00.\ud83dZ"),
    ],
)
def test_a_time_is_iso_8601_with_a_zone(field, time):
    with pytest.raises(DestinationError, match=f"^s3://bucket/here is not a thing of this provider: {field}: "):
        load(**{field: time})


def test_equal_times_are_equal_texts():
    for text in ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "20260101T000000.000Z"):
        assert load(text=text).text == "2026-01-01T00:00:00.000Z"
        assert load(instant=text).instant == datetime(2026, 1, 1, tzinfo=UTC)


NAMES = [
    *("", ".", "..", "/", "/etc/passwd", "../x", "a/../b", "a/..", "a//b", "a/", "./a", "a/./b", "..\\x", "C:\\x"),
    *("a\0b", "a\nb", "\x1b[31ma", "a\x7f", "a\x85b", "a\u202eb", "a\u2066b", "a\u2028b", "\ud83d", "x" * 1_025),
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_of_a_file_below_its_folder(name):
    with pytest.raises(DestinationError, match="not a thing of this provider: name: "):
        load(name=name)


@pytest.mark.parametrize("name", ["a\nb", "a\x1bb", "a\u202eb", "a\\b", "x" * LONGEST_NAME])
def test_an_object_whose_name_no_manifest_could_say_is_refused_before_the_export(name):
    with pytest.raises(InvalidArgumentError, match="output_path"):
        choose_layout(f"/data/{name}.jsonl")


@pytest.mark.parametrize(
    "name",
    ["...", "..a", "a..", "a b", "ü/日本\u3000語.jsonl", "👩\u200d💻.csv", "event_type=%2E%2E/a", "x" * LONGEST_NAME],
)
def test_all_other_characters_may_be_in_a_name(name):
    assert name_problem(name) is None
    assert load(name=name).name == name


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b" ", b"null", b"[]", b"1", b'"a"', b"{", b"{}{}", b'{"count": 1', b"\xff", b"\xfe\xff", b"\x00" * 9),
        *(b'{"count": NaN}', b'{"count": Infinity}', b'{"said": NaN}', b'{"other": -Infinity}'),
        *(b'{"count": ' + b"1" * 5_000 + b"}", b'{"other": ' + b"1" * 5_000 + b"}"),
        *(b"[" * 500_000, b'{"a":' * 500_000, b'{"inner":' + b"[" * 900 + b"]" * 900 + b"}"),
        b'{"a": "\n"}',
    ],
    ids=lambda data: repr(data[:20]),
)
def test_bytes_that_are_no_object_are_the_same_error(data):
    with pytest.raises(DestinationError, match="^here is not a thing of this provider: ") as caught:
        Everything.load(data, "here")
    assert len(str(caught.value)) < 200


def test_what_can_just_be_parsed_may_be_too_deep_for_its_checksum():
    for depth in range(sys.getrecursionlimit() - 300, sys.getrecursionlimit()):
        with pytest.raises(DestinationError, match="^here is not a thing of this provider: "):
            Everything.load(b'{"checksum": "", "other": ' + b"[" * depth + b"]" * depth + b"}", "here")


def test_what_is_larger_than_a_file_may_be_is_not_parsed():
    with pytest.raises(DestinationError, match="it has 67,108,865 bytes, allowed: 67,108,864"):
        Everything.load(bytes(LARGEST_FILE + 1), "here")


def test_no_content_is_in_an_error():
    for facts in (
        {"count": "hh_secret"},
        {"hh_secret": 1, "count": -1},
        {"text": "hh_secret"},
        {"version": "hh_secret"},
    ):
        with pytest.raises(DestinationError) as caught:
            load(**facts)
        assert "hh_secret" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_a_checksum_may_be_left_out_but_not_be_another_one():
    facts = json.loads(Everything(count=5).to_json())
    for checksum in ("0" * 64, "", None, 5, []):
        with pytest.raises(DestinationError, match="its checksum is another one"):
            load(**facts | {"checksum": checksum})
    with pytest.raises(DestinationError, match="its checksum is another one"):
        load(**facts | {"count": 6})
    del facts["checksum"]
    assert load(**facts | {"count": 6}).count == 6


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists))
@thoroughly(300)
def test_whatever_a_member_is_the_file_is_read_or_refused(value):
    for name in (*Everything.model_fields, "version", "checksum", "other"):
        try:
            load(**{name: value})
        except DestinationError:
            continue


@pytest.mark.parametrize("kind", [Manifest, SliceCheckpoint, Plan, Commit])
def test_of_many_wrong_entries_the_first_is_told(kind):
    lists = {name: [0.5] * 1_000 for name, field in kind.model_fields.items() if "FailFast" in repr(field.metadata)}
    assert lists
    with pytest.raises(ValidationError) as caught:
        kind.model_validate(lists)
    assert caught.value.error_count() <= len(kind.model_fields)
