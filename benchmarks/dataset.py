"""Events for the benchmarks, rendered once into one file: a page of them is a stretch of that file.

The texts are words drawn at random, as unevenly frequent as those of a language, so that they compress as English
prose does: ``gzip -1`` makes them 2.3 times smaller. Around them is what makes traces more compressible (events of
4.3 kB become 2.8 times smaller): the same keys, settings and system prompts again and again, and in half of the
events the context a second time inside ``chat_history``, as in the event of the vendor's documentation. The texts
repeat after 64 MB, further than any compressor used here looks back. Ids, times and sizes (from half to one and a
half of the mean) differ from event to event; the times follow the working hours of one day.
"""

from __future__ import annotations

import json
import uuid
from array import array
from bisect import bisect_left, bisect_right
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.data.words import SPICE, WORDS, Calendar

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = "bench"
PROJECT_ID = "5f1c0e8a9b7d4c3e2a10f6d8"
START = datetime(2026, 3, 2, tzinfo=UTC)
END = START + timedelta(days=1)
YEAR = timedelta(days=365)

SPREADS = ("day", "year", "moment")

POOL_BYTES = 64_000_000
#: Events smaller than this are of one simple kind, of which there is less around the texts.
SMALL_BYTES = 1500
#: Size in bytes of all that is in an event beside its texts: keys, ids, settings.
FRAME_BYTES = {"_chain": 432, "_tool": 752, "_model": 779}
FEWEST_TEXT_BYTES = 40
RARE_WORDS = 2_500
SPICE_SHARE = 0.002
SYSTEM_PROMPTS, PROMPT_LENGTH = 12, 400
BATCH = 1000
SYLLABLES = (
    "ta re in con de er al ti on ent is ble ing or an di pro com ex per men tion ment ver ly ri al ous est ar sub "
    "in ter mo li ca ne po si ma tu ga lo be fi na ra no sa vi da mi co su re pa ni la ge ro du fe gi ho ju ke"
)


@dataclass(frozen=True)
class Dataset:
    """What the server serves.

    :param count: events.
    :param size: mean bytes of an event.
    :param seed: of everything random.
    :param spread: how the times lie: ``day``, after the working hours of one day; ``year``, one after the other at
        equal distances through a year; ``moment``, all in one millisecond.
    :param per_session: events of a session, the earliest of which is its root and the parent of the others; with 1, no
        event has a parent, and none is the root.
    """

    count: int
    size: int
    seed: int = 1
    spread: str = "day"
    per_session: int = 1

    @property
    def name(self) -> str:
        """Name of its files."""
        name = f"{self.count}x{self.size}-{self.seed}" + ("" if self.spread == "day" else f"-{self.spread}")
        return name if self.per_session == 1 else f"{name}-sessions-of-{self.per_session}"

    @property
    def end(self) -> datetime:
        """The end of the window that has all events, exclusive."""
        return START + YEAR if self.spread == "year" else END

    def times(self, rng: Random) -> list[int]:
        """Return the events' times in milliseconds since 1970, newest first."""
        if self.spread == "day":
            calendar = Calendar(START, END)
            return sorted((calendar.draw(rng) for _ in range(self.count)), reverse=True)
        first, length = int(START.timestamp() * 1000), int((self.end - START).total_seconds() * 1000)
        if self.spread == "moment":
            return [first + length // 2] * self.count
        return [first + length * number // self.count for number in reversed(range(self.count))]


@dataclass(frozen=True)
class Rendered:
    """A data set on disk, newest event first.

    :param path: the events' bytes, with a comma after each.
    :param minus_ms: each event's time in milliseconds since 1970, negated so that it ascends.
    :param offsets: where each event begins in the file, and where the last one's comma ends.
    :param ids: the ``event_id`` of all events, 16 bytes each.
    """

    path: Path
    minus_ms: array[int]
    offsets: array[int]
    ids: bytes

    def span(self, first_us: int | None, last_us: int | None) -> tuple[int, int]:
        """Return the positions of the events from ``first_us`` to ``last_us``, both inclusive, in microseconds."""
        begin = 0 if last_us is None else bisect_left(self.minus_ms, -(last_us // 1000))
        end = len(self.minus_ms) if first_us is None else bisect_right(self.minus_ms, first_us // -1000)
        return begin, max(begin, end)

    def event_ids(self) -> set[bytes]:
        """Return the ids as they are written in the events."""
        return {str(uuid.UUID(bytes=self.ids[at : at + 16])).encode() for at in range(0, len(self.ids), 16)}


def render(dataset: Dataset, directory: Path) -> Rendered:
    """Return the data set's files in ``directory``, made if they are not there yet."""
    events, index = directory / f"{dataset.name}.json", directory / f"{dataset.name}.index"
    if not index.exists():
        directory.mkdir(parents=True, exist_ok=True)
        minus_ms, offsets, ids = _write(dataset, events)
        unfinished = index.with_suffix(".unfinished")
        with unfinished.open("wb") as file:
            minus_ms.tofile(file)
            offsets.tofile(file)
            file.write(ids)
        unfinished.rename(index)
    minus_ms, offsets = array("q"), array("Q")
    with index.open("rb") as file:
        minus_ms.fromfile(file, dataset.count)
        offsets.fromfile(file, dataset.count + 1)
        return Rendered(events, minus_ms, offsets, file.read())


def _write(dataset: Dataset, path: Path) -> tuple[array[int], array[int], bytes]:
    rng = Random(dataset.seed)  # noqa: S311 - texts, not secrets
    times = dataset.times(rng)
    bodies = _bodies(dataset, rng)
    offsets, ids, at = array("Q", [0]), bytearray(), 0
    sessions = _session_ids(dataset)
    with path.open("wb") as file:
        for first in range(0, dataset.count, BATCH):
            pieces = []
            for number, time in enumerate(times[first : first + BATCH], first):
                event_id, session_id = (uuid.UUID(int=rng.getrandbits(128), version=4) for _ in range(2))
                parent_id = None
                if dataset.per_session > 1:
                    # Newest first: the root comes last.
                    session_id = sessions[number // dataset.per_session]
                    is_root = number % dataset.per_session == dataset.per_session - 1
                    event_id, parent_id = (session_id, None) if is_root else (event_id, session_id)
                ids += event_id.bytes
                piece = _head(rng, event_id, session_id, parent_id, time) + bodies[number % len(bodies)]
                pieces.append(piece)
                at += len(piece)
                offsets.append(at)
            file.write(b"".join(pieces))
    return array("q", [-time for time in times]), offsets, bytes(ids)


def _session_ids(dataset: Dataset) -> list[uuid.UUID]:
    """Return the ids of the sessions that hold several events; none where each event is a session."""
    count = 0 if dataset.per_session == 1 else -(-dataset.count // dataset.per_session)
    rng = Random(f"sessions {dataset.seed}")  # noqa: S311 - ids, not secrets
    return [uuid.UUID(int=rng.getrandbits(128), version=4) for _ in range(count)]


def _head(rng: Random, event_id: uuid.UUID, session_id: uuid.UUID, parent_id: uuid.UUID | None, time: int) -> bytes:
    duration = rng.randrange(20, 30_000)
    parent = f'"{parent_id}"' if parent_id else "null"
    return (
        f'{{"project":"{PROJECT}","project_id":"{PROJECT_ID}","source":"production","session_id":"{session_id}",'
        f'"event_id":"{event_id}","parent_id":{parent},"children_ids":[],'
        f'"start_time":{time},"end_time":{time + duration},"duration":{duration},'
    ).encode()


def _bodies(dataset: Dataset, rng: Random) -> list[bytes]:
    """Return the rest of the events, enough of them to fill the pool (or the data set)."""
    count = min(dataset.count, max(64, POOL_BYTES // dataset.size))
    sizes = [int(dataset.size * rng.uniform(0.5, 1.5)) for _ in range(count)]
    texts = _Texts(rng, sum(sizes))
    kinds = (_tool, _model) if dataset.size >= SMALL_BYTES else (_chain,)
    bodies = []
    for number, size in enumerate(sizes):
        make = kinds[number % len(kinds)]
        body = make(rng, texts, max(FEWEST_TEXT_BYTES, size - FRAME_BYTES[make.__name__]))
        bodies.append(json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()[1:] + b",")
    return bodies


class _Texts:
    """Prose, each character of it given out once, and a few prompts that come again and again."""

    def __init__(self, rng: Random, length: int) -> None:
        self._prose = _prose(rng, length + SYSTEM_PROMPTS * PROMPT_LENGTH)
        self._at = 0
        self.prompts = [self.take(PROMPT_LENGTH) for _ in range(SYSTEM_PROMPTS)]

    def take(self, length: float) -> str:
        self._at += int(length)
        return self._prose[self._at - int(length) : self._at]


def _chain(rng: Random, texts: _Texts, size: int) -> dict[str, Any]:
    return {
        "event_type": "chain",
        "event_name": "handle_turn",
        "inputs": {"question": texts.take(size / 2)},
        "outputs": {"answer": texts.take(size / 2)},
        "error": None,
        "metadata": {"turn": rng.randrange(12)},
        "metrics": {},
    }


def _tool(rng: Random, texts: _Texts, size: int) -> dict[str, Any]:
    chunks = rng.choice((1, 3, 5))
    return {
        "event_type": "tool",
        "event_name": "vector_search",
        "config": {"index": "kb-2026", "embedding_model": "text-embedding-3-small", "top_k": 5},
        "inputs": {"query": texts.take(size * 0.05)},
        "outputs": {
            "chunks": [
                {"id": f"doc-{rng.randrange(9999)}", "score": rng.random(), "text": texts.take(size * 0.95 / chunks)}
                for _ in range(chunks)
            ]
        },
        "error": None,
        "metadata": {"cached": rng.random() < 0.2},
        "feedback": {},
        "metrics": {},
        "user_properties": {"user": f"auth0|{rng.randrange(10**15)}"},
    }


def _model(rng: Random, texts: _Texts, size: int) -> dict[str, Any]:
    prompt = rng.choice(texts.prompts)[: size // 4]
    left, tokens = size - len(prompt), size // 4
    # Context and question come twice, the answer once.
    context, question = texts.take(left * 0.35), texts.take(left * 0.05)
    return {
        "event_type": "model",
        "event_name": "openai.chat",
        "config": {"model": "gpt-4o", "provider": "openai", "hyperparameters": {"temperature": 0, "top_p": 1}},
        "inputs": {
            "context": context,
            "question": question,
            "chat_history": [
                {"role": "system", "content": prompt + context},
                {"role": "user", "content": question},
            ],
        },
        "outputs": {"role": "assistant", "content": texts.take(left * 0.2)},
        "error": None,
        "metadata": {"cost": tokens / 4e5, "prompt_tokens": tokens, "completion_tokens": tokens // 5},
        "feedback": {},
        "metrics": {"faithfulness": rng.randrange(1, 6), "words": tokens // 2},
        "user_properties": {"user": f"auth0|{rng.randrange(10**15)}"},
    }


def _prose(rng: Random, length: int) -> str:
    """Return sentences of words whose frequency falls with their rank, as in any language (Zipf's law)."""
    syllables = SYLLABLES.split()
    words = [*WORDS, *("".join(rng.choices(syllables, k=rng.choice((2, 2, 3, 3, 4)))) for _ in range(RARE_WORDS))]
    weights = list(accumulate(1 / (rank + 2.7) for rank in range(len(words))))
    parts: list[str] = []
    while length > 0:
        sentence = " ".join(rng.choices(words, cum_weights=weights, k=rng.randrange(5, 30))).capitalize() + ". "
        if rng.random() < SPICE_SHARE * 10:
            sentence += rng.choice(SPICE) + " "
        parts.append(sentence)
        length -= len(sentence)
    return "".join(parts)
