"""From staged files to a published export: all under their final names, then the manifest, or nothing.

The order is what makes it safe. Data files get names that no other writer gives, so they stand beside an earlier run's
until the manifest says which ones count. It is swapped in one step for the one that was claimed before the reading, so
of several writers one wins, and the others take back what they have placed. Each writes down before what it is about
to do; where it dies on the way, the next claim finishes it, see :mod:`.recovery`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from airflow_provider_honeyhive.export.assembly import AssembledFile
    from airflow_provider_honeyhive.export.destination import Destination
    from airflow_provider_honeyhive.formats.datafile import PartFile
    from airflow_provider_honeyhive.manifest import Manifest


def publish(
    place: Destination, files: Sequence[AssembledFile], build: Callable[[list[PartFile]], Manifest]
) -> Manifest:
    """Give files their final names, and put the manifest in place of the one that was claimed.

    :param place: where to.
    :param files: the data files under their present names, in the order in which they are to be read.
    :param build: makes the manifest of the final files.
    :raises DestinationTakenError: a folder that they go into holds another export.
    :raises DestinationError: the earlier export is still in place, or another one that was published since the claim;
        or this one is, and what it replaced could not be removed, or its one object not be put in place: the next
        claim does so.
    """
    finals = {
        file.part.path: file.part.model_copy(
            update={"path": place.layout.part_name(number, file.part.sha256, place.writer, file.partition)}
        )
        for number, file in enumerate(files)
    }
    manifest = build(list(finals.values()))
    place.publish({present: final.path for present, final in finals.items()}, manifest)
    return manifest.placed(place.store, place.layout.manifest_name)
