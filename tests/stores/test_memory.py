"""An upload and a read hold a bounded number of bytes, however large the file is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from airflow_provider_honeyhive.storage.base import READ_BLOCK, UPLOAD_BLOCK

#: Written in small pieces, and half as much again at once.
SIZE = 80 * 1024**2
#: The driver's own buffer, and the copies of it that go out; what reading needs is less.
MOST = 4 * UPLOAD_BLOCK

MOVE = """
import os, sys, tracemalloc
from airflow.providers.common.compat.sdk import ObjectStoragePath
from airflow_provider_honeyhive.storage.paths import open_store

url, conn_id, size = sys.argv[1], sys.argv[2], int(sys.argv[3])
store = open_store(ObjectStoragePath(url, conn_id=conn_id))
piece, much = os.urandom(1024**2), os.urandom(size // 2)

def move(name, size):
    with store.create(name) as sink:
        for _ in range(size // len(piece)):
            sink.write(piece)
        sink.write(much)
    assert sum(map(len, store.chunks(name))) == size + len(much)

# What the drivers need for themselves.
move("small", 16 * 1024**2)
tracemalloc.start()
move("large", size)
print(tracemalloc.get_traced_memory()[1])
"""


def test_moving_a_large_file_takes_little_memory(place):
    assert READ_BLOCK <= UPLOAD_BLOCK < SIZE / 9
    child = subprocess.run(
        [sys.executable, "-c", MOVE, f"{place.url}/out", place.conn_id, str(SIZE)],
        check=True,
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert int(child.stdout.split()[-1]) < MOST
