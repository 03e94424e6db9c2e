"""Every way an export can fail.

.. code-block:: text

    HoneyHiveError
    ├── InvalidArgumentError         an argument or connection field that cannot be right (a ValueError too)
    ├── HoneyHiveConnectionError     no answer: refused, reset, timed out, TLS, cut in the middle
    ├── HoneyHiveAPIError            an answer that says no
    │   ├── HoneyHiveAuthError           401, 403: the key
    │   ├── HoneyHiveRequestError        400, 404, 422 and what else asking again will not mend
    │   ├── HoneyHiveRefusedError        404 of HoneyHive itself: the key, the project, or an id; both of the two above
    │   ├── HoneyHiveRateLimitError      429
    │   └── HoneyHiveServerError         408, 425, 5xx
    ├── HoneyHiveResponseError       an answer that is not what the API promises
    │   ├── AnswerTooLargeError          more bytes than one answer may have
    │   ├── WrongProjectError            events of another project than the one asked for
    │   └── DateRangeIgnoredError        events from outside the asked time range
    ├── IncompleteExportError        fewer events than the server reports
    ├── TooFewEventsError            fewer events than the user asked for at least
    ├── UnmatchedFieldsError         no event has what was to be left out
    ├── TooLargeForXComError         more bytes than belong into XCom
    ├── ExportWouldShrinkError       the published export holds events that the new one does not
    ├── ExportStoppedError           somebody stopped it
    └── DestinationError             the place to write to
        ├── DestinationAccessError       it denies access: a right is missing, or credentials are wrong
        └── DestinationTakenError        it holds another export, or one that must not be replaced

``retryable`` says whether the same call may succeed later; the operator turns the others into
``AirflowFailException``. All of them survive pickling. None of them ever shows the key, nor what it was made of: the
texts of stores and libraries may hold secrets, so an error says all there is to know, and no traceback goes on to the
original.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from airflow_provider_honeyhive.display import LONGEST_ERROR, listed, quoted, shown

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


class HoneyHiveError(Exception):
    """Base of all errors of this package.

    :param lines: what is wrong and what to do, in a hundred characters where possible; then facts, a line each.
    """

    retryable: bool = True
    #: How many times the request was sent before giving up.
    attempts: int = 1

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Make an error that is shown without the one while which it was raised, also where it is not ``from None``."""
        error = super().__new__(cls, *args, **kwargs)
        error.__suppress_context__ = True
        return error

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __str__(self) -> str:
        return "\n".join(self.lines)

    @property
    def lines(self) -> tuple[str, ...]:
        """The text, each line as it may be shown: what is wrong and what to do, then facts.

        Airflow's log does not wrap lines, so its readers see what the first hundred characters say.
        """
        attempts = (f"The client gave up after {self.attempts} attempts",) if self.attempts > 1 else ()
        return tuple(shown(line, LONGEST_ERROR) for line in (*self._lines(), *attempts))

    def _lines(self) -> tuple[str, ...]:
        return tuple(map(str, self.args)) or ("",)


#: Stands for a value that an error must not show.
NOT_SHOWN = "(not shown)"


class Argument(str):
    """The name of an argument within a text; the command line says its option instead."""

    __slots__ = ()


class Fact(str):
    """A piece of a text that begins a line of its own."""

    __slots__ = ()


#: Most characters of a value that stands in the first line of an error, where what to do is to be read, too.
_LONGEST_IN_FIRST_LINE = 40


class InvalidArgumentError(HoneyHiveError, ValueError):
    """An argument that cannot be right.

    :param argument: name of the argument, as the user wrote it.
    :param value: what came; :data:`NOT_SHOWN` where that may hold a secret.
    :param allowed: what is allowed instead: a text, in pieces where it names other arguments.
    """

    retryable = False

    def __init__(self, argument: str, value: Any, *allowed: str) -> None:
        super().__init__(argument, value, *allowed)
        self.argument = argument
        self.value = value
        self.pieces = allowed

    @property
    def allowed(self) -> str:
        """What is allowed instead."""
        return ". ".join(self._allowed_lines())

    def _allowed_lines(self) -> list[str]:
        lines = [""]
        for piece in self.pieces:
            if isinstance(piece, Fact):
                lines.append("")
            lines[-1] += piece
        return lines

    def renamed(self, argument: str, names: Mapping[str, str]) -> InvalidArgumentError:
        """Return the error for a place where arguments are called otherwise.

        :param argument: what this argument is called there.
        :param names: what other arguments are called there.
        """
        pieces = (names.get(piece, piece) if isinstance(piece, Argument) else piece for piece in self.pieces)
        return InvalidArgumentError(argument, self.value, *pieces)

    def _lines(self) -> tuple[str, ...]:
        first, *facts = self._allowed_lines()
        got = "" if _is_not_shown(self.value) else f"got {quoted(self.value)}"
        if len(got) <= _LONGEST_IN_FIRST_LINE:
            return (f"{self.argument}: {got}{'; ' if got else ''}{first}", *facts)
        return (f"{self.argument}: {first}", f"{self.argument}: {got}", *facts)


def _is_not_shown(value: Any) -> bool:
    return isinstance(value, str) and value == NOT_SHOWN


class HoneyHiveConnectionError(HoneyHiveError):
    """The server gave no whole answer.

    :param timed_out: the answer took longer than the connection's ``timeout``.
    :param retryable: False where the same call cannot succeed later (a certificate that does not verify).
    """

    def __init__(self, *lines: str, timed_out: bool = False, retryable: bool = True) -> None:
        super().__init__(*lines)
        self.timed_out = timed_out
        self.retryable = retryable


class HoneyHiveAPIError(HoneyHiveError):
    """The server answered with an error.

    :param status_code: HTTP status.
    :param error_code: the vendor's ``errorCode``, where the answer has one.
    :param server_message: the vendor's ``message``, where the answer has one.
    :param retry_after: seconds the server asked to wait, where it did.
    """

    def __init__(
        self,
        *lines: str,
        status_code: int = 0,
        error_code: str | None = None,
        server_message: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(*lines)
        self.status_code = status_code
        self.error_code = error_code
        self.server_message = server_message
        self.retry_after = retry_after


class HoneyHiveAuthError(HoneyHiveAPIError):
    """The key is wrong, revoked, of another deployment, or may not read (401, 403)."""

    retryable = False


class HoneyHiveRequestError(HoneyHiveAPIError):
    """The server will not answer this request, however often it is sent (400, 404, 422, …)."""

    retryable = False


class HoneyHiveRefusedError(HoneyHiveAuthError, HoneyHiveRequestError):
    """HoneyHive itself answered 404: the key, the project or an id is wrong, and it does not say which.

    Since September 2026 HoneyHive answers so to a key that is invalid, revoked, expired or lacks a permission, too.
    """


class HoneyHiveRateLimitError(HoneyHiveAPIError):
    """Too many requests (429)."""


class HoneyHiveServerError(HoneyHiveAPIError):
    """The server failed (408, 425, 5xx)."""


class HoneyHiveResponseError(HoneyHiveError):
    """An answer with status 200 that is not what the API promises: not JSON, wrong shape, HTML."""


class AnswerTooLargeError(HoneyHiveResponseError):
    """An answer of more bytes than any page should have, such as a compressed one that swells without end."""

    retryable = False


class WrongProjectError(HoneyHiveResponseError):
    """The server sent events of another project than the one asked for.

    :param asked: the project of the request.
    :param received: the project that the events name.
    """

    retryable = False

    def __init__(self, asked: str, received: str) -> None:
        super().__init__(asked, received)
        self.asked = asked
        self.received = received

    def _lines(self) -> tuple[str, ...]:
        asked, received = quoted(self.asked), quoted(self.received)
        return (
            "check project and key of the connection: the server sent events of another project than asked for",
            f"Asked for project {asked}, but the server sent events of project {received}",
            f"Use a connection whose key belongs to {asked}: a classic key decides by itself which project is read",
            f"Or set project to {received}, where both are one project: by another spelling, by its id, or renamed",
            "Or check the connection's host and its extra 'endpoint': not every server keeps to the project asked for",
        )


class DateRangeIgnoredError(HoneyHiveResponseError):
    """The server does not restrict its answers to the asked time range."""

    retryable = False


class IncompleteExportError(HoneyHiveError):
    """Not all events of the window could be read, also when they were read again.

    :param expected: events the server reported for the window; None: something else shows that some are missing.
    :param received: events read.
    :param reason: what shows it; None: the server's number.
    :param agreed: several readings found the same events, so perhaps the server's number is no total of the window.
    """

    def __init__(self, expected: int | None, received: int, reason: str | None = None, *, agreed: bool = False) -> None:
        super().__init__(expected, received, reason)
        self.expected = expected
        self.received = received
        self.reason = reason
        self.agreed = agreed

    def _lines(self) -> tuple[str, ...]:
        if self.expected is None:
            return ("not all events could be read; nothing was published: try again later", str(self.reason))
        if not self.agreed:
            return (
                f"the server reports {self.expected} events, but only {self.received} could be read: try again later",
                "Nothing was published. The events were read again, too",
            )
        return (
            f"the server reports {self.expected} events, but only {self.received} could be read: see trust_total",
            f"Nothing was published. Each reading found the same {self.received}: where the server's number is no "
            "total of the window, give trust_total=False (on the command line --no-trust-total): it is not compared",
        )


class TooFewEventsError(HoneyHiveError):
    """The window holds fewer events than ``min_events``.

    :param expected: ``min_events``.
    :param received: events in the window.
    """

    def __init__(self, expected: int, received: int) -> None:
        super().__init__(expected, received)
        self.expected = expected
        self.received = received

    def _lines(self) -> tuple[str, ...]:
        return (
            f"the window holds {self.received} events, but min_events asks for at least {self.expected}: try again",
            "Nothing was published",
        )


class UnmatchedFieldsError(HoneyHiveError):
    """Paths of ``exclude_fields`` or ``redact`` led to nothing in any event, and ``on_unmatched`` is ``fail``.

    :param paths: that led to nothing.
    """

    retryable = False

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(paths)
        self.paths = list(paths)

    def _lines(self) -> tuple[str, ...]:
        return (
            f"correct or drop paths that match no event, or give on_unmatched='warn': {listed(self.paths, ', ')}",
            "They are of exclude_fields and redact; on the command line --exclude, --redact, --on-unmatched warn",
            "Nothing was published",
        )


class TooLargeForXComError(HoneyHiveError):
    """The events are more than XCom should carry.

    :param size_bytes: bytes of the events read so far.
    :param limit_bytes: ``xcom_max_bytes``.
    """

    retryable = False

    def __init__(self, size_bytes: int, limit_bytes: int) -> None:
        super().__init__(size_bytes, limit_bytes)
        self.size_bytes = size_bytes
        self.limit_bytes = limit_bytes

    def _lines(self) -> tuple[str, ...]:
        return (
            "the events are larger than XCom should carry: give output_path to write them to files",
            f"At least {self.size_bytes:,} bytes, where xcom_max_bytes allows {self.limit_bytes:,}",
        )


class ExportWouldShrinkError(HoneyHiveError):
    """The published export holds events that the new one does not, and ``on_shrink`` is ``fail``.

    :param published: events of the published export.
    :param new: events of the new one.
    :param missing: events of the published export that the new one does not hold; None: its files are damaged, so only
        the numbers could be compared.
    :param where: the published export.
    :param since: when it was published, and by whom.
    """

    retryable = False

    def __init__(self, published: int, new: int, missing: int | None, where: str = "", since: str = "") -> None:
        super().__init__(published, new, missing, where, since)
        self.published = published
        self.new = new
        self.missing = missing
        self.where = where
        self.since = since

    def _lines(self) -> tuple[str, ...]:
        lost = "fewer events" if self.missing is None else f"{self.missing:,} published events missing"
        return (
            f"the new export has {lost}: set on_shrink to 'keep' or 'replace' (--on-shrink)",
            f"Published are {self.published:,} events{self.since and f', {self.since}'}",
            f"This run found {self.new:,} events. Nothing was replaced{self.where and f' at {self.where}'}",
            "Perhaps HoneyHive has deleted them (retention). 'keep' keeps the published export, 'replace' does not",
        )


class ExportStoppedError(HoneyHiveError):
    """The export was stopped, by its user or by Airflow; what it had staged waits for a retry."""


class DestinationError(HoneyHiveError):
    """The destination could not be read or written."""


class DestinationAccessError(DestinationError):
    """The store denies access: a right is missing, or credentials are wrong."""

    retryable = False


class DestinationTakenError(DestinationError):
    """The destination holds an export that this one must not replace."""

    retryable = False
