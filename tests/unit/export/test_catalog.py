"""A folder of windows: every export is verified, and the windows must meet."""

from __future__ import annotations

import inspect
import sys
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.cli.main import main
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.catalog import Timeline, skipped_links, verify_exports
from airflow_provider_honeyhive.export.cleanup import find_leftovers
from airflow_provider_honeyhive.formats.datafile import PartFile
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import RequestFacts
from airflow_provider_honeyhive.models.window import EPOCH, MICROSECOND, Window, format_time, from_micros
from airflow_provider_honeyhive.storage.local import LocalStore

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

HOUR = 3_600_000_000
PART = "part-00000-0123456789ab.jsonl.gz"


def manifest(start: int | None, end: int | None, project: str = "demo", **asked: Any) -> Manifest:
    """Return the manifest of an export without events; times in microseconds since 1970."""
    return Manifest(
        project=project,
        start_time=None if start is None else format_time(from_micros(start)),
        end_time=None if end is None else format_time(from_micros(end)),
        event_count=0,
        started_at="2026-11-22T06:00:00.000Z",
        finished_at="2026-11-22T06:00:00.000Z",
        file_format="jsonl",
        compression="gzip",
        request=RequestFacts(**{"api_host": "h", **asked}),
        files=[],
    )


def write(folder: Path, name: str, found: Manifest) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(found.to_json())


def seams(*windows: tuple[Manifest, str]) -> list[tuple[str, str]]:
    timeline = Timeline()
    for found, place in windows:
        timeline.add(found, place)
    return [(seam.kind, seam.text) for seam in timeline.seams()]


def hours(*numbers: int) -> list[str]:
    return [format_time(from_micros(number * HOUR)) for number in numbers]


def test_exports_are_found_at_any_depth_as_folders_and_as_objects(tmp_path):
    places = ["2026-01-01/_manifest.json", "dt=1/hour=0/_manifest.json", "objects/day.jsonl.gz.manifest.json"]
    for number, place in enumerate(["_manifest.json", *places]):
        write(tmp_path, place, manifest(number * HOUR, (number + 1) * HOUR))
    found = [(verdict.place, verdict.problems) for verdict in verify_exports(tmp_path)]
    assert found == [
        (f"{tmp_path}", []),
        (f"{tmp_path}/2026-01-01", []),
        (f"{tmp_path}/dt=1/hour=0", []),
        (f"{tmp_path}/objects/day.jsonl.gz", []),
    ]


@pytest.mark.parametrize(
    "path",
    [
        "day",
        "day/_manifest.json",
        "one.jsonl",
        "one.jsonl.manifest.json",
        "_one.jsonl",
        "_one.jsonl.manifest.json",
    ],
)
def test_one_export_is_meant_by_its_folder_its_object_or_its_manifest(tmp_path, path):
    write(tmp_path, "day/_manifest.json", manifest(0, HOUR))
    write(tmp_path, "one.jsonl.manifest.json", manifest(0, HOUR))
    write(tmp_path, "_one.jsonl.manifest.json", manifest(0, HOUR))
    (verdict,) = verify_exports(tmp_path / path)
    assert verdict.place == str(tmp_path / path.partition("/")[0].removesuffix(".manifest.json"))
    assert verdict.problems == []


def test_links_are_not_followed_and_each_export_counts_once(tmp_path, capsys):
    write(tmp_path, "place/day/_manifest.json", manifest(0, HOUR))
    write(tmp_path, "elsewhere/other/_manifest.json", manifest(HOUR, 2 * HOUR))
    place = tmp_path / "place"
    links = {
        "itself": place,
        "again": place,
        "day/up": place,
        "other": tmp_path / "elsewhere" / "other",
        "one.jsonl.gz.manifest.json": tmp_path / "elsewhere" / "other" / "_manifest.json",
        "nowhere": tmp_path / "not" / "there",
    }
    for name, target in {**links, ".hidden": place, "_staging": place}.items():
        (place / name).symlink_to(target)
    assert [verdict.place for verdict in verify_exports(place)] == [f"{place}/day"]
    assert skipped_links(place) == [f"{place}/{name}" for name in sorted(links)]
    assert main(["verify", str(place)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:6] == [f"skipped {place}/{name}: a symbolic link is not followed" for name in sorted(links)]
    assert lines[6].startswith(f"ok     {place}/day: ")
    assert lines[7].startswith("exports: 1, ")
    assert len(lines) == 8


def test_a_data_file_that_is_a_link_is_not_read(tmp_path, capsys):
    part = PartFile(path=PART, event_count=0, size_bytes=0, sha256=sha256(b"").hexdigest())
    write(tmp_path, "_manifest.json", manifest(0, HOUR).model_copy(update={"files": [part]}))
    (tmp_path / "theirs").write_bytes(b"")
    (tmp_path / PART).symlink_to(tmp_path / "theirs")
    assert [verdict.problems for verdict in verify_exports(tmp_path)] == [[f"{PART}: missing"]]
    assert main(["verify", str(tmp_path)]) == 1
    assert f"skipped {tmp_path / PART}: a symbolic link is not followed" in capsys.readouterr().out


def test_the_folder_itself_may_be_a_link(tmp_path):
    write(tmp_path, "place/day/_manifest.json", manifest(0, HOUR))
    (tmp_path / "link").symlink_to(tmp_path / "place")
    assert [verdict.place for verdict in verify_exports(tmp_path / "link")] == [f"{tmp_path}/link/day"]
    assert [verdict.place for verdict in verify_exports(tmp_path / "link" / "day")] == [f"{tmp_path}/link/day"]


def test_folders_may_be_deeper_than_python_can_recurse(tmp_path):
    write(tmp_path, "/".join("a" * 300) + "/_manifest.json", manifest(0, HOUR))
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(len(inspect.stack()) + 150)
    try:
        (verdict,) = verify_exports(tmp_path)
        assert find_leftovers(tmp_path, timedelta()) == []
    finally:
        sys.setrecursionlimit(limit)
    assert verdict.problems == []


def test_what_is_staged_locked_or_hidden_is_no_export(tmp_path):
    for name in ("_staging-0123/_manifest.json", ".tool/_manifest.json", "_lease-x.jsonl.manifest.json"):
        write(tmp_path, name, manifest(0, HOUR))
    (tmp_path / "_lease-manifest.json").write_text("{}")
    assert list(verify_exports(tmp_path)) == []


def test_every_export_is_looked_at_although_others_are_bad(tmp_path):
    for name in ("a", "b", "c", "d"):
        write(tmp_path, f"{name}/_manifest.json", manifest(0, HOUR))
    (tmp_path / "a" / "_manifest.json").write_text("{")
    (tmp_path / "b" / PART).touch()
    verdicts = {verdict.place[-1]: verdict for verdict in verify_exports(tmp_path)}
    assert [len(verdicts[name].problems) for name in "abcd"] == [1, 1, 0, 0]
    assert "is not a manifest" in verdicts["a"].problems[0]
    assert verdicts["b"].problems == [f"{PART}: not in the manifest"]
    assert not any(verdict.unreachable for verdict in verdicts.values())


def test_data_files_without_a_manifest_are_an_unfinished_export(tmp_path):
    (tmp_path / "2026-01-01").mkdir()
    (tmp_path / "2026-01-01" / PART).touch()
    (verdict,) = verify_exports(tmp_path)
    assert verdict.place == str(tmp_path / "2026-01-01")
    assert "without _manifest.json" in verdict.problems[0]


def test_data_files_below_an_export_are_its_own_matter(tmp_path):
    write(tmp_path, "_manifest.json", manifest(0, HOUR))
    (tmp_path / "event_type=model").mkdir()
    (tmp_path / "event_type=model" / PART).touch()
    assert [verdict.problems for verdict in verify_exports(tmp_path)] == [[]]


@pytest.mark.parametrize("method", ["get", "chunks"])
def test_a_store_that_fails_is_told_from_an_export_that_is_wrong(tmp_path, monkeypatch, method):
    part = PartFile(path=PART, event_count=0, size_bytes=0, sha256="0" * 64)
    write(tmp_path, "a/_manifest.json", manifest(0, HOUR).model_copy(update={"files": [part]}))
    (tmp_path / "a" / PART).touch()

    def fail(*_: Any) -> None:
        raise DestinationError("cannot read it now")

    monkeypatch.setattr(LocalStore, method, fail)
    (verdict,) = verify_exports(tmp_path)
    assert verdict.unreachable
    assert verdict.problems == ["cannot read it now"]


def test_exports_are_verified_one_after_the_other_when_they_are_asked_for(tmp_path):
    for name in ("a", "b"):
        write(tmp_path, f"{name}/_manifest.json", manifest(0, HOUR))
    verdicts = verify_exports(tmp_path)
    assert next(verdicts).problems == []
    (tmp_path / "b" / PART).touch()
    assert next(verdicts).problems


def test_windows_that_meet_have_no_seams_in_whatever_order_they_come():
    windows = [(manifest(hour * HOUR, (hour + 1) * HOUR), str(hour)) for hour in (3, 1, 0, 2)]
    assert seams(*windows) == []


def test_a_gap_names_the_time_and_the_exports_around_it():
    (seam,) = seams((manifest(5 * HOUR, 6 * HOUR), "out/5"), (manifest(1 * HOUR, 2 * HOUR), "out/1"))
    after, before = hours(2, 5)
    assert seam == ("gap", f"project 'demo': no export of [{after}, {before}), between out/1 and out/5")


def test_an_overlap_names_the_time_and_both_exports():
    (seam,) = seams((manifest(1 * HOUR, 4 * HOUR), "out/1"), (manifest(2 * HOUR, 3 * HOUR), "out/2"))
    start, end = hours(2, 3)
    assert seam == ("overlap", f"project 'demo': [{start}, {end}) is in out/1 and in out/2")


def test_a_microsecond_is_a_gap_and_an_overlap():
    first, second = (manifest(0, HOUR), "a"), (manifest(HOUR + 1, 2 * HOUR), "b")
    assert [kind for kind, _ in seams(first, second)] == ["gap"]
    second = (manifest(HOUR - 1, 2 * HOUR), "b")
    assert [kind for kind, _ in seams(first, second)] == ["overlap"]


def test_the_same_window_twice_is_an_overlap():
    assert [kind for kind, _ in seams((manifest(0, HOUR), "a"), (manifest(0, HOUR), "b"))] == ["overlap"]


def test_a_window_inside_an_earlier_one_does_not_hide_what_comes_after():
    windows = [(0, 10), (1, 2), (5, 6), (10, 11), (12, 13)]
    found = seams(*((manifest(start * HOUR, end * HOUR), str(start)) for start, end in windows))
    assert [kind for kind, _ in found] == ["overlap", "overlap", "gap"]


@pytest.mark.parametrize(
    "asked",
    [
        {"project": "other"},
        {"filters": [{"field": "a", "operator": "is", "value": 1, "type": "number"}]},
        {"projections": ["inputs"]},
        {"evaluation_id": "run-1"},
    ],
    ids=lambda asked: next(iter(asked)),
)
def test_exports_of_different_things_have_nothing_to_do_with_each_other(asked):
    assert seams((manifest(0, HOUR), "a"), (manifest(0, 5 * HOUR, **asked), "b")) == []
    (seam,) = seams((manifest(0, HOUR, **asked), "a"), (manifest(2 * HOUR, 5 * HOUR, **asked), "b"))
    assert next(iter(asked)) in seam[1]


def test_how_a_request_was_answered_makes_it_no_other():
    found = seams(
        (manifest(0, HOUR, endpoint="export"), "a"), (manifest(0, HOUR, endpoint="search", api_host="i"), "b")
    )
    assert [kind for kind, _ in found] == ["overlap"]


def in_format(file_format: str, *window: int, compression: str = "none") -> Manifest:
    return manifest(*window).model_copy(update={"file_format": file_format, "compression": compression})


def test_one_window_in_two_formats_or_compressions_is_no_overlap():
    day = (0, 24 * HOUR)
    forms = [("jsonl", "gzip"), ("jsonl", "zstd"), ("parquet", "zstd")]
    exports = [(in_format(form, *day, compression=how), f"{form}-{how}") for form, how in forms]
    assert seams(*exports) == []
    twice = seams(*exports, (in_format("parquet", 0, HOUR, compression="zstd"), "again"))
    start, end = hours(0, 1)
    assert twice == [
        ("overlap", f"project 'demo', parquet with compression zstd: [{start}, {end}) is in again and in parquet-zstd")
    ]


def test_a_gap_in_one_format_is_one_though_another_format_has_its_time():
    exports = [(in_format("jsonl", n * HOUR, (n + 1) * HOUR), f"j{n}") for n in range(3)]
    exports += [(in_format("parquet", n * HOUR, (n + 1) * HOUR), f"p{n}") for n in (0, 2)]
    start, end = hours(1, 2)
    assert seams(*exports) == [
        ("gap", f"project 'demo', parquet with compression none: no export of [{start}, {end}), between p0 and p2")
    ]


@pytest.mark.parametrize(("first_of_parquet", "gaps"), [(2, 0), (3, 1)])
def test_where_the_format_was_changed_nothing_may_be_missing(first_of_parquet, gaps):
    exports = [(in_format("jsonl", n * HOUR, (n + 1) * HOUR), f"j{n}") for n in range(2)]
    exports += [(in_format("parquet", n * HOUR, (n + 1) * HOUR), f"p{n}") for n in [first_of_parquet]]
    start, end = hours(2, 3)
    wanted = ("gap", f"project 'demo': no export of [{start}, {end}), between j1 and p3")
    assert seams(*exports) == [wanted] * gaps


def test_an_export_of_all_of_time_overlaps_every_window():
    ((kind, text),) = seams((manifest(None, None), "all"), (manifest(0, HOUR), "day"))
    start, end = hours(0, 1)
    assert (kind, text) == ("overlap", f"project 'demo': [{start}, {end}) is in all and in day")
    ((kind, text),) = seams((manifest(None, None), "all"), (manifest(None, None), "again"))
    assert "[the beginning of time, the end of time)" in text


Spans = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 8)), min_size=1, max_size=12)


@given(Spans)
def test_gaps_and_overlaps_are_those_that_counting_hours_finds(spans: Sequence[tuple[int, int]]):
    times = [0] * 50
    for start, length in spans:
        for hour in range(start, start + length):
            times[hour] += 1
    first = min(start for start, _ in spans)
    last = max(start + length for start, length in spans)
    found = seams(*((manifest(start * HOUR, (start + length) * HOUR), "x") for start, length in spans))
    covered: dict[str, set[int]] = {"gap": set(), "overlap": set()}
    for kind, text in found:
        bounds = text.partition("[")[2].partition(")")[0].split(", ")
        window = Window.parse(*bounds)
        covered[kind] |= {
            (moment - EPOCH) // MICROSECOND // HOUR
            for moment in (from_micros(micros) for micros in range(window.start_us, window.end_us, HOUR))
        }
    assert covered["gap"] == {hour for hour in range(first, last) if times[hour] == 0}
    assert covered["overlap"] == {hour for hour in range(50) if times[hour] > 1}
