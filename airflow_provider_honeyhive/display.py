"""The one door for texts on their way to a log, an error or a terminal.

Servers, stores, folders and other tasks decide what their names and messages hold: line breaks that forge a line,
escapes that a terminal obeys, marks that turn the direction of writing, a key that is said back. So whatever is
shown goes through here: the texts of all errors of this package, the arguments of its log lines, what Airflow shows of
an export, and what the command line prints.
"""

from __future__ import annotations

import json
import logging
import re
import sys
import traceback
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TextIO


#: Most characters of one argument of a log line, and of one error or line of output.
LONGEST_ARGUMENT, LONGEST_ERROR = 2_000, 10_000

#: Most characters of one value within an error, so that what to do about it is still read.
LONGEST_VALUE = 200

#: Most texts that one message lists.
MOST_LISTED = 20

#: Characters beyond the last one that is shown in which the end of a secret is looked for.
_BEYOND = 4_096

HIDDEN = "***"

#: Most escapes of one character, one around the other, that are seen through.
_MOST_ESCAPES = 16

#: A secret of fewer characters cannot be told from a word.
_SHORTEST_SECRET = 5

#: Names of values that are secrets, in whatever comes before an equals sign or stands in JSON.
_NAMES = (
    r"sig|signature|(?:x-)?(?:amz|goog)-[\w\x2d]{1,60}|awsaccesskeyid|googleaccessid|credential|"
    r"shared-?access-?signature|sas-?token|upload-?id|passw(?:or)?d|pwd|secret|token|authorization|"
    r"(?:account|access|api|secret|private|shared-?access|secret-?access)-?key(?:-id)?|connection-?string"
).replace("-", "[-_]")

_NOT_IN_URL = r"\s'\"<>"

#: What holds a secret by its shape: a character that each such text has, if there is one, a pattern, and what is shown
#: of it. ``KEY`` is the word that our own texts have in its place.
_SHAPES: tuple[tuple[str, str, str], ...] = (
    # A user and a password before a host; a password may hold @ or /, but is no port.
    (
        "@",
        rf"//[^{_NOT_IN_URL}/@:?#]{{0,200}}:(?!KEY@|\d{{1,5}}(?![^{_NOT_IN_URL}/?#]))"
        rf"(?:[^{_NOT_IN_URL}/]{{0,500}}@|[^{_NOT_IN_URL}@]{{0,500}}@)",
        f"//{HIDDEN}@",
    ),
    # A token before a host. (In abfs://container@account it would be no secret.)
    ("@", rf"(?i)(https?://)[^{_NOT_IN_URL}/@:?#]{{1,500}}@", rf"\1{HIDDEN}@"),
    # The query of a signed URL, and the token of an upload.
    ("?", rf"(?i)(https?://[^{_NOT_IN_URL}?]{{0,2000}}\?)[^{_NOT_IN_URL}]+", rf"\1{HIDDEN}"),
    ("=", rf"(?i)(?<![a-z0-9])((?:{_NAMES})=)[^\s&'\";,]+", rf"\1{HIDDEN}"),
    # JSON or Python's own, quoted once more or not.
    (
        ":",
        rf"(?is)(['\"](?:[\w-]{{0,50}}[-_])?(?:{_NAMES})\\{{0,8}}['\"]\s{{0,9}}:\s{{0,9}}(\\{{0,8}})(['\"]))"
        r"(?:(?!\2\3)(?:\\.|[^\\]))+",
        rf"\1{HIDDEN}",
    ),
    # A word after the name of the scheme is no secret: those hold digits or such marks.
    (
        "",
        rf"(?i)(\b(?:bearer|basic|sharedkey\w{{0,9}})\s{{1,9}})(?=[^{_NOT_IN_URL}]{{0,500}}[\d_=])[^{_NOT_IN_URL},;]+",
        rf"\1{HIDDEN}",
    ),
)

#: Secrets of this process.
_secrets: dict[str, None] = {}

#: One of these is in each escape of a character.
_ESCAPES = re.compile(r"[\\%&]")


# -------------------------------------------------------------------------------------------------- one text


def shown(text: object, longest: int = LONGEST_ARGUMENT) -> str:
    """Return a text on one line, without secrets: what does not print is escaped, the rest of a long one left out.

    Left out are the secrets that :func:`hide` was told of, and what is a secret by its shape, such as the signature of
    a URL or a password before a host.

    :param text: anything; an object is turned into its text.
    :param longest: most characters, the mark of what is left out included.
    """
    text = ". ".join(lines_of(text))
    head = text[: longest + _BEYOND]
    cut = _without_secrets(head)
    if len(head) < len(text) and len(cut) <= longest:
        # It may end in the middle of a secret, which holds no space.
        cut = f"{cut[: cut.rfind(' ') + 1]}…"
    # Escapes make it longer only: what is cut here would be cut below.
    cut = cut[: longest + 1]
    if not cut.isprintable():
        cut = "".join(one if one.isprintable() else _escaped(one) for one in cut)
    return cut if len(cut) <= longest else f"{cut[: longest - 1]}…"


def quoted(value: object) -> str:
    """Return a value for the middle of a message, in quotes where it is a text: short, as :func:`shown` shows it."""
    return shown(repr(value), LONGEST_VALUE)


def lines_of(text: object) -> tuple[str, ...]:
    """Return a text in lines of our own making: those of an error of this package; anything else is one line.

    What others wrote never makes a line: its line breaks are escaped when a line is shown.
    """
    lines = getattr(text, "lines", None)
    return lines if isinstance(lines, tuple) else (str(text),)


def described(error: BaseException) -> str:
    """Return an error as its type and its text, on one line, as :func:`shown` shows it."""
    return ". ".join(described_in_lines(error))


def described_in_lines(error: BaseException) -> tuple[str, ...]:
    """Return an error as its type and its text: what is wrong and what to do, then facts on lines of their own."""
    first, *facts = lines_of(error)
    return tuple(shown(line, LONGEST_ERROR) for line in (f"{type(error).__name__}: {first}", *facts))


def place_of(error: BaseException) -> str:
    """Return where an error was raised, innermost last: files, lines and functions, and nothing of what they held."""
    frames = traceback.StackSummary.extract(traceback.walk_tb(error.__traceback__), lookup_lines=False)
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in frames[-8:])


def listed(texts: Sequence[str], separator: str = "; ", most: int = MOST_LISTED) -> str:
    """Return texts as one, which is still read where they are many.

    :param texts: that belong into one message.
    :param separator: between two of them.
    :param most: of them; the rest is counted.
    """
    more = len(texts) - most
    return separator.join(texts[:most]) + (f"{separator}and {more:,} more" if more > 0 else "")


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


# --------------------------------------------------------------------------------------------------- secrets


def hide(secret: str | None) -> None:
    """Let nothing that is shown in this process hold a secret from now on, in whatever spelling a server says it back.

    For good, since an error is shown when the client that met it is long gone.

    :param secret: ASCII, such as the API key; None, or a text too short to be one, hides nothing.
    """
    if secret is not None and len(secret) >= _SHORTEST_SECRET:
        _secrets[secret] = None


def _without_secrets(text: str) -> str:
    has_escapes = _ESCAPES.search(text) is not None
    # A copy, since another thread may hide one more.
    for secret in tuple(_secrets):
        text = _spelled(secret).sub(HIDDEN, text) if has_escapes else text.replace(secret, HIDDEN)
    for mark, shape, replacement in _SHAPES:
        if mark in text:
            text = _compiled(shape).sub(replacement, text)
    return text


#: Compiled when the first text needs it: that takes a while, and most processes show few kinds of texts.
_compiled = cache(re.compile)


@cache
def _spelled(secret: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spellings, secret)))


def _spellings(character: str) -> str:
    """Return a pattern for one character as it is, or escaped in JSON, a URL or HTML."""
    number = ord(character)
    # Counted, so that a text of nothing but escapes is no work without end.
    escapes: Iterable[str] = (
        rf"\\{{1,{_MOST_ESCAPES}}}(?i:u{number:04x}|x{number:02x})",
        rf"\\{{1,{_MOST_ESCAPES}}}{re.escape(character)}",
        rf"%(?:25){{0,{_MOST_ESCAPES}}}(?i:{number:02x})",
        rf"&\#0{{0,{_MOST_ESCAPES}}}{number};?",
        rf"(?i:&\#x0{{0,{_MOST_ESCAPES}}}{number:x};?)",
    )
    return f"(?:{re.escape(character)}|{'|'.join(escapes)})"


# ------------------------------------------------------------------------------------------------------ logs


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module of this package, which shows each argument as :func:`shown` does.

    :param name: ``__name__`` of the module.
    """
    logger = logging.getLogger(name)
    logger.addFilter(_show_arguments)
    return logger


def _show_arguments(record: logging.LogRecord) -> bool:
    arguments: tuple[object, ...] | Mapping[str, object] | None = record.args
    if isinstance(arguments, tuple):
        record.args = tuple(map(_argument, arguments))
    elif arguments:
        record.args = {name: _argument(value) for name, value in arguments.items()}
    return True


def _argument(value: Any) -> Any:
    # Formats of numbers need numbers.
    return value if isinstance(value, int | float) else shown(value)


class LineFormatter(logging.Formatter):
    """Formats a log line of whatever library as one line that may be shown."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        return shown(super().format(record), LONGEST_ERROR)


# ------------------------------------------------------------------------------------------------- terminals


def write_line(line: str) -> None:
    """Write a line to stdout as :func:`shown` shows it, at once, whatever the encoding of stdout."""
    _write(sys.stdout, shown(line, LONGEST_ERROR))


def write_error(*lines: str) -> None:
    """Write lines to stderr, as :func:`write_line` does to stdout."""
    for line in lines:
        _write(sys.stderr, shown(line, LONGEST_ERROR))


def write_json(value: object) -> None:
    """Write a value to stdout as one line of JSON, ASCII that prints.

    It is for programs, so nothing is left out of it.
    """
    _write(sys.stdout, json.dumps(value))


def _write(stream: TextIO, line: str) -> None:
    encoding = getattr(stream, "encoding", None) or "utf-8"
    stream.write(line.encode(encoding, "backslashreplace").decode(encoding) + "\n")
    stream.flush()
