"""What only Azure does: copies that take their time, folders that are blobs, listings by prefix."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage import azure as azure_store
from airflow_provider_honeyhive.storage.paths import open_store

from .places import make_bucket

if TYPE_CHECKING:
    from collections.abc import Iterator

    from airflow_provider_honeyhive.storage.base import Store

    from .places import Place


@pytest.fixture
def bucket(server_of) -> Iterator[Place]:
    place = make_bucket(server_of("azure"), "azure")
    alter = place.gate.alter
    yield place
    place.gate.alter = alter


@pytest.fixture
def store(bucket) -> Store:
    return open_store(bucket.path("out"))


def tell(bucket: Place, statuses: list[str]) -> None:
    """Let the store say these about a copy, one after the other; the last one stays."""

    def alter(method, target, headers):
        if method not in ("PUT", "HEAD") or not target.endswith("/target"):
            return headers
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        return [(name, status if name.lower() == "x-ms-copy-status" else value) for name, value in headers]

    bucket.gate.alter = alter


def looks(bucket: Place) -> int:
    return sum(method == "HEAD" and target.endswith("/target") for method, target in bucket.gate.requests)


def test_a_copy_that_is_only_begun_is_waited_for(store, bucket, monkeypatch):
    monkeypatch.setattr(azure_store, "COPY_POLL_S", 0)
    store.put("source", b"data")
    tell(bucket, ["pending", "pending", "success"])
    before = looks(bucket)
    store.copy("source", "target")
    assert looks(bucket) - before == 2
    assert store.get("target") == b"data"


@pytest.mark.parametrize("status", ["failed", "aborted"])
def test_a_copy_that_fails_later_leaves_nothing(store, bucket, monkeypatch, status):
    monkeypatch.setattr(azure_store, "COPY_POLL_S", 0)
    store.put("source", b"data")
    tell(bucket, ["pending", status])
    with pytest.raises(DestinationError, match=f"cannot write .*/out/target: the copy of .*/out/source {status}"):
        store.copy("source", "target")
    assert store.files() == {"source": 4}


def test_a_folder_that_is_a_blob_is_a_folder_and_can_be_removed(store, bucket):
    # As accounts with a hierarchical namespace have them.
    root = bucket.key("out")
    fs = bucket.another_fs()
    fs.pipe_file(f"{root}/folder/file", b"1")
    for folder in ("folder", "empty"):
        fs.pipe_file(f"{root}/{folder}", b"")
        fs.setxattrs(f"{root}/{folder}", hdi_isfolder="true")
    assert store.files() == {}
    assert sorted(set(store.folders())) == ["empty", "folder"]
    store.remove_folder("empty")
    assert store.folders() != []
    assert "empty" not in store.folders()


def test_a_file_that_has_the_name_of_a_folder_is_not_removed_with_it(store):
    store.put("name", b"1")
    store.put("name/file", b"12")
    store.delete("name/file")
    store.remove_folder("name")
    assert store.files() == {"name": 1}


def test_neighbours_whose_names_begin_alike_are_not_read(store, bucket):
    store.put("file", b"1")
    for number in range(5):
        open_store(bucket.path(f"out-{number}")).put("file", b"1")
    before = len(bucket.gate.requests)
    assert store.files() == {"file": 1}
    assert len(bucket.gate.requests) - before == 1
