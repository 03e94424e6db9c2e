"""The page on formats: its snippets read real exports, its tables are those of the code."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow.dataset
import pyarrow.parquet
import pytest

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.events.raw import load_event
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.formats.columns import COLUMNS, Kind
from airflow_provider_honeyhive.formats.datafile import PartFile
from airflow_provider_honeyhive.formats.encoder import NULL_PARTITION, BlockEncoder
from airflow_provider_honeyhive.formats.parquet import to_record_batch
from airflow_provider_honeyhive.formats.text import to_csv
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models import layout
from airflow_provider_honeyhive.models.export_facts import AirflowFacts, ProjectName, ReplacedFacts, RequestFacts
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window, event_micros
from airflow_provider_honeyhive.sandbox import Sandbox

from .documents import DAY, DAY_END, PROJECT, Document, code, codes, run_python

if TYPE_CHECKING:
    from pathlib import Path

PAGE = Document("docs/formats.md")
#: Where the page says that exports are.
EXPORTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "honeyhive": ("parquet", ()),
    "by-type": ("parquet", ("event_date", "event_type")),
    "csv": ("csv", ()),
    "jsonl": ("jsonl", ()),
}


@pytest.fixture(scope="module")
def sandbox():
    with Sandbox(count=300, end=DAY_END, project=PROJECT) as sandbox:
        error = {"event_id": "e", "start_time": int(DAY.timestamp() * 1000), "error": {"message": "m"}}
        # Others are objects there.
        error["inputs"] = [{"content": "m"}]
        sandbox.add([error | {"project": PROJECT, "event_type": "model"}])
        yield sandbox


@pytest.fixture(scope="module")
def exports(sandbox, tmp_path_factory) -> Path:
    """Return the folder below which the page's exports are."""
    folder = tmp_path_factory.mktemp("data")
    request = ExportRequest(project=PROJECT, window=Window(DAY, DAY_END))
    with HoneyHiveClient(ClientSettings.parse(api_key=sandbox.key, api_url=sandbox.url)) as client:
        for place, (file_format, partition_by) in EXPORTS.items():
            options = ExportOptions(file_format=file_format, partition_by=partition_by, max_file_size=100_000)
            export_events(client, request, folder / place / "date=2026-11-22", options)
    return folder


@pytest.fixture(scope="module")
def events(sandbox) -> list[dict[str, Any]]:
    day = sandbox.event_ids(DAY, DAY_END)
    return [load_event(event.raw) for event in sandbox.events() if event.event_id in day]


def at_home(text: str, exports: Path) -> str:
    """Return a snippet with the places where the exports are."""
    found = re.sub(r"/data/(?=[\w-]+/date=)", f"{exports}/", text)
    assert found != text
    assert "/data/" not in found.replace(str(exports), "")
    return found


# ------------------------------------------------------------------------------------------ snippets


def cost_of(events: list[dict[str, Any]]) -> float:
    return sum((event.get("metadata") or {}).get("cost", 0) for event in events)


def test_the_error_rate_counts_errors_that_are_no_texts(exports, events):
    ((rate,),) = duckdb.sql(at_home(PAGE.the("sql", "error_rate"), exports)).fetchall()
    errors = [event["error"] for event in events if event.get("error") is not None]
    assert any(not isinstance(error, str) for error in errors)
    assert rate == pytest.approx(len(errors) / len(events))
    manifest = Manifest.read(exports / "honeyhive" / "date=2026-11-22")
    assert manifest.misfits == {"error": 1}


def test_the_events_come_back(exports, events):
    found = run_python(at_home(PAGE.the("python", "to_events"), exports))["events"]
    assert {event["event_id"]: as_told(event) for event in found} == {e["event_id"]: as_told(e) for e in events}


def as_told(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event with its times as microseconds, and nothing of fields that are null."""
    times = {name: event_micros(event.get(name)) for name in ("start_time", "end_time")}
    return {name: value for name, value in (event | times).items() if value is not None}


def test_the_manifests_files_hold_all_events_partitioned_or_not(exports, events):
    text = at_home(PAGE.the("python", "Manifest.read"), exports)
    for place in ("honeyhive", "by-type"):
        assert run_python(text.replace("honeyhive/date", f"{place}/date"))["table"].num_rows == len(events)


def test_duckdb_reads_parquet(exports, events):
    rows = duckdb.sql(at_home(PAGE.the("sql", "GROUP BY event_type"), exports)).fetchall()
    assert sum(count for _, count, _ in rows) == len(events)
    assert sum(cost or 0 for *_, cost in rows) == pytest.approx(cost_of(events))


def test_duckdb_reads_partitions(exports, events):
    rows = duckdb.sql(at_home(PAGE.the("sql", "hive_partitioning"), exports)).fetchall()
    assert {name for name, _ in rows} == {e.get("event_name") for e in events if e["event_type"] == "model"}


def test_duckdb_reads_csv(exports, events):
    text = PAGE.the("sql", "read_csv")
    ((count, duration, first),) = duckdb.sql(at_home(text, exports)).fetchall()
    assert count == len(events)
    assert duration == pytest.approx(sum(event.get("duration", 0) for event in events))
    assert first == DAY


def test_duckdb_reads_json_lines(exports, events):
    ((cost,),) = duckdb.sql(at_home(PAGE.the("sql", "read_json"), exports)).fetchall()
    assert cost == pytest.approx(cost_of(events))


def test_each_sql_has_its_test():
    assert len(PAGE.snippets("sql")) == 5


def test_polars_reads_all(exports, events, capsys):
    run_python(at_home(PAGE.the("python", "polars"), exports))
    heights = [int(height) for height in re.findall(r"shape: \((\d+), \d+\)", capsys.readouterr().out)]
    types = {event["event_type"] for event in events}
    assert heights == [len(types), len(events), len(events)]


def test_polars_reads_objects_and_lists_in_one_field_as_texts(exports):
    polars = pytest.importorskip("polars")
    lines = run_python(at_home(PAGE.the("python", "polars"), exports))["lines"]
    kinds = {text[0] for text in lines.collect()["inputs"].drop_nulls()}
    assert kinds == {"{", "["}
    with pytest.raises(polars.exceptions.PolarsError):
        polars.scan_ndjson(exports / "jsonl/date=2026-11-22/*.jsonl.gz", infer_schema_length=None).collect()


def test_pandas_reads_all(exports, events):
    pytest.importorskip("pandas")
    made = run_python(at_home(PAGE.the("python", "import pandas"), exports))
    assert len(made["frame"]) == len(made["by_type"]) == len(events)


def test_without_the_hint_partitions_by_type_are_refused_as_the_page_says(exports):
    with pytest.raises(pyarrow.ArrowTypeError):
        pyarrow.parquet.read_table(exports / "by-type" / "date=2026-11-22")


def test_each_python_has_its_test():
    run = ("to_events", "Manifest.read", "polars", "import pandas")
    assert [one for one in PAGE.snippets("python") if not any(part in one.text for part in run)] == []


# -------------------------------------------------------------------------------------------- tables


def test_the_table_of_formats_is_that_of_the_code():
    rows = {code(row[0]): (codes(row[2]), codes(row[3])) for row in PAGE.table("`file_format`")}
    assert rows == {
        name: (list(suffixes), list(dict.fromkeys(suffixes.values()))) for name, suffixes in layout.FORMATS.items()
    }
    kind, compression = layout.DEFAULT_FORMAT, next(iter(layout.FORMATS[layout.DEFAULT_FORMAT]))
    assert f"The default is `{kind}` with `{compression}`." in PAGE.text


def test_the_columns_are_those_of_the_code_in_their_order():
    (listed,) = re.findall(
        rf"always have the same {len(COLUMNS)} columns, in this order: (.+?)\. ", PAGE.text, re.DOTALL
    )
    assert codes(listed) == [column.name for column in COLUMNS]


def test_the_table_of_types_names_the_columns_of_each():
    named = {code(row[0]): codes(row[1]) for row in PAGE.table("Type")}
    names = {kind: [column.name for column in COLUMNS if column.kind is kind] for kind in Kind}
    assert named.pop(Kind.STRING) == []
    assert named.pop(Kind.JSON) == [names[Kind.JSON][0], names[Kind.JSON][-1]]
    assert named == {kind: names[kind] for kind in named}
    assert set(named) == {Kind.TIME, Kind.NUMBER, Kind.STRINGS}


def test_the_table_of_types_is_what_readers_find(exports):
    rows = {code(row[0]): row for row in PAGE.table("Type")}
    assert list(rows) == list(Kind)
    source = f"read_parquet('{exports}/honeyhive/date=2026-11-22/*.parquet')"
    in_duckdb = {name: kind for name, kind, *_ in duckdb.sql(f"describe from {source}").fetchall()}
    in_arrow = pyarrow.dataset.dataset(exports / "honeyhive" / "date=2026-11-22").schema
    for column in COLUMNS:
        _, _, arrow, duck, _, _ = rows[column.kind]
        assert code(arrow) == str(in_arrow.field(column.name).type)
        assert code(duck) == in_duckdb[column.name]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (Kind.STRING, "event_name", '"text"'),
        (Kind.TIME, "start_time", "1795391987777"),
        (Kind.NUMBER, "duration", "824.8056"),
        (Kind.STRINGS, "children_ids", '["a","b"]'),
        (Kind.JSON, "metadata", '{"cost":0.1}'),
    ],
)
def test_the_cells_of_csv_are_those_that_the_page_shows(kind, name, value):
    usual, _ = to_csv([b"{}"])
    line, _ = to_csv([b'{"%s":%s}' % (name.encode(), value.encode())])
    (shown,) = (code(row[5]) for row in PAGE.table("Type") if code(row[0]) == kind)
    place = [column.name for column in COLUMNS].index(name)
    assert line.decode() == usual.decode().replace("\r\n", "")[:place] + shown + usual.decode()[place:]


@pytest.mark.parametrize("row", PAGE.table("Of the event"), ids=lambda row: row[0])
def test_what_does_not_fit_is_where_the_table_says(row):
    event, shown, extra = row
    raw = code(event).encode()
    (name,) = json.loads(raw)
    (found,) = to_record_batch([raw])[0].to_pylist()
    if name in found:
        value = found[name]
        text = value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value
        assert text == (None if shown == "NULL" else code(shown))
    else:
        assert shown == "none"
    assert found["extra"] == (None if extra == "NULL" else code(extra))


def test_the_partitions_are_called_as_the_page_says():
    (tree,) = (one.text for one in PAGE.snippets("text"))
    names = re.findall(r"(event_date=\S+?)/|(event_type=\S+?)/", tree)
    dates, types = {date for date, _ in names if date}, {kind for _, kind in names if kind}
    encoder = BlockEncoder(to_record_batch, partition_by=layout.PARTITION_KEYS)
    raw_events = [b"{}", *(b'{"event_type":"%s"}' % kind for kind in (b"model", b"tool", b"a/b"))]
    made = encoder(raw_events, [int(DAY.timestamp() * 1_000_000)] * 4)
    folders = {block.partition for _, block in made}
    assert {folder.partition("/")[0] for folder in folders} <= dates
    assert {folder.partition("/")[2] for folder in folders} == types | {"event_type=a%2Fb"}
    assert f"`{NULL_PARTITION}`" in PAGE.text
    assert "`event_type=a%2Fb`" in PAGE.text
    assert f"partition_by={json.dumps(list(layout.PARTITION_KEYS))}" in PAGE.text
    for name in re.findall(r"/(part-\S+)", tree):
        assert layout.choose_layout("out", "parquet")[1].owns(name)


# ------------------------------------------------------------------------------------------ manifest


def test_the_manifest_has_the_keys_that_manifests_have():
    example = json.loads(PAGE.the("json", '"schema_version"'))
    told = {code(row[0]): codes(row[1]) for row in PAGE.table("Key")}
    named = {name for row in PAGE.table("Key") for name in codes(row[0])}
    assert {*example} | named == {*Manifest.model_fields}
    assert {*example["request"], *told["request"]} == {*RequestFacts.model_fields}
    assert {*example["airflow"], *told["airflow"]} == {*AirflowFacts.model_fields}
    assert told["replaced"] == list(ReplacedFacts.model_fields)
    assert {*example["project_names"][0]} == {*ProjectName.model_fields}
    for part in example["files"]:
        assert {*part} <= {*PartFile.model_fields}
    assert example["provider_version"] == __version__


def test_the_manifest_of_one_object_is_called_as_the_page_says():
    _, one_object = layout.choose_layout("out/day.jsonl.gz")
    assert f"`{one_object.object_name}`" in PAGE.text
    assert f"`{one_object.manifest_name}`" in PAGE.text
