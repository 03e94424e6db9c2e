"""Whether a store takes paths as long as an export may make them, which is known before anything is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.formats.encoder import LONGEST_FOLDER, NULL_PARTITION
from airflow_provider_honeyhive.models.layout import CORRECTIONS_FOLDER, REASON_KEY
from airflow_provider_honeyhive.storage.lease import lease_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from airflow_provider_honeyhive.models.layout import Layout
    from airflow_provider_honeyhive.storage.base import Store

#: Stand for ids, digests and numbers.
_WRITER, _DIGEST = "0" * 8, "0" * 64


def check_lengths(store: Store, layout: Layout, partition_by: Sequence[str], *, looks_back: bool) -> None:
    """Refuse a place where the longest names that an export gives would be too long.

    :param store: the folder.
    :param layout: names in it.
    :param partition_by: keys of the folders in it.
    :param looks_back: the export has corrections.
    :raises InvalidArgumentError: one of them would be.
    """
    for name in _longest_names(layout, partition_by, looks_back=looks_back):
        problem = store.length_problem(name)
        if problem is not None:
            raise InvalidArgumentError("output_path", store.url(), f"give a shorter one: {problem}")


def _longest_names(layout: Layout, partition_by: Sequence[str], *, looks_back: bool) -> Iterator[str]:
    yield lease_name(layout.manifest_name)
    yield f"{layout.staging_name(_WRITER, b'')}/joined-{0:07d}-{0:07d}-{_WRITER}"
    # Dates are short, other values are cut.
    folders = [f"{key}={NULL_PARTITION}" if key == "event_date" else "x" * LONGEST_FOLDER for key in partition_by]
    if looks_back:
        folders.insert(0, f"{CORRECTIONS_FOLDER}/{REASON_KEY}=changed")
    yield layout.part_name(0, _DIGEST, _WRITER, "/".join(folders))
