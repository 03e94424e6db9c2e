"""Whatever is in the files of a folder, who reads them ends with an error of this package, or with a right export.

And nothing outside of the folder is touched, nor what belongs to other exports in it.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections import Counter
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_honeyhive.api.client import HoneyHiveClient
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import (
    DestinationError,
    DestinationTakenError,
    HoneyHiveError,
    HoneyHiveServerError,
)
from airflow_provider_honeyhive.export.catalog import verify_exports
from airflow_provider_honeyhive.export.cleanup import find_leftovers, remove_leftover
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.recovery import Commit
from airflow_provider_honeyhive.export.shards import CLOCKS_APART, ShardPlan, read_plan
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import choose_layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.window import SECOND_US, Window
from airflow_provider_honeyhive.sandbox import Fault, Sandbox
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.tasks.state import FileState
from airflow_provider_honeyhive.tasks.watermark import Watermark
from airflow_provider_honeyhive.triggers.watch_state import WatchState

from ..conftest import KEY
from ..property_settings import thoroughly
from .test_combine import combine, export_parts
from .test_exporter import DAY, DEMO, GENERATED, ids_of, tree

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NOON = DAY.start + timedelta(hours=12)
PARTS = ExportOptions(max_file_size=30_000, page_size=50, concurrency=2, partition_by=("event_type",))
MORNING = DEMO.model_copy(update={"window": Window(DAY.start, NOON)})
EVENING = DEMO.model_copy(update={"window": Window(NOON, DAY.end)})
LOOKBACK = ExportOptions(lookback_windows=1)
NOW_US = DAY.end_us

#: Of others, in the folder of the exports and beside it.
NEIGHBOURS = {
    "neighbour/_manifest.json": b"{}",
    "neighbour/part-00000-000000000000.jsonl.gz": b"neighbour",
    "in/notes.txt": b"notes",
    "in/one.jsonl.gz": b"one",
    "in/_watermark-0123456789abcdef.json": b"{}",
    "in/event_type=model/_manifest.json": b"{}",
    "in/event_type=model/part-00000-000000000000.jsonl.gz": b"an export of its own",
    "in/event_type=model/inner/part-00000-000000000000.jsonl.gz": b"below it",
}


def client_of(sandbox: Sandbox, **more: Any) -> HoneyHiveClient:
    return HoneyHiveClient(ClientSettings.parse(api_key=KEY, api_url=sandbox.url, **more), sleep=lambda _: None)


def write(root: Path, files: dict[str, bytes]) -> None:
    for name, data in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(count=200, **GENERATED) as sandbox:
        yield sandbox


# ----------------------------------------------------------------------------------------------- manifests

#: What a manifest may not say, each with what it is put for.
FORGED = {
    "path": [
        "/etc/passwd",
        "../x",
        "a/../../x",
        "..\\x",
        "a\0b",
        "",
        ".",
        "x" * 2_000,
        "_manifest.json",
        "notes.txt",
        *("other/part-00000-000000000000.jsonl.gz", "event_type=a/../../part-00000-000000000000.jsonl.gz", 5, None),
    ],
    "sha256": ["/../../../up", "../up", "", "0" * 63, "A" * 64, 0, None],
    "event_count": ["1", -1, 10**400, 1.5, True, None],
    "size_bytes": [-1, 10**400, "1", None],
    "min_start_time": ["yesterday", "2026-11-22T00:00:00", 0],
}


@pytest.fixture
def exported(sandbox, tmp_path) -> Path:
    export_events(client_of(sandbox), DEMO, tmp_path / "in" / "out")
    write(tmp_path, NEIGHBOURS)
    return tmp_path / "in" / "out"


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in FORGED.items() for value in values])
def test_a_forged_manifest_is_told_and_none_of_its_files_is_read_or_deleted(sandbox, exported, name, value, capsys):
    path = exported / "_manifest.json"
    facts = json.loads(path.read_bytes())
    facts["files"][0][name] = value
    path.write_text(json.dumps(facts))
    before = tree(exported.parent.parent)
    (verdict,) = verify_exports(exported)
    assert verdict.manifest is None
    assert [f"{path} is not a manifest of this provider" in problem for problem in verdict.problems] == [True]
    with pytest.raises(DestinationError, match="is not a manifest of this provider"):
        export_events(client_of(sandbox), DEMO, exported)
    assert tree(exported.parent.parent) == before


@pytest.mark.parametrize("value", FORGED["path"] + FORGED["sha256"])
def test_a_forged_manifest_of_a_part_publishes_nothing(sandbox, tmp_path, value):
    """Its hash is in the name that the combination would give."""
    client = client_of(sandbox)
    urls = export_parts(client, tmp_path / "in", parts=2)
    write(tmp_path, NEIGHBOURS)
    path = Path(urls[0]) / "_manifest.json"
    facts = json.loads(path.read_bytes())
    name = "path" if value in FORGED["path"] else "sha256"
    for part in facts["files"]:
        part[name] = value
    path.write_text(json.dumps(facts))
    before = tree(tmp_path)
    with pytest.raises(DestinationError, match="is not a manifest of this provider"):
        combine(client, tmp_path / "in", urls)
    assert tree(tmp_path) == before


def test_a_part_whose_manifest_counts_other_events_than_its_files_publishes_nothing(sandbox, tmp_path):
    client = client_of(sandbox)
    urls = export_parts(client, tmp_path, parts=2)
    path = Path(urls[0]) / "_manifest.json"
    facts = json.loads(path.read_bytes())
    path.write_text(json.dumps(facts | {"event_count": facts["event_count"] + 1}))
    with pytest.raises(DestinationError, match="counts other events than its files have"):
        combine(client, tmp_path, urls)
    assert not (tmp_path / "_manifest.json").exists()


def test_a_manifest_that_names_a_file_of_an_export_of_its_own_does_not_take_it_along(sandbox, exported):
    """The folder of a partition may be an export, as long as nothing is exported above it."""
    path = exported.parent / "event_type=model" / "part-00000-000000000000.jsonl.gz"
    manifest = json.loads((exported / "_manifest.json").read_bytes())
    place = exported.parent
    for part in manifest["files"]:
        shutil.copy(exported / part["path"], place)
    manifest["files"].append({**manifest["files"][0], "path": "event_type=model/part-00000-000000000000.jsonl.gz"})
    (place / "_manifest.json").write_text(json.dumps(manifest))
    (place / "one.jsonl.gz").unlink()
    export_events(client_of(sandbox), DEMO, place)
    assert path.read_bytes() == b"an export of its own"
    Manifest.read(place)


@pytest.mark.parametrize("name", ["_manifest.json", "one.jsonl.gz.manifest.json"])
def test_a_manifest_of_a_newer_version_is_told_as_such_and_stays(sandbox, tmp_path, name):
    output = tmp_path / "out" / (name.removesuffix(".manifest.json") if "one" in name else "")
    export_events(client_of(sandbox), DEMO, output)
    path = tmp_path / "out" / name
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"schema_version": 3, "files": "elsewhere"}))
    before = tree(tmp_path)
    message = "the manifest was written by a newer version of this provider: update it"
    with pytest.raises(DestinationTakenError, match=message):
        export_events(client_of(sandbox), DEMO, output)
    assert [message in problem for verdict in verify_exports(tmp_path) for problem in verdict.problems] == [True]
    if name == "_manifest.json":
        # Else what it has written would be exported again as late.
        with pytest.raises(DestinationTakenError, match=message):
            export_events(client_of(sandbox), EVENING, tmp_path / "2", LOOKBACK, exports_folder=tmp_path)
    assert {key: data for key, data in tree(tmp_path).items() if not key.startswith("2/")} == before


def test_what_cannot_be_read_back_is_not_published(sandbox, tmp_path, monkeypatch):
    monkeypatch.setattr("airflow_provider_honeyhive.manifest.Manifest.LARGEST", 100)
    with pytest.raises(DestinationError, match="is not a manifest of this provider: it has"):
        export_events(client_of(sandbox), DEMO, tmp_path / "out")
    assert not list(tmp_path.rglob("_manifest.json"))
    assert not list(tmp_path.rglob("part-*"))


# ----------------------------------------------------------------------------------------------- commits

#: What a commit record may not have deleted, whoever wrote it.
OF_OTHERS = [name.removeprefix("in/") if name.startswith("in/") else f"../{name}" for name in NEIGHBOURS]


@pytest.mark.parametrize("field", ["placed", "replaced"])
@pytest.mark.parametrize("how", ["export", "cleanup"])
@pytest.mark.parametrize("name", [*OF_OTHERS, "_manifest.json", "/etc/passwd", "event_type=model/../notes.txt"])
def test_a_forged_commit_record_deletes_nothing_of_others(sandbox, tmp_path, name, how, field):
    place = tmp_path / "in"
    if how == "export":
        export_events(client_of(sandbox), DEMO, place)
    write(tmp_path, NEIGHBOURS)
    (place / "one.jsonl.gz").unlink()
    _, layout = choose_layout(place)
    folder = place / layout.staging_name("ab" * 32, b"another manifest")
    facts = {"manifest_name": "_manifest.json", "manifest_sha256": "0" * 64, field: [name]}
    write(folder, {"commit-01234567.json": json.dumps(facts).encode()})
    kept = {path: data for path, data in tree(tmp_path).items() if path in NEIGHBOURS}
    if how == "export":
        export_events(client_of(sandbox), DEMO, place)
        assert not folder.exists()
    else:
        for leftover in find_leftovers(place, timedelta(days=-1)):
            remove_leftover(place, leftover)
    assert {path: data for path, data in tree(tmp_path).items() if path in NEIGHBOURS} == kept


@pytest.mark.parametrize("manifest_name", ["../neighbour/_manifest.json", "one.jsonl.gz.manifest.json", "/x", 5])
@pytest.mark.parametrize("source", ["../../neighbour/_manifest.json", "commit-76543210.data", "notes.txt", None])
def test_a_forged_commit_record_gives_no_other_file_the_name_of_the_object(sandbox, tmp_path, manifest_name, source):
    place = tmp_path / "in" / "mine.jsonl.gz"
    export_events(client_of(sandbox), DEMO, place)
    write(tmp_path, NEIGHBOURS)
    folder, layout = choose_layout(place)
    manifest = (folder / layout.manifest_name).read_bytes()
    facts = {"manifest_sha256": hashlib.sha256(manifest).hexdigest(), "source": source}
    for name in (manifest_name, layout.manifest_name):
        staging = folder / layout.staging_name("ab" * 32, b"another manifest")
        write(staging, {"commit-01234567.json": json.dumps({"manifest_name": name, **facts}).encode()})
        write(staging, {"commit-76543210.data": b"planted"})
        before = place.read_bytes()
        with suppress(HoneyHiveError):
            export_events(client_of(sandbox), MORNING, place)
        assert place.read_bytes() == before
    assert {path: data for path, data in tree(tmp_path).items() if path in NEIGHBOURS} == NEIGHBOURS


def test_a_commit_record_of_a_newer_version_is_told_as_such_and_stays(sandbox, tmp_path):
    export_events(client_of(sandbox), DEMO, tmp_path)
    _, layout = choose_layout(tmp_path)
    folder = tmp_path / layout.staging_name("ab" * 32, b"another manifest")
    write(folder, {"commit-01234567.json": b'{"version": 2}'})
    with pytest.raises(DestinationTakenError, match="commit record was written by a newer version"):
        export_events(client_of(sandbox), DEMO, tmp_path)
    assert (folder / "commit-01234567.json").exists()


def test_a_commit_record_of_the_last_release_is_understood():
    facts = {
        "manifest_name": "_manifest.json",
        "manifest_sha256": "0" * 64,
        "placed": [],
        "replaced": [],
        "source": None,
    }
    assert Commit.load(json.dumps(facts).encode(), "here") == Commit(**facts)


# ----------------------------------------------------------------------------------------------- plans of splits


@pytest.mark.parametrize(
    "data",
    [
        *(b"", b"[]", b"\xff", b"[" * 100_000, b"{}", b'{"made_at":"2026-11-23T00:00:00","total":1}'),
        *(b'{"made_at":5,"total":1}', b'{"made_at":"2026-11-23T00:00:00Z","total":"1"}'),
        *(b'{"made_at":"2026-11-23T00:00:00Z","total":-1}', b'{"made_at":"2026-11-23T00:00:00Z","total":1e308}'),
        *(b'{"made_at":"2026-11-23T00:00:00Z","total":1' + b"0" * 400 + b"}", b'{"version":2}', bytes(2 * 1024**2)),
        *(b'{"made_at":"9999-12-31T00:00:00Z","total":1}', b'{"made_at":"2126-11-23T00:00:00+00:00","total":1}'),
    ],
    ids=lambda data: repr(data[:50]),
)
def test_a_plan_of_a_split_that_is_none_is_as_if_there_were_none(sandbox, tmp_path, data):
    client = client_of(sandbox)
    urls = export_parts(client, tmp_path, parts=2)
    (plan,) = tmp_path.glob("_shards-*/plan.json")
    plan.write_bytes(data)
    assert read_plan(LocalStore(tmp_path), plan.parent.name) is None
    combine(client, tmp_path, urls)
    Manifest.read(tmp_path).verify()
    assert Counter(ids_of(tmp_path)) == Counter(sandbox.event_ids(DAY.start, DAY.end))


def test_the_plan_of_a_worker_whose_clock_is_ahead_counts(tmp_path):
    plan = ShardPlan(made_at=datetime.now(UTC) + CLOCKS_APART - timedelta(minutes=1), total=7)
    write(tmp_path, {"s/plan.json": plan.to_json(), "t/plan.json": plan.model_dump_json().encode()})
    assert read_plan(LocalStore(tmp_path), "s") == read_plan(LocalStore(tmp_path), "t") == plan


# ----------------------------------------------------------------------------------------------- any damage

ODD = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        -1,
        1,
        2**63,
        10**400,
        0.5,
        1e308,
        "",
        "1",
        "true",
        [],
        {},
        [[]],
        "\ud800",
        "\0",
        "../x",
        "a/../b",
        *(
            "/etc/passwd",
            "\\",
            "9999-12-31T23:59:59Z",
            "2026-11-22T00:00:00",
            "0" * 64,
            "x" * 5_000,
            "../../neighbour/x",
        ),
    ]
)
BLOBS = [b"", b"[" * 100_000, b"\xff" * 50, b"{}", b"null", b"../", b'"', b"0", b"9" * 5_000, b"NaN", bytes(100_000)]


def harmed(data: bytes, draw: Any) -> bytes:
    """Return a file's bytes otherwise: as bytes, or, where it is JSON, as a value."""
    facts: Any = None
    with suppress(ValueError):
        facts = json.loads(data)
    if not isinstance(facts, dict) or draw(st.integers(0, 3)) == 0:
        begin, end = sorted(draw(st.tuples(*[st.integers(0, len(data))] * 2)))
        blob = draw(st.sampled_from([*BLOBS, data[begin:end]]))
        return draw(
            st.sampled_from([data[:begin] + blob + data[end:], data[:end] + blob + data[end:], data[:end], blob])
        )
    if draw(st.booleans()):
        facts.pop("checksum", None)
    inner: Any = facts
    # To any depth: where there is something in it, go on as often as not.
    while True:
        at = draw(st.sampled_from(sorted(inner))) if isinstance(inner, dict) else draw(st.integers(0, len(inner) - 1))
        if not isinstance(inner[at], dict | list) or not inner[at] or draw(st.integers(0, 4)) == 0:
            break
        inner = inner[at]
    how = draw(st.sampled_from(["put", "put", "drop", "add", "double"]))
    if how == "drop":
        del inner[at]
    elif how == "double" and isinstance(inner, list):
        inner.append(inner[at])
    elif how == "add" and isinstance(inner, dict):
        inner[draw(st.text(max_size=5))] = draw(ODD)
    else:
        inner[at] = draw(ODD)
    return json.dumps(facts).encode()


@pytest.fixture(scope="module")
def template(sandbox, tmp_path_factory) -> Path:
    """Make a folder with each kind of file in it, and neighbours."""
    root = tmp_path_factory.mktemp("template")
    client = client_of(sandbox)
    export_events(client, DEMO, root / "in" / "out", PARTS)
    export_events(client, DEMO, root / "in" / "mine.jsonl.gz")
    export_parts(client, root / "in" / "split", parts=2)
    export_events(client, MORNING, root / "in" / "days" / "1", LOOKBACK, exports_folder=root / "in" / "days")
    sandbox.fault_at[len(sandbox.requests) + 5] = Fault.answer(503)
    with pytest.raises(HoneyHiveServerError):
        export_events(client_of(sandbox, max_retries=0), DEMO, root / "in" / "half", PARTS)
    assert list((root / "in" / "half").glob("_staging-*/0*.json"))
    dead = root / "in" / "out" / choose_layout(root / "in" / "out")[1].staging_name("ab" * 32, None)
    part = Manifest.read(root / "in" / "out").files[0].path
    commit = Commit(
        manifest_name="_manifest.json", manifest_sha256="0" * 64, placed=[part, part.replace("-0", "-1", 1)]
    )
    write(dead, {"commit-01234567.json": commit.to_json(), "00000-00000-01234567": b"staged"})
    state = FileState(f"{root}/in/marks/_watermark-k.json")
    Watermark(state, "first", lambda _: f"{root}/in/marks/1/").advance(Window(DAY.start, NOON))
    Watermark(state, "second", lambda _: f"{root}/in/marks/2/").take(DAY.end)
    seen = WatchState(DAY.start_us, {bytes(8): DAY.start_us + 5 * SECOND_US})
    FileState(f"{root}/in/watch.json", watcher="w").save(seen.to_json())
    write(root, NEIGHBOURS)
    return root


def verify(sandbox: Sandbox, place: Path) -> None:
    for verdict in verify_exports(place / "out"):
        assert all(isinstance(problem, str) for problem in verdict.problems)


def export_over(sandbox: Sandbox, place: Path) -> None:
    export_events(client_of(sandbox), DEMO, place / "out", PARTS)
    assert_right_or_told(sandbox, place / "out")


def export_over_the_object(sandbox: Sandbox, place: Path) -> None:
    export_events(client_of(sandbox), DEMO, place / "mine.jsonl.gz")
    assert_right_or_told(sandbox, place / "mine.jsonl.gz")


def try_again(sandbox: Sandbox, place: Path) -> None:
    export_events(client_of(sandbox), DEMO, place / "half", PARTS)
    assert_right_or_told(sandbox, place / "half")


def combine_parts(sandbox: Sandbox, place: Path) -> None:
    urls = [str(path) for path in (place / "split").glob("_shards-*/2*")]
    combine(client_of(sandbox), place / "split", urls)
    assert_right_or_told(sandbox, place / "split")


def look_back(sandbox: Sandbox, place: Path) -> None:
    days = place / "days"
    export_events(client_of(sandbox), EVENING, days / "2", LOOKBACK, exports_folder=days)
    Manifest.read(days / "2").verify()
    assert Counter(ids_of(days / "2")) == Counter(sandbox.event_ids(NOON, DAY.end))


def take_watermark(sandbox: Sandbox, place: Path) -> None:
    state = FileState(f"{place}/marks/_watermark-k.json")
    window = Watermark(state, "third", lambda _: f"{place}/marks/3/").take(DAY.end + timedelta(hours=1))
    if window is not None:
        Watermark(state, "third", lambda _: f"{place}/marks/3/").advance(window)


def begin_to_watch(sandbox: Sandbox, place: Path) -> None:
    data = FileState(f"{place}/watch.json", watcher="w").load()
    if data is not None:
        state = WatchState.from_json(data, [], latest=NOW_US)
        assert state.since <= NOW_US + 86_400 * SECOND_US
        state.to_json()


def clean_up(sandbox: Sandbox, place: Path) -> None:
    for leftover in find_leftovers(place, timedelta(days=-1)):
        remove_leftover(place, leftover)
    assert_right_or_told(sandbox, place / "out")


def assert_right_or_told(sandbox: Sandbox, path: Path) -> None:
    """Check that an export that verifies has all events, once each; that it does not is told."""
    try:
        Manifest.read(path).verify()
    except DestinationError:
        return
    if path.is_dir():
        found = ids_of(path)
        assert Counter(found) == Counter(sandbox.event_ids(DAY.start, DAY.end))


READERS: dict[str, list[tuple[Callable[[Sandbox, Path], None], str]]] = {
    "manifest of a folder": [(reader, "out/_manifest.json") for reader in (verify, export_over, clean_up)],
    "manifest of an object": [(export_over_the_object, "mine.jsonl.gz.manifest.json")],
    "commit record": [(reader, "out/_staging-*/commit-*.json") for reader in (export_over, clean_up)],
    "data file": [(reader, "out/event_type=*/part-*") for reader in (verify, export_over)],
    "checkpoint": [(reader, "half/_staging-*/0*.json") for reader in (try_again, clean_up)],
    "plan": [(try_again, "half/_staging-*/plan.json")],
    "plan of a split": [(combine_parts, "split/_shards-*/plan.json")],
    "manifest of a part": [(combine_parts, "split/_shards-*/2*/_manifest.json")],
    "manifest of an earlier window": [(look_back, "days/1/_manifest.json")],
    "index": [(look_back, "days/1/_index-*.bin")],
    "watermark": [(take_watermark, "marks/_watermark-k.json")],
    "watcher's state": [(begin_to_watch, "watch.json")],
}


def copied(template: Path, root: Path) -> None:
    """Copy the folder; what names its places names those of the copy."""
    shutil.copytree(template, root)
    marks = root / "in" / "marks" / "_watermark-k.json"
    marks.write_text(marks.read_text().replace(str(template), str(root)))


@pytest.mark.parametrize(("reader", "pattern"), [one for some in READERS.values() for one in some])
def test_without_damage_each_reader_succeeds(sandbox, template, tmp_path, reader, pattern):
    copied(template, tmp_path / "root")
    assert list((tmp_path / "root" / "in").glob(pattern))
    reader(sandbox, tmp_path / "root" / "in")


@pytest.mark.parametrize("kind", READERS)
def test_any_damage_is_told_or_does_no_harm(sandbox, template, kind):
    @given(st.data())
    @thoroughly(12)
    def play(data: st.DataObject) -> None:
        reader, pattern = data.draw(st.sampled_from(READERS[kind]))
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder) / "root"
            copied(template, root)
            path = data.draw(st.sampled_from(sorted((root / "in").glob(pattern))))
            path.write_bytes(harmed(path.read_bytes(), data.draw))
            with suppress(HoneyHiveError):
                reader(sandbox, root / "in")
            after = tree(root)
            assert {name: data for name, data in after.items() if name in NEIGHBOURS} == NEIGHBOURS
            assert {name for name in after if not name.startswith("in/")} == {
                name for name in NEIGHBOURS if not name.startswith("in/")
            }
            assert [one.name for one in Path(folder).iterdir()] == ["root"]

    play()
