"""The one door for texts on their way to a log, an error or a terminal.

Servers, stores, folders and other tasks decide what their names and messages hold: line breaks that forge a line,
escapes that a terminal obeys, marks that turn the direction of writing, a key that is said back. So whatever is
shown goes through here: the texts of all errors of this package, the arguments of its log lines, and what the command
line prints.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable


#: Most characters of one argument of a log line, and of one error.
LONGEST_ARGUMENT, LONGEST_ERROR = 2_000, 10_000

_HIDDEN = "***"


def shown(text: object, longest: int = LONGEST_ARGUMENT) -> str:
    """Return a text on one line: what does not print is escaped, and the rest of a long text is left out.

    :param text: anything; an object is turned into its text.
    :param longest: most characters, the mark of what is left out included.
    """
    text = str(text)
    # Escapes make it longer only: what is cut here would be cut below.
    cut = text[: longest + 1]
    if not cut.isprintable():
        cut = "".join(one if one.isprintable() else _escaped(one) for one in cut)
    return cut if len(cut) <= longest else f"{cut[: longest - 1]}…"


def _escaped(character: str) -> str:
    return character.encode("unicode_escape", "backslashreplace").decode("ascii")


def without_secret(text: str, secret: str) -> str:
    """Return a text without a secret, in whatever spelling a server may say it back.

    :param text: that may hold it.
    :param secret: ASCII; as it is, or with any of its characters as an escape of JSON, a URL or HTML.
    """
    return re.sub("".join(map(_spellings, secret)), _HIDDEN, text) if secret else text


def _spellings(character: str) -> str:
    """Return a pattern for one character as it is, or escaped in JSON, a URL or HTML."""
    number = ord(character)
    escapes: Iterable[str] = (
        rf"\\+(?i:u{number:04x}|x{number:02x})",
        rf"\\+{re.escape(character)}",
        rf"%(?:25)*(?i:{number:02x})",
        rf"&\#0*{number};?",
        rf"(?i:&\#x0*{number:x});?",
    )
    return f"(?:{re.escape(character)}|{'|'.join(escapes)})"


def get_logger(name: str) -> logging.Logger:
    """Return the logger of a module of this package, which shows each argument as :func:`shown` does.

    :param name: ``__name__`` of the module.
    """
    logger = logging.getLogger(name)
    logger.addFilter(_show_arguments)
    return logger


def _show_arguments(record: logging.LogRecord) -> bool:
    arguments: Any = record.args
    if isinstance(arguments, tuple):
        record.args = tuple(map(_argument, arguments))
    return True


def _argument(value: Any) -> Any:
    # Formats of numbers need numbers; what prints as it is keeps its own %r.
    if isinstance(value, int | float):
        return value
    text = str(value)
    return value if len(text) <= LONGEST_ARGUMENT and text.isprintable() else shown(text)
