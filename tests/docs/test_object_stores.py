"""The page on object stores: its rights are those that errors name. The tests of its rows are in ``row_tests.toml``."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.storage.azure import AzureStore
from airflow_provider_honeyhive.storage.gcs import GcsStore
from airflow_provider_honeyhive.storage.object_store import FsspecStore
from airflow_provider_honeyhive.storage.s3 import S3Store

from .documents import Document

PAGE = Document("docs/object-stores.md")
ROWS = {row[0]: row[1:] for row in PAGE.table("Store", "To read and list")}
STORES = {"S3": S3Store, "Google Cloud Storage": GcsStore, "Azure Blob Storage": AzureStore}


@pytest.mark.parametrize("name", STORES)
def test_the_rights_are_those_that_errors_name(name):
    rights = STORES[name]._rights
    for what, cell in zip((("read", "list"), ("write",), ("delete",)), ROWS[name], strict=True):
        for one in what:
            first = rights[one].partition(" and ")[0].partition(" (")[0]
            assert first in cell


def test_only_one_store_overwrites_by_deleting():
    deleting = [name for name, kind in STORES.items() if kind.overwrites_by_deleting]
    assert deleting == ["Google Cloud Storage"]
    assert not FsspecStore.overwrites_by_deleting
