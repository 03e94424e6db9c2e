"""Which errors of stores say that a right or credentials are missing."""

from __future__ import annotations

import errno

import pytest
from botocore.exceptions import ClientError, NoCredentialsError, PartialCredentialsError

from airflow_provider_honeyhive.exceptions import DestinationAccessError, DestinationError
from airflow_provider_honeyhive.storage.azure import AzureStore
from airflow_provider_honeyhive.storage.base import failing
from airflow_provider_honeyhive.storage.denials import is_denied
from airflow_provider_honeyhive.storage.gcs import GcsStore
from airflow_provider_honeyhive.storage.s3 import S3Store


def of_s3(code: str) -> Exception:
    """Return an error as s3fs makes it of an answer of S3."""
    error = PermissionError("Forbidden")
    error.__cause__ = ClientError({"Error": {"Code": code}}, "PutObject")
    return error


class HttpResponseError(Exception):
    """As Azure's library has it."""

    def __init__(self, status_code: int) -> None:
        super().__init__("AuthorizationPermissionMismatch")
        self.status_code = status_code


class HttpError(Exception):
    """As Google's driver has it."""

    def __init__(self, code: int) -> None:
        super().__init__("Invalid Credentials")
        self.code = code


def within(error: Exception) -> Exception:
    """Return an error that was made of another one."""
    outer = RuntimeError("Failed to remove the blob")
    outer.__cause__ = error
    return outer


@pytest.mark.parametrize(
    "error",
    [
        PermissionError(errno.EACCES, "Permission denied"),
        OSError(errno.EROFS, "Read-only file system"),
        of_s3("AccessDenied"),
        of_s3("InvalidAccessKeyId"),
        PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"),
        OSError("Forbidden: https://host/b/o"),
        HttpError(401),
        HttpError(403),
        HttpResponseError(403),
        within(HttpResponseError(403)),
    ],
)
def test_a_missing_right_is_not_tried_again(error):
    assert is_denied(error)
    with (
        pytest.raises(
            DestinationAccessError, match="(?s)^access denied: .*output_conn_id.*cannot read s3://b/a: "
        ) as caught,
        failing("read", "s3://b/a"),
    ):
        raise error
    assert not caught.value.retryable


@pytest.mark.parametrize(
    "error",
    [
        of_s3("ExpiredToken"),
        of_s3("RequestTimeTooSkewed"),
        OSError(errno.ENOSPC, "No space left on device"),
        HttpError(503),
        HttpResponseError(500),
        within(TimeoutError()),
    ],
)
def test_what_may_pass_is(error):
    assert not is_denied(error)
    with pytest.raises(DestinationError, match="^cannot read s3://b/a: ") as caught, failing("read", "s3://b/a"):
        raise error
    assert caught.value.retryable


class CredentialUnavailableError(Exception):
    """As Azure's library has it, of a service that was too slow."""


class DefaultCredentialsError(Exception):
    """As Google's library has it, likewise."""


@pytest.mark.parametrize("error", [NoCredentialsError(), CredentialUnavailableError(), DefaultCredentialsError()])
def test_credentials_that_are_not_found_may_be_at_the_next_try(error):
    for one in (error, within(error)):
        with (
            pytest.raises(DestinationError, match="^no credentials were found: .*output_conn_id") as caught,
            failing("read", "s3://b/a"),
        ):
            raise one
        assert caught.value.retryable
        assert "cannot read s3://b/a: " in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "read", "delete"),
    [
        (S3Store, "s3:ListBucket", "s3:DeleteObject"),
        (GcsStore, "storage.objects.list", "storage.objects.delete"),
        (AzureStore, "list", "delete"),
    ],
)
def test_each_store_names_its_own_rights_in_the_first_hundred_characters(kind, read, delete):
    store = kind(None, "bucket/folder", "s3://bucket/folder")
    for what, right in (("read", read), ("delete", delete), ("list", "ist"), ("write", "")):
        with pytest.raises(DestinationAccessError) as caught, store._failing(what, "file"):
            raise PermissionError("no")
        beginning = str(caught.value)[:100]
        assert right in beginning
        assert "output_conn_id" in beginning
        assert str(caught.value).endswith(f"\ncannot {what} s3://bucket/folder/file: PermissionError: no")
