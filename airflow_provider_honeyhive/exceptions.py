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
        ├── DestinationAccessError       it denies access: a right or credentials are missing
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
    """Base of all errors of this package."""

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
        text = shown(self._text(), LONGEST_ERROR)
        return f"{text} (gave up after {self.attempts} attempts)" if self.attempts > 1 else text

    def _text(self) -> str:
        return super().__str__()


#: Stands for a value that an error must not show.
NOT_SHOWN = "(not shown)"


class Argument(str):
    """The name of an argument within a text; the command line says its option instead."""

    __slots__ = ()


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
        return "".join(self.pieces)

    def renamed(self, argument: str, names: Mapping[str, str]) -> InvalidArgumentError:
        """Return the error for a place where arguments are called otherwise.

        :param argument: what this argument is called there.
        :param names: what other arguments are called there.
        """
        pieces = (names.get(piece, piece) if isinstance(piece, Argument) else piece for piece in self.pieces)
        return InvalidArgumentError(argument, self.value, *pieces)

    def _text(self) -> str:
        if self.value == NOT_SHOWN:
            return f"{self.argument}: {self.allowed}"
        return f"{self.argument}: got {quoted(self.value)}; {self.allowed}"


class HoneyHiveConnectionError(HoneyHiveError):
    """The server gave no whole answer.

    :param timed_out: the answer took longer than the connection's ``timeout``.
    :param retryable: False where the same call cannot succeed later (a certificate that does not verify).
    """

    def __init__(self, message: str, *, timed_out: bool = False, retryable: bool = True) -> None:
        super().__init__(message)
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
        message: str,
        *,
        status_code: int = 0,
        error_code: str | None = None,
        server_message: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
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
    """The key belongs to another project than the one asked for.

    :param asked: the project of the request.
    :param received: the project that the events name.
    """

    retryable = False

    def __init__(self, asked: str, received: str) -> None:
        super().__init__(asked, received)
        self.asked = asked
        self.received = received

    def _text(self) -> str:
        asked, received = quoted(self.asked), quoted(self.received)
        return (
            f"asked for project {asked}, but the server sent events of project {received}: "
            "a classic key decides by itself which project is read. Use a connection whose key belongs to "
            f"{asked}, or set project to {received}"
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

    def _text(self) -> str:
        if self.expected is None:
            return f"not all events could be read, also when read again; nothing was published: {self.reason}"
        text = (
            f"the server reports {self.expected} events, but only {self.received} could be read, "
            "also when read again; nothing was published"
        )
        if not self.agreed:
            return text
        return (
            f"{text}. Each reading found the same {self.received}: where the server's number is no total of the "
            "window, give trust_total=False (on the command line --no-trust-total), and it is not compared"
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

    def _text(self) -> str:
        return (
            f"the window holds {self.received} events, but min_events asks for at least {self.expected}; "
            "nothing was published"
        )


class UnmatchedFieldsError(HoneyHiveError):
    """Paths of ``exclude_fields`` or ``redact`` led to nothing in any event, and ``on_unmatched`` is ``fail``.

    :param paths: that led to nothing.
    """

    retryable = False

    def __init__(self, paths: Sequence[str]) -> None:
        super().__init__(paths)
        self.paths = list(paths)

    def _text(self) -> str:
        return (
            f"correct or drop paths that match no event, or give on_unmatched='warn': {listed(self.paths, ', ')} (of "
            "exclude_fields and redact; on the command line --exclude, --redact, --on-unmatched warn). Nothing was "
            "published"
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

    def _text(self) -> str:
        return (
            f"the events are larger than XCom should carry: at least {self.size_bytes:,} bytes, where "
            f"xcom_max_bytes allows {self.limit_bytes:,}. Give output_path to write them to files instead"
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

    def _text(self) -> str:
        lost = "fewer events" if self.missing is None else f"{self.missing:,} published events missing"
        since, where = self.since and f", {self.since}", self.where and f", at {self.where}"
        return (
            f"the new export has {lost}: set on_shrink to 'keep' or 'replace' (--on-shrink). Nothing was replaced. "
            f"Published: {self.published:,} events{since}{where}. This run: {self.new:,} events. Perhaps "
            "HoneyHive has deleted the others (retention). 'keep' leaves what is published in place, 'replace' gives "
            "it up"
        )


class ExportStoppedError(HoneyHiveError):
    """The export was stopped, by its user or by Airflow; what it had staged waits for a retry."""


class DestinationError(HoneyHiveError):
    """The destination could not be read or written."""


class DestinationAccessError(DestinationError):
    """The store denies access: a right or credentials are missing."""

    retryable = False


class DestinationTakenError(DestinationError):
    """The destination holds an export that this one must not replace."""

    retryable = False
