"""A HoneyHive connection as Airflow writes it, a URI or JSON, read without Airflow.

No error of this module shows the text, since the key is in it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote, urlsplit

from airflow_provider_honeyhive.api.base_url import base_url
from airflow_provider_honeyhive.api.connection_form import CONNECTION_TYPE, EXTRA_FIELDS
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


#: The names of HoneyHive's own clients, today's first: the first that is set counts.
KEY_VARIABLES = ("HH_PROJECT_API_KEY", "HH_DATA_PLANE_API_KEY", "HH_API_KEY")
URL_VARIABLES = ("HH_DATA_PLANE_URL", "HH_API_URL")

CONNECTION_VARIABLE = "AIRFLOW_CONN_HONEYHIVE_DEFAULT"

CONNECTION_OPTION = "--connection-uri"

_FORMS = (
    "allowed: honeyhive://:KEY@HOST:PORT/https?project=NAME&timeout=60 (each piece percent-encoded), or JSON: "
    '{"conn_type": "honeyhive", "password": "KEY", "host": "URL", "extra": {"timeout": 60}}'
)


def find_settings(connection: str | None, environment: Mapping[str, str]) -> ClientSettings:
    """Return how to reach HoneyHive, as the command line and the environment say.

    The connection is the one given; without one, and without a key in one of ``KEY_VARIABLES``, that of
    ``AIRFLOW_CONN_HONEYHIVE_DEFAULT``. What it leaves out of key and URL is taken from these variables and from
    ``URL_VARIABLES``.

    :param connection: a connection as URI or JSON.
    :param environment: the process's environment variables.
    :raises InvalidArgumentError: a part cannot be right; names where it came from, and never holds the key.
    :raises HoneyHiveAuthError: the key cannot be one that reads.
    """
    source = CONNECTION_OPTION
    if connection is None and not first_set(KEY_VARIABLES, environment)[1]:
        source, connection = CONNECTION_VARIABLE, environment.get(CONNECTION_VARIABLE)
    values = parse_connection(connection, source) if connection else {}
    origins = {name: f"{source} ({name})" for name in EXTRA_FIELDS}
    for name, field, variables in (("api_key", "password", KEY_VARIABLES), ("api_url", "host", URL_VARIABLES)):
        if values.get(name):
            origins[name] = f"{source} ({field})"
        else:
            origins[name], values[name] = first_set(variables, environment)
    if not values["api_key"]:
        others = ", ".join(KEY_VARIABLES[1:])
        raise InvalidArgumentError(
            KEY_VARIABLES[0],
            None,
            f"set it (or one of {others}) to the API key, or give a connection with {CONNECTION_OPTION}",
        )
    try:
        return ClientSettings.parse(**values, key_source=f"of {origins['api_key']}")
    except InvalidArgumentError as error:
        # What concerns no field alone is about the URL's scheme.
        places = (origins.get(name, origins["api_url"]) for name in error.argument.split(", "))
        raise error.renamed(", ".join(places), {}) from None


def first_set(variables: Sequence[str], environment: Mapping[str, str]) -> tuple[str, str | None]:
    """Return the first variable that is set and not empty, and its value; the first one and None where none is.

    :param variables: names, in the order in which they count.
    :param environment: the process's environment variables.
    """
    found = ((name, environment[name]) for name in variables if environment.get(name))
    return next(found, (variables[0], None))


def parse_connection(text: str, source: str = CONNECTION_OPTION) -> dict[str, Any]:
    """Return the settings that a connection holds, by their names in :class:`ClientSettings`.

    :param text: ``honeyhive://:KEY@HOST:PORT/SCHEME?EXTRAS``, as Airflow reads it, or a JSON object with
        ``conn_type``, ``password``, ``host``, ``schema``, ``port`` and ``extra``.
    :param source: what to call it in an error.
    :raises InvalidArgumentError: it is neither.
    """
    try:
        fields = _of_json(text) if text.lstrip().startswith("{") else _of_uri(text.strip())
        url = base_url(fields["host"], fields["schema"], fields["port"])
    except (ValueError, RecursionError):
        raise InvalidArgumentError(source, NOT_SHOWN, _FORMS) from None
    extras = fields["extra"]
    return {"api_key": fields["password"], "api_url": url, **{name: extras.get(name) for name in EXTRA_FIELDS}}


def _of_uri(text: str) -> dict[str, Any]:
    scheme, _, rest = text.partition("://")
    if scheme != CONNECTION_TYPE or not rest:
        raise ValueError("another type of connection")
    # Airflow writes the scheme of a host before the key: honeyhive://https://:KEY@HOST.
    protocol = next((word for word in ("https", "http") if rest.startswith(f"{word}://")), None)
    parts = urlsplit(f"//{rest.removeprefix(f'{protocol}://')}")
    if parts.fragment:
        raise ValueError("a piece is not percent-encoded")
    host, port = _host_and_port(parts.netloc.rpartition("@")[2])
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return {
        "password": unquote(parts.password or ""),
        "host": f"{protocol}://{host}" if protocol and host else host,
        "port": port,
        "schema": unquote(parts.path.removeprefix("/")),
        "extra": _object(query["__extra__"]) if "__extra__" in query else query,
    }


def _host_and_port(text: str) -> tuple[str, int | None]:
    # Not by urlsplit, which makes letters small: a host may be a whole URL, percent-encoded, with a path.
    host, bracket, port = text.rpartition("]") if text.startswith("[") else ("", "", text)
    if not bracket:
        host, _, port = text.partition(":")
    port = port.removeprefix(":")
    return unquote(host + bracket), int(port) if port else None


def _of_json(text: str) -> dict[str, Any]:
    fields = _object(text)
    if fields.get("conn_type") not in (None, "", CONNECTION_TYPE):
        raise ValueError("another type of connection")
    for name in ("password", "host", "schema"):
        if not isinstance(fields.setdefault(name, None), str | None):
            raise ValueError(f"{name} is no text")
    extra, port = fields.get("extra") or {}, fields.get("port")
    fields["extra"] = _object(extra) if isinstance(extra, str) else extra
    fields["port"] = int(str(port)) if port else None
    if not isinstance(fields["extra"], dict):
        raise ValueError("extra is no object")
    return fields


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict):
        raise ValueError("not a JSON object")
    return found
