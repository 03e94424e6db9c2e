"""The only module that knows Airflow 2.11 from 3.x: every Airflow name that the provider uses."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from airflow import __version__ as airflow_version
from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowNotFoundException,
    AirflowOptionalProviderFeatureException,
    AirflowSensorTimeout,
    AirflowSkipException,
    Asset,
    AssetAlias,
    BaseHook,
    BaseOperator,
    BaseOperatorLink,
    BaseSensorOperator,
    Context,
    ObjectStoragePath,
    PokeReturnValue,
    conf,
)
from airflow.triggers import base as _triggers
from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from airflow.triggers.base import BaseEventTrigger

_MINOR = tuple(int(part) for part in airflow_version.split(".")[:2])

#: Retry policies came with Airflow 3.3.
HAS_RETRY_POLICIES = _MINOR >= (3, 3)
if TYPE_CHECKING or HAS_RETRY_POLICIES:
    from airflow.sdk import RetryDecision, RetryPolicy
else:
    RetryDecision, RetryPolicy = None, object

#: Outlets that have events: assets, and from Airflow 3.0 on those that are known by their name or URI alone.
ASSETS: tuple[type, ...] = tuple(
    kind for kind in (Asset, getattr(import_module(Asset.__module__), "AssetRef", None)) if kind is not None
)

#: Asset watchers came with Airflow 3.0.
HAS_ASSET_WATCHERS = hasattr(_triggers, "BaseEventTrigger")
if not TYPE_CHECKING:
    BaseEventTrigger = getattr(_triggers, "BaseEventTrigger", BaseTrigger)

#: With Airflow 3.3 came a store that tasks and asset watchers keep their state in, and word to event triggers
#: that an event of theirs has been stored.
HAS_STATE_STORES = _MINOR >= (3, 3)


def task_state_store(context: Context) -> Any:
    """Return what keeps a task's state over its tries and reschedules; None where Airflow has no such thing."""
    return context.get("task_state_store")
