"""The rows of a query in batches."""

from __future__ import annotations

import duckdb
import pytest

from airflow_provider_honeyhive.builds.batches import batches
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.exceptions import ExportStoppedError


def test_rows_come_in_batches() -> None:
    sizes = [batch.num_rows for batch in batches(duckdb.connect(), "SELECT unnest(range(1200))", BuildStop())]
    assert sizes == [500, 500, 200]


def test_an_error_in_the_middle_is_one_of_duckdb_without_its_text() -> None:
    query = "SELECT CASE WHEN range < 90000 THEN '' ELSE error('secret') END FROM range(100000)"
    with pytest.raises(duckdb.Error) as caught:
        for _ in batches(duckdb.connect(), query, BuildStop()):
            pass
    assert "secret" not in str(caught.value)


def test_a_build_that_is_to_end_gets_no_more_rows() -> None:
    stop = BuildStop()
    found = batches(duckdb.connect(), "SELECT unnest(range(1200))", stop)
    next(found)
    stop.stop()
    with pytest.raises(ExportStoppedError):
        next(found)
