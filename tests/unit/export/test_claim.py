"""Where an export may go: it replaces its own kind, and touches nothing of anybody else."""

from __future__ import annotations

import threading
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from upath import UPath

from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError
from airflow_provider_honeyhive.export.claim import same_project
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts, ProjectName
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.storage import lease
from airflow_provider_honeyhive.storage.local import LocalStore

from .test_exporter import DAY, DEMO, GENERATED, event_at, tree

RUN = AirflowFacts(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=-1)
PARTS = ("part-00000-0123456789ab.jsonl.gz", "_index-0123456789ab.bin")


@pytest.fixture(autouse=True)
def nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no lease wait for others."""
    monkeypatch.setattr(lease, "SETTLE_S", 0.0)


def window_of(days: int, length: int = 1) -> Window:
    return Window(DAY.start + timedelta(days=days), DAY.start + timedelta(days=days + length))


def refused(sandbox: Any, client: Any, path: Any, message: str, window: Window = DAY, **options: Any) -> None:
    """Check that an export is refused before any request, and that nothing is changed."""
    top = next(one for one in (path, *path.parents) if one.name.startswith("test_"))
    before, requests = tree(top), len(sandbox.requests)
    with pytest.raises(DestinationTakenError, match=f"(?s){message}"):
        export_events(client, DEMO.model_copy(update={"window": window}), path, ExportOptions(**options))
    assert (tree(top), len(sandbox.requests)) == (before, requests)


@pytest.mark.parametrize("name", ["out", "out/one.jsonl.gz"])
def test_the_export_of_another_deployment_is_not_replaced(sandbox, client, sandbox_with, client_of, tmp_path, name):
    export_events(client_of(sandbox_with(**GENERATED)), DEMO, tmp_path / name)
    refused(sandbox, client, tmp_path / name, "another export.*host: there '127.0.0.1")


@pytest.mark.parametrize("count", [0, 300])
def test_a_file_at_the_place_of_the_object_is_not_overwritten(sandbox_with, client_of, tmp_path, count):
    sandbox = sandbox_with(count=count, **GENERATED)
    (tmp_path / "one.jsonl.gz").write_text("mine")
    refused(sandbox, client_of(sandbox), tmp_path / "one.jsonl.gz", "without a manifest: remove.*another output_path")


@pytest.mark.parametrize("name", PARTS)
def test_data_files_without_a_manifest_are_not_mixed_with(sandbox, client, tmp_path, name):
    (tmp_path / name).write_text("mine")
    refused(sandbox, client, tmp_path, f"without a manifest: remove.*{name}")


@pytest.mark.parametrize("has_manifest", [False, True])
def test_data_files_that_are_just_published_or_taken_back_are_no_reason_to_fail_for_good(
    sandbox, client, tmp_path, monkeypatch, has_manifest
):
    class Slow(LocalStore):
        def folders(self, folder: str = "") -> list[str]:
            if (tmp_path / PARTS[0]).exists():
                (tmp_path / "_manifest.json").write_bytes(manifest) if has_manifest else (tmp_path / PARTS[0]).unlink()
            return super().folders(folder)

    manifest = export_events(client, DEMO, tmp_path / "other").to_json()
    (tmp_path / PARTS[0]).write_text("of another one")
    monkeypatch.setattr("airflow_provider_honeyhive.export.exporter.open_store", Slow)
    if has_manifest:
        with pytest.raises(DestinationError, match="just being published.*a retry") as caught:
            export_events(client, DEMO, tmp_path)
        assert caught.value.retryable
    else:
        export_events(client, DEMO, tmp_path).verify()


def test_without_replace_only_the_run_itself_replaces_its_export(sandbox, client, tmp_path):
    options = ExportOptions(replace=False)
    export_events(client, DEMO, tmp_path / "out", options, RUN)
    again = export_events(client, DEMO, tmp_path / "out", options, RUN.model_copy(update={"try_number": 2}))
    for other in (None, RUN.model_copy(update={"run_id": "s"}), RUN.model_copy(update={"map_index": 0})):
        with pytest.raises(DestinationTakenError, match="replace is False"):
            export_events(client, DEMO, tmp_path / "out", options, other)
    narrower = DEMO.model_copy(update={"evaluation_id": "e"})
    with pytest.raises(DestinationTakenError, match="replace is False"):
        export_events(client, narrower, tmp_path / "out", options, RUN)
    assert Manifest.read(tmp_path / "out").model_dump() == again.model_dump()


# ------------------------------------------------------------------------- exports above and below


@pytest.mark.parametrize("folders", ["event_date={day}", "event_type=x/event_date={day}", "_corrections/reason={day}"])
@pytest.mark.parametrize("where", ["local", "memory"])
def test_an_export_above_others_leaves_them_alone(sandbox_with, client_of, tmp_path, folders, where):
    root: Any = tmp_path / "out" if where == "local" else UPath(f"memory://{tmp_path.name}-{hash(folders)}")
    client = client_of(sandbox_with(count=100, start=DAY.start, end=DAY.start + timedelta(days=3)))
    paths = [root / folders.format(day=f"{window_of(number).start:%Y-%m-%d}") for number in range(3)]
    for number, path in enumerate(paths):
        export_events(client, DEMO.model_copy(update={"window": window_of(number)}), path)
    for _ in range(2):
        export_events(client, DEMO.model_copy(update={"window": window_of(0, 3)}), root)
    for path in (root, *paths):
        Manifest.read(path).verify()
        assert Manifest.read(path).event_count > 0
    export_events(client, DEMO.model_copy(update={"window": window_of(0)}), paths[0]).verify()
    Manifest.read(root).verify()


@pytest.mark.parametrize(
    ("inner", "partition_by"),
    [
        ("event_date=2026-11-22", ("event_date",)),
        ("event_date=2026-11-22", ("event_date", "event_type")),
        ("event_date=2026-11-22/event_type=model", ("event_date", "event_type")),
    ],
)
def test_a_partition_that_holds_an_export_of_its_own_is_refused(sandbox, client, tmp_path, inner, partition_by):
    export_events(client, DEMO, tmp_path / "out" / inner)
    refused(sandbox, client, tmp_path / "out", f"{inner} holds an export of its own", partition_by=partition_by)


@pytest.mark.parametrize("earlier", [False, True])
def test_an_export_that_came_into_a_partition_while_this_one_was_read_is_not_mixed_with(
    sandbox, client, client_of, tmp_path, monkeypatch, earlier
):
    inner = "event_date=2026-11-22/event_type=late"
    options = ExportOptions(partition_by=("event_date", "event_type"))
    if earlier:
        export_events(client, DEMO, tmp_path / "out", options)
    sandbox.add([event_at(DAY.start, event_type="late")])

    def come(store: LocalStore) -> None:
        (tmp_path / "out" / inner).mkdir(parents=True, exist_ok=True)
        (tmp_path / "out" / inner / "_manifest.json").write_text("{}")

    monkeypatch.setattr(LocalStore, "can_swap", lambda store: come(store) or True)
    before = tree(tmp_path)
    with pytest.raises(DestinationTakenError, match=f"{inner} holds an export of its own"):
        export_events(client, DEMO, tmp_path / "out", options)
    assert tree(tmp_path) == before | {f"out/{inner}/_manifest.json": b"{}"}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("event_date=2026-11-22", {"partition_by": ("event_date",)}),
        ("event_date=2027-01-01/event_type=x", {"partition_by": ("event_date",)}),
        ("event_type=x/one.jsonl.gz", {"partition_by": ("event_date", "event_type")}),
        ("_corrections", {"lookback_windows": 1}),
        ("_corrections/reason=late/event_date=2026-11-22", {"lookback_windows": 1}),
    ],
)
def test_a_place_inside_of_a_partitioned_export_is_refused(sandbox, client, tmp_path, name, options):
    export_events(client, DEMO, tmp_path / "out", ExportOptions(**options), exports_folder=tmp_path)
    for separator in ("", "/"):
        path = UPath(f"file://{tmp_path}/out/{name}{separator}") if "." not in name else tmp_path / "out" / name
        before, requests = tree(tmp_path), len(sandbox.requests)
        with pytest.raises(DestinationTakenError, match="another output_path"):
            export_events(client, DEMO, path)
        assert (tree(tmp_path), len(sandbox.requests)) == (before, requests)


def test_a_manifest_of_another_tool_above_is_none_of_our_business(client, tmp_path):
    (tmp_path / "_manifest.json").write_text('{"entries": []}')
    export_events(client, DEMO, tmp_path / "event_date=2026-11-22").verify()


# ------------------------------------------------------------------------------- neighbours


def test_exports_to_objects_in_one_folder_do_not_disturb_each_other(sandbox_with, client_of, tmp_path):
    sandbox = sandbox_with(count=2_000, start=DAY.start, end=DAY.start + timedelta(days=8))
    (tmp_path / "_new-of-somebody-else").write_text("being written")
    errors: list[Exception] = []

    def export(number: int) -> None:
        request = DEMO.model_copy(update={"window": window_of(number)})
        try:
            export_events(client_of(sandbox), request, tmp_path / f"{number}.jsonl.gz")
        except DestinationError as error:
            errors.append(error)

    for _ in range(3):
        threads = [threading.Thread(target=export, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == []
    names = {f"{number}.jsonl.gz" for number in range(8)}
    assert set(tree(tmp_path)) == {*names, *(f"{name}.manifest.json" for name in names), "_new-of-somebody-else"}
    assert sum(Manifest.read(tmp_path / name).event_count for name in names) == 2_000


@pytest.mark.parametrize(
    ("old", "names", "new", "same"),
    [
        ("demo", [("demo", "id1")], "demo", True),
        ("demo", [("demo", "id1")], "id1", True),
        ("id1", [("demo", "id1")], "demo", True),
        ("demo", [("demo", "id1")], "id2", False),
        ("demo", [(None, "id1")], "id1", False),
        ("demo", [("demo", None)], None, False),
        (None, [("demo", None)], "demo", False),
        (None, [], None, True),
    ],
)
def test_a_project_is_the_same_by_name_and_by_id_where_events_say_both(old, names, new, same):
    names = [ProjectName(name=name, id=one) for name, one in names]
    made = [SimpleNamespace(project=old, project_names=names), SimpleNamespace(project=new, project_names=[])]
    assert same_project(*made) is same
    assert same_project(*reversed(made)) is same
