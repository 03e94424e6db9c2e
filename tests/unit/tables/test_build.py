"""The tables as a whole: their columns, and that the same events always give the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime
from errno import ENOSPC
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock

import pytest
from pyarrow import parquet

from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.builds.database import open_events, scratch
from airflow_provider_honeyhive.builds.sources import export_sources
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.exceptions import DestinationError, ExportStoppedError, InvalidArgumentError
from airflow_provider_honeyhive.sandbox.data.traces import generate_events
from airflow_provider_honeyhive.tables import build, steps
from airflow_provider_honeyhive.tables.build import build_tables, create_tables
from airflow_provider_honeyhive.tables.columns import TABLES
from airflow_provider_honeyhive.tables.steps import sql_version
from tests.unit.builds.made import event, make_export
from tests.unit.odd_events import ODD_EVENTS
from tests.unit.tables.conftest import opened

if TYPE_CHECKING:
    from pathlib import Path

START, END = datetime(2026, 3, 10, tzinfo=UTC), datetime(2026, 3, 11, tzinfo=UTC)


@pytest.mark.parametrize("events", [[], list(ODD_EVENTS.values())], ids=["no events", "odd events"])
def test_columns_are_those_documented(tmp_path: Path, events: list[Any]) -> None:
    with opened(tmp_path / "db", events) as connection:
        create_tables(connection)
        for name, columns in TABLES.items():
            found = connection.execute(f"DESCRIBE {name}").fetchall()
            assert [(row[0], row[1].replace('"', "")) for row in found] == list(columns)


def test_same_bytes_with_any_number_of_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("airflow_provider_honeyhive.tables.steps.EVENTS_AT_ONCE", 900)
    events = [*generate_events(2000, seed=3, start=START, end=END), *ODD_EVENTS.values()]
    made = []
    for threads in (1, 4):
        with opened(tmp_path / str(threads), events, threads) as connection:
            tables = create_tables(connection)
            made.append({name: [path.read_bytes() for path in paths] for name, paths in tables.items()})
    assert made[0] == made[1]
    assert {len(files) for files in made[0].values()} == {3}


def test_rows_of_many_files_are_those_of_one(tables_made: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    events = generate_events(300, seed=3, start=START, end=END)
    whole = tables_made(*events)
    monkeypatch.setattr("airflow_provider_honeyhive.tables.steps.EVENTS_AT_ONCE", 70)
    assert tables_made(*events) == whole


@pytest.mark.parametrize("events", [[], [event("a"), event("b", parent_id="a")]], ids=["no events", "two events"])
def test_builds_of_one_export_are_the_same(tmp_path: Path, events: list[bytes]) -> None:
    make_export(tmp_path / "export", events)
    sources = export_sources(tmp_path / "export")
    first, second = (
        build_tables(sources, tmp_path / name, measurements=["*_eur"], memory_limit=limit)
        for name, limit in (("one", "1GB"), ("two", "500MB"))
    )
    assert BuildManifest.read(tmp_path / "one").files == first.files
    first.verify()
    assert first.counts["event_count"] == first.counts["events"] == len(events)
    assert (first.start_time, first.end_time) == ("2026-11-22T00:00:00.000Z", "2026-11-23T00:00:00.000Z")
    assert first.sources == sources.facts()
    assert first.settings == {"measurements": ["*_eur"], "sql_version": sql_version()}
    assert [file.name for file in first.files] == list(TABLES)
    assert [(file.sha256, file.row_count) for file in first.files] == [
        (file.sha256, file.row_count) for file in second.files
    ]


def test_a_stop_at_the_very_end_publishes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_export(tmp_path / "export", [event("a")])
    stop = BuildStop()

    def counts(*_: Any) -> dict[str, int]:
        stop.stop()
        return {}

    monkeypatch.setattr(build, "_counts", counts)
    with pytest.raises(ExportStoppedError):
        build_tables(export_sources(tmp_path / "export"), tmp_path / "tables", stop=stop)
    assert not (tmp_path / "tables").exists()


@pytest.mark.parametrize("writer", ["write_table", "ParquetWriter"])
def test_a_full_temporary_disk_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, writer: str) -> None:
    make_export(tmp_path / "export", [event("a", inputs={"question": "what"})])

    def fail(*_: Any, **__: Any) -> None:
        raise OSError(ENOSPC, "No space left on device")

    writers = {"write_table": parquet.write_table, "ParquetWriter": parquet.ParquetWriter, writer: fail}
    monkeypatch.setattr(steps, "pq", SimpleNamespace(**writers))
    with (
        pytest.raises(DestinationError, match="free space there"),
        open_events(export_sources(tmp_path / "export")) as db,
    ):
        create_tables(db)


def test_an_error_between_two_batches_shows_nothing_of_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make_export(tmp_path / "export", [event("a")])
    text = steps._sql
    query = "SELECT range, range, if(range < 900000, -1, error('secret')), 0, 0 FROM range(1000000)"
    monkeypatch.setattr(steps, "_sql", lambda name: query if name == "parents" else text(name))
    monkeypatch.setattr(steps, "Tree", MagicMock())
    with pytest.raises(DestinationError) as caught, open_events(export_sources(tmp_path / "export")) as connection:
        create_tables(connection)
    assert "secret" not in str(caught.value)


def test_no_column_comes_from_the_name_of_the_temporary_folder(tmp_path: Path) -> None:
    folder = tmp_path / "event_id=1" / "rank=2" / "date=2026-11-22"
    folder.mkdir(parents=True)
    question = {"inputs": {"question": "what"}, "outputs": {"answer": "that"}}
    make_export(tmp_path / "export", [event("a", event_type="model", **question), event("b")])
    sources = export_sources(tmp_path / "export")
    first, second = (build_tables(sources, tmp_path / str(temp is None), temp_folder=temp) for temp in (None, folder))
    assert [file.sha256 for file in first.files] == [file.sha256 for file in second.files]


def test_only_some_tables(tmp_path: Path) -> None:
    with opened(tmp_path / "db", []) as connection:
        assert list(create_tables(connection, only=["scores", "events"])) == ["events", "scores"]


@pytest.mark.parametrize("measurements", ["*_ms", [""], [1]])
def test_measurements_must_be_names(tmp_path: Path, measurements: Any) -> None:
    with opened(tmp_path / "db", []) as connection, pytest.raises(InvalidArgumentError, match="a list of names"):
        create_tables(connection, measurements=measurements)


def nested(inner: str, levels: int = 10_000) -> str:
    return '{"a":' * levels + inner + "}" * levels


HOSTILE = {
    "deep objects": b'{"event_id":"e","event_type":"model","session_id":"e",%s}'
    % ",".join(
        f'"{name}":{nested("1")}'
        for name in ("config", "inputs", "outputs", "metadata", "metrics", "evaluations", "feedback", "user_properties")
    ).encode(),
    "deep lists": b'{"event_id":"e","event_type":"model","outputs":{"choices":%s},"metrics":{"a":%s}}'
    % (b"[" * 10_000 + b"]" * 10_000, b"[" * 10_000 + b"]" * 10_000),
    "many scores": b'{"event_id":"e","metrics":{%s}}'
    % ",".join(f'"{number}":{number},"{number}_explanation":"x"' for number in range(20_000)).encode(),
    "a name of a score many times": b'{"event_id":"e","metrics":{%s}}'
    % b",".join([b'"a":1', b'"a_explanation":"x"'] * 5_000),
    "wrong kinds everywhere": b'{"event_id":"e","event_type":"model","config":[1],"outputs":"x","metadata":7,'
    b'"metrics":"{}","evaluations":[{"score":1}],"feedback":true,"user_properties":"u","inputs":false}',
    "numbers beyond all bounds": b'{"event_id":"e","metadata":{"cost":1E400,"input_tokens":%s},'
    b'"metrics":{"a":%s,"b":-1E400}}' % (b"9" * 400, b"9" * 400),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_no_event_makes_it_fail(tables_made: Any, kind: str) -> None:
    made = tables_made(HOSTILE[kind], b'{"event_id":"b","metadata":{"cost":1},"metrics":{"a":1}}')
    assert len(made["events"]) == len(made["edges"]) == 2
    # Events beside it are as they are without it.
    assert made["events"][1]["cost"] == 1
    assert made["scores"][-1]["number"] == 1


def test_numbers_beyond_all_bounds_are_texts(tables_made: Any) -> None:
    made = tables_made(HOSTILE["numbers beyond all bounds"], only=["events", "scores"])
    assert (made["events"][0]["cost"], made["events"][0]["input_tokens"]) == (None, None)
    assert [(row["name"], row["number"], row["text"]) for row in made["scores"]] == [
        ("a", None, "9" * 400),
        ("b", None, "-1E400"),
    ]


def test_the_first_of_a_name_counts(tables_made: Any) -> None:
    metrics = b'{"a":1,"a_explanation":"x","a":2,"a_explanation":"y"}'
    made = tables_made(b'{"metadata":{"cost":3,"cost":4},"metrics":%s}' % metrics, only=["events", "scores"])
    assert made["events"][0]["cost"] == 3
    assert [(row["name"], row["number"]) for row in made["scores"]] == [("a", 1)]


def test_users_name_measurements(tables_made: Any) -> None:
    event = {"event_id": "e", "metrics": {"Length (a.b)": 1, "Length (aXb)": 2, "cost_eur": 3, "Words": 4, "ok": True}}
    made = tables_made(event, measurements=["length (a.b)", "*_eur", "ok"], only=["scores", "measurements"])
    assert [row["name"] for row in made["measurements"]] == ["Length (a.b)", "cost_eur"]
    assert [row["name"] for row in made["scores"]] == ["Length (aXb)", "Words", "ok"]


def test_no_more_copies_of_a_large_text_than_needed(tmp_path: Path) -> None:
    event = {"event_id": "a", "session_id": "s", "inputs": {"question": "Why?"}, "outputs": {"answer": "So."}}
    with opened(tmp_path / "build", [event]) as connection:
        create_tables(connection, only=["sessions"])
        texts = parquet.read_metadata(scratch(connection) / "found.parquet").row_group(0).column(2)
    assert texts.path_in_schema == "text"
    assert not texts.has_dictionary_page
    assert texts.statistics is None
