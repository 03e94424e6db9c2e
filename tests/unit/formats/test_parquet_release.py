"""A Parquet file lets go of what it was written to: pyarrow holds that where Python's collector does not look."""

from __future__ import annotations

import gc
import io
import weakref

import pytest

from airflow_provider_honeyhive.formats.parquet import ParquetFile, to_record_batch


class Sink(io.BytesIO):
    """Refers to the file that writes into it, as the open file of an export does."""

    file: ParquetFile


@pytest.mark.parametrize("ends", ["closed", "thrown away"])
def test_a_file_that_has_ended_keeps_its_sink_no_longer(ends):
    sink = Sink()
    sink.file = ParquetFile(sink, "zstd", {})
    sink.file.write([to_record_batch([b'{"event_id":"a"}'])[0]])
    sink.file.close() if ends == "closed" else sink.file.discard()
    seen = weakref.ref(sink)
    del sink
    gc.collect()
    assert seen() is None
