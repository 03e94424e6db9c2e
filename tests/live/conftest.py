"""The same settings and fixtures as of ``tests/system``, for tests that start a whole Airflow and take minutes."""

from tests.system.conftest import airflow_database, connect, one_execution_api, serve

__all__ = ["airflow_database", "connect", "one_execution_api", "serve"]
