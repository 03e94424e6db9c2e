"""With include_content=False nothing that was said is in a byte that an export writes, at any step, nor in its log."""

from __future__ import annotations

import json
import logging
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from pydantic import SecretStr

from airflow_provider_honeyhive.exceptions import DestinationTakenError, HoneyHiveServerError, InvalidArgumentError
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.shards import shards_folder
from airflow_provider_honeyhive.export.xcom import collect_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.layout import FORMATS
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.sandbox import Fault
from airflow_provider_honeyhive.sandbox.store import StoredEvent
from airflow_provider_honeyhive.storage.local import LocalStore
from tests.unit.said import SESSION, SHAPES, Speaker, heard

from .stepped import CHANGES, stepping
from .test_combine import export_part
from .test_exporter import DAY, DEMO, tree
from .test_lookback import Exporter, day

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEASURED = DEMO.model_copy(update={"include_content": False})
WITH_HASHES = MEASURED.model_copy(update={"redact_secret": SecretStr("a long enough secret of the connection")})
NOON_US = DAY.start_us + 12 * 3_600_000_000
EVENTS = 48


def spoken(speaker: Speaker, count: int = EVENTS) -> list[StoredEvent]:
    """Return events of all shapes, some seconds apart."""
    times = [NOON_US + number * 5_000_000 for number in range(count)]
    events = [speaker.event(SHAPES[number % len(SHAPES)], number, time) for number, time in enumerate(times)]
    return [
        StoredEvent(json.dumps(event).encode(), str(event["event_id"]), time)
        for event, time in zip(events, times, strict=True)
    ]


def watched(look: Callable[[], None]) -> type[LocalStore]:
    """Return a kind of store that looks at everything before and after each of its changes."""

    def looking(name: str) -> Callable[..., Any]:
        def step(self: Any, *args: Any, **more: Any) -> Any:
            look()
            result = getattr(LocalStore, name)(self, *args, **more)
            look()
            return result

        return step

    return type("WatchedStore", (LocalStore,), {name: looking(name) for name in CHANGES})


class Listener:
    """Hears what was said in the files of a folder, as often as it is asked to."""

    def __init__(self, folder: Path) -> None:
        self._folder = str(folder)
        self._known: set[tuple[str, int, int]] = set()
        self.heard: set[bytes] = set()
        self.looks = 0

    def look(self) -> None:
        self.looks += 1
        for folder, _, names in os.walk(self._folder):
            self.heard |= heard(folder.removeprefix(self._folder).encode())
            for name in names:
                with suppress(FileNotFoundError):  # another thread has moved it
                    self._read(os.path.join(folder, name))

    def _read(self, path: str) -> None:
        facts = os.stat(path)
        if (version := (path, facts.st_mtime_ns, facts.st_size)) not in self._known:
            self._known.add(version)
            with open(path, "rb") as file:
                self.heard |= heard(file.read()) | heard(path.removeprefix(self._folder).encode())


@pytest.fixture(params=[False, True], ids=["known texts kept", "everywhere"])
def speaker(request) -> Speaker:
    return Speaker(everywhere=request.param)


@pytest.fixture
def sandbox(sandbox_with, speaker):
    sandbox = sandbox_with([], count=0)
    sandbox.add(spoken(speaker))
    return sandbox


ALL_FORMATS = [("a folder", name, one) for name, compressions in FORMATS.items() for one in compressions]
OTHER_OUTPUTS = [
    (output, name, compression)
    for output in ("partitions", "one object")
    for name, compression in (("jsonl", "gzip"), ("json", "none"), ("csv", "zstd"), ("parquet", "zstd"))
]


@pytest.mark.parametrize(("output", "name", "compression"), [*ALL_FORMATS, *OTHER_OUTPUTS])
def test_nothing_said_is_on_disk_at_any_step(sandbox, client_of, tmp_path, caplog, speaker, name, compression, output):
    caplog.set_level(logging.DEBUG)
    options = ExportOptions(
        file_format=name,
        compression=compression,
        max_file_size=3_000,
        page_size=6,
        concurrency=4,
        partition_by=("event_date", "event_type") if output == "partitions" else (),
    )
    path = tmp_path / (f"one{FORMATS[name][compression]}" if output == "one object" else "out")
    listener = Listener(tmp_path)
    with stepping(watched(listener.look)):
        # Ends in the middle, so that there is a journal to go on from.
        sandbox.faults.extend([*[Fault()] * 6, *[Fault.answer(503)] * 20])
        with pytest.raises(HoneyHiveServerError):
            export_events(client_of(sandbox, max_retries=0), WITH_HASHES, path, options)
        listener.look()
        sandbox.faults.clear()
        manifest = export_events(client_of(sandbox), WITH_HASHES, path, options)
        export_events(client_of(sandbox), MEASURED, tmp_path / "without hashes" / path.name, options)
    listener.look()
    assert manifest.event_count == EVENTS
    assert listener.looks > 50
    assert listener.heard == set()
    assert heard(caplog.text.encode()) == set()
    Manifest.read(path).verify()
    # The same listener hears everything in an export of content: there is much to be heard.
    export_events(client_of(sandbox), DEMO, tmp_path / "content" / path.name, options)
    listener.look()
    assert listener.heard == speaker.said


def test_whole_sessions_say_nothing(sandbox_with, client_of, tmp_path):
    speaker = Speaker(everywhere=False)
    sandbox = sandbox_with([], count=0)
    events = spoken(speaker, 20)
    root = json.loads(events[1].raw) | {"event_id": SESSION, "event_type": "session"}
    sandbox.add([*events, StoredEvent(json.dumps(root).encode(), SESSION, events[1].time_us)])
    request = MEASURED.model_copy(update={"sessions": "complete"})
    listener = Listener(tmp_path)
    with stepping(watched(listener.look)):
        manifest = export_events(client_of(sandbox), request, tmp_path / "out", ExportOptions(page_size=5))
    listener.look()
    assert manifest.session_count == 1
    assert manifest.event_count == 21
    assert listener.heard == set()


def test_a_session_is_found_whose_id_is_a_text(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with([], count=0)
    sandbox.add(
        {
            "event_id": "Ada's visit" if number == 0 else f"e{number}",
            "session_id": "Ada's visit",
            "event_type": "model" if number else "session",
            "project": "demo",
            "start_time": NOON_US // 1000 + number,
        }
        for number in range(3)
    )
    request = MEASURED.model_copy(update={"sessions": "complete"})
    manifest = export_events(client_of(sandbox), request, tmp_path / "out", ExportOptions(compression="none"))
    assert (manifest.session_count, manifest.event_count) == (1, 3)
    assert not any(b"Ada" in data for data in tree(tmp_path).values())


def test_corrections_and_index_say_nothing(sandbox_with, client_of, tmp_path):
    speaker = Speaker(everywhere=True)
    sandbox = sandbox_with([], count=0)
    exporter = Exporter(client_of(sandbox), tmp_path)
    listener = Listener(tmp_path)
    with stepping(watched(listener.look)):
        exporter.run(0, 1, include_content=False)
        sandbox.add(StoredEvent(json.dumps(speaker.event(SHAPES[0], 1, us)).encode(), str(us), us) for us in _day(0))
        second = exporter.run(1, 1, include_content=False)
    listener.look()
    assert second.lookback is not None
    assert second.lookback.late_count == 3
    assert listener.heard == set()
    # An export of content is another one: it has nothing to do with these.
    assert exporter.run(2, 2).lookback.read_again == []


def _day(number: int) -> list[int]:
    return [day(number).start_us + one * 1_000_000 for one in range(3)]


def test_xcom_gets_nothing_that_was_said(sandbox, client_of, speaker):
    for request in (MEASURED, WITH_HASHES):
        events = collect_events(client_of(sandbox), request, max_bytes=10**7)
        assert len(events) == EVENTS
        assert heard(json.dumps(events).encode()) == set()
    assert heard(json.dumps(collect_events(client_of(sandbox), DEMO, max_bytes=10**8)).encode()) == speaker.said


def test_an_id_that_is_a_text_is_hashed_or_goes_and_its_event_stays(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with([], count=0)
    sandbox.add({"event_id": f"visit of Ada {n}", "project": "demo", "start_time": NOON_US // 1000} for n in range(4))
    for request, ids in ((MEASURED, 0), (WITH_HASHES, 4)):
        path = tmp_path / str(ids) / "events.jsonl"
        assert export_events(client_of(sandbox), request, path).event_count == 4
        lines = [json.loads(line) for line in path.read_bytes().splitlines()]
        found = {line["event_id"] for line in lines if "event_id" in line}
        assert len(found) == ids
        assert all(one.startswith("hh_redacted:") for one in found)


# ------------------------------------------------------------------------------ told from exports of content

TASK = AirflowFacts(dag_id="d", task_id="t", run_id="r", try_number=1)


def test_the_manifest_says_it(sandbox, client_of, tmp_path):
    for request, said in ((MEASURED, False), (DEMO, True)):
        manifest = export_events(client_of(sandbox), request, tmp_path / str(said))
        assert manifest.request.include_content is said
        assert Manifest.read(tmp_path / str(said)).request.include_content is said
    older = manifest.model_dump()
    del older["request"]["include_content"]
    assert Manifest.from_json(json.dumps(older).encode(), "an older manifest").request.include_content is True


@pytest.mark.parametrize("asked", [(MEASURED, DEMO), (DEMO, MEASURED), (MEASURED, WITH_HASHES)])
def test_only_its_own_task_replaces_it_by_another_kind(sandbox, client_of, tmp_path, asked):
    first, second = asked
    export_events(client_of(sandbox), first, tmp_path / "out", airflow=TASK)
    before = tree(tmp_path)
    with pytest.raises(DestinationTakenError):
        export_events(client_of(sandbox), second, tmp_path / "out")
    assert tree(tmp_path) == before
    with pytest.raises(DestinationTakenError, match="replace is False"):
        export_events(client_of(sandbox), second, tmp_path / "out", ExportOptions(replace=False), TASK)
    with pytest.raises(DestinationTakenError, match="another request: .*on_shrink='replace'"):
        export_events(client_of(sandbox), second, tmp_path / "out", airflow=TASK)
    assert tree(tmp_path) == before
    export_events(client_of(sandbox), second, tmp_path / "out", ExportOptions(on_shrink="replace"), TASK)
    assert Manifest.read(tmp_path / "out").request.include_content is second.include_content
    listener = Listener(tmp_path)
    listener.look()
    assert bool(listener.heard) is second.include_content


def test_what_is_staged_with_content_is_no_part_of_an_export_without(sandbox, client_of, tmp_path):
    options = ExportOptions(page_size=9, max_file_size=2_000, concurrency=1)
    sandbox.faults.extend([*[Fault()] * 6, *[Fault.answer(503)] * 20])
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), DEMO, tmp_path / "out", options, TASK)
    assert any("_staging-" in name for name in tree(tmp_path))
    sandbox.faults.clear()
    export_events(client_of(sandbox), MEASURED, tmp_path / "out", options, TASK)
    listener = Listener(tmp_path)
    listener.look()
    assert listener.heard == set()


def test_parts_with_content_and_without_make_no_whole(sandbox_with, client_of, tmp_path):
    client = client_of(sandbox_with(count=50, start=DAY.start, end=DAY.end))
    folder = tmp_path / shards_folder(DEMO, client.settings.api_host, ("d", "r"))
    requests = zip(DAY.split(2), (DEMO, MEASURED), strict=True)
    urls = [export_part(client, folder, part, request) for part, request in requests]
    with pytest.raises(InvalidArgumentError, match="differs from .* in include_content"):
        combine_exports(client, tmp_path, urls, DAY)
