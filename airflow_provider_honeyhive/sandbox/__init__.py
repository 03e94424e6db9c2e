"""A stand-in HoneyHive on loopback, for tests and demonstrations: standard library only, knows no client."""

from __future__ import annotations

from airflow_provider_honeyhive.sandbox.behaviour import Behaviour
from airflow_provider_honeyhive.sandbox.faults import Fault
from airflow_provider_honeyhive.sandbox.server import Sandbox

__all__ = ["Behaviour", "Fault", "Sandbox"]
