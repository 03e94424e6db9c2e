"""How to reach HoneyHive: base URL, key, endpoint, time-outs, TLS. Checked when made, and nothing is asked for it."""

from __future__ import annotations

import re
from base64 import b64encode
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from airflow_provider_honeyhive.api.base_url import is_loopback, scheme_of, split_url
from airflow_provider_honeyhive.api.connection_form import (
    DEFAULT_API_URL,
    DEFAULT_MAX_RESPONSE_BYTES,
    DEFAULT_MAX_RETRIES,
    DEFAULT_TIMEOUT_S,
    LEAST_MAX_RESPONSE_BYTES,
    MOST_MAX_RESPONSE_BYTES,
)
from airflow_provider_honeyhive.api.endpoints import AUTO, candidates
from airflow_provider_honeyhive.api.keys import CLASSIC, DATA_PLANE, WHERE_KEYS_ARE, KeyKind, kind_of
from airflow_provider_honeyhive.exceptions import NOT_SHOWN, Fact, HoneyHiveAuthError, InvalidArgumentError

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Words for what a connection's extra ``verify`` may be.
_VERIFY_WORDS = {"true": True, "false": False, "1": True, "0": False, "yes": True, "no": False}

_PROXY_FORM = "proxy must be a URL such as http://proxy.example.com:3128, with user and password percent-encoded"

#: A URL that holds no secret: no user, no query, no port that is no number.
_PLAIN_URL = re.compile(
    r"(?:[A-Za-z][\w+.-]*://)?(?:[\w.-]+|\[[0-9A-Fa-f:.]+(?:%[\w.-]+)?\])(?::\d{1,20})?(?:/[^@?#\s]*)?"
)

#: A piece of a key that is shorter may be a word.
SHORTEST_PIECE = 16

_URLS = ("api_url", "app_url")

_SECRETS = ("api_key", "proxy", "redact_secret")


class ClientSettings(BaseModel):
    """Everything the client needs to know.

    :param api_key: the bearer token.
    :param api_url: base URL of the API, with or without a scheme (then https).
    :param key_source: where the key came from, as messages say it behind "the API key": ``of connection 'x'``, say.
    :param endpoint: ``auto`` (finds the one that works, among those that take this kind of key), ``export``,
        ``search``, ``legacy``, ``project-export``, ``project-search``, or a path beginning with ``/``.
    :param project: the project of requests that name none: its name, or its id, which a data plane key needs.
    :param timeout: seconds to wait for the server's next bytes; heavy pages can take 30 s and more.
    :param connect_timeout: seconds to wait for a connection.
    :param max_retries: how often a failed request is sent again; together with ``timeout`` this bounds
        the time spent on one request to ``(max_retries + 1) * timeout`` seconds.
    :param verify: check the server's certificate: True, False, or a path to a CA bundle.
    :param proxy: URL of a proxy for all requests, which may hold a password; by default the environment decides.
    :param app_url: base URL of the web UI, for links.
    :param redact_secret: key of the hashes that replace redacted values.
    :param allow_http: let the key go over plain http to a host other than loopback.
    :param trust_total: compare what was read with the number that the server reports beside the events.
    :param max_response_bytes: a response of more bytes, decompressed, is refused; each reader may hold one.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    api_key: SecretStr
    key_source: str = ""
    api_url: str = DEFAULT_API_URL
    endpoint: str = AUTO
    project: str | None = None
    timeout: float = Field(default=DEFAULT_TIMEOUT_S, gt=0, le=86_400)
    connect_timeout: float = Field(default=10.0, gt=0, le=3_600)
    max_retries: int = Field(default=DEFAULT_MAX_RETRIES, ge=0, le=100)
    verify: bool | str = True
    proxy: SecretStr | None = None
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
        source = str(given.get("key_source", "")).removeprefix("of ")
        if "api_key" not in given:
            raise HoneyHiveAuthError(
                f"{source or 'the connection'} has no API key: put it into the password field",
                f"Keys are in {WHERE_KEYS_ARE}",
            )
        try:
            return cls(**given)
        except ValidationError as error:
            problems = error.errors(include_url=False, include_context=False, include_input=False)
            names = [str(item["loc"][0]) if item["loc"] else "connection" for item in problems]
            raise InvalidArgumentError(
                ", ".join(names),
                _shown_values({name: given[name] for name in names if _may_show(name, given.get(name))}, len(names)),
                "; ".join(item["msg"].removeprefix("Value error, ") for item in problems),
                *([Fact(f"The connection: {source}")] if source else []),
            ) from None

    @field_validator("api_key")
    @classmethod
    def _key_can_be_sent(cls, key: SecretStr) -> SecretStr:
        text = key.get_secret_value().strip()
        if not text or not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("the API key (the connection's password) holds characters no key has")
        return SecretStr(text)

    @field_validator("api_url")
    @classmethod
    def _url_is_base(cls, url: str) -> str:
        text = url.strip().rstrip("/")
        if not text.isprintable() or any(mark in text for mark in " \\?#@"):
            raise ValueError("host must be a base URL alone: no user, no password, no query, no fragment, no space")
        if "://" not in text:
            parts = split_url(f"//{text}", "host")
            text = f"{scheme_of(parts.hostname)}://{text}"
        parts = split_url(text, "host")
        if parts.scheme not in ("http", "https") or not parts.hostname or "//" in parts.path:
            raise ValueError(f"host must be a base URL such as {DEFAULT_API_URL}")
        return text

    @field_validator("app_url")
    @classmethod
    def _address_has_no_password(cls, url: str | None) -> str | None:
        if url is not None and "@" in url:
            raise ValueError("app_url must be a web address without user and password")
        return url

    @field_validator("endpoint")
    @classmethod
    def _endpoint_exists(cls, endpoint: str, info: ValidationInfo) -> str:
        key = info.data.get("api_key")
        try:
            candidates(endpoint, kind_of(key.get_secret_value()) if key else CLASSIC)
        except InvalidArgumentError as error:
            raise ValueError(error.allowed) from None
        return endpoint

    @field_validator("verify", mode="before")
    @classmethod
    def _verify_words(cls, verify: Any) -> Any:
        if not isinstance(verify, str):
            return verify
        word = _VERIFY_WORDS.get(verify.strip().lower())
        if word is None and not _exists(verify):
            raise ValueError("verify must be true, false, or the path of a CA bundle, and there is no such file")
        return verify if word is None else word

    @field_validator("proxy")
    @classmethod
    def _proxy_can_be_used(cls, proxy: SecretStr | None) -> SecretStr | None:
        if proxy is None:
            return None
        text = proxy.get_secret_value().strip()
        if "://" not in text and "@" not in text:
            text = f"http://{text}"
        if not text.isascii() or not text.isprintable() or any(mark in text for mark in " \\?#"):
            raise ValueError(_PROXY_FORM)
        parts = split_url(text, "proxy")
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(_PROXY_FORM)
        try:
            # As they are sent.
            ":".join(_login(parts)).encode("latin-1")
        except UnicodeEncodeError:
            raise ValueError("proxy has characters in user or password that HTTP cannot send (not Latin-1)") from None
        return SecretStr(text)

    @model_validator(mode="after")
    def _key_can_read(self) -> ClientSettings:
        kind = self.key_kind
        if kind.only:
            raise HoneyHiveAuthError(
                f"{self.key_name} cannot read events: use a {DATA_PLANE.name} ({DATA_PLANE.prefix}…)",
                f"By its prefix it is one of the {kind.name}s ({kind.prefix}…), which {kind.only}",
                f"Use a data plane key ({DATA_PLANE.prefix}…) with the permission to read events, or a classic key "
                f"({CLASSIC.prefix}…); {WHERE_KEYS_ARE}",
            )
        return self

    @model_validator(mode="after")
    def _no_key_in_the_clear(self) -> ClientSettings:
        parts = urlsplit(self.api_url)
        if parts.scheme == "http" and not self.allow_http and not is_loopback(parts.hostname):
            raise ValueError(
                f"{self.api_url} would send the key over plain http; use https, or set the connection's "
                "extra allow_http to true if the network is trusted"
            )
        return self

    @property
    def key_kind(self) -> KeyKind:
        """Which kind of key it is, by its prefix."""
        return kind_of(self.api_key.get_secret_value())

    @property
    def key_name(self) -> str:
        """What messages call the key: where it came from, never what it is."""
        return f"the API key {self.key_source}".rstrip()

    @property
    def connection_name(self) -> str:
        """What messages call the connection; empty where it has no name."""
        return self.key_source.removeprefix("of ")

    @property
    def api_host(self) -> str:
        """Host (and port) of the API, as manifests name it."""
        return urlsplit(self.api_url).netloc

    @property
    def is_loopback(self) -> bool:
        """Whether the API is on this machine."""
        return is_loopback(urlsplit(self.api_url).hostname)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown, as it is known here and as it is sent."""
        user, password = _login(urlsplit(self.proxy.get_secret_value())) if self.proxy else ("", "")
        token = b64encode(f"{user}:{password}".encode("latin-1")).decode() if password else ""
        redact = self.redact_secret.get_secret_value() if self.redact_secret else ""
        key = self.api_key.get_secret_value()
        # The last piece of a data plane key is its secret; the others tell the key from others.
        piece = key.rpartition("_")[2] if self.key_kind.takes_project_id else ""
        return tuple(filter(None, (key, piece if len(piece) >= SHORTEST_PIECE else "", redact, token, password)))


def _exists(path: str) -> bool:
    try:
        return Path(path).exists()
    except (OSError, ValueError):
        # A name that is too long, a folder that may not be entered, a NUL.
        return False


def _login(parts: SplitResult) -> tuple[str, str]:
    return unquote(parts.username or ""), unquote(parts.password or "")


def _shown_values(values: Mapping[str, Any], fields: int) -> Any:
    """Return what an error shows: of one field the value alone.

    :param values: that may be shown, by field.
    :param fields: how many are wrong.
    """
    if not values:
        return NOT_SHOWN
    return next(iter(values.values())) if fields == 1 else dict(values)


def _may_show(name: str, value: Any) -> bool:
    """Return whether an error may show the value of a field."""
    if name in _SECRETS or not isinstance(value, str | int | float) or (type(value) is int and abs(value) > 2**63):
        return False
    return name not in _URLS or _PLAIN_URL.fullmatch(str(value)) is not None
