"""What becomes of a task whose window holds no events."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive._compat import AirflowSkipException
from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.models.layout import is_shards_folder

if TYPE_CHECKING:
    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.export.result import ExportResult

SUCCESS, SKIP = "success", "skip"


def check_when_empty(when_empty: Any, min_events: int | None = None) -> None:
    """Check the argument when the DAG is parsed.

    :param when_empty: the argument.
    :param min_events: the fewest events that the task may export.
    :raises InvalidArgumentError: it is no such value, or an empty window has failed before.
    """
    if when_empty not in (SUCCESS, SKIP):
        raise InvalidArgumentError("when_empty", when_empty, f"allowed: {SUCCESS!r} and {SKIP!r}")
    if when_empty == SKIP and min_events:
        raise InvalidArgumentError(
            "when_empty", when_empty, "a window without events fails by min_events: leave one out"
        )


def check_no_shard(when_empty: str, output_path: Any) -> None:
    """Check that no part of an export skips its task, since then the combination of all parts would be skipped.

    :param output_path: of the export, rendered.
    :raises InvalidArgumentError: it is that of a part.
    """
    if when_empty == SKIP and any(map(is_shards_folder, str(output_path).split("/"))):
        raise InvalidArgumentError("when_empty", when_empty, "not for a part of an export: give it to the combination")


def skip_if_empty(operator: Any, context: Context, result: ExportResult, returned: Any) -> None:
    """End the task as skipped where it has exported nothing, after all else is done.

    Late and changed events of earlier windows are something.

    :param operator: of the task, with its ``when_empty``.
    :param context: of the task.
    :param result: of the export.
    :param returned: what the task returns otherwise; kept in XCom, since a skipped task returns nothing.
    :raises AirflowSkipException: there are no events.
    """
    manifest = result.manifest
    corrections = manifest.corrections if manifest else []
    if operator.when_empty != SKIP or result.event_count or corrections:
        return
    if operator.do_xcom_push:
        context["ti"].xcom_push(key="return_value", value=returned)
    raise AirflowSkipException("The window holds no events: skipped, as when_empty says")
