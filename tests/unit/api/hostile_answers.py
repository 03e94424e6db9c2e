"""Answers of servers that mean harm, or are broken: by name, and drawn at random."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass
from functools import cache
from itertools import repeat

import zstandard
from hypothesis import strategies as st

from .hostile_server import Answer

MIB = 1024 * 1024

#: Of an event that belongs into any window of the tests.
NOON = 1_795_348_800_000

EVENT = {"event_id": "event-0", "project": "demo", "start_time": NOON, "event_type": "model"}

PAGE = json.dumps({"events": [EVENT], "totalEvents": 1}).encode()


def head(*headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a status line and headers."""
    return b"".join((b"HTTP/1.1 ", status, b"\r\n", *(one + b"\r\n" for one in headers), b"\r\n"))


def sized(body: bytes, *headers: bytes, status: bytes = b"200 OK") -> bytes:
    """Return a response whose length is told."""
    return head(*headers, b"Content-Length: %d" % len(body), status=status) + body


def chunk(body: bytes) -> bytes:
    """Return a chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(body), body)


CHUNKED = b"Transfer-Encoding: chunked"
GZIP = b"Content-Encoding: gzip"
HERE = b"Location: /v1/events/export"
REDIRECT = b"307 Temporary Redirect"
REFUSED = b"400 Bad Request"


@cache
def bomb(times: int = 1, size: int = 100 * MIB) -> bytes:
    """Return zeros, compressed so many times, one within the other."""
    packer = zlib.compressobj(9, wbits=31)
    block = bytes(MIB)
    data = b"".join([*(packer.compress(block) for _ in range(size // MIB)), packer.flush()])
    for _ in range(times - 1):
        data = gzip.compress(data)
    return data


@dataclass(frozen=True)
class Body:
    """A body of any size that takes little memory here: a beginning, something again and again, an end."""

    begin: bytes
    again: bytes = b""
    times: int = 1
    end: bytes = b""

    @classmethod
    def of_size(cls, size: int, begin: bytes, again: bytes, end: bytes) -> Body:
        """Return a body of about so many bytes."""
        block = again * max(1, min(size, 64 * 1024) // len(again))
        return cls(begin, block, max(1, size // len(block)), end)

    def __bytes__(self) -> bytes:
        return self.begin + self.again * self.times + self.end

    def answer(self) -> Answer:
        """Return a response with it."""
        length = len(self.begin) + len(self.again) * self.times + len(self.end)
        return Answer(head(b"Content-Length: %d" % length) + self.begin, self.again, times=self.times, last=self.end)

    def compressed(self) -> Answer:
        """Return a response with it, compressed."""
        packer = zlib.compressobj(1, wbits=31)
        blocks = (self.begin, *repeat(self.again, self.times), self.end)
        return Answer(sized(b"".join([*map(packer.compress, blocks), packer.flush()]), GZIP))


def framings() -> dict[str, Answer]:
    """Return answers that break the rules by which bodies begin and end."""
    page, length = PAGE, b"Content-Length: %d" % len(PAGE)
    return {
        "right": Answer(sized(page)),
        "right, in chunks": Answer(head(CHUNKED) + chunk(page[:9]) + chunk(page[9:]) + b"0\r\n\r\n"),
        "right, in chunks of a byte": Answer(
            head(CHUNKED) + b"".join(chunk(page[at : at + 1]) for at in range(len(page))) + b"0\r\n\r\n"
        ),
        "right, until the end of the connection": Answer(head() + page, then="close"),
        "right, compressed": Answer(sized(gzip.compress(page), GZIP)),
        "right, compressed in chunks": Answer(head(CHUNKED, GZIP) + chunk(gzip.compress(page)) + b"0\r\n\r\n"),
        "right, compressed in members": Answer(sized(gzip.compress(page[:9]) + gzip.compress(page[9:]), GZIP)),
        "right, after an interim response": Answer(head(status=b"100 Continue") + sized(page)),
        "right, the length twice": Answer(head(length, length) + page),
        "nothing": Answer(b"", then="close"),
        "reset": Answer(b"", then="reset"),
        "silence": Answer(b"", then="hang"),
        "half a status line": Answer(b"HTTP/1.", then="close"),
        "no HTTP": Answer(b"\x00\xff\x15\x03\x01" * 40 + b"\r\n", then="close"),
        "a status line without end": Answer(b"HTTP/1.1 200 ", b"x" * 65_536),
        "a status of text": Answer(head(status=b"OK") + page, then="close"),
        "a status of four digits": Answer(head(status=b"2000 OK") + page, then="close"),
        "another version": Answer(b"HTTP/9.9 200 OK\r\n\r\n" + page, then="close"),
        "another protocol": Answer(b"ICY 200 OK\r\n\r\n" + page, then="close"),
        "a length that is short": Answer(head(b"Content-Length: 9") + page),
        "a length that is long": Answer(head(b"Content-Length: 999") + page, then="close"),
        "a length that is long, and silence": Answer(head(b"Content-Length: 999") + page, then="hang"),
        "a length below zero": Answer(head(b"Content-Length: -1") + page, then="close"),
        "a huge length": Answer(head(b"Content-Length: 1000000000000") + page, then="close"),
        "a length of 5,000 digits": Answer(head(b"Content-Length: " + b"9" * 5_000) + page, then="close"),
        "a length of text": Answer(head(b"Content-Length: many") + page, then="close"),
        "two lengths": Answer(head(b"Content-Length: 9", length) + page, then="close"),
        "a length and chunks": Answer(head(length, CHUNKED) + chunk(page) + b"0\r\n\r\n"),
        "a chunk's size below zero": Answer(head(CHUNKED) + b"-5\r\n" + page, then="close"),
        "a chunk's size of text": Answer(head(CHUNKED) + b"many\r\n" + page, then="close"),
        "a huge chunk": Answer(head(CHUNKED) + b"f" * 16 + b"\r\n" + page, then="close"),
        "a chunk's size without end": Answer(head(CHUNKED), b"0" * 65_536),
        "a chunk's extension without end": Answer(head(CHUNKED) + b"5;", b"x" * 65_536),
        "chunks that stop": Answer(head(CHUNKED) + chunk(page[:9]), then="close"),
        "chunks without the last": Answer(head(CHUNKED) + chunk(page), then="close"),
        "trailers without end": Answer(head(CHUNKED) + chunk(page) + b"0\r\n", b"X-Trailer: x\r\n" * 1_000),
        "an unknown transfer encoding": Answer(head(b"Transfer-Encoding: gzip, chunked") + chunk(page), then="close"),
        "no content": Answer(head(status=b"204 No Content")),
        "not modified": Answer(head(status=b"304 Not Modified")),
        "partial content": Answer(sized(page, status=b"206 Partial Content")),
        "early hints, and no more": Answer(head(status=b"103 Early Hints")),
        "early hints": Answer(head(status=b"103 Early Hints") + sized(page)),
        "a switch of protocols": Answer(head(status=b"101 Switching Protocols"), then="hang"),
        "interim responses without end": Answer(b"", head(status=b"100 Continue") * 100),
        "interim responses that drip": Answer(b"", head(status=b"100 Continue"), pause=0.05),
        "more bytes than were told": Answer(sized(page) + page * 1_000),
    }


def heads() -> dict[str, Answer]:
    """Return answers with odd headers."""
    return {
        "a cookie": Answer(sized(PAGE, *(b"Set-Cookie: c%d=%b" % (n, b"x" * 3_000) for n in range(15)))),
        "many headers": Answer(sized(PAGE, *(b"X-%d: x" % n for n in range(5_000)))),
        "a long header": Answer(sized(PAGE, b"X-Long: " + b"x" * 200_000)),
        "many long headers": Answer(sized(PAGE, *(b"X-%d: %b" % (n, b"x" * 60_000) for n in range(90)))),
        "headers without end": Answer(b"HTTP/1.1 200 OK\r\n", b"X-More: x\r\n" * 1_000),
        "a header without end": Answer(b"HTTP/1.1 200 OK\r\nX-Long: ", b"x" * 65_536),
        "a folded header": Answer(sized(PAGE, b"X-Folded: a", b" b", b"\tc")),
        "a header without a colon": Answer(sized(PAGE, b"No colon \x1b[31m\xff here"), then="close"),
        "headers that are no ASCII": Answer(
            sized(PAGE, "X-Ü: ü\u202e".encode(), b"Content-Type: \xff\xfe"), then="close"
        ),
        "a content type of parts": Answer(sized(PAGE, b"Content-Type: multipart/mixed; boundary=x")),
        "an odd charset": Answer(sized(PAGE, b"Content-Type: application/json; charset")),
        "an odd Retry-After": Answer(
            sized(b"", b"Retry-After: Mon, 01 Jan 2024 00:00:00 +99999999999999999999", status=b"503 Busy")
        ),
    }


def encodings() -> dict[str, Answer]:
    """Return answers that are encoded: truly, falsely, and to swell."""
    empty = gzip.compress(b"")
    return {
        "gzip that is none": Answer(sized(PAGE, GZIP)),
        "gzip that stops": Answer(sized(gzip.compress(PAGE)[:-12], GZIP)),
        "gzip with a wrong checksum": Answer(sized(gzip.compress(PAGE)[:-8] + bytes(8), GZIP)),
        "gzip, and more behind it": Answer(sized(gzip.compress(PAGE) + b"more", GZIP)),
        "gzip of nothing, again and again": Answer(head(GZIP), empty * 3_000),
        "a bomb": Answer(sized(bomb(), GZIP)),
        "a bomb within a bomb": Answer(sized(bomb(2), b"Content-Encoding: gzip, gzip")),
        "encodings without end": Answer(sized(bomb(2), b"Content-Encoding: " + b"gzip, " * 5_000 + b"gzip")),
        "deflate": Answer(sized(zlib.compress(PAGE), b"Content-Encoding: deflate")),
        "a bomb of deflate": Answer(sized(zlib.compress(bytes(100 * MIB)), b"Content-Encoding: deflate")),
        "zstd": Answer(sized(zstandard.compress(PAGE), b"Content-Encoding: zstd")),
        "a bomb of zstd": Answer(sized(zstandard.compress(bytes(100 * MIB)), b"Content-Encoding: zstd")),
        "br": Answer(sized(PAGE, b"Content-Encoding: br")),
        "an unknown encoding": Answer(sized(PAGE, b"Content-Encoding: \xff")),
    }


def refusals() -> dict[str, Answer]:
    """Return answers that say no, or elsewhere, in many words."""
    return {
        "a refusal of many MB": Answer(
            head(b"Content-Length: 30000003", status=REFUSED) + b"[", b"[]," * 10_000, times=1_000, last=b"1]"
        ),
        "a refusal without end": Answer(head(CHUNKED, status=REFUSED), chunk(b"x" * 65_536)),
        "a refusal that drips": Answer(head(CHUNKED, status=REFUSED), chunk(b"x"), pause=0.05),
        "a refusal that is a bomb": Answer(sized(bomb(), GZIP, status=REFUSED)),
        "a refusal encoded otherwise": Answer(sized(b"no", b"Content-Encoding: br", status=REFUSED)),
        "a refusal that stops": Answer(head(b"Content-Length: 99", status=REFUSED) + b"no", then="close"),
        "a redirect in a circle": Answer(sized(b"", HERE, status=REDIRECT)),
        "a redirect to many places": Answer(sized(b"", HERE, HERE, status=REDIRECT)),
        "a redirect to no URL": Answer(sized(b"", b"Location: http://[::1", status=REDIRECT)),
        "a redirect to an odd path": Answer(sized(b"", b"Location: /\x01\xff%zz?#\\", status=REDIRECT)),
        "a redirect to a long path": Answer(sized(b"", b"Location: /" + b"x" * 60_000, status=REDIRECT)),
        "a redirect to nowhere": Answer(sized(b"", status=REDIRECT)),
        "a redirect that is a bomb": Answer(sized(bomb(), GZIP, HERE, status=REDIRECT)),
        "a redirect without end": Answer(head(CHUNKED, HERE, status=REDIRECT), chunk(b"x" * 65_536)),
        "redirects that are slow": Answer(head(b"Content-Length: 3", HERE, status=REDIRECT), b"x", pause=0.04, times=3),
        "a redirect that drips": Answer(head(b"Content-Length: 999", HERE, status=REDIRECT), b"x", pause=0.05),
        "a failure without end": Answer(head(status=b"500 No"), b"x" * 65_536),
    }


def drips() -> dict[str, Answer]:
    """Return answers that never end, and never fall silent for long either."""
    return {
        "a status line that drips": Answer(b"HTTP/1.1 200 ", b"x", pause=0.05),
        "headers that drip": Answer(b"HTTP/1.1 200 OK\r\nX: ", b"x", pause=0.05),
        "a body that drips, with a length": Answer(head(b"Content-Length: 100000"), b" ", pause=0.05),
        "a body that drips, without": Answer(head(), b" ", pause=0.05),
        "chunks that drip": Answer(head(CHUNKED), chunk(b" "), pause=0.05),
        "a large chunk that drips": Answer(head(CHUNKED) + b"fffff\r\n", b" ", pause=0.05),
        "a chunk's size that drips": Answer(head(CHUNKED), b"0", pause=0.05),
        "trailers that drip": Answer(head(CHUNKED) + chunk(PAGE) + b"0\r\n", b"X: x\r\n", pause=0.05),
        "gzip that drips": Answer(head(GZIP) + bomb()[:64], bytes(1), pause=0.05),
        "gzip members that drip": Answer(head(GZIP), gzip.compress(b""), pause=0.05),
    }


#: Bytes of the bodies below: as many as a page may have with four readers.
LARGE = 40_000_000


def bodies(size: int = LARGE) -> dict[str, Body]:
    """Return bodies that are no page of events, or one that costs much to read.

    :param size: of those that cost much.
    """
    time = b'"start_time":%d' % NOON

    # What costs time for each bracket or name, rather than memory, has a tenth of the bytes.
    def events(element: bytes) -> Body:
        return Body.of_size(size, b'{"events":[', element + b",", element + b"]}")

    def beside(begin: bytes, again: bytes, end: bytes) -> Body:
        return Body.of_size(size, b'{"events":[],' + begin, again, end)

    def text(again: bytes, begin: bytes = b"") -> Body:
        return Body.of_size(size, b'{"events":[{' + begin + b'"event_id":"', again, b'",' + time + b"}]}")

    return {
        "no JSON": Body(b"<html>\x1b[2J\xe2\x80\xae</html>"),
        "nothing": Body(b""),
        "half a page": Body(PAGE[:-9]),
        "a page and more": Body(PAGE * 2),
        "a page in UTF-16": Body(PAGE.decode().encode("utf-16")),
        "no UTF-8": Body(b"\xff\xfe" * 99),
        "events in no list": Body(b'{"events":{}}'),
        "events of numbers": Body(b'{"events":[1,2]}'),
        "another name for each event": Body(b'{"data":[' + PAGE + b"]}"),
        "a total beyond all bounds": Body(b'{"events":[],"totalEvents":1' + b"0" * 400 + b"}"),
        "a total that is no number": Body(b'{"events":[],"totalEvents":NaN,"count":-1}'),
        "an integer of 5,000 digits": Body(b'{"events":[{"event_id":' + b"9" * 5_000 + b"," + time + b',"x":NaN}]}'),
        "a time of 5,000 digits": Body(b'{"events":[{"event_id":"e","start_time":' + b"9" * 5_000 + b"}]}"),
        "half a surrogate": Body(b'{"events":[{"event_id":"\\ud83d",' + time + b"}]}"),
        "deep": Body.of_size(size // 10, b'{"events":[{"a":', b"[", b""),
        "deep, in no list": Body.of_size(size, b"", b"[", b""),
        "more events than were asked for": events(b"{}"),
        "more events with a time": events(b"{" + time + b"}"),
        "lists for events": events(b"[]"),
        "numbers for events": events(b"1"),
        "nulls for events": events(b"null"),
        "no numbers for events": events(b"NaN"),
        "objects beside the events": beside(b'"x":[', b"{},", b"{}]}"),
        "lists beside the events": beside(b'"x":[', b"[],", b"NaN]}"),
        "names beside the events": Body.of_size(size // 10, b'{"events":[],', b'"x":{"x":1},', b'"y":NaN}'),
        "one long text": text(b"x"),
        "one long text of four bytes each": text("\U0001f600".encode(), b'"x":NaN,'),
        "one long text with line breaks": text(b"\n\r\t"),
        "one long number": Body.of_size(size, b'{"events":[{"event_id":', b"9", b"," + time + b"}]}"),
        "white space": Body.of_size(size, b"", b" ", PAGE),
    }


@cache
def corpus(size: int = LARGE) -> dict[str, Answer]:
    """Return all answers by name.

    :param size: bytes of the bodies that cost much.
    """
    answers = {**framings(), **heads(), **encodings(), **refusals(), **drips()}
    for name, body in bodies(size).items():
        answers[f"body: {name}"] = body.answer()
        answers[f"compressed body: {name}"] = body.compressed()
    return answers


# ---------------------------------------------------------------------------------------------- drawn at random

_STATUSES = (
    b"200 OK,200 ,100 Continue,102 x,204 No,307 x,302 x,304 x,400 x,401 x,404 x,413 x,429 x,500 x,503 x,999 x,2 x,,"
    b"\xff\xff \x00"
)

_NAMES = (
    b"Content-Length,Transfer-Encoding,Content-Encoding,Connection,Keep-Alive,Content-Type,Location,Retry-After,"
    b"Set-Cookie,Trailer,Content-Range,Upgrade,,X"
)

_texts = st.one_of(st.binary(max_size=30), st.sampled_from([b"chunked", b"gzip", b"close", b"-1", b"9" * 4_301, b"3"]))


@st.composite
def _header(draw: st.DrawFn) -> bytes:
    if draw(st.booleans()):
        return (
            draw(st.sampled_from(_NAMES.split(b","))) + draw(st.sampled_from([b": ", b":", b" :", b""])) + draw(_texts)
        )
    return draw(st.sampled_from([b"X: " + b"y" * 70_000, b" folded", b"\x00", HERE, CHUNKED, GZIP]))


@st.composite
def _bodies(draw: st.DrawFn) -> bytes:
    body = draw(
        st.sampled_from([bytes(one) for one in bodies(3_000).values()]) | st.binary(max_size=100) | st.just(PAGE)
    )
    cut = draw(st.integers(0, len(body)) | st.just(len(body)))
    return body[:cut]


@st.composite
def _framed(draw: st.DrawFn, body: bytes) -> tuple[list[bytes], bytes]:
    """Return headers and bytes of a body, which may fit."""
    kind = draw(st.sampled_from(["length", "chunks", "end", "none"]))
    if kind == "length":
        off = draw(st.sampled_from([0, 0, 0, -1, 1, 10**12, -len(body) - 1]))
        return [b"Content-Length: %d" % (len(body) + off)], body
    if kind == "chunks":
        size = draw(st.integers(1, 100))
        pieces = [chunk(body[at : at + size]) for at in range(0, len(body), size)]
        last = draw(st.sampled_from([b"0\r\n\r\n", b"0\r\n\r\n", b"0;x\r\nT: t\r\n\r\n", b"", b"-1\r\n", b"zz\r\n"]))
        return [CHUNKED], b"".join(pieces) + last
    return [], body if kind == "end" else b""


@st.composite
def drawn_answers(draw: st.DrawFn) -> Answer:
    """Draw an answer: often one of the above, or nearly right, or nothing that makes sense."""
    if draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([*framings().values(), *heads().values(), *drips().values()]))
    body = draw(_bodies())
    headers = draw(st.lists(_header(), max_size=4))
    if draw(st.booleans()):
        coded = gzip.compress(body)
        body = coded[: draw(st.integers(0, len(coded)) | st.just(len(coded)))]
        headers.append(GZIP)
    framing, body = draw(_framed(body))
    headers += framing
    interim = draw(st.sampled_from([b"", b"", head(status=b"100 Continue"), head(status=b"102 Processing")]))
    raw = interim + head(*headers, status=draw(st.just(b"200 OK") | st.sampled_from(_STATUSES.split(b",")))) + body
    if draw(st.integers(0, 3)) == 0:
        at = draw(st.integers(0, len(raw)))
        raw = raw[:at] + draw(st.binary(max_size=5)) + raw[at + draw(st.integers(0, 5)) :]
    again = draw(st.sampled_from([b"", b"", b"", b"x", b"\r\n", b"0", chunk(b"x"), b"{},"]))
    then = draw(st.sampled_from(["keep", "close", "close", "reset", "hang"]))
    return Answer(raw, again, draw(st.sampled_from([0.0, 0.02])), then=then)
