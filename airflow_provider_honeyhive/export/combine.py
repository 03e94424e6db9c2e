"""Makes one export of the shards that many tasks have exported: checks that they are the whole, then publishes them.

The shards are ordinary exports of sub-windows, see :mod:`.shards`. They stay until the whole is published, so that a
retry after any kind of death does the same again. Plain Python, no Airflow.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive import __version__
from airflow_provider_honeyhive.display import get_logger, listed
from airflow_provider_honeyhive.exceptions import (
    DestinationAccessError,
    DestinationError,
    ExportWouldShrinkError,
    Fact,
    IncompleteExportError,
    InvalidArgumentError,
)
from airflow_provider_honeyhive.export.assembly import AssembledFile
from airflow_provider_honeyhive.export.claim import check_above
from airflow_provider_honeyhive.export.destination import Destination
from airflow_provider_honeyhive.export.publish import publish
from airflow_provider_honeyhive.export.recovery import recover
from airflow_provider_honeyhive.export.shards import locate_shard, read_plan, remove_shards
from airflow_provider_honeyhive.export.shrink_check import check_shrink, keep_published, tell_replaced
from airflow_provider_honeyhive.export.unmatched import tell_unmatched
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import MANIFEST_NAME, SHARDS_PREFIX, Layout, choose_layout
from airflow_provider_honeyhive.models.options import FAIL, WARN
from airflow_provider_honeyhive.models.request import ExportRequest
from airflow_provider_honeyhive.models.window import Window, format_time, parse_time
from airflow_provider_honeyhive.reading.fetcher import RangeFetcher, ReadStats
from airflow_provider_honeyhive.reading.proof import count_rows
from airflow_provider_honeyhive.storage.paths import as_path, open_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from airflow_provider_honeyhive.api.client import HoneyHiveClient
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.models.export_facts import AirflowFacts, ReplacedFacts
    from airflow_provider_honeyhive.storage.base import Store


log = get_logger(__name__)

#: What of a manifest is the sum of what the shards' manifests say.
_SUMS = (
    "event_count",
    "duplicates_dropped",
    "repeated_ids",
    "events_without_time",
    "slice_count",
    "page_count",
    "bytes_read",
    "retries",
)


@dataclass(frozen=True, slots=True)
class _Shard:
    """A shard of the export, in its folder.

    :param folder: relative to the ``output_path`` of the whole.
    """

    folder: str
    manifest: Manifest

    @property
    def window(self) -> Window:
        return Window.parse(self.manifest.start_time, self.manifest.end_time)


def combine_exports(
    client: HoneyHiveClient,
    output_path: Any,
    urls: Iterable[str],
    window: Window,
    *,
    airflow: AirflowFacts | None = None,
    replace: bool = True,
    on_unmatched: str = WARN,
    on_shrink: str = FAIL,
) -> Manifest:
    """Publish the shards of an export as one, with one manifest over all, and remove them.

    :param client: asked how many events the window holds now.
    :param output_path: a folder, text or path-like: the one whose window was split.
    :param urls: of the shards, as their exports say them.
    :param window: the whole.
    :param airflow: the task that combines, for the manifest.
    :param replace: replace an earlier export of the same window.
    :param on_unmatched: what happens where a path of what is left out matches nothing in any shard: ``warn`` in the
        log, or ``fail``.
    :param on_shrink: what happens where the published export holds events that the shards do not; see
        :class:`.ExportOptions`.
    :raises InvalidArgumentError: the shards do not cover the window exactly, or were not asked for alike.
    :raises IncompleteExportError: they hold fewer events than the server reported when the window was split and
        reports now.
    :raises ExportWouldShrinkError: published events would be lost, and ``on_shrink`` is ``fail``.
    :raises UnmatchedFieldsError: a path matches nothing, and ``on_unmatched`` is ``fail``.
    :raises DestinationError: a shard, or a file of one, is missing; or the destination cannot be read or written.
    :raises DestinationTakenError: it holds another export, or one and ``replace`` is False.
    """
    path, layout = choose_layout(as_path(output_path))
    if layout.object_name is not None:
        raise InvalidArgumentError("output_path", str(output_path), "allowed: a folder; parts cannot become one object")
    check_above(path)
    store = open_store(path)
    combination = _Combination(store, layout, urls, window, airflow)
    manifest = combination.published_before()
    if manifest is None:
        manifest = combination.run(client, replace=replace, on_unmatched=on_unmatched, on_shrink=on_shrink)
    combination.remove_shards()
    return manifest


class _Combination:
    """The shards of one export, and what is to become of them."""

    def __init__(
        self, store: Store, layout: Layout, urls: Iterable[str], window: Window, airflow: AirflowFacts | None
    ) -> None:
        places = [locate_shard(store, url) for url in urls]
        folders = sorted({folder for folder, _ in places})
        if len(folders) != 1:
            raise InvalidArgumentError("exports", folders, "the parts of one export lie in one folder")
        (self.folder,) = folders
        self._store = store
        self._layout = layout
        self._window = window
        self._airflow = airflow
        self._plan = read_plan(store, self.folder)
        self._shards: list[_Shard] = []
        self._missing: list[str] = []
        self._reported: int | None = None
        self._replaced: ReplacedFacts | None = None
        for folder in sorted({f"{self.folder}/{name}" for _, name in places}, reverse=True):
            manifest = self._read(folder)
            if manifest is None:
                self._missing.append(folder)
            else:
                self._shards.append(_Shard(folder, manifest))
        # Newest first, as the events within each are.
        self._shards.sort(key=lambda shard: shard.window.start, reverse=True)

    def _read(self, folder: str) -> Manifest | None:
        name = f"{folder}/{MANIFEST_NAME}"
        data = self._store.get(name)
        return None if data is None else Manifest.at(self._store, name, data)

    def published_before(self) -> Manifest | None:
        """Return the manifest of the whole where an earlier try has published it, and died removing the shards."""
        manifest = recover(self._store, self._layout).manifest
        if not isinstance(manifest, Manifest) or _run(manifest.airflow) != _run(self._airflow):
            return None
        if (manifest.start_time, manifest.end_time) != _bounds(self._window):
            return None
        if self._plan is not None and self._plan.made_at > parse_time(manifest.finished_at):
            return None  # split again since then: other shards than those that were published
        published = {(part.sha256, part.event_count) for part in manifest.files}
        left = {(part.sha256, part.event_count) for shard in self._shards for part in shard.manifest.files}
        return manifest.placed(self._store, MANIFEST_NAME) if left <= published else None

    def remove_shards(self) -> None:
        """Remove what was combined; not the shards of another split, made since then for the same export."""
        if read_plan(self._store, self.folder) != self._plan:
            return
        try:
            remove_shards(self._store, self.folder)
        except DestinationAccessError as error:
            where = self._store.url(self.folder)
            log.warning("%s stays until the command 'cleanup' may remove it: %s", where, error)

    def run(self, client: HoneyHiveClient, *, replace: bool, on_unmatched: str, on_shrink: str) -> Manifest:
        """Check that all shards are there, belong together, and are the whole; then publish them as one."""
        if self._missing:
            urls = listed(list(map(self._store.url, self._missing)), ", ")
            raise DestinationError("parts of the export are missing: clear the tasks that exported them", urls)
        self._check_requests(client.settings.api_host)
        self._check_windows()
        tell_unmatched(self._unmatched, on_unmatched)
        first = self._shards[0].manifest
        layout = Layout(first.file_format, first.compression, None)
        destination = Destination(self._store, layout, self.folder.removeprefix(SHARDS_PREFIX))
        destination.claim(self._manifest([]), replace=replace, on_shrink=on_shrink)
        destination.check_can_replace()
        try:
            self._check_files()
            self._check_count(client)
            return self._publish(destination, on_shrink)
        except ExportWouldShrinkError as error:
            destination.abandon(error, keep_staged=False)
            return keep_published(destination, error, on_shrink)
        except BaseException as error:
            destination.abandon(error, keep_staged=False)
            raise

    def _check_requests(self, api_host: str) -> None:
        wanted = _asked(self._shards[0])
        for shard in self._shards:
            differing = [name for name, value in _asked(shard).items() if value != wanted[name]]
            if differing:
                raise InvalidArgumentError(
                    "exports", shard.folder, f"it differs from {self._shards[0].folder} in {', '.join(differing)}"
                )
        if wanted["api_host"] != api_host:
            raise InvalidArgumentError("honeyhive_conn_id", api_host, f"the parts are from {wanted['api_host']}")
        if self._whole_sessions:
            return  # an event without a time is asked for with its session, of which it is a part
        untimed = [shard.folder for shard in self._shards if shard.manifest.events_without_time]
        if len(untimed) > 1:
            raise InvalidArgumentError(
                "exports",
                untimed,
                "export this window by one task",
                Fact(
                    "These parts hold events without a usable start_time, perhaps the same ones, since a server may "
                    "show them for every time"
                ),
            )

    @property
    def _whole_sessions(self) -> bool:
        return self._shards[0].manifest.request.sessions is not None

    @property
    def _unmatched(self) -> list[str]:
        """Paths that led to nothing in any shard; one without events says nothing of them."""
        found = [shard.manifest.unmatched_fields for shard in self._shards if shard.manifest.event_count]
        return [path for path in found[0] if all(path in paths for paths in found)] if found else []

    @property
    def _total_trusted(self) -> bool:
        """Whether each shard was compared with the server's total."""
        return all(shard.manifest.total_trusted for shard in self._shards)

    def _check_windows(self) -> None:
        end = self._window.end
        for shard in self._shards:
            if shard.window.end != end:
                raise InvalidArgumentError(
                    "exports", str(shard.window), f"a part must end at {format_time(end)} to cover {self._window}"
                )
            end = shard.window.start
        if end != self._window.start:
            raise InvalidArgumentError(
                "exports", format_time(end), f"the oldest part must begin as {self._window} does"
            )

    def _check_files(self) -> None:
        for shard in self._shards:
            if shard.manifest.event_count != sum(part.event_count for part in shard.manifest.files):
                raise DestinationError(
                    f"clear the task that exported {shard.window}",
                    f"The manifest of {self._store.url(shard.folder)} counts other events than its files have",
                )
            folders = {_folder_of(part.path) for part in shard.manifest.files}
            there = {
                f"{folder}{name}": size
                for folder in folders
                for name, size in self._store.files(f"{shard.folder}/{folder}".rstrip("/")).items()
            }
            for part in shard.manifest.files:
                if there.get(part.path) != part.size_bytes:
                    raise DestinationError(
                        f"clear the task that exported {shard.window}",
                        f"{self._store.url(f'{shard.folder}/{part.path}')} has {there.get(part.path, 'no')} bytes, its "
                        f"manifest says {part.size_bytes}",
                    )

    def _check_count(self, client: HoneyHiveClient) -> None:
        """Compare the shards with what the server reported before they were exported, and with what it does now.

        Fewer than it reports now alone are no sign of loss: events arrive late.
        """
        facts = self._shards[0].manifest.request
        if self._whole_sessions:
            # Their events are not those of the window, which is what the server could count.
            totals = [shard.manifest.reported_total for shard in self._shards]
            self._reported = None if None in totals else sum(total or 0 for total in totals)
            return
        request = ExportRequest.parse(
            project=facts.project, filters=facts.filters, window=self._window, evaluation_id=facts.evaluation_id
        )
        trusted = client.settings.trust_total and self._total_trusted
        now = count_rows(
            RangeFetcher(client, request, ReadStats(), trust_total=trusted), self._window.start_us, self._window.end_us
        )
        self._reported = now if self._plan is None else self._plan.total
        received = sum(shard.manifest.event_count for shard in self._shards)
        expected = min((total for total in (self._reported, now) if total is not None), default=0) if trusted else 0
        if received < expected:
            raise IncompleteExportError(expected, received)
        if now is not None and received < now:
            log.warning("By now the server reports %d events more than were exported: they came late", now - received)

    def _publish(self, destination: Destination, on_shrink: str) -> Manifest:
        """Give the files of all shards their final names, and write the manifest."""
        files = [
            AssembledFile(
                part.model_copy(update={"path": f"{shard.folder}/{part.path}"}),
                _folder_of(part.path).rstrip("/"),
                misfits={},  # they are in the shards' manifests
            )
            for shard in self._shards
            for part in shard.manifest.files
        ]
        # As in any export: one partition after the other, the newest events first in each.
        files.sort(key=lambda file: file.partition)
        self._replaced = check_shrink(destination, files, self._manifest([]), on_shrink)
        manifest = publish(destination, files, self._manifest)
        log.info(
            "Published %s events of %s, exported in %d parts; files on disk: %d; manifest: %s",
            f"{manifest.event_count:,}",
            self._window,
            len(self._shards),
            len(manifest.files),
            destination.manifest_url,
        )
        tell_replaced(manifest.replaced)
        return manifest

    def _manifest(self, files: list[PartFile]) -> Manifest:
        manifests = [shard.manifest for shard in self._shards]
        start, end = _bounds(self._window)
        facts: dict[str, Any] = {name: sum(getattr(manifest, name) for manifest in manifests) for name in _SUMS}
        facts |= {
            "provider_version": __version__,
            "session_count": sum(one.session_count or 0 for one in manifests) if self._whole_sessions else None,
            "start_time": start,
            "end_time": end,
            "reported_total": self._reported,
            "total_trusted": self._total_trusted,
            "misfits": dict(sum((Counter(manifest.misfits) for manifest in manifests), Counter())),
            "unmatched_fields": self._unmatched,
            "project_names": sorted({names for manifest in manifests for names in manifest.project_names}, key=str),
            "started_at": min((manifest.started_at for manifest in manifests), key=parse_time),
            "finished_at": format_time(datetime.now(UTC)),
            "airflow": self._airflow,
            "files": files,
            "replaced": self._replaced,
        }
        return manifests[0].model_copy(update=facts)


def _bounds(window: Window) -> tuple[str, str]:
    return format_time(window.start), format_time(window.end)


def _run(airflow: AirflowFacts | None) -> dict[str, Any] | None:
    return None if airflow is None else airflow.model_dump(exclude={"try_number"})


def _asked(shard: _Shard) -> dict[str, Any]:
    """Return what must be the same for all shards; not the endpoint, which each task finds out for itself."""
    manifest = shard.manifest
    request = manifest.request.model_dump(exclude={"endpoint"})
    written = {"file_format", "compression", "columns", "partition_by"}
    # Another version may put other values into them.
    written |= {"provider_version"} if manifest.file_format in ("csv", "parquet") else set()
    return request | manifest.model_dump(include=written)


def _folder_of(path: str) -> str:
    """Return the folders of a file's partition, with a slash at the end; nothing where it has none."""
    folder, slash, _ = path.rpartition("/")
    return folder + slash
