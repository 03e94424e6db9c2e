"""A promise says whether it holds, and why it cannot; those about stores look at the worst run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.builds import watching
from benchmarks.promises import PROMISES, Promise
from benchmarks.series import Results
from benchmarks.stores import written

if TYPE_CHECKING:
    from pathlib import Path

GOOD = {
    "store": "s3",
    "parquet": False,
    "concurrency": 4,
    "peak_mb": 100.0,
    "published": 100_000_000,
    "uploaded": 104_000_000,
    "downloaded": 1_000_000,
    "requests": 30,
    "files": 1,
    "files_too_many": 0,
    "error": None,
}


def rows(measured: dict[str, Any]) -> dict[str, list[str]]:
    return {row[0]: row for row in (promise.row(Results({"cases": {}, **measured})) for promise in PROMISES)}


def failed(measured: dict[str, Any]) -> set[str]:
    return {text for text, row in rows(measured).items() if row[3].startswith("**FAIL**")}


def test_a_failure_may_say_why() -> None:
    too_slow = Promise("speed", lambda _: 3.0, most=2)
    assert too_slow.row(Results({"cases": {}}))[3] == "**FAIL**"
    why = Promise("speed", lambda _: 3.0, most=2, unless="The processor has two cores.")
    assert why.row(Results({"cases": {}}))[3] == "**FAIL**: The processor has two cores."


def test_what_was_not_measured_is_neither_kept_nor_broken() -> None:
    assert {row[2] for text, row in rows({}).items() if "store" in text} == {"not measured"}


@pytest.mark.parametrize(
    "changes",
    [
        {"uploaded": 110_000_000},
        {"downloaded": 8_000_000},
        {"requests": 31},
        {"files_too_many": 1},
        {"peak_mb": 151.0},
        {"peak_mb": 301.0, "parquet": True},
        {"error": "an event is missing"},
    ],
    ids=str,
)
def test_one_bad_run_breaks_one_promise(changes: dict[str, Any]) -> None:
    assert not failed({"stores": {"runs": [GOOD]}})
    assert len(failed({"stores": {"runs": [GOOD, {**GOOD, **changes}]}})) == 1


def test_requests_are_promised_for_s3_alone() -> None:
    assert not failed({"stores": {"runs": [{**GOOD, "store": "azure", "requests": 500}]}})


def test_a_long_wait_for_the_manifest_breaks_both_promises_about_it() -> None:
    measured = {"wall_s": 20.0, "tail_s": 1.3, "files": 8, "error": None}
    assert not failed({"overlap": measured})
    assert len(failed({"overlap": {**measured, "tail_s": 2.1}})) == 2


def test_processor_times_are_compared_by_their_medians() -> None:
    assert not failed({"start": {"cpu_s": {"export": [1.3, 9.0, 1.2], "imports": [1.0, 1.0, 1.0]}}})
    assert failed({"start": {"cpu_s": {"export": [1.5], "imports": [1.0]}}})


def test_files_are_counted_in_each_folder(tmp_path: Path) -> None:
    (tmp_path / "_manifest.json").write_text('{"slice_count": 1}')
    for folder, count in (("a", 2), ("b", 4)):
        (tmp_path / folder).mkdir()
        for number in range(count):
            (tmp_path / folder / f"part-{number}.jsonl").write_bytes(b"x" * 10)
    found = written(tmp_path, part=20)
    assert (found["files"], found["slices"], found["files_too_many"]) == (6, 1, 1)
    (tmp_path / "_manifest.json").write_text('{"slice_count": 2}')
    assert written(tmp_path, part=20)["files_too_many"] == 0


def test_builds_are_compared_with_their_own_export() -> None:
    builds = {name: {"wall_s": 10.0, "peak_mb": 1_500.0} for name in ("tables", "dataset", "report")}
    run = {"label": "parquet", "export": {"wall_s": 31.0}, "builds": builds, "error": None}
    assert not failed({"builds": {"runs": [run]}})
    assert len(failed({"builds": {"runs": [{**run, "export": {"wall_s": 29.0}}]}})) == 1
    builds["report"]["peak_mb"] = 2_001.0
    assert len(failed({"builds": {"runs": [run]}})) == 1


def test_memory_is_that_of_all_processes_of_a_command() -> None:
    holder = "x = b'x' * 100_000_000; import time; time.sleep(60)"
    program = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {holder!r}])"
    with subprocess.Popen([sys.executable, "-c", program], start_new_session=True) as process:
        memory: list[int] = []
        try:
            with watching(process.pid, memory):
                while max(memory, default=0) < 100_000:
                    assert process.poll() is None
        finally:
            os.killpg(process.pid, signal.SIGKILL)
    assert len(memory) > 1
