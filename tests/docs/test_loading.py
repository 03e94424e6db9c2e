"""The page about loading: its statements are sound in their dialects, have the columns of the files, and all files."""

from __future__ import annotations

import ast
import logging
import re
from typing import Any

import pytest
import sqlglot
import sqlparse
from sqlglot import exp

from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, Kind

from .documents import Document, Snippet, render

PAGE = Document("docs/loading.md")
#: What the page calls the folder of all exports.
FOLDERS = ("s3://my-bucket/honeyhive/", "gs://my-bucket/honeyhive/")

#: Section -> sqlglot's name of its dialect, and whose documentation it names.
WAREHOUSES = {
    "Snowflake": ("snowflake", "https://docs.snowflake.com/"),
    "BigQuery": ("bigquery", "https://docs.cloud.google.com/bigquery/"),
    "Redshift": ("redshift", "https://docs.aws.amazon.com/redshift/"),
    "Databricks": ("databricks", "https://docs.databricks.com/"),
}
DIALECTS = {"PostgreSQL": "postgres", "DuckDB": "duckdb"} | {name: dialect for name, (dialect, _) in WAREHOUSES.items()}
TEMPLATES = [block for block in PAGE.snippets("sql") if block.name]
#: What sqlglot does not know: the beginnings of statements, and clauses, which are read by themselves.
UNKNOWN_STATEMENT = "MSCK REPAIR TABLE honeyhive_files SYNC PARTITIONS"
UNKNOWN_CLAUSE = re.compile(r"^WITH PARTITION COLUMNS \((.+)\)\n", re.MULTILINE)
JSON_COLUMNS = [column.name for column in COLUMNS if column.kind is Kind.JSON]


def export_of(folder: str, count: int = 2) -> dict[str, Any]:
    """Return what the operator returns for an export of so many files."""
    place = f"{folder}window_end=2026-11-23/event_date=2026-11-22/event_type=model"
    return {
        "output_path": f"{folder}window_end=2026-11-23",
        "files": [f"{place}/part-{number:05d}-050d6bf28d0b.parquet" for number in range(count)],
        "start_time": "2026-11-22T00:00:00.000Z",
        "end_time": "2026-11-23T00:00:00.000Z",
    }


def dialect_of(block: Snippet) -> str:
    return DIALECTS.get(block.section, block.name)


def rendered(block: Snippet, count: int = 2) -> str:
    folder = FOLDERS["gs://" in block.text or dialect_of(block) == "bigquery"]
    return render(block.text, export_of(folder, count))


def statements(text: str, dialect: str) -> list[exp.Expression]:
    return [parsed for parsed in sqlglot.parse(text, read=dialect) if parsed is not None]


def created(text: str, dialect: str) -> dict[str, dict[str, str]]:
    """Return the columns of all tables that statements make: names and types, as the dialect writes these."""
    found = {}
    for parsed in statements(UNKNOWN_CLAUSE.sub("", text), dialect):
        if isinstance(parsed, exp.Create) and isinstance(parsed.this, exp.Schema):
            columns = [column for column in parsed.this.expressions if isinstance(column, exp.ColumnDef)]
            found[parsed.this.this.name] = {column.name: column.kind.sql(dialect) for column in columns}
    return found


def tables_of(section: str, name: str) -> dict[str, dict[str, str]]:
    (block,) = (block for block in TEMPLATES if (block.section, block.name) == (section, name))
    return created(rendered(block), DIALECTS[section])


def constant(section: str, name: str) -> str:
    """Return a text that the section's first Python block gives a name."""
    for node in ast.parse(PAGE.the("python", f"\n{name} = ", section=section)).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


# ---------------------------------------------------------------------------------------- statements


@pytest.mark.parametrize("block", TEMPLATES, ids=str)
@pytest.mark.parametrize("count", [0, 2, 1001])
def test_every_statement_is_one_of_its_dialect(block, count, caplog):
    text = UNKNOWN_CLAUSE.sub("", rendered(block, count)).replace(UNKNOWN_STATEMENT, "SELECT 1")
    with caplog.at_level(logging.WARNING, "sqlglot"):
        parsed = statements(text, dialect_of(block))
    assert [statement.sql() for statement in parsed if isinstance(statement, exp.Command)] == []
    assert caplog.messages == []
    assert len([part for part in sqlparse.split(text) if sqlparse.format(part, strip_comments=True).strip(" ;\n")]) == (
        len(parsed)
    )


@pytest.mark.parametrize("section", WAREHOUSES)
def test_every_warehouse_has_the_same_templates(section):
    names = [block.name for block in TEMPLATES if block.section == section]
    assert names[:3] == ["create.sql", "load.sql", "files.sql"]
    assert section.lower() in [block.name for block in TEMPLATES if block.section == "JSON Lines"]


# ------------------------------------------------------------------------------------------- columns


def test_the_page_names_the_columns_in_their_order():
    (listed,) = re.findall(r"The columns, in the files' order: (.+?)\. ", PAGE.text, re.DOTALL)
    assert tuple(re.findall(r"`(\w+)`", listed)) == COLUMN_NAMES


def test_the_table_of_types_has_every_kind_of_column():
    assert [row[0] for row in PAGE.table("In the files")] == [str(kind) for kind in Kind]


@pytest.mark.parametrize("section", DIALECTS)
def test_tables_have_the_columns_of_the_files_with_the_types_that_the_page_says(section):
    ((header, *rows),) = PAGE.tables("In the files")
    cells = {row[0]: re.findall("`([^`]+)`", row[header.index(section)]) for row in rows}
    types = {column.name: cells[column.kind][0] for column in COLUMNS}
    # An exception stands behind the rule: the column, its type.
    types |= {
        name: kind for _, *exceptions in cells.values() for name, kind in zip(*[iter(exceptions)] * 2, strict=True)
    }
    text = constant(section, "TABLE") if section not in WAREHOUSES else None
    tables = created(text, DIALECTS[section]) if text else tables_of(section, "create.sql")
    as_written = {
        name: exp.DataType.build(kind, DIALECTS[section]).sql(DIALECTS[section]) for name, kind in types.items()
    }
    assert tables == {"honeyhive_events": as_written}
    assert tuple(tables["honeyhive_events"]) == COLUMN_NAMES


@pytest.mark.parametrize("section", WAREHOUSES)
def test_files_are_copied_into_tables_of_the_same_columns(section):
    (events,) = tables_of(section, "create.sql").values()
    (arrived,) = tables_of(section, "load.sql").values()
    assert tuple(arrived) == COLUMN_NAMES
    differing = {name for name in COLUMN_NAMES if arrived[name] != events[name]}
    # Redshift reads no times with a zone from Parquet, and parses what is text in SUPER.
    wanted = {"Redshift": {"start_time", "end_time"}, "Databricks": set()}.get(section, set(JSON_COLUMNS))
    assert differing == wanted


def texts(section: str) -> str:
    return rendered(next(block for block in TEMPLATES if (block.section, block.name) == (section, "load.sql")))


def test_snowflake_copies_and_merges_every_column():
    text = texts("Snowflake")
    types = tables_of("Snowflake", "load.sql")["arrived"]
    selected = re.findall(r"\$1:(\w+)::(\w+)", text)
    assert [name for name, _ in selected] == list(COLUMN_NAMES)
    assert {name: kind.replace("TIMESTAMP_LTZ", "TIMESTAMPLTZ") for name, kind in selected} == {
        name: kind.replace("_", "") for name, kind in types.items()
    }
    assert re.findall(r"TO_VARIANT\((\w+)\)\) AS \1\b", text) == JSON_COLUMNS
    assert "UPDATE ALL BY NAME" in text
    assert "INSERT ALL BY NAME" in text


def test_bigquery_merges_every_column():
    text = texts("BigQuery")
    assert re.findall(r"IF\((\w+) IS NULL, NULL, .*TO_JSON\(\1\)\)\) AS \1\b", text) == JSON_COLUMNS
    (assignments,) = re.findall(r"UPDATE SET(.+?)WHEN", text, re.DOTALL)
    assert re.findall(r"(\w+) = arrived\.\1\b", assignments) == list(COLUMN_NAMES)
    assert "INSERT ROW" in text


def test_redshift_inserts_every_column_by_name():
    (insert,) = (each for each in statements(texts("Redshift"), "redshift") if isinstance(each, exp.Insert))
    assert [column.name for column in insert.this.expressions] == list(COLUMN_NAMES)
    selected = insert.expression.expressions
    assert [(each.find(exp.Column) or each).name for each in selected] == list(COLUMN_NAMES)
    assert [each.find(exp.Column).name for each in selected if isinstance(each, exp.Case)] == JSON_COLUMNS


def test_databricks_copies_every_column():
    (selected,) = re.findall(r"SELECT (.+?)\s+FROM 's3:", texts("Databricks"), re.DOTALL)
    assert tuple(re.split(r",\s+", selected)) == COLUMN_NAMES


def test_postgres_inserts_every_column_from_its_text():
    insert = constant("PostgreSQL", "REPLACE")[-1]
    (parsed,) = statements(insert, "postgres")
    selected = parsed.expression.expressions
    assert [each.find(exp.Column).name for each in selected] == list(COLUMN_NAMES)
    types = created(constant("PostgreSQL", "TABLE").partition(";")[0], "postgres")["honeyhive_events"]
    assert {each.find(exp.Column).name for each in selected if isinstance(each, exp.Anonymous)} == {
        name for name, kind in types.items() if kind == "JSONB"
    }


@pytest.mark.parametrize("section", WAREHOUSES)
def test_tables_in_place_have_every_column_and_the_folders(section):
    (block,) = (block for block in TEMPLATES if (block.section, block.name) == (section, "files.sql"))
    ((_, columns),) = tables_of(section, "files.sql").items()
    folders = {
        "Snowflake": ["window_end", "event_date", "event_type_folder"],
        "BigQuery": ["window_end", "event_date"],
        "Redshift": ["window_folder", "date_folder", "type_folder"],
        "Databricks": ["window_end", "event_date", "event_type"],
    }[section]
    (clause,) = re.findall(r"PARTITION(?:ED BY| BY| COLUMNS) \((.+)\)$", block.text, re.MULTILINE)
    assert re.findall(r"(\w+)(?: \w+(?:\(\d+\))?)?(?:, |$)", clause) == folders
    # Snowflake and Databricks declare folders as columns, too; event_type is one in any case.
    declared = folders if section in {"Snowflake", "Databricks"} else []
    assert set(columns) == {*COLUMN_NAMES, *declared}


# --------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("block", [block for block in TEMPLATES if "{% for file" in block.text], ids=str)
def test_every_file_of_the_export_is_named_once_and_a_thousand_at_a_time(block):
    text = rendered(block, 1001)
    named = re.findall(r"part-\d+-050d6bf28d0b\.parquet", text)
    if block.name == "add.sql":
        assert text.count("ADD IF NOT EXISTS PARTITION") == 1001
        return
    assert named == [f"part-{number:05d}-050d6bf28d0b.parquet" for number in range(1001)]
    lists = re.findall(r"FILES = \((.+?)\)", text, re.DOTALL)
    assert [len(re.findall(r"'([^']+)'", each)) for each in lists] == (
        [] if dialect_of(block) == "bigquery" else [1000, 1]
    )


@pytest.mark.parametrize("block", [block for block in TEMPLATES if "FILES = (" in block.text], ids=str)
def test_files_are_named_relative_to_the_folder_that_is_read(block):
    named = re.findall(r"'(window_end=[^']+)'", rendered(block))
    assert [f"{FOLDERS[0]}{name}" for name in named] == export_of(FOLDERS[0])["files"]
    if dialect_of(block) == "databricks":
        assert f"FROM '{FOLDERS[0]}'" in block.text
    else:
        assert f"URL = '{FOLDERS[0]}'" in PAGE.the("sql", "-- create.sql", section="Snowflake")


@pytest.mark.parametrize("block", [block for block in TEMPLATES if re.search("COPY|LOAD DATA", block.text)], ids=str)
def test_an_export_without_files_copies_nothing(block):
    text = rendered(block, 0)
    assert not re.search(r"^(COPY|LOAD DATA)", text, re.MULTILINE)
    assert re.search(r"^(COPY|LOAD DATA)", rendered(block), re.MULTILINE)


@pytest.mark.parametrize("section", WAREHOUSES)
def test_the_rows_of_the_window_go(section):
    text = texts(section)
    assert re.search(r"start_time >= (?:TIMESTAMP )?'2026-11-22T00:00:00.000Z'", text)
    assert re.search(r"start_time < (?:TIMESTAMP )?'2026-11-23T00:00:00.000Z'", text)
    assert re.search(r"(honeyhive_events|stored)\.event_id = arrived\.event_id", text)


def test_folders_become_the_partitions_of_spectrum():
    text = render(PAGE.the("sql", "-- add.sql", section="Redshift"), export_of(FOLDERS[0], 1))
    assert " ".join(text.split("\n", 1)[1].split()) == (
        "ALTER TABLE spectrum.honeyhive_files ADD IF NOT EXISTS PARTITION ( window_folder = 'window_end=2026-11-23', "
        "date_folder = 'event_date=2026-11-22', type_folder = 'event_type=model' ) "
        "LOCATION 's3://my-bucket/honeyhive/window_end=2026-11-23/event_date=2026-11-22/event_type=model/';"
    )


def test_snowflake_finds_the_folders_in_the_files_names():
    patterns = re.findall(r"METADATA\$FILENAME, '([^']+)'", PAGE.the("sql", "-- files.sql", section="Snowflake"))
    (file,) = export_of("honeyhive/", 1)["files"]
    assert [re.search(pattern, file)[1] for pattern in patterns] == ["2026-11-23", "2026-11-22", "model"]


# ------------------------------------------------------------------------------------------- sources


@pytest.mark.parametrize("section", WAREHOUSES)
def test_every_limit_names_the_vendors_page(section):
    limits = re.findall(r"^- .+$", PAGE.section(section).text, re.MULTILINE)
    assert len(limits) >= 4
    assert [limit for limit in limits if f"]({WAREHOUSES[section][1]}" not in limit] == []
