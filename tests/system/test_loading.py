"""What ``docs/loading.md`` has for PostgreSQL and DuckDB, run out of the page: events arrive, once, as they are."""

from __future__ import annotations

import gzip
import importlib.util
import json
import os
import shutil
import sys
import tempfile
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import psycopg2
import pyarrow.parquet as pq
import pytest
from airflow.providers.common.compat.sdk import ObjectStoragePath

from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, Kind
from airflow_provider_honeyhive.formats.parquet import to_record_batch
from airflow_provider_honeyhive.formats.rows import to_rows
from airflow_provider_honeyhive.formats.text import csv_header, to_csv
from airflow_provider_honeyhive.manifest import Manifest
from tests.docs.documents import ROOT, Document
from tests.unit.odd_events import ODD_EVENTS

from .conftest import DAY, DAY_END
from .running import run_dag, run_task

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import ModuleType

PAGE = Document("docs/loading.md")
#: What the page calls the folder of all exports.
FOLDER = "s3://my-bucket/honeyhive/"
TIMES = [column.name for column in COLUMNS if column.kind is Kind.TIME]
#: More than DuckDB takes unless told otherwise: 2 MB of CSV, two times 16 MB of JSON.
LARGE_BYTES = 40_000_000
LARGE = b'{"event_id":"large","inputs":{"text":"' + b"x" * LARGE_BYTES + b'"}}'
JSON = [column.name for column in COLUMNS if column.kind is Kind.JSON]
LISTS_AND_JSON = ["children_ids", *JSON]


def the(section: str, language: str, part: str) -> str:
    return PAGE.the(language, part, section=section)


def load_module(name: str, path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


# ------------------------------------------------------------------------------------------ databases


@pytest.fixture(scope="session")
def postgres_port() -> Iterator[int]:
    """Start a PostgreSQL of the tests' own on loopback."""
    services = load_module("celery_services", ROOT / "dev" / "celery_services.py")
    folders = [str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)]
    path = os.pathsep.join([*folders, os.environ["PATH"]])
    programs = {name: shutil.which(name, path=path) for name in ("initdb", "postgres")}
    if None in programs.values():
        pytest.skip("there is no PostgreSQL on this machine: apt-get install postgresql")
    # Not pytest's folder, which the server's own user must not enter.
    folder = Path(tempfile.mkdtemp(prefix="honeyhive-postgres-"))
    folder.chmod(0o755)
    try:
        with services.Processes(folder) as processes:
            yield services.start_postgres(processes, programs, folder)
    finally:
        shutil.rmtree(folder)


@dataclass
class Postgres:
    """The table in PostgreSQL.

    :param dsn: how psycopg2 reaches it.
    """

    dsn: str

    def query(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        connection = psycopg2.connect(self.dsn)
        try:
            with connection, connection.cursor() as cursor:
                cursor.execute(sql, parameters)
                return cursor.fetchall() if cursor.description else []
        finally:
            connection.close()

    def rows(self) -> list[dict[str, Any]]:
        times = ", ".join(f"extract(epoch from {name}) * 1000000" for name in TIMES)
        others = [name for name in COLUMN_NAMES if name not in TIMES]
        texts = ", ".join(f"{name}::text" if name in LISTS_AND_JSON else name for name in others)
        found = self.query(f"SELECT {times}, {texts} FROM honeyhive_events")
        return [dict(zip([*TIMES, *others], row, strict=True)) for row in found]

    def same(self, row: dict[str, Any], wanted: dict[str, Any]) -> bool:
        return all(self._same(name, row[name], wanted[name]) for name in COLUMN_NAMES)

    def _same(self, name: str, value: Any, wanted: Any) -> bool:
        if value is None or wanted is None:
            return value is wanted
        if name in TIMES:
            return int(value) == wanted
        if name not in LISTS_AND_JSON:
            return bool(value == (wanted.replace("\0", "\ufffd") if isinstance(wanted, str) else wanted))
        text = json.dumps(wanted) if isinstance(wanted, list) else wanted
        # What is no JSON for PostgreSQL is the text of it.
        return bool(exactly(value) == text or exactly(value) == exactly(text))


def exactly(text: str) -> Any:
    """Return what a JSON text says, without rounding its numbers."""
    return json.loads(text, parse_int=_number, parse_float=_number)


def _number(text: str) -> Decimal | str:
    try:
        return Decimal(text)
    except InvalidOperation:  # an exponent beyond all bounds
        return text


@dataclass
class Duck:
    """The table in DuckDB.

    :param file: of the database.
    """

    file: Path

    def query(self, sql: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with duckdb.connect(str(self.file)) as db:
            return db.execute(sql, parameters).fetchall()

    def rows(self) -> list[dict[str, Any]]:
        names = ", ".join(f"epoch_us({name})" if name in TIMES else name for name in COLUMN_NAMES)
        found = self.query(f"SELECT {names} FROM honeyhive_events")
        return [dict(zip(COLUMN_NAMES, row, strict=True)) for row in found]

    def same(self, row: dict[str, Any], wanted: dict[str, Any]) -> bool:
        return row == wanted


@dataclass
class Loader:
    """A DAG of the page.

    :param module: the DAG's file, imported.
    :param database: where it loads into.
    """

    module: ModuleType
    database: Postgres | Duck

    def run(self, end=DAY_END):
        """Export and load the day that ends at ``end``."""
        run = run_dag(self.module.export.dag, end)
        assert run.state == "success", run.errors
        return run

    def load(self, export: dict[str, Any]) -> int:
        """Load what the operator would have exported."""
        return self.module.load.function(export)

    def ids(self) -> list[str]:
        return sorted(event_id for (event_id,) in self.database.query("SELECT event_id FROM honeyhive_events"))


@pytest.fixture
def loader(request, monkeypatch, tmp_path) -> Callable[..., Loader]:
    """Give a function that makes a loader of a section's DAG."""

    def make(section: str, file_format: str, folder: str | None = None, connection: str | None = None) -> Loader:
        folder = folder or f"{tmp_path}/export/"
        text = on_this_machine(the(section, "python", "with DAG("), folder, connection)
        if section == "PostgreSQL":
            port = request.getfixturevalue("postgres_port")
            connection = {"conn_type": "postgres", "host": "127.0.0.1", "port": port, "login": "airflow"}
            monkeypatch.setenv("AIRFLOW_CONN_POSTGRES_DEFAULT", json.dumps({**connection, "schema": "postgres"}))
            database: Postgres | Duck = Postgres(f"host=127.0.0.1 port={port} user=airflow dbname=postgres")
            database.query("DROP TABLE IF EXISTS honeyhive_events")
            database.query(vars(run_python(text))["TABLE"])
        else:
            database = Duck(tmp_path / "honeyhive.duckdb")
            text = text.replace("/data/honeyhive.duckdb", str(database.file))
        assert f'file_format="{file_format}"' in text
        file = tmp_path / f"{section.lower()}_dag.py"
        file.write_text(text)
        return Loader(load_module(file.stem, file), database)

    return make


def on_this_machine(text: str, folder: str, connection: str | None = None) -> str:
    """Return a DAG of the page that exports to a folder, from long ago on."""
    changes = {
        FOLDER: folder,
        'STORE = "aws_default"': f"STORE = {connection!r}",
        "datetime(2026, 11, 1)": "datetime(2025, 1, 1)",
        # Their sandbox deletes events, too.
        'file_format="': 'on_shrink="replace", file_format="',
    }
    for old, new in changes.items():
        text = text.replace(old, new)
    assert folder in text
    return text


def run_python(text: str) -> Any:
    namespace: Any = type("Namespace", (), {})()
    exec(compile(text, "loading.md", "exec"), vars(namespace))  # noqa: S102 - that is what is tested
    return namespace


ALL = pytest.mark.parametrize(
    ("section", "file_format"),
    [("PostgreSQL", "csv"), ("DuckDB", "parquet")],
)


def wanted_rows(raws: list[bytes]) -> list[dict[str, Any]]:
    """Return what the columns of a file's events hold; times as microseconds, JSON as text."""
    values = to_rows(raws).values
    for name in JSON:
        values[name] = [None if value is None else bytes(value).decode() for value in values[name]]
    return [dict(zip(COLUMN_NAMES, row, strict=True)) for row in zip(*map(values.get, COLUMN_NAMES), strict=True)]


def in_window(sandbox, start=DAY, end=DAY_END):
    return sorted(sandbox.event_ids(start, end))


def exported(sandbox) -> list[Any]:
    ids = set(in_window(sandbox))
    return [event for event in sandbox.events() if event.event_id in ids]


def export_of(folder: Path, raws: list[list[bytes]], file_format: str) -> dict[str, Any]:
    """Write files as the export does, and return what the operator would say of them."""
    folder.mkdir(parents=True)
    files = []
    for number, events in enumerate(raws):
        file = folder / f"part-{number:05d}-{number:012x}.{'parquet' if file_format == 'parquet' else 'csv.gz'}"
        if file_format == "parquet":
            pq.write_table(_table(events), file)
        else:
            file.write_bytes(gzip.compress(csv_header() + to_csv(events)[0]))
        files.append({"path": file.name, "event_count": len(events), "size_bytes": 1, "sha256": "0" * 64})
    facts = {
        "project": "demo",
        "event_count": sum(map(len, raws)),
        "start_time": "2026-03-10T00:00:00.000Z",
        "end_time": "2026-03-11T00:00:00.000Z",
    }
    manifest = Manifest(
        **facts,
        started_at="2026-03-11T00:00:00.000Z",
        finished_at="2026-03-11T00:00:00.000Z",
        file_format=file_format,
        compression="zstd" if file_format == "parquet" else "gzip",
        request={"api_host": "h"},
        files=files,
    )
    path = folder / "_manifest.json"
    path.write_bytes(manifest.to_json())
    return facts | {"manifest_path": str(path), "files": Manifest.read(path).file_urls}


def _table(events: list[bytes]) -> Any:
    import pyarrow as pa

    return pa.Table.from_batches([to_record_batch(events)[0]])


# ------------------------------------------------------------------------------------------- the rules


@ALL
def test_every_event_arrives_with_its_values(loader, serve, section, file_format):
    sandbox = serve()
    loading = loader(section, file_format)

    run = loading.run()

    assert run.xcoms["load"] == 300
    wanted = {row["event_id"]: row for row in wanted_rows([event.raw for event in exported(sandbox)])}
    rows = {row["event_id"]: row for row in loading.database.rows()}
    assert rows.keys() == wanted.keys()
    assert [event_id for event_id, row in rows.items() if not loading.database.same(row, wanted[event_id])] == []


@ALL
def test_a_window_that_is_loaded_again_replaces_its_rows_and_no_others(loader, serve, section, file_format):
    sandbox = serve(start=DAY - timedelta(days=1))
    loading = loader(section, file_format)
    loading.run(DAY)
    loading.run()
    before, day = in_window(sandbox, DAY - timedelta(days=1), DAY), in_window(sandbox)
    assert loading.ids() == sorted(before + day)

    gone, changed, moved = day[0], day[1], before[0]
    sandbox.delete([gone, changed, moved])
    noon = int((DAY + timedelta(hours=12)).timestamp() * 1000)
    sandbox.add([{"event_id": name, "start_time": noon, "event_name": "new"} for name in (changed, moved, "late")])
    loading.run()

    assert loading.ids() == sorted({*before, *day, "late"} - {gone})
    new = loading.database.query("SELECT event_id FROM honeyhive_events WHERE event_name = 'new'")
    assert sorted(event_id for (event_id,) in new) == sorted([changed, moved, "late"])


@ALL
def test_a_window_without_events_has_no_rows_any_more(loader, serve, section, file_format):
    sandbox = serve(count=20)
    loading = loader(section, file_format)
    loading.run()
    sandbox.delete(in_window(sandbox))

    loading.run()

    assert loading.ids() == []


@ALL
def test_events_without_an_id_or_a_time_do_not_double(loader, tmp_path, section, file_format):
    noon = int((DAY + timedelta(hours=12)).timestamp() * 1000)
    events = [b'{"start_time":%d}' % noon, b'{"event_id":"timeless"}', b'{"event_id":"at noon","start_time":%d}' % noon]
    loading = loader(section, file_format)
    if section == "DuckDB":
        loading.database.query(loading.module.TABLE)
    export = export_of(tmp_path / "odd", [events], file_format)

    for _ in range(2):
        assert loading.load(export) == 3

    found = loading.database.query("SELECT event_id FROM honeyhive_events")
    assert sorted(str(event_id) for (event_id,) in found) == ["None", "at noon", "timeless"]


@ALL
@pytest.mark.parametrize("flaw", ["a file is missing", "a row is missing"])
def test_a_load_that_fails_changes_nothing(loader, tmp_path, section, file_format, flaw):
    noon = int((DAY + timedelta(hours=12)).timestamp() * 1000)
    first = [b'{"event_id":"%d","start_time":%d}' % (number, noon) for number in range(3)]
    loading = loader(section, file_format)
    loading.load(export_of(tmp_path / "first", [first], file_format))
    second = export_of(tmp_path / "second", [[b'{"event_id":"new"}'], [b'{"event_id":"newer"}']], file_format)
    if flaw == "a file is missing":
        os.remove(second["files"][1])
    else:
        path = Path(second["manifest_path"])
        path.write_text(path.read_text().replace('"event_count": 1,', '"event_count": 2,'))

    with pytest.raises(
        (OSError, duckdb.IOException) if flaw == "a file is missing" else ValueError,
        match=r"second|2 events arrived, 4 were",
    ):
        loading.load(second)

    assert loading.ids() == ["0", "1", "2"]


@ALL
def test_what_is_odd_in_an_event_fails_no_load(loader, tmp_path, section, file_format):
    events = [
        raw.replace(b'"event_id":"e"', b'"event_id":"%d"' % number) for number, raw in enumerate(ODD_EVENTS.values())
    ]
    if section == "PostgreSQL":
        events.append(b'{"event_id":"deep","inputs":' + b"[" * 20_000 + b"]" * 20_000 + b"}")
    files = [events[:20], events[20:]]
    loading = loader(section, file_format)

    assert loading.load(export_of(tmp_path / "odd", files, file_format)) == len(events)

    wanted = [row for events in files for row in wanted_rows(events)]
    rows = loading.database.rows()
    assert len(rows) == len(wanted)
    assert [row for row in wanted if not any(loading.database.same(found, row) for found in rows)] == []


# --------------------------------------------------------------------------------------- by the way


@ALL
def test_folders_of_partitions_change_no_value(loader, tmp_path, section, file_format):
    loading = loader(section, file_format)
    folder = tmp_path / "window_end=2026-03-11" / "event_date=2026-03-10" / "event_type=a%2Fb"

    assert loading.load(export_of(folder, [[b'{"event_id":"1","event_type":"a/b"}']], file_format)) == 1

    assert loading.database.query("SELECT event_type FROM honeyhive_events") == [("a/b",)]


@ALL
def test_an_event_of_many_megabytes_is_loaded(loader, tmp_path, section, file_format):
    loading = loader(section, file_format)

    assert loading.load(export_of(tmp_path / "large", [[LARGE]], file_format)) == 1

    ((length,),) = loading.database.query("SELECT length(inputs::text) FROM honeyhive_events")
    assert length > LARGE_BYTES


@ALL
def test_files_come_from_an_object_store_by_its_connection(loader, serve, bucket, section, file_format):
    sandbox = serve()
    loading = loader(section, file_format, f"s3://{bucket}/honeyhive/", "store")

    loading.run()

    assert loading.ids() == in_window(sandbox)


def operator() -> Any:
    from airflow_provider_honeyhive.operators.honeyhive import HoneyHiveExportEventsOperator

    return HoneyHiveExportEventsOperator


def test_redshifts_manifest_has_every_file_and_its_size(serve, tmp_path):
    serve()
    module = run_python(the("Redshift", "python", "def list_files").replace('"aws_default"', "None"))
    run = run_task(
        lambda: module.list_files(
            operator()(task_id="export", output_path=f"{tmp_path}/day/", max_file_size=20_000).output
        )
    )

    url = run.result("list_files")
    assert url == f"{tmp_path}/day/_redshift.json"
    assert json.loads(Path(url).read_text()) == {
        "entries": [
            {"url": file, "mandatory": True, "meta": {"content_length": Path(file).stat().st_size}}
            for file in run.xcoms["export"]["files"]
        ]
    }
    Manifest.read(ObjectStoragePath(f"{tmp_path}/day")).verify()


def test_templates_get_what_the_export_has_returned(serve, tmp_path, monkeypatch):
    from airflow.providers.common.sql.operators.sql import SQLExecuteQueryOperator

    ran = []

    class Hook:
        descriptions = ()

        def run(self, sql, **arguments):
            ran.append((sql, arguments["autocommit"]))

    monkeypatch.setattr(SQLExecuteQueryOperator, "get_db_hook", lambda _: Hook())
    serve()
    file = tmp_path / "dags" / "warehouse_dag.py"
    file.parent.mkdir()
    file.write_text(on_this_machine(the("Warehouses", "python", "with DAG("), f"{tmp_path}/export/"))
    for section, name in (("Warehouses", "create.sql"), ("Snowflake", "snowflake/load.sql")):
        statements = the(section, "sql", f"-- {name}\n").replace(FOLDER, f"{tmp_path}/export/")
        (file.parent / Path(name).name).write_text(statements)
    module = load_module("warehouse_dag", file)

    run = run_dag(module.export.dag)

    export = run.result()
    (created, _), (loaded, autocommit) = ran
    assert "CREATE TABLE" in created
    assert not autocommit
    assert f"'{export['files'][0].removeprefix(f'{tmp_path}/export/')}'" in loaded
    assert f"start_time >= '{export['start_time']}'" in loaded
