"""Servers that play object stores on this machine, the same as for the tests, with every byte and request counted."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.stores.servers import SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stores.gate import Gate

ENVIRONMENT = {
    # What Google's driver asks servers of another kind than the one that plays here would never be answered.
    "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    "AWS_DEFAULT_REGION": "us-east-1",
}
NAMES = tuple(SERVERS)

_numbers = itertools.count(1)


@dataclass(frozen=True)
class Traffic:
    """What went through a gate: bytes are those of the bodies, requests are by their methods."""

    uploaded: int
    downloaded: int
    requests: Counter[str]


class Meter:
    """Says what goes through a gate.

    :param gate: it counts by itself, from its beginning on.
    """

    def __init__(self, gate: Gate) -> None:
        self._gate = gate
        self._begun = (0, 0, 0)

    def take(self) -> Traffic:
        """Return what came since this was last asked."""
        before, self._begun = self._begun, (self._gate.uploaded, self._gate.downloaded, len(self._gate.requests))
        (uploaded, downloaded, first), (uploaded_now, downloaded_now, end) = before, self._begun
        methods = Counter(method for method, _ in self._gate.requests[first:end])
        return Traffic(uploaded_now - uploaded, downloaded_now - downloaded, methods)


@dataclass(frozen=True)
class ObjectStore:
    """A store that is being played.

    :param name: ``s3``, ``gcs`` or ``azure``.
    :param scheme: of its URLs.
    :param options: how a file system of fsspec reaches it.
    :param meter: counts; None where the server does it itself.
    """

    name: str
    scheme: str
    options: dict[str, Any]
    meter: Meter | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Variables with which a command that gets a URL reaches it."""
        return {**ENVIRONMENT, f"FSSPEC_{self.scheme.upper()}": json.dumps(self.options)}

    def make_bucket(self) -> str:
        """Return the URL of a new bucket."""
        bucket = f"bench-{next(_numbers)}"
        self._fs().mkdir(bucket)
        return f"{self.scheme}://{bucket}"

    def read_back(self, url: str, directory: Path) -> None:
        """Copy all objects of a bucket into a directory."""
        fs, bucket = self._fs(), url.partition("://")[2]
        for key in fs.find(bucket):
            path = directory / key.removeprefix(f"{bucket}/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(fs.cat_file(key))

    def _fs(self) -> Any:
        os.environ.update(ENVIRONMENT)
        # After these variables: drivers look at some when they are imported.
        import fsspec  # noqa: PLC0415

        return fsspec.filesystem(self.scheme, **self.options, skip_instance_cache=True)


def missing(name: str) -> str | None:
    """Return the program that a store needs and is not there, None where all is there."""
    azurite = Path(sys.prefix) / "node" / "node_modules" / ".bin" / "azurite-blob"
    return str(azurite) if name == "azure" and not azurite.exists() else None


@contextlib.contextmanager
def playing(name: str) -> Iterator[ObjectStore]:
    """Start the server of a store, and end it."""
    server = SERVERS[name]()
    try:
        connection = server.connection()
        yield ObjectStore(name, server.scheme, _OPTIONS[name](connection), Meter(server.gate))
    finally:
        server.stop()


def s3_options(endpoint_url: str, key: str, secret: str) -> dict[str, Any]:
    """Return how s3fs reaches a server."""
    return {"endpoint_url": endpoint_url, "key": key, "secret": secret}


_OPTIONS = {
    "s3": lambda given: s3_options(given["extra"]["endpoint_url"], given["login"], given["password"]),
    "gcs": lambda given: {"endpoint_url": given["extra"]["gcs.endpoint"], "token": "anon", "project": "project"},
    "azure": lambda given: {"connection_string": given["extra"]["connection_string"]},
}
