"""The page on personal data: its table is the code's, and its rules do to recorded events what it says."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

import pytest

from airflow_provider_honeyhive.cli import main as cli
from airflow_provider_honeyhive.events.masking import Masker
from airflow_provider_honeyhive.models.content import (
    LONGEST_ID,
    LONGEST_KEY,
    LONGEST_NAME,
    NAMED_BY_EVALUATORS,
    TABLE,
    is_id,
    is_key,
)
from airflow_provider_honeyhive.models.fields import FieldRules
from tests.unit.said import SESSION, SHAPES, Speaker, heard

from .documents import Document, code, codes, run_python

PAGE = Document("docs/personal-data.md")
PROSE = " ".join(PAGE.prose.split())
SECRET = "a-long-random-secret"


def applied(event: dict[str, Any], **rules: Any) -> dict[str, Any]:
    left: dict[str, Any] = json.loads(Masker(FieldRules.parse(**rules)).apply(json.dumps(event).encode()))
    return left


def test_the_table_is_that_of_the_code():
    told = {}
    for treatment, *cells in PAGE.table("A text there is"):
        of_the_event, in_metadata, in_both = map(codes, cells)
        paths = [*of_the_event, *(f"metadata.{path}" for path in in_metadata + in_both)]
        told |= dict.fromkeys([*paths, *(f"config.{path}" for path in in_both)], treatment)
    assert told == {path: str(treatment) for path, (treatment, _) in TABLE.items()}


@pytest.mark.parametrize("row", PAGE.table("Event", "Left"), ids=lambda row: row[0])
def test_of_an_event_is_left_what_the_table_says(row):
    event, left = map(code, row)
    assert Masker(FieldRules(include_content=False)).apply(event.encode()).decode() == left


def test_operator_hook_and_command_take_it():
    from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

    functions = (inspect.unwrap(HoneyHiveExportEventsOperator.__init__), HoneyHiveHook.export_events)
    for function in (*functions, HoneyHiveHook.iter_events):
        assert inspect.signature(function).parameters["include_content"].default is True
    words = ["export", "--start", "x", "--end", "x", "--output", "x"]
    assert cli.build_parser().parse_args(words).include_content is True
    assert cli.build_parser().parse_args([*words, "--no-content"]).include_content is False


def test_its_numbers_and_characters_are_those_of_the_code():
    assert f"at most {LONGEST_ID} characters: letters, digits and `- _ . : / @`" in PROSE
    assert f"at most {LONGEST_NAME} printable characters" in PROSE
    assert f"at most {LONGEST_KEY} letters, digits and `_ - . :`" in PROSE
    named = " and ".join(f"`{name}`" for name in NAMED_BY_EVALUATORS)
    assert f"The keys directly in {named} are names of evaluators, of at most {LONGEST_KEY} characters" in PROSE
    assert is_id("Az09-_.:/@")
    assert not any(map(is_id, ("a b", "é", "", "a|b")))
    assert is_key("Az09_-.:", named=False)
    assert not is_key("a/b", named=False)


@pytest.mark.parametrize("secret", [None, SECRET])
def test_nothing_that_was_said_is_left_of_any_shape(secret):
    for everywhere in (False, True):
        speaker = Speaker(everywhere=everywhere)
        for number, shape in enumerate(SHAPES):
            event = speaker.event(shape, number, 1_760_000_000_000_000)
            assert heard(json.dumps(event).encode())
            assert not heard(json.dumps(applied(event, include_content=False, redact_secret=secret)).encode())


def test_of_a_recorded_event_every_number_is_left():
    for shape in SHAPES:
        left = json.dumps(applied(shape, include_content=False))
        kept = json.dumps(shape, ensure_ascii=False)
        numbers = re.findall(r"(?<=[:\[,] )(?:-?\d[\d.e-]*|true|false)(?=[,}\]])", kept)
        assert [one for one in numbers if one not in left] == []


def test_a_session_joins_by_its_hash_and_its_first_event_shows_its_id():
    events = [applied(shape, include_content=False, redact_secret=SECRET) for shape in SHAPES]
    assert len({event["session_id"] for event in events}) == 1
    assert events[0]["session_id"].startswith("hh_redacted:")
    assert events[1]["event_id"] == events[0]["parent_id"] == SESSION
    assert all("session_id" not in applied(shape, include_content=False) for shape in SHAPES)


def test_what_is_redacted_stays_as_its_hash():
    left = applied(SHAPES[1], include_content=False, redact=["user_properties.email"], redact_secret=SECRET)
    assert left["user_properties"]["email"].startswith("hh_redacted:")


def test_a_key_of_one_word_stays_and_so_does_a_name_that_is_a_persons():
    event = {"scores": {"Ada": 1}, "event_name": "Ada Lovelace", "phone": 15112345}
    assert applied(event, include_content=False) == event
    assert applied(event, include_content=False, exclude_fields=["phone"]).keys() == {"scores", "event_name"}


def test_the_rules_for_single_fields_are_right_on_recorded_events():
    text = PAGE.the("python", "exclude_fields=")
    lists = dict(re.findall(r"(exclude_fields|redact)=(\[.*?\])", text, re.DOTALL))
    rules = {name: json.loads(re.sub(r",\s*\]", "]", value)) for name, value in lists.items()}
    left = [applied(shape, **rules, redact_secret=SECRET) for shape in SHAPES]
    texts = json.dumps(left)
    for said in ("Ada", "ada@example.com", "Hello", "Thanks", "stated", "Friendly", "Answer", "google-oauth2", "u-17"):
        assert said in json.dumps(SHAPES)
        assert said not in texts
    # What is not named stays.
    assert "a field of tomorrow" in texts
    assert left[2]["metadata"]["gen_ai"] == {"request": {"model": "m", "temperature": 0.2}}
    # Without the rule for metadata the conversation stays.
    assert "I am Ada" in json.dumps(applied(SHAPES[2], exclude_fields=["inputs", "outputs"]))


def test_the_tasks_of_the_page_are_accepted():
    from airflow.providers.common.compat.sdk import DAG

    with DAG("personal_data", schedule=None) as dag:
        run_python(PAGE.the("python", "include_content=False"))
    (task,) = dag.tasks
    assert task.include_content is False
    run_python(PAGE.the("python", "exclude_fields="))
