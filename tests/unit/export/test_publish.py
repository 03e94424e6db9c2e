"""Whoever dies, sleeps or comes second: the published export is whole, and nobody loses what another has published."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError, TooFewEventsError
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.destination import Destination
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.shards import shard_name, shards_folder, write_plan
from airflow_provider_honeyhive.manifest import Manifest, find_problems, locate_manifest
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.layout import Layout
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.models.window import Window
from airflow_provider_honeyhive.storage.local import LocalStore

from .stepped import Process, SteppedStore, dies, interleaved, paused, stepping
from .test_exporter import DAY, DEMO, GENERATED, event_at, tree

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RUN = AirflowFacts(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=-1)
OTHER_RUN = RUN.model_copy(update={"run_id": "other"})
DAY_BEFORE = Window(DAY.start - timedelta(days=1), DAY.start)


@dataclass
class Scene:
    """One kind of export, again and again to new places.

    :param name: of what is exported to.
    :param options: how.
    """

    name: str
    options: dict[str, Any]
    sandbox: Any = None
    client: Any = None
    folder: Any = None
    numbers: Any = None

    @property
    def path(self) -> Path:
        return self.folder / "exports" / self.name

    def begin(self, folder: Path, *, earlier: bool) -> None:
        """Prepare a new place."""
        self.folder = folder
        if self.options.get("lookback_windows"):
            self._export(self.folder / "exports" / "before", RUN, window=DAY_BEFORE)
            self.change(DAY_BEFORE)
        if earlier:
            self.run()
            self.change()
        self.prepare()

    def prepare(self) -> None:
        """Do what comes before the export itself."""

    def change(self, window: Window = DAY) -> None:
        self.sandbox.add([event_at(window.start + timedelta(hours=3), f"late-{next(self.numbers)}")])

    def run(self, airflow: AirflowFacts = RUN, *, replace: bool = True) -> Manifest:
        """Export."""
        return self._export(self.path, airflow, replace=replace)

    def _export(self, path: Path, airflow: AirflowFacts, window: Window = DAY, **more: Any) -> Manifest:
        options = ExportOptions(**{"concurrency": 1, **self.options, **more})
        request = DEMO.model_copy(update={"window": window})
        return export_events(self.client, request, path, options, airflow, exports_folder=self.folder / "exports")

    def problems(self) -> list[str]:
        """Return what differs from the manifest, but files that it does not name: they count for nobody."""
        folder, name = locate_manifest(self.path)
        store = LocalStore(folder)
        data = store.get(name)
        if data is None:
            return []
        found = find_problems(Manifest.from_json(data, name), store, name)
        return [problem for problem in found if "not in the manifest" not in problem]

    def manifest(self) -> bytes | None:
        folder, name = locate_manifest(self.path)
        return LocalStore(folder).get(name)

    def assert_whole_and_alone(self, *, missing: int = 0) -> Manifest:
        """Check that an export of all events is all there is.

        :param missing: events that came so late that they may be in it or not.
        """
        manifest = Manifest.read(self.path)
        manifest.verify()
        assert 0 <= len(self.sandbox.event_ids(DAY.start, DAY.end)) - manifest.event_count <= missing
        folder = self.path if "." not in self.name else self.path.parent
        known = {locate_manifest(self.path)[1], *manifest.sizes}
        known |= {str(around) for name in manifest.sizes for around in PurePath(name).parents} - {"."}
        found = {str(one.relative_to(folder)) for one in folder.rglob("*")}
        others = {name for name in found if name.partition("/")[0] == "before"}
        assert found - others == known
        return manifest


@dataclass
class Combination(Scene):
    """Parts that become one export."""

    urls: Any = ()

    def prepare(self) -> None:
        folder = shards_folder(DEMO, self.client.settings.api_host, ("d", "r"))
        write_plan(self.path, folder, None)
        self.urls = [str(self.path / folder / shard_name(window)) for window in DAY.split(2)]
        for url, window in zip(self.urls, DAY.split(2), strict=True):
            export_events(self.client, DEMO.model_copy(update={"window": window}), url, ExportOptions(**self.options))

    def run(self, airflow: AirflowFacts = RUN, *, replace: bool = True) -> Manifest:
        if not self.urls:
            return self._export(self.path, airflow)  # the earlier one, by a single task
        # The parts are those of one run, so no other one combines them.
        return combine_exports(self.client, self.path, self.urls, DAY, airflow=RUN, replace=replace)

    def begin(self, folder: Path, *, earlier: bool) -> None:
        self.urls = ()
        super().begin(folder, earlier=earlier)


def scenes() -> Iterator[Scene]:
    yield Scene("folder", {"max_file_size": 30_000})
    yield Scene("one.jsonl.gz", {})
    yield Scene("one.csv", {})
    yield Scene("partitions", {"partition_by": ("event_date", "event_type")})
    yield Scene("looking-back", {"lookback_windows": 1})
    yield Combination("combined", {"partition_by": ("event_type",)})


@pytest.fixture(params=scenes(), ids=lambda scene: scene.name)
def scene(request, sandbox_with, client_of):
    made = request.param
    made.sandbox = sandbox_with(count=40, **GENERATED)
    made.client = client_of(made.sandbox)
    made.numbers = itertools.count()
    with stepping():
        yield made


@pytest.mark.parametrize("earlier", [False, True], ids=["first", "replacement"])
def test_whenever_it_dies_one_export_is_whole_and_the_next_try_leaves_nothing_else(scene, tmp_path, earlier):
    for step in itertools.count(1):
        scene.begin(tmp_path / str(step), earlier=earlier)
        before = scene.manifest()
        died = dies(scene.run, step)
        if scene.manifest() == before or "." not in scene.name:
            assert scene.problems() == []
        else:
            # The manifest is the new one, so who compares sees that the object is not yet.
            assert {problem.partition(":")[0] for problem in scene.problems()} <= {scene.name}
        scene.run(replace=False)
        scene.assert_whole_and_alone()
        if not died:
            break
    assert step > 10


@pytest.mark.parametrize(
    ("earlier", "other"),
    [(False, RUN), (True, RUN), (True, OTHER_RUN)],
    ids=["same try, first", "same try, replacement", "other run"],
)
def test_wherever_one_is_paused_while_another_publishes_one_of_them_is_whole(scene, tmp_path, earlier, other):
    for step in itertools.count(1):
        scene.begin(tmp_path / str(step), earlier=earlier)
        seconds: list[Manifest] = []

        def second(seconds: list[Manifest] = seconds) -> None:
            if not isinstance(scene, Combination):
                scene.change()  # so that both do not have the same to write
            seconds.append(scene.run(other))
            assert scene.problems() == []

        first = paused(scene.run, step, second)
        manifest = scene.assert_whole_and_alone(missing=1)
        if first is None:
            break
        results = [one.model_dump() for one in (*seconds, first.result) if one is not None]
        assert manifest.model_dump() in results
        assert first.result is not None or first.error is not None
    assert step > 15


def test_a_claim_that_sleeps_takes_nothing_of_who_claims_what_is_published_meanwhile(client, tmp_path):
    export_of = partial(export_events, client, DEMO, airflow=RUN)
    with stepping():
        for step in itertools.count(1):
            path = tmp_path / str(step)
            earlier = export_of(path)
            about_to_publish, go_on = threading.Event(), threading.Event()

            def wait(name: str, reached: threading.Event = about_to_publish, go_on: threading.Event = go_on) -> None:
                if name == "swap":
                    reached.set()
                    go_on.wait(60)

            second = Process(partial(export_of, path), wait)

            def meanwhile(path: Path = path, second: Process = second, reached: Any = about_to_publish) -> None:
                export_of(path)
                second.thread.start()
                assert reached.wait(60)

            def claim(path: Path = path, earlier: Manifest = earlier) -> None:
                Destination(SteppedStore(path), Layout("jsonl", "gzip", None), "ab").claim(earlier, replace=True)

            if paused(claim, step, meanwhile) is None:
                break
            go_on.set()
            second.thread.join(60)
            assert second.result.model_dump() == Manifest.read(path).model_dump()
            second.result.verify()
    assert step > 2


@pytest.mark.parametrize("keep_staged", [False, True])
def test_a_twin_that_fails_takes_nothing_of_what_the_other_one_is_about_to_put_in_place(
    client, tmp_path, monkeypatch, keep_staged
):
    path = tmp_path / "one.jsonl"
    earlier = export_events(client, DEMO, path)
    first, second = (Destination(LocalStore(tmp_path), Layout("jsonl", "none", path.name), "ab" * 32) for _ in range(2))
    for twin in (first, second):
        twin.claim(earlier, replace=True)
    first.store.put(first.staged_name(0, 0), b"{}")
    copy = LocalStore.copy

    def late(store: LocalStore, source: str, target: str) -> None:
        if target == path.name:
            error = TooFewEventsError(2, 1)
            second.abandon(error, keep_staged=keep_staged)
        copy(store, source, target)

    monkeypatch.setattr(LocalStore, "copy", late)
    first.publish({first.staged_name(0, 0): path.name}, earlier.model_copy(update={"event_count": 1}))
    assert tree(tmp_path)[path.name] == b"{}"
    assert len(tree(tmp_path)) == 2


def test_a_late_copy_of_a_replaced_object_cannot_come_over_the_new_one(client, tmp_path, monkeypatch):
    path = tmp_path / "one.jsonl"
    earlier = export_events(client, DEMO, path)
    first, second = (Destination(LocalStore(tmp_path), Layout("jsonl", "none", path.name), "ab" * 32) for _ in range(2))
    copy, sleeping = LocalStore.copy, []

    def publish(place: Destination, data: bytes) -> None:
        place.store.put(place.staged_name(0, 0), data)
        manifest = earlier.model_copy(update={"event_count": len(data)})
        place.publish({place.staged_name(0, 0): path.name}, manifest)

    def late(store: LocalStore, source: str, target: str) -> None:
        if target == path.name and not sleeping:
            sleeping.append(source)
            with monkeypatch.context() as patch:
                # It listed the folders before the first one had any.
                patch.setattr(LocalStore, "folders", lambda *_: [])
                second.claim(earlier, replace=True)
            publish(second, b"of the second")
        copy(store, source, target)
        if target == path.name:
            with suppress(DestinationError):
                copy(store, sleeping[0], target)

    monkeypatch.setattr(LocalStore, "copy", late)
    first.claim(earlier, replace=True)
    publish(first, b"of the first")
    assert tree(tmp_path)[path.name] == b"of the second"
    assert len(tree(tmp_path)) == 2


@pytest.mark.parametrize("seed", range(8))
def test_in_any_order_of_their_steps_whoever_dies_what_is_published_is_there(scene, tmp_path, seed):
    scene.begin(tmp_path, earlier=bool(seed % 2))

    def watch() -> None:
        data = scene.manifest()
        if data is not None and "." not in scene.name:
            missing = [name for name in Manifest.from_json(data, "").sizes if not (scene.path / name).exists()]
            assert missing == []

    processes = interleaved([scene.run, scene.run, lambda: scene.run(OTHER_RUN)], seed, watch)
    assert all(one.result is not None or one.error is not None for one in processes)
    watch()
    scene.run(replace=scene.manifest() is None or Manifest.read(scene.path).airflow != RUN)
    scene.assert_whole_and_alone()
