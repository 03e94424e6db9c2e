"""A condition is one expression over the candidates, whatever somebody writes, and its errors show no event."""

from __future__ import annotations

import traceback
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.builds.database import open_events
from airflow_provider_honeyhive.dataset.candidates import choose, create_candidates
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.tables.build import create_tables
from airflow_provider_honeyhive.tables.columns import TABLES
from tests.unit.dataset.conftest import DAY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SECRET = "Zanzibar"


@pytest.fixture
def connection(exported: Any) -> Iterator[Any]:
    events = [
        {
            "event_id": f"e{number}",
            "session_id": "s",
            "event_type": "model",
            "inputs": {"question": SECRET},
            "outputs": {"answer": SECRET},
            "config": {"model": f"model {SECRET} {number}"},
            "metadata": {"text": SECRET},
            "start_time": int((DAY.start + timedelta(seconds=number)).timestamp() * 1000),
        }
        for number in range(3)
    ]
    with open_events(exported(events)) as connection:
        create_tables(connection, only=("model_calls", "scores", "roots"))
        create_candidates(connection, last_of_session=False)
        yield connection


def chosen(connection: Any, where: str | None) -> list[str]:
    choose(connection, where)
    found = connection.execute("SELECT event_id FROM chosen JOIN calls USING (place) ORDER BY event_id").fetchall()
    return [event_id for (event_id,) in found]


def test_all_columns_of_model_calls_and_more_can_be_spoken_of(connection: Any) -> None:
    names = {row[0] for row in connection.execute("DESCRIBE candidates").fetchall()}
    told = {column.name for column in TABLES["model_calls"]}
    assert names - {"place", "export_number"} == told | {
        "config",
        "metadata",
        "user_properties",
        "scores",
        "score_texts",
    }
    kinds = dict(connection.execute("SELECT column_name, column_type FROM (DESCRIBE candidates)").fetchall())
    assert kinds["scores"] == "MAP(VARCHAR, DOUBLE)"
    assert kinds["score_texts"] == "MAP(VARCHAR, VARCHAR)"
    assert {kinds[name] for name in ("config", "metadata", "user_properties")} == {"JSON"}


def test_a_condition(connection: Any) -> None:
    for where, ids in {
        None: ["e0", "e1", "e2"],
        "true": ["e0", "e1", "e2"],
        "event_id = 'e1' -- a comment": ["e1"],
        "event_id = 'e1' /* ) */ OR\n event_id = 'e2'": ["e1", "e2"],
        "false OR true": ["e0", "e1", "e2"],
        "NULL": [],
        "scores['no such'] > 1": [],
        "model LIKE '%;%' OR model LIKE '% 2'": ["e2"],
        "(metadata->>'$.text') = 'Zanzibar' AND (config->>'$.model') LIKE '%0'": ["e0"],
        "start_time >= TIMESTAMPTZ '2026-11-22 00:00:02Z'": ["e2"],
        "start_time = (SELECT max(start_time) FROM candidates)": ["e2"],
    }.items():
        assert chosen(connection, where) == ids, where


REFUSED = [
    "true; DROP TABLE calls",
    "true; SELECT 1",
    "true;",
    ";",
    "--",
    "true ORDER BY 1",
    "true LIMIT 1",
    "true UNION SELECT 1",
    "true) UNION (SELECT 1",
    "true) OR (true",
    "true GROUP BY ALL",
    "true QUALIFY true",
    "true WINDOW w AS ()",
    "true /*",
    "true\0; DROP TABLE calls",
    "COPY calls TO '/tmp/stolen'",
    "ATTACH '/tmp/other.db'",
    "DROP TABLE calls",
    "SELECT 1",
    "count(*) > 1",
    "no_such_column = 1",
    "no_such_function(model)",
    "model = ?",
    "model = $1",
    "EXISTS (FROM read_csv('/etc/passwd'))",
    "EXISTS (FROM read_text('/etc/passwd'))",
    "EXISTS (FROM '/etc/passwd')",
    "EXISTS (FROM glob('/etc/*'))",
    "EXISTS (FROM read_parquet('https://example.com/a.parquet'))",
    "EXISTS (FROM sqlite_scan('/etc/passwd', 'a'))",
    "EXISTS (FROM query('COPY calls TO ''/tmp/stolen'''))",
    "EXISTS (COPY calls TO '/tmp/stolen')",
    "(INSERT INTO calls SELECT 1)",
    "getenv('HOME') = 'x'",
    "model = 'x', true",
    "model AS x",
]


def test_what_is_no_condition_is_refused(connection: Any) -> None:
    for where in REFUSED:
        assert_refused(connection, where)
    assert connection.execute("SELECT count(*) FROM calls").fetchall() == [(3,)]


def test_a_condition_that_fails_shows_no_value_of_an_event(connection: Any) -> None:
    for where in (
        "model::INTEGER > 1",
        "(metadata->>'$.text')::DOUBLE > 1",
        "CAST(model AS TIMESTAMPTZ) > now()",
        "error(model)",
        "CASE WHEN model IS NOT NULL THEN error(metadata->>'$.text') ELSE true END",
        "regexp_matches('a', model || '(')",
        "strptime(model, '%Y') IS NULL",
    ):
        assert_refused(connection, where)


def assert_refused(connection: Any, where: str) -> None:
    with pytest.raises(InvalidArgumentError, match="^where: ") as caught:
        choose(connection, where)
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_a_condition_that_reads_elsewhere_while_it_runs_is_refused(connection: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="it may read nothing but what the build has made"):
        choose(connection, "EXISTS (FROM sniff_csv('/etc/passwd'))")


def test_the_error_lists_no_functions(connection: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="No function matches") as caught:
        choose(connection, "model + 1 > 0")
    assert "Candidate functions" not in str(caught.value)


def test_the_error_says_what_duckdb_says(connection: Any) -> None:
    with pytest.raises(InvalidArgumentError) as caught:
        choose(connection, "modell = 'x'")
    first, *facts = caught.value.lines
    assert first == "where: got \"modell = 'x'\"; allowed: one SQL condition over candidates"
    assert any('"modell" not found' in fact and '"model"' in fact for fact in facts)


def test_nothing_was_written_by_conditions(connection: Any, tmp_path: Path) -> None:
    target = tmp_path / "stolen"
    for where in (f"COPY calls TO '{target}'", f"EXISTS (FROM query('COPY calls TO ''{target}'''))"):
        with pytest.raises(InvalidArgumentError):
            choose(connection, where)
    assert not target.exists()
