"""The extra of asset events."""

from __future__ import annotations

import json
from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.sdk import Asset, AssetAlias, PartitionedAtRuntime
from airflow.sdk.execution_time.context import OutletEventAccessors
from msgspec.structs import replace

from airflow_provider_honeyhive.export.result import ExportResult
from airflow_provider_honeyhive.models.export_facts import LookbackFacts
from airflow_provider_honeyhive.tasks.assets import asset_facts, asset_uri, tell_outlets
from airflow_provider_honeyhive.tasks.lineage import dataset_name
from tests.unit.export.test_result import manifest
from tests.unit.test_display import HOSTILE


def result_of(**facts: Any) -> ExportResult:
    """Return the result of an export to a bucket, whose manifest has these facts."""
    bucket: Any = SimpleNamespace(url=lambda name="": f"s3://bucket/day/{name}")
    return ExportResult.of_files(manifest(**facts).placed(bucket, "_manifest.json"))


RESULT = result_of()
FACTS = {
    "project": "demo",
    "start_time": "2026-03-10T00:00:00.000Z",
    "end_time": "2026-03-11T00:00:00.000Z",
    "event_count": 5,
    "reported_total": 6,
    "output_path": "s3://bucket/day/",
    "manifest_path": "s3://bucket/day/_manifest.json",
    "file_count": 2,
    "size_bytes": 60,
    "file_format": "parquet",
    "compression": "zstd",
}
EVENTS = Asset("events")


def context(**more: Any) -> dict[str, Any]:
    return {"outlet_events": OutletEventAccessors(), **more}


def at_runtime(partition_key: str | None = None) -> dict[str, Any]:
    return context(
        dag=SimpleNamespace(timetable=PartitionedAtRuntime()), dag_run=SimpleNamespace(partition_key=partition_key)
    )


def test_an_asset_gets_the_facts_of_the_export():
    given = context()
    tell_outlets([EVENTS], given, RESULT)
    assert given["outlet_events"][EVENTS].extra == FACTS
    assert not given["outlet_events"][EVENTS].partition_keys


def test_facts_are_flat_json():
    facts = asset_facts(RESULT)
    assert json.loads(json.dumps(facts)) == facts
    hash(frozenset(facts.items()))  # as Airflow 2.11 does to those of aliases


def test_events_that_are_the_result_have_no_paths():
    assert set(asset_facts(replace(RESULT, manifest=None))) == {"project", "start_time", "end_time", "event_count"}


def test_corrections_are_counted_where_earlier_windows_were_read_again():
    lookback = LookbackFacts(
        windows=1, start_time=RESULT.start_time, end_time=RESULT.end_time, late_count=3, changed_count=4
    )
    assert asset_facts(result_of(lookback=lookback)) == {**FACTS, "late_count": 3, "changed_count": 4}


def test_what_others_have_put_there_stays():
    given = context()
    given["outlet_events"][EVENTS].extra["team"] = "search"
    tell_outlets([EVENTS], given, RESULT)
    assert given["outlet_events"][EVENTS].extra == {"team": "search", **FACTS}


def test_an_alias_gets_the_asset_of_what_was_written():
    given, alias = context(), AssetAlias("days")
    tell_outlets([alias], given, RESULT)
    (event,) = given["outlet_events"][alias].asset_alias_events
    assert (event.dest_asset_key.uri.rstrip("/"), event.extra) == ("s3://bucket/day", FACTS)


def test_an_alias_gets_nothing_where_nothing_was_written():
    given, alias = context(), AssetAlias("days")
    tell_outlets([alias], given, replace(RESULT, manifest=None))
    assert not given["outlet_events"][alias].asset_alias_events


def test_an_asset_known_by_its_name_gets_the_facts():
    seen: Any = defaultdict(lambda: SimpleNamespace(extra={}, partition_keys=set()))
    ref = Asset.ref(name="events")
    tell_outlets([ref], {"outlet_events": seen}, RESULT)
    assert seen[ref].extra == FACTS


def test_outlets_that_are_no_assets_are_let_be():
    given = context()
    tell_outlets([object(), "events"], given, RESULT)
    assert len(given["outlet_events"]) == 0


def test_without_outlets_nothing_is_asked_of_the_context():
    tell_outlets([], {}, RESULT)


def test_where_tasks_say_their_partition_it_is_the_windows_start():
    given = at_runtime()
    tell_outlets([EVENTS], given, RESULT)
    assert given["outlet_events"][EVENTS].partition_keys == {"2026-03-10T00:00:00"}


def test_a_partition_of_the_run_or_of_the_user_stays():
    of_run = at_runtime("2026-01-01")
    tell_outlets([EVENTS], of_run, RESULT)
    assert not of_run["outlet_events"][EVENTS].partition_keys

    of_user = at_runtime()
    of_user["outlet_events"][EVENTS].add_partitions("mine")
    tell_outlets([EVENTS], of_user, RESULT)
    assert of_user["outlet_events"][EVENTS].partition_keys == {"mine"}


def test_all_of_time_is_no_partition():
    given = at_runtime()
    tell_outlets([EVENTS], given, replace(RESULT, start_time=None))
    assert not given["outlet_events"][EVENTS].partition_keys


@pytest.mark.parametrize(
    ("url", "uri"),
    [
        ("s3://bucket/day/", "s3://bucket/day/"),
        ("s3://bucket/Tag %41/ä", "s3://bucket/Tag%20%2541/%C3%A4"),
        ("s3://bkt/team #1/x", "s3://bkt/team%20%231/x"),
        ("s3://bkt/a?b[1]/=x", "s3://bkt/a%3Fb%5B1%5D/=x"),
        ("gs://bkt/run:00+00", "gs://bkt/run:00+00"),
        ("abfs://container@account.dfs.core.windows.net/100%", "abfs://container@account.dfs.core.windows.net/100%25"),
        ("/data/team #1?/100%", "file:///data/team%20%231%3F/100%25"),
        ("/data/day", "file:///data/day"),
        ("/data/ein Tag/ä", "file:///data/ein%20Tag/%C3%A4"),
        ("s3://bucket/a\nb\u202e", "s3://bucket/a%5Cnb%5Cu202e"),
        ("/data/a\x1b\udcff", "file:///data/a%5Cx1b%5Cudcff"),
        ("sftp://user:S3cr3t@host/a", "sftp://***@host/a"),
    ],
)
def test_uris_are_ascii(url, uri):
    assert asset_uri(url) == uri


def test_no_two_places_have_the_same_asset():
    names = ["team #1", "team #2", "team ", "team%20", "team%20%231", "team?1", "team", "team%3F1"]
    for url in ("s3://bucket/{}/2026-11-22", "gs://bucket/{}", "abfs://container@account/{}/x", "/data/{}/x"):
        places = [url.format(name) for name in names]
        assert len({Asset(asset_uri(place)).uri for place in places}) == len(places)
        assert len({dataset_name(place) for place in places}) == len(places)


def test_what_an_asset_says_may_be_shown():
    bucket: Any = SimpleNamespace(url=lambda name="": f"sftp://u:S3cr3t@host/{HOSTILE}{name}")
    hostile = manifest(project=HOSTILE, file_format=HOSTILE).placed(bucket, "_manifest.json")
    for result in (ExportResult.of_files(hostile), replace(RESULT, manifest=None, project=HOSTILE)):
        given, alias = context(), AssetAlias("days")
        tell_outlets([EVENTS, alias], given, result)
        said = [*given["outlet_events"][EVENTS].extra.values()]
        for event in given["outlet_events"][alias].asset_alias_events:
            said += [event.dest_asset_key.uri, *event.extra.values()]
        assert all(map(str.isprintable, map(str, said)))
        assert "S3cr3t" not in str(said)
