"""The only module that knows Airflow 2.11 from 3.x: every Airflow name that the provider uses."""

from __future__ import annotations

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import (
    AirflowFailException,
    BaseHook,
    BaseOperator,
    Context,
    ObjectStoragePath,
)

__all__ = [
    "AirflowFailException",
    "BaseHook",
    "BaseOperator",
    "Context",
    "ObjectStoragePath",
    "airflow_version",
]
