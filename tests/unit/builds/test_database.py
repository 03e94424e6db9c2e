"""The database of a build: nothing but its own files, little memory, and errors that show nothing of events."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.builds import database
from airflow_provider_honeyhive.builds.database import open_events, scratch
from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.exceptions import DestinationError, ExportStoppedError, InvalidArgumentError
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES

from .made import event, make_export, rows_of

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_honeyhive.builds.sources import Sources


@pytest.fixture
def sources(tmp_path: Path) -> Sources:
    """Give an export of a hundred events whose texts are secrets."""
    events = [event(f"e{number}", event_name=f"secret {number}") for number in range(100)]
    return export_sources(make_export(tmp_path / "export's", events))


def test_the_columns_are_those_of_parquet_exports_and_two_more(sources: Sources) -> None:
    with open_events(sources) as connection:
        found = {name: kind for name, kind, *_ in connection.execute("DESCRIBE exported").fetchall()}
    assert list(found) == [*COLUMN_NAMES, "place", "export_number"]
    others = {
        "start_time": "TIMESTAMP WITH TIME ZONE",
        "end_time": "TIMESTAMP WITH TIME ZONE",
        "duration": "DOUBLE",
        "children_ids": "VARCHAR[]",
        "place": "BIGINT",
        "export_number": "INTEGER",
    }
    assert found == dict.fromkeys(COLUMN_NAMES, "VARCHAR") | others


def test_what_is_built_goes_into_a_folder_that_ends_with_the_connection(sources: Sources, tmp_path: Path) -> None:
    (tmp_path / "temp").mkdir()
    with open_events(sources, temp_folder=tmp_path / "temp") as connection:
        folder = scratch(connection)
        assert folder.is_relative_to(tmp_path / "temp")
        assert list(folder.iterdir()) == []
        (folder / "table").mkdir()
        for name in ("a.parquet", "table/b.parquet"):
            connection.execute(f"COPY (FROM exported ORDER BY place) TO '{folder}/{name}' (FORMAT parquet)")
        assert connection.execute(f"SELECT count(*) FROM '{folder}/*.parquet'").fetchall() == [(100,)]
    assert list((tmp_path / "temp").iterdir()) == []


def test_times_are_in_utc_also_for_a_cursor(sources: Sources, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "America/New_York")
    with open_events(sources) as connection:
        for one in (connection, connection.cursor()):
            assert one.execute("SELECT DISTINCT start_time::VARCHAR FROM exported").fetchall() == [
                ("2026-11-22 00:00:00+00",)
            ]


@pytest.mark.parametrize(
    "statement",
    [
        "FROM read_csv('/etc/passwd')",
        "FROM read_text('{outside}')",
        "COPY (SELECT 1) TO '{outside}'",
        "ATTACH '{outside}' AS other",
        "INSTALL httpfs",
        "LOAD httpfs",
        "FROM 'https://honeyhive.test/a.parquet'",
        "SET enable_external_access = true",
        "SET memory_limit = '100GB'",
        "SET autoinstall_known_extensions = true",
    ],
)
def test_sql_reaches_nothing_else_on_this_machine_and_no_network(
    sources: Sources, tmp_path: Path, statement: str
) -> None:
    outside = tmp_path / "outside.csv"
    outside.write_text("a\n1\n")
    with (
        pytest.raises(DestinationError) as raised,
        open_events(sources) as connection,
    ):
        connection.execute(statement.format(outside=outside))
    assert any(name in str(raised.value) for name in ("Permission", "InvalidInput", "Catalog", "Binder", "IOExc"))
    assert outside.read_text() == "a\n1\n"


def test_an_error_of_duckdb_shows_nothing_of_events(sources: Sources) -> None:
    with pytest.raises(DestinationError) as raised, open_events(sources) as connection:
        connection.execute("SELECT event_name::INTEGER FROM exported").fetchall()
    assert "ConversionException" in str(raised.value)
    assert "secret" not in str(raised.value)
    assert raised.value.__suppress_context__


def test_errors_of_others_inside_stay_what_they_are(sources: Sources) -> None:
    with pytest.raises(KeyError), open_events(sources):
        raise KeyError("mine")


def test_too_little_memory_says_what_to_raise(sources: Sources) -> None:
    with (
        pytest.raises(DestinationError, match="raise memory_limit"),
        open_events(sources, memory_limit="20MB") as connection,
    ):
        connection.execute("SELECT list(repeat('x', 1000000)) FROM range(1000)").fetchall()


@pytest.mark.parametrize("limit", ["", "much", "1", "80%", "-1GB", 10**9, None, "1GB'; SELECT 1"])
def test_a_limit_that_is_none_is_refused(sources: Sources, limit: Any) -> None:
    with pytest.raises(InvalidArgumentError, match="^memory_limit: "), open_events(sources, memory_limit=limit):
        pytest.fail("it was opened")


@pytest.mark.parametrize("limit", ["500MB", "1 GB", "1.5GiB", " 2gb "])
def test_a_limit_can_be_written_in_several_ways(sources: Sources, limit: str) -> None:
    with open_events(sources, memory_limit=limit) as connection:
        assert connection.execute("SELECT count(*) FROM exported").fetchall() == [(100,)]


@pytest.mark.parametrize(("limit", "threads"), [("300MB", 1), ("0.5GB", 2), ("1TB", 3)])
def test_each_thread_has_enough_memory(
    sources: Sources, monkeypatch: pytest.MonkeyPatch, limit: str, threads: int
) -> None:
    config = database._config
    monkeypatch.setattr(database, "_config", lambda *args: config(*args) | {"threads": 3})
    with open_events(sources, memory_limit=limit) as connection:
        assert connection.execute("SELECT current_setting('threads')").fetchall() == [(threads,)]


def test_a_temporary_folder_that_is_not_there_is_refused(sources: Sources, tmp_path: Path) -> None:
    with pytest.raises(InvalidArgumentError, match="^temp_folder: "), open_events(sources, temp_folder=tmp_path / "no"):
        pytest.fail("it was opened")


@pytest.mark.parametrize("missing", ["duckdb", "pyarrow"])
def test_without_its_libraries_a_build_says_what_to_install(missing: str) -> None:
    code = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from airflow_provider_honeyhive.builds.database import open_events\n"
        "from airflow_provider_honeyhive.builds.sources import Sources\n"
        "with open_events(Sources((), None)): pass"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert f"a build needs {missing}: install airflow-provider-honeyhive[tables]" in done.stderr


def test_nothing_heavy_is_imported_before_a_build_begins() -> None:
    code = (
        "import sys, airflow_provider_honeyhive.builds.database\n"
        "print({'duckdb', 'pyarrow', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_places_do_not_depend_on_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    events = [event(f"e{number % 90}", event_name=str(number)) for number in range(100)]
    found = []
    for name, threads in (("a", 1), ("b", 4)):
        config = database._config
        with monkeypatch.context() as patch:
            patch.setattr(
                database, "_config", lambda *args, config=config, threads=threads: config(*args) | {"threads": threads}
            )
            found.append(rows_of(export_sources(make_export(tmp_path / name, events, files=5)), "place, event_name"))
    assert found[0] == found[1]
    assert len(found[0]) == 90


# ------------------------------------------------------------------------------------------------------------ stop


def test_a_stop_ends_a_statement(sources: Sources) -> None:
    stop = BuildStop()
    threading.Timer(0.2, stop.stop).start()
    begin = time.monotonic()
    with pytest.raises(ExportStoppedError, match="the build was stopped"), open_events(sources, stop=stop) as found:
        found.execute("SELECT count(*) FROM range(1000000000000) a, range(1000000) b WHERE a.range % 7 = b.range")
    assert time.monotonic() - begin < 60


def test_a_stop_between_two_statements_ends_the_next(sources: Sources) -> None:
    stop = BuildStop()

    def build() -> None:
        with open_events(sources, stop=stop) as connection:
            stop.stop()
            time.sleep(0.3)
            for _ in range(10_000):
                connection.execute("SELECT count(*) FROM range(10000000)").fetchall()

    with pytest.raises(ExportStoppedError):
        build()


@pytest.mark.parametrize("kind", ["parquet", "jsonl"])
def test_a_stop_ends_the_reading_of_files(tmp_path: Path, kind: str) -> None:
    stop = BuildStop()
    stop.stop()
    manifest = make_export(tmp_path / "out", [event("a")], kind=kind)
    (tmp_path / "temp").mkdir()
    with (
        pytest.raises(ExportStoppedError, match="the build was stopped"),
        open_events(export_sources(manifest), temp_folder=tmp_path / "temp", stop=stop),
    ):
        pytest.fail("it was opened")
    assert list((tmp_path / "temp").iterdir()) == []


@pytest.mark.parametrize("name", ["event_type=model", "it's", "a b", "[a]*", "ü", "%s", "{0}"])
def test_a_temporary_folder_may_have_any_name(sources: Sources, tmp_path: Path, name: str) -> None:
    (tmp_path / name).mkdir()
    with open_events(sources, temp_folder=tmp_path / name) as connection:
        found = connection.execute("SELECT count(*), count(event_type) FROM exported").fetchall()
        connection.execute(f"COPY (SELECT 1) TO '{str(scratch(connection)).replace(chr(39), chr(39) * 2)}/a.parquet'")
    assert found == [(100, 0)]
