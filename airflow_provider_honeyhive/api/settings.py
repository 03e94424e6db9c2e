"""How to reach HoneyHive: base URL, key, endpoint, time-outs, TLS. Checked when made, free of I/O."""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from airflow_provider_honeyhive.api.connection_form import (
    DEFAULT_API_URL,
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT_S,
    LEAST_MAX_RESPONSE_BYTES,
    MOST_MAX_RESPONSE_BYTES,
)
from airflow_provider_honeyhive.api.endpoints import AUTO, candidates
from airflow_provider_honeyhive.exceptions import HoneyHiveAuthError, InvalidArgumentError

#: Kinds of key by their prefix: this one cannot read.
INGESTION_KEY_PREFIX = "hh_ingst_"


class ClientSettings(BaseModel):
    """Everything the client needs to know.

    :param api_key: the bearer token.
    :param api_url: base URL of the API, with or without a scheme (then https).
    :param endpoint: ``auto`` (finds the one that works), ``export``, ``search``, ``legacy``,
        ``project-search``, or a path beginning with ``/``.
    :param project: the project of requests that name none.
    :param timeout: seconds to wait for the server's next bytes; heavy pages can take 30 s and more.
    :param connect_timeout: seconds to wait for a connection.
    :param max_retries: how often a failed request is sent again; together with ``timeout`` this bounds
        the time spent on one request to ``(max_retries + 1) * timeout`` seconds.
    :param verify: check the server's certificate: True, False, or a path to a CA bundle.
    :param proxy: URL of a proxy for all requests; by default the environment decides.
    :param app_url: base URL of the web UI, for links.
    :param redact_secret: key of the hashes that replace redacted values.
    :param allow_http: let the key go over plain http to a host other than loopback.
    :param trust_total: compare what was read with the number that the server reports beside the events.
    :param max_response_bytes: a response of more bytes, decompressed, is refused; each reader may hold one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    api_key: SecretStr
    api_url: str = DEFAULT_API_URL
    endpoint: str = AUTO
    project: str | None = None
    timeout: float = Field(default=DEFAULT_TIMEOUT_S, gt=0, le=86_400)
    connect_timeout: float = Field(default=10.0, gt=0, le=3_600)
    max_retries: int = Field(default=DEFAULT_MAX_RETRIES, ge=0, le=100)
    verify: bool | str = True
    proxy: str | None = None
    app_url: str | None = None
    redact_secret: SecretStr | None = None
    allow_http: bool = False
    trust_total: bool = True
    max_response_bytes: int = Field(
        default=DEFAULT_MAX_RESPONSE_BYTES, ge=LEAST_MAX_RESPONSE_BYTES, le=MOST_MAX_RESPONSE_BYTES
    )

    @classmethod
    def parse(cls, **values: Any) -> ClientSettings:
        """Make settings of texts and numbers as connections hold them; empty ones mean the default.

        :raises InvalidArgumentError: names every field that cannot be right.
        :raises HoneyHiveAuthError: the key cannot be one that reads.
        """
        given = {name: value for name, value in values.items() if value not in (None, "")}
        if "api_key" not in given:
            raise HoneyHiveAuthError(
                "the connection has no API key: put it into the password field (HoneyHive: Settings → API keys)"
            )
        try:
            return cls(**given)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False)
            places = ", ".join(".".join(map(str, item["loc"][:1])) or "connection" for item in problems)
            raise InvalidArgumentError(
                places,
                {item["loc"][0]: given.get(str(item["loc"][0])) for item in problems if _may_show(item["loc"])},
                "; ".join(item["msg"].removeprefix("Value error, ") for item in problems),
            ) from None

    @field_validator("api_key")
    @classmethod
    def _key_can_be_sent(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value().strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("the API key (the connection's password) holds characters no key has")
        if text.startswith(INGESTION_KEY_PREFIX):
            raise HoneyHiveAuthError(
                f"this is an ingestion key ({INGESTION_KEY_PREFIX}…), which can write events but not read "
                "them: use a project key (hh_…) or a data-plane key with read permission (hh_fgdp_…)"
            )
        return SecretStr(text)

    @field_validator("api_url")
    @classmethod
    def _url_is_base(cls, url: str) -> str:
        text = url.strip().rstrip("/")
        if "://" not in text:
            text = f"{'http' if _is_loopback(urlsplit('//' + text).hostname) else 'https'}://{text}"
        parts = urlsplit(text)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"host {text!r} is not a base URL such as {DEFAULT_API_URL}")
        if parts.username or parts.password or parts.query or parts.fragment:
            raise ValueError("host must be a base URL alone: no user, password, query or fragment")
        _ = parts.port  # raises ValueError for one that is no number
        return text

    @field_validator("endpoint")
    @classmethod
    def _endpoint_exists(cls, endpoint: str) -> str:
        candidates(endpoint)
        return endpoint

    @field_validator("verify", mode="before")
    @classmethod
    def _verify_words(cls, verify: Any) -> Any:
        words = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}
        return words.get(verify.strip().lower(), verify) if isinstance(verify, str) else verify

    @model_validator(mode="after")
    def _no_key_in_the_clear(self) -> ClientSettings:
        parts = urlsplit(self.api_url)
        if parts.scheme == "http" and not self.allow_http and not _is_loopback(parts.hostname):
            raise ValueError(
                f"{self.api_url} would send the key over plain http; use https, or set the connection's "
                "extra allow_http to true if the network is trusted"
            )
        return self

    @property
    def api_host(self) -> str:
        """Host (and port) of the API, as manifests name it."""
        return urlsplit(self.api_url).netloc

    @property
    def is_loopback(self) -> bool:
        """Whether the API is on this machine."""
        return _is_loopback(urlsplit(self.api_url).hostname)


def base_url(host: str | None, schema: str | None, port: int | None) -> str | None:
    """Return the base URL that a connection's fields mean, None where they name no host.

    A connection URI puts scheme and port into fields of their own: ``honeyhive://:KEY@host:8080/https``.

    :param host: host, or a whole base URL.
    :param schema: ``http`` or ``https``; anything else means nothing.
    :param port: added where the host names none.
    """
    if not host:
        return None
    if "://" not in host and schema in ("http", "https"):
        host = f"{schema}://{host}"
    parts = urlsplit(host if "://" in host else f"//{host}")
    if port and parts.port is None:
        host = parts._replace(netloc=f"{parts.netloc}:{port}").geturl().removeprefix("//")
    return host


def _may_show(place: tuple[Any, ...]) -> bool:
    return bool(place) and place[0] not in ("api_key", "proxy", "redact_secret")


def _is_loopback(host: str | None) -> bool:
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"
