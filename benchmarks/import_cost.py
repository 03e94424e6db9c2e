"""What the provider costs where DAG files are parsed: the import of its modules, and its example DAGs.

Each measurement is a fresh interpreter that first imports what any DAG file has imported already (the base class,
from Airflow), then measures what comes on top.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SDK = "airflow.providers.common.compat.sdk"

#: What is imported -> what any DAG file that has such a thing imports anyway.
IMPORTS = {
    "airflow_provider_honeyhive.operators.honeyhive": f"from {SDK} import DAG, BaseOperator",
    "airflow_provider_honeyhive.sensors.honeyhive": f"from {SDK} import DAG, BaseSensorOperator",
    "airflow_provider_honeyhive.triggers.honeyhive": "from airflow.triggers.base import BaseTrigger",
    "airflow_provider_honeyhive.hooks.honeyhive": f"from {SDK} import BaseHook",
}
#: What none of them may load.
HEAVY = ("msgspec", "requests", "pydantic", "tenacity", "pyarrow", "zstandard", "isal")

IMPORT = """
import json, sys, time
begun = time.perf_counter()
{base}
middle = time.perf_counter()
before = set(sys.modules)
import {module}
end = time.perf_counter()
top = lambda names: {{name.partition(".")[0] for name in names}}
new = top(sys.modules) - top(before)
packages = sorted(new - sys.stdlib_module_names)
print(json.dumps({{"base_s": middle - begun, "own_s": end - middle, "packages": packages}}))
"""

PARSE = """
import json, sys, time
from airflow.dag_processing.dagbag import DagBag
begun = time.perf_counter()
bag = DagBag(sys.argv[1])
seconds = time.perf_counter() - begun
assert not bag.import_errors, bag.import_errors
print(json.dumps({"seconds": seconds, "dags": sorted(bag.dags)}))
"""

EMPTY_DAG = """
from datetime import datetime
from airflow.providers.common.compat.sdk import DAG, task

with DAG("empty", start_date=datetime(2026, 1, 1), schedule=None):
    @task
    def nothing():
        return None

    nothing()
"""


def measure(scratch: Path, runs: int) -> dict[str, Any]:
    """Return medians of import and parse times, in seconds.

    :param scratch: where Airflow may keep its files.
    :param runs: how often each is measured; they alternate.
    """
    samples: dict[str, list[dict[str, Any]]] = {module: [] for module in (*IMPORTS, "empty", "examples")}
    with tempfile.TemporaryDirectory() as empty:
        Path(empty, "empty_dag.py").write_text(EMPTY_DAG)
        for _ in range(runs):
            for module, base in IMPORTS.items():
                samples[module].append(_run(scratch, IMPORT.format(base=base, module=module)))
            samples["empty"].append(_run(scratch, PARSE, empty))
            samples["examples"].append(_run(scratch, PARSE, str(ROOT / "example_dags")))
    return {
        "modules": {
            module: {
                "base_s": _median(samples[module], "base_s"),
                "own_s": _median(samples[module], "own_s"),
                "heavy": [name for name in samples[module][0]["packages"] if name in HEAVY],
                "self_s": _self_time(scratch, module, base),
            }
            for module, base in IMPORTS.items()
        },
        "parse": {
            "empty_s": _median(samples["empty"], "seconds"),
            "examples_s": _median(samples["examples"], "seconds"),
            "dags": samples["examples"][0]["dags"],
        },
    }


def _run(scratch: Path, program: str, *arguments: str, options: tuple[str, ...] = ()) -> dict[str, Any]:
    return json.loads(_python(scratch, program, *arguments, options=options).stdout.splitlines()[-1])


def _python(
    scratch: Path, program: str, *arguments: str, options: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    # Without bytecode, say, each measurement would compile our modules, too.
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environment |= {"AIRFLOW_HOME": str(scratch / "airflow"), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
    return subprocess.run(  # noqa: S603 - programs from this file
        [sys.executable, *options, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env=environment,
    )


def _self_time(scratch: Path, module: str, base: str) -> float:
    """Return the seconds that the provider's own modules take, by ``-X importtime``."""
    report = _python(scratch, f"{base}\nimport {module}", options=("-X", "importtime")).stderr
    lines = re.findall(r"import time: +(\d+) \| +\d+ \| +airflow_provider_honeyhive", report)
    return sum(map(int, lines)) / 1e6


def _median(samples: list[dict[str, Any]], key: str) -> float:
    return statistics.median(sample[key] for sample in samples)
