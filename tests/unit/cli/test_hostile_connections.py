"""Whatever a connection holds: it is settings that can be used, or a typed error, and no secret of it is shown."""

from __future__ import annotations

import json
import traceback
from typing import Any
from urllib.parse import quote

import pytest
import requests
from hypothesis import example, given
from hypothesis import strategies as st

from airflow_provider_honeyhive.api.base_url import base_url
from airflow_provider_honeyhive.api.settings import ClientSettings
from airflow_provider_honeyhive.cli.connection import find_settings
from airflow_provider_honeyhive.exceptions import HoneyHiveAuthError, InvalidArgumentError
from airflow_provider_honeyhive.hooks.honeyhive import HoneyHiveHook
from tests.unit.property_settings import thoroughly

#: Part of every secret, and of nothing else.
SECRET = "S3cr3t"

ODD_TEXTS = st.one_of(
    st.text(max_size=8),
    st.sampled_from(
        [
            "",
            " ",
            "\0",
            "\n",
            "\x1b[31m",
            "\u202e",
            "\ud800",
            "%00",
            "%",
            "x" * 70,
            "x" * 300,
            "9" * 5_000,
            "..",
            "a..b",
            "ü",
        ]
    ),
)

SECRETS = st.one_of(
    st.just(f"hh_{SECRET}"),
    st.builds("{}{}{}".format, ODD_TEXTS, st.just(SECRET), ODD_TEXTS),
    st.just(f"hh_ingst_{SECRET}"),
)

HOSTS = st.sampled_from(
    [
        "api.example.com",
        "localhost",
        "127.0.0.1",
        "[::1]",
        "[::1",
        "::1",
        "[v1.x]",
        "a..b",
        ".",
        "",
        "host name",
        "ho\nst",
        "ho\\st",
        "höst",
        "\ud800",
        "x" * 64,
        "x." * 200,
        "?",
        "#",
        "@",
    ]
)

PORTS = st.sampled_from(
    ["", ":", ":0", ":80", ":65535", ":65536", ":99999", ":-1", ":x", f":{SECRET}", ":" + "9" * 5_000]
)

LOGINS = st.one_of(
    st.just(""), st.builds("{}:{}@".format, st.sampled_from(["", "user", SECRET]), SECRETS), st.just(f"{SECRET}@")
)

#: URLs of hosts and proxies, right and wrong, of which some hold a secret.
URLS = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["", "http://", "https://", "HTTPS://", "socks5://", "ftp://", "//", "://", "file:///", "http:/"]),
    st.one_of(
        st.just(""), st.builds("{}:{}@".format, st.sampled_from(["", "user", SECRET]), SECRETS), st.just(f"{SECRET}@")
    ),
    HOSTS,
    PORTS,
    st.sampled_from(["", "/", "/base/", "/a b", "?", f"?key={SECRET}", f"#{SECRET}", "/\ud800", "/%zz"]),
)

NUMBERS = st.one_of(
    st.integers(),
    st.floats(),
    st.sampled_from([10**400, 10**5_000, -(10**400), True, "1e999", "nan", "9" * 5_000, "-1", " 5 ", "soon"]),
)


def nested(levels: int) -> Any:
    value: Any = {}
    for _ in range(levels):
        value = [value]
    return value


ODD_VALUES = st.one_of(
    st.none(), st.booleans(), NUMBERS, ODD_TEXTS, st.just([]), st.just({"a": 1}), st.just(nested(50_000))
)

#: What is right now and then, since else nearly all would be refused at the first look.
EXTRAS: dict[str, st.SearchStrategy[Any]] = {
    "project": ODD_VALUES,
    "endpoint": st.one_of(st.sampled_from(["auto", "search", "/path", "/\n", "/\ud800"]), ODD_VALUES),
    "timeout": st.one_of(st.just(5), ODD_VALUES),
    "max_retries": st.one_of(st.just(5), ODD_VALUES),
    "verify": st.one_of(st.sampled_from(["true", "No", "flase", "/nonexistent.pem", "/", "x" * 5_000]), ODD_VALUES),
    "proxy": st.one_of(URLS, ODD_VALUES),
    "app_url": st.one_of(st.builds("{}{}".format, LOGINS, HOSTS), st.builds("https://{}h".format, LOGINS), ODD_VALUES),
    "redact_secret": st.one_of(SECRETS, ODD_VALUES),
    "allow_http": st.one_of(st.just("true"), ODD_VALUES),
    "trust_total": ODD_VALUES,
}


def text_of(value: Any) -> str:
    """Return a value as JSON, as far as Python can say it; and what it cannot, as JSON that it cannot read."""
    try:
        return json.dumps(value)
    except RecursionError:
        return '{"a":' + "[" * 100_000 + "]" * 100_000 + "}"
    except ValueError:
        return '{"timeout":' + "9" * 5_000 + "}"


SOME_EXTRAS = st.fixed_dictionaries({}, optional=EXTRAS)

FIELDS = st.fixed_dictionaries(
    {"password": st.one_of(SECRETS, ODD_VALUES)},
    optional={
        "conn_type": st.one_of(st.just("honeyhive"), ODD_VALUES),
        "host": st.one_of(URLS, ODD_VALUES),
        "schema": st.one_of(st.sampled_from(["http", "https"]), ODD_VALUES),
        "port": st.one_of(st.just(443), ODD_VALUES),
        "login": ODD_VALUES,
        "extra": st.one_of(SOME_EXTRAS, SOME_EXTRAS.map(text_of), ODD_VALUES),
    },
)


def check(make: Any) -> None:
    """Check that what is made is settings, or one of the two errors, and that neither shows a secret."""
    try:
        settings = make()
    except (InvalidArgumentError, HoneyHiveAuthError) as error:
        texts = [str(error), repr(error), "".join(traceback.format_exception(error))]
        assert "got {}" not in texts[0]
        assert all(map(str.isprintable, texts[0].split("\n")))
    else:
        assert isinstance(settings, ClientSettings)
        texts = [
            str(settings),
            repr(settings),
            str(settings.model_dump()),
            settings.model_dump_json(exclude={"timeout"}),
        ]
        # An argument may be wrong for a server, but not for what sends it.
        requests.Request("POST", f"{settings.api_url}/path", json={}).prepare()
        if settings.proxy:
            requests.adapters.HTTPAdapter().proxy_manager_for(settings.proxy.get_secret_value())
        assert settings.secrets[0] == settings.api_key.get_secret_value()
    for text in texts:
        assert SECRET not in text


@thoroughly(300)
@given(FIELDS)
def test_a_connection_as_json_is_settings_or_a_typed_error(fields):
    check(lambda: find_settings(text_of(fields), {}))


@thoroughly(300)
@given(
    st.text(alphabet='{}[]":,\\ 019eE.-tfn\n\0', max_size=20),
    st.sampled_from(["%s", "{%s", '{"password":"S3cr3t",%s}']),
)
def test_a_connection_that_is_nearly_json_is_settings_or_a_typed_error(text, place):
    check(lambda: find_settings(place % text, {"HH_API_KEY": SECRET}))


@thoroughly(300)
@given(
    st.sampled_from(["honeyhive://", "honeyhive:", "HONEYHIVE://", "honeyhive://https://", "http://", ""]),
    SECRETS,
    st.booleans(),
    URLS,
    st.booleans(),
    st.one_of(st.dictionaries(st.sampled_from(sorted(EXTRAS)), ODD_TEXTS, max_size=3), SOME_EXTRAS),
    st.sampled_from(["", "/https", "/http", "/\n", "#", "/https?__extra__=", "/https?__extra__=%7B", "?__extra__=[]"]),
)
def test_a_connection_as_uri_is_settings_or_a_typed_error(scheme, secret, quoted, url, is_quoted, extras, end):
    def encoded(text: str, *, really: bool) -> str:
        return quote(text.encode("utf-8", "surrogatepass"), safe="") if really else text

    query = "&".join(f"{name}={encoded(str_of(value), really=True)}" for name, value in extras.items())
    text = f"{scheme}:{encoded(secret, really=quoted)}@{encoded(url, really=is_quoted)}{end}?{query}"
    check(lambda: find_settings(text, {}))


def str_of(value: Any) -> str:
    return value if isinstance(value, str) else text_of(value)


@thoroughly(300)
@given(
    st.fixed_dictionaries(
        {"HH_API_KEY": SECRETS},
        optional={
            "HH_API_URL": st.one_of(URLS, ODD_TEXTS),
            "AIRFLOW_CONN_HONEYHIVE_DEFAULT": st.one_of(FIELDS.map(text_of), SECRETS, URLS),
        },
    )
)
def test_an_environment_is_settings_or_a_typed_error(environment):
    check(lambda: find_settings(None, environment))


@thoroughly(500)
@given(st.one_of(SECRETS, ODD_VALUES), st.one_of(URLS, ODD_VALUES), SOME_EXTRAS)
@example(SECRET, "a", {"timeout": 10**5_000})
@example(SECRET, "a", {"proxy": "http://[::1"})
@example(SECRET, "a", {"proxy": f"cu:{SECRET}@host:1"})
@example(SECRET, "a", {"proxy": f"http://u:%E2%82%AC{SECRET}@host:1"})
def test_values_of_whatever_type_are_settings_or_a_typed_error(key, url, extras):
    check(lambda: ClientSettings.parse(api_key=key, api_url=url, **extras))


class _Connection:
    """What Airflow gives a hook."""

    def __init__(self, **fields: Any) -> None:
        self.password = self.host = self.schema = self.port = self.extra = None
        self.__dict__.update(fields)

    @property
    def extra_dejson(self) -> Any:
        return json.loads(self.extra or "{}")


@thoroughly(200)
@given(
    SECRETS,
    st.one_of(st.none(), URLS, ODD_VALUES),
    st.one_of(st.none(), st.sampled_from(["http", "https"]), ODD_TEXTS, ODD_VALUES),
    st.one_of(st.none(), st.integers(), ODD_VALUES),
    st.one_of(
        SOME_EXTRAS.map(text_of), st.sampled_from(["[1]", "7", "null", '"x"', "[" * 100_000, "9" * 5_000, "x", 7, [1]])
    ),
)
def test_a_connection_of_airflow_is_settings_or_a_typed_error(secret, host, schema, port, extra):
    hook = HoneyHiveHook()
    hook.get_connection = lambda _: _Connection(password=secret, host=host, schema=schema, port=port, extra=extra)
    check(lambda: hook.settings)


@pytest.mark.parametrize(
    ("proxy", "message"),
    [
        ("http://[::1", "port from 1 to 65535"),
        ("http://proxy:99999", "port from 1 to 65535"),
        ("http://proxy:0", "port from 1 to 65535"),
        (f"http://user:{SECRET}@proxy:x", "port from 1 to 65535"),
        ("socks5://proxy:1", "http://proxy.example.com:3128"),
        (f"user:{SECRET}@proxy:1", "http://proxy.example.com:3128"),
        (f"http://user:{SECRET}@", "http://proxy.example.com:3128"),
        (f"http://user:{SECRET}@proxy/path", "http://proxy.example.com:3128"),
        (f"http://user:{SECRET}#@proxy", "http://proxy.example.com:3128"),
        (f"http://user:%E2%82%AC{SECRET}@proxy", "not Latin-1"),
        ("http://a..b", "a piece of its host's name is empty or too long"),
    ],
)
def test_a_proxy_that_cannot_be_one_says_what_to_give_and_not_its_password(proxy, message):
    with pytest.raises(InvalidArgumentError, match=message) as caught:
        ClientSettings.parse(api_key="hh_x", proxy=proxy)
    assert str(caught.value).startswith("proxy: proxy ")
    assert SECRET not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("proxy", ["proxy:3128", " http://proxy:3128/ ", f"https://user:{SECRET}%40@[::1]:1"])
def test_a_proxy_is_used_as_it_is_given(proxy):
    settings = ClientSettings.parse(api_key="hh_x", proxy=proxy)
    assert settings.proxy is not None
    assert settings.proxy.get_secret_value().endswith(proxy.strip())


def test_what_a_proxy_may_say_back_is_known():
    settings = ClientSettings.parse(api_key="hh_x", proxy="http://user:p%40ss@proxy:1")
    assert settings.secrets == ("hh_x", "dXNlcjpwQHNz", "p@ss")
    assert ClientSettings.parse(api_key="hh_x", proxy="http://proxy:1").secrets == ("hh_x",)


@pytest.mark.parametrize("verify", ["flase", "/nonexistent.pem", "x" * 300, "\0"])
def test_what_is_neither_a_word_nor_a_file_verifies_nothing(verify):
    with pytest.raises(InvalidArgumentError, match="verify must be true, false, or the path of a CA bundle"):
        ClientSettings.parse(api_key="hh_x", verify=verify)


@pytest.mark.parametrize(
    "host", [f"https://{SECRET}@h", f"u:{SECRET}@h", f"https://h?{SECRET}", f"h#{SECRET}", f"h:{SECRET}"]
)
@pytest.mark.parametrize("variable", [False, True])
def test_a_host_with_what_may_be_a_secret_is_refused_without_being_shown(host, variable):
    with pytest.raises(InvalidArgumentError, match="host must be a") as caught:
        find_settings(None, {"HH_API_KEY": "hh_x", "HH_API_URL": host}) if variable else ClientSettings.parse(
            api_key="hh_x", api_url=base_url(host, None, None)
        )
    assert SECRET not in "".join(traceback.format_exception(caught.value))
