"""The rows that count, of exports of any kind, are those that a plain loop finds."""

from __future__ import annotations

from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.builds.sources import folder_sources

from .made import DAY, HOUR, event, make_export, rows_of

if TYPE_CHECKING:
    from pathlib import Path

#: A row: its id, its session, its time in hours since :data:`DAY`, its text.
Row = tuple[str | None, str, float | None, str]


def row(rng: Random, text: str, start: float, end: float, *, is_session: bool = False) -> Row:
    name = rng.choice([None, "", *"abcdefghij"])
    time = None if rng.random() < 0.1 else rng.uniform(start - 9, end + 9) if is_session else rng.uniform(start, end)
    return name, rng.choice("xyz"), None if time is None else int(time * 3_600_000) / 3_600_000, text


def raw(one: Row) -> bytes:
    name, session, time, text = one
    return event(name, None if time is None else DAY + time * HOUR, session_id=session, event_name=text)


def wanted(exports: list[dict[str, Any]], start: float, end: float, *, sessions: bool) -> set[str]:
    """Return the texts of the rows that count, as the documentation has it."""
    chosen = [one for one in exports if one["start"] < end and one["end"] > start]
    files = [found for one in chosen for found in one["rows"]]
    ids, known_sessions = {found[0] for found in files if found[0]}, {found[1] for found in files}
    read_again = {
        session: max(one["finished"] for one in chosen if session in {found[1] for found in one["rows"]})
        for session in known_sessions
    }
    newest: dict[str, tuple[bool, Row, dict[str, Any]]] = {}
    nameless: list[tuple[bool, Row, dict[str, Any]]] = []
    for one in sorted(exports, key=lambda one: one["finished"]):
        for is_correction, rows in ((False, one["rows"] if one in chosen else []), (True, one["corrections"])):
            first: dict[str, Row] = {}
            for found in rows:
                if found[0]:
                    first.setdefault(found[0], found)
                else:
                    nameless.append((is_correction, found, one))
            newest.update({name: (is_correction, found, one) for name, found in first.items()})

    def counts(is_correction: bool, found: Row, one: dict[str, Any]) -> bool:
        name, session, time, _ = found
        if is_correction and sessions and read_again.get(session, (-1,)) > one["finished"]:
            return False
        if is_correction and not sessions and time is not None:
            inside = [other for other in exports if other["start"] <= time < other["end"]]
            if any(other["finished"] > one["finished"] for other in inside):
                return False
        if sessions:
            return not is_correction or name in ids or session in known_sessions
        if time is not None:
            return start <= time < end
        return name in ids if is_correction else start <= one["start"] < end

    return {found[1][3] for found in (*newest.values(), *nameless) if counts(*found)}


@pytest.mark.parametrize("seed", range(12))
def test_versions_corrections_windows_and_sessions(tmp_path: Path, seed: int) -> None:
    rng = Random(seed)
    sessions = seed % 4 == 0
    exports: list[dict[str, Any]] = []
    bounds = [(0, 24), (24, 48), (48, 72), *((hour, hour + 6) for hour in rng.sample(range(0, 66, 6), 3))]
    for number, (start, end) in enumerate(bounds):
        rows = [row(rng, f"{number}-{at}", start, end, is_session=sessions) for at in range(rng.randrange(8))]
        corrections = [row(rng, f"{number}-c{at}", -24, 96) for at in range(rng.choice((0, 0, 3, 6)))]
        finished = rng.randrange(100)
        exports.append(
            {"start": start, "end": end, "rows": rows, "corrections": corrections, "finished": (finished, number)}
        )
        make_export(
            tmp_path / str(number),
            list(map(raw, rows)),
            DAY + start * HOUR,
            DAY + end * HOUR,
            kind=rng.choice(("parquet", "parquet", "jsonl")),
            corrections=list(map(raw, corrections)),
            finished=DAY + timedelta(days=9, seconds=finished),
            files=rng.choice((1, 3)),
            sessions="complete" if sessions else None,
        )
    for start, end in ((0, 24), (0, 72), (3, 30)):
        found = rows_of(folder_sources(tmp_path, DAY + start * HOUR, DAY + end * HOUR), "event_name")
        assert len(set(found)) == len(found)
        assert {text for (text,) in found} == wanted(exports, start, end, sessions=sessions)
