"""What the model of publishing is made of: what is exported without a server, places, and writers who wait."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from uuid import UUID

from fsspec.implementations.memory import MemoryFileSystem

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME, OBJECT_MANIFEST_SUFFIX
from airflow_provider_honeyhive.reading.cursor import Cursor
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.object_store import ConditionalStore, FsspecStore

from .stepped import _HOOKS, Died, Process
from .test_exporter import DAY, event_at

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

    from airflow_provider_honeyhive.export.staging_records import Plan, StagedFile
    from airflow_provider_honeyhive.manifest import Manifest

# ------------------------------------------------------------------------------------------------ what is exported

HOUR_US = 3_600_000_000
#: The runs, and the events that each of them finds.
HOURS = {"a": range(0, 24, 3), "b": range(0, 24, 3), "empty": range(0)}
#: Files of others in the same folder: of an object and its writers, of an export below, of users.
NEIGHBOURS = {
    "two.jsonl": b"two",
    f"two.jsonl{OBJECT_MANIFEST_SUFFIX}": b"{}",
    "_staging-00000000-00000000-00000000/commit-00000000.json": b"{}",
    "_staging-00000000-00000000-00000000/00000-00000-00000000": b"staged",
    "event_type=model/three.jsonl": b"three",
    f"event_date=2026-11-22/{MANIFEST_NAME}": b"{}",
    "event_date=2026-11-22/part-00000-000000000000.jsonl": b"below",
    "notes.txt": b"notes",
}
#: And of an export of many files, where the model's own is one object.
IN_THE_FOLDER = {MANIFEST_NAME: b"{}", "part-00000-000000000000.jsonl": b"part"}


class Names:
    """Ids and times that are the same wherever the same steps are taken: steps follow the names of files."""

    def __init__(self) -> None:
        self._numbers, self._seconds = count(), count()

    def uuid4(self) -> UUID:
        return UUID(bytes=hashlib.sha256(b"%d" % next(self._numbers)).digest()[:16])

    def now(self, zone: tzinfo) -> datetime:
        return datetime(2026, 11, 23, tzinfo=zone) + timedelta(seconds=next(self._seconds))


@dataclass
class Client:
    """Of a server that is not asked anything.

    :param run: decides what there is to read.
    :param variant: something that events say: where it is the same, two writers stage the same bytes.
    """

    run: str
    variant: int = 0
    retries: int = 0
    endpoint: None = None
    settings: Any = field(default_factory=lambda: SimpleNamespace(api_host="api.example.com", trust_total=False))


class Reading:
    """Stages a file for each slice, and goes on from what earlier tries have staged; takes the place of reading."""

    slice_count, repeated_ids, session_count = 2, 0, None

    def __init__(self, window: Any, *, client: Client, staging: Any, **_: Any) -> None:
        self._window, self._client, self._staging = window, client, staging

    def run(self) -> tuple[Plan, list[StagedFile]]:
        place = self._staging.destination
        checkpoints = place.checkpoints
        plan = checkpoints.read_plan((self._window.start_us, self._window.end_us))
        slices = None if plan is None else checkpoints.go_on(plan)
        if plan is None or slices is None:
            place.clear_staging()
            bounds = sorted(((part.start_us, part.end_us) for part in self._window.split(2)), reverse=True)
            plan = checkpoints.begin(datetime.now(UTC), None, None, bounds)
            slices = checkpoints.go_on(plan) or {}
        staged = []
        for number, piece in slices.items():
            files = piece.files or self._stage(number, piece.start, piece.end)
            taken = sum(file.contents.event_count for file in files)
            checkpoints.write(number, (piece.start, piece.end), files, Cursor(upper=None, taken=taken, done=True))
            staged += files
        return plan, staged

    def put_down(self) -> None:
        """Do nothing: all is in the store."""

    def _stage(self, number: int, start: int, end: int) -> list[StagedFile]:
        all_times = [DAY.start_us + hour * HOUR_US for hour in HOURS[self._client.run]]
        times = [time for time in all_times if start <= time < end]
        if not times:
            return []
        events = [
            event_at(time // 1000, event_type=("model", "tool")[time // HOUR_US % 2], said=self._client.variant)
            for time in times
        ]
        kind, found = self._staging.kind, []
        blocks = self._staging.encode_block([json.dumps(event).encode() for event in events], times)
        for at, (data, block) in enumerate(blocks):
            file = kind.open(kind.place.staged_name(number, at), block.partition, False, 0)
            file.add(data, block)
            found.append(file.store())
        return found


# ------------------------------------------------------------------------------------------------ where to


class ConditionalMemory(ConditionalStore):
    """Checks a condition and writes in one step."""

    def _run(self, function: Any, *args: Any, **more: Any) -> Any:
        try:
            function(*args, **more).send(None)
        except StopIteration as end:
            return end.value

    async def _read(self, key: str) -> tuple[bytes, Any]:
        return (data := self._fs.cat_file(key)), data

    async def _write_if(self, key: str, data: bytes, version: Any) -> None:
        if version != (self._fs.cat_file(key) if self._fs.exists(key) else None):
            raise FileExistsError(key)
        self._fs.pipe_file(key, data)


class Clock:
    """The time of the leases, which passes while all who are at one wait."""

    def __init__(self) -> None:
        self.now = 0.0
        self.until: dict[int, float] = {}  # of the threads that wait
        self.at_a_lease: set[int] = set()

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        me = threading.get_ident()
        self.until[me] = self.now + seconds
        if me in _HOOKS:
            _HOOKS[me]("sleep")
        self.now = max(self.now, self.until.pop(me))

    def swap_by_lease(self, swap: Callable[..., bool], *args: Any) -> bool:
        self.at_a_lease.add(threading.get_ident())
        try:
            return swap(*args)
        finally:
            self.at_a_lease.discard(threading.get_ident())


class Disk:
    """A folder on the local disk."""

    kind = LocalStore

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self.root = Path(self._folder.name)
        self._known: dict[tuple[str, int, int], bytes] = {}

    def arguments(self, path: Any) -> tuple[Any, ...]:
        """Return what to make a store of."""
        return (path,)

    def files(self) -> dict[str, bytes]:
        """Return all files and what they hold."""
        return {os.path.relpath(entry.path, self.root): self._read(entry) for entry in _entries(self.root)}

    def _read(self, entry: os.DirEntry[str]) -> bytes:
        facts = entry.stat()
        key = entry.path, facts.st_ino, facts.st_mtime_ns
        if key not in self._known:
            self._known[key] = Path(entry.path).read_bytes()
        return self._known[key]

    def close(self) -> None:
        """Remove it."""
        self._folder.cleanup()


def _entries(folder: Any) -> Iterator[os.DirEntry[str]]:
    for entry in os.scandir(folder):
        yield from _entries(entry) if entry.is_dir() else [entry]


class Memory:
    """A bucket.

    :param kind: of the store.
    """

    root = Path("/bucket")

    def __init__(self, kind: type[FsspecStore]) -> None:
        self.kind = kind
        self._fs = MemoryFileSystem(global_store=False, skip_instance_cache=True)

    def arguments(self, path: Any) -> tuple[Any, ...]:
        """Return what to make a store of."""
        return self._fs, str(path), f"memory:/{path}"

    def files(self) -> dict[str, bytes]:
        """Return all files and what they hold."""
        return {name.removeprefix(f"{self.root}/"): file.getvalue() for name, file in self._fs.store.items()}

    def close(self) -> None:
        """Do nothing."""


STORES: dict[str, Callable[[], Any]] = {
    "lock": Disk,
    "condition": lambda: Memory(ConditionalMemory),
    "lease": lambda: Memory(FsspecStore),
}

# ------------------------------------------------------------------------------------------------ who writes


class Writer:
    """One process, which waits before each of its steps until it is let go on.

    :param work: what it does.
    :param replace: it may replace the export of another run.
    """

    def __init__(self, work: Callable[[], Manifest], *, replace: bool) -> None:
        self._work = work
        self.replace = replace
        #: The step it waits at, None once it has ended.
        self.at: str | None = None
        self.unexpected: Exception | None = None
        self._dead = False
        self._before: Exception | None = None
        self._after: Exception | None = None
        self._turn, self._waits = threading.Semaphore(0), threading.Semaphore(0)
        self.process = Process(self._run, self._wait)
        self.process.thread.start()
        self._waits.acquire()

    def _run(self) -> Any:
        try:
            self._wait("begin")
            return self._work()
        except DestinationError:
            raise
        except Exception as error:  # noqa: BLE001 - the model fails, not this thread
            self.unexpected = error
        finally:
            self.at = None
            self._waits.release()

    def _wait(self, step: str) -> Exception | None:
        if not self._dead:
            self.at = step
            self._waits.release()
            self._turn.acquire()
        if self._dead:
            raise Died
        before, after, self._before, self._after = self._before, self._after, None, None
        if before is not None:
            raise before
        return after

    def step(self) -> None:
        """Take the step, and come to the next one."""
        self._turn.release()
        self._waits.acquire()
        if self.at is None:
            self.process.thread.join()

    def die(self) -> None:
        """End without another step."""
        self._dead = True
        self.step()

    def fail(self) -> None:
        """Let the store fail instead of doing what it is asked."""
        self._before = DestinationError("the store fails")
        self.step()

    def fail_afterwards(self) -> None:
        """Let the store do what it is asked, and fail to say so."""
        self._after = DestinationError("the store fails")
        self.step()
