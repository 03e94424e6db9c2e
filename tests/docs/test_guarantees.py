"""The page on guarantees: tests that it names exist, its numbers are the code's."""

from __future__ import annotations

import ast
import importlib
import re
from datetime import timedelta
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_honeyhive import exceptions
from airflow_provider_honeyhive.api.settings import ClientSettings

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "guarantees.md"
GUARANTEES = PAGE.read_text(encoding="utf-8")

TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
#: A name of the package with its number behind it, as texts say it: `api.client.LARGEST_ANSWER` (1,073,741,824 bytes).
VALUE_IN_TEXT = re.compile(r"`([a-z]+(?:\.\w+)+)` \(([\d.,]*\d)")
NUMBER = re.compile(r"[\d,]+(?:\.\d+)?")
LINK = re.compile(r"(?<!!)\[[^\]]+\]\(([^)\s]+)\)")


def tables() -> list[list[list[str]]]:
    """Return the cells of all tables of the page, with their headers."""
    blocks = re.findall(r"(?:^\|.*\n)+", GUARANTEES, re.MULTILINE)
    return [[[cell.strip() for cell in row.strip("|").split("|")] for row in block.splitlines()] for block in blocks]


def rows(first_header: str) -> list[list[str]]:
    """Return the rows of all tables whose first column is called so."""
    return [row for header, _, *body in tables() if header[0] == first_header for row in body]


@cache
def functions_of(file: Path) -> frozenset[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return frozenset(node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef))


def value_of(name: str) -> Any:
    """Return what ``package.module.NAME`` or the default of ``package.module.Class.field`` is; times as seconds."""
    package, module, *path = name.split(".")
    found: Any = importlib.import_module(f"airflow_provider_honeyhive.{package}.{module}")
    for part in path:
        if isinstance(found, type):
            fields = getattr(found, "model_fields", None) or getattr(found, "__dataclass_fields__", {})
            found = fields[part].default
        else:
            found = getattr(found, part)
    return found.total_seconds() if isinstance(found, timedelta) else found


def number(text: str) -> float:
    return float(text.replace(",", ""))


def test_there_are_ten_lines_and_a_table_for_each_kind_of_hazard():
    assert re.findall(r"^(\d+)\. ", GUARANTEES, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert [header[0] for header, *_ in tables()] == ["Hazard"] * 6 + ["Bound"]
    assert all(len(row) == 3 and all(row) for table in tables() for row in table)


@pytest.mark.parametrize(("file", "name"), sorted(set(TEST.findall(GUARANTEES))))
def test_every_test_that_is_named_exists(file, name):
    assert name in functions_of(ROOT / file)


def test_every_hazard_names_tests_and_nothing_else():
    for hazard, _, named in rows("Hazard"):
        assert re.sub(r"[, ]", "", TEST.sub("", named)) == "", hazard
        assert TEST.search(named), hazard


def test_no_hazard_is_told_twice():
    hazards = [row[0] for row in rows("Hazard")]
    assert len(hazards) == len(set(hazards))


@pytest.mark.parametrize(("name", "value"), [(row[1].strip("`"), row[2]) for row in rows("Bound")])
def test_every_bound_is_the_one_in_the_code(name, value):
    assert NUMBER.fullmatch(value)
    assert value_of(name) == number(value)


@pytest.mark.parametrize(("name", "value"), sorted(set(VALUE_IN_TEXT.findall(GUARANTEES))))
def test_every_number_behind_a_name_is_the_one_in_the_code(name, value):
    assert value_of(name) == number(value)


def test_numbers_in_words_are_those_of_the_code():
    assert "read again, three times in all" in GUARANTEES
    assert value_of("reading.pagination.READ_ATTEMPTS") == 3
    assert "staged less than a day ago" in GUARANTEES
    assert value_of("export.checkpoint.LONGEST_AGE") == 86_400
    assert "and for an hour" in GUARANTEES
    assert value_of("export.publish.LOCK_S") == 3_600
    assert "up to a minute" in GUARANTEES
    assert value_of("api.retries.LONGEST_WAIT_S") == 60
    settings = ClientSettings.parse(api_key="hh_x")
    assert f"by default {(settings.max_retries + 1) * settings.timeout:,.0f} s" in GUARANTEES


def test_every_error_and_setting_that_is_named_exists():
    named = set(re.findall(r"`(\w+Error)`", GUARANTEES))
    assert named
    assert named <= set(vars(exceptions))
    tests = "".join(
        path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("*.py") if path != Path(__file__)
    )
    assert all(variable in tests for variable in re.findall(r"`(HONEYHIVE_\w+)`", GUARANTEES))


def test_readme_and_page_know_each_other():
    assert "docs/guarantees.md" in LINK.findall((ROOT / "README.md").read_text(encoding="utf-8"))
    assert "../README.md" in LINK.findall(GUARANTEES)
