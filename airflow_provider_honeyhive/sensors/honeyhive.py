"""Wait in a DAG until a window of HoneyHive holds its events."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

from airflow_provider_honeyhive._compat import (
    AirflowException,
    AirflowFailException,
    AirflowSensorTimeout,
    BaseSensorOperator,
    PokeReturnValue,
    conf,
    task_state_store,
)
from airflow_provider_honeyhive.api.connection_form import DEFAULT_CONNECTION
from airflow_provider_honeyhive.display import LONGEST_ERROR, described, get_logger, shown
from airflow_provider_honeyhive.exceptions import HoneyHiveError
from airflow_provider_honeyhive.models.filters import parse_filters
from airflow_provider_honeyhive.models.options import check_number
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.tasks.arguments import as_plain_data, check_literals, seconds_of
from airflow_provider_honeyhive.tasks.map_names import name_mapped_task
from airflow_provider_honeyhive.tasks.polling import Condition, PollingClient, Unchanged
from airflow_provider_honeyhive.tasks.retry_policy import fail_for_good, fail_if_permanent
from airflow_provider_honeyhive.tasks.run_window import run_window
from airflow_provider_honeyhive.tasks.templates import settle_templates, templates_of
from airflow_provider_honeyhive.triggers.honeyhive import HoneyHiveEventsTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive._compat import Context
    from airflow_provider_honeyhive.models.window import Window

log = get_logger(__name__)

#: How often a poke sends a request again; the next poke asks anyway.
POKE_RETRIES = 2
#: Seconds beyond its deadline after which Airflow ends a wait whose triggerer is gone.
BACKSTOP_S = 300
_STILL_KEY = "honeyhive_still"


class HoneyHiveEventsSensor(BaseSensorOperator):
    """Wait until a window holds enough events and, with ``settled_for``, until no more are coming.

    Without ``start_time`` and ``end_time`` the window is the run's own, as the export operator takes it. Returns
    ``event_count``, ``newest`` (``start_time`` of the newest event, or None), ``start_time``, ``end_time`` and
    ``project``.

    HoneyHive does not say when an event arrived, so *settled* is what the sensor sees: at every look over
    ``settled_for`` the window had the same number of events and the same newest one. The clock starts at the
    first look. Errors that may pass do not end the wait: the next poke asks again until ``timeout``.

    In ``mode="reschedule"`` with ``settled_for`` the sensor remembers what it saw in Airflow's task state store.
    Airflow before 3.3 keeps nothing of a task from one poke to the next: there the sensor keeps its worker slot
    from when there are enough events until they have settled or one more comes.

    :param project: name of the project; default: the connection's extra ``project``. (templated)
    :param filters: conditions that all must hold: EventFilter objects, dicts, or JSON texts of one or a
        list of them. (templated, inside lists and dicts too)
    :param start_time: inclusive: datetime (naive: UTC), ISO 8601 text, or Unix seconds or milliseconds;
        give both times or neither. (templated)
    :param end_time: exclusive, the same forms. (templated)
    :param evaluation_id: count only the events of this experiment run. (templated)
    :param min_events: the fewest events to wait for, from 0 on; default 1.
    :param settled_for: how long count and newest event must stay the same: timedelta or seconds; default: not
        looked at.
    :param deferrable: wait in the triggerer, without a worker slot; default: Airflow's setting
        ``[operators] default_deferrable``.
    :param honeyhive_conn_id: id of the HoneyHive connection. (templated)
    :param kwargs: ``poke_interval`` (seconds or timedelta, default 60), ``timeout`` (the same; default:
        Airflow's setting ``[sensors] default_timeout``), ``mode``, ``soft_fail`` and what else Airflow's
        sensors take; ``exponential_backoff`` has no effect on a deferred wait.
    :raises InvalidArgumentError: a literal argument cannot be right (when the DAG is parsed).
    :raises AirflowFailException: what no retry mends: key, project, filters, arguments.
    :raises AirflowSensorTimeout: the wait took longer than ``timeout``.
    """

    template_fields: Sequence[str] = (
        "project",
        "filters",
        "start_time",
        "end_time",
        "evaluation_id",
        "honeyhive_conn_id",
    )
    template_fields_renderers = {"filters": "json"}
    ui_color = "#fff3dc"

    def __init__(
        self,
        *,
        project: str | None = None,
        filters: Any = (),
        start_time: Any = None,
        end_time: Any = None,
        evaluation_id: str | None = None,
        min_events: int = 1,
        settled_for: timedelta | float | None = None,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        honeyhive_conn_id: str = DEFAULT_CONNECTION,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.project = project
        self.filters = as_plain_data(filters)
        self.start_time = start_time
        self.end_time = end_time
        self.evaluation_id = evaluation_id
        self.min_events = min_events
        self.settled_for = settled_for
        self.deferrable = deferrable
        self.honeyhive_conn_id = honeyhive_conn_id
        self._polling_client: PollingClient | None = None
        self._unchanged: Unchanged | None = None
        self._templates = templates_of(self)
        self._check_literals()

    def poke(self, context: Context) -> PokeReturnValue:
        """Look at the window; in deferrable mode leave the wait to the triggerer if it is not over."""
        with fail_if_permanent():
            settle_templates(self, self._templates, context)
            window = run_window(context, self.start_time, self.end_time)
            name_mapped_task(context, self.project, window)
            result = self._look_unless_down(context, window)
        if result is not None:
            return PokeReturnValue(is_done=True, xcom_value=result)
        if self.deferrable:
            self._leave_to_triggerer(window)
        return PokeReturnValue(is_done=False)

    def resume(self, context: Context, event: Any = None) -> dict[str, Any]:
        """End the wait as the trigger says.

        :raises AirflowFailException: what no retry mends, and an event that is not known here.
        :raises AirflowSensorTimeout: the deadline has passed.
        :raises AirflowException: the trigger met an error that is none of this package.
        """
        said = event if isinstance(event, Mapping) else {}
        status, result, message = said.get("status"), said.get("result"), shown(said.get("message"), LONGEST_ERROR)
        if status == "success" and isinstance(result, Mapping):
            return dict(result)
        if status == "timeout":
            raise AirflowSensorTimeout(f"Waited for {self.timeout:g} s: {message}")
        if status == "error":
            raise AirflowException(message)
        if status == "failed":
            fail_for_good([message])
        raise AirflowFailException(f"The trigger sent an event that is not known here, of status {shown(status)!r}")

    def on_kill(self) -> None:
        """End soon."""
        if self._polling_client is not None:
            self._polling_client.close()

    def _look_unless_down(self, context: Context, window: Window) -> dict[str, Any] | None:
        try:
            return self._look(context, window)
        except HoneyHiveError as error:
            if not error.retryable:
                raise
            log.warning("The next look will tell, after %s", described(error))
            return None

    def _look(self, context: Context, window: Window) -> dict[str, Any] | None:
        """Return the sensor's result, None while the wait is not over."""
        condition = Condition(self.min_events, self._settled_seconds)
        last = self._remembered(context)
        self._polling_client = polling_client = PollingClient(
            self.honeyhive_conn_id,
            most_retries=POKE_RETRIES,
            # A sensor that gives up its worker slot between two looks does not keep it for that.
            leaves_long_waits=self.deferrable or self.reschedule,
            project=self.project,
            filters=self.filters,
            window=window,
            evaluation_id=self.evaluation_id,
        )
        try:
            while True:
                snapshot, request = polling_client.snapshot()
                now = datetime.now(UTC)
                unchanged = Unchanged.follow(last, snapshot, now)
                log.info("Window %s of project %s: %s", window, request.project, condition.describe(unchanged, now))
                if condition.is_reached(unchanged, now):
                    self._forget(context)
                    return snapshot.result(request)
                self._remember(context, unchanged)
                has_changed = last is not None and unchanged is not last
                if has_changed or snapshot.event_count < self.min_events or not self._must_stay_awake(context):
                    return None
                last = unchanged
                time.sleep(min(self.poke_interval, condition.seconds_left(unchanged, now)))
        finally:
            polling_client.close()

    def _leave_to_triggerer(self, window: Window) -> NoReturn:
        self.defer(
            trigger=HoneyHiveEventsTrigger(
                project=self.project,
                filters=[item.to_wire() for item in parse_filters(self.filters)],
                start_time=format_time(window.start),
                end_time=format_time(window.end),
                evaluation_id=self.evaluation_id,
                min_events=self.min_events,
                settled_for=self._settled_seconds,
                poke_interval=self.poke_interval,
                deadline=format_time(datetime.now(UTC) + timedelta(seconds=self.timeout)),
                honeyhive_conn_id=self.honeyhive_conn_id,
                still=self._unchanged.to_json() if self._unchanged else None,
            ),
            method_name="resume",
            timeout=timedelta(seconds=self.timeout + BACKSTOP_S),
        )

    # ----------------------------------------------------------------------------------- from poke to poke

    @property
    def _settled_seconds(self) -> float:
        return 0.0 if self.settled_for is None else seconds_of("settled_for", self.settled_for)

    def _remembers_by_itself(self) -> bool:
        """Return whether this object lives until the wait is over, or there is nothing to remember."""
        return self.deferrable or not self.reschedule or not self._settled_seconds

    def _must_stay_awake(self, context: Context) -> bool:
        return not self._remembers_by_itself() and task_state_store(context) is None

    def _kept(self, context: Context) -> Any:
        return None if self._remembers_by_itself() else task_state_store(context)

    def _remembered(self, context: Context) -> Unchanged | None:
        store = self._kept(context)
        if store is not None and (data := store.get(_STILL_KEY)):
            return Unchanged.from_json(data)
        return self._unchanged

    def _remember(self, context: Context, unchanged: Unchanged) -> None:
        store = self._kept(context)
        if store is not None and unchanged is not self._unchanged:
            store.set(_STILL_KEY, unchanged.to_json())
        self._unchanged = unchanged

    def _forget(self, context: Context) -> None:
        # It would outlive the task, and a run of it after a clear would find it.
        store = self._kept(context)
        if store is not None:
            store.delete(_STILL_KEY)

    def _check_literals(self) -> None:
        check_number("min_events", self.min_events, 0, None)
        _ = self._settled_seconds
        check_literals(
            filters=self.filters,
            times={"start_time": self.start_time, "end_time": self.end_time},
            texts={name: getattr(self, name) for name in ("project", "evaluation_id", "honeyhive_conn_id")},
        )
