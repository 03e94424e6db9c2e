"""Scripted faults: what one request meets instead of, or on top of, its answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

HTML = "<html>\r\n<head><title>{0}</title></head>\r\n<body>\r\n<center><h1>{0}</h1></center>\r\n</body>\r\n</html>\r\n"


@dataclass(frozen=True)
class Fault:
    """One fault. The class methods below make the usual ones; all can be made from the fields.

    :param kind: ``none`` answers as usual (after ``delay``, over ``drip``, without ``lose`` events), ``empty``
        answers as if there were no events, ``answer`` sends the fields below, ``reset`` resets the connection
        before any byte, ``cut`` promises the whole body and closes after ``cut_at`` of it, ``chunked_cut`` does
        so in chunked encoding, ``half_json`` answers 200 with the first half of the JSON and a
        ``Content-Length`` that fits it.
    :param status: of an ``answer``.
    :param headers: more headers of an ``answer``; they win over the sandbox's own.
    :param body: of an ``answer``: bytes and text as they are, anything else as JSON.
    :param cut_at: share of the body sent, 0 to 1.
    :param delay: seconds before the answer.
    :param drip: seconds over which the body is sent, in small pieces.
    :param lose: so many events are missing in the answer, anywhere but at its ends; its total counts them.
    """

    kind: Literal["none", "empty", "answer", "reset", "cut", "chunked_cut", "half_json"] = "none"
    status: int = 500
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = b""
    cut_at: float = 0.5
    delay: float = 0.0
    drip: float = 0.0
    lose: int = 0

    @classmethod
    def answer(
        cls,
        status: int,
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        retry_after: float | str | None = None,
    ) -> Fault:
        """Answer with any status; without a body, the vendor's JSON error for it.

        :param body: bytes or text as they are, anything else as JSON.
        :param retry_after: value of ``Retry-After``: seconds or an HTTP date.
        """
        extra = {} if retry_after is None else {"Retry-After": str(retry_after)}
        vendor = {
            "statusCode": status,
            "message": f"Scripted fault {status}",
            "success": False,
            "errorCode": "SCRIPTED_FAULT",
        }
        return cls("answer", status, {**extra, **(headers or {})}, vendor if body is None else body)

    @classmethod
    def html(cls, status: int, title: str | None = None, *, headers: Mapping[str, str] | None = None) -> Fault:
        """Answer as a proxy does: a page of HTML, with any status (200 too)."""
        page = HTML.format(f"{status} {title or 'Error'}")
        return cls("answer", status, {"Content-Type": "text/html", **(headers or {})}, page)

    @classmethod
    def redirect(cls, location: str, status: int = 307) -> Fault:
        """Send the client elsewhere."""
        return cls("answer", status, {"Location": location}, b"")

    @classmethod
    def reset(cls) -> Fault:
        """Reset the connection (RST) before any byte of the answer."""
        return cls("reset")

    @classmethod
    def cut(cls, at: float = 0.5) -> Fault:
        """Promise the whole body and close after the share ``at`` of it."""
        return cls("cut", cut_at=at)

    @classmethod
    def chunked_cut(cls, at: float = 0.5) -> Fault:
        """Send the body in chunks and close after the share ``at`` of it, without the last chunk."""
        return cls("chunked_cut", cut_at=at)

    @classmethod
    def half_json(cls) -> Fault:
        """Answer 200 and half of the JSON, complete as far as HTTP can tell."""
        return cls("half_json")

    @classmethod
    def empty(cls) -> Fault:
        """Answer as if there were no events: none, and a total of 0."""
        return cls("empty")

    @classmethod
    def losing(cls, count: int) -> Fault:
        """Answer as usual, but without some events; the total and the events at both ends are right."""
        return cls(lose=count)

    @classmethod
    def delayed(cls, seconds: float) -> Fault:
        """Answer as usual, after a wait."""
        return cls(delay=seconds)

    @classmethod
    def dripping(cls, seconds: float) -> Fault:
        """Answer as usual, the body trickling in over some seconds."""
        return cls(drip=seconds)
