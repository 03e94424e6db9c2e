"""What a manifest says beside its files: who asked for what, what was read again, and what was replaced."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from pydantic import BeforeValidator, Field

from airflow_provider_honeyhive.models.stored import Count, Items, Plain, Sha256, StoredModel, TimeText

_Span: TypeAlias = Annotated[tuple[TimeText, TimeText], Field(strict=False)]  # JSON has lists only


class ProjectName(StoredModel):
    """What events say of their project.

    :param name: their ``project``; None where they have none.
    :param id: their ``project_id``; None where they have none.
    """

    name: str | None = None
    id: str | None = None


def _named(value: Any) -> Any:
    # Manifests of earlier releases have pairs.
    return (
        dict(zip(("name", "id"), value, strict=True)) if isinstance(value, list | tuple) and len(value) == 2 else value
    )


#: As manifests have it.
StoredProjectName: TypeAlias = Annotated[ProjectName, BeforeValidator(_named)]


class LookbackFacts(StoredModel):
    """What was read again.

    :param windows: how many times the window's length to look back.
    :param start_time: where that begins.
    :param end_time: where it ends: the window's start.
    :param read_again: what of it had been exported, so that it was read again: pairs of start and end.
    :param late_count: events in corrections that were not exported before.
    :param changed_count: events in corrections that said something else before.
    """

    windows: Count
    start_time: TimeText
    end_time: TimeText
    read_again: Items[_Span] = []
    late_count: Count = 0
    changed_count: Count = 0


class RequestFacts(StoredModel):
    """What was asked, and of whom; never the key.

    :param exclude_fields: paths of what was taken out.
    :param redact: paths of what was replaced by keyed hashes.
    :param redact_key_id: tells the key of these hashes from others.
    :param include_content: whether the files hold what was said; False: only what was measured.
    :param sessions: ``complete`` where whole sessions were asked for, those whose root lies in the window.
    :param endpoint: the endpoint that answered.
    :param api_host: host of the API.
    """

    project: str | None = None
    filters: Items[dict[str, Plain]] = []
    projections: list[str] | None = None
    evaluation_id: str | None = None
    exclude_fields: Items[str] = []
    redact: Items[str] = []
    redact_key_id: str | None = None
    include_content: bool = True
    sessions: str | None = None
    endpoint: str | None = None
    api_host: str


class ReplacedFacts(StoredModel):
    """The export whose place this one took.

    :param manifest_sha256: of its manifest's bytes.
    :param event_count: its events.
    :param finished_at: when it was published.
    :param run_id: the run of Airflow that published it, None where there was none.
    :param missing_count: its events, corrections included, that this export does not hold; None: its files were
        damaged, so nobody knows.
    :param added_count: events of this export that it did not hold; None: as for ``missing_count``.
    :param differs: what of the request was another one.
    """

    manifest_sha256: Sha256
    event_count: Count
    finished_at: TimeText
    run_id: str | None = None
    missing_count: Count | None = None
    added_count: Count | None = None
    differs: Items[str] = []


class AirflowFacts(StoredModel):
    """The task that wrote the export."""

    dag_id: str | None = None
    task_id: str | None = None
    run_id: str | None = None
    try_number: Count | None = None
    map_index: Annotated[int, Field(ge=-1, lt=2**63)] | None = None
