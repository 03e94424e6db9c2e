"""Where the time of our export goes: samples of what its threads do, by phase.

    python benchmarks/profiling.py RESULT export --project ... (the command line's arguments)

A thread looks at all others every few milliseconds, and books the processor time that each has used since the last
look under the phase it is in. What phase that is, the innermost known line of source says: see ``RULES``.
"""

from __future__ import annotations

import json
import linecache
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from types import FrameType

ROOT = Path(__file__).resolve().parent.parent
INTERVAL_S = 0.002
SHOWN_LINES = 12
IDLE = "idle"
OTHER = "the rest"

#: Phase, what the path of the source file ends with (or has in it), and what its line has in it. The first rule that
#: fits the innermost frame counts; if none does, the frame that called it is looked at.
RULES = tuple(
    (phase, re.compile(path), re.compile(line))
    for phase, path, line in (
        ("start (imports)", r"importlib|/importlib/", ""),
        (IDLE, r"/(threading|queue|selectors)\.py$|concurrent/futures/", ""),
        (IDLE, r"(api/transport|export/(?:slice_queue|threads))\.py$", r"\bwait\("),
        ("receive", r"/(socket|ssl)\.py$|/http/client\.py$|/urllib3/|/requests/", ""),
        ("receive", r"api/(bodies|client|connections|transport)\.py$", r"read1|readinto|_adapter|chunk"),
        ("fsync", "airflow_provider_honeyhive", "fsync"),
        ("join", "airflow_provider_honeyhive", r"\.join\("),
        ("compress", r"formats/(compression|parquet|columns|tokens|values|rows)\.py$", ""),
        ("hash", "airflow_provider_honeyhive", r"sha256|\.update\(|digest"),
        ("decode", r"(api/pages|events/raw)\.py$", ""),
        ("write", r"storage/\w+\.py$", ""),
        ("write", "airflow_provider_honeyhive", r"\.write\("),
        ("walk (seams, ids, slices)", r"reading/\w+\.py$|export/(extract_\w+|slice_queue|threads)\.py$", ""),
        ("blocks (grouping events)", r"export/staging\.py$", ""),
        (
            "publish (files, manifest, checkpoints)",
            r"manifest\.py$|export/(publish|lock|destination|assembly|checkpoint|exporter)\.py$",
            "",
        ),
    )
)


class Sampler(threading.Thread):
    """Samples all threads but itself until stopped."""

    def __init__(self) -> None:
        super().__init__(name="sampler", daemon=True)
        self.cpu: Counter[str] = Counter()
        self.wall: Counter[str] = Counter()
        self.lines: Counter[str] = Counter()
        self._used: dict[int, float] = {}
        self._over = threading.Event()

    def run(self) -> None:
        """Sample."""
        last = time.perf_counter()
        while not self._over.wait(INTERVAL_S):
            now = time.perf_counter()
            frames = sys._current_frames()
            for thread in threading.enumerate():
                if thread is not self and thread.ident in frames and thread.native_id is not None:
                    self._book(frames[thread.ident], thread.native_id, now - last)
            last = now

    def stop(self) -> None:
        """Stop sampling."""
        self._over.set()
        self.join()

    def _book(self, frame: FrameType, thread: int, seconds: float) -> None:
        try:
            used = time.clock_gettime(_clock(thread))
        except OSError:  # it has ended
            return
        phase, line = _phase(frame)
        self.wall[phase] += seconds
        self.cpu[phase] += used - self._used.get(thread, 0.0)
        self.lines[line] += used - self._used.get(thread, 0.0)
        self._used[thread] = used


def _clock(thread: int) -> int:
    # How Linux numbers the clock of a thread's processor time (CPUCLOCK_SCHED | CPUCLOCK_PERTHREAD); asking for the
    # one of a thread that has ended fails, where pthread_getcpuclockid() may crash.
    return ~thread << 3 | 6


def _phase(innermost: FrameType) -> tuple[str, str]:
    """Return the phase that a thread is in, and the line of ours that it is at."""
    frame: FrameType | None = innermost
    shown = ""
    phase = None
    while frame is not None:
        path, number = frame.f_code.co_filename, frame.f_lineno or 0
        line = linecache.getline(path, number).strip()
        if not shown and "/airflow_provider_honeyhive/" in path:
            shown = f"{Path(path).name}: {line}"
        if phase is None:
            phase = next((name for name, where, what in RULES if where.search(path) and what.search(line)), None)
        frame = frame.f_back
    return phase or OTHER, shown or f"{Path(innermost.f_code.co_filename).name} (not ours)"


def measure(command: list[str], environment: dict[str, str]) -> dict[str, Any]:
    """Run ``python -m airflow_provider_honeyhive export ...`` under the sampler, and return what it saw."""
    with tempfile.NamedTemporaryFile() as result:
        arguments = command[command.index("airflow_provider_honeyhive") + 1 :]
        subprocess.run(  # noqa: S603 - a command of ours
            [sys.executable, __file__, result.name, *arguments],
            check=True,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            cwd=ROOT,
        )
        profile: dict[str, Any] = json.loads(Path(result.name).read_text())
    return profile


def main() -> int:
    """Run the command line's export under the sampler."""
    sampler = Sampler()
    begun = time.perf_counter()
    sampler.start()
    sys.path.insert(0, str(ROOT))
    from airflow_provider_honeyhive.cli.main import main as run  # noqa: PLC0415

    code = run(sys.argv[2:])
    wall = time.perf_counter() - begun
    sampler.stop()
    profile = {
        "wall_s": wall,
        "cpu_s": time.process_time(),
        "sampler_s": time.clock_gettime(_clock(sampler.native_id or 0)) if sampler.is_alive() else 0.0,
        "phases": {
            phase: {"cpu_s": sampler.cpu[phase], "wall_s": sampler.wall[phase]}
            for phase in sorted(sampler.wall, key=lambda each: -sampler.cpu[each])
        },
        "lines": dict(sampler.lines.most_common(SHOWN_LINES)),
    }
    Path(sys.argv[1]).write_text(json.dumps(profile))
    return code


if __name__ == "__main__":
    sys.exit(main())
