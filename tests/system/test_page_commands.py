"""Airflow's own commands as the documentation has them, read by the Airflow that they are for."""

from __future__ import annotations

import shlex

import pytest

from tests.docs.documents import Document

from .running import AIRFLOW_2

#: Command -> whether it is one of Airflow 2.
BACKFILLS = {"airflow backfill create": False, "airflow dags backfill": True}


@pytest.mark.parametrize("begin", BACKFILLS)
def test_the_backfill_of_the_page_is_understood(begin):
    from airflow.cli import cli_parser

    if BACKFILLS[begin] is not AIRFLOW_2:
        pytest.skip("of the other Airflow")
    words = shlex.split(Document("docs/how-to.md").the("bash", begin))

    parsed = cli_parser.get_parser().parse_args(words[1:])

    assert "honeyhive_daily" in vars(parsed).values()
