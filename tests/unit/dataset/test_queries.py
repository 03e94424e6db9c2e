"""Rows of a query come in batches, and what fails in the middle shows no value."""

from __future__ import annotations

from airflow_provider_honeyhive.dataset import queries


def test_every_file_of_sql_counts_for_the_version() -> None:
    assert len(queries.sql_version()) == 64
