"""Files in a folder of any store: what must be atomic is, and what fails says where.

Two kinds, told apart once: the local file system, where a rename publishes, and everything that fsspec
reaches, where an upload or a copy shows when it is complete.
"""

from __future__ import annotations

import os
import re
from importlib import import_module
from pathlib import Path
from typing import Any

from airflow_provider_honeyhive.exceptions import InvalidArgumentError
from airflow_provider_honeyhive.storage.base import Store, failing
from airflow_provider_honeyhive.storage.local import LocalStore
from airflow_provider_honeyhive.storage.tree import LONGEST_SEGMENT

#: Schemes of the local disk, which needs no connection.
LOCAL_PROTOCOLS = {"file", "local"}

_AZURE_PROTOCOLS = {"abfs", "abfss", "adl", "az"}

#: Protocol -> module and class of its store, imported for such a path alone.
_STORES = {
    **dict.fromkeys(("s3", "s3a"), ("s3", "S3Store")),
    **dict.fromkeys(("gs", "gcs"), ("gcs", "GcsStore")),
    **dict.fromkeys(_AZURE_PROTOCOLS, ("azure", "AzureStore")),
}

#: The store of all other protocols: what fsspec alone can do.
_ANY_STORE = ("object_store", "FsspecStore")

#: A scheme that is followed by one slash or none, where two belong.
_SLASHES_MISSING = re.compile(rf"({'|'.join(sorted({*LOCAL_PROTOCOLS, *_STORES}))}):(?!//)/*(.*)", re.DOTALL)

_WINDOWS_PATH = re.compile(r"[A-Za-z]:[\\/]|\\\\")


def path_problem(text: str) -> str | None:
    """Return why a path or URL is not the place that was meant, None where nothing speaks against it.

    Each of these would otherwise be a folder of an odd name below the working directory, or another bucket.

    :param text: as a user has written it.
    """
    if text != text.strip():
        return "it begins or ends with white space: remove that"
    if text == "~" or text.startswith("~/"):
        return "'~' is not expanded: give the path of the home folder itself"
    if _WINDOWS_PATH.match(text):
        return "it is a path of Windows: give one that begins with '/', or a URL"
    if (found := _SLASHES_MISSING.match(text)) is not None:
        slashes = ":///" if found[1] in LOCAL_PROTOCOLS else "://"
        return f"slashes are missing: write {found[1]}{slashes}{found[2]}"
    scheme, separator, rest = text.partition("://")
    if not separator or scheme in LOCAL_PROTOCOLS:
        longest = max(len(segment.encode(errors="replace")) for segment in (rest or text).split("/"))
        if longest > LONGEST_SEGMENT:
            return f"one of its names has {longest} bytes, and a disk takes {LONGEST_SEGMENT}: give a shorter one"
    # Airflow may write a connection's id before the slash.
    if separator and scheme in LOCAL_PROTOCOLS and (not rest or rest.partition("/")[0].rpartition("@")[2]):
        return f"a slash is missing, so it would be relative: write {scheme}:///{rest}"
    if separator and scheme in _STORES and not rest.partition("/")[0].rpartition("@")[2].strip():
        return f"it names no bucket or container: write {scheme}://bucket/folder"
    return None


def check_path(text: str, argument: str) -> None:
    """Refuse a path or URL that is not the place that was meant; see :func:`path_problem`.

    :param argument: that holds it.
    :raises InvalidArgumentError: there is such a problem.
    """
    problem = path_problem(text)
    if problem is not None:
        raise InvalidArgumentError(argument, text, problem)


def as_path(path: Any) -> Any:
    """Return a text as a path, local or ``upath.UPath`` where it is a URL; a path as it is.

    :raises InvalidArgumentError: it is not the place that was meant; see :func:`path_problem`.
    :raises DestinationError: nothing is installed for the URL's scheme, or it is no URL.
    """
    if not isinstance(path, str):
        return path
    check_path(path, "path")
    with failing("open", path):
        return _parsed(path)


def _parsed(text: str) -> Any:
    if "://" not in text:
        return Path(text)
    # Here, because only URLs need it.
    from upath import UPath  # noqa: PLC0415

    return UPath(text)


def open_store(path: Any) -> Store:
    """Return the store of a folder.

    :param path: anything path-like: :class:`pathlib.Path`, ``upath.UPath``, ``ObjectStoragePath``.
    :raises DestinationError: the path's connection or its driver is not there, or does not work.
    """
    url = _without_user(path)
    with failing("open", url):
        # The first look at it connects.
        fs = getattr(path, "fs", None)
    if fs is None:
        return LocalStore(Path(path))
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else set(fs.protocol)
    if protocols & LOCAL_PROTOCOLS:
        return LocalStore(Path(path.path))
    module, name = next((_STORES[protocol] for protocol in protocols if protocol in _STORES), _ANY_STORE)
    kind = getattr(import_module(f"airflow_provider_honeyhive.storage.{module}"), name)
    store: Store = kind(fs, path.path, url)
    return store


def _without_user(path: Any) -> str:
    """Return the path as a text, without the connection id that Airflow writes into it, and without passwords."""
    scheme, separator, rest = str(path).partition("://")
    user, at, _ = rest.partition("/")[0].rpartition("@")
    if not at or (scheme in _AZURE_PROTOCOLS and not getattr(path, "conn_id", None)):
        # abfs://container@account is no user.
        return str(path)
    return f"{scheme}{separator}{rest.removeprefix(f'{user}@')}"


def path_of(text: str, argument: str) -> Any:
    """Return the path that is meant, absolute where it is local.

    :param text: a local path, relative to the working directory and with ``..`` if need be, or a URL.
    :param argument: its name on the command line.
    :raises InvalidArgumentError: nothing is installed for the URL's scheme, or it is not the place that was meant.
    """
    check_path(text, argument)
    if "://" not in text:
        return Path(os.path.abspath(text))
    try:
        path = _parsed(text)
        _ = path.fs
    except (ImportError, ValueError) as error:
        raise InvalidArgumentError(
            argument,
            text,
            f"it cannot be reached: {error}. Install its extra: airflow-provider-honeyhive[s3], [gcs] or [azure]",
        ) from None
    return path
