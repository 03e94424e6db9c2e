"""Where the tests write: a folder, or a bucket of a server, as a user's path with a connection id."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import ObjectStoragePath

if TYPE_CHECKING:
    from .gate import Gate
    from .servers import Server

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Place:
    """Where a test writes.

    :param conn_id: of the Airflow connection.
    :param url: of the folder or bucket.
    :param server: what serves it; None: the local disk.
    """

    conn_id: str
    url: str
    server: Server | None

    def path(self, name: str = "") -> ObjectStoragePath:
        """Return the path of a file or folder below."""
        return ObjectStoragePath(f"{self.url}/{name}" if name else self.url, conn_id=self.conn_id)

    @property
    def shown_url(self) -> str:
        """The URL as results and errors show it: a local folder without its scheme."""
        return self.url.removeprefix("file://")

    def key(self, name: str = "") -> str:
        """Return the path of a file or folder below, as file systems write it."""
        return self.path(name).path.rstrip("/")

    @property
    def gate(self) -> Gate:
        """What stands before the server."""
        assert self.server is not None
        return self.server.gate

    def another_fs(self) -> Any:
        """Return a file system that shares no memory with those of the paths, as another process has it."""
        fs = self.path().fs
        return type(fs)(*fs.storage_args, **{**fs.storage_options, "skip_instance_cache": True})

    def files(self) -> dict[str, bytes]:
        """Return all files below and what is in them, looked at anew."""
        fs, root = self.another_fs(), self.key()
        return {key.removeprefix(f"{root}/"): fs.cat_file(key) for key in fs.find(root)}

    def names(self) -> set[str]:
        """Return the names of all files below, looked at anew."""
        fs, root = self.another_fs(), self.key()
        return {key.removeprefix(f"{root}/") for key in fs.find(root)}

    def uploads(self) -> list[str]:
        """Return the names of uploads that were begun and not put down, as far as the store tells."""
        if self.server is None:
            return [name for name in self.names() if "_new-" in name]
        return self.server.uploads(self.another_fs(), self.url.partition("://")[2])


def make_bucket(server: Server, conn_id: str) -> Place:
    """Return a new bucket on a server."""
    bucket = f"bucket-{next(_numbers)}"
    place = Place(conn_id, f"{server.scheme}://{bucket}", server)
    place.path().fs.mkdir(bucket)
    return place
