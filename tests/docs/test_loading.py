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

from airflow_provider_honeyhive.export.result import MOST_FILES_LISTED
from airflow_provider_honeyhive.formats.columns import COLUMN_NAMES, COLUMNS, Kind

from .documents import Document, code, render

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
DATABASES = {
    "PostgreSQL": ("postgres", {Kind.STRING: "text", Kind.TIME: "timestamptz", Kind.NUMBER: "double precision"}),
    "DuckDB": ("duckdb", {Kind.STRING: "VARCHAR", Kind.TIME: "TIMESTAMPTZ", Kind.NUMBER: "DOUBLE"}),
}
NESTED = {"PostgreSQL": ("jsonb", "jsonb"), "DuckDB": ("VARCHAR[]", "JSON")}
#: The variables of ``create.sql``, in the order of the table's columns.
VARIABLES = ("table", "text", "time", "number", "list", "json")


def export_of(folder: str, count: int = 2) -> dict[str, Any]:
    """Return what the operator returns for an export of so many files."""
    place = f"{folder}date=2026-11-22"
    return {
        "output_path": place,
        "files": [f"{place}/part-{number:05d}-050d6bf28d0b.parquet" for number in range(count)],
        "file_count": count,
        "start_time": "2026-11-22T00:00:00.000Z",
        "end_time": "2026-11-23T00:00:00.000Z",
    }


def load_of(section: str, count: int = 2) -> str:
    """Return a warehouse's statements as a task renders them."""
    text = PAGE.the("sql", f"-- {section.lower()}/load.sql\n", section=section)
    return render(text, export_of(FOLDERS[section == "BigQuery"], count))


def create_of(section: str) -> str:
    """Return ``create.sql`` with a warehouse's row of the table."""
    text = PAGE.the("sql", "-- create.sql\n")
    cells = [code(cell) for cell in values(section)]
    said = re.search(r"{% set (.+?) =\s+(.+?) %}", text, re.DOTALL)
    assert tuple(said[1].split(", ")) == VARIABLES
    if section == "Snowflake":
        assert list(ast.literal_eval(said[2])) == cells
    own = f"{{% set {said[1]} = {cells!r} %}}"
    return render(text.replace(said[0], own), export_of(FOLDERS[0]))


def values(section: str) -> list[str]:
    ((_, *rows),) = PAGE.tables("", *(f"`{name}`" for name in VARIABLES))
    (row,) = (row for row in rows if row[0] == section)
    return row[1:7]


def statements(text: str, dialect: str) -> list[exp.Expression]:
    return [parsed for parsed in sqlglot.parse(text, read=dialect) if parsed is not None]


def created(text: str, dialect: str) -> dict[str, str]:
    """Return the columns of the one table that statements make: names and types, as the dialect writes these."""
    (table,) = (
        parsed.this
        for parsed in statements(text, dialect)
        if isinstance(parsed, exp.Create) and isinstance(parsed.this, exp.Schema) and parsed.kind == "TABLE"
    )
    columns = [column for column in table.expressions if isinstance(column, exp.ColumnDef)]
    return {column.name: column.kind.sql(dialect) for column in columns}


def constant(section: str, name: str) -> Any:
    """Return a value that the section's Python block gives a name."""
    for node in ast.parse(PAGE.the("python", f"\n{name} = ", section=section)).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise AssertionError(name)


# ---------------------------------------------------------------------------------------- statements


@pytest.mark.parametrize("section", WAREHOUSES)
@pytest.mark.parametrize("count", [0, 1, 1000])
def test_every_statement_is_one_of_its_dialect(section, count, caplog):
    dialect, _ = WAREHOUSES[section]
    for text in (create_of(section), load_of(section, count)):
        with caplog.at_level(logging.WARNING, "sqlglot"):
            parsed = statements(text, dialect)
        assert [statement.sql() for statement in parsed if isinstance(statement, exp.Command)] == []
        assert caplog.messages == []
        parts = [sqlparse.format(part, strip_comments=True).strip(" ;\n") for part in sqlparse.split(text)]
        if section != "BigQuery":  # whose operator takes a script
            assert len(list(filter(None, parts))) == len(parsed)


def test_every_block_of_sql_is_looked_at():
    names = [block.name for block in PAGE.snippets("sql")]
    assert names == ["create.sql", *(f"{section.lower()}/load.sql" for section in WAREHOUSES)]


@pytest.mark.parametrize("section", WAREHOUSES)
def test_every_warehouse_names_the_vendors_page(section):
    text = PAGE.text.partition(f"\n### {section}\n")[2].partition("\n### ")[0]
    links = re.findall(r"\]\((https://[^)]+)\)|(https://docs\S+)", text)
    assert any(link.startswith(WAREHOUSES[section][1]) for link, _ in links)


# ------------------------------------------------------------------------------------------- columns


@pytest.mark.parametrize("section", WAREHOUSES)
def test_a_warehouses_table_has_the_columns_of_the_files_with_the_types_of_its_row(section):
    dialect, _ = WAREHOUSES[section]
    _, text, time, number, listed, json = map(code, values(section))
    kinds = {Kind.STRING: text, Kind.TIME: time, Kind.NUMBER: number, Kind.STRINGS: listed, Kind.JSON: json}
    # As long as it likes, unlike ids and names.
    wanted = {column.name: json if column.name == "error" else kinds[column.kind] for column in COLUMNS}
    found = created(create_of(section), dialect)
    assert found == {name: exp.DataType.build(kind, dialect).sql(dialect) for name, kind in wanted.items()}
    assert tuple(found) == COLUMN_NAMES


@pytest.mark.parametrize("section", DATABASES)
def test_a_databases_table_has_the_columns_of_the_files(section):
    dialect, kinds = DATABASES[section]
    listed, json = NESTED[section]
    kinds = kinds | {Kind.STRINGS: listed, Kind.JSON: json}
    found = created(constant(section, "TABLE").partition(";")[0], dialect)
    assert found == {column.name: exp.DataType.build(kinds[column.kind], dialect).sql(dialect) for column in COLUMNS}
    assert tuple(found) == COLUMN_NAMES


def test_snowflake_copies_every_column_in_its_type():
    selected = re.findall(r"\$1:(\w+)::(\w+)", load_of("Snowflake"))
    assert tuple(name for name, _ in selected) == COLUMN_NAMES
    types = {name: exp.DataType.build(kind, "snowflake").sql("snowflake") for name, kind in selected}
    assert types == created(create_of("Snowflake"), "snowflake")


def test_databricks_copies_every_column():
    (selected,) = re.findall(r"SELECT (event_id.+?)\s+FROM 's3:", load_of("Databricks"), re.DOTALL)
    assert tuple(re.split(r",\s+", selected)) == COLUMN_NAMES


def test_postgres_inserts_every_column_from_its_text():
    insert = constant("PostgreSQL", "REPLACE")[-1]
    (parsed,) = statements(insert, "postgres")
    selected = parsed.expression.expressions
    assert [each.find(exp.Column).name for each in selected] == list(COLUMN_NAMES)
    types = created(constant("PostgreSQL", "TABLE").partition(";")[0], "postgres")
    assert {each.find(exp.Column).name for each in selected if isinstance(each, exp.Anonymous)} == {
        name for name, kind in types.items() if kind == "JSONB"
    }


# --------------------------------------------------------------------------------------------- files


@pytest.mark.parametrize("section", [name for name in WAREHOUSES if name != "Redshift"])
def test_every_file_of_the_export_is_named_once(section):
    folder = FOLDERS[section == "BigQuery"]
    files = export_of(folder, 3)["files"]
    said = re.findall(r"'([^']+\.parquet)'", load_of(section, 3))
    assert said == (files if section == "BigQuery" else [file.removeprefix(folder) for file in files])


@pytest.mark.parametrize("section", [name for name in WAREHOUSES if name != "Redshift"])
def test_corrections_are_loaded_too(section):
    folder = FOLDERS[section == "BigQuery"]
    correction = f"{folder}date=2026-11-22/_corrections/reason=late/part-00002-31d4a018b66a.parquet"
    text = PAGE.the("sql", f"-- {section.lower()}/load.sql\n", section=section)
    for count in (0, 2):
        rendered = render(text, export_of(folder, count) | {"correction_files": [correction]})
        assert correction.removeprefix("s3://my-bucket/honeyhive/") in rendered


def test_files_are_named_relative_to_the_folder_that_is_read():
    assert f"URL = '{FOLDERS[0]}'" in PAGE.text
    assert f"FROM '{FOLDERS[0]}'" in load_of("Databricks")


def test_as_many_files_as_a_result_lists_fit_one_statement():
    assert MOST_FILES_LISTED == 1_000
    assert f"at most {MOST_FILES_LISTED:,} `files`" in PAGE.text
    assert PAGE.text.count(f"takes at most {MOST_FILES_LISTED:,} files") == 2


@pytest.mark.parametrize("section", WAREHOUSES)
def test_an_export_without_files_copies_nothing(section):
    assert not re.search(r"^(COPY|LOAD DATA)", load_of(section, 0), re.MULTILINE)
    assert re.search(r"^(COPY|LOAD DATA)", load_of(section), re.MULTILINE)


@pytest.mark.parametrize("section", WAREHOUSES)
def test_the_rows_of_the_window_and_of_the_ids_go(section):
    text = load_of(section)
    assert re.search(r"start_time >= (?:TIMESTAMP )?'2026-11-22T00:00:00.000Z'", text)
    assert re.search(r"start_time < (?:TIMESTAMP )?'2026-11-23T00:00:00.000Z'", text)
    assert re.search(r"\.event_id = arrived\.event_id|event_id IN \(SELECT event_id FROM \S+arrived\)", text)
