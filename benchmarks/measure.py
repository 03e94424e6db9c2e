"""Run one command and write what it took: wall time, processor time and peak memory, children included.

A program of its own, and a small one, because Linux counts the memory of the process that starts a command towards
the peak of the command. What can be measured so begins at this program's own size, about 9 MB.

    python -I -S measure.py RESULT COMMAND...
"""

import json
import os
import sys
import time


def main() -> None:
    """Measure the command, which gets this program's output and environment."""
    result, command = sys.argv[1], sys.argv[2:]
    begun = time.perf_counter()
    process = os.posix_spawnp(command[0], command, os.environ)
    _, status, usage = os.wait4(process, 0)
    measured = {
        "wall_s": time.perf_counter() - begun,
        "user_s": usage.ru_utime,
        "system_s": usage.ru_stime,
        "peak_mb": usage.ru_maxrss * 1024 / 1e6,
        "exit_code": os.waitstatus_to_exitcode(status),
    }
    with open(result, "w", encoding="utf-8") as file:
        json.dump(measured, file)


main()
