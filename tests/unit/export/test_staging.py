"""Blocks depend on the events alone; what is staged when can be gone on from; files are put together of blocks."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, pairwise
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.export.assembly import Assembly
from airflow_provider_honeyhive.export.destination import Destination
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.slice_queue import Grid
from airflow_provider_honeyhive.export.staging import SliceWriter, Staging
from airflow_provider_honeyhive.formats.compression import COMPRESS
from airflow_provider_honeyhive.formats.encoder import BlockEncoder
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION, Layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.reading.cursor import Batch, Cursor
from airflow_provider_honeyhive.sandbox import Behaviour
from airflow_provider_honeyhive.storage.local import LocalStore

from .test_exporter import DAY, DEMO, GENERATED, contents, event_at, ids_of, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CELL = 1_000
EVENTS = [(f"event-{number:04d}".encode() * 9, 50_000 - number * 37) for number in range(1_000)]


def batches(sizes: list[int], events: list[tuple[bytes, int]] = EVENTS) -> Iterator[Batch]:
    """The events in batches of these sizes, again and again."""
    at = number = 0
    while at < len(events):
        some = events[at : at + sizes[number % len(sizes)]]
        position = Cursor(upper=some[0][1], known=dict(some))
        yield Batch([raw for raw, _ in some], [time for _, time in some], [raw for raw, _ in some], position)
        at, number = at + len(some), number + 1


def staging_in(folder, map_blocks, max_file_size) -> Staging:
    destination = Destination(LocalStore(folder), Layout("jsonl", "none", None), "of a test")
    encoder = BlockEncoder(lambda raw_events: (b"\n".join(raw_events), {}))
    return Staging(destination, encoder, map_blocks, max_file_size)


@pytest.fixture
def stage(tmp_path):
    """Give a function that stages batches in a folder, and returns the writer and what it told."""
    with ThreadPoolExecutor(2) as pool:

        def run(folder, given, max_file_size=10**9):
            told: list = []
            writer = SliceWriter(
                staging_in(tmp_path / folder, pool.map, max_file_size),
                0,
                cell=Grid(0, CELL).bounds,
                on_file=lambda position, pending: told.append((len(writer.files), position, list(pending))),
            )
            with writer:
                for batch in given:
                    writer.write(batch)
            return writer, told

        yield run


def test_blocks_are_the_same_whatever_the_batches(stage):
    blocks = [stage(str(sizes), batches(sizes))[0].files[0].blocks for sizes in ([1_000], [1], [7, 300, 64])]
    assert blocks[0] == blocks[1] == blocks[2]
    assert all(block.max_us // CELL == block.min_us // CELL for block in blocks[0])
    assert sum(block.event_count for block in blocks[0]) == 1_000


def test_blocks_end_at_a_number_of_bytes_where_a_cell_is_long(stage):
    files = stage("long", batches([100]), max_file_size=20_000)[0].files
    assert all(block.size_bytes <= 2_100 for file in files for block in file.blocks)
    assert all(0.9 * 20_000 <= file.size_bytes <= 20_000 for file in files[:-1])


@pytest.mark.parametrize("sizes", [[1_000], [50], [3, 200]])
def test_from_each_whole_file_on_nothing_is_lost_and_nothing_doubled(stage, tmp_path, sizes):
    writer, told = stage("resumed", batches(sizes), max_file_size=8_000)
    assert len(told) == len(writer.files) - 1 > 3
    for whole, position, pending in told:
        staged = [line for file in writer.files[:whole] for line in lines_of(tmp_path / "resumed" / file.path)]
        # What a retry asks for: everything from the position down, of which it drops what is known.
        known = set(position.known) - set(pending)
        again = [raw for raw, time in EVENTS if time <= position.upper and raw not in known]
        assert staged + again == [raw for raw, _ in EVENTS]


@pytest.mark.parametrize(
    ("sizes", "cell", "max_file_size"),
    [
        ([1_000], CELL, 10**9),
        ([50], CELL, 10**9),
        ([3, 200], CELL, 10**9),
        # Blocks of 22 events, so that batches end where they do.
        ([44], 10**9, 22 * 910),
    ],
)
@pytest.mark.parametrize("given", range(1, 6))
def test_where_reading_breaks_off_whole_blocks_stay_and_nothing_is_lost_or_doubled(
    tmp_path, sizes, cell, max_file_size, given
):
    told: list = []
    writer = SliceWriter(
        staging_in(tmp_path, map, max_file_size),
        0,
        cell=Grid(0, cell).bounds,
        on_file=lambda position, pending: told.append((position, list(pending))),
    )

    def interrupted() -> None:
        with writer:
            for batch in islice(batches(sizes), given):
                writer.write(batch)
            writer.put_down()
            raise InterruptedError

    with pytest.raises(InterruptedError):
        interrupted()

    whole = [line for file in writer.files for line in lines_of(tmp_path / file.path)]
    assert bool(whole) == bool(told)
    assert sorted(tree(tmp_path)) == [file.path for file in writer.files]
    for position, pending in told:
        known = set(position.known) - set(pending)
        again = [raw for raw, time in EVENTS if time <= position.upper and raw not in known]
        assert whole + again == [raw for raw, _ in EVENTS]
    # Only a block that is not whole is read again: one of a cell, which has 28 events at most.
    assert len(whole) >= sum(len(batch.ids) for batch in islice(batches(sizes), given)) - 28


def lines_of(path: Path) -> list[bytes]:
    # The blocks of this test have no line break at their ends.
    text = path.read_bytes()
    size = len(EVENTS[0][0])
    return [text.replace(b"\n", b"")[at : at + size] for at in range(0, len(text.replace(b"\n", b"")), size)]


@pytest.mark.parametrize("max_file_size", [None, 5_000, 30_000])
def test_files_are_the_same_however_the_events_were_shared(stage, tmp_path, max_file_size):
    found = set()
    for number, cuts in enumerate([[], [13_000], [20_000, 40_000], [15_000, 16_000, 30_000]]):
        edges = [10**6, *sorted(cuts, reverse=True), 0]
        staged = []
        for high, low in pairwise(edges):
            piece = [(raw, time) for raw, time in EVENTS if low <= time < high]
            if piece:
                writer, _ = stage(f"{number}-{low}", batches([90], piece), max_file_size or 10**9)
                staged += [file.model_copy(update={"path": f"{number}-{low}/{file.path}"}) for file in writer.files]
        with ThreadPoolExecutor(2) as pool:
            layout = Layout("jsonl", "none", None if max_file_size else "one.jsonl")
            place = Destination(LocalStore(tmp_path), layout, f"{number}")
            files = Assembly(place, max_file_size or 1, {}).run(staged, pool)
            parts = [file.part for file in files]
        found.add(tuple((part.sha256, part.event_count, part.size_bytes) for part in parts))
        assert max_file_size is None or all(part.size_bytes <= max_file_size for part in parts)
        assert len(parts) == 1 or max_file_size
    assert len(found) == 1


def test_no_two_writers_of_a_try_give_a_file_the_same_name(tmp_path):
    layout = Layout("jsonl", "none", None)
    one, other = (Destination(LocalStore(tmp_path), layout, "ab") for _ in range(2))
    assert one.staging == other.staging
    names = [
        {
            place.staged_name(0, 0),
            place.joined_name(0, 0),
            place.aside("again").staging,
            layout.part_name(0, "ab", place.writer),
            layout.part_name(0, "ab", place.writer, INDEX_PARTITION),
        }
        for place in (one, other)
    ]
    assert not names[0] & names[1]
    assert len(names[0]) == 5


def test_a_staged_file_that_is_just_what_is_wanted_is_not_copied(stage, tmp_path):
    writer, _ = stage("whole", batches([64]), max_file_size=8_000)
    before = tree(tmp_path / "whole")
    with ThreadPoolExecutor(1) as pool:
        place = Destination(LocalStore(tmp_path / "whole"), Layout("jsonl", "none", None), "of a test")
        files = Assembly(place, 8_000, {}).run(writer.files, pool)
    assert [file.part.path for file in files] == [file.path for file in writer.files]
    assert tree(tmp_path / "whole") == before


@pytest.mark.parametrize("compression", COMPRESS)
def test_the_bytes_of_an_export_do_not_depend_on_who_read_what(sandbox_with, client_of, tmp_path, compression):
    sandbox = sandbox_with(count=4_000, behaviour=Behaviour(latency=0.005), **GENERATED)
    trees = []
    for concurrency, page_size in ((1, 700), (2, 150), (8, 60)):
        options = ExportOptions(
            compression=compression, concurrency=concurrency, page_size=page_size, max_file_size=900_000
        )
        manifest = export_events(client_of(sandbox), DEMO, tmp_path / str(concurrency), options)
        trees.append(contents(manifest.files))
        manifest = Manifest.read(tmp_path / str(concurrency))
        manifest.verify()
    assert manifest.slice_count > 1
    assert trees[0] == trees[1] == trees[2]


@pytest.mark.parametrize("concurrency", [1, 8])
def test_a_burst_is_shared_among_the_readers(sandbox_with, client_of, tmp_path, concurrency):
    """All but two events lie in ten minutes of the day, which is one reader's slice at first."""
    instants = random.Random(5)
    burst = DAY.start.timestamp() * 1000 + 5 * 3_600_000
    sandbox = sandbox_with(count=0, behaviour=Behaviour(latency=0.02))
    times = [int(burst + instants.random() * 600_000) for _ in range(6_000)]
    sandbox.add(event_at(time, number) for number, time in enumerate(times))
    sandbox.add([event_at(DAY.start, 6_001), event_at(DAY.end.timestamp() * 1000 - 1, 6_002)])
    expected = sandbox.event_ids(DAY.start, DAY.end)
    options = ExportOptions(page_size=100, concurrency=concurrency)
    manifest = export_events(client_of(sandbox), DEMO, tmp_path / "out", options)
    assert sorted(ids_of(tmp_path / "out")) == sorted(expected)
    assert manifest.event_count == len(expected) == 6_002
    if concurrency == 8:
        assert manifest.slice_count > 4
        assert sandbox.peak_in_flight > 4
