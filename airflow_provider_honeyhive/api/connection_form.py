"""The fields of a HoneyHive connection: one table for both ways in which Airflow builds its form.

Airflow 3.2 and later read them from the provider's info, earlier versions from methods of the hook.
"""

from __future__ import annotations

from typing import Any

CONNECTION_TYPE = "honeyhive"

#: The defaults of the settings are here, and not there, because Airflow loads this table whenever it starts.
DEFAULT_API_URL = "https://api.dp1.us.honeyhive.ai"

DEFAULT_TIMEOUT_S = 300

DEFAULT_MAX_RETRIES = 8

DEFAULT_MAX_RESPONSE_BYTES = 64 * 1024**2

LEAST_MAX_RESPONSE_BYTES, MOST_MAX_RESPONSE_BYTES = 1024**2, 1024**3

#: The connection of tasks that name none.
DEFAULT_CONNECTION = "honeyhive_default"

HOOK_NAME = "HoneyHive"

HOOK_CLASS = "airflow_provider_honeyhive.hooks.honeyhive.HoneyHiveHook"

#: Airflow's own fields that mean nothing here.
HIDDEN_FIELDS = ["login", "schema", "extra"]

RELABELING = {"host": "API URL", "password": "API key", "port": "Port"}

PLACEHOLDERS = {
    "host": DEFAULT_API_URL,
    "port": "empty: the URL's own; for Test in Airflow 3.3: 443",
    "password": "hh_… or hh_fgdp_… (HoneyHive: Settings → Project → API Keys)",
    "project": "my-project",
    "endpoint": "auto",
    "timeout": str(DEFAULT_TIMEOUT_S),
    "max_retries": str(DEFAULT_MAX_RETRIES),
    "max_response_bytes": str(DEFAULT_MAX_RESPONSE_BYTES),
    "verify": "true",
    "proxy": "http://proxy.example.com:3128",
    "app_url": "https://app.us.honeyhive.ai",
}

#: Extra -> label, what it means, and its JSON schema. Only what is on or off has a default, since it is either. A text
#: has none, because Airflow would store it with each connection, and warn in the log of each task that it is too short
#: to be hidden: it looks at all texts of a connection as if they were secret.
EXTRA_FIELDS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "project": (
        "Default project",
        "The project that tasks read when they name none: its name or id. With a data plane key (hh_fgdp_…) its id, "
        "which HoneyHive shows under Settings → Project → API Keys → Data Plane.",
        {"type": ["string", "null"]},
    ),
    "endpoint": (
        "Endpoint",
        "Empty: auto, which finds the one that answers. Else: export, search, legacy, project-export, project-search, "
        "or a path beginning with /.",
        {"type": ["string", "null"]},
    ),
    "timeout": (
        "Time-out (s)",
        f"Seconds to wait for the server's next bytes; heavy pages can take 30 s and more. Empty: {DEFAULT_TIMEOUT_S}.",
        {"type": ["integer", "null"], "minimum": 1},
    ),
    "max_retries": (
        "Retries",
        f"How often a failed request is sent again. Empty: {DEFAULT_MAX_RETRIES}.",
        {"type": ["integer", "null"], "minimum": 0},
    ),
    "verify": (
        "Verify certificate",
        "true, false, or the path of a CA bundle, for a self-hosted deployment with a private CA. Empty: true.",
        {"type": ["string", "null"]},
    ),
    "proxy": (
        "Proxy",
        "URL of a proxy for all requests. Empty: as the environment of the worker says.",
        {"type": ["string", "null"]},
    ),
    "app_url": (
        "Web app URL",
        "Base URL of HoneyHive's web interface, for links from Airflow to the events.",
        {"type": ["string", "null"]},
    ),
    "redact_secret": (
        "Redaction secret",
        "Key of the hashes that replace what tasks redact, at least 16 characters. Another key gives other hashes.",
        {"type": ["string", "null"], "format": "password"},
    ),
    "allow_http": (
        "Allow plain http",
        "Send the key over plain http to hosts other than loopback. Only on networks that are trusted.",
        {"type": ["boolean", "null"], "default": False},
    ),
    "trust_total": (
        "Trust totals",
        "Compare what was read with the number that the server reports beside the events. Off only where that number "
        "is no total of what was asked for: then nothing shows that events are missing.",
        {"type": ["boolean", "null"], "default": True},
    ),
    "max_response_bytes": (
        "Largest response (bytes)",
        "A response of more bytes, decompressed, is refused. Each reader of an export may hold one in memory. "
        f"Empty: {DEFAULT_MAX_RESPONSE_BYTES:,}.",
        {
            "type": ["integer", "null"],
            "minimum": LEAST_MAX_RESPONSE_BYTES,
            "maximum": MOST_MAX_RESPONSE_BYTES,
        },
    ),
}


def connection_type_info() -> dict[str, Any]:
    """Return the form as the provider's info declares it."""
    return {
        "connection-type": CONNECTION_TYPE,
        "hook-class-name": HOOK_CLASS,
        "hook-name": HOOK_NAME,
        "ui-field-behaviour": field_behaviour("hidden-fields"),
        "conn-fields": {
            name: {"label": label, "description": meaning, "schema": schema}
            for name, (label, meaning, schema) in EXTRA_FIELDS.items()
        },
    }


def field_behaviour(hidden_fields_key: str = "hidden_fields") -> dict[str, Any]:
    """Return which fields are hidden, what they are called, and what stands in them as an example."""
    return {hidden_fields_key: HIDDEN_FIELDS, "relabeling": RELABELING, "placeholders": PLACEHOLDERS}


def form_widgets() -> dict[str, Any]:
    """Return the extras as form fields for Airflow before 3.2."""
    # Here, because plain Airflow 3 has none of these.
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget  # noqa: PLC0415
    from flask_babel import lazy_gettext  # noqa: PLC0415
    from wtforms import BooleanField, IntegerField, PasswordField, StringField  # noqa: PLC0415
    from wtforms.validators import NumberRange, Optional  # noqa: PLC0415

    def widget(label: str, meaning: str, schema: dict[str, Any]) -> Any:
        if "boolean" in schema["type"]:
            return BooleanField(lazy_gettext(label), description=meaning, default=schema["default"])
        if "integer" in schema["type"]:
            validators = [Optional(), NumberRange(min=schema["minimum"])]
            return IntegerField(
                lazy_gettext(label), widget=BS3TextFieldWidget(), description=meaning, validators=validators
            )
        if schema.get("format") == "password":
            return PasswordField(lazy_gettext(label), widget=BS3PasswordFieldWidget(), description=meaning)
        return StringField(lazy_gettext(label), widget=BS3TextFieldWidget(), description=meaning)

    return {name: widget(*spec) for name, spec in EXTRA_FIELDS.items()}
