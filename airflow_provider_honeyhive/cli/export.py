"""The options of the ``export`` command, and what errors call them."""

from __future__ import annotations

import argparse
import re

from airflow_provider_honeyhive.cli.collector import without_collector
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.layout import (
    COMPRESSIONS,
    DEFAULT_FORMAT,
    FILE_FORMATS,
    FORMATS,
    PARTITION_KEYS,
    SUFFIXES,
)
from airflow_provider_honeyhive.models.options import (
    DEFAULT_CONCURRENCY,
    DEFAULT_MAX_FILE_SIZE,
    FAIL,
    ON_SHRINK,
    ON_UNMATCHED,
    WARN,
)

#: What the command line calls the arguments that errors name.
_OPTIONS = {
    "project": "--project",
    "start_time": "--start",
    "end_time": "--end",
    "output_path": "--output",
    "filters": "--filter",
    "projections": "--projection",
    "exclude_fields": "--exclude",
    "redact": "--redact",
    "include_content": "--no-content",
    "partition_by": "--partition-by",
    "evaluation_id": "--evaluation-id",
    "sessions": "--sessions",
    "file_format": "--format",
    "compression": "--compression",
    "concurrency": "--concurrency",
    "page_size": "--page-size",
    "max_file_size": "--max-file-size",
    "min_events": "--min-events",
    "on_unmatched": "--on-unmatched",
    "on_shrink": "--on-shrink",
    "trust_total": "--no-trust-total",
}

_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?(|B|KB|MB|GB|KIB|MIB|GIB)")

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

#: Below the options of the command's help.
EPILOG = """\
API key and base URL of the API:
  1. of --connection-uri, such as honeyhive://:KEY@HOST:PORT/https?endpoint=search&timeout=60
     (extras as in Airflow), or the same as JSON; what it leaves out of key and URL is
     taken from the variables below
  2. without it, of HH_PROJECT_API_KEY, HH_DATA_PLANE_API_KEY or HH_API_KEY, the first that is
     set, and HH_DATA_PLANE_URL or HH_API_URL (default: https://api.dp1.us.honeyhive.ai)
  3. without such a key, of AIRFLOW_CONN_HONEYHIVE_DEFAULT, in the forms of --connection-uri
Everybody on the machine can see the key in a command (ps). Better set a variable, and leave
the key out of --connection-uri.

{codes}"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options to a parser."""
    what = parser.add_argument_group("what to export")
    what.add_argument(
        "--project",
        type=_text,
        help="name of the project, or its id, which a data plane key (hh_fgdp_…) needs (default: the connection's "
        "extra 'project', else required)",
    )
    what.add_argument(
        "--start",
        type=_text,
        required=True,
        metavar="TIME",
        help="start of the window, inclusive: ISO 8601 (UTC where it names no zone), or Unix seconds or "
        "milliseconds (required)",
    )
    what.add_argument(
        "--end", type=_text, required=True, metavar="TIME", help="end of the window, exclusive; same forms (required)"
    )
    what.add_argument(
        "--filter",
        type=_text,
        action="append",
        default=[],
        metavar="JSON",
        help='a condition, such as \'{"field": "event_type", "operator": "is", "value": "model"}\', or a list of '
        "them; may be given again, all must hold (default: none)",
    )
    what.add_argument(
        "--projection",
        type=_text,
        action="append",
        metavar="FIELD",
        help="a top-level field to keep; may be given again (default: all fields)",
    )
    what.add_argument(
        "--exclude",
        action="append",
        type=_text,
        metavar="PATH",
        help="a field to take out of each event, such as inputs or outputs.content; may be given again (default: none)",
    )
    what.add_argument(
        "--redact",
        action="append",
        type=_text,
        metavar="PATH",
        help="a field whose values are replaced by a keyed hash; may be given again; the key is the connection's extra "
        "'redact_secret', else HH_REDACT_SECRET (default: none)",
    )
    what.add_argument(
        "--no-content",
        dest="include_content",
        action="store_false",
        help="export what was measured, not what was said: numbers, times, ids and names, without inputs, outputs, "
        "errors, comments and any other text; ids of users and sessions only as keyed hashes, where there is a key as "
        "for --redact (default: all of each event)",
    )
    what.add_argument(
        "--evaluation-id", type=_text, metavar="ID", help="only events of this experiment run (default: all events)"
    )
    what.add_argument(
        "--sessions",
        choices=("complete",),
        help="complete: whole sessions, those whose root event lies in the window and meets all filters, with all "
        "their events wherever they lie; a request or two for each session (default: the events of the window)",
    )
    where = parser.add_argument_group("where to, and how")
    where.add_argument(
        "--output",
        type=_text,
        required=True,
        metavar="PATH",
        help="a folder, or one object where it ends in " + ", ".join(SUFFIXES) + "; a local path, or a URL such as "
        "s3://bucket/folder/; {start}, {end}, {window_id} and {project} in it are filled with what is exported, "
        "the times also with a format such as {start:%%Y-%%m-%%d} (required)",
    )
    where.add_argument(
        "--format",
        dest="file_format",
        choices=FILE_FORMATS,
        help=f"file format (default: by the suffix of PATH, else {DEFAULT_FORMAT})",
    )
    where.add_argument(
        "--compression",
        choices=COMPRESSIONS,
        help="compression; "
        + "; ".join(f"for {name} {', '.join(allowed)}" for name, allowed in FORMATS.items())
        + " (default: by the suffix of PATH, else the first of the format)",
    )
    where.add_argument(
        "--partition-by",
        action="append",
        choices=PARTITION_KEYS,
        help="sort the events into folders such as event_date=2026-11-22; may be given again (default: none)",
    )
    where.add_argument(
        "--max-file-size",
        type=_bytes,
        default=DEFAULT_MAX_FILE_SIZE,
        metavar="BYTES",
        help="bytes on disk at which a file ends and the next begins, also with a unit: kB, MB, GB, KiB, MiB or GiB "
        f"(default: {DEFAULT_MAX_FILE_SIZE // 2**20}MiB)",
    )
    where.add_argument(
        "--min-events", type=int, metavar="N", help="fail where the window holds fewer events (default: none are fine)"
    )
    where.add_argument(
        "--on-unmatched",
        choices=ON_UNMATCHED,
        default=WARN,
        help="where a path of --exclude or --redact matches nothing in any event: warn, or fail before anything is "
        "published (default: %(default)s)",
    )
    where.add_argument(
        "--on-shrink",
        choices=ON_SHRINK,
        default=FAIL,
        help="where the published export holds events that the new one does not: fail, keep the published one, or "
        "replace it nevertheless (default: %(default)s)",
    )
    where.add_argument(
        "--no-replace",
        dest="replace",
        action="store_false",
        help="fail, before any request, where PATH holds an export (default: one of the same window is replaced)",
    )
    reading = parser.add_argument_group("reading")
    reading.add_argument(
        "--concurrency",
        type=int,
        default=DEFAULT_CONCURRENCY,
        metavar="N",
        help="requests at once at the most, 1 to 64 (default: %(default)s)",
    )
    reading.add_argument(
        "--page-size",
        type=int,
        metavar="N",
        help="events in a request at the most, 1 to 7500 (default: what makes answers of about 16 MB)",
    )
    reading.add_argument(
        "--no-trust-total",
        dest="trust_total",
        action="store_const",
        const=False,
        help="do not compare what was read with the number that the server reports, where that is no total of the "
        "window (default: as the connection says, else compare)",
    )
    reading.add_argument(
        "--connection-uri",
        type=_text,
        metavar="URI",
        help="an Airflow connection as URI or JSON, see below (default: the environment's)",
    )
    output = parser.add_argument_group("what to print")
    output.add_argument(
        "--quiet", action="store_true", help="print neither progress nor warnings (default: both, to stderr)"
    )
    output.add_argument(
        "--json", action="store_true", help="print the result as one line of JSON (default: a line for people)"
    )


def run(args: argparse.Namespace) -> int:
    """Export; return the exit code where the export was stopped by a signal, else 0.

    :raises InvalidArgumentError: an option cannot be right; named as on the command line.
    :raises HoneyHiveError: the export failed.
    """
    with without_collector():
        from airflow_provider_honeyhive.cli.run_export import run_export  # noqa: PLC0415
    try:
        return run_export(args)
    except InvalidArgumentError as error:
        raise _as_option(error) from None


def _as_option(error: InvalidArgumentError) -> InvalidArgumentError:
    """Return the error with arguments named as the command line names them."""
    name, bracket, rest = error.argument.partition("[")
    option = _OPTIONS.get(name, name)
    if name == "filters" and bracket:
        number, _, inner = rest.partition("]")
        option = f"{option} (number {int(number) + 1}{inner})"
    return error.renamed(option, _OPTIONS)


def _text(text: str) -> str:
    # An empty variable in a script would otherwise ask for more than was meant, such as for all projects.
    if not text.strip():
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _bytes(text: str) -> int:
    match = _SIZE.fullmatch(text.strip().upper())
    if match is None:
        raise argparse.ArgumentTypeError("no size; allowed: bytes, or such as 500kB, 128MiB, 1.5GB")
    return int(float(match[1]) * _UNITS[match[2]])
