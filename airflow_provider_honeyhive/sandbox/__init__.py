"""A stand-in HoneyHive on loopback, for tests and demonstrations.

It speaks every dialect of the export API, and plays every oddity and failure that a test asks for.
May know the standard library only: no client, no model, nothing else of this package.
"""

from __future__ import annotations

from airflow_provider_honeyhive.sandbox.behaviour import Behaviour
from airflow_provider_honeyhive.sandbox.faults import Fault
from airflow_provider_honeyhive.sandbox.server import Sandbox

__all__ = ["Behaviour", "Fault", "Sandbox"]
