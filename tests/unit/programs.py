"""Programs in Python processes of their own, in which nothing has been imported yet."""

from __future__ import annotations

import json
import subprocess
import sys


def last_line_of(program: str, *arguments: str) -> str:
    """Run a program to its end, in which it must not fail; return the last line that it prints."""
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.splitlines()[-1]


def modules_loaded_by(program: str, after: str = "") -> set[str]:
    """Return the modules that a program loads besides those that other statements, run before it, have loaded."""
    loading = f"import json, sys\n{after}\nbefore = set(sys.modules)\n{program}\n"
    return set(json.loads(last_line_of(f"{loading}print(json.dumps(sorted(set(sys.modules) - before)))")))
