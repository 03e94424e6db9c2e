"""An upload and a read hold a bounded number of bytes, however large the file is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from airflow_provider_honeyhive.storage.base import READ_BLOCK, UPLOAD_BLOCK

#: Written in small pieces, and half as much again at once.
SIZE = 80 * 1024**2
#: Blocks go out from a temporary file: drivers copy what they are given at once.
MOST_TO_WRITE = UPLOAD_BLOCK // 2
#: An answer, and the driver's copies of it.
MOST_TO_READ = 4 * READ_BLOCK

MOVE = """
import os, sys, tracemalloc
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_honeyhive.storage.paths import open_store

url, conn_id, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(ObjectStoragePath(url, conn_id=conn_id))
piece, much = os.urandom(1024**2), os.urandom(size // 2)

def write(name, size):
    with store.create(name) as sink:
        for _ in range(size // len(piece)):
            sink.write(piece)
        sink.write(much)

def read(name, size):
    assert sum(map(len, store.chunks(name))) == size + len(much)

# What the drivers need for themselves.
for move in (write, read):
    move("small", 16 * 1024**2)
tracemalloc.start()
peaks = []
for move in (write, read):
    tracemalloc.reset_peak()
    move("large", size)
    peaks.append(tracemalloc.get_traced_memory()[1])
print(*peaks)
"""


def test_moving_a_large_file_takes_little_memory(place):
    assert READ_BLOCK <= UPLOAD_BLOCK < SIZE / 9
    child = subprocess.run(
        [sys.executable, "-c", MOVE, f"{place.url}/out", place.conn_id, str(SIZE)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    written, read = map(int, child.stdout.split()[-2:])
    assert written < MOST_TO_WRITE
    assert read < MOST_TO_READ
