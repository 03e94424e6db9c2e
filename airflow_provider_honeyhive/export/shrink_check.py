"""Compares an export with the published one that it is to replace, so that no published event is lost without a word.

The source may have deleted events since, such as when its retention has ended; then the published export is all there
is of them.
"""

from __future__ import annotations

from logging import INFO, WARNING
from typing import TYPE_CHECKING

from airflow_provider_honeyhive.display import LONGEST_VALUE, get_logger, shown
from airflow_provider_honeyhive.exceptions import ExportWouldShrinkError
from airflow_provider_honeyhive.export.claim import differing, published_by
from airflow_provider_honeyhive.models.export_facts import ReplacedFacts
from airflow_provider_honeyhive.models.options import KEEP, REPLACE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow_provider_honeyhive.export.assembly import AssembledFile
    from airflow_provider_honeyhive.export.comparison import CountKept
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.manifest import Manifest


log = get_logger(__name__)


def check_shrink(
    place: Destination,
    files: Sequence[AssembledFile],
    wanted: Manifest,
    on_shrink: str,
    count_kept: CountKept | None = None,
) -> ReplacedFacts | None:
    """Compare an export that is about to be published with the one that it replaces.

    :param place: of both.
    :param files: the new data files under their present names, its index among them where it has one.
    :param wanted: a manifest with the facts of the new request.
    :param on_shrink: one of :data:`~airflow_provider_honeyhive.models.options.ON_SHRINK`.
    :param count_kept: tells which of the published events are in other exports as well; None: none are.
    :return: for the new manifest; None where nothing is replaced.
    :raises ExportWouldShrinkError: published events would be lost, and ``on_shrink`` is not ``replace``.
    :raises DestinationError: the store cannot be read.
    """
    old = place.replaced
    if old is None:
        return None
    # Here, because most exports replace nothing.
    from airflow_provider_honeyhive.export.comparison import compare  # noqa: PLC0415

    new_count = sum(file.part.event_count for file in files if not file.partition.startswith("_"))
    missing, added = compare(place, old, files, count_kept)
    if (missing or new_count < old.event_count) and on_shrink != REPLACE:
        raise ExportWouldShrinkError(old.event_count, new_count, missing, place.url(), published_by(old))
    return ReplacedFacts(
        manifest_sha256=place.claimed_sha256,
        event_count=old.event_count,
        finished_at=old.finished_at,
        run_id=None if old.airflow is None else old.airflow.run_id,
        missing_count=None if added is None else missing,
        added_count=added,
        differs=differing(old.request, wanted.request),
    )


def keep_published(place: Destination, error: ExportWouldShrinkError, on_shrink: str) -> Manifest:
    """Return the published export's manifest where that is what is wanted instead of the error.

    :raises ExportWouldShrinkError: it is not.
    """
    if on_shrink != KEEP or place.replaced is None:
        raise error
    log.warning(
        "Kept the published export of %s events: the new one has %s, and %s of the published ones are not in it",
        f"{error.published:,}",
        f"{error.new:,}",
        "some" if error.missing is None else f"{error.missing:,}",
    )
    return place.replaced.placed(place.store, place.layout.manifest_name)


def tell_replaced(facts: ReplacedFacts | None) -> None:
    """Log what became of the export that was in place before, in one line."""
    if facts is None:
        return
    known = facts.missing_count is not None
    log.log(
        WARNING if facts.missing_count or not known else INFO,
        "Replaced the export of %s events that was published at %s%s: %s%s",
        f"{facts.event_count:,}",
        facts.finished_at,
        f" by run {shown(facts.run_id, LONGEST_VALUE)}" if facts.run_id else "",
        f"{facts.missing_count:,} of its events are gone, {facts.added_count:,} are new"
        if known
        else "its files were damaged, so what is gone is not known",
        f"; other {', '.join(facts.differs)}" if facts.differs else "",
    )
