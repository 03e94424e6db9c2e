"""The pages on lineage and on the web interface: the DAG works, what the tables name exists, pictures are small."""

from __future__ import annotations

import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS = Path(__file__).resolve().parents[2] / "docs"
LINEAGE = (DOCS / "lineage.md").read_text(encoding="utf-8")
UI = (DOCS / "ui.md").read_text(encoding="utf-8")
LARGEST_PICTURE = 300_000


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep an Airflow that is imported here away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        if "airflow" not in sys.modules:
            patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
            patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        import airflow  # noqa: F401 - reads its home now

        yield


def test_the_dags_on_the_page_work():
    (block,) = re.findall(r"```python\n(.*?)```", LINEAGE, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, "docs/lineage.md", "exec"), names)  # noqa: S102 - of this repository
    assert names["EVENTS"].name == "honeyhive_events"


def test_the_table_of_facts_is_what_assets_get():
    from airflow_provider_honeyhive.tasks.assets import asset_facts
    from tests.unit.tasks.test_assets import RESULT

    most = replace(RESULT, corrected=(0, 0))
    table = LINEAGE.partition("| Key | Meaning |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(asset_facts(most))


def test_the_form_of_the_link_is_the_one_that_is_made():
    from datetime import UTC, datetime

    from airflow_provider_honeyhive.links.honeyhive import events_url
    from tests.unit.tasks.test_assets import RESULT

    (form,) = re.findall(r"`(\{app_url\}/[^`]+)`", UI)
    made = events_url("https://app", RESULT, datetime(2026, 3, 11, tzinfo=UTC))
    assert made.startswith(form.format(**{"app_url": "https://app", "project id": RESULT.project_id}).rstrip("…"))


def test_the_number_of_files_in_the_log_is_the_one_on_the_page():
    from airflow_provider_honeyhive.tasks.assets import MOST_FILES_SHOWN

    assert f"(at most {MOST_FILES_SHOWN}:" in UI


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_every_picture_is_there_and_small(page):
    for link in re.findall(r"!\[[^\]]+\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        assert (DOCS / link).stat().st_size < LARGEST_PICTURE, link
