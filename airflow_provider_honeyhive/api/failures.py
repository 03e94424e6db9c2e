"""Reads the answers that say no, or elsewhere: status, headers and body -> the error that fits.

A 404 needs care: it may mean "no such path here" (try the next endpoint), or that HoneyHive refuses the key, the
project or an id without saying which (stop). HoneyHive's own errors are JSON with ``success`` or ``errorCode``; routers
and gateways say it otherwise. Source: the vendor's changelogs of September 2026, and answers of older deployments.
"""

from __future__ import annotations

import math
import os
import re
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import urljoin, urlsplit

import requests
import urllib3

from airflow_provider_honeyhive.api.connection_form import DEFAULT_API_URL
from airflow_provider_honeyhive.api.keys import WHERE_IDS_ARE, WHERE_KEYS_ARE
from airflow_provider_honeyhive.display import LONGEST_VALUE, shown
from airflow_provider_honeyhive.events.scan import decode_json
from airflow_provider_honeyhive.exceptions import (
    HoneyHiveAPIError,
    HoneyHiveAuthError,
    HoneyHiveConnectionError,
    HoneyHiveRateLimitError,
    HoneyHiveRefusedError,
    HoneyHiveRequestError,
    HoneyHiveServerError,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from airflow_provider_honeyhive.api.settings import ClientSettings


NO_SUCH_ROUTE = "NO_SUCH_ROUTE"

#: It served data once and is the control plane now, which holds none.
CONTROL_PLANE_HOST = "api.honeyhive.ai"

_LONGEST_MESSAGE = 500

_WHITE_SPACE = re.compile(r"\s+")

#: What Express, Nest and Fastify say of a path that they do not have; nothing that may be about a project.
_ROUTER_SAYS = re.compile(r"(cannot post|route post:) ?/", re.IGNORECASE)

#: What HoneyHive's own errors have, older ones some of it.
_VENDORS = frozenset({"success", "errorCode", "statusCode"})

_Remedy: TypeAlias = tuple[type[HoneyHiveAPIError], tuple[str, ...]]

_FILTERS = ("the request was refused; check filters, evaluation_id and projections",)

#: Status -> kind of error, and its lines: what is wrong and what to do, then facts. ``{key}`` is the key as messages
#: call it.
_REMEDIES: dict[int, _Remedy] = {
    400: (HoneyHiveRequestError, _FILTERS),
    401: (
        HoneyHiveAuthError,
        (
            "{key} was refused; check the password and host",
            "It is wrong, revoked, expired, or of another deployment",
        ),
    ),
    403: (
        HoneyHiveAuthError,
        (
            "{key} lacks the permission to read events; give it that",
            "Or take another key, which may read events of this project",
        ),
    ),
    404: (HoneyHiveRequestError, ("no such path or host; check the connection's host and its extra 'endpoint'",)),
    408: (HoneyHiveServerError, ("the server timed out; try again later",)),
    413: (HoneyHiveRequestError, ("the page is too large for the server; give a smaller page_size",)),
    422: (HoneyHiveRequestError, _FILTERS),
    425: (HoneyHiveServerError, ("the server is not ready; try again later",)),
    429: (HoneyHiveRateLimitError, ("too many requests; a lower concurrency may help",)),
}

_SERVER_FAILED: _Remedy = (
    HoneyHiveServerError,
    ("the server failed; it may have recovered when the task is tried again",),
)

_UNEXPECTED: _Remedy = (
    HoneyHiveRequestError,
    ("unexpected answer; check the connection's host and its extra 'endpoint'",),
)

#: A 404 of HoneyHive itself. The order is that of what it is most often.
_REFUSED: _Remedy = (
    HoneyHiveRefusedError,
    (
        "check {key} first, then the project, then ids",
        f"HoneyHive answers this to a key that is invalid, revoked, expired or may not read events ({WHERE_KEYS_ARE}), "
        "as to a wrong project and a wrong id",
    ),
)

_ID_NEEDED = f"Of the project this key takes the id and not the name ({WHERE_IDS_ARE})"

_NO_PATH = "check the connection's host (base URL of the HoneyHive API) and its extra 'endpoint': no such path"

_CONTROL_PLANE = (
    f"set the connection's host to the URL of the data plane: {CONTROL_PLANE_HOST} holds no events",
    f"It is HoneyHive's control plane. A data plane is {DEFAULT_API_URL}, for example ({WHERE_IDS_ARE})",
)


def api_error(
    status: int, headers: Mapping[str, str], body: bytes, url: str, settings: ClientSettings, *, quotes: bool = True
) -> HoneyHiveAPIError:
    """Return the error for an answer whose status is not 200.

    :param status: HTTP status.
    :param headers: of the answer.
    :param body: of the answer, as much of it as an explanation has.
    :param url: that was asked.
    :param settings: of the client.
    :param quotes: the error has the server's words, which may repeat values of the request: ids of sessions, say.
    """
    said = _parsed(body)
    error_code = said.get("errorCode")
    message = _clean(said.get("message") or said.get("error") or "")
    kind, lines = _REMEDIES.get(status, _SERVER_FAILED if status >= 500 else _UNEXPECTED)
    if _is_routers(status, said, message):
        error_code = NO_SUCH_ROUTE
    elif status == 404:
        kind, lines = _REFUSED
        if settings.key_kind.takes_project_id:
            lines = (*lines, _ID_NEEDED)
    if not quotes:
        message, error_code = "", error_code if error_code == NO_SUCH_ROUTE else None
    first, *facts = (line.format(key=settings.key_name) for line in lines)
    if issubclass(kind, HoneyHiveAuthError) and is_control_plane(url):
        first, *facts = (*_CONTROL_PLANE, f"If this deployment serves events there: {first}", *facts)
    return kind(
        f"HTTP {status}: {first}",
        *([f"The server says: {message}"] if message else []),
        *facts,
        f"Asked: {shown(url, LONGEST_VALUE)}",
        status_code=status,
        error_code=_clean(error_code) or None,
        server_message=message or None,
        retry_after=_retry_after(headers.get("Retry-After")),
    )


def redirect_target(url: str, location: str) -> str:
    """Return where a redirect leads, as long as that is on the same server, which may be given the key.

    :param url: that was asked.
    :param location: as the server says it.
    :raises HoneyHiveRequestError: it leads to another host, port or scheme, or is no URL.
    """
    old = urlsplit(url)
    try:
        target = urljoin(url, location)
        new = urlsplit(target)
    except ValueError:
        target, new = "", urlsplit("")
    if not location or (old.scheme, old.netloc) != (new.scheme, new.netloc):
        # Without a user and password, which may be the key.
        where = shown(ascii(f"{new.scheme}://{new.netloc.rpartition('@')[2]}"), LONGEST_VALUE)
        raise HoneyHiveRequestError(
            "set the connection's host to the API's own URL: the server redirects elsewhere",
            f"{old.netloc} redirects to {where}, and the key is not sent on to another host, port or scheme",
            status_code=308,
        )
    return target


def no_endpoint(api_url: str, paths: Iterable[str], connection: str = "") -> HoneyHiveRequestError:
    """Return the error for a server that has none of the paths that were tried.

    :param connection: what messages call it, where it has a name.
    """
    first, *facts = _CONTROL_PLANE if is_control_plane(api_url) else (_NO_PATH,)
    return HoneyHiveRequestError(
        first,
        *facts,
        f"{api_url} has none of the paths {', '.join(paths)}",
        *([f"The connection: {connection}"] if connection else []),
        status_code=404,
    )


def is_missing_route(error: HoneyHiveAPIError) -> bool:
    """Return whether the server has no such path, rather than that it refuses key, project or an id."""
    return error.error_code == NO_SUCH_ROUTE


def is_control_plane(url: str) -> bool:
    """Return whether a URL is of the host that manages HoneyHive and holds no events."""
    return (urlsplit(url).hostname or "").rstrip(".") == CONTROL_PLANE_HOST


def _is_routers(status: int, said: Mapping[str, Any], message: str) -> bool:
    if status == 405:
        return True
    if status != 404:
        return False
    return not said.keys() & _VENDORS or _ROUTER_SAYS.match(message) is not None


def _parsed(body: bytes) -> Mapping[str, Any]:
    try:
        said = decode_json(str(body, "utf-8", "replace"))
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, dict) else {}


def _clean(text: Any) -> str:
    # Decoded, so that the key is found however the server has escaped it; cut there, since half of it would not be.
    return shown(_WHITE_SPACE.sub(" ", text).strip(), _LONGEST_MESSAGE) if isinstance(text, str) else ""


def _retry_after(header: str | None) -> float | None:
    """Return the seconds of a ``Retry-After`` header (RFC 9110: seconds, or a date)."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            until = parsedate_to_datetime(header)
            aware = until if until.tzinfo else until.replace(tzinfo=UTC)
            seconds = (aware - datetime.now(UTC)).total_seconds()
        except (ValueError, OverflowError):
            return None
    return None if math.isnan(seconds) else max(0.0, seconds)


_TIMEOUTS = (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)

_TLS = (requests.exceptions.SSLError, urllib3.exceptions.SSLError, ssl.SSLError)

#: The connection broke: before the response came, or, as urllib3 says it, while the body did.
_NO_CONNECTION = (requests.exceptions.ConnectionError, OSError)
_CUT_SHORT = (urllib3.exceptions.ProtocolError,)

#: Something of the request itself is wrong: a host that cannot be one, a proxy of a kind that is not known, or
#: whose user or password no header can say.
_NO_REQUEST = (
    requests.exceptions.InvalidURL,
    requests.exceptions.InvalidSchema,
    requests.exceptions.MissingSchema,
    urllib3.exceptions.LocationValueError,
    urllib3.exceptions.ProxySchemeUnknown,
    UnicodeEncodeError,
)

_UNVERIFIED = "certificate verify failed"

_PROXY_REFUSES = "Tunnel connection failed: 407"


def connection_error(error: Exception, settings: ClientSettings, verify: bool | str) -> HoneyHiveConnectionError:
    """Return the error for a request that got no whole response, whatever the layers below have raised.

    Without the original's text where that may hold the URL of a proxy with its password, or what the server sent.

    :param error: what was raised.
    :param settings: of the client.
    :param verify: what certificates were verified by.
    """
    host = settings.api_host
    if isinstance(verify, str) and settings.api_url.startswith("https:") and not _is_bundle(verify):
        return HoneyHiveConnectionError(
            "check the connection's extra 'verify', or REQUESTS_CA_BUNDLE of the worker: no CA certificates there",
            f"There are no CA certificates in {verify!r}",
            retryable=False,
        )
    if isinstance(error, _NO_REQUEST):
        return HoneyHiveConnectionError(
            "check the connection's host and its extra 'proxy', or HTTPS_PROXY of the worker: no request can be sent",
            f"No request can be sent to {host} ({type(error).__name__})",
            retryable=False,
        )
    if isinstance(error, _TLS):
        return _tls_error(str(error), host)
    if isinstance(error, requests.exceptions.ProxyError):
        return _proxy_error(str(error), host)
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return HoneyHiveConnectionError(
            f"{host} took no connection within {settings.connect_timeout:g} s; check the way there, or try again later"
        )
    if isinstance(error, _TIMEOUTS) or "Read timed out" in str(error):
        return HoneyHiveConnectionError(
            f"{host} sent nothing for {settings.timeout:g} s; set the connection's extra 'timeout' higher",
            timed_out=True,
        )
    if isinstance(error, _CUT_SHORT):
        return HoneyHiveConnectionError(
            f"the answer of {host} was cut short; try again later", f"What ended it: {type(error).__name__}"
        )
    cause = _cause(error) if isinstance(error, _NO_CONNECTION) else error
    if isinstance(cause, OSError | urllib3.exceptions.NewConnectionError):
        reason = getattr(cause, "strerror", None) or type(cause).__name__
        return HoneyHiveConnectionError(
            f"cannot reach {host}: {reason}; check the connection's host, and the way there"
        )
    return HoneyHiveConnectionError(
        f"the answer of {host} was garbled; try again later, or check the host", f"How: {type(cause).__name__}"
    )


def _is_bundle(path: str) -> bool:
    """Return whether a file of certificates, or a folder, can be loaded."""
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations(**{"capath" if os.path.isdir(path) else "cafile": path})
    except (OSError, ValueError):
        return False
    return True


def _proxy_error(text: str, host: str) -> HoneyHiveConnectionError:
    if _PROXY_REFUSES in text:
        return HoneyHiveConnectionError(
            "check the connection's extra 'proxy', or HTTPS_PROXY of the worker: the proxy refuses its password",
            f"The proxy on the way to {host} refuses its user or password",
            retryable=False,
        )
    return HoneyHiveConnectionError(
        "the proxy cannot be used; check the connection's extra 'proxy', or HTTPS_PROXY of the worker",
        f"The proxy on the way to {host} cannot be used",
    )


def _tls_error(text: str, host: str) -> HoneyHiveConnectionError:
    if _UNVERIFIED not in text:
        return HoneyHiveConnectionError(
            f"the TLS handshake with {host} failed; check the connection's host and its extra 'verify'"
        )
    reason = text.partition(_UNVERIFIED)[2].partition(" (_ssl.c")[0].strip(": ")
    return HoneyHiveConnectionError(
        "behind a private CA, set the connection's extra 'verify' to its CA bundle: a certificate does not verify",
        f"The certificate of {host} cannot be verified ({reason})",
        retryable=False,
    )


def _cause(error: BaseException) -> BaseException:
    """Return what an error comes from: the last of its chain that the system named, else the first that was raised."""
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        reason = getattr(current, "reason", None)
        current = current.__cause__ or current.__context__ or (reason if isinstance(reason, BaseException) else None)
    named = [cause for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return named[-1] if named else causes[-1]
