"""``sessions``: whether an export takes the events of its window, or whole sessions. Light enough for DAG parsing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from airflow_provider_honeyhive.exceptions import InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive.models.filters import EventFilter

#: None: the events of the window. ``complete``: all events of each session whose root lies in the window.
Sessions: TypeAlias = Literal["complete"] | None

#: The ``event_type`` of a session's root.
ROOT_TYPE = "session"


def check_sessions(sessions: Any) -> Sessions:
    """Return the argument where it is one.

    :raises InvalidArgumentError: it is none.
    """
    if sessions is None or sessions == "complete":
        found: Sessions = sessions
        return found
    raise InvalidArgumentError("sessions", sessions, "allowed: 'complete', or None")


def check_root_filters(filters: Sequence[EventFilter]) -> None:
    """Check that root events can meet filters that choose sessions.

    :raises InvalidArgumentError: one asks for events of another type.
    """
    for number, item in enumerate(filters):
        if item.field == "event_type" and (item.operator, item.value) != ("is", ROOT_TYPE):
            raise InvalidArgumentError(
                f"filters[{number}]",
                item.to_wire(),
                "with sessions='complete' filters choose sessions by their root event, whose event_type is "
                f"{ROOT_TYPE!r}, and all events of these sessions are exported: leave this one out",
            )
