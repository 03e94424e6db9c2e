"""The one door for what a destination holds: each file that is read back is a model of its own, and is loaded here.

Whoever may write to the folder decides what is in these files, and so do damage, and versions of this provider that are
still to come. So nothing of a file is used before its model has checked all of it: versions, types, times, names of
files, hashes. What does not fit is one kind of error, whatever the bytes.
"""

from __future__ import annotations

import hashlib
import json
from contextlib import suppress
from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Self, TypeAlias, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, FailFast, Field, ValidationError

from airflow_provider_honeyhive.display import shown
from airflow_provider_honeyhive.exceptions import DestinationError, DestinationTakenError
from airflow_provider_honeyhive.models.layout import LARGEST_FILE, name_problem
from airflow_provider_honeyhive.models.window import FIRST_US, LAST_US, format_time

#: Most characters of a time.
_LONGEST_TIME = 64

_CHECKSUM = "checksum"


def _checked_name(name: str) -> str:
    if problem := name_problem(name):
        raise ValueError(problem)
    return name


def _instant(value: Any) -> datetime:
    if isinstance(value, str) and len(value) <= _LONGEST_TIME:
        with suppress(ValueError):
            value = datetime.fromisoformat(value)
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError("allowed: a time in ISO 8601 with its zone")
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("allowed: the years 1 to 9999") from None


#: A number of things.
Count: TypeAlias = Annotated[int, Field(ge=0, lt=2**63)]

#: A time in microseconds since 1970, of the years 1 to 9999.
Micros: TypeAlias = Annotated[int, Field(ge=FIRST_US, le=LAST_US)]

#: A time; in files ISO 8601 with its zone.
Instant: TypeAlias = Annotated[datetime, BeforeValidator(_instant)]

#: The text of a time, in the one form of :func:`.format_time`, whatever form its file has: equal times are equal texts.
TimeText: TypeAlias = Annotated[str, AfterValidator(lambda text: format_time(_instant(text)))]

Sha256: TypeAlias = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]

#: A file below the folder that the file that names it lies in.
FileName: TypeAlias = Annotated[str, AfterValidator(_checked_name)]

T = TypeVar("T")

#: A list, of which the first wrong entry is told: a million of them would take more memory than there may be.
Items: TypeAlias = Annotated[list[T], FailFast()]

#: A value that is neither a list nor an object.
Plain: TypeAlias = str | bool | int | float | None


class StoredModel(BaseModel):
    """What files hold, or a part of one. Texts are no numbers here, and ``true`` is no 1."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False)


class StoredFile(StoredModel):
    """What one kind of file holds.

    Beside the fields it has its version, which counts up where an older release would misread it; none is version 1.
    """

    #: What messages call it.
    KIND: ClassVar[str]
    #: The newest version that is known here.
    VERSION: ClassVar[int] = 1
    #: The member that says which version it is.
    VERSION_KEY: ClassVar[str] = "version"
    #: Members that tell this kind from files of others: without them nothing is said of versions.
    MARKS: ClassVar[frozenset[str]] = frozenset()
    #: Whether its last member is a checksum of all others: it can be left out, but not be another one.
    HAS_CHECKSUM: ClassVar[bool] = False
    #: Most bytes.
    LARGEST: ClassVar[int] = LARGEST_FILE

    @classmethod
    def load(cls, data: bytes, where: str) -> Self:
        """Return what a file holds.

        :param data: its bytes, whatever they are.
        :param where: the file, for messages.
        :raises DestinationTakenError: a newer version of this provider wrote it.
        :raises DestinationError: it is no file of this kind; no part of the message is from it.
        """
        if len(data) > cls.LARGEST:
            raise cls._unfit(where, f"it has {len(data):,} bytes, allowed: {cls.LARGEST:,}")
        try:
            found = parse_json(data)
        except ValueError as error:
            raise cls._unfit(where, str(error)) from None
        return cls.check(found, where)

    @classmethod
    def check(cls, found: Any, where: str) -> Self:
        """Return what a JSON value holds; see :meth:`load`."""
        if not isinstance(found, dict):
            raise cls._unfit(where, "it is no JSON object")
        version = found.get(cls.VERSION_KEY, 1)
        if type(version) is not int or version < 1:
            raise cls._unfit(where, f"{cls.VERSION_KEY} is no version")
        if version > cls.VERSION and found.keys() >= cls.MARKS:
            raise DestinationTakenError(
                f"the {cls.KIND} was written by a newer version of this provider: update it",
                f"Of {where} versions up to {cls.VERSION} are known here, it is of version {shown(version, 20)}",
            )
        facts = {name: value for name, value in found.items() if name != cls.VERSION_KEY or name in cls.model_fields}
        try:
            if cls.HAS_CHECKSUM and _CHECKSUM in found:
                del facts[_CHECKSUM]
                if found[_CHECKSUM] != _checksum(found):
                    raise cls._unfit(where, "its checksum is another one")
            return cls.model_validate(facts)
        except ValidationError as error:
            raise cls._unfit(where, _problem(error)) from None
        except (RecursionError, MemoryError) as error:
            raise cls._unfit(where, type(error).__name__) from None

    def to_json(self) -> bytes:
        """Return it as it stands in its file."""
        facts = self.model_dump(mode="json")
        if self.VERSION_KEY not in facts:
            facts[self.VERSION_KEY] = self.VERSION
        if self.HAS_CHECKSUM:
            facts[_CHECKSUM] = _checksum(facts)
        return json.dumps(facts).encode()

    @classmethod
    def _unfit(cls, where: str, problem: str) -> DestinationError:
        return DestinationError(f"{where} is not a {cls.KIND} of this provider: {problem}")


def parse_json(data: bytes) -> Any:
    """Return the value of a JSON text.

    :raises ValueError: the bytes are none: the message says why, without what is in them.
    """
    try:
        return json.loads(data, parse_constant=_no_constant)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except MemoryError:
        raise ValueError("it needs more memory than there is") from None
    except ValueError:
        # Not JSON, not UTF-8, or a number of thousands of digits.
        raise ValueError("it is no JSON text") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _checksum(facts: dict[str, Any]) -> str:
    text = json.dumps({name: value for name, value in facts.items() if name != _CHECKSUM}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _problem(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Names of members are from the file.
    place = ".".join(shown(part, 40) for part in first["loc"][:6])
    return f"{place}: {shown(first['msg'], 200)}" if place else shown(first["msg"], 200)
