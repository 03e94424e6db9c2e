"""Several builds of one place, whose steps come in any order, whoever dies and whatever fails: one of them is whole.

The model is that of exports; only what is written and what is checked of it is another one.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import pytest
from hypothesis import settings
from hypothesis.stateful import run_state_machine_as_test

from airflow_provider_honeyhive.build_manifest import BuildManifest, build_problems
from airflow_provider_honeyhive.builds import publication
from airflow_provider_honeyhive.export.recovery import COMMIT_PREFIX, Commit
from airflow_provider_honeyhive.models.layout import BUILDS
from tests.unit.export.publishing import STORES
from tests.unit.export.stepped import stepped
from tests.unit.export.test_publishing_model import Publishing, Scene, _writer_of
from tests.unit.property_settings import thoroughly

from .building import build

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.hypothesis


class Building(Publishing):
    """Up to four builds, of which any may take the next step."""

    scene = Scene("folder")
    kind: str

    def __init__(self) -> None:
        super().__init__()
        self.object_name, self.manifest_name = BUILDS[self.kind], f"_{self.kind}.json"
        store = stepped(self.place.kind)
        place = publication._BuildPlace
        for target, name, double in (
            (publication, "open_store", lambda path: store(*self.place.arguments(path))),
            (place, "publish", self._noted_of(place.publish)),
        ):
            self.patches.enter_context(patch.object(target, name, double))

    def _noted_of(self, publish: Callable[..., None]) -> Callable[..., None]:
        def noted(place: Any, finals: Any, manifest: BuildManifest) -> None:
            self.claimed[_writer_of(manifest)] = _writer_of(place._claimed.manifest)
            publish(place, finals, manifest)

        return noted

    def _export(self, run: str, variant: int = 0, *, replace: bool = True) -> Any:
        return build(self.folder, self.kind, f"{run}-{variant}", airflow=self._facts(run))

    def _manifest(self, data: bytes) -> Any:
        if data not in self.known:
            self.known[data] = BuildManifest.load(data, "")
        return self.known[data]

    def _check_manifest(self, files: dict[str, bytes], data: bytes | None) -> None:
        manifest = None if data is None else self._manifest(data)
        before, now = self.published[-1], _writer_of(manifest)
        if now != before:
            self.must(self.claimed[now] == before, f"{now} has replaced {before}, not {self.claimed[now]}")
            self.published.append(now)
        if manifest is None:
            self.must(self.object_name not in files, "a file of a fixed name without a manifest")
            return
        differing = self._differing(files, manifest)
        self.must(differing <= {self.object_name}, f"published, and missing or not as the manifest says: {differing}")
        if differing:
            # Its hash tells; and what it is to become must be there for the next build.
            wanted = next(file.sha256 for file in manifest.files if file.path == self.object_name)
            sources = [
                f"{name.rpartition('/')[0]}/{Commit.model_validate_json(text).source}"
                for name, text in files.items()
                if name.rpartition("/")[2].startswith(COMMIT_PREFIX) and name.endswith(".json")
                if name not in self.neighbours and Commit.model_validate_json(text).is_of(data)
            ]
            hashes = {hashlib.sha256(files[source]).hexdigest() for source in sources if source in files}
            self.must(hashes == {wanted}, "nobody can put the file of a fixed name in its place")
        elif data not in self.verified:
            self.verified.add(data)
            found = build_problems(manifest, self.place.kind(*self.place.arguments(self.folder)))
            problems = [problem for problem in found if "not in the manifest" not in problem]
            self.must(not problems, f"does not verify: {problems}")


#: Examples by store; the disk takes its time.
EXAMPLES = {"lock": 12, "condition": 30, "lease": 15}


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("kind", ["tables", "dataset"])
def test_whoever_takes_the_next_step_what_is_published_is_whole(kind, store, monkeypatch):
    # Files get their final names in a fixed order, so that the same steps do the same.
    monkeypatch.setattr("airflow_provider_honeyhive.export.destination.COPIES_AT_ONCE", 1)
    machine = type("Building", (Building,), {"kind": kind, "store": store})
    run_state_machine_as_test(machine, settings=settings(thoroughly(EXAMPLES[store]), stateful_step_count=40))
