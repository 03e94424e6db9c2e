"""Whatever a server sends: a right page or a typed error, soon, in little memory; and no half of an export."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import threading
from contextlib import ExitStack
from itertools import chain, repeat
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import HoneyHiveError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.sandbox import Sandbox
from tests.unit.conftest import KEY
from tests.unit.export.test_exporter import DAY, DEMO, ids, published
from tests.unit.property_settings import thoroughly

from .hostile_answers import MIB, corpus, drawn_answers, drips, encodings, framings, heads, refusals, sized
from .hostile_server import Answer, HostileServer, Request

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_honeyhive.api.pages import Page

#: Seconds after which a test says that something does not end; what it waits for ends after less than one.
GENEROUS_S = 60

PAGE = r"Page\(1 events"
GARBLED = "ConnectionError.*True.*was garbled"
CUT = "ConnectionError.*True.*was cut short"
SLOW = "ConnectionError.*True.*(took more than|sent nothing for) 0.2 s"
NO_PAGE = "HoneyHiveResponseError.*True"
TOO_LARGE = "AnswerTooLargeError.*False.*larger than 1048576 bytes.*max_response_bytes"
WIRE = "AnswerTooLargeError.*False.*larger than 3145728 bytes on the wire"
REFUSED = "RequestError.*False.*HTTP 400"
UNEXPECTED = "RequestError.*False.*unexpected answer"
CIRCLE = "RequestError.*False.*in a circle"
ELSEWHERE = "RequestError.*False.*not sent on"

#: What is said of answers that are not right; those that are not named here are read.
SAID = {
    # Older versions of requests do not know what to make of it.
    "an odd charset": f"{PAGE}|garbled",
    "nothing": "ConnectionError.*True.*RemoteDisconnected",
    "reset": "ConnectionError.*True.*reset by peer",
    "silence": SLOW,
    "half a status line": GARBLED,
    "no HTTP": GARBLED,
    "a status line without end": GARBLED,
    "a status of text": GARBLED,
    "a status of four digits": GARBLED,
    "another version": GARBLED,
    "another protocol": GARBLED,
    "a length that is short": NO_PAGE,
    "a length that is long": CUT,
    "a length that is long, and silence": SLOW,
    "a huge length": TOO_LARGE,
    "two lengths": GARBLED,
    "a chunk's size below zero": CUT,
    "a chunk's size of text": CUT,
    "a huge chunk": CUT,
    "a chunk's size without end": CUT,
    "a chunk's extension without end": CUT,
    "chunks that stop": CUT,
    "chunks without the last": CUT,
    "trailers without end": f"{WIRE}|{SLOW}",
    "an unknown transfer encoding": NO_PAGE,
    "no content": UNEXPECTED,
    "not modified": UNEXPECTED,
    "partial content": UNEXPECTED,
    "early hints": f"{GARBLED}.*103",
    "early hints, and no more": f"{GARBLED}.*103",
    "a switch of protocols": f"{GARBLED}.*101",
    "interim responses without end": f"{GARBLED}.*262144 bytes of headers",
    "interim responses that drip": SLOW,
    "many headers": GARBLED,
    "a long header": GARBLED,
    "many long headers": f"{GARBLED}.*262144 bytes of headers",
    "headers without end": GARBLED,
    "a header without end": GARBLED,
    "an odd Retry-After": "ServerError.*True.*HTTP 503",
    "gzip that is none": GARBLED,
    "gzip that stops": NO_PAGE,
    "gzip with a wrong checksum": GARBLED,
    "gzip of nothing, again and again": f"{WIRE}|{SLOW}",
    "a bomb": TOO_LARGE,
    "a bomb within a bomb": GARBLED,
    "encodings without end": GARBLED,
    "deflate": GARBLED,
    "a bomb of deflate": GARBLED,
    "zstd": GARBLED,
    "a bomb of zstd": GARBLED,
    "br": GARBLED,
    "an unknown encoding": GARBLED,
    "a refusal of many MB": REFUSED,
    "a refusal without end": REFUSED,
    "a refusal that drips": SLOW,
    "a refusal that is a bomb": REFUSED,
    "a refusal encoded otherwise": REFUSED,
    "a refusal that stops": CUT,
    "a redirect in a circle": CIRCLE,
    "a redirect to many places": CIRCLE,
    "a redirect to no URL": ELSEWHERE,
    "a redirect to an odd path": CIRCLE,
    "a redirect to a long path": CIRCLE,
    "a redirect to nowhere": ELSEWHERE,
    "a redirect that is a bomb": CIRCLE,
    "a redirect without end": CIRCLE,
    "redirects that are slow": SLOW,
    "a redirect that drips": SLOW,
    "a failure without end": "ServerError.*True.*HTTP 500",
    **dict.fromkeys(drips(), SLOW),
}

NAMED = {**framings(), **heads(), **encodings(), **refusals(), **drips()}

#: Bytes of bodies that are to be read here, and so below what a response may have.
SMALL = 300_000


def client_of(url: str, **changed: Any) -> HoneyHiveClient:
    """Return a client that waits for 0.2 s in all, and takes a MiB."""
    usual = {"endpoint": "export", "timeout": 0.2, "max_retries": 0, "max_response_bytes": MIB}
    return HoneyHiveClient(
        ClientSettings.parse(api_key=KEY, api_url=url, **{**usual, **changed}), sleep=lambda seconds: None
    )


def soon(call: Callable[[], Any]) -> Any:
    """Return what a call returns, or its typed error, as long as it ends soon; anything else is raised."""
    ended: list[Any] = []

    def run() -> None:
        try:
            ended.append(call())
        except BaseException as error:  # noqa: BLE001 - raised again below
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(GENEROUS_S)
    assert ended, "it does not end"
    if isinstance(ended[0], BaseException) and not isinstance(ended[0], HoneyHiveError):
        raise ended[0]
    return ended[0]


def said(outcome: Any) -> str:
    """Return an outcome as a text: a page, or an error, whether it is worth another try, and its message."""
    if not isinstance(outcome, HoneyHiveError):
        return repr(outcome)
    assert all(map(str.isprintable, str(outcome).split("\n")))
    assert KEY not in str(outcome)
    return f"{type(outcome).__name__} {outcome.retryable}: {outcome}"


@pytest.mark.parametrize("name", NAMED)
def test_what_is_said_of_an_answer(name):
    expected = SAID.get(name, PAGE)
    timeout = 0.2 if SLOW in expected else GENEROUS_S
    with HostileServer(lambda request: NAMED[name]) as server, client_of(server.url, timeout=timeout) as client:
        assert re.search(f"(?s){expected}", said(soon(lambda: client.fetch_page(DEMO, limit=10))))


@pytest.mark.parametrize("name", sorted(set(corpus(SMALL)) - set(NAMED)))
def test_any_body_is_a_page_or_a_typed_error(name):
    answer = corpus(SMALL)[name]
    with HostileServer(lambda request: answer) as server, client_of(server.url, timeout=GENEROUS_S) as client:
        said(soon(lambda: client.fetch_page(DEMO, limit=10)))


def test_no_row_of_the_table_is_left_over():
    assert set(SAID) <= set(NAMED)


# ------------------------------------------------------------------------------------------------ whole exports


class Playing:
    """Answers right, but where an answer is given for a request.

    :param right: a sandbox that knows the right answers.
    :param hostile: the answers to the first requests, None for a right one.
    """

    def __init__(self, right: Sandbox, hostile: Iterable[Answer | None]) -> None:
        self.sizes: set[int] = set()
        self._right = right
        self._hostile = chain(hostile, repeat(None))
        self._lock = threading.Lock()

    def __call__(self, request: Request) -> Answer:
        with self._lock:
            answer = next(self._hostile)
        if answer:
            return answer
        right, _ = self._right.handle(request.method, request.target, request.headers, request.body)
        self.sizes.add(len(right.body))
        return Answer(sized(right.body, status=b"%d x" % right.status))


@pytest.fixture(scope="module")
def thirty() -> Sandbox:
    """Know thirty events, and serve none."""
    return Sandbox(count=30, start=DAY.start)


@settings(thoroughly(40), phases=[Phase.explicit, Phase.generate])
@given(
    answers=st.lists(st.none() | drawn_answers(), max_size=6),
    concurrency=st.sampled_from([1, 2]),
    file_format=st.sampled_from(["jsonl", "parquet"]),
    retries=st.integers(0, 2),
)
def test_any_answers_end_in_a_right_export_or_a_typed_error(thirty, answers, concurrency, file_format, retries):
    """A server that sends a page with other events than it has is believed; no bytes but a page's may pass for one."""
    playing, pages = Playing(thirty, answers), []
    with tempfile.TemporaryDirectory() as folder, HostileServer(playing) as server:
        out = Path(folder, "out")
        options = ExportOptions(concurrency=concurrency, page_size=10, file_format=file_format)
        with client_of(server.url, max_retries=retries) as client:
            fetch_page = client.fetch_page

            def noted(*args: Any, **kwargs: Any) -> Page:
                pages.append(fetch_page(*args, **kwargs))
                return pages[-1]

            client.fetch_page = noted  # type: ignore[method-assign]
            outcome = soon(lambda: export_events(client, DEMO, out, options))
        if isinstance(outcome, HoneyHiveError):
            said(outcome)
            assert not published(out)
            return
        outcome.verify()
        if {page.size_bytes for page in pages} <= playing.sizes:
            assert outcome.event_count == 30
            if file_format == "jsonl":
                assert sorted(ids(out)) == sorted(thirty.event_ids(DAY.start, DAY.end))


# ------------------------------------------------------------------------------------------------ memory

#: Memory of a small worker.
MEMORY = 512 * MIB

#: Requests that are answered right, so that four readers have begun; then hostile answers, one for each of them.
RIGHT, HOSTILE = 4, 4


def memory_jobs() -> dict[str, Answer]:
    """Return the answers to play, by name: those that may take memory, or all that do not just cost time."""
    answers = {name: one for name, one in corpus().items() if not one.pause and one.then != "hang"}
    if "HONEYHIVE_PROPERTY_CASES" in os.environ:
        return answers
    may_swell = set(encodings()) | set(refusals())
    return {
        name: one for name, one in answers.items() if name in may_swell or (name.startswith("body: ") and one.times > 1)
    }


@pytest.mark.skipif(sys.platform != "linux", reason="needs RLIMIT_AS, and /proc to see what a process has")
@pytest.mark.skipif(
    sys.version_info >= (3, 13),
    reason="there the process ends within msgspec, which does not bear on 3.13 that there is no more memory",
)
def test_a_worker_with_512_mb_survives_every_answer():
    """With the default settings but times, and four readers; our imports take 105 MB of it."""
    formats, refused = ["jsonl", "parquet"], Answer(sized(b"{}", status=b"401 x"))
    with ExitStack() as stack:
        right = Sandbox(count=30_000, start=DAY.start)
        jobs = []
        for number, (name, answer) in enumerate(memory_jobs().items()):
            for file_format in formats if "HONEYHIVE_PROPERTY_CASES" in os.environ else [formats[number % 2]]:
                playing = Playing(right, [*[None] * RIGHT, *[answer] * HOSTILE, *[refused] * 1_000])
                jobs.append((name, stack.enter_context(HostileServer(playing)).url, file_format))
        child = subprocess.run(
            [sys.executable, "-m", "tests.unit.api.survivor", str(MEMORY)],
            input=json.dumps(jobs),
            env={**os.environ, "MALLOC_ARENA_MAX": "2", "ARROW_DEFAULT_MEMORY_POOL": "system"},
            capture_output=True,
            text=True,
            check=False,
            timeout=1_800,
        )
    ended = [json.loads(line) for line in child.stdout.splitlines()]
    assert child.returncode == 0, child.stderr[-3_000:]
    assert [name for name, *_ in ended] == [name for name, *_ in jobs]
    assert [one for one in ended if one[1] not in ("exported", "typed error")] == []
    assert [one for one in ended if one[2]] == [], "what is left in the folder, but for staging"
