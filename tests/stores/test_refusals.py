"""A store that refuses, or is not there: the error says what could not be done and where, and no secret."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError
from airflow_provider_honeyhive.storage import object_store as fsspec_store
from airflow_provider_honeyhive.storage import s3 as s3_store
from airflow_provider_honeyhive.storage.paths import open_store

from .places import Place
from .servers import AzureBlobStorage
from .test_contract import BLOCK, LARGE

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.storage.base import Store


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fsspec_store, "UPLOAD_BLOCK", BLOCK)
    monkeypatch.setattr(s3_store, "_BLOCKS_IN_A_PART", 1)


def create(store: Store) -> None:
    with store.create("file") as sink:
        sink.write(LARGE)


#: By what the error says.
WRITES: list[tuple[str, str, Callable[[Store], object]]] = [
    ("create", "(create|write)", create),
    ("put", "write", lambda store: store.put("file", b"new")),
    ("copy", "write", lambda store: store.copy("source", "file")),
    ("delete", "delete", lambda store: store.delete("file")),
]
READS: list[tuple[str, str, Callable[[Store], object]]] = [
    ("get", "read", lambda store: store.get("file")),
    ("read", "read", lambda store: store.read("file")),
    ("newest", "list", lambda store: store.newest()),
    ("chunks", "read", lambda store: list(store.chunks("file"))),
    ("files", "list", lambda store: store.files()),
]


@pytest.mark.parametrize(("what", "verb", "act"), WRITES, ids=[what for what, *_ in WRITES])
def test_a_refused_write_is_told_and_changes_nothing(bucket, what, verb, act):
    store = open_store(bucket.path("out"))
    for name in ("source", "file"):
        store.put(name, b"earlier")
    before = bucket.files()
    bucket.gate.refuse(1)
    with pytest.raises(
        DestinationAccessError, match=f"(?s)^access denied: .*\ncannot {verb} {bucket.url}/out/file: "
    ) as caught:
        act(store)
    bucket.gate.let_all_through()
    assert bucket.files() == before
    assert bucket.server.secret not in str(caught.value)


@pytest.mark.parametrize("before", [None, b"earlier"], ids=["absent", "present"])
def test_a_refused_swap_of_what_has_not_changed_is_no_lost_one(bucket, before):
    store = open_store(bucket.path("out"))
    if before is not None:
        store.put("file", before)
    _, version = store.read("file")
    assert store.can_swap()
    files = bucket.files()
    bucket.gate.refuse(1)
    with pytest.raises(DestinationAccessError, match=f"cannot write {bucket.url}/out/file: ") as caught:
        store.swap("file", b"mine", version)
    bucket.gate.let_all_through()
    assert bucket.files() == files
    assert bucket.server.secret not in str(caught.value)


@pytest.mark.parametrize("lost", [1, 1000], ids=["once", "for good"])
@pytest.mark.parametrize("before", [None, b"earlier"], ids=["absent", "present"])
def test_a_swap_whose_answer_is_lost_was_done(bucket, drivers_do_not_wait, before, lost):
    store = open_store(bucket.path("out"))
    if before is not None:
        store.put("file", before)
    _, version = store.read("file")
    assert store.can_swap()
    bucket.gate.lose_answers(lost)
    assert store.swap("file", b"mine", version)
    bucket.gate.let_all_through()
    assert bucket.files() == {"out/file": b"mine"}
    assert not store.swap("file", b"other", version)


@pytest.mark.parametrize("step", [1, 2, 3, 4, 5])
def test_an_upload_that_is_refused_at_any_step_shows_nothing(bucket, step):
    store = open_store(bucket.path("out"))
    store.put("file", b"earlier")
    bucket.gate.refuse(step)
    with pytest.raises(DestinationAccessError, match=f"cannot (create|write) {bucket.url}/out/file: ") as caught:
        create(store)
    bucket.gate.let_all_through()
    assert bucket.files() == {"out/file": b"earlier"}
    assert bucket.server.secret not in str(caught.value)


@pytest.mark.parametrize(("what", "verb", "act"), READS, ids=[what for what, *_ in READS])
def test_a_denied_read_names_the_rights_of_the_store(bucket, drivers_do_not_wait, what, verb, act):
    store = open_store(bucket.path("out"))
    store.put("file", b"earlier")
    bucket.gate.deny = lambda method, _target, _headers: 403 if method in ("GET", "HEAD") else None
    with pytest.raises(DestinationAccessError) as caught:
        act(store)
    assert store._rights[verb] in str(caught.value)[:100]
    assert f"\ncannot {verb} {bucket.url}/out" in str(caught.value)
    assert bucket.server.secret not in str(caught.value)


def test_to_delete_what_is_not_there_tells_whether_it_is_allowed(bucket):
    store = open_store(bucket.path("out"))
    store.delete("_new-nothing")
    bucket.gate.deny = lambda method, _target, _headers: 403 if method == "DELETE" else None
    with pytest.raises(DestinationAccessError, match="^access denied: allow (.*delete|s3:Delete)"):
        store.delete("_new-nothing")


@pytest.mark.parametrize(("what", "verb", "act"), WRITES[:3], ids=[what for what, *_ in WRITES[:3]])
def test_a_bucket_that_is_not_there_is_told(bucket, what, verb, act):
    place = Place(bucket.conn_id, f"{bucket.url}-that-is-not-there", bucket.server)
    with pytest.raises(DestinationError, match=f"^cannot {verb} {place.url}/out/file: ") as caught:
        act(open_store(place.path("out")))
    assert bucket.server.secret not in str(caught.value)


def test_a_bucket_that_is_not_there_cannot_be_swapped_in(bucket):
    place = Place(bucket.conn_id, f"{bucket.url}-that-is-not-there", bucket.server)
    store = open_store(place.path("out"))
    with pytest.raises(DestinationError, match=f"^cannot (write|read) {place.url}/out"):
        store.swap("file", b"mine", store.read("file")[1])


@pytest.mark.parametrize(("what", "verb", "act"), WRITES[:2] + READS, ids=[what for what, *_ in WRITES[:2] + READS])
def test_a_wrong_key_is_told(server_of, monkeypatch, what, verb, act):
    server = server_of("azure")
    wrong = AzureBlobStorage.secret[::-1].strip("=") + "=="
    monkeypatch.setenv("AIRFLOW_CONN_WRONG_KEY", json.dumps(server.connection(key=wrong)))
    place = Place("wrong_key", "abfs://bucket", server)
    said = f"(?s)^access denied: .*output_conn_id.*\ncannot {verb} {place.url}/out.*(authenticate|Authorization)"
    with pytest.raises(DestinationAccessError, match=said) as caught:
        act(open_store(place.path("out")))
    assert wrong not in str(caught.value)
    assert len(str(caught.value)) < 600


# Not S3: without a connection Airflow looks for keys where boto3 does.
@pytest.mark.parametrize("scheme", ["gs", "abfs"])
def test_a_connection_that_is_not_there_is_told(scheme):
    place = Place("nowhere", f"{scheme}://bucket", None)
    with pytest.raises(DestinationError, match=f"^cannot open {scheme}://bucket/out: .*nowhere"):
        open_store(place.path("out"))


def test_a_server_that_is_not_there_is_told(bucket, monkeypatch, drivers_do_not_wait):
    connection = json.dumps(bucket.server.connection()).replace(f":{bucket.gate.port}", ":9")
    monkeypatch.setenv("AIRFLOW_CONN_DEAD", connection)
    place = Place("dead", bucket.url, bucket.server)
    with pytest.raises(DestinationError, match=f"^cannot write {bucket.url}/out/file: ") as caught:
        open_store(place.path("out")).put("file", b"")
    assert bucket.server.secret not in str(caught.value)
