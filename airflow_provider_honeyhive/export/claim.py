"""Which place an export may claim: what it may replace, and what it must not touch; and what builds check as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.display import LONGEST_VALUE, quoted, shown
from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError
from airflow_provider_honeyhive.export.recovery import read_commits
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.layout import (
    BUILD_MANIFESTS,
    CORRECTIONS_FOLDER,
    FOLDER_KEYS,
    MANIFEST_NAME,
    REASON_KEY,
)
from airflow_provider_honeyhive.storage.base import files_in
from airflow_provider_honeyhive.storage.paths import open_store

if TYPE_CHECKING:
    from collections.abc import Collection

    from airflow_provider_honeyhive.build_manifest import AnyManifest
    from airflow_provider_honeyhive.export.recovery import Current
    from airflow_provider_honeyhive.models.export_facts import RequestFacts
    from airflow_provider_honeyhive.models.layout import BuildLayout, Layout
    from airflow_provider_honeyhive.storage.base import Store


def check_claim(
    store: Store, layout: Layout, current: Current, wanted: Manifest, *, replace: bool, any_request: bool
) -> None:
    """Check that an export may go to a place.

    :param store: the folder.
    :param layout: names in it.
    :param current: the manifest that is there.
    :param wanted: a manifest with the request's facts.
    :param replace: an earlier export of the same window may be replaced; one of this very run always may.
    :param any_request: one of another request of the same task may be, too.
    :raises DestinationTakenError: it may not.
    """
    where, old = store.url(layout.object_name or ""), current.manifest
    if not isinstance(old, Manifest):
        old = None
        if layout.object_name is None:
            check_alone(where, layout, current)
        check_unclaimed(store, layout, where, {name for name in current.there if layout.owns(name)})
    elif not replace and not _same_run(old, wanted):
        raise DestinationTakenError(
            "output_path already holds an export, and replace is False: give another one, or set replace=True",
            f"{where} was published {published_by(old)}",
        )
    else:
        _check_same_export(where, old, wanted, any_request=any_request)
    check_folders(store, old, keys=wanted.partition_by)


def check_alone(where: str, layout: Layout | BuildLayout, current: Current) -> None:
    """Refuse a folder that holds something of another kind: it has one export of many files, or one build.

    Their files have other names, so where two writers came at once and the folder has both, none of them harms the
    other; each goes on to replace its own.

    :param where: the folder, for messages.
    :param layout: names in it.
    :param current: what is there.
    :raises DestinationTakenError: it does.
    """
    for name, kind in {MANIFEST_NAME: "export", **BUILD_MANIFESTS}.items():
        if name != layout.manifest_name and name in current.there:
            raise DestinationTakenError(
                f"output_path holds something else ({kind}): give another one, a folder of its own",
                f"{where} holds {name}",
            )


def check_unclaimed(store: Store, layout: Layout | BuildLayout, where: str, found: set[str]) -> None:
    """Refuse data files that no manifest names, but those that tries which have not published yet have placed.

    :param store: the folder.
    :param layout: names in it.
    :param where: what is to be published there, for messages.
    :param found: the data files.
    :raises DestinationTakenError: there are such files.
    :raises DestinationError: they are just being published.
    """
    for folder in store.folders() if found else ():
        if layout.stages_in(folder):
            found.difference_update(*(commit.placed for commit in read_commits(store, folder)))
    # They may have been published, or taken back, since they were listed.
    if found and (found := found & files_in(store, {name.rpartition("/")[0] for name in found})):
        if store.get(layout.manifest_name) is not None:
            raise DestinationError("another export or build is just being published there; a retry begins anew", where)
        raise DestinationTakenError(
            "output_path holds data files without a manifest: remove them, or give another output_path",
            f"{where} holds {', '.join(sorted(found)[:3])}{' and others' if len(found) > 3 else ''}",
        )


def check_folders(
    store: Store,
    old: Manifest | None,
    *,
    names: Collection[str] = (),
    keys: Collection[str] = (),
    remedy: str = "give another output_path, or leave partition_by and lookback_windows out",
) -> None:
    """Refuse folders of data files that hold an export of their own.

    :param store: the folder of the export.
    :param old: the manifest that is to be replaced: folders that it has files in are this export's.
    :param names: data files that are to be.
    :param keys: what folders are called that may get data files.
    :param remedy: what to do.
    :raises DestinationTakenError: one of the folders holds an export.
    """
    known = set() if old is None else _folders_of(old.sizes)
    new = _folders_of(names) - known
    wanted = new | _folders_of(new)
    level = [""] if new or keys else []
    while level:
        below = [f"{folder}/{name}".lstrip("/") for folder in level for name in store.folders(folder)]
        level = [one for one in below if one in wanted or (_key(one) in keys and one not in known)]
        for folder in level:
            if folder not in known and store.get(f"{folder}/{MANIFEST_NAME}") is not None:
                raise DestinationTakenError(
                    remedy,
                    f"{store.url(folder)} holds an export of its own, so it cannot be a part of something else",
                )


def _folders_of(names: Collection[str]) -> set[str]:
    """Return the folders that files are in, and all those around them."""
    found: set[str] = set()
    for name in names:
        while name := name.rpartition("/")[0]:
            found.add(name)
    return found


def _key(folder: str) -> str:
    return folder.rpartition("/")[2].partition("=")[0]


def check_above(folder: Any) -> None:
    """Refuse a folder that belongs to a partitioned export above it.

    :param folder: path-like, where an export is to go.
    :raises DestinationTakenError: it is a partition, or among the corrections, of another export.
    """
    while (key := _key(str(folder).rstrip("/"))) in FOLDER_KEYS:
        folder = folder.parent
        store = open_store(folder)
        data = store.get(MANIFEST_NAME)
        try:
            manifest = None if data is None else Manifest.at(store, MANIFEST_NAME, data)
        except DestinationTakenError:
            raise
        except DestinationError:  # it may be another tool's manifest
            continue
        if manifest is not None and key in _keys(manifest):
            break
    else:
        return
    raise DestinationTakenError(
        "give another output_path, one that is in no folder of another export",
        f"{store.url()} holds an export whose files are in folders such as {key}",
    )


def _keys(manifest: Manifest) -> set[str]:
    corrections = (CORRECTIONS_FOLDER, REASON_KEY) if manifest.lookback is not None else ()
    return {*manifest.partition_by, *corrections}


def _same_run(old: Manifest, new: Manifest) -> bool:
    """Return whether both are of one run of one task, whichever attempt."""
    runs = [None if one.airflow is None else one.airflow.model_dump(exclude={"try_number"}) for one in (old, new)]
    return None not in runs and runs[0] == runs[1] and asked_alike(old.request, new.request)


def _check_same_export(where: str, old: Manifest, new: Manifest, *, any_request: bool) -> None:
    """Check that both are of the same window, project, deployment and request.

    :raises DestinationTakenError: they are not.
    """
    differences = [
        f"{name}: there {quoted(there)}, this run {quoted(here)}"
        for name, there, here, is_same in (
            ("project", old.project, new.project, same_project(old, new)),
            ("host", old.request.api_host, new.request.api_host, old.request.api_host == new.request.api_host),
            ("window", _window(old), _window(new), _window(old) == _window(new)),
        )
        if not is_same
    ]
    if differences:
        raise DestinationTakenError(
            "output_path holds another export: put {window_id} or {project} into it, or give another one",
            f"{where} was published {published_by(old)}. It is not replaced, or its events would be lost",
            *differences,
        )
    same_task = old.airflow is not None and new.airflow is not None and task_of(old) == task_of(new)
    asked = differing(old.request, new.request)
    if asked and not (any_request and same_task):
        remedy = "set on_shrink='replace'" if same_task else "remove that export first"
        raise DestinationTakenError(
            f"output_path holds an export of another request: give another one, or {remedy}",
            f"{where} was published {published_by(old)}. It is not replaced, or its events would be lost",
            *(
                f"{name}: there {quoted(getattr(old.request, name))}, this run {quoted(getattr(new.request, name))}"
                for name in asked
            ),
        )


def _window(manifest: Manifest) -> str:
    return f"[{manifest.start_time}, {manifest.end_time})"


def same_project(one: Manifest, other: Manifest) -> bool:
    """Return whether two exports are of one project, also where one asked for its name and the other for its id."""
    asked = {one.project, other.project}
    if len(asked) == 1 or None in asked:
        return len(asked) == 1
    return any(asked == {names.name, names.id} for names in (*one.project_names, *other.project_names))


_ASKED = (
    "filters",
    "projections",
    "evaluation_id",
    "exclude_fields",
    "redact",
    "redact_key_id",
    "include_content",
    "sessions",
)


def asked_alike(one: RequestFacts, other: RequestFacts) -> bool:
    """Return whether two requests ask for the same of each event; their projects and windows aside."""
    return not differing(one, other)


def differing(one: RequestFacts, other: RequestFacts) -> list[str]:
    """Return the names of what two requests ask otherwise of each event; their projects and windows aside."""
    return [name for name in _ASKED if getattr(one, name) != getattr(other, name)]


def published_by(manifest: AnyManifest) -> str:
    """Return when an export or a build was published, and by whom, for a message."""
    run = None if manifest.airflow is None else manifest.airflow.run_id
    return shown(f"at {manifest.finished_at} by {task_of(manifest)}{f', run {run}' if run else ''}", LONGEST_VALUE)


def task_of(manifest: AnyManifest) -> str:
    """Return the task that wrote an export or a build, for a message."""
    facts = manifest.airflow
    if facts is None:
        return "no task of Airflow"
    index = f"[{facts.map_index}]" if facts.map_index is not None and facts.map_index >= 0 else ""
    return f"task {facts.dag_id}.{facts.task_id}{index}"
