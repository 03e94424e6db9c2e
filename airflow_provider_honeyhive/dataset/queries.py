"""The SQL of a dataset, a file each."""

from __future__ import annotations

from hashlib import sha256
from importlib.resources import files
from typing import TYPE_CHECKING

from airflow_provider_honeyhive import dataset, tables

if TYPE_CHECKING:
    import duckdb


def sql(name: str) -> str:
    """Return the text of ``sql/<name>.sql``."""
    return files(dataset).joinpath("sql", f"{name}.sql").read_text("utf-8")


def sql_version() -> str:
    """Return the SHA-256 of all SQL that datasets are made by."""
    digest = sha256()
    for package in (tables, dataset):
        for file in sorted(files(package).joinpath("sql").iterdir(), key=lambda file: file.name):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """Return the only number of a query."""
    ((number,),) = connection.execute(query).fetchall()
    return int(number)
