"""JSON texts as values and back without losing a digit, and members by dotted names, nested or flat."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

# Decimal keeps numbers as they were written: the arguments of a tool's call go out as they came in.
_decode = msgspec.json.Decoder(float_hook=Decimal).decode

#: Returns a value of :func:`json_value` as JSON in UTF-8, in its shortest form.
json_bytes = msgspec.json.Encoder(decimal_format="number").encode

#: What decoding and encoding raise: no JSON, exponents beyond all bounds, nested too deeply.
_FAILURES = (msgspec.MsgspecError, ValueError, ArithmeticError, RecursionError)


def json_value(text: str | None) -> Any:
    """Return the value of a JSON text; None also for a text that is no JSON, and for no text."""
    if not text:
        return None
    try:
        return _decode(text)
    except _FAILURES:
        return None


def json_text(value: Any) -> str:
    """Return the same as a text."""
    return json_bytes(value).decode()


def member(value: Any, path: str) -> Any:
    """Return what a dotted name leads to, however much of it is one key and however much is nested; None: nothing.

    OpenTelemetry's attributes come as ``{"gen_ai.prompt.0.role": …}``, as ``{"gen_ai": {"prompt": [{"role": …}]}}``,
    and as mixtures of the two.
    """
    if not isinstance(value, dict):
        return None
    found = value.get(path)
    at = path.find(".")
    while found is None and at >= 0:
        found = member(value.get(path[:at]), path[at + 1 :])
        at = path.find(".", at + 1)
    return found if found is not None else _flat_below(value, f"{path}.")


def _flat_below(value: dict[str, Any], prefix: str) -> Any:
    below = {name[len(prefix) :]: each for name, each in value.items() if name.startswith(prefix)}
    return unflattened(below) if below else None


def unflattened(value: dict[str, Any]) -> dict[str, Any]:
    """Return an object whose keys with dots are objects in objects; what its values hold stays as it is.

    Objects that are made so are lists where their keys are the numbers from zero: ``{"content.0.text": …}`` is
    ``{"content": [{"text": …}]}``.
    """
    if not any("." in name for name in value):
        return value
    root: dict[str, Any] = {}
    owned = {id(root)}
    made: list[tuple[dict[str, Any], str, dict[str, Any]]] = []
    for name, each in value.items():
        at = root
        *way, last = name.split(".")
        for step in way:
            below = at.get(step)
            if not isinstance(below, dict):
                below = at[step] = {}
                made.append((at, step, below))
            elif id(below) not in owned:
                # What came as a value is not changed: it is copied.
                below = at[step] = dict(below)
            owned.add(id(below))
            at = below
        at[last] = each
    for at, step, below in reversed(made):
        if at.get(step) is below:
            at[step] = elements(below) or below
    return root


def elements(value: Any) -> list[Any] | None:
    """Return the elements of a list, also of one with numbers for keys or in a JSON text; None: it is no list."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = json_value(value)
    if isinstance(value, dict) and value:
        numbers = [str(number) for number in range(len(value))]
        value = [value[number] for number in numbers] if value.keys() == set(numbers) else None
    return value if isinstance(value, list) else None


def opened(value: Any) -> Any:
    """Return a list or an object also where it comes as the JSON text of one; everything else stays as it is.

    OpenTelemetry's attributes are no objects, so its libraries write what is one as a JSON text.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("[", "{"):
        inner = json_value(value)
        return value if inner is None else inner
    return value
