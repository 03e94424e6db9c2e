"""A build in OpenLineage's words: exports or tables are read, a folder of files for each table is written.

Needs the package ``apache-airflow-providers-openlineage``, which alone calls this.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.models.layout import BUILDS, MANIFEST_NAME, OBJECT_MANIFEST_SUFFIX
from airflow_provider_honeyhive.tasks.lineage import dataset_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive.build_manifest import BuildManifest, BuiltFile

#: What a manifest of tables calls its kind.
TABLES_KIND = "tables"

#: Columns of ``events`` that hold what the column of the export with the same name holds, as it is. Tests compare them.
TAKEN_AS_THEY_ARE = (
    "event_id",
    "session_id",
    "parent_id",
    "project",
    "project_id",
    "source",
    "event_type",
    "event_name",
)


def build_lineage(built: BuildManifest | None, tables: BuildManifest | None = None) -> Any:
    """Return a task's ``OperatorLineage``.

    :param built: what it has built; None: nothing.
    :param tables: the tables that it has read; None: it has read exports.
    """
    from airflow.providers.openlineage.extractors import OperatorLineage  # noqa: PLC0415

    if built is None:
        return OperatorLineage()
    if tables is None:
        inputs = [_export(source.manifest_path) for source in built.sources]
    else:
        inputs = [dataset_name(folder) for folder in _files_by_folder(tables)]
    outputs = [_output(built, folder, files, inputs) for folder, files in _files_by_folder(built).items()]
    return OperatorLineage(inputs=[_input(name) for name in inputs], outputs=outputs)


def _export(manifest_url: str) -> tuple[str, str]:
    """Return what OpenLineage calls an export: its folder, or its one object."""
    folder, _, name = manifest_url.rpartition("/")
    return dataset_name(folder if name == MANIFEST_NAME else manifest_url.removesuffix(OBJECT_MANIFEST_SUFFIX))


def _files_by_folder(built: BuildManifest) -> dict[str, list[BuiltFile]]:
    """Return the files of a build by the URL of their folder: of a table, or a split; a report is one thing."""
    if built.kind == "report":
        return {built.url(): list(built.files)}
    found: dict[str, list[BuiltFile]] = defaultdict(list)
    for file in built.files:
        # The card of a dataset is no data.
        if file.path != BUILDS[built.kind]:
            found[_folder_of(built.url(file.path))].append(file)
    return found


def _folder_of(url: str) -> str:
    return url.rpartition("/")[0]


def _input(name: tuple[str, str]) -> Any:
    from openlineage.client.generated.base import InputDataset  # noqa: PLC0415

    return InputDataset(namespace=name[0], name=name[1])


def _output(built: BuildManifest, folder: str, files: Sequence[BuiltFile], inputs: Sequence[tuple[str, str]]) -> Any:
    from openlineage.client.generated.base import OutputDataset  # noqa: PLC0415
    from openlineage.client.generated.output_statistics_output_dataset import (  # noqa: PLC0415
        OutputStatisticsOutputDatasetFacet,
    )
    from openlineage.client.generated.schema_dataset import SchemaDatasetFacet, SchemaDatasetFacetFields  # noqa: PLC0415
    from openlineage.client.generated.storage_dataset import StorageDatasetFacet  # noqa: PLC0415

    namespace, path = dataset_name(folder)
    suffix = files[0].path.partition(".")[2]
    facets: dict[str, Any] = {
        "storage": StorageDatasetFacet(storageLayer=namespace.partition(":")[0], fileFormat=suffix)
    }
    name = files[0].name
    columns = _columns_of(built, name)
    if columns:
        fields = [SchemaDatasetFacetFields(name=column, type=kind) for column, kind in columns.items()]
        facets["schema"] = SchemaDatasetFacet(fields=fields)
        taken = [column for column in TAKEN_AS_THEY_ARE if column in columns and name == "events"]
        if taken:
            facets["columnLineage"] = _column_lineage(taken, inputs)
    statistics = OutputStatisticsOutputDatasetFacet(
        # A split has the same rows in two formats, under two names.
        rowCount=sum(file.row_count for file in files if file.name == name),
        size=sum(file.size_bytes for file in files),
        fileCount=len(files),
    )
    return OutputDataset(namespace=namespace, name=path, facets=facets, outputFacets={"outputStatistics": statistics})


def _columns_of(built: BuildManifest, name: str) -> dict[str, str]:
    """Return the columns of a file and their types; none where they are not documented."""
    if built.kind != TABLES_KIND:
        return {}
    from airflow_provider_honeyhive.tables.columns import TABLES  # noqa: PLC0415 - not for DAG parsing

    return {column.name: column.type for column in TABLES.get(name, ())}


def _column_lineage(columns: Sequence[str], inputs: Sequence[tuple[str, str]]) -> Any:
    """Return the facet of columns that are taken as they are from each of the exports."""
    from openlineage.client.generated import column_lineage_dataset as lineage  # noqa: PLC0415

    identity = lineage.Transformation(type="DIRECT", subtype="IDENTITY")
    return lineage.ColumnLineageDatasetFacet(
        fields={
            column: lineage.Fields(
                inputFields=[
                    lineage.InputField(namespace=namespace, name=name, field=column, transformations=[identity])
                    for namespace, name in inputs
                ]
            )
            for column in columns
        }
    )
