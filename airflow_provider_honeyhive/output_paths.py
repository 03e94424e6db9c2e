"""Where a task is to write: the path as the user gives it, with the connection that Airflow reaches it by."""

from __future__ import annotations

from typing import Any

from airflow_provider_honeyhive._compat import ObjectStoragePath
from airflow_provider_honeyhive.exceptions import InvalidArgumentError


def as_path(output_path: Any, conn_id: str | None) -> Any:
    """Return the path to write to, with its connection.

    :raises InvalidArgumentError: it is relative, or Airflow has no filesystem for its scheme.
    """
    check_absolute(output_path)
    if isinstance(output_path, str):
        # Airflow 2.11 takes None for "no connection", also where the URL names one.
        output_path = ObjectStoragePath(output_path, **({} if conn_id is None else {"conn_id": conn_id}))
    try:
        _ = output_path.fs if hasattr(output_path, "protocol") else None
    except (ImportError, ValueError) as error:
        raise InvalidArgumentError(
            "output_path",
            str(output_path),
            f"this Airflow cannot write there: {error}. Install the store's extra: "
            "airflow-provider-honeyhive[s3], [gcs] or [azure]",
        ) from None
    return output_path


def check_absolute(path: Any) -> None:
    """Refuse a relative path.

    :raises InvalidArgumentError: it is one.
    """
    # Relative to what? Each worker has a working directory of its own.
    if not str(path).startswith("/") and "://" not in str(path):
        raise InvalidArgumentError(
            "output_path", str(path), "allowed: an absolute path or a URL such as s3://bucket/folder/"
        )
