"""Publishes the files of a build: whole or not at all, in place of the earlier build of the same project and window.

They travel once, into a staging folder, and are hashed on the way. Then they get names that no other writer gives, and
the manifest is swapped in one step for the one that was there, as :mod:`..export.publish` says of exports. The one file
of a fixed name (``README.md`` of a dataset, ``report.html``) gets it after the manifest. What a killed build has left
counts for nobody; the next one that publishes there removes it, and so does the command ``cleanup``.

A folder holds one build, or one export of many files. Neither ever removes a file of the other.
"""

from __future__ import annotations

import uuid
from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.build_manifest import BuildManifest, BuiltFile
from airflow_provider_honeyhive.builds.stopping import BuildStop
from airflow_provider_honeyhive.display import get_logger, quoted
from airflow_provider_honeyhive.exceptions import DestinationTakenError, InvalidArgumentError
from airflow_provider_honeyhive.export.claim import (
    check_above,
    check_alone,
    check_folders,
    check_unclaimed,
    published_by,
)
from airflow_provider_honeyhive.export.destination import Place
from airflow_provider_honeyhive.export.recovery import check_can_delete, recover
from airflow_provider_honeyhive.models.layout import BUILDS, BuildLayout
from airflow_provider_honeyhive.models.window import format_time
from airflow_provider_honeyhive.storage.base import READ_BLOCK, files_in
from airflow_provider_honeyhive.storage.paths import as_path, open_store
from airflow_provider_honeyhive.storage.temporary import temporary_space

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from airflow_provider_honeyhive.build_manifest import SourceFacts
    from airflow_provider_honeyhive.models.export_facts import AirflowFacts
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file of a build, on this machine.

    It is published as ``<folder>/<stem>-<number>-<12 hexadecimal digits><suffix>``, such as
    ``events/part-00000-0123456789ab.parquet``; a dataset's ``README.md`` and a report's ``report.html``, of which there
    is exactly one, keep their names.

    :param path: where it is; whoever made it removes it.
    :param name: what it is a file of: a table, or a split of a dataset.
    :param folder: where it goes: one name of small letters, digits and ``_``; empty for the file of a fixed name.
    :param stem: begins its name.
    :param suffix: ends its name, with its dot.
    :param row_count: rows in it.
    """

    path: Path
    name: str
    folder: str = ""
    stem: str = "part"
    suffix: str = ".parquet"
    row_count: int = 0


def claim_build(
    output_path: Any,
    kind: str,
    *,
    project: str | None,
    start_time: str | None,
    end_time: str | None,
    airflow: AirflowFacts | None = None,
) -> ClaimedBuild:
    """Claim the place of a build, before anything is read: it will replace what is there now, and nothing else.

    :param output_path: a folder; anything path-like, or a text.
    :param kind: ``tables``, ``dataset`` or ``report``.
    :param project: whose events it is made of.
    :param start_time: start of its window, ISO 8601; None: all of time.
    :param end_time: end of its window.
    :param airflow: the task that asks for it.
    :raises DestinationTakenError: it holds an export, a build of another kind, project or window, or files of nobody.
    :raises DestinationError: the store fails.
    """
    place = _BuildPlace(output_path, kind)
    facts = {"kind": kind, "project": project, "start_time": start_time, "end_time": end_time}
    place.claim(project, start_time, end_time)
    return ClaimedBuild(place, {**facts, "airflow": airflow, "started_at": format_time(datetime.now(UTC))})


class ClaimedBuild:
    """A build under way, whose place is claimed; :func:`claim_build` makes it.

    :param place: where it goes.
    :param facts: of its manifest, as far as they are known.
    """

    def __init__(self, place: _BuildPlace, facts: Mapping[str, Any]) -> None:
        self._place = place
        self._facts = facts

    def publish(
        self,
        files: Sequence[LocalFile],
        *,
        sources: Sequence[SourceFacts],
        settings: Mapping[str, Any],
        counts: Mapping[str, int],
        stop: BuildStop | None = None,
    ) -> BuildManifest:
        """Publish the files of the build in place of what was there when it was claimed.

        :param files: in the order in which they are to be read.
        :param sources: the exports that it is made of.
        :param settings: what was asked for, and the version of the SQL.
        :param counts: numbers of what is in it.
        :param stop: ends it as long as the manifest is not written; None: nobody stops it.
        :return: the manifest, in its place.
        :raises InvalidArgumentError: a file cannot be called so, or the one of a fixed name is missing.
        :raises DestinationTakenError: a folder that files go to holds an export, or files of nobody.
        :raises DestinationError: the earlier build is still in place, or another one that was published meanwhile; or
            this one is, and what it replaced could not be removed, or its file of a fixed name not be put in place: the
            next build does so.
        :raises ExportStoppedError: the build was stopped; the earlier one is still in place.
        """
        place = self._place
        stop = stop or BuildStop()
        place.check_names(files)
        place.check_room({file.folder for file in files} - {""})
        try:
            built = place.stage(files, stop)
            done = BuildManifest(
                **self._facts,
                sources=list(sources),
                settings=dict(settings),
                counts=dict(counts),
                engine=f"duckdb {version('duckdb')}",
                finished_at=format_time(datetime.now(UTC)),
                files=list(built.values()),
            )
            stop.check()
            place.publish({staged: file.path for staged, file in built.items()}, done)
        except BaseException as error:
            place.abandon(error, keep_staged=False)
            raise
        log.info("Published %s: %s files to %s", done.kind, f"{len(done.files):,}", place.url())
        return done.placed(place.store, place.layout.manifest_name)


class _BuildPlace(Place):
    """The place of one build. A retry goes on from nothing, so each writer has a staging folder of its own."""

    THING = "build"

    layout: BuildLayout

    def __init__(self, output_path: Any, kind: str) -> None:
        folder = as_path(output_path)
        if ".." in str(folder).replace("\\", "/").split("/"):
            raise InvalidArgumentError("output_path", str(folder), "it must not climb with '..'")
        check_above(folder)
        super().__init__(open_store(folder), BuildLayout(kind), uuid.uuid4().hex)

    def url(self) -> str:
        return self.store.url()

    def check_names(self, files: Sequence[LocalFile]) -> None:
        """Refuse files that cannot get a name here, before any of them travels."""
        fixed = 0
        for file in files:
            name = self.layout.file_name(file.folder, file.stem, file.suffix, 0, "")
            if not self.layout.owns(name):
                raise InvalidArgumentError("files", name, "allowed: a folder, stem and suffix as in LocalFile")
            fixed += name == self.layout.object_name
        # Without it, that of an earlier build would stay.
        if fixed != (BUILDS[self.layout.kind] is not None):
            raise InvalidArgumentError("files", fixed, f"allowed: exactly one {self.layout.object_name}")

    def claim(self, project: str | None, start_time: str | None, end_time: str | None) -> None:
        """Make sure that a build may go here; what earlier ones have left half published is finished first."""
        current = recover(self.store, self.layout)
        old = current.manifest
        if isinstance(old, BuildManifest):
            _check_same_build(self.url(), old, {"project": project, "start": start_time, "end": end_time})
        else:
            check_alone(self.url(), self.layout, current)
            check_unclaimed(self.store, self.layout, self.url(), set(filter(self.layout.owns, current.there)))
        check_can_delete(self.store, () if old is None else old.sizes.keys() - {self.layout.object_name})
        self._hold(current)

    def check_room(self, folders: Collection[str]) -> None:
        """Make sure that nobody else has files in the folders that get some."""
        self._check_folders([f"{folder}/" for folder in folders])
        # Also where it is not needed: it fails where a symbolic link is in the way.
        there = files_in(self.store, folders)
        if self._claimed.manifest is None:
            check_unclaimed(self.store, self.layout, self.url(), set(filter(self.layout.owns, there)))

    def _check_folders(self, names: Collection[str]) -> None:
        # Of no folder is it known that it is this build's: what is replaced could not be removed beside an export.
        check_folders(self.store, None, names=names, remedy="give another output_path")

    def stage(self, files: Sequence[LocalFile], stop: BuildStop) -> dict[str, BuiltFile]:
        """Upload files, and return what they are to be by the names that they have in the staging folder.

        :param stop: ends it.
        """
        numbers: Counter[tuple[str, str]] = Counter()
        built = {}
        for index, file in enumerate(files):
            staged = self.staged_name(0, index)
            size, digest = _upload(file.path, self.store, staged, stop)
            number = numbers[file.folder, file.stem]
            numbers[file.folder, file.stem] += 1
            built[staged] = BuiltFile(
                path=self.layout.file_name(file.folder, file.stem, file.suffix, number, f"{digest}{self.writer}"),
                name=file.name,
                row_count=file.row_count,
                size_bytes=size,
                sha256=digest,
            )
        return built


def _upload(path: Path, store: Store, name: str, stop: BuildStop) -> tuple[int, str]:
    """Write a local file to a store; return its size in bytes and its SHA-256."""
    digest, size = sha256(), 0
    with store.create(name) as sink:
        for block in _blocks(path):
            stop.check()
            digest.update(block)
            size += len(block)
            sink.write(block)
    return size, digest.hexdigest()


def _blocks(path: Path) -> Iterator[bytes]:
    with temporary_space():
        file = path.open("rb")
    with file:
        while True:
            with temporary_space():
                block = file.read(READ_BLOCK)
            if not block:
                return
            yield block


def _check_same_build(where: str, old: BuildManifest, wanted: dict[str, str | None]) -> None:
    """Check that a build is of the same project and window as the one that is there.

    :raises DestinationTakenError: it is not.
    """
    there = {"project": old.project, "start": old.start_time, "end": old.end_time}
    differences = [
        f"{name}: there {quoted(there[name])}, this run {quoted(here)}"
        for name, here in wanted.items()
        if there[name] != here
    ]
    if differences:
        raise DestinationTakenError(
            "output_path holds another build: put {start} or {project} into output_path, or give another one",
            f"{where} was published {published_by(old)}",
            *differences,
        )
