"""Turns what goes wrong between here and the server into errors that say what to do about it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import requests
import urllib3

from airflow_provider_honeyhive.exceptions import HoneyHiveConnectionError

if TYPE_CHECKING:
    from airflow_provider_honeyhive.settings import ClientSettings

#: Everything that a request can raise before its answer is whole.
NETWORK_ERRORS = (requests.exceptions.RequestException, urllib3.exceptions.HTTPError, OSError)
_TIMEOUTS = (requests.exceptions.ReadTimeout, urllib3.exceptions.ReadTimeoutError, TimeoutError)
_CUT_SHORT = (requests.exceptions.ChunkedEncodingError, requests.exceptions.ContentDecodingError)
_UNVERIFIED = "certificate verify failed"


def connection_error(error: Exception, settings: ClientSettings) -> HoneyHiveConnectionError:
    """Return the error for a request that got no whole answer.

    Without the original's text where that may hold the URL of a proxy with its password.
    """
    host = settings.api_host
    if isinstance(error, requests.exceptions.SSLError):
        return _tls_error(str(error), host)
    if isinstance(error, requests.exceptions.ProxyError):
        return HoneyHiveConnectionError(f"the proxy on the way to {host} cannot be used")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return HoneyHiveConnectionError(f"{host} took no connection within {settings.connect_timeout:g} s")
    if isinstance(error, _TIMEOUTS) or "Read timed out" in str(error):
        return HoneyHiveConnectionError(f"{host} sent nothing for {settings.timeout:g} s", timed_out=True)
    if isinstance(error, _CUT_SHORT):
        return HoneyHiveConnectionError(f"the answer of {host} was cut short: {type(error).__name__}")
    return HoneyHiveConnectionError(
        f"cannot reach {host}: {_reason(error)}; check the connection's host, and the way there"
    )


def _tls_error(text: str, host: str) -> HoneyHiveConnectionError:
    if _UNVERIFIED not in text:
        return HoneyHiveConnectionError(f"the TLS handshake with {host} failed")
    reason = text.partition(_UNVERIFIED)[2].partition(" (_ssl.c")[0].strip(": ")
    return HoneyHiveConnectionError(
        f"the certificate of {host} cannot be verified ({reason}). Behind a private CA, set the "
        "connection's extra 'verify' to the path of its CA bundle",
        retryable=False,
    )


def _reason(error: BaseException) -> str:
    causes: list[BaseException] = []
    current: BaseException | None = error
    while current is not None and current not in causes:
        causes.append(current)
        reason = getattr(current, "reason", None)
        current = current.__cause__ or current.__context__ or (reason if isinstance(reason, BaseException) else None)
    named = [cause for cause in causes if isinstance(cause, OSError) and cause.strerror]
    return str(named[-1].strerror) if named else type(causes[-1]).__name__
