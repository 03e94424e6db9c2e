"""An export in OpenLineage's words: the project's window is read, files are written.

Needs the package ``apache-airflow-providers-openlineage``, which alone calls this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.display import shown
from airflow_provider_honeyhive.formats.columns import COLUMNS

if TYPE_CHECKING:
    from airflow_provider_honeyhive.export.result import ExportResult
    from airflow_provider_honeyhive.manifest import Manifest


#: File formats whose columns are always the same; the others hold whole events, whose fields are open.
_TABULAR = ("parquet", "csv")


def operator_lineage(result: ExportResult | None) -> Any:
    """Return a task's ``OperatorLineage``.

    :param result: of its export; None: it has exported nothing.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

    if result is None:
        return OperatorLineage()
    return OperatorLineage(
        inputs=[_input(result)],
        outputs=[_output(result.manifest)] if result.manifest else [],
    )


def dataset_name(url: str) -> tuple[str, str]:
    """Return what OpenLineage calls a file or a folder: namespace and name, which may be shown.

    :param url: a URL or a local path.
    """
    url = shown(url)
    scheme, separator, rest = url.partition("://")
    if not separator or scheme == "file":
        return "file", (rest or url).rstrip("/") or "/"
    # As it is written: what is behind "?" or "#" is part of a store's path, too.
    host, _, path = rest.partition("/")
    return f"{scheme}://{host}", path.strip("/") or "/"


def _input(result: ExportResult) -> Any:
    from openlineage.client.generated.base import InputDataset  # noqa: PLC0415
    from openlineage.client.generated.data_quality_metrics_input_dataset import (  # noqa: PLC0415
        ColumnMetrics,
        DataQualityMetricsInputDatasetFacet,
    )

    manifest = result.manifest
    metrics = DataQualityMetricsInputDatasetFacet(
        rowCount=result.event_count,
        # Nobody counts the bytes of events that are the task's result.
        bytes=manifest.bytes_read if manifest else None,
        columnMetrics={"start_time": ColumnMetrics(nullCount=manifest.events_without_time if manifest else 0)},
    )
    return InputDataset(
        namespace=shown(f"honeyhive://{result.api_host}"),
        name=shown(result.project or ""),
        inputFacets={"dataQualityMetrics": metrics, **_window(result)},
    )


def _window(result: ExportResult) -> dict[str, Any]:
    """Return the facet that says which part of the project was read; none where there are no words for it."""
    try:
        from openlineage.client.generated import base_subset_dataset as subset  # noqa: PLC0415
    except ImportError:
        # OpenLineage's client has it since 2025.
        return {}
    whole_sessions = result.manifest is not None and result.manifest.request.sessions is not None
    if result.start_time is None or result.end_time is None or whole_sessions:
        return {}

    def compare(comparison: str, bound: str) -> Any:
        field = subset.FieldBaseCompareExpression(field="start_time")
        return subset.CompareSubsetCondition(
            left=field, right=subset.LiteralCompareExpression(value=bound), comparison=comparison
        )

    condition = subset.BinarySubsetCondition(
        left=compare("GREATER_EQUAL_THAN", result.start_time),
        right=compare("LESS_THAN", result.end_time),
        operator="AND",
    )
    return {"subset": subset.InputSubsetInputDatasetFacet(inputCondition=condition)}


def _output(manifest: Manifest) -> Any:
    from openlineage.client.generated.base import OutputDataset  # noqa: PLC0415
    from openlineage.client.generated.output_statistics_output_dataset import (  # noqa: PLC0415
        OutputStatisticsOutputDatasetFacet,
    )
    from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields  # noqa: PLC0415
    from openlineage.client.generated.storage_dataset import StorageDatasetFacet  # noqa: PLC0415

    namespace, name = dataset_name(manifest.url())
    facets: dict[str, Any] = {
        "storage": StorageDatasetFacet(storageLayer=namespace.partition(":")[0], fileFormat=manifest.file_format)
    }
    if manifest.file_format in _TABULAR:
        fields = [SchemaDatasetFacetFields(name=column.name, type=column.kind.value) for column in COLUMNS]
        facets["schema"] = SchemaDatasetFacet(fields=fields)
    statistics = OutputStatisticsOutputDatasetFacet(
        rowCount=manifest.event_count, size=manifest.size_bytes, fileCount=len(manifest.files)
    )
    return OutputDataset(namespace=namespace, name=name, facets=facets, outputFacets={"outputStatistics": statistics})
