"""Which errors of stores say that a right or credentials are missing, and which of them will say it again."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Kinds of errors of the drivers' libraries that cannot use the credentials they have.
_WRONG_CREDENTIALS = {"ClientAuthenticationError", "PartialCredentialsError"}

#: Kinds of errors of these libraries that find no credentials. Services of a cloud that give a worker its credentials
#: are slow at times, and the libraries take that for "there are none"; the next try finds them.
_NO_CREDENTIALS = {"CredentialUnavailableError", "DefaultCredentialsError", "NoCredentialsError"}

#: Codes of S3 that are no refusals for good: other credentials, or another clock, may be there soon.
_PASSING = {"ExpiredToken", "RequestTimeTooSkewed"}

#: What Google's driver makes of status 403, whatever the answer says.
_FORBIDDEN = "Forbidden: "

#: Errors that lie within one another, at the most.
_MOST_ERRORS = 10


def is_denied(error: BaseException) -> bool:
    """Return whether a store has refused something for lack of a right, or for wrong credentials.

    :param error: that its driver raised; those that it was made of are looked at, too.
    """
    errors = list(_chain(error))
    return not any(_code(one) in _PASSING for one in errors) and any(map(_says_so, errors))


def lacks_credentials(error: BaseException) -> bool:
    """Return whether no credentials were found, which may pass.

    :param error: as for :func:`is_denied`.
    """
    return any(type(one).__name__ in _NO_CREDENTIALS for one in _chain(error))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    for _ in range(_MOST_ERRORS):
        if error is None:
            return
        yield error
        error = error.__cause__ or error.__context__


def _code(error: BaseException) -> Any:
    response = getattr(error, "response", None)
    return response.get("Error", {}).get("Code") if isinstance(response, dict) else None


def _says_so(error: BaseException) -> bool:
    if isinstance(error, PermissionError) or getattr(error, "errno", None) == errno.EROFS:
        return True
    status = getattr(error, "status_code", None) or getattr(error, "code", None)
    return (
        str(status) in ("401", "403")
        or type(error).__name__ in _WRONG_CREDENTIALS
        or (isinstance(error, OSError) and str(error).startswith(_FORBIDDEN))
    )
