"""Stores that deny a right, or lack a feature: what is found out before events are read, and what the error names."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from upath import UPath

from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError, HoneyHiveAuthError
from airflow_provider_honeyhive.export.catalog import verify_exports
from airflow_provider_honeyhive.export.cleanup import find_leftovers, remove_leftover
from airflow_provider_honeyhive.export.exporter import export_events
from airflow_provider_honeyhive.manifest import Manifest
from airflow_provider_honeyhive.models.options import ExportOptions
from airflow_provider_honeyhive.sandbox import Fault
from airflow_provider_honeyhive.storage import lease
from airflow_provider_honeyhive.storage.s3 import S3Store
from tests.stores.gate import Gate
from tests.unit.export.test_exporter import DAY, DEMO
from tests.unit.storage.test_stores import bucket, s3  # noqa: F401 - fixtures

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.unit.storage.test_stores import Bucket

REPLACE = ExportOptions(on_shrink="replace")


@pytest.fixture
def gate(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Gate]:  # noqa: F811
    """Give what stands before the bucket's server."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    gate = Gate()
    gate.open(int(bucket.s3.meta.endpoint_url.rpartition(":")[2]))
    yield gate
    gate.close()


@pytest.fixture
def place(bucket: Bucket, gate: Gate) -> Any:  # noqa: F811
    """Give the bucket as it is reached through the gate."""

    def place(name: str) -> UPath:
        return UPath(f"s3://{bucket.bucket}/{name}", key="a", secret="b", endpoint_url=gate.url)

    return place


def is_list(method: str, target: str) -> bool:
    return method == "GET" and "list-type=2" in target


def deny_lists(method: str, target: str, _: Any) -> int | None:
    """Deny s3:ListBucket: what is not there is denied, too."""
    return 403 if is_list(method, target) or (method == "GET" and "_manifest.json" in target) else None


def deny_writes(method: str, *_: Any) -> int | None:
    return 403 if method in ("PUT", "POST") else None


def deny_deletes(method: str, target: str, *_: Any) -> int | None:
    return 403 if method == "DELETE" or (method == "POST" and target.endswith("?delete")) else None


@pytest.mark.parametrize(
    ("deny", "right"), [(deny_lists, "s3:ListBucket"), (deny_writes, "s3:PutObject")], ids=["list", "write"]
)
@pytest.mark.parametrize("name", ["out", "out/day.jsonl.gz"])
def test_a_missing_right_is_named_before_events_are_read(sandbox, client_of, gate, place, deny, right, name):
    gate.deny = deny
    with pytest.raises(DestinationAccessError) as caught:
        export_events(client_of(sandbox), DEMO, place(name))
    assert right in str(caught.value)[:100]
    assert "output_conn_id" in str(caught.value)[:100]
    assert not caught.value.retryable
    assert sandbox.requests == []


def test_so_it_is_where_what_is_not_there_is_denied(sandbox, client_of, gate, place):
    gate.deny = lambda method, target, headers: None if is_list(method, target) else deny_lists(method, target, headers)
    with pytest.raises(DestinationAccessError, match="^access denied: allow s3:GetObject and s3:ListBucket"):
        export_events(client_of(sandbox), DEMO, place("out"))
    assert sandbox.requests == []


def test_a_store_without_credentials_is_told_before_events_are_read(sandbox, client_of, bucket, monkeypatch):  # noqa: F811
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    path = UPath(f"s3://{bucket.bucket}/out", endpoint_url=bucket.s3.meta.endpoint_url)
    with pytest.raises(DestinationError) as caught:
        export_events(client_of(sandbox), DEMO, path)
    assert "output_conn_id" in str(caught.value)[:100]
    assert caught.value.retryable
    assert sandbox.requests == []


def test_what_is_denied_in_the_middle_goes_on_once_it_is_allowed(sandbox, client_of, gate, place):
    gate.deny = lambda method, target, _: 403 if method == "PUT" and "/out/part-" in target else None
    with pytest.raises(DestinationAccessError, match="^access denied: allow s3:PutObject and s3:GetObject"):
        export_events(client_of(sandbox), DEMO, place("out"))
    requests = len(sandbox.requests)
    gate.let_all_through()
    assert export_events(client_of(sandbox), DEMO, place("out")).event_count == 300
    assert sum(request.event_count for request in sandbox.requests[requests:]) < 300
    Manifest.read(place("out")).verify()


@pytest.mark.parametrize("name", ["out", "out/day.jsonl.gz"])
def test_without_the_right_to_delete_an_export_is_published_with_a_warning(
    sandbox,
    client_of,
    bucket,  # noqa: F811
    gate,
    place,
    caplog,
    name,
):
    gate.deny = deny_deletes
    manifest = export_events(client_of(sandbox), DEMO, place(name))
    assert manifest.event_count == 300
    Manifest.read(place(name)).verify()
    (warning,) = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert "s3:DeleteObject" in warning
    assert "cleanup" in warning
    assert any(map(is_leftover, bucket.names()))


def is_leftover(name: str) -> bool:
    return "/_staging-" in name


def test_what_had_to_stay_is_in_nobodys_way_and_cleanup_removes_it(sandbox, client_of, bucket, gate, place, caplog):  # noqa: F811
    gate.deny = deny_deletes
    for day in ("a", "b"):
        export_events(client_of(sandbox), DEMO, place(f"days/{day}"))
    # Nobody reads it, and nobody complains.
    assert [verdict.problems for verdict in verify_exports(place("days"))] == [[], []]
    left = find_leftovers(place("days"), timedelta(days=-1))
    assert len(left) == 2
    with pytest.raises(DestinationAccessError, match="^access denied: allow s3:DeleteObject"):
        remove_leftover(place("days"), left[0])
    gate.let_all_through()
    for one in left:
        remove_leftover(place("days"), one)
    assert not any(map(is_leftover, bucket.names()))
    assert [verdict.problems for verdict in verify_exports(place("days"))] == [[], []]


def test_an_export_whose_files_could_not_be_removed_is_not_replaced(sandbox, client_of, bucket, gate, place):  # noqa: F811
    export_events(client_of(sandbox), DEMO, place("out"))
    before, requests = bucket.files(), len(sandbox.requests)
    gate.deny = deny_deletes
    with pytest.raises(
        DestinationAccessError, match="(?s)^access denied: allow s3:DeleteObject.* take the place"
    ) as caught:
        export_events(client_of(sandbox), DEMO, place("out"))
    assert not caught.value.retryable
    assert bucket.files() == before
    assert len(sandbox.requests) == requests


def test_one_object_is_replaced_without_the_right_to_delete(sandbox, client_of, gate, place):
    gate.deny = deny_deletes
    for count in (300, 290):
        manifest = export_events(client_of(sandbox), DEMO, place("out/day.jsonl.gz"), REPLACE)
        assert manifest.event_count == count
        Manifest.read(place("out/day.jsonl.gz")).verify()
        sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:10])


def test_where_overwriting_is_deleting_the_right_is_asked_for_first(sandbox, client_of, gate, place, monkeypatch):
    monkeypatch.setattr(S3Store, "overwrites_by_deleting", True)
    gate.deny = deny_deletes
    with pytest.raises(DestinationAccessError, match="overwrites nothing"):
        export_events(client_of(sandbox), DEMO, place("out"))
    assert sandbox.requests == []


def condition(headers: dict[str, str]) -> str | None:
    """Return which condition a request has."""
    return next((name for name in headers if name.lower() in ("if-match", "if-none-match")), None)


def know_no_condition(_method: str, _target: str, headers: dict[str, str]) -> int | None:
    return 501 if condition(headers) else None


def know_no_absence(_method: str, _target: str, headers: dict[str, str]) -> int | None:
    return 501 if (condition(headers) or "").lower() == "if-none-match" else None


def call_a_condition_invalid(_method: str, _target: str, headers: dict[str, str]) -> int | None:
    return 400 if condition(headers) else None


def ignore_conditions(_method: str, _target: str, headers: dict[str, str]) -> None:
    headers.pop(condition(headers) or "", None)


@pytest.mark.parametrize("deny", [know_no_condition, call_a_condition_invalid, ignore_conditions, know_no_absence])
@pytest.mark.parametrize("name", ["out", "out/day.jsonl.gz"])
def test_a_store_without_conditional_writes_is_warned_of_and_works(
    sandbox,
    client_of,
    bucket,  # noqa: F811
    gate,
    place,
    caplog,
    monkeypatch,
    deny,
    name,
):
    monkeypatch.setattr(lease, "SETTLE_S", 0.02)
    gate.deny = deny
    for count in (300, 290):
        read = len(sandbox.requests)
        with caplog.at_level("WARNING"):
            export_events(client_of(sandbox), DEMO, place(name), REPLACE)
        assert Manifest.read(place(name)).event_count == count
        Manifest.read(place(name)).verify()
        assert not [one for one in bucket.names() if "_lease" in one or "_staging" in one or "_new" in one]
        assert len(sandbox.requests) > read
        sandbox.delete(sorted(sandbox.event_ids(DAY.start, DAY.end))[:10])
    assert "condition" in caplog.text


def test_the_warning_comes_before_events_are_read(sandbox, client_of, gate, place, monkeypatch, caplog):
    monkeypatch.setattr(lease, "SETTLE_S", 0.02)
    gate.deny = know_no_condition
    sandbox.fault_at[1] = Fault.answer(403)
    with pytest.raises(HoneyHiveAuthError):
        export_events(client_of(sandbox), DEMO, place("out"))
    warned = [record.message for record in caplog.records if "cannot write on condition" in record.message]
    assert len(warned) == 1
