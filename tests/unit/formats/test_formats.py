"""Every format, with every compression, as one object and as a folder, holds the events that the server sent."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import subprocess
import sys
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import duckdb
import polars
import pytest
import zstandard
from pyarrow import parquet as pq

from airflow_provider_honeyhive.events.raw import load_event
from airflow_provider_honeyhive.exceptions import DestinationError, HoneyHiveRateLimitError, InvalidArgumentError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.formats.columns import FIELD_NAMES
from airflow_provider_honeyhive.formats.encoder import BlockEncoder
from airflow_provider_honeyhive.formats.parquet import SCHEMA, to_events
from airflow_provider_honeyhive.formats.rows import restore_event
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import FORMATS
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.window import event_micros, parse_time
from airflow_provider_honeyhive.sandbox import Behaviour, Fault, Sandbox
from airflow_provider_honeyhive.sandbox.store import StoredEvent
from tests.unit.api.odd_bytes import ODD_EVENTS
from tests.unit.export.test_exporter import DAY, DEMO, GENERATED, event_at, published, tree
from tests.unit.ways import asking, by_every_way

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KINDS = [(name, compression) for name, compressions in FORMATS.items() for compression in compressions]


def places(name: str, compression: str) -> list[str]:
    return ["out", f"one{FORMATS[name][compression]}"]


CASES = [(name, compression, place) for name, compression in KINDS for place in places(name, compression)]


def plain(path: Path, compression: str) -> bytes:
    data = path.read_bytes()
    if compression == "gzip":
        return gzip.decompress(data)
    if compression == "zstd":
        return zstandard.ZstdDecompressor().stream_reader(data, read_across_frames=True).read()
    return data


def read_back(folder: Path, manifest: Manifest) -> Iterator[Any]:
    """Yield the events of an export, read by what everybody has."""
    for part in manifest.files:
        path = folder / part.path
        if manifest.file_format == "parquet":
            assert pq.read_schema(path).remove_metadata() == SCHEMA
            yield from map(load_event, to_events(pq.read_table(path)))
            continue
        text = plain(path, manifest.compression)
        if manifest.file_format == "csv":
            yield from map(event_of_row, csv.DictReader(io.StringIO(text.decode(), newline=""), strict=True))
        elif manifest.file_format == "json":
            yield from json.loads(text.decode("utf-8", "surrogateescape"), strict=False)
        else:
            yield from map(load_event, text.splitlines())


def event_of_row(row: dict[str, str]) -> Any:
    values: dict[str, Any] = {name: text or None for name, text in row.items()}
    for name in ("start_time", "end_time"):
        values[name] = values[name] and event_micros(parse_time(values[name]))
    values["duration"] = values["duration"] and float(values["duration"])
    values["children_ids"] = values["children_ids"] and json.loads(values["children_ids"])
    return load_event(restore_event(values))


def canonical(events: Any) -> list[str]:
    """Return events as texts that are equal where their values are."""
    return sorted(json.dumps(as_values(as_told(event)), sort_keys=True, ensure_ascii=True) for event in events)


def as_told(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event as tables tell it: times as microseconds, nothing of its fields that are null."""
    times = {name: event_micros(event.get(name)) for name in ("start_time", "end_time")}
    told = event | {name: micros for name, micros in times.items() if micros is not None}
    return {name: value for name, value in told.items() if value is not None or name not in FIELD_NAMES}


def as_values(value: Any) -> Any:
    # JSON has one kind of number: 1.0 is 1. NaN equals itself here.
    if isinstance(value, float) and math.isfinite(value) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    if isinstance(value, dict):
        return {key: as_values(item) for key, item in value.items()}
    return [as_values(item) for item in value] if isinstance(value, list) else value


def sent_by(sandbox: Sandbox) -> list[dict[str, Any]]:
    """Return the events of the day, as the server sends them."""
    day = sandbox.event_ids(DAY.start, DAY.end)
    return [load_event(event.raw) for event in sandbox.events() if event.event_id in day or event.time_us is None]


@pytest.fixture(scope="module")
def served():
    """A sandbox with events as they usually are."""
    with Sandbox(count=700, **GENERATED) as sandbox:
        yield sandbox


@pytest.mark.parametrize(("name", "compression", "place"), CASES)
def test_an_export_holds_what_the_server_sent(served, client_of, tmp_path, name, compression, place):
    options = ExportOptions(file_format=name, compression=compression, concurrency=3, page_size=100)
    export_events(client_of(served), DEMO, tmp_path / place, options)
    manifest = Manifest.read(tmp_path / place)
    manifest.verify()
    assert (manifest.file_format, manifest.compression, manifest.event_count) == (name, compression, 700)
    folder = tmp_path / place if place == "out" else tmp_path
    assert canonical(read_back(folder, manifest)) == canonical(sent_by(served))
    assert set(published(folder)) == {part.path for part in manifest.files} | {
        "_manifest.json" if place == "out" else f"{place}.manifest.json"
    }


@pytest.mark.parametrize(("name", "compression", "place"), CASES)
def test_no_events_are_no_part_or_one_object_without_any(sandbox_with, client_of, tmp_path, name, compression, place):
    options = ExportOptions(file_format=name, compression=compression)
    manifest = export_events(client_of(sandbox_with(count=0)), DEMO, tmp_path / place, options)
    Manifest.read(tmp_path / place).verify()
    assert [(part.path, part.event_count) for part in manifest.files] == ([] if place == "out" else [(place, 0)])
    assert list(read_back(tmp_path, manifest)) == []
    # A file of 0 bytes is no valid gzip or zstd file.
    assert compression == "none" or all(part.size_bytes for part in manifest.files)


@pytest.mark.parametrize(("name", "compression"), KINDS)
def test_parts_keep_to_max_file_size_and_have_the_same_events_in_the_same_order_whoever_read_what(
    served, client_of, tmp_path, name, compression
):
    found = []
    for concurrency in (1, 4):
        size = 200_000 if name == "parquet" or compression == "none" else 60_000
        options = ExportOptions(
            file_format=name, compression=compression, max_file_size=size, page_size=40, concurrency=concurrency
        )
        manifest = export_events(client_of(served), DEMO, tmp_path / str(concurrency), options)
        Manifest.read(tmp_path / str(concurrency)).verify()
        assert len(manifest.files) > 1
        assert all(part.size_bytes <= 1.1 * size for part in manifest.files)
        found.append(list(read_back(tmp_path / str(concurrency), manifest)))
    assert found[0] == found[1]


@pytest.mark.parametrize(("name", "compression"), KINDS)
def test_raw_control_characters_in_strings_come_back_as_their_escapes(
    sandbox_with, client_of, tmp_path, name, compression
):
    noon = int((DAY.start.timestamp() + 43_200) * 1000)
    members = b'"error":"a\nb\r\n","inputs":{"t\n":"\x00\x01\t\x1f\x7f \xe2\x80\xa8"},"new":["\n"]'
    raw = b'{"event_id":"e\n1","event_name":"\n","start_time":%d,%s}' % (noon, members)
    usual = b'{"event_id":"f","start_time":%d}' % noon
    sandbox = sandbox_with([StoredEvent(raw, "e\n1", noon * 1000), StoredEvent(usual, "f", noon * 1000)])
    options = ExportOptions(file_format=name, compression=compression)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    Manifest.read(tmp_path / "out").verify()
    assert manifest.event_count == 2
    assert canonical(read_back(tmp_path / "out", manifest)) == canonical([load_event(raw), load_event(usual)])
    if name in ("json", "jsonl"):
        (part,) = manifest.files
        for line in plain(tmp_path / "out" / part.path, compression).split(b"\n"):
            assert not line.startswith(b"{") or json.loads(line.removesuffix(b","))


@pytest.mark.parametrize(("name", "compression"), [("jsonl", "gzip"), ("parquet", "zstd"), ("csv", "none")])
def test_odd_events_come_back_as_they_were(sandbox_with, client_of, tmp_path, name, compression):
    sandbox = sandbox_with(count=0)
    odd = [
        b'{"event_id":"odd-%d","start_time":"2026-11-22T0%d:00:00Z",%s}' % (number, number % 10, raw[1:-1])
        for number, raw in enumerate(raw for raw in ODD_EVENTS.values() if b"event_id" not in raw and len(raw) < 10**6)
    ]
    sandbox.add([*odd, b'{"event_id":"m","start_time":1795305600000,"duration":"long","event_name":7}'], "demo")
    options = ExportOptions(file_format=name, compression=compression)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert manifest.event_count == len(odd) + 1
    assert canonical(read_back(tmp_path / "out", manifest)) == canonical(sent_by(sandbox))
    assert (manifest.misfits != {}) == (name != "jsonl")
    if name != "jsonl":
        assert manifest.misfits["duration"] >= 1
        assert manifest.misfits["event_name"] >= 1


ENGINES = [("jsonl", "gzip"), ("jsonl", "zstd"), ("jsonl", "none"), ("json", "gzip"), ("csv", "gzip"), ("csv", "zstd")]
ENGINES += [("csv", "none"), *[("parquet", compression) for compression in FORMATS["parquet"]]]


@pytest.mark.parametrize(("name", "compression"), ENGINES)
def test_duckdb_reads_the_folder_and_the_manifests_files_alike(served, client_of, tmp_path, name, compression):
    options = ExportOptions(
        file_format=name, compression=compression, max_file_size=150_000, concurrency=4, page_size=50
    )
    manifest = export_events(client_of(served), DEMO, tmp_path / "out", options)
    reader = {"jsonl": "read_json", "json": "read_json", "csv": "read_csv", "parquet": "read_parquet"}[name]
    more = {"jsonl": ", format = 'newline_delimited'", "json": ", format = 'array'", "csv": ", header = true"}
    sums = set()
    for source in (
        f"'{tmp_path}/out/*{FORMATS[name][compression]}'",
        [str(tmp_path / "out" / part.path) for part in manifest.files],
    ):
        query = (
            f"select count(*), count(distinct event_id), round(sum(duration)), count(error), min(event_id::varchar) "
            f"from {reader}({source}{more.get(name, '')})"
        )
        sums.add(duckdb.connect().execute(query).fetchall()[0])
    events = sent_by(served)
    assert sums == {
        (
            700,
            700,
            float(round(sum(event["duration"] for event in events))),
            sum(event.get("error") is not None for event in events),
            min(event["event_id"] for event in events),
        )
    }


@pytest.mark.parametrize(("name", "compression"), [case for case in ENGINES if case[0] in ("jsonl", "csv", "parquet")])
def test_polars_reads_the_folder_and_the_manifests_files_alike(served, client_of, tmp_path, name, compression):
    options = ExportOptions(
        file_format=name, compression=compression, max_file_size=150_000, concurrency=4, page_size=50
    )
    manifest = export_events(client_of(served), DEMO, tmp_path / "out", options)
    scan = {"jsonl": polars.scan_ndjson, "csv": polars.scan_csv, "parquet": polars.scan_parquet}[name]
    more: dict[str, Any] = {"jsonl": {"infer_schema_length": None}, "csv": {"infer_schema_length": None}}.get(name, {})
    for source in (
        f"{tmp_path}/out/*{FORMATS[name][compression]}",
        [tmp_path / "out" / part.path for part in manifest.files],
    ):
        frame = scan(source, **more).select("event_id", "duration").collect()
        assert frame.height == frame["event_id"].n_unique() == 700
        assert frame["duration"].sum() == pytest.approx(sum(event["duration"] for event in sent_by(served)))


def test_a_parquet_footer_names_project_window_and_version(served, client_of, tmp_path):
    export_events(client_of(served), DEMO, tmp_path / "one.parquet")
    footer = {
        key.decode(): value.decode() for key, value in pq.read_metadata(tmp_path / "one.parquet").metadata.items()
    }
    manifest = Manifest.read(tmp_path / "one.parquet")
    assert footer["honeyhive.project"] == "demo"
    assert footer["honeyhive.start_time"] == manifest.start_time
    assert footer["honeyhive.end_time"] == manifest.end_time
    assert footer["honeyhive.provider_version"] == manifest.provider_version


def test_parquet_types_are_those_that_every_engine_reads(served, client_of, tmp_path):
    export_events(client_of(served), DEMO, tmp_path / "one.parquet")
    schema = pq.ParquetFile(tmp_path / "one.parquet").schema
    for place in range(len(schema.names)):
        column = schema.column(place)
        assert column.physical_type in ("BYTE_ARRAY", "INT64", "DOUBLE")
        assert column.logical_type.type in ("STRING", "TIMESTAMP", "NONE")
        if column.logical_type.type == "TIMESTAMP":
            assert json.loads(column.logical_type.to_json())["timeUnit"] == "microseconds"
            assert json.loads(column.logical_type.to_json())["isAdjustedToUTC"] is True


def test_damage_is_found_in_every_format(served, client_of, tmp_path):
    for number, (name, compression) in enumerate(KINDS):
        folder = tmp_path / str(number)
        options = ExportOptions(file_format=name, compression=compression)
        manifest = export_events(client_of(served), DEMO, folder, options)
        path = folder / manifest.files[0].path
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
        with pytest.raises(DestinationError, match=path.name):
            Manifest.read(folder).verify()
        path.write_bytes(data[: len(data) // 3])
        with pytest.raises(DestinationError, match=path.name):
            Manifest.read(folder).verify()


# ------------------------------------------------------------------------------------ choosing fields

SECRETS = {"inputs": "top-secret-prompt", "outputs": "answer-for-nobody", "email": "ada@example.com"}


def secret_events(count: int) -> Iterator[dict[str, Any]]:
    for number in range(count):
        yield event_at(
            DAY.start.timestamp() * 1000 + number * 1000,
            number,
            inputs={"prompt": SECRETS["inputs"]},
            outputs={"content": SECRETS["outputs"], "role": "assistant"},
            user_properties={"email": SECRETS["email"]},
            metrics={"score": number},
        )


@pytest.mark.parametrize(
    ("name", "compression"), [("jsonl", "none"), ("json", "none"), ("csv", "none"), ("parquet", "none")]
)
def test_what_is_excluded_or_redacted_never_touches_disk(sandbox_with, client_of, tmp_path, name, compression):
    from pydantic import SecretStr

    sandbox = sandbox_with(count=0)
    sandbox.add(secret_events(900))
    request = DEMO.model_copy(
        update={
            "exclude_fields": ("inputs", "outputs.content"),
            "redact": ("user_properties.email",),
            "redact_secret": SecretStr("a long enough secret of the connection"),
        }
    )
    options = ExportOptions(file_format=name, compression=compression, max_file_size=20_000, page_size=50)
    # Dies in the middle, so that what is staged can be looked at.
    sandbox.faults.extend([*[Fault()] * 12, *[Fault.answer(429)] * 20])
    client = client_of(sandbox, max_retries=0)
    with pytest.raises(HoneyHiveRateLimitError):
        export_events(client, request, tmp_path / "out", options)
    staged = tree(tmp_path)
    assert any("_staging-" in path and not path.endswith(".json") for path in staged)
    for secret in SECRETS.values():
        assert all(secret.encode() not in data for data in staged.values())
    sandbox.faults.clear()
    manifest = export_events(client, request, tmp_path / "out", options)
    for secret in SECRETS.values():
        assert all(secret.encode() not in data for data in tree(tmp_path).values())
    events = list(read_back(tmp_path / "out", manifest))
    assert len(events) == 900
    assert all("inputs" not in event and event["outputs"] == {"role": "assistant"} for event in events)
    assert len({event["user_properties"]["email"] for event in events}) == 1
    facts = manifest.request
    assert (facts.exclude_fields, facts.redact) == (["inputs", "outputs.content"], ["user_properties.email"])
    assert facts.redact_key_id
    assert "a long enough secret" not in manifest.model_dump_json()


@by_every_way
def test_projections_leave_the_same_fields_on_every_endpoint(sandbox_with, client_of, tmp_path, generation, endpoint):
    sandbox = sandbox_with(count=0, behaviour=Behaviour(generation=generation, endpoints=frozenset([endpoint])))
    sandbox.add(secret_events(50))
    settings, request = asking(sandbox, endpoint, DEMO.model_copy(update={"projections": ("metrics", "outputs")}))
    manifest = export_events(client_of(sandbox, **settings), request, tmp_path / "out")
    fields = {frozenset(event) for event in read_back(tmp_path / "out", manifest)}
    assert fields == {frozenset({"event_id", "start_time", "project", "metrics", "outputs"})}


# ------------------------------------------------------------------------------------ partitions


@pytest.mark.parametrize(("name", "compression"), [("jsonl", "gzip"), ("parquet", "zstd"), ("csv", "none")])
def test_partitions_are_folders_that_engines_know(sandbox_with, client_of, tmp_path, name, compression):
    sandbox = sandbox_with(count=900, **GENERATED)
    sandbox.add([event_at(DAY.start, 2, event_type="a/b=c %")])
    options = ExportOptions(
        file_format=name, compression=compression, partition_by=("event_date", "event_type"), page_size=90
    )
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    Manifest.read(tmp_path / "out").verify()
    expected: dict[str, int] = {}
    for value in sent_by(sandbox):
        kind = value["event_type"].replace("%", "%25").replace("/", "%2F").replace("=", "%3D")
        folder = f"event_date=2026-11-22/event_type={kind}"
        expected[folder] = expected.get(folder, 0) + 1
    found: dict[str, int] = {}
    for part in manifest.files:
        folder = part.path.rpartition("/")[0]
        found[folder] = found.get(folder, 0) + part.event_count
    assert found == expected
    assert manifest.partition_by == ["event_date", "event_type"]
    if name == "parquet":
        query = (
            f"select count(*) from read_parquet('{tmp_path}/out/**/*.parquet', hive_partitioning = true) "
            "where event_type = 'model'"
        )
        assert duckdb.connect().execute(query).fetchall()[0] == (
            sum(count for folder, count in found.items() if folder.endswith("=model")),
        )


def test_a_second_run_replaces_partitions_too_and_leaves_no_litter(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=300, **GENERATED)
    options = ExportOptions(partition_by=("event_type",))
    first = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    gone = [event.event_id for event in sandbox.events() if load_event(event.raw)["event_type"] == "tool"]
    assert gone
    sandbox.delete(gone)
    options = ExportOptions(partition_by=("event_type",), on_shrink="replace")
    second = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert second.event_count == 300 - len(gone)
    Manifest.read(tmp_path / "out").verify()
    assert set(tree(tmp_path / "out")) == {part.path for part in second.files} | {"_manifest.json"}
    assert not (tmp_path / "out" / "event_type=tool").exists()
    assert {part.path for part in first.files} != {part.path for part in second.files}


def test_partitions_are_whole_after_a_retry(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=900, behaviour=Behaviour(), **GENERATED)
    expected = sandbox.event_ids(DAY.start, DAY.end)
    options = ExportOptions(partition_by=("event_type",), max_file_size=60_000, page_size=50, concurrency=2)
    client = client_of(sandbox, max_retries=0)
    for answers in (9, 5, 7):
        sandbox.faults.extend([*[Fault()] * answers, *[Fault.answer(429)] * 4])
        with pytest.raises(HoneyHiveRateLimitError):
            export_events(client, DEMO, tmp_path / "out", options)
        sandbox.faults.clear()
    manifest = export_events(client, DEMO, tmp_path / "out", options)
    found = [event["event_id"] for event in read_back(tmp_path / "out", manifest)]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize(
    ("place", "request_", "message"),
    [
        ("one.jsonl.gz", {}, "partition_by.*folder, not one object"),
        ("out", {"exclude_fields": ("event_type",)}, "partition_by.*folders would show it"),
    ],
)
def test_partitions_that_cannot_be_are_refused_before_any_request(sandbox, client, tmp_path, place, request_, message):
    with pytest.raises(InvalidArgumentError, match=message):
        export_events(
            client,
            DEMO.model_copy(update=request_),
            tmp_path / place,
            ExportOptions(partition_by=("event_type",)),
        )
    assert sandbox.requests == []


def test_without_pyarrow_parquet_is_refused_with_what_to_install_and_its_module_says_what_it_lacks():
    program = """
import sys
sys.modules["pyarrow"] = None
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.formats.encoder import serializer
from airflow_provider_honeyhive.models.layout import Layout
try:
    serializer(Layout("parquet", "zstd", None))
except InvalidArgumentError as error:
    print(error)
try:
    import airflow_provider_honeyhive.formats.parquet
except ImportError as error:
    print(type(error).__name__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    refused, imported = done.stdout.splitlines()
    assert "install airflow-provider-honeyhive[parquet]" in refused
    assert imported == "ModuleNotFoundError"


@pytest.mark.parametrize("kind", [b'"cut \\ud83d"', b'"\xff"'])
def test_a_partition_has_a_name_whatever_the_event_type_holds(kind):
    encoder = BlockEncoder(lambda raw_events: (b"", {}), partition_by=["event_type"])
    ((_, block),) = encoder([b'{"event_type":%s}' % kind], [None])
    assert block.partition.startswith("event_type=")
    assert block.partition.isascii()


def folders_of(*values: str) -> list[str]:
    encoder = BlockEncoder(lambda raw_events: (b"", {}), partition_by=["event_type"])
    blocks = encoder([json.dumps({"event_type": value}).encode() for value in values], [None] * len(values))
    return [block.partition for _, block in blocks]


@pytest.mark.parametrize("value", [".", "..", "a/../b", "a", "x" * 189, "é" * 31, "a!b", " ", "%2F", "a\\b:c"])
def test_a_partition_of_a_short_value_decodes_to_the_value(value):
    (folder,) = folders_of(value)
    assert "/" not in folder
    assert unquote(folder.removeprefix("event_type=")) == value


@pytest.mark.parametrize("character", ["x", "é", "漢", "😀", "/", "%", "\ud83d"])
def test_long_values_have_short_folders_each_its_own(character):
    values = [character * length for length in (190, 191, 300, 20_000)]
    values += [f"{value[:-1]}y" for value in values]
    folders = folders_of(*values)
    assert len(folders) == len(set(values))
    assert all(len(folder.encode()) <= 200 for folder in folders)
    assert folders == folders_of(*values)
    # Whole characters, and what no short value has: an exclamation mark that is not encoded.
    assert all(unquote(folder, errors="strict").count("!") == 1 for folder in folders)


def test_no_value_shares_the_folder_of_another_one_or_of_none():
    values = ["__HIVE_DEFAULT_PARTITION__", "\ud83d", "\udcff", "?", "\ufffd", "\ud83dx", "?x", "%3F", ""]
    folders = folders_of(*values)
    assert len(set(folders)) == len(values)
    assert all(folder.isascii() for folder in folders)


def test_long_values_are_exported_to_a_local_disk(sandbox_with, client_of, tmp_path):
    kinds = ["x" * 300, "x" * 299 + "y", "😀" * 100, "..", ".", "a/b", "", "z" * 255, "model"]
    sandbox = sandbox_with([event_at(DAY.start, number, event_type=kind) for number, kind in enumerate(kinds)])
    options = ExportOptions(partition_by=("event_date", "event_type"))
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    Manifest.read(tmp_path / "out").verify()
    assert manifest.event_count == len(kinds) == len({part.path.rpartition("/")[0] for part in manifest.files})
    assert sorted(event["event_type"] for event in read_back(tmp_path / "out", manifest)) == sorted(kinds)
