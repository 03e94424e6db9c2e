"""The API's base URL, made of the fields of a connection: host, scheme and port."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from airflow_provider_honeyhive.exceptions import NOT_SHOWN, InvalidArgumentError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

#: Scheme -> the port that it means.
_PORTS = {"http": 80, "https": 443}

#: A name, an address (that of a link has its zone behind it), or what has none.
_HOST = re.compile(r"[\w.-]*|[0-9a-f:.]+(?:%[\w.-]+)?")

#: An IPv6 address, with brackets or without, and its zone as it is or as a URL has it.
_ADDRESS = re.compile(r"\[?(?P<address>[0-9A-Fa-f:.]+)(?:%(?:25)?(?P<zone>[\w.-]+))?\]?")

#: What is before a URL's path: one pair of brackets, if any, and behind it a port alone.
_BRACKETS = re.compile(r"[^\[\]]*(?:\[[^\[\]]*\](?::[^\[\]]*)?)?")

_SHORT_ADDRESS = re.compile(r"[0-9]+(?:\.[0-9]+){0,3}")


def base_url(host: str | None, schema: str | None, port: str | int | None) -> str | None:
    """Return the base URL that a connection's fields mean, None where they name no host.

    A connection URI puts scheme and port into fields of their own, and Airflow takes the brackets of an IPv6 address
    away: ``honeyhive://:KEY@[::1]:8080/http``.

    :param host: name, address with or without brackets, or a whole base URL.
    :param schema: ``http`` or ``https``; anything else means nothing.
    :param port: added where the host names none and it is not the scheme's own; empty or 0: none.
    :raises InvalidArgumentError: the host or the port can be none.
    """
    if not host:
        return None
    if not isinstance(host, str):
        raise InvalidArgumentError("host", NOT_SHOWN, "host must be a text")
    scheme, mark, rest = host.strip().rpartition("://")
    if not mark and isinstance(schema, str) and schema.lower() in _PORTS:
        scheme, mark = schema.lower(), "://"
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    path = rest[len(authority) :]
    authority = _with_brackets(authority.removesuffix(":"))
    number = _number_of(port)
    try:
        parts = split_url(f"{scheme}{mark or '//'}{authority}{path}", "host")
    except ValueError as error:
        raise InvalidArgumentError("host", NOT_SHOWN, str(error)) from None
    if number and parts.port is None and number != _PORTS.get(parts.scheme or scheme_of(parts.hostname)):
        authority += f":{number}"
    return f"{scheme}{mark}{authority}{path}"


def scheme_of(host: str | None) -> str:
    """Return by which scheme a host is reached that is given without one."""
    return "http" if is_loopback(host) else "https"


def _with_brackets(host: str) -> str:
    """Return an IPv6 address as a URL has it; anything else as it is."""
    found = _ADDRESS.fullmatch(host)
    if not found or host.startswith("[") != host.endswith("]"):
        return host
    try:
        ipaddress.IPv6Address(found["address"])
    except ValueError:
        return host
    return f"[{found['address']}%25{found['zone']}]" if found["zone"] else f"[{found['address']}]"


def _number_of(port: object) -> int | None:
    # Airflow's form may send 0 for an empty field.
    if port is None or port in ("", 0, "0"):
        return None
    try:
        number = int(port) if isinstance(port, str) else port
    except ValueError:
        number = None
    if type(number) is not int or not 0 < number < 2**16:
        raise InvalidArgumentError("port", NOT_SHOWN, "port must be a number from 1 to 65535, or empty")
    return number


def split_url(url: str, name: str) -> SplitResult:
    """Return the pieces of a URL.

    :param url: with a scheme, or beginning with ``//``.
    :param name: what to call it.
    :raises ValueError: it is none. The error does not show it, for it may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"{name} must be a URL with a port from 1 to 65535, or none") from None
    if port == 0 or not _BRACKETS.fullmatch(parts.netloc):
        raise ValueError(f"{name} must be a URL with a port from 1 to 65535, or none")
    # Here, since parsing a DAG asks for no URL.
    from urllib3.exceptions import LocationParseError  # noqa: PLC0415
    from urllib3.util import parse_url  # noqa: PLC0415

    host = parts.hostname or ""
    try:
        host.encode("idna")
        parse_url(url)  # as requests does, whose rules of names are stricter
    except (LocationParseError, UnicodeError):
        raise ValueError(f"{name} must be a URL, but a piece of its host's name is empty or too long") from None
    if not _HOST.fullmatch(host):
        raise ValueError(f"{name} must be a URL, but its host has characters that no host has")
    return parts


def is_loopback(host: str | None) -> bool:
    """Return whether a name or an address is that of this machine."""
    if host is None:
        return False
    host = host.lower().rstrip(".")
    try:
        # The short forms of an address, such as 127.1, reach it, too.
        packed = socket.inet_aton(host) if _SHORT_ADDRESS.fullmatch(host) else host
        return ipaddress.ip_address(packed).is_loopback
    except (OSError, ValueError):
        return host == "localhost"
