"""Paths as they are typed on a command line."""

from __future__ import annotations

import os
from typing import Any

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.stores import as_path


def path_of(text: str, argument: str) -> Any:
    """Return the path that is meant, absolute where it is local.

    :param text: a local path, relative to the working directory and with ``..`` if need be, or a URL.
    :param argument: its name on the command line.
    :raises InvalidArgumentError: nothing is installed for the URL's scheme.
    """
    if "://" not in text:
        return as_path(os.path.abspath(text))
    try:
        path = as_path(text)
        _ = path.fs
    except (ImportError, ValueError) as error:
        raise InvalidArgumentError(
            argument,
            text,
            f"it cannot be reached: {error}. Install its extra: airflow-provider-honeyhive[s3], [gcs] or [azure]",
        ) from None
    return path
