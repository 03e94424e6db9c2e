"""Builds in every store: published and replaced whole, and nothing else is left."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.build_manifest import BuildManifest
from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError
from tests.unit.builds.building import build

if TYPE_CHECKING:
    from .places import Place


def assert_whole_and_alone(place: Place, kind: str) -> BuildManifest:
    """Check that one build is there, of one writer, and nothing else."""
    manifest = BuildManifest.read(place.path("out"))
    manifest.verify()
    files = place.files()
    assert files.keys() == {f"out/_{kind}.json", *(f"out/{name}" for name in manifest.sizes)}
    assert len({files[f"out/{name}"].split()[0] for name in manifest.sizes}) == 1
    assert place.uploads() == []
    return manifest


@pytest.mark.parametrize("kind", ["tables", "dataset"])
def test_a_build_lands_whole_and_is_replaced_whole_by_one_of_those_who_come_at_once(place, kind):
    for word in ("one", "two"):
        manifest = build(place.path("out"), kind, word)
        assert assert_whole_and_alone(place, kind).model_dump() == manifest.model_dump()
    with pytest.raises(DestinationTakenError, match="holds another build"):
        build(place.path("out"), kind, "three", project="other")
    assert manifest.file_urls() == [f"{place.shown_url}/out/{file.path}" for file in manifest.files]
    published, failed = [], []

    def run(word: str) -> None:
        try:
            published.append(build(place.path("out"), kind, word).model_dump())
        except DestinationError as error:
            failed.append(error)

    writers = [threading.Thread(target=run, args=(word,)) for word in ("four", "five")]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert assert_whole_and_alone(place, kind).model_dump() in published
    assert len(published) + len(failed) == 2
    assert all(error.retryable for error in failed)
