"""Airflow provider for HoneyHive: scheduled, complete and proved exports of LLM traces."""

from __future__ import annotations

__version__ = "0.1.0"
