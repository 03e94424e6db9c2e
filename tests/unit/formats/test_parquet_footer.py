"""Whole Parquet files one after the other, and a footer for them all, are one Parquet file to every reader."""

from __future__ import annotations

import io
import random
from typing import TYPE_CHECKING, Any

import duckdb
import pandas
import polars
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import compute
from pyarrow import parquet as pq

from airflow_provider_honeyhive.formats.parquet import SCHEMA, ParquetFile, to_events, to_record_batch
from airflow_provider_honeyhive.formats.parquet_footer import MAGIC, footer_of, joined_footer
from airflow_provider_honeyhive.models.layout import FORMATS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

TYPES = pa.schema(
    [
        pa.field("number", pa.int64()),
        pa.field("name", pa.string()),
        pa.field("names", pa.list_(pa.string())),
        pa.field("text", pa.string()),
        pa.field("time", pa.timestamp("us", tz="UTC")),
        pa.field("flag", pa.bool_()),
    ]
)

GROUP_ROWS = 100


def table_of(numbers: Sequence[int]) -> pa.Table:
    columns: dict[str, list[Any]] = {
        "number": list(numbers),
        "name": [f"name-{number % 7}" if number % 3 else None for number in numbers],
        "names": [[f"child-{child}" for child in range(number % 4)] if number % 5 else None for number in numbers],
        "text": [f"{number} ä " * 300 if number % 2 else None for number in numbers],
        "time": [number * 1_000_000 if number % 11 else None for number in numbers],
        "flag": [bool(number % 2) if number % 13 else None for number in numbers],
    }
    return pa.table(columns, schema=TYPES)


def file_of(table: pa.Table, **settings: Any) -> bytes:
    sink = io.BytesIO()
    pq.write_table(table, sink, row_group_size=GROUP_ROWS, **settings)
    return sink.getvalue()


def joined(files: Sequence[bytes], *, footers: bool = True) -> bytes:
    whole = bytearray()
    parts = []
    for file in files:
        footer = footer_of(file)
        parts.append((footer, len(whole)))
        whole += file if footers else file.removesuffix(footer + file[-8:])
    return bytes(whole) + joined_footer(parts)


def read(data: bytes) -> pa.Table:
    return pq.read_table(io.BytesIO(data))


def tables(count: int) -> list[pa.Table]:
    """Return tables whose numbers count up from one to the next; some of them are empty."""
    made = []
    first = 0
    for number in range(count):
        rows = (250, 0, 1, 100, 30)[number % 5]
        made.append(table_of(range(first, first + rows)))
        first += rows
    return made


COMPRESSIONS = ["none", "snappy", "gzip", "zstd", "lz4", "brotli"]


@pytest.mark.parametrize("count", [1, 2, 40])
@pytest.mark.parametrize("compression", COMPRESSIONS)
@pytest.mark.parametrize("dictionary", [True, False])
def test_every_reader_finds_all_rows_in_order(tmp_path: Path, count: int, compression: str, dictionary: bool) -> None:
    made = tables(count)
    path = tmp_path / "joined.parquet"
    path.write_bytes(joined([file_of(table, compression=compression, use_dictionary=dictionary) for table in made]))
    wanted = pa.concat_tables(made)

    assert pq.read_table(path).equals(wanted)
    assert duckdb.sql(f"SELECT * FROM '{path}'").to_arrow_table().cast(TYPES).equals(wanted)
    assert polars.read_parquet(path).to_arrow().cast(TYPES).equals(wanted)
    assert pandas.read_parquet(path, dtype_backend="pyarrow").equals(wanted.to_pandas(types_mapper=pandas.ArrowDtype))


def test_filters_that_skip_row_groups_find_the_right_rows(tmp_path: Path) -> None:
    made = tables(40)
    path = tmp_path / "joined.parquet"
    path.write_bytes(joined([file_of(table) for table in made]))
    numbers = pa.concat_tables(made)["number"].to_pylist()

    for least in (0, 249, 250, 252, 351, 1000, numbers[-1], numbers[-1] + 1):
        wanted = [number for number in numbers if least <= number < least + 120]
        ends = f"{least} AND {least + 119}"
        rows = duckdb.sql(f"SELECT number, length(text) FROM '{path}' WHERE number BETWEEN {ends}").fetchall()
        assert [number for number, _ in rows] == wanted
        assert all((size is not None) == bool(number % 2) for number, size in rows)
        lazily = polars.scan_parquet(path).filter(polars.col("number").is_between(least, least + 119))
        assert lazily.select("number").collect()["number"].to_list() == wanted
        inside = (compute.field("number") >= least) & (compute.field("number") < least + 120)
        assert pq.read_table(path, columns=["number"], filters=inside)["number"].to_pylist() == wanted


def test_filters_on_a_column_of_a_dictionary_find_the_right_rows(tmp_path: Path) -> None:
    path = tmp_path / "joined.parquet"
    files = [file_of(table_of(range(begin, begin + 200)), use_dictionary=["name"]) for begin in range(0, 2000, 200)]
    path.write_bytes(joined(files))
    wanted = [number for number in range(2000) if number % 7 == 4 and number % 3]

    found = duckdb.sql(f"SELECT number FROM '{path}' WHERE name = 'name-4' ORDER BY number").fetchall()
    assert [number for (number,) in found] == wanted
    assert polars.scan_parquet(path).filter(polars.col("name") == "name-4").collect()["number"].to_list() == wanted
    assert pq.read_table(path, filters=[("name", "=", "name-4")])["number"].to_pylist() == wanted


def test_statistics_and_sizes_of_row_groups_are_those_of_their_files() -> None:
    files = [file_of(table) for table in tables(8)]
    whole = pq.ParquetFile(io.BytesIO(joined(files))).metadata
    single = [pq.ParquetFile(io.BytesIO(file)).metadata for file in files]
    groups = [metadata.row_group(number) for metadata in single for number in range(metadata.num_row_groups)]

    assert whole.num_rows == sum(metadata.num_rows for metadata in single)
    assert whole.num_row_groups == len(groups)
    for number, group in enumerate(groups):
        found = whole.row_group(number)
        assert (found.num_rows, found.total_byte_size) == (group.num_rows, group.total_byte_size)
        for column in range(group.num_columns):
            assert found.column(column).statistics == group.column(column).statistics
            assert found.column(column).total_compressed_size == group.column(column).total_compressed_size


def test_schema_metadata_and_writer_are_the_first_files() -> None:
    files = [file_of(table_of([number]).replace_schema_metadata({"number": str(number)})) for number in range(3)]
    whole = pq.ParquetFile(io.BytesIO(joined(files))).metadata
    first = pq.ParquetFile(io.BytesIO(files[0])).metadata

    assert whole.metadata == first.metadata
    assert whole.metadata[b"number"] == b"0"
    assert whole.created_by == first.created_by
    assert whole.format_version == first.format_version


def test_a_single_file_keeps_its_footer() -> None:
    file = file_of(table_of(range(1000)))

    assert file.endswith(joined_footer([(footer_of(file), 0)]))


def test_joining_what_was_joined_gives_the_same_as_joining_at_once() -> None:
    files = [file_of(table) for table in tables(6)]
    left = joined(files[:3])
    right = joined(files[3:])

    assert read(joined([left, right])).equals(read(joined(files)))


def test_files_without_any_row_group_are_joined() -> None:
    sink = io.BytesIO()
    pq.ParquetWriter(sink, TYPES).close()
    empty = sink.getvalue()
    full = file_of(table_of(range(10)))

    assert read(joined([empty, empty])).equals(table_of([]))
    assert read(joined([empty, full, empty])).equals(table_of(range(10)))


def test_the_files_own_footers_may_be_left_out() -> None:
    made = tables(7)
    files = [file_of(table) for table in made]

    assert read(joined(files, footers=False)).equals(pa.concat_tables(made))
    assert len(joined(files, footers=False)) == len(joined(files)) - sum(len(footer_of(file)) + 8 for file in files)


def test_page_indexes_are_left_out(tmp_path: Path) -> None:
    # They hold offsets, too, and are no part of the footer.
    made = tables(3)
    path = tmp_path / "joined.parquet"
    path.write_bytes(joined([file_of(table, write_page_index=True) for table in made]))

    metadata = pq.ParquetFile(path).metadata
    assert not metadata.row_group(metadata.num_row_groups - 1).column(0).has_offset_index
    assert pq.read_table(path).equals(pa.concat_tables(made))
    assert duckdb.sql(f"SELECT number FROM '{path}' WHERE number = 250").fetchall() == [(250,)]
    assert polars.scan_parquet(path).filter(polars.col("number") == 250).collect().height == 1


def test_bloom_filters_find_their_rows(tmp_path: Path) -> None:
    paths = [tmp_path / f"{number}.parquet" for number in range(4)]
    for number, path in enumerate(paths):
        rows = f"SELECT 'id-' || ((i * 7919 + {number}) % 977) AS id, {number} AS file FROM range(5000) t(i)"
        duckdb.sql(f"COPY ({rows}) TO '{path}' (FORMAT parquet, ROW_GROUP_SIZE 2048)")
    whole = tmp_path / "joined.parquet"
    whole.write_bytes(joined([path.read_bytes() for path in paths]))

    probed = duckdb.sql(f"SELECT count(*) FROM parquet_metadata('{whole}') WHERE bloom_filter_offset IS NOT NULL")
    assert probed.fetchall() != [(0,)]
    for wanted in ("id-3", "id-976", "id-977"):
        inside = f"WHERE id = '{wanted}' GROUP BY file ORDER BY file"
        found = duckdb.sql(f"SELECT file, count(*) FROM '{whole}' {inside}").fetchall()
        assert (
            found == duckdb.sql(f"SELECT file, count(*) FROM read_parquet({list(map(str, paths))}) {inside}").fetchall()
        )


def test_row_groups_beyond_the_greatest_ordinal_have_none() -> None:
    # It is optional, and has sixteen bits. A row group: no columns, and the ordinal.
    begin, group, end = b"\x29\x0c\x16\x00\x19\xfc\x80\x80\x01", b"\x19\x0c\x64\x00\x00", b"\x00"
    whole = joined_footer([(begin + group * 2**14 + end, 0)] * 3)[:-8]

    assert whole.startswith(b"\x29\x0c\x16\x00\x19\xfc\x80\x80\x03" + group)
    assert whole.endswith(b"\x19\x0c\x64\xfe\xff\x03\x00" + b"\x19\x0c\x00" * 2**14 + end)


def test_all_offsets_but_those_that_say_none_are_moved() -> None:
    # Fields 2 to 4: no columns, no rows, and one row group.
    begin, end = b"\x29\x0c\x16\x00\x19\x1c", b"\x00"
    # A column: file_offset, data; of which: the page offsets 9, 10 and 11, and the Bloom filter's, 14.
    column = b"\x19\x1c\x26%c\x1c\x96%c\x16%c\x16%c\x36%c\x00\x00"
    # A row group: its columns, file_offset, ordinal. Numbers are doubled, so that signs have a bit.
    group = column + b"\x46%c\x24%c\x00"

    def moved(*numbers: int) -> bytes:
        return joined_footer([(begin + group % (*numbers, 0) + end, 0), (begin + group % (*numbers, 0) + end, 10)])

    twice = begin[:-1] + b"\x2c"
    numbers = (8, 10, 12, 14, 16, 18)
    later = [number + 20 for number in numbers]
    assert moved(*numbers)[:-8] == twice + group % (*numbers, 0) + group % (*later, 2) + end
    none = (0, 1, 0, 1, 0, 1)
    assert moved(*none)[:-8] == twice + group % (*none, 0) + group % (*none, 2) + end


def test_offsets_beyond_four_gigabytes_are_written() -> None:
    file = file_of(table_of(range(10)))
    begin = 5 * 2**40
    footer = joined_footer([(footer_of(file), begin)])
    before = pq.ParquetFile(io.BytesIO(file)).metadata.row_group(0).column(1)
    after = pq.read_metadata(io.BytesIO(MAGIC + footer)).row_group(0).column(1)

    assert after.data_page_offset == before.data_page_offset + begin
    assert after.dictionary_page_offset == before.dictionary_page_offset + begin


NUMBERS = st.none() | st.integers(-(2**63), 2**63 - 1)
TEXTS = st.none() | st.text(max_size=20)
ROWS = st.lists(st.fixed_dictionaries({"a": NUMBERS, "b": TEXTS, "c": st.none() | st.lists(TEXTS, max_size=3)}))
PLAIN = pa.schema([pa.field("a", pa.int64()), pa.field("b", pa.string()), pa.field("c", pa.list_(pa.string()))])


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(ROWS, st.integers(1, 5), st.sampled_from(COMPRESSIONS)), min_size=1, max_size=6))
def test_any_tables_come_back(parts: list[tuple[list[dict[str, Any]], int, str]]) -> None:
    files = []
    for rows, size, compression in parts:
        sink = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(rows, PLAIN), sink, row_group_size=size, compression=compression)
        files.append(sink.getvalue())
    whole = joined(files)
    wanted = pa.Table.from_pylist([row for rows, _, _ in parts for row in rows], PLAIN)

    assert read(whole).equals(wanted)
    assert polars.read_parquet(io.BytesIO(whole)).to_arrow().cast(PLAIN).equals(wanted)


RAW = [b'{"event_id":"%d","duration":%d,"inputs":{"text":"%s"},"more":[%d]}' % (n, n, b"x" * n, n) for n in range(50)]


@pytest.mark.parametrize("compression", FORMATS["parquet"])
def test_a_file_of_events_knows_its_footer(compression: str) -> None:
    whole = io.BytesIO()
    parts = []
    for part in range(5):
        begin = whole.tell()
        with ParquetFile(whole, compression, {"part": str(part)}) as file:
            for number in range(part):
                batch, _ = to_record_batch(RAW[part * 10 + number * 2 :][:2])
                file.write([batch])
        assert file.footer == footer_of(whole.getvalue()[begin:])
        parts.append((file.footer, begin))
    whole.write(joined_footer(parts))
    found = pq.ParquetFile(whole)

    assert found.schema_arrow.equals(SCHEMA)
    assert found.metadata.metadata == {b"part": b"0"}
    wanted = [RAW[part * 10 + row] for part in range(5) for row in range(part * 2)]
    assert list(to_events(found.read())) == wanted


def test_batches_written_together_are_one_row_group() -> None:
    sink = io.BytesIO()
    with ParquetFile(sink, "zstd", {}) as file:
        file.write([to_record_batch(RAW[first:last])[0] for first, last in ((0, 10), (10, 11), (11, 50))])
    found = pq.ParquetFile(sink)

    assert found.metadata.num_row_groups == 1
    assert list(to_events(found.read())) == RAW
    has_dictionary = {
        name: found.metadata.row_group(0).column(SCHEMA.names.index(name)).has_dictionary_page
        for name in ("event_id", "session_id", "event_type", "inputs")
    }
    assert has_dictionary == {"event_id": False, "session_id": True, "event_type": True, "inputs": False}


def test_a_file_that_failed_has_no_footer() -> None:
    file = ParquetFile(io.BytesIO(), "zstd", {})
    with pytest.raises(OSError, match="full"), file:
        raise OSError("full")

    assert file.footer == b""


def test_nothing_to_join_is_refused() -> None:
    with pytest.raises(ValueError, match="no Parquet file"):
        joined_footer([])


def test_other_columns_are_refused() -> None:
    one = file_of(table_of([1]))
    other = file_of(table_of([1]).rename_columns(["other", *TYPES.names[1:]]))

    with pytest.raises(ValueError, match="schemas"):
        joined([one, other])


def test_encrypted_columns_are_refused() -> None:
    # A plain footer's field 8 says how the columns are encrypted: here, an empty structure.
    footer = footer_of(file_of(table_of([1])))
    encrypted = footer[:-1] + b"\x1c\x00" + b"\x00"

    with pytest.raises(ValueError, match="encrypted"):
        joined_footer([(encrypted, 0)])
    # Else a column says so: its field 8, or 9 in place of its data.
    for column in (b"\x8c\x00\x00", b"\x98\x01x\x00"):
        with pytest.raises(ValueError, match="encrypted"):
            joined_footer([(b"\x29\x0c\x16\x00\x19\x1c\x19\x1c" + column + b"\x00\x00", 0)])


def test_unknown_fields_are_kept() -> None:
    footer = footer_of(file_of(table_of([1])))
    # Field 100 of every kind: its number does not fit beside the kind.
    values = {
        1: b"",
        2: b"",
        3: b"\x07",
        4: b"\x81\x01",
        7: b"12345678",
        8: b"\x03abc",
        9: b"\x31\x01\x02\x01",
        10: b"\x18\x01x",
        11: b"\x01\x85\x01x\x02",
        12: b"\x11\x00",
        13: b"0123456789abcdef",
    }
    for kind, value in values.items():
        more = footer[:-1] + bytes([kind]) + b"\xc8\x01" + value + b"\x00"
        assert joined_footer([(more, 0)])[:-8] == more


@pytest.mark.parametrize(
    ("tail", "message"),
    [
        (b"", "not the end"),
        (b"PAR1", "not the end"),
        (b"\x00\x00\x00\x00PARE", "not the end"),
        (b"abc\x04\x00\x00\x00PAR1", "has 4 bytes, but only 3"),
        (b"abc\xff\xff\xff\xffPAR1", "has 4294967295 bytes"),
    ],
)
def test_what_is_no_end_of_a_file_is_refused(tail: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        footer_of(tail)


def test_a_footer_that_ends_too_soon_or_too_late_is_refused() -> None:
    footer = footer_of(file_of(table_of(range(110))))

    for size in range(len(footer)):
        with pytest.raises(ValueError, match="damaged"):
            joined_footer([(footer[:size], 0)])
    with pytest.raises(ValueError, match="damaged"):
        joined_footer([(footer + b"\x00", 0)])


HOSTILE = {
    "a list of many elements": b"\x29\xfc\xff\xff\xff\xff\x0f",
    "a list of many booleans": b"\x29\xf1\xff\xff\xff\xff\x0f",
    "a map of many pairs": b"\x1b\xff\xff\xff\xff\x0f\x55",
    "a text that is longer than everything": b"\x18\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a number without an end": b"\x16" + b"\xff" * 1000,
    "structures in structures": b"\x1c" * 100_000,
    "lists in lists": b"\x19" * 100_000,
    "maps in maps": b"\x1b" + b"\x01\xbb" * 100_000,
    "a kind that there is not": b"\x1e\x00",
    "an empty structure": b"\x00",
}


@pytest.mark.parametrize("footer", HOSTILE.values(), ids=HOSTILE)
def test_hostile_footers_are_refused(footer: bytes) -> None:
    with pytest.raises(ValueError, match="damaged"):
        joined_footer([(footer, 0)])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(footer: bytes) -> None:
    with pytest.raises(ValueError, match="damaged|encrypted"):
        joined_footer([(footer, 0)])


def test_a_damaged_footer_is_refused_or_stays_a_footer_of_its_size() -> None:
    footer = footer_of(file_of(table_of(range(10))))
    chance = random.Random(16)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(footer)
        for _ in range(chance.randint(1, 4)):
            damaged[chance.randrange(len(damaged))] = chance.randrange(256)
        try:
            found = joined_footer([(bytes(damaged), 10)])
        except ValueError:
            refused += 1
        else:
            assert len(found) < 2 * len(footer)
    assert 0 < refused < 2000
