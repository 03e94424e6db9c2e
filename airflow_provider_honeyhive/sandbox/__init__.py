"""A stand-in HoneyHive on loopback, for tests and demonstrations: standard library only, knows no client."""

from __future__ import annotations

from .behaviour import Behaviour
from .faults import Fault
from .server import Sandbox

__all__ = ["Behaviour", "Fault", "Sandbox"]
