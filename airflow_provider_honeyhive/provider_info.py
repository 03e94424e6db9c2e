"""What Airflow is told of the package."""

from __future__ import annotations

from typing import Any

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.api.connection_form import connection_type_info

#: Airflow 2.11 asks for it by another name than Airflow 3.
_ASSET_URIS = [
    {
        "schemes": ["honeyhive"],
        "handler": "airflow_provider_honeyhive.tasks.asset_uris.sanitize_uri",
        "to_openlineage_converter": "airflow_provider_honeyhive.tasks.asset_uris.convert_asset_to_openlineage",
    }
]


def get_provider_info() -> dict[str, Any]:
    """Tell Airflow what this provider brings; plain data, imports nothing heavy."""
    return {
        "package-name": "airflow-provider-honeyhive",
        "name": "HoneyHive",
        "description": "Scheduled, complete and proved exports of HoneyHive events.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": "HoneyHive",
                "external-doc-url": "https://docs.honeyhive.ai/",
                "tags": ["service"],
            }
        ],
        "hooks": [
            {
                "integration-name": "HoneyHive",
                "python-modules": ["airflow_provider_honeyhive.hooks.honeyhive"],
            }
        ],
        "operators": [
            {
                "integration-name": "HoneyHive",
                "python-modules": [
                    "airflow_provider_honeyhive.operators.honeyhive",
                    "airflow_provider_honeyhive.operators.mapped",
                    "airflow_provider_honeyhive.operators.tables",
                    "airflow_provider_honeyhive.operators.dataset",
                    "airflow_provider_honeyhive.operators.report",
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": "HoneyHive",
                "python-modules": ["airflow_provider_honeyhive.sensors.honeyhive"],
            }
        ],
        "triggers": [
            {
                "integration-name": "HoneyHive",
                "python-modules": [
                    "airflow_provider_honeyhive.triggers.honeyhive",
                    "airflow_provider_honeyhive.triggers.moment",
                ],
            }
        ],
        "extra-links": ["airflow_provider_honeyhive.links.honeyhive.HoneyHiveEventsLink"],
        "asset-uris": _ASSET_URIS,
        "dataset-uris": _ASSET_URIS,
        "connection-types": [connection_type_info()],
    }
