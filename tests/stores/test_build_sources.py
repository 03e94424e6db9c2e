"""Builds read exports from every store, by the paths of Airflow's connections."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.builds.database import open_events
from airflow_provider_honeyhive.builds.sources import export_sources, folder_sources
from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.models.options import ExportOptions
from tests.unit.export.test_exporter import DAY, DEMO, GENERATED

if TYPE_CHECKING:
    from airflow_provider_honeyhive.builds.sources import Sources

    from .places import Place


def ids_of(sources: Sources) -> list[str]:
    with open_events(sources) as connection:
        return [event_id for (event_id,) in connection.execute("SELECT event_id FROM exported").fetchall()]


@pytest.mark.parametrize("name", ["out/day/", "one.parquet", "one.jsonl.gz"])
def test_an_export_is_read_from_where_it_is(place: Place, sandbox_with, client_of, name: str) -> None:
    sandbox = sandbox_with(**GENERATED)
    options = ExportOptions(file_format="parquet") if name.endswith("/") else ExportOptions()
    manifest = export_events(client_of(sandbox), DEMO, place.path(name), options)

    places = [export_sources(place.path(name)), export_sources(manifest)]
    if name.endswith("/"):
        places.append(folder_sources(place.path("out"), DAY.start, DAY.end))
    for sources in places:
        found = ids_of(sources)
        assert len(found) == len(set(found)) == manifest.event_count
        assert set(found) == sandbox.event_ids(DAY.start, DAY.end)

    (part,) = manifest.files
    (file,) = (key for key in place.names() if key.endswith(part.path))
    place.path(file).unlink()
    with pytest.raises(DestinationError, match=part.path):
        ids_of(sources)
