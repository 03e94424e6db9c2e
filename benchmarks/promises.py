"""What was promised of the export's speed, memory and traffic, and whether it holds."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.series import Results
from benchmarks.stores import MB, allowed_requests

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.series import Series

#: Pages from which on the small ones at the beginning do not decide how many requests there are.
MANY_PAGES = 25


@dataclass(frozen=True)
class Promise:
    """Something that must hold.

    :param text: what.
    :param measure: the number, None where it was not measured.
    :param most: it must be at most this...
    :param least: ...or at least this.
    :param unless: why a physical limit forbids it where it fails, in one sentence.
    """

    text: str
    measure: Callable[[Results], float | None]
    most: float | None = None
    least: float | None = None
    unless: str = ""

    def row(self, results: Results) -> list[str]:
        """Return the cells of its row."""
        limit = f"≤ {self.most:g}" if self.most is not None else f"≥ {self.least:g}"
        number = self.measure(results)
        if number is None:
            return [self.text, limit, "not measured", ""]
        holds = (self.most is None or number <= self.most) and (self.least is None or number >= self.least)
        return [self.text, limit, f"{number:.3g}", "pass" if holds else self._failure]

    @property
    def _failure(self) -> str:
        return f"**FAIL**: {self.unless}" if self.unless else "**FAIL**"


def _time_ratio(case: str, ours: str, theirs: str) -> Callable[[Results], float | None]:
    return lambda results: _ratio(results.median(case, ours, "wall_s"), results.median(case, theirs, "wall_s"))


def _ratio(one: float | None, other: float | None) -> float | None:
    return one / other if one is not None and other else None


def _peak(results: Results) -> float | None:
    lines = [each for each in results.ours() if each.event_size == 4300 and "parquet" not in each.name]
    return max((each.most("peak_mb") for each in lines if each.concurrency == 4), default=None)


def _peak_of(case: str, contender: str) -> Callable[[Results], float | None]:
    return lambda results: max((each.most("peak_mb") for each in results.of(case, contender)), default=None)


def _memory_growth(results: Results) -> float | None:
    return _ratio(results.median("1m", "ours-gzip", "peak_mb"), results.median("100k", "ours-gzip", "peak_mb"))


def _growth(contender: str) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        series = sorted(results.of("growth", contender), key=lambda each: each.events)
        return _ratio(series[-1].median("wall_s"), series[0].median("wall_s")) if len(series) > 1 else None

    return measure


def _fields_cost(file_format: str) -> Callable[[Results], float | None]:
    return lambda results: _ratio(*(results.fields_cost(name, file_format) for name in ("five unknown", "none")))


def _speed_up(results: Results) -> float | None:
    one, eight = (results.median("latency", f"ours-gzip@{readers}", "wall_s") for readers in (1, 8))
    return _ratio(one, eight)


def _requests(results: Results) -> float | None:
    many = [each for each in results.ours() if each.events > MANY_PAGES * each.page_size and each.case != "moment"]
    return max(map(excess, many), default=None)


def _requests_of(case: str) -> Callable[[Results], float | None]:
    return lambda results: max((excess(each) for each in results.ours() if each.case == case), default=None)


def excess(series: Series) -> float:
    """Return the requests, relative to a full page for all events and one more for each slice; of the worst run."""
    pages = series.events / series.page_size
    return max((run["served"]["requests"] / (pages + run["slices"]) for run in series.good_runs), default=0.0)


def _in_flight(results: Results) -> float | None:
    return max((max(0, each.most_served("peak_in_flight") - each.concurrency) for each in results.ours()), default=None)


def _own_import_ms(results: Results) -> float | None:
    seconds = results.import_s("airflow_provider_honeyhive.operators.honeyhive")
    return None if seconds is None else seconds * 1000


def _start(results: Results) -> float | None:
    spent = results.start.get("cpu_s")
    return _ratio(*(median(spent[name]) for name in ("export", "imports"))) if spent else None


def _traffic(direction: str) -> Callable[[Results], float | None]:
    """Return the bytes beyond the first megabyte, relative to what was published; of the worst run."""

    def measure(results: Results) -> float | None:
        return max((max(0, run[direction] - MB) / run["published"] for run in results.stores), default=None)

    return measure


def _store_requests(results: Results) -> float | None:
    runs = [run for run in results.stores if run["store"] == "s3"]
    return max((run["requests"] / allowed_requests(run) for run in runs), default=None)


def _store_files(results: Results) -> float | None:
    return max((max(0, run["files_too_many"]) for run in results.stores), default=None)


def _store_peak(*, parquet: bool) -> Callable[[Results], float | None]:
    def measure(results: Results) -> float | None:
        runs = [run for run in results.stores if run["parquet"] == parquet and run["concurrency"] <= 4]
        return max((run["peak_mb"] for run in runs), default=None)

    return measure


def _tail_share(results: Results) -> float | None:
    return _ratio(results.overlap.get("tail_s"), results.overlap.get("wall_s"))


def _tail_excess(results: Results) -> float | None:
    """Return the seconds between last answer and manifest, relative to a second and a twentieth for each file."""
    return results.overlap["tail_s"] / (1 + 0.05 * results.overlap["files"]) if results.overlap else None


def _builds_time(exporter: str) -> Callable[[Results], float | None]:
    """Return the time of all builds of a million events, relative to that of their export."""

    def measure(results: Results) -> float | None:
        runs = [run for run in results.builds if len(run["builds"]) > 1 and exporter in run["label"]]
        return max(
            (sum(build["wall_s"] for build in run["builds"].values()) / run["export"]["wall_s"] for run in runs),
            default=None,
        )

    return measure


def _builds_peak(results: Results) -> float | None:
    return max((build["peak_mb"] for run in results.builds for build in run["builds"].values()), default=None)


PROMISES = (
    Promise("gzip: wall time / `curl \\| igzip -1`, 100k", _time_ratio("100k", "ours-gzip", "curl-igzip"), most=1.5),
    Promise(
        "gzip: wall time / `curl \\| gzip -1`, 100k",
        _time_ratio("100k", "ours-gzip", "curl-gzip"),
        most=0.3,
        unless="`curl \\| igzip -1`, the limit of one connection, takes more than that by itself, see the next line",
    ),
    Promise(
        "...and that of `curl \\| igzip -1`, for comparison", _time_ratio("100k", "curl-igzip", "curl-gzip"), least=0.3
    ),
    Promise("gzip: wall time / vendor's client, 100k", _time_ratio("100k", "ours-gzip", "vendor"), most=0.25),
    Promise("gzip: wall time / dlt, 100k", _time_ratio("100k", "ours-gzip", "dlt"), most=0.15),
    Promise(
        "uncompressed: wall time / `curl` to a file, server makes its JSON",
        _time_ratio("serialised", "ours-none", "curl"),
        most=2,
    ),
    Promise("...and where the server copies out of memory, 100k", _time_ratio("100k", "ours-none", "curl"), most=2),
    Promise(
        "Parquet: wall time / gzip JSONL, 100k",
        _time_ratio("100k", "ours-parquet", "ours-gzip"),
        most=1.3,
        unless="beside what JSONL needs, each event is taken apart into columns, most of that under Python's lock, and "
        "zstd takes as long as gzip: twice the processor time, on two processors",
    ),
    Promise("Parquet: CPU time with five fields without a column / without them", _fields_cost("parquet"), most=1.15),
    Promise("CSV: CPU time with five fields without a column / without them", _fields_cost("csv"), most=1.15),
    Promise(
        "slow server: wall time of 1 reader / 8 readers",
        _speed_up,
        least=7,
        unless="between its requests each reader decodes and writes, 40 ms of processor time for an answer that takes "
        "450 ms, and one lock of Python lets all eight do so in turn",
    ),
    Promise("slow server: wall time, 10 times the events", _growth("ours-gzip"), most=11),
    Promise("...and that of a page-number loop, for comparison", _growth("requests"), least=11),
    Promise("requests / (events / page size + slices): worst of all runs", _requests, most=1.05),
    Promise(
        "...with all events in one millisecond, which are read twice to prove that none slipped past",
        _requests_of("moment"),
        most=2.1,
    ),
    Promise("most requests at once, beyond the concurrency asked for", _in_flight, most=0),
    Promise("object stores: (bytes uploaded - 1 MB) / bytes published: worst", _traffic("uploaded"), most=1.05),
    Promise("...(bytes downloaded - 1 MB) / bytes published: worst", _traffic("downloaded"), most=0.05),
    Promise("...requests / (12 + 6 a file + one for 8 MB), S3: worst", _store_requests, most=1),
    Promise("...files in a folder beyond what its bytes need and one a slice: worst", _store_files, most=0),
    Promise(
        "...peak memory in MB, JSONL, concurrency 1 and 4, all of the table: worst",
        _store_peak(parquet=False),
        most=150,
        unless="s3fs and its client alone take 52 MB; only 200,000 events in one millisecond and 5,000,000 events need "
        "more than 150",
    ),
    Promise("...peak memory in MB, Parquet, the same", _store_peak(parquet=True), most=300),
    Promise("store far away, 1 GB: time from last answer to manifest / wall time", _tail_share, most=0.1),
    Promise("...and / (1.0 s + 0.05 s a file)", _tail_excess, most=1),
    Promise("ten events: CPU time / that of importing `requests` and `pydantic`", _start, most=1.4),
    Promise("operator's module, beside what Airflow imports: ms", _own_import_ms, most=30),
    Promise("peak memory in MB, JSONL, events of 4.3 kB, concurrency 4, any number: largest of all", _peak, most=150),
    Promise("peak memory, 1M events / 100k events", _memory_growth, most=1.15),
    Promise("peak memory in MB, JSONL, events of 1 MB", _peak_of("1mb", "ours-gzip"), most=150),
    Promise("...5,000,000 events of 1 kB", _peak_of("5m", "ours-gzip"), most=150),
    Promise("...a year, one event a day", _peak_of("year", "ours-gzip"), most=150),
    Promise("...200,000 events in one millisecond", _peak_of("moment", "ours-gzip"), most=150),
    Promise("Parquet: peak memory in MB, 100k", _peak_of("100k", "ours-parquet"), most=300),
    Promise("...and with events of 1 MB", _peak_of("1mb", "ours-parquet"), most=300),
    Promise(
        "tables, dataset and report of 1M events: wall time / their export, Parquet", _builds_time("parquet"), most=1
    ),
    Promise(
        "...and where the export is JSONL",
        _builds_time("jsonl"),
        most=1,
        unless="each build takes the JSON apart into columns first, under Python's lock; Parquet exports have them",
    ),
    Promise("...peak memory in MB, all processes, 10M events included", _builds_peak, most=2_000),
    Promise("runs of ours that failed or wrote anything but each event once", Results.our_failures, most=0),
)
