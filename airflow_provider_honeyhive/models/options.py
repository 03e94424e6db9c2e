"""How to write an export: numbers and names, checked when made. Light enough for DAG parsing."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.exceptions import Argument, InvalidArgumentError
from airflow_provider_honeyhive.models.layout import PARTITION_KEYS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive.models.layout import Layout


DEFAULT_MAX_FILE_SIZE = 128 * 1024**2

DEFAULT_CONCURRENCY = 4

#: Airflow maps a task over at most so many values unless it is configured otherwise.
MOST_SHARDS = 1024

#: XCom values live in Airflow's metadata database. Measured on Airflow 3.3.2: 1 MB takes 0.2 s to push, 50 MB take
#: seconds and double the API server's memory, 200 MB cannot be pulled any more. 1 MB is also where the example of
#: Airflow's own object storage backend for XCom begins to keep values outside of the database.
DEFAULT_XCOM_MAX_BYTES = 1_000_000

#: From here on the log warns. Airflow 3 has no limit of its own; 48 kB, to the byte, is what Airflow 2 calls
#: ``MAX_XCOM_SIZE``, and the only number that Airflow has ever given for the "small values" that XCom is for.
LARGE_XCOM_BYTES = 49_344

WARN, FAIL, KEEP, REPLACE = "warn", "fail", "keep", "replace"

#: What may happen where a path of ``exclude_fields`` or ``redact`` matches nothing in the whole export.
ON_UNMATCHED = (WARN, FAIL)

#: What may happen where an export would replace one that holds events which it does not hold.
ON_SHRINK = (FAIL, KEEP, REPLACE)

#: What a row of a dataset can be made of: each model call, or the last one of each session.
DATASET_ROWS = ("model_calls", "sessions")

_A_FOLDER = " is a folder, not one object"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportOptions:
    """How to write an export.

    :param file_format: ``jsonl``, ``csv``, ``json`` or ``parquet``; None: by the path's suffix, else ``jsonl``.
    :param compression: one that the format has; None: by the path's suffix, else the format's default.
    :param partition_by: folders to sort the events into: ``event_date`` (UTC) and ``event_type``.
    :param max_file_size: bytes on disk at which a part ends; does not apply to one object.
    :param page_size: most events in a request; None: by the size of the answers.
    :param concurrency: slices read at the same time, and so the most requests at once.
    :param replace: replace an earlier export of the same window.
    :param on_shrink: what happens where the published export holds events that the new one does not: ``fail``, ``keep``
        the published one, or ``replace`` it nevertheless. Only ``replace`` takes one whose request differs.
    :param min_events: fewer events than this are an error.
    :param on_unmatched: what happens where a path of ``exclude_fields`` or ``redact`` matches nothing in any event:
        ``warn`` in the log, or ``fail`` before anything is published. The manifest names such paths.
    :param lookback_windows: how many windows' worth behind the window to read again, for what came late or changed.
    :param trust_total: compare what was read with the total that the server reports; None: as the connection says.
    :raises InvalidArgumentError: a number is out of its range, or no such partition or choice.
    """

    file_format: str | None = None
    compression: str | None = None
    partition_by: tuple[str, ...] = ()
    max_file_size: int = DEFAULT_MAX_FILE_SIZE
    page_size: int | None = None
    concurrency: int = DEFAULT_CONCURRENCY
    replace: bool = True
    on_shrink: str = FAIL
    min_events: int | None = None
    on_unmatched: str = WARN
    lookback_windows: int = 0
    trust_total: bool | None = None

    @classmethod
    def of(cls, source: Any) -> ExportOptions:
        """Return the options that an operator or a command has as attributes.

        :param source: what it has no attribute for is the default; ``partition_by`` may also be None or one key,
            ``file_format`` and ``compression`` empty.
        :raises InvalidArgumentError: a number is out of its range, or no such partition or choice.
        """
        given: dict[str, Any] = {one.name: getattr(source, one.name, one.default) for one in fields(cls)}
        # A template may give an empty text.
        given |= {name: given[name] or None for name in ("file_format", "compression")}
        keys = given["partition_by"]
        return cls(**given | {"partition_by": (keys,) if isinstance(keys, str) else tuple(keys or ())})

    def __post_init__(self) -> None:
        keys = self.partition_by
        if len(set(keys)) < len(keys) or not set(keys) <= set(PARTITION_KEYS):
            allowed = " and ".join(map(repr, PARTITION_KEYS))
            raise InvalidArgumentError("partition_by", list(keys), f"allowed: a list of {allowed}, once each")
        check_choice("on_unmatched", self.on_unmatched, ON_UNMATCHED)
        check_choice("on_shrink", self.on_shrink, ON_SHRINK)
        for argument, least, most in (
            ("max_file_size", 1, None),
            ("page_size", 1, 7500),
            ("concurrency", 1, 64),
            ("min_events", 0, None),
            ("lookback_windows", 0, None),
        ):
            check_number(
                argument, getattr(self, argument), least, most, optional=argument in ("page_size", "min_events")
            )


def check_choice(argument: str, value: Any, choices: Sequence[str]) -> None:
    """Check that a value is one of those that are allowed.

    :raises InvalidArgumentError: it is not.
    """
    if value not in choices:
        raise InvalidArgumentError(argument, value, f"allowed: {' or '.join(map(repr, choices))}")


def check_dataset(rows: Any, test_share: Any) -> None:
    """Check what a dataset is asked for.

    :param rows: one of :data:`DATASET_ROWS`.
    :param test_share: of the sessions whose rows are in the test split.
    :raises InvalidArgumentError: it cannot be right.
    """
    check_choice("rows", rows, DATASET_ROWS)
    if isinstance(test_share, bool) or not isinstance(test_share, int | float) or not 0 <= test_share <= 1:
        raise InvalidArgumentError("test_share", test_share, "allowed: a number from 0 to 1")


def check_partitions(
    partition_by: Sequence[str], layout: Layout, exclude_fields: Sequence[str] = (), redact: Sequence[str] = ()
) -> None:
    """Check that folders can be made, and show nothing that is not to be shown.

    :raises InvalidArgumentError: there is only one object, or a field is to be left out and in a folder's name.
    """
    if partition_by and layout.object_name is not None:
        raise InvalidArgumentError(
            "partition_by", list(partition_by), "allowed only where ", Argument("output_path"), _A_FOLDER
        )
    if "event_type" in partition_by and "event_type" in (*exclude_fields, *redact):
        raise InvalidArgumentError(
            "partition_by", list(partition_by), "event_type is excluded or redacted, and folders would show it"
        )


def check_lookback(lookback_windows: int, layout: Layout) -> None:
    """Check that corrections have a place.

    :raises InvalidArgumentError: there is only one object.
    """
    if lookback_windows and layout.object_name is not None:
        raise InvalidArgumentError(
            "lookback_windows", lookback_windows, "allowed only where ", Argument("output_path"), _A_FOLDER
        )


def check_number(argument: str, value: Any, least: int, most: int | None, *, optional: bool = False) -> None:
    """Check a whole number.

    :raises InvalidArgumentError: it is none, or out of range.
    """
    if value is None and optional:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < least or (most is not None and value > most):
        bound = f"from {least} on" if most is None else f"from {least} to {most}"
        raise InvalidArgumentError(argument, value, f"allowed: a whole number {bound}{', or None' if optional else ''}")
