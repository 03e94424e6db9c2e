"""The contract of stores where it needs no Airflow: local paths and S3 by ``upath``; and what only some stores have."""

from __future__ import annotations

import os
import traceback
from dataclasses import dataclass
from itertools import count
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from upath import UPath

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.base import LONGEST_REASON, failing
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.paths import open_store
from tests.stores import test_contract

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


#: Of buckets: no test sees what another one left.
NUMBERS = count(1)


@dataclass
class Folder:
    """A local folder."""

    root: Path

    @property
    def shown_url(self) -> str:
        return str(self.root)

    def path(self, name: str = "") -> Path:
        return self.root / name

    def key(self, name: str = "") -> str:
        return str(self.root / name)

    def another_fs(self) -> Any:
        return UPath(self.root.as_uri()).fs

    def names(self) -> set[str]:
        return {str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()}

    def files(self) -> dict[str, bytes]:
        return {name: (self.root / name).read_bytes() for name in self.names()}

    def uploads(self) -> list[str]:
        return [name for name in self.names() if "_new-" in name]


@dataclass
class Bucket:
    """A bucket of an S3 on loopback.

    :param s3: a client of the server, which looks at what the store has done.
    """

    s3: Any
    bucket: str

    @property
    def shown_url(self) -> str:
        return f"s3://{self.bucket}"

    def path(self, name: str = "") -> UPath:
        return UPath(f"{self.shown_url}/{name}", key="a", secret="b", endpoint_url=self.s3.meta.endpoint_url)

    def key(self, name: str = "") -> str:
        return f"{self.bucket}/{name}"

    def another_fs(self) -> Any:
        fs = self.path().fs
        return type(fs)(**fs.storage_options, skip_instance_cache=True)

    def names(self) -> set[str]:
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return {item["Key"] for page in pages for item in page.get("Contents", [])}

    def files(self) -> dict[str, bytes]:
        return {name: self.s3.get_object(Bucket=self.bucket, Key=name)["Body"].read() for name in self.names()}

    def uploads(self) -> list[str]:
        return [item["Key"] for item in self.s3.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])]


@pytest.fixture(scope="module")
def s3() -> Iterator[Any]:
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    host, port = server.get_host_and_port()
    access = {"aws_access_key_id": "a", "aws_secret_access_key": "b", "region_name": "us-east-1"}
    yield boto3.client("s3", endpoint_url=f"http://{host}:{port}", **access)
    server.stop()


@pytest.fixture
def bucket(s3: Any, monkeypatch: pytest.MonkeyPatch) -> Bucket:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    made = Bucket(s3, f"bucket-{next(NUMBERS)}")
    s3.create_bucket(Bucket=made.bucket)
    return made


@pytest.fixture(params=["folder", "bucket"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Folder | Bucket:
    return Folder(tmp_path / "place") if request.param == "folder" else request.getfixturevalue("bucket")


class TestContract(test_contract.TestContract):
    """On the local disk and on S3."""


@pytest.fixture
def no_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any, **__: Any) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)


def test_a_disk_without_links_copies(no_links, tmp_path):
    store = LocalStore(tmp_path / "out")
    store.put("source", b"data")
    store.put("target", b"earlier")
    store.copy("source", "target")
    assert store.get("target") == b"data"
    assert sorted(os.listdir(tmp_path / "out")) == ["source", "target"]


def test_a_folder_that_was_there_before_stays(tmp_path):
    (tmp_path / "theirs").mkdir()
    for name in ("theirs", "ours"):
        store = LocalStore(tmp_path / name)
        store.put("file", b"")
        store.delete("file")
        store.remove_folder()
    assert os.listdir(tmp_path) == ["theirs"]


@pytest.mark.parametrize("place_in_the_way", ["file", "file/below"])
def test_a_file_where_a_folder_should_be_is_told(tmp_path, place_in_the_way):
    (tmp_path / "file").write_bytes(b"")
    store = open_store(tmp_path / place_in_the_way)
    assert store.get("name") is None
    assert store.files() == {}
    with pytest.raises(DestinationError, match=f"^cannot create {tmp_path}/{place_in_the_way}/name: "):
        store.put("name", b"")


@pytest.mark.parametrize(
    ("text", "conn_id", "protocol", "expected"),
    [
        ("s3://my_conn@bucket/a b", "my_conn", ("s3", "s3a"), "s3://bucket/a b/name"),
        ("s3://bucket/a@b", None, ("s3", "s3a"), "s3://bucket/a@b/name"),
        ("gs://conn@bucket/a/", "conn", "gs", "gs://bucket/a/name"),
        ("abfs://conn@container/a", "conn", ("abfs",), "abfs://container/a/name"),
        (
            "abfs://container@account.dfs.core.windows.net/a",
            None,
            ("abfs",),
            "abfs://container@account.dfs.core.windows.net/a/name",
        ),
        ("sftp://user:secret@host/a", None, ("sftp",), "sftp://host/a/name"),
        ("sftp://user:p@ss@host/a", None, ("sftp",), "sftp://host/a/name"),
    ],
)
def test_urls_show_neither_connections_nor_passwords(text, conn_id, protocol, expected):
    class Path(SimpleNamespace):
        def __str__(self) -> str:
            return text

    path = Path(fs=SimpleNamespace(protocol=protocol), path="bucket/a", conn_id=conn_id)
    assert open_store(path).url("name") == expected


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("plain"), "ValueError: plain"),
        (OSError(28, "No space left on device"), "OSError: No space left on device"),
        (ValueError("first\n\n  second\n"), "ValueError: first; second"),
        (OSError("Missing: https://host/b/o?upload_id=SECRET&x=1"), "OSError: Missing: https://host/b/o?***"),
        (ValueError("signed 'https://host/o?sig=SECRET' refused"), "ValueError: signed 'https://host/o?***' refused"),
        (ValueError("proxy http://user:SECRET@proxy:3128 refused"), "ValueError: proxy http://***@proxy:3128 refused"),
        (ValueError("what? that"), "ValueError: what? that"),
        (ValueError("x" * 1000), f"ValueError: {'x' * (LONGEST_REASON - 1)}…"),
    ],
)
def test_errors_say_what_where_and_why_and_no_secret(error, reason):
    with pytest.raises(DestinationError) as caught, failing("write", "s3://bucket/a"):
        raise error
    assert str(caught.value) == f"cannot write s3://bucket/a: {reason}"
    assert "SECRET" not in "".join(traceback.format_exception(caught.value))


def test_errors_of_our_own_are_not_wrapped_again():
    with pytest.raises(DestinationError, match="^mine$"), failing("write", "s3://bucket/a"):
        raise DestinationError("mine")


def test_a_path_that_cannot_connect_is_told():
    class Path:
        @property
        def fs(self) -> Any:
            raise LookupError("no connection 'x'")

        def __str__(self) -> str:
            return "s3://x@bucket/a"

    with pytest.raises(DestinationError, match=r"^cannot open s3://bucket/a: LookupError: no connection 'x'$"):
        open_store(Path())


def test_in_memory_what_fails_while_writing_is_told_as_it_is():
    # Such files cannot be marked as closed.
    def fail() -> None:
        with open_store(UPath("memory://failing")).create("file") as sink:
            sink.write(b"part")
            raise DestinationError("no more")

    with pytest.raises(DestinationError, match="no more"):
        fail()
