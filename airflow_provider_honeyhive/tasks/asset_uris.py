"""What Airflow makes of assets that stand for a project in HoneyHive: ``honeyhive://<host of the API>/<project>``.

Named in :mod:`~airflow_provider_honeyhive.provider_info`; Airflow calls the one for every such asset in a DAG, its
OpenLineage provider the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from airflow_provider_honeyhive.display import shown

if TYPE_CHECKING:
    from urllib.parse import SplitResult


def sanitize_uri(uri: SplitResult) -> SplitResult:
    """Return the URI with its host in lower case, so that each project has one.

    :param uri: of an asset, with or without a project.
    :raises ValueError: it has a user, which may be a key: assets are seen by everybody.
    """
    if "@" in uri.netloc:
        raise ValueError("a honeyhive:// asset has no user or password, which everybody would see: leave them out")
    return uri._replace(netloc=uri.netloc.lower())


def convert_asset_to_openlineage(asset: Any, lineage_context: Any) -> Any:
    """Return the dataset that exports of the project name as their input; see :mod:`.lineage`.

    :param asset: with a ``uri`` that :func:`sanitize_uri` has seen.
    :param lineage_context: of the hook or operator that has to do with it.
    """
    from openlineage.client.event_v2 import Dataset  # noqa: PLC0415

    uri = urlsplit(asset.uri)
    return Dataset(namespace=shown(f"honeyhive://{uri.netloc}"), name=shown(unquote(uri.path).strip("/")))
