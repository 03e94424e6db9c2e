"""The page on many workers: its DAG works, its tables are those of the operators, what it names exists."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive import exceptions
from airflow_provider_honeyhive.models.options import MOST_SHARDS

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "scaling.md").read_text(encoding="utf-8")
OPERATORS = ("HoneyHiveSplitWindowOperator", "HoneyHiveCombineExportsOperator")


@pytest.fixture(scope="module", autouse=True)
def airflow_home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep an Airflow that is imported here away from the user's own."""
    with pytest.MonkeyPatch.context() as patch:
        if "airflow" not in sys.modules:
            patch.setenv("AIRFLOW_HOME", str(tmp_path_factory.mktemp("airflow")))
            patch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
        import airflow  # noqa: F401 - reads its home now

        yield


def arguments_in(operator: str) -> dict[str, tuple[Any, str]]:
    """Return default and templating of each argument in an operator's table; ``...``: it must be given."""
    table = PAGE.partition(f"`{operator}`:\n")[2].lstrip("\n").partition("\n\n")[0]
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.splitlines()[2:]]
    return {
        name.strip("`"): (ast.literal_eval(default.strip("`")) if default else ..., templated)
        for name, default, templated, _ in cells
    }


@pytest.mark.parametrize("name", OPERATORS)
def test_the_tables_of_arguments_are_those_of_the_operators(name):
    from airflow_provider_honeyhive.operators import mapped

    operator = getattr(mapped, name)
    signature = inspect.signature(inspect.unwrap(operator.__init__)).parameters.values()
    wanted = {
        parameter.name: (
            ... if parameter.default is parameter.empty else parameter.default,
            "yes" if parameter.name in operator.template_fields else "no",
        )
        for parameter in signature
        if parameter.name not in ("self", "kwargs")
    }
    assert arguments_in(name) == wanted
    assert set(operator.template_fields) <= wanted.keys()
    assert all(f":param {argument}:" in operator.__doc__ for argument in wanted)


def test_the_dag_of_the_page_maps_the_export_between_split_and_combination():
    (snippet,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    namespace: dict[str, Any] = {}
    exec(compile(snippet, "scaling.md", "exec"), namespace)  # noqa: S102 - that is what is tested

    dag = namespace["split"].dag

    assert {id_: task.downstream_task_ids for id_, task in dag.task_dict.items()} == {
        "split": {"export"},
        "export": {"combine"},
        "combine": set(),
    }
    assert dag.task_dict["export"].is_mapped


def test_every_error_and_file_that_is_named_exists():
    errors = set(re.findall(r"`(\w+Error)`", PAGE))
    assert errors
    assert errors <= set(vars(exceptions))
    files = set(re.findall(r"\b((?:example_dags|scripts)/\w+\.py)", PAGE))
    assert files
    assert all((ROOT / file).exists() for file in files)


def test_its_numbers_are_those_of_the_code():
    assert f"1 to {MOST_SHARDS} " in PAGE


def test_its_settings_of_airflow_exist_with_these_defaults():
    import airflow

    text = (Path(airflow.__file__).parent / "config_templates" / "config.yml").read_text()
    for section, option, default in (
        ("scheduler", "task_instance_heartbeat_timeout", "300"),
        ("scheduler", "task_queued_timeout", "600.0"),
        ("core", "max_map_length", "1024"),
    ):
        assert f"[{section}] {option}`" in PAGE
        found = re.search(rf'^{section}:.*?^    {option}:.*?default: "([^"]+)"', text, re.DOTALL | re.MULTILINE)
        assert found, option
        assert found[1] == default


def test_the_scripts_options_are_those_of_the_page():
    script = (ROOT / "scripts" / "celery_export.py").read_text(encoding="utf-8")
    options = set(re.findall(r"celery_export\.py.*?(--\w+)", PAGE)) | set(re.findall(r" (--keep)", PAGE))
    assert options == {"--events", "--keep"}
    assert all(f'"{option}"' in script for option in options)
