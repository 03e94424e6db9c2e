"""What was compressed comes back, in pieces that stay small however far they expand."""

from __future__ import annotations

import gzip
import random
import zlib

import pytest
import zstandard

from airflow_provider_honeyhive.formats import compression
from airflow_provider_honeyhive.formats.compression import DECOMPRESS, PIECE_BYTES
from airflow_provider_honeyhive.models.layout import FORMATS

COMPRESS = {"none": bytes, "gzip": gzip.compress, "zstd": zstandard.ZstdCompressor().compress}
TEXT = bytes(random.Random(1).choices(b"abc\n", k=300_000))


def chunks(data: bytes, size: int) -> list[bytes]:
    return [data[start : start + size] for start in range(0, len(data), size)]


def test_every_compression_has_its_way_back():
    # Parquet's are inside of the file, where its reader takes care of them.
    of_files = {name for format_, names in FORMATS.items() for name in names if format_ != "parquet"}
    assert of_files == set(DECOMPRESS) == set(COMPRESS)


@pytest.mark.parametrize("size", [1, 7, 4096, 10**9])
@pytest.mark.parametrize("compression", DECOMPRESS)
def test_members_that_follow_each_other_come_back_whole(compression, size):
    compress = COMPRESS[compression]
    pieces = [TEXT[:10], TEXT[10:20_000], b"", TEXT[20_000:40_000]]
    data = b"".join(map(compress, pieces))
    assert b"".join(DECOMPRESS[compression](chunks(data, size))) == TEXT[:40_000]


@pytest.mark.parametrize("with_isal", [True, False])
def test_blocks_come_back_whoever_compresses_them(with_isal, monkeypatch):
    if with_isal:
        pytest.importorskip("isal", reason="no wheel of ISA-L for this machine")
    monkeypatch.setattr(compression, "_ISAL", compression._isal() if with_isal else None)
    data = b"".join(map(compression.COMPRESS["gzip"], (TEXT, b"", TEXT[:10])))
    assert data[3:8] == bytes(5)  # no name of a file, no time
    assert gzip.decompress(data) == TEXT + TEXT[:10]


@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_a_piece_stays_small_however_far_it_expands(compression):
    data = COMPRESS[compression](bytes(64 * PIECE_BYTES))
    sizes = [len(piece) for piece in DECOMPRESS[compression]([data])]
    assert sum(sizes) == 64 * PIECE_BYTES
    assert max(sizes) <= PIECE_BYTES


@pytest.mark.parametrize("harm", [lambda data: b"x" + data[1:], lambda data: data + b"garbage"], ids=["begin", "end"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_broken_bytes_are_an_error(compression, harm):
    with pytest.raises((ValueError, zlib.error, zstandard.ZstdError)):
        list(DECOMPRESS[compression]([harm(COMPRESS[compression](TEXT))]))


@pytest.mark.parametrize("left", [5, 1_000, -1])
def test_gzip_that_is_cut_short_is_an_error(left):
    with pytest.raises(ValueError, match="in the middle"):
        list(DECOMPRESS["gzip"]([gzip.compress(TEXT)[:left]]))
