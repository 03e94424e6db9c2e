"""Live traffic: events that arrive while a sandbox serves, some of them late, and feedback on those that it has."""

from __future__ import annotations

import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Self

from airflow_provider_honeyhive.sandbox.data.contents import COMMENTS
from airflow_provider_honeyhive.sandbox.data.traces import generate_session
from airflow_provider_honeyhive.sandbox.times import datetime_us

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_honeyhive.sandbox.server import Sandbox

#: A late session ended so long before it arrives, in milliseconds: from five minutes to three hours.
LATENESS_MS = (5 * 60_000, 3 * 3_600_000)

#: Events that have arrived and are kept, about 3.5 kB of memory each; beyond, the first to arrive go, many at once.
MOST_KEPT, DROPPED_AT_ONCE = 100_000, 1_000

#: Between two reports there is at least so much time.
BETWEEN_REPORTS = timedelta(seconds=10)

#: Longest wait of the thread, in seconds: so long after the clock has been set it looks again.
LONGEST_WAIT = 60.0


@dataclass(frozen=True)
class Traffic:
    """How much arrives.

    :param per_second: events per second, on average; they arrive as whole sessions, once these have ended.
    :param late: share of them, from 0 to 1, that arrives five minutes to three hours after its session ended.
    :param feedback: for each event that arrives, the probability that one of those there are gets feedback.
    """

    per_second: float
    late: float = 0.0
    feedback: float = 0.0


@dataclass
class Arrived:
    """Counts of what has arrived since the report before."""

    sessions: int = 0
    events: int = 0
    late: int = 0
    feedback: int = 0


@dataclass
class LiveTraffic:
    """Lets events arrive in the default project of a sandbox. A context manager: in it, a thread does so.

    What arrives depends on the seed and on the time at which it begins, not on how often somebody looks.

    :param sandbox: where they arrive.
    :param traffic: how much.
    :param seed: of everything random.
    :param now: the clock; aware times.
    :param report: called with the time and what has arrived, at most every ten seconds, and at the end.
    """

    sandbox: Sandbox
    traffic: Traffic
    seed: int = 0
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    report: Callable[[datetime, Arrived], None] | None = None
    _arrived: Arrived = field(init=False, default_factory=Arrived)
    _kept: deque[str] = field(init=False, default_factory=deque)
    _stopped: threading.Event = field(init=False, default_factory=threading.Event)
    _thread: threading.Thread | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._random = Random(f"{self.seed} live")
        #: When the next session arrives.
        self.due = self.now()
        self._next_report = self.due

    def __enter__(self) -> Self:
        self._stopped.clear()
        self._thread = threading.Thread(target=self._run, name="sandbox live", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._tell(self.now())

    def arrive(self) -> None:
        """Let everything arrive that is due."""
        now = self.now()
        while self.due <= now and not self._stopped.is_set():
            at = self.due
            self._next_session()
            if at >= self._next_report:
                self._tell(at)

    def _run(self) -> None:
        while not self._stopped.is_set():
            self.arrive()
            self._stopped.wait(min(max((self.due - self.now()).total_seconds(), 0.0), LONGEST_WAIT))

    def _tell(self, at: datetime) -> None:
        arrived, self._arrived, self._next_report = self._arrived, Arrived(), at + BETWEEN_REPORTS
        if arrived.sessions and self.report is not None:
            self.report(at, arrived)

    def _next_session(self) -> None:
        rng, seed, project = self._random, self._random.getrandbits(64), self.sandbox.project
        # Made twice: when it begins depends on how long it takes.
        last_end = max(event["end_time"] for event in generate_session(seed=seed, begin_ms=0, project=project))
        is_late = rng.random() < self.traffic.late
        lateness = rng.randrange(*LATENESS_MS) if is_late else 0
        begin_ms = datetime_us(self.due) // 1000 - lateness - last_end
        events = generate_session(seed=seed, begin_ms=begin_ms, project=project)
        added = self.sandbox.add(events, project)
        self._kept.extend(event.event_id for event in added)
        self._arrived.sessions += 1
        self._arrived.events += len(events)
        self._arrived.late += len(events) if is_late else 0
        for _ in events:
            if rng.random() < self.traffic.feedback:
                self._give_feedback()
        if len(self._kept) >= MOST_KEPT + DROPPED_AT_ONCE:
            self.sandbox.delete([self._kept.popleft() for _ in range(DROPPED_AT_ONCE)])
        self.due += timedelta(seconds=len(events) / self.traffic.per_second)

    def _give_feedback(self) -> None:
        rng = self._random
        held = self.sandbox.events()
        score = {"Helpfulness": rng.randint(1, 5)}
        thumb = {"rating": rng.random() < 0.7, "comment": rng.choice(COMMENTS)}
        changes = {"feedback": thumb} if rng.random() < 0.5 else {"feedback": thumb, "metrics": score}
        # Somebody else may have deleted it in between.
        with suppress(KeyError):
            self.sandbox.update(rng.choice(held).event_id, changes)
            self._arrived.feedback += 1
