"""What is measured: the cases, each a server with some events, and who fetches them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from benchmarks.commands import contender
from benchmarks.dataset import Dataset
from benchmarks.server import Delays

SMALL, KILO, USUAL, LARGE, HUGE = 500, 1000, 4300, 50_000, 1_000_000
SIZE_NAMES = {SMALL: "0.55 kB", KILO: "1 kB", USUAL: "4.3 kB", LARGE: "50 kB", HUGE: "1 MB"}
FAST = Delays()
#: A server that takes 150 ms for an answer, and 40 ms more for 1000 events in it.
SLOW = Delays(answer=0.15, per_1000=0.04)
#: One that also pays for rows that a page number makes it skip.
SKIPPING = replace(SLOW, per_1000_skipped=0.004)

ALL = ("ours-gzip", "ours-none", "curl", "curl-gzip", "curl-igzip", "requests", "vendor", "http-operator", "dlt")
READERS = (1, 2, 4, 8, 16)


@dataclass(frozen=True)
class Case:
    """A table of the report.

    :param title: what the table is called; ``{events}`` stands for what the server has.
    :param datasets: what the server has, one after the other.
    :param contenders: names, see ``commands.py``.
    :param serialise: the server makes the JSON of each answer, instead of copying it.
    :param runs: how often each is measured.
    :param slow_runs: how often the slow ones are.
    :param compared: something was promised beside the slow ones, so that a quick run measures them, too.
    """

    name: str
    title: str
    datasets: tuple[Dataset, ...]
    contenders: tuple[str, ...]
    delays: Delays = FAST
    serialise: bool = False
    runs: int = 3
    slow_runs: int = 1
    compared: bool = False

    @property
    def full_title(self) -> str:
        """The title, with the number and size of the events."""
        counts = [f"{dataset.count:,}" for dataset in self.datasets]
        numbers = counts[0] if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
        return self.title.format(events=f"{numbers} events of {SIZE_NAMES[self.datasets[0].size]}")

    def quick(self) -> Case:
        """Return the case with a tenth of the events, run once, and no slow contender unless one is needed."""
        datasets = tuple(replace(dataset, count=max(100, dataset.count // 10)) for dataset in self.datasets)
        contenders = tuple(name for name in self.contenders if self.compared or not contender(name).slow)
        return replace(self, datasets=datasets, contenders=contenders, runs=1, slow_runs=1)


def at(name: str, readers: tuple[int, ...] = READERS) -> tuple[str, ...]:
    """Return one of our contenders at several concurrencies."""
    return tuple(f"{name}@{number}" for number in readers)


CASES = (
    Case("10k", "{events}", (Dataset(10_000, USUAL),), ALL),
    Case(
        "100k",
        "{events}",
        (Dataset(100_000, USUAL),),
        ("ours-gzip", "ours-none", "ours-zstd", "ours-parquet", *ALL[2:], "dlt-none"),
        compared=True,
    ),
    Case(
        "serialised",
        "A server that makes the JSON of each answer: {events}",
        (Dataset(100_000, USUAL),),
        ("ours-gzip", "ours-none", "curl", "curl-gzip"),
        serialise=True,
    ),
    Case("1m", "{events}", (Dataset(1_000_000, USUAL),), ALL[:5], runs=1),
    Case("small", "{events}", (Dataset(200_000, SMALL),), ALL),
    Case("50kb", "{events}", (Dataset(10_000, LARGE),), ALL),
    Case("1mb", "{events}", (Dataset(1_000, HUGE),), (*ALL[:2], "ours-parquet", *ALL[2:6])),
    Case("5m", "{events}", (Dataset(5_000_000, KILO),), ("ours-gzip",), runs=1),
    Case("year", "A year, one event a day: {events}", (Dataset(365, USUAL, spread="year"),), ("ours-gzip",)),
    Case("moment", "All in one millisecond: {events}", (Dataset(200_000, KILO, spread="moment"),), ("ours-gzip",)),
    Case(
        "concurrency",
        "Readers on a fast server: {events}",
        (Dataset(100_000, USUAL),),
        (*at("ours-gzip"), *at("ours-none")),
    ),
    Case(
        "latency",
        "Readers on a slow server (150 ms an answer, 40 ms per 1000 events): {events}",
        (Dataset(1_000_000, SMALL),),
        (*at("ours-gzip"), "requests"),
        SLOW,
    ),
    Case(
        "latency-4k",
        "Readers on a slow server (150 ms an answer, 40 ms per 1000 events): {events}",
        (Dataset(100_000, USUAL),),
        (*at("ours-gzip"), "curl-gzip", "requests"),
        SLOW,
        runs=1,
    ),
    Case(
        "growth",
        "More events on a slow server that also pays 4 ms for 1000 rows skipped: {events}",
        tuple(Dataset(count, SMALL) for count in (50_000, 100_000, 200_000, 500_000)),
        ("ours-gzip", "requests"),
        SKIPPING,
        runs=1,
        compared=True,
    ),
)
