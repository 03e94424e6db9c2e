"""Several exports to one place at the same time, killed at random moments: what is published is whole all the time."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.manifest import Manifest, find_problems, locate_manifest
from airflow_provider_honeyhive.storage.paths import open_store
from tests.unit.export.test_exporter import DAY, GENERATED

from .test_exports import FOLDER_AND_OBJECT, assert_whole_and_alone

if TYPE_CHECKING:
    from .exporter import Exporter
    from .places import Place

#: How often several exports begin at each place.
ROUNDS = int(os.environ.get("HONEYHIVE_KILL_ROUNDS", "2"))
AT_ONCE = 3
#: Seconds that an export takes, as far as is known before the first one; later ones are measured.
FIRST_TOOK_S = 0.5


def problems(place: Place, name: str) -> list[str]:
    """Return what differs from the published manifest; what others are about to publish does not count."""
    folder, manifest_name = locate_manifest(place.path(name))
    store, data = open_store(folder), None
    while True:
        before, data = data, store.get(manifest_name)
        if data is None:
            return []
        try:
            found = find_problems(Manifest.from_json(data, name), store, manifest_name)
        except DestinationError as error:
            found = [str(error)]
        found = [problem for problem in found if "not in the manifest" not in problem]
        # Another manifest may have been published meanwhile.
        if not found or before == data:
            return found


def kill_some(exporter: Exporter, url: str, place: Place, name: str, draw: random.Random, took: float) -> list[int]:
    """Begin several exports, kill most of them, and return how all of them ended."""
    with ExitStack() as stack:
        exports = [stack.enter_context(exporter.start(url, place, name)) for _ in range(AT_ONCE)]
        begun = time.monotonic()
        for export, after in zip(exports, sorted(draw.uniform(0, 2 * took) for _ in exports), strict=True):
            time.sleep(max(0, begun + after - time.monotonic()))
            export.kill()
            if "." not in name:
                assert problems(place, name) == []
        return [export.wait() for export in exports]


@FOLDER_AND_OBJECT
def test_whoever_is_killed_whenever_one_export_is_whole_and_the_last_one_leaves_nothing_else(
    sandbox_with, place, name, exporter
):
    sandbox = sandbox_with(count=600, **GENERATED)
    draw, took, ends = random.Random(f"{place.conn_id} {name}"), FIRST_TOOK_S, []
    for _ in range(ROUNDS):
        ends += kill_some(exporter, sandbox.url, place, name, draw, took)
        if "." not in name:
            assert problems(place, name) == []
        begun = time.monotonic()
        with exporter.start(sandbox.url, place, name) as last:
            assert last.wait() == 0
        took = time.monotonic() - begun
        assert_whole_and_alone(place, name, sandbox.event_ids(DAY.start, DAY.end))
        assert place.uploads() == []
        sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:20])
    assert -signal.SIGKILL in ends
