"""A model of writers who publish to one place: hypothesis chooses who takes the next step, and who dies or fails.

After each change of the store, every manifest that is in place must name files that are there and hold what it says.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from airflow_provider_honeyhive.exceptions import DestinationTakenError
from airflow_provider_honeyhive.export import combine, exporter, shards
from airflow_provider_honeyhive.export.combine import combine_exports
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.export.recovery import COMMIT_PREFIX, Commit
from airflow_provider_honeyhive.export.shards import shard_name, shards_folder, write_plan
from airflow_provider_honeyhive.manifest import Manifest, find_problems
from airflow_provider_honeyhive.models.export_facts import AirflowFacts
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME, OBJECT_MANIFEST_SUFFIX, SHARDS_PREFIX
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.storage import lease, object_store
from tests.unit.property_settings import thoroughly

from .publishing import HOUR_US, HOURS, IN_THE_FOLDER, NEIGHBOURS, STORES, Client, Clock, Names, Reading, Writer
from .stepped import CHANGES, stepped, stepping
from .test_exporter import DAY, DEMO

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

#: As hypothesis marks tests that it gives values to: so they are found together.
pytestmark = pytest.mark.hypothesis


@dataclass
class Scene:
    """What is exported, and how.

    :param name: of what is exported to.
    :param partition_by: of the export.
    :param combines: the export is put together of the exports of two windows.
    """

    name: str
    partition_by: tuple[str, ...] = ()
    combines: bool = False


SCENES = [
    Scene("folder"),
    Scene("one.jsonl"),
    Scene("partitions", partition_by=("event_type",)),
    Scene("combined", partition_by=("event_type",), combines=True),
]


@contextmanager
def _pool() -> Iterator[Any]:
    yield SimpleNamespace(map=map)


def _writer_of(manifest: Manifest | None) -> int | None:
    return None if manifest is None or manifest.airflow is None else manifest.airflow.try_number


class Publishing(RuleBasedStateMachine):
    """Up to four writers, of which any may take the next step."""

    scene: Scene
    store: str

    def __init__(self) -> None:
        super().__init__()
        self.place = STORES[self.store]()
        self.folder = self.place.root / "out"
        self.object_name = self.scene.name if "." in self.scene.name else None
        self.manifest_name = f"{self.object_name}{OBJECT_MANIFEST_SUFFIX}" if self.object_name else MANIFEST_NAME
        self.neighbours = NEIGHBOURS | (IN_THE_FOLDER if self.object_name else {})
        self.how = {"partition_by": self.scene.partition_by, "compression": "none", "max_file_size": 1}
        self.clock, names = Clock(), Names()
        self.writers: list[Writer] = []
        self.writer_count = 0
        #: Whose manifest each writer is to replace, and whose was in place, one after the other.
        self.claimed: dict[int | None, int | None] = {}
        self.published: list[int | None] = [None]
        self.split: set[str] = set()
        self.last, self.they_die = "", True
        self.known: dict[bytes, Manifest] = {}
        self.verified: set[bytes] = set()
        self.holds = True
        self.patches = ExitStack()
        kind = stepped(self.place.kind)
        self.patches.enter_context(stepping(lambda path: kind(*self.place.arguments(path))))
        for module, name, double in (
            (uuid, "uuid4", names.uuid4),
            *((module, "datetime", names) for module in (exporter, combine, shards)),
            (exporter, "WindowExtraction", Reading),
            (exporter, "processor_pool", _pool),
            (exporter, "publish", self._noted(exporter.publish)),
            (combine, "publish", self._noted(combine.publish)),
            (lease, "time", self.clock),
            (lease, "POLL_S", lease.LEASE_S / 4),
            (object_store, "swap_by_lease", partial(self.clock.swap_by_lease, lease.swap_by_lease)),
        ):
            self.patches.enter_context(patch.object(module, name, double))

    def _noted(self, publish: Callable[..., Manifest]) -> Callable[..., Manifest]:
        def noted(place: Any, files: Any, build: Callable[[Any], Manifest]) -> Manifest:
            self.claimed[_writer_of(build([]))] = _writer_of(place.replaced)
            return publish(place, files, build)

        return noted

    # -------------------------------------------------------------------------------- what writers do

    def _export(self, run: str, variant: int = 0, *, replace: bool = True) -> Manifest:
        path = self.folder / (self.object_name or "")
        if self.scene.combines:
            urls = [self.place.kind(*self.place.arguments(shard)).url() for shard in self._shards(run)]
            how = {"replace": replace, "on_shrink": "replace"}
            return combine_exports(Client(run), path, urls, DAY, airflow=self._facts(run), **how)
        options = ExportOptions(**self.how, replace=replace, on_shrink="replace")
        return export_events(Client(run, variant), DEMO, path, options, self._facts(run))

    def _facts(self, run: str) -> AirflowFacts:
        self.writer_count += 1
        return AirflowFacts(dag_id="d", task_id="t", run_id=run, try_number=self.writer_count, map_index=-1)

    def _shards_folder(self, run: str) -> str:
        return shards_folder(DEMO, Client(run).settings.api_host, ("d", run))

    def _shards(self, run: str) -> list[Path]:
        return [self.folder / self._shards_folder(run) / shard_name(window) for window in DAY.split(2)]

    def _split(self, run: str) -> None:
        """Export what is to be combined, if anything."""
        if not self.scene.combines:
            return
        self.split.add(run)
        write_plan(self.folder, self._shards_folder(run), None)
        for window, path in zip(DAY.split(2), self._shards(run), strict=True):
            request = DEMO.model_copy(update={"window": window})
            options = ExportOptions(**self.how, on_shrink="replace")
            export_events(Client(run), request, path, options, self._facts(run))

    # -------------------------------------------------------------------------------- rules

    @initialize(earlier=st.sampled_from([None, *HOURS]), last=st.sampled_from([*HOURS]), they_die=st.booleans())
    def prepare(self, earlier: str | None, last: str, they_die: bool) -> None:
        self.last, self.they_die = last, they_die
        store = self.place.kind(*self.place.arguments(self.folder))
        for name, data in self.neighbours.items():
            store.put(name, data)
        if earlier is not None:
            self._split(earlier)
            self._export(earlier)
        self.check()

    @precondition(lambda self: len(self.writers) < 3)
    @rule(run=st.sampled_from([*HOURS]), variant=st.integers(0, 1), replace=st.sampled_from([True, True, False]))
    def begin(self, run: str, variant: int, replace: bool) -> None:
        if run not in self.split:
            self._split(run)
        self.writers.append(Writer(lambda: self._export(run, variant, replace=replace), replace=replace))

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 3), steps=st.integers(1, 20))
    def advance(self, which: int, steps: int) -> None:
        writer = self._writer(which)
        while steps and writer.at is not None:
            self._step(writer)
            steps -= 1

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 3), name=st.sampled_from(["swap", "copy", "delete", "remove_folder", None]))
    def advance_to(self, which: int, name: str | None) -> None:
        writer = self._writer(which)
        self._step(writer)
        while writer.at not in (name, None):
            self._step(writer)

    @precondition(lambda self: self.writers)
    @rule(which=st.integers(0, 3), how=st.sampled_from([Writer.die, Writer.fail, Writer.fail_afterwards]))
    def end(self, which: int, how: Callable[[Writer], None]) -> None:
        writer = self._writer(which)
        if how is Writer.die or writer.at not in ("begin", "sleep"):
            self._take(writer, how)

    def teardown(self) -> None:
        """Let all writers die, or wake up and go on; in the end, one last retry runs alone."""
        try:
            while self.writers and self.holds:
                if self.they_die:
                    self._take(self.writers[0], Writer.die)
                else:
                    self._step(self.writers[0])
            if self.holds:
                self._retry_alone(self.last)
        finally:
            for writer in self.writers:
                writer.die()
            self.patches.close()
            self.place.close()

    def _retry_alone(self, run: str) -> None:
        self._split(run)
        manifest = self._export(run)
        self.check()
        files = self._files()
        others = {name for name in files if name.startswith(SHARDS_PREFIX)}
        litter = files.keys() - self.neighbours.keys() - manifest.sizes.keys() - others - {self.manifest_name}
        litter |= {name for name in others if name.startswith(self._shards_folder(run))}
        self.must(not litter, f"litter: {litter}")
        self.must(self.published[-1] == _writer_of(manifest), "another manifest")
        self.must(not self._differing(files, manifest), "the export is not whole in the end")

    # -------------------------------------------------------------------------------- steps

    def _writer(self, which: int) -> Writer:
        return self.writers[which % len(self.writers)]

    def _step(self, writer: Writer) -> None:
        """Let a writer take its step, or those first whom it waits for, as time passes for all of them."""
        if writer.at == "sleep":
            at_a_lease = [one for one in self.writers if one.process.thread.ident in self.clock.at_a_lease]
            awake = [one for one in at_a_lease if one.at != "sleep"]
            writer = (awake or sorted(at_a_lease, key=lambda one: self.clock.until[one.process.thread.ident]))[0]
        self._take(writer, Writer.step)

    def _take(self, writer: Writer, step: Callable[[Writer], None]) -> None:
        is_change = writer.at in CHANGES
        step(writer)
        if is_change:
            self.check()
        if writer.at is None:
            self.writers.remove(writer)
            self._look_at_end(writer)

    def _look_at_end(self, writer: Writer) -> None:
        result, error = writer.process.result, writer.process.error
        self.must(writer.unexpected is None, f"ended by {writer.unexpected!r}")
        if result is not None:
            self.must(_writer_of(result) in self.published, "told of success, and was never published")
        if isinstance(error, DestinationTakenError):
            self.must(not writer.replace, f"refused: {error}")

    # -------------------------------------------------------------------------------- what always holds

    def must(self, holds: bool, otherwise: str) -> None:
        self.holds = self.holds and holds
        assert holds, otherwise

    def _files(self) -> dict[str, bytes]:
        return {name.removeprefix("out/"): data for name, data in self.place.files().items()}

    def check(self) -> None:
        """Check that what is published is there, and what belongs to others is as it was."""
        self.holds = False
        files = self._files()
        changed = {name for name, data in self.neighbours.items() if files.get(name) != data}
        self.must(not changed, f"changed or gone, of others: {changed}")
        for name, data in files.items():
            folder, _, leaf = name.rpartition("/")
            if leaf == MANIFEST_NAME and name not in {*self.neighbours, self.manifest_name}:
                missing = self._manifest(data).sizes.keys() - {one.removeprefix(f"{folder}/") for one in files}
                self.must(not missing, f"missing, of {folder}: {missing}")
        self._check_manifest(files, files.get(self.manifest_name))
        self.holds = True

    def _check_manifest(self, files: dict[str, bytes], data: bytes | None) -> None:
        manifest = None if data is None else self._manifest(data)
        before, now = self.published[-1], _writer_of(manifest)
        if now != before:
            self.must(self.claimed[now] == before, f"{now} has replaced {before}, not {self.claimed[now]}")
            self.published.append(now)
        if manifest is None:
            self.must(self.object_name not in files, "an object without a manifest")
            return
        differing = self._differing(files, manifest)
        if differing and self.object_name is not None:
            # Its hash tells; and what it is to become must be there for the next claim.
            sources = [
                f"{name.rpartition('/')[0]}/{commit.source}"
                for name, text in files.items()
                if name.rpartition("/")[2].startswith(COMMIT_PREFIX) and name not in self.neighbours
                for commit in ([Commit.model_validate_json(text)] if name.endswith(".json") else [])
                if commit.is_of(data)
            ]
            hashes = {hashlib.sha256(files[source]).hexdigest() for source in sources if source in files}
            self.must(hashes == {manifest.files[0].sha256}, "nobody can put the object in its place")
            return
        self.must(not differing, f"published, and missing or not as the manifest says: {differing}")
        if data not in self.verified:
            self.verified.add(data)
            store = self.place.kind(*self.place.arguments(self.folder))
            found = find_problems(manifest, store, self.manifest_name)
            problems = [problem for problem in found if "not in the manifest" not in problem]
            self.must(not problems, f"does not verify: {problems}")
            lines = [line for part in manifest.files for line in files[part.path].splitlines()]
            run = manifest.airflow.run_id
            wanted = [DAY.start_us // 1000 + hour * HOUR_US // 1000 for hour in HOURS[run]]
            self.must(sorted(json.loads(line)["start_time"] for line in lines) == wanted, "not each event once")

    def _differing(self, files: dict[str, bytes], manifest: Manifest) -> set[str]:
        hashes = {name: hashlib.sha256(files[name]).hexdigest() for name in manifest.sizes if name in files}
        return {part.path for part in manifest.files if hashes.get(part.path) != part.sha256}

    def _manifest(self, data: bytes) -> Manifest:
        if data not in self.known:
            self.known[data] = Manifest.from_json(data, "")
        return self.known[data]


#: Examples by store; the disk takes its time.
EXAMPLES = {"lock": 12, "condition": 40, "lease": 20}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.name)
def test_whoever_takes_the_next_step_what_is_published_is_whole(scene, store, monkeypatch):
    # Files get their final names in a fixed order, so that the same steps do the same.
    monkeypatch.setattr("airflow_provider_honeyhive.export.destination.COPIES_AT_ONCE", 1)
    machine = type("Publishing", (Publishing,), {"scene": scene, "store": store})
    run_state_machine_as_test(machine, settings=settings(thoroughly(EXAMPLES[store]), stateful_step_count=50))
