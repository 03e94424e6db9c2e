"""Answers before they go on the wire: pages of events, the vendor's errors, the router's and the proxy's."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from html import escape
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from airflow_provider_honeyhive.sandbox.faults import HTML

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

JSON_TYPE = {"Content-Type": "application/json; charset=utf-8"}
HTML_TYPE = {"Content-Type": "text/html; charset=utf-8"}

EXPRESS_404 = (
    '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Error</title>\n</head>\n'
    "<body>\n<pre>Cannot {method} {path}</pre>\n</body>\n</html>\n"
)
ERROR_CODES = {400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND"}


@dataclass(frozen=True)
class Answer:
    """Status, headers and body of one HTTP answer, and how many events it carries."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=lambda: JSON_TYPE)
    event_count: int = 0


class Refusal(Exception):  # noqa: N818 - it is an answer on its way, not a defect
    """The server says no: becomes the vendor's JSON error."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message

    def answer(self) -> Answer:
        """Return the vendor's JSON error."""
        return Answer(
            self.status,
            dump_json(
                {
                    "statusCode": self.status,
                    "message": self.message,
                    "success": False,
                    "errorCode": ERROR_CODES.get(self.status, "ERROR"),
                }
            ),
        )


def dump_json(value: Any) -> bytes:
    """Serialize compactly, as a JavaScript server does; half an emoji becomes an escape, not bad UTF-8."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def page_answer(events: Sequence[bytes], total: bytes | None, total_key: str, *, pretty: bool) -> Answer:
    """Join events that are JSON already into an answer.

    :param total: JSON of the number beside the events; ``None``: no such key.
    """
    tail = b"]" if total is None else b'],"' + total_key.encode() + b'":' + total
    body = b"".join((b'{"events":[', b",".join(events), tail, b"}"))
    return Answer(200, indented(body) if pretty else body, event_count=len(events))


def no_route(style: str, method: str, path: str, *, path_exists: bool) -> Answer:
    """Answer as the router does for a route, or a method, that it does not have.

    :param style: :attr:`.Behaviour.router_404`.
    :param path_exists: whether another method would have found the path.
    """
    if style == "nest":
        message = {"message": f"Cannot {method} {path}", "error": "Not Found", "statusCode": 404}
        return Answer(404, dump_json(message))
    if style == "vendor":
        return Refusal(404, "Not found").answer()
    if style == "gateway" and path_exists:
        return Answer(405, dump_json({"message": "Method Not Allowed"}), {**JSON_TYPE, "Allow": "POST"})
    if style == "gateway":
        return Answer(404, dump_json({"message": "Not Found"}))
    return Answer(404, EXPRESS_404.format(method=method, path=escape(path)).encode(), HTML_TYPE)


def proxy_error(status: int) -> Answer:
    """Answer as the proxy in front does when an answer is too much for it."""
    try:
        title = f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        title = f"{status} Error"
    return Answer(status, HTML.format(title).encode(), HTML_TYPE)


TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+|"', re.DOTALL)


def indented(body: bytes) -> bytes:
    """Indent JSON without parsing it: numbers, escapes and duplicate keys stay as they are."""
    out: list[bytes] = []
    depth = 0
    empty = True
    for match in TOKEN.finditer(body):
        token = match[0]
        if token in b"}]":
            depth -= 1
            if not empty:
                out.append(b"\n" + b"  " * depth)
        elif empty and depth:
            out.append(b"\n" + b"  " * depth)
        empty = token in b"{["
        depth += empty
        out.append(token)
        if token == b",":
            out.append(b"\n" + b"  " * depth)
        elif token == b":":
            out.append(b" ")
    return b"".join(out)
