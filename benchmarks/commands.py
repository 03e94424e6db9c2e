"""The contenders: what each is called, and the command that fetches all events of a server into a directory."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.server import MAX_LIMIT

if TYPE_CHECKING:
    from collections.abc import Callable

SCRIPTS = Path(__file__).resolve().parent / "contenders"
KEY = "hh_bench"
#: Bytes of an answer that our export aims for; the others ask for pages of as many events.
PAGE_BYTES = 16_000_000
DEFAULT_CONCURRENCY = 4


@dataclass(frozen=True)
class Errand:
    """What is to be fetched, and to where.

    :param size: mean bytes of an event.
    :param output: an empty directory for the result.
    :param scratch: an empty directory for whatever else.
    """

    url: str
    project: str
    start: str
    end: str
    count: int
    size: int
    output: Path
    scratch: Path

    @property
    def page_size(self) -> int:
        """Events in a page of those who page by number, and in the larger ones of ours."""
        return page_size(self.size)

    def body(self, **more: Any) -> dict[str, Any]:
        """Return the JSON body that asks for a page."""
        date_range = {"$gte": self.start, "$lte": self.end}
        return {"project": self.project, "filters": [], "limit": self.page_size, "dateRange": date_range, **more}

    @property
    def environment(self) -> dict[str, str]:
        """Variables that the contenders look at."""
        return {
            "HH_API_KEY": KEY,
            "HH_API_URL": self.url,
            "AIRFLOW_CONN_BENCH": json.dumps({"conn_type": "http", "host": self.url}),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "NO_PROXY": "127.0.0.1",
        }


def page_size(event_size: int) -> int:
    """Return how many events of a mean size make a page."""
    return min(MAX_LIMIT, PAGE_BYTES // event_size)


@dataclass(frozen=True)
class Contender:
    """One way to fetch all events.

    :param label: what tables call it.
    :param command: makes its command line.
    :param ours: whether it is our export, which must have every event once.
    :param slow: one run is enough where there are many events.
    :param environment: variables it needs beside the usual ones.
    :param program: what it needs of the machine.
    """

    label: str
    command: Callable[[Errand], list[str]]
    ours: bool = False
    slow: bool = False
    environment: tuple[tuple[str, str], ...] = ()
    concurrency: int = 1
    program: str | None = None

    @property
    def missing(self) -> str | None:
        """The program that it needs and the machine has not, None where all is there."""
        return None if self.program is None or shutil.which(self.program) else self.program


def contender(name: str) -> Contender:
    """Return a contender; after an ``@`` in the name comes its concurrency, if it has any.

    :raises ValueError: there is none of that name.
    """
    base, _, concurrency = name.partition("@")
    if base in _OURS:
        return _ours(*_OURS[base], int(concurrency or DEFAULT_CONCURRENCY))
    if name not in _OTHERS:
        raise ValueError(f"{name!r} is none of {', '.join(NAMES)}")
    return _OTHERS[name]


def _ours(file_format: str, compression: str, concurrency: int) -> Contender:
    def command(errand: Errand) -> list[str]:
        window = ["--project", errand.project, "--start", errand.start, "--end", errand.end]
        how = ["--format", file_format, "--compression", compression, "--concurrency", str(concurrency)]
        return [
            sys.executable,
            "-m",
            "airflow_provider_honeyhive",
            "export",
            *window,
            "--output",
            f"{errand.output}/",
            *how,
        ]

    written = {"none": "uncompressed"}.get(compression, compression)
    label = f"**export**, {file_format} {written}, concurrency {concurrency}"
    return Contender(label, command, ours=True, concurrency=concurrency)


def _script(name: str, errand: Errand) -> list[str]:
    ask = {
        "url": errand.url,
        "key": KEY,
        "output": str(errand.output),
        "scratch": str(errand.scratch),
        "body": errand.body(),
    }
    return [sys.executable, str(SCRIPTS / name), json.dumps(ask)]


def _curl(pipe: str, errand: Errand) -> list[str]:
    """Fetch page after page with one curl, so with one connection, from a file that lists the requests."""
    requests = errand.scratch / "requests"
    pages = range(1, -(-errand.count // errand.page_size) + 1)
    requests.write_text(
        "next\n".join(
            f'url = "{errand.url}/events/export"\nheader = "Authorization: Bearer {KEY}"\n'
            f"fail\ndata = {json.dumps(json.dumps(errand.body(page=page)))}\n"
            for page in pages
        )
    )
    listed, into = (shlex.quote(str(path)) for path in (requests, errand.output))
    return ["bash", "-c", f"set -o pipefail; curl -s -K {listed} {pipe} {into}/events.json"]


#: Ours: format and compression.
_OURS = {
    "ours-gzip": ("jsonl", "gzip"),
    "ours-none": ("jsonl", "none"),
    "ours-zstd": ("jsonl", "zstd"),
    "ours-parquet": ("parquet", "zstd"),
}

_OTHERS = {
    "curl": Contender("`curl`", partial(_curl, ">")),
    "curl-gzip": Contender("`curl \\| gzip -1`", partial(_curl, "| gzip -1 >")),
    # Debian's package is called isal.
    "curl-igzip": Contender("`curl \\| igzip -1`", partial(_curl, "| igzip -1 -c >"), program="igzip"),
    "vendor": Contender("vendor's client, gzip", partial(_script, "vendor_client.py"), slow=True),
    "dlt": Contender("dlt `rest_api`, JSONL gzip", partial(_script, "dlt_rest_api.py"), slow=True),
    "dlt-none": Contender(
        "dlt `rest_api`, JSONL uncompressed",
        partial(_script, "dlt_rest_api.py"),
        slow=True,
        environment=(("DATA_WRITER__DISABLE_COMPRESSION", "true"),),
    ),
    "http-operator": Contender("`HttpOperator`, gzip", partial(_script, "http_operator.py"), slow=True),
    "requests": Contender("`requests` + `json`, gzip", partial(_script, "requests_loop.py"), slow=True),
}

NAMES = (*_OURS, *_OTHERS)
