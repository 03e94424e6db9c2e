"""Blocks depend on the events alone; what is staged when can be gone on from; what waits becomes few files."""

from __future__ import annotations

import random
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice, pairwise
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export import open_file, staging
from airflow_provider_honeyhive.export.assembly import Assembly
from airflow_provider_honeyhive.export.destination import Destination
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.open_file import FileKind, HeldFile
from airflow_provider_honeyhive.export.slice_queue import Grid
from airflow_provider_honeyhive.export.spool import Spool
from airflow_provider_honeyhive.export.staging import SliceWriter, Staging
from airflow_provider_honeyhive.formats.compression import COMPRESS
from airflow_provider_honeyhive.formats.datafile import problems_of
from airflow_provider_honeyhive.formats.encoder import Block, BlockEncoder, serializer
from airflow_provider_honeyhive.formats.text import Frame, frame
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import INDEX_PARTITION, Layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.window import format_time, from_micros
from airflow_provider_honeyhive.reading.cursor import Batch, Cursor
from airflow_provider_honeyhive.sandbox import Behaviour
from airflow_provider_honeyhive.storage.base import StoredPiece
from airflow_provider_honeyhive.storage.local import LocalStore

from .test_exporter import DAY, DEMO, GENERATED, event_at, ids_of, tree

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


def kind_in(place: Destination, max_file_size: int) -> FileKind:
    return FileKind(place, Frame(), max_file_size)


def staging_in(folder, map_blocks, max_file_size, object_name=None) -> Staging:
    place = Destination(LocalStore(folder), Layout("jsonl", "none", object_name), "of a test")
    encoder = BlockEncoder(lambda raw_events: (b"\n".join(raw_events), {}))
    return Staging(kind_in(place, max_file_size), encoder, map_blocks)


def split(partitions: int, raw_events: list[bytes], times: list[int]) -> list[tuple[bytes, Block]]:
    """The blocks of events whose partitions come in turn."""
    found = []
    for number in range(partitions):
        some = [(raw, time) for raw, time in zip(raw_events, times, strict=True) if time % partitions == number]
        if some:
            data = b"\n".join(raw for raw, _ in some)
            low, high = some[-1][1], some[0][1]
            found.append((data, Block(len(data), len(some), 0, low, high, f"event_type={number}")))
    return found


def in_order(blocks: list[Block]) -> list[Block]:
    return sorted(blocks, key=lambda block: -(block.max_us or 0))


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Give a function that stages batches in a folder, and returns the writer and what it told."""
    with ThreadPoolExecutor(2) as pool:

        def run(folder, given, max_file_size=10**9, upload_block=0, object_name=None, partitions=0):
            monkeypatch.setattr(open_file, "UPLOAD_BLOCK", upload_block)
            told: list = []
            place = staging_in(tmp_path / folder, pool.map, max_file_size, object_name)
            encoded: list = []

            def encode(raw_events, times):
                made = BlockEncoder(lambda some: (b"\n".join(some), {}))(raw_events, times)
                encoded.extend(block for _, block in made)
                return made

            place.encode_block = partial(split, partitions) if partitions else encode
            writer = SliceWriter(
                place,
                0,
                cell=Grid(0, CELL).bounds,
                on_file=lambda position, pending: told.append((len(writer.files), position, list(pending))),
            )
            with writer:
                for batch in given:
                    writer.write(batch)
            return SimpleNamespace(files=writer.files, held=writer.held, encoded=in_order(encoded)), told

        yield run


def test_blocks_are_the_same_whatever_the_batches(stage):
    blocks = []
    for sizes in ([1_000], [1], [7, 300, 64]):
        writer, _ = stage(str(sizes), batches(sizes))
        blocks.append(writer.encoded)
    assert blocks[0] == blocks[1] == blocks[2]
    assert all(block.max_us // CELL == block.min_us // CELL for block in blocks[0])
    assert sum(block.event_count for block in blocks[0]) == 1_000


def test_blocks_end_at_a_number_of_bytes_where_a_cell_is_long(stage):
    writer, _ = stage("long", batches([100]), max_file_size=20_000)
    assert all(block.size_bytes <= 2_100 for block in writer.encoded)
    assert all(0.9 * 20_000 <= file.size_bytes <= 20_000 for file in writer.files[:-1])


@pytest.mark.parametrize("object_name", [None, "one.jsonl"])
@pytest.mark.parametrize("sizes", [[1_000], [50], [3, 200]])
def test_from_each_checkpoint_on_nothing_is_lost_and_nothing_doubled(stage, tmp_path, sizes, object_name):
    writer, told = stage("resumed", batches(sizes), max_file_size=8_000, object_name=object_name)
    assert len(told) >= len(writer.files) - 1 > 3
    for whole, position, pending in told:
        staged = [line for file in writer.files[:whole] for line in lines_of(tmp_path / "resumed" / file.path)]
        assert staged + read_again(position, pending) == [raw for raw, _ in EVENTS]


def read_again(position: Cursor, pending: list) -> list[bytes]:
    """What a retry asks for: everything from the position down, of which it drops what is known."""
    known = set(position.known) - set(pending)
    return [raw for raw, time in EVENTS if time <= position.upper and raw not in known]


@pytest.mark.parametrize("sizes", [[1_000], [50], [3, 200]])
def test_a_checkpoint_of_several_partitions_has_the_files_of_all(stage, tmp_path, sizes):
    writer, told = stage("resumed", batches(sizes), max_file_size=3_000, partitions=3)
    assert len(told) > 1
    for whole, position, pending in told:
        staged = [line for file in writer.files[:whole] for line in lines_of(tmp_path / "resumed" / file.path)]
        assert sorted(staged + read_again(position, pending)) == sorted(raw for raw, _ in EVENTS)
    # Not at the end of each: that would end the files of all the others, too.
    assert len(told) < len(writer.files) / 3


def test_more_partitions_than_files_that_may_be_open_lose_nothing(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "MOST_OPEN_FILES_OF_A_SLICE", 2)
    writer, _ = stage("many", batches([64]), partitions=5)
    staged = [line for file in writer.files for line in lines_of(tmp_path / "many" / file.path)]
    assert sorted(staged) == sorted(raw for raw, _ in EVENTS)
    assert {file.contents.partition for file in writer.files} == {f"event_type={number}" for number in range(5)}


@pytest.mark.parametrize(("readers", "files"), [(1, 32), (4, 32), (8, 16), (64, 2)])
def test_the_more_slices_are_read_at_once_the_fewer_files_each_writes(tmp_path, readers, files):
    one = staging_in(tmp_path, map, 10**9)
    one.readers = readers
    assert one.most_open_files == files


def test_room_for_what_waits_here_is_bounded_and_given_back(tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "MOST_HELD_BYTES", 10)
    monkeypatch.setattr(staging, "BYTES_IN_MEMORY", 2)
    monkeypatch.setattr(staging, "MOST_HELD_FILES", 2)
    one = staging_in(tmp_path, map, 10**9)
    held = [HeldFile(Block(0, 0, 0, None, None), Spool()) for _ in range(2)]
    for file in held:
        file.spool.write(b"1234")
    assert one.may_hold([4, 4])
    assert not one.may_hold([3])
    assert one.may_hold([2])
    one.let_go(held)
    assert not one.may_hold([1] * 9)
    assert one.may_hold([4, 4])
    one.let_go(held)
    monkeypatch.setattr(staging, "MOST_HELD_BYTES", 100)
    assert not one.may_hold([4, 4, 4])
    assert one.may_hold([4, 4, 2])


def test_what_is_less_than_a_part_of_an_upload_waits_here_until_all_has_been_read(stage, tmp_path):
    writer, told = stage("small", batches([64]), upload_block=10**6)
    assert (writer.files, told, tree(tmp_path)) == ([], [], {})
    (held,) = writer.held
    assert held.contents.event_count == 1_000
    assert b"".join(held.chunks()).replace(b"\n", b"") == b"".join(raw for raw, _ in EVENTS)


def test_more_than_may_wait_here_goes_to_the_store(stage, tmp_path, monkeypatch):
    monkeypatch.setattr(staging, "MOST_HELD_BYTES", 10_000)
    writer, _ = stage("small", batches([64]), upload_block=10**6)
    (file,) = writer.files
    assert not writer.held
    assert file.contents.event_count == 1_000


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
        assert whole + read_again(position, pending) == [raw for raw, _ in EVENTS]
    # Only a block that is not whole is read again: one of a cell, which has 28 events at most.
    assert len(whole) >= sum(len(batch.ids) for batch in islice(batches(sizes), given)) - 28


def test_a_file_that_cannot_be_ended_is_thrown_away(stage, tmp_path, monkeypatch):
    failed = []

    def fail(file, *_, **__):
        failed.append(file)  # as an error does, whose traceback leads there
        raise DestinationError("there is no room")

    monkeypatch.setattr(open_file.TextFile, "_stored", fail)
    with pytest.raises(DestinationError):
        stage("out", batches([100]), max_file_size=20_000)
    assert len(failed) == 1
    assert [path for path in (tmp_path / "out").rglob("*") if path.is_file()] == []


def lines_of(path: Path) -> list[bytes]:
    # The blocks of this test have no line break at their ends.
    text = path.read_bytes()
    size = len(EVENTS[0][0])
    return [text.replace(b"\n", b"")[at : at + size] for at in range(0, len(text.replace(b"\n", b"")), size)]


CUTS = [[], [13_000], [20_000, 40_000], [15_000, 16_000, 30_000]]


def shared(stage, tmp_path, number, **how):
    """Stage the events in slices that are cut somewhere, and return what was read, in order."""
    edges = [10**6, *sorted(CUTS[number], reverse=True), 0]
    for high, low in pairwise(edges):
        piece = [(raw, time) for raw, time in EVENTS if low <= time < high]
        if piece:
            writer, _ = stage(f"{number}-{low}", batches([90], piece), **how)
            files = [file.model_copy(update={"path": f"{number}-{low}/{file.path}"}) for file in writer.files]
            yield from [*files, *writer.held]


def assembled(tmp_path, read, layout, max_file_size):
    with ThreadPoolExecutor(2) as pool:
        place = Destination(LocalStore(tmp_path), layout, "of a test")
        return [file.part for file in Assembly(kind_in(place, max_file_size)).run(read, pool)]


@pytest.mark.parametrize("upload_block", [0, 9_000, 10**6])
def test_one_object_is_the_same_however_the_events_were_shared(stage, tmp_path, upload_block):
    found = set()
    for number in range(len(CUTS)):
        read = list(
            shared(stage, tmp_path, number, max_file_size=20_000, upload_block=upload_block, object_name="one.jsonl")
        )
        parts = assembled(tmp_path, read, Layout("jsonl", "none", "one.jsonl"), 20_000)
        assert len(parts) == 1
        found.add((parts[0].sha256, parts[0].event_count, parts[0].size_bytes))
    assert len(found) == 1


def as_event(raw: bytes, time: int) -> bytes:
    return b'{"event_id":"%s","start_time":"%s"}' % (raw, format_time(from_micros(time)).encode())


class JoiningStore(LocalStore):
    """Puts pieces together by itself, as S3 does: of those that are in the store it gives no byte away."""

    joins = True

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.smallest = 10**9

    def join(self, target, pieces):
        parts = []
        for piece in pieces:
            is_stored = isinstance(piece, StoredPiece)
            data = (self._root / piece.name).read_bytes() if is_stored else b"".join(piece.chunks())
            assert len(data) == piece.size_bytes
            if parts and not parts[-1][0] and not is_stored:
                parts[-1] = (False, parts[-1][1] + data)
            else:
                parts.append((is_stored, data))
        self.smallest = min(self.smallest, *(len(data) for _, data in parts[:-1]), 10**9)
        self.put(target, b"".join(data for _, data in parts))

    def chunks(self, name, offset=0, length=None):
        raise AssertionError(f"{name} is read back")


@pytest.mark.parametrize("file_format", ["jsonl", "json", "csv"])
@pytest.mark.parametrize("upload_block", [4_000, 9_000, 10**6])
def test_an_object_that_the_store_puts_together_has_no_small_part_but_the_last(
    stage, tmp_path, monkeypatch, upload_block, file_format
):
    monkeypatch.setattr(open_file, "HELD_BACK_BYTES", 3_000)
    layout = Layout(file_format, "none", f"one.{file_format}")
    found = set()
    for number in range(len(CUTS)):
        store = JoiningStore(tmp_path)
        kind = FileKind(Destination(store, layout, "of a test"), frame(layout), 20_000)
        read = []
        edges = [10**6, *sorted(CUTS[number], reverse=True), 0]
        monkeypatch.setattr(open_file, "UPLOAD_BLOCK", upload_block)
        for at, (high, low) in enumerate(pairwise(edges)):
            piece = [(raw, time) for raw, time in EVENTS if low <= time < high]
            writer = SliceWriter(
                Staging(kind, BlockEncoder(serializer(layout)), map), at, cell=Grid(0, CELL).bounds, is_first=not at
            )
            with writer:
                for batch in batches([90], [(as_event(raw, time), time) for raw, time in piece]):
                    writer.write(batch)
            read += [*writer.files, *writer.held]
        with ThreadPoolExecutor(2) as pool:
            (file,) = Assembly(kind).run(read, pool)
        data = (tmp_path / file.part.path).read_bytes()
        found.add(data)
        assert (len(data), file.part.event_count) == (file.part.size_bytes, 1_000)
        assert list(problems_of(file.part, file_format, "none", [data], None)) == []
        assert store.smallest >= 3_000
    assert len(found) == 1


@pytest.mark.parametrize("max_file_size", [5_000, 30_000])
@pytest.mark.parametrize("upload_block", [0, 9_000, 10**6])
def test_files_have_the_same_events_in_the_same_order_however_these_were_shared(
    stage, tmp_path, upload_block, max_file_size
):
    found = set()
    for number, cuts in enumerate(CUTS):
        read = list(shared(stage, tmp_path, number, max_file_size=max_file_size, upload_block=upload_block))
        parts = assembled(tmp_path, read, Layout("jsonl", "none", None), max_file_size)
        assert all(part.size_bytes <= max_file_size for part in parts)
        least = -(-sum(part.size_bytes for part in parts) // max_file_size)
        # A file is full up to a block.
        assert len(parts) <= 1.15 * least + len(cuts) + 1
        found.add(b"".join((tmp_path / part.path).read_bytes() for part in parts))
    assert len(found) == 1


@pytest.mark.parametrize("is_held", [False, True])
@pytest.mark.parametrize("object_name", [None, "one.parquet"])
def test_checkpoints_keep_footers_of_files_that_are_to_be_joined_and_of_no_others(
    tmp_path, monkeypatch, object_name, is_held
):
    monkeypatch.setattr(open_file, "UPLOAD_BLOCK", 10**6 if is_held else 0)
    layout = Layout("parquet", "zstd", object_name)
    kind = FileKind(Destination(LocalStore(tmp_path), layout, "of a test"), None, 10**6, "zstd")
    held_or_not = Staging(kind, BlockEncoder(serializer(layout)), map)
    writer = SliceWriter(held_or_not, 0, cell=Grid(0, CELL).bounds)
    with writer:
        for batch in batches([64], [(as_event(raw, time), time) for raw, time in EVENTS]):
            writer.write(batch)
    files = [*writer.files, *(held_or_not.store(held, 0, 0, is_first=True) for held in writer.held)]
    assert bool(writer.held) == is_held
    assert [file.footer is not None for file in files] == [object_name is not None]


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
        files = Assembly(kind_in(place, 8_000)).run(writer.files, pool)
    assert [file.part.path for file in files] == [file.path for file in writer.files]
    assert tree(tmp_path / "whole") == before


@pytest.mark.parametrize("compression", COMPRESS)
def test_events_and_their_order_do_not_depend_on_who_read_what(sandbox_with, client_of, tmp_path, compression):
    sandbox = sandbox_with(count=4_000, behaviour=Behaviour(latency=0.005), **GENERATED)
    written = []
    for concurrency, page_size in ((1, 700), (2, 150), (8, 60)):
        options = ExportOptions(
            compression=compression, concurrency=concurrency, page_size=page_size, max_file_size=900_000
        )
        manifest = export_events(client_of(sandbox), DEMO, tmp_path / str(concurrency), options)
        written.append(b"".join((tmp_path / str(concurrency) / part.path).read_bytes() for part in manifest.files))
        manifest = Manifest.read(tmp_path / str(concurrency))
        manifest.verify()
    assert manifest.slice_count > 1
    assert written[0] == written[1] == written[2]


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
