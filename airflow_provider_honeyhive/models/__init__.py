"""What a user asks for: window, filters, fields, layout, options; and how files that are read back are checked.

Each model checks its values when it is made, so that a DAG fails while Airflow parses it.
May know only the exceptions: no HTTP, no files, no Airflow.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from airflow_provider_honeyhive.models.filters import EventFilter
    from airflow_provider_honeyhive.models.request import ExportRequest

__all__ = ["EventFilter", "ExportRequest"]

_MODULES = {"EventFilter": "filters", "ExportRequest": "request"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(name)
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
