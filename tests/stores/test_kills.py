"""Several exports to one place at the same time, killed at random moments: what is published is whole all the time."""

from __future__ import annotations

import os
import random
import signal
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.manifest import Manifest, find_problems, locate_manifest
from airflow_provider_honeyhive.storage.paths import open_store
from tests.unit.export.test_exporter import DAY, GENERATED

from .places import make_bucket
from .servers import SMALL_PART
from .test_exports import FOLDER_AND_OBJECT, assert_whole_and_alone

if TYPE_CHECKING:
    from .exporter import Export, Exporter
    from .gate import Gate, Headers
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


class Death:
    """Comes over an export once the store has done a request, before it answers.

    :param gate: of the store.
    :param request: the number of the request, counted from 1, or what is in its target; 0: none.
    """

    def __init__(self, gate: Gate, request: int | str) -> None:
        self.count = 0
        self.export: Export | None = None
        self._request = request
        gate.alter = self._look

    def _look(self, _method: str, target: str, headers: Headers) -> Headers:
        self.count += 1
        if self.count == self._request or (isinstance(self._request, str) and self._request in target):
            while self.export is None:
                time.sleep(0.001)
            self.export.kill()
        return headers


@pytest.mark.parametrize("conn_id", ["s3_small_parts", "gcs", "azure"])
@FOLDER_AND_OBJECT
def test_killed_twice_after_any_request_while_pieces_are_in_the_store_the_retry_is_whole(
    sandbox_with, server_of, conn_id, name, exporter
):
    sandbox = sandbox_with(count=240, **GENERATED)
    place = make_bucket(server_of(conn_id), conn_id)
    expected = sandbox.event_ids(DAY.start, DAY.end)

    def export(request: int | str) -> tuple[int, int]:
        death = Death(place.gate, request)
        with exporter.start(sandbox.url, place, name, part_bytes=SMALL_PART) as death.export:
            return death.export.wait(), death.count

    code, needed = export(0)
    assert code == 0
    # The last requests are those that join and publish: each of them counts.
    numbers = [needed // 3, needed * 2 // 3, *range(needed - 18, needed, 18 // (ROUNDS + 1))]
    for number in numbers:
        place.another_fs().pipe_file(place.key("out/joined-00000-00000-0"), b"a neighbour's")
        assert export(number)[0] == -signal.SIGKILL
        # Once files are put together, before they are published.
        export("commit-")
        assert export(0)[0] == 0
        place.another_fs().rm_file(place.key("out/joined-00000-00000-0"))
        assert_whole_and_alone(place, name, expected)
    place.gate.alter = lambda _method, _target, headers: headers
