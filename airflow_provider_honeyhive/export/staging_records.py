"""What the files of a staging folder hold: the plan of an export, and how far each slice has been staged."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import fields
from itertools import pairwise
from typing import Annotated, Any, ClassVar, TypeAlias

from pydantic import BeforeValidator, Field, PlainSerializer, field_validator

from airflow_provider_honeyhive.export.stored_cursor import StagingModel, StoredCursor
from airflow_provider_honeyhive.formats.encoder import Block  # noqa: TC001 - pydantic needs it at run time
from airflow_provider_honeyhive.models.layout import is_partition
from airflow_provider_honeyhive.models.stored import Count, FileName, Instant, Items, Micros, Sha256, StoredFile
from airflow_provider_honeyhive.reading.cursor import Cursor
from airflow_provider_honeyhive.reading.known_rows import KnownRows

#: Inclusive start and exclusive end of a slice.
Bounds: TypeAlias = tuple[int | None, int | None]


_Bounds: TypeAlias = Annotated[tuple[Micros | None, Micros | None], Field(strict=False)]  # JSON has lists only


def _decoded(value: Any) -> Any:
    """Return the bytes that a text of the file stands for.

    :raises ValueError: it stands for none.
    """
    return b64decode(value, validate=True) if isinstance(value, str) else value


_Bytes: TypeAlias = Annotated[
    bytes, BeforeValidator(_decoded), PlainSerializer(lambda value: b64encode(value).decode(), when_used="unless-none")
]


def _slice_number(value: Any) -> Any:
    """Return the number that a member's name stands for."""
    return int(value) if isinstance(value, str) and re.fullmatch("0|[1-9][0-9]{0,8}", value) else value


_SliceNumber: TypeAlias = Annotated[int, BeforeValidator(_slice_number), Field(ge=0)]


class StagedFile(StagingModel):
    """A whole file that is not published yet.

    :param path: relative to the destination's folder.
    :param sha256: of its bytes.
    :param contents: the sum of its blocks, and the bytes of the file.
    :param has_before: of a piece of one object: what stands before its first event is in it.
    :param footer: of a Parquet file that is a piece of one object, as it stands in there.
    """

    path: FileName
    sha256: Sha256
    contents: Block
    has_before: bool = False
    footer: _Bytes | None = None

    @field_validator("contents")
    @classmethod
    def _in_partition(cls, contents: Block) -> Block:
        if not is_partition(contents.partition):
            raise ValueError("allowed: folders of partitions")
        return contents

    @property
    def size_bytes(self) -> int:
        """Bytes of the file."""
        return self.contents.size_bytes


class ReadSessions(StagingModel):
    """Whole sessions that are staged.

    :param names: short digests of their ids, and of the ids of those that turned out not to belong there.
    :param session_count: sessions.
    :param reported: events that the server reported for them; None where it did not for one of them.
    """

    names: Items[str]
    session_count: Count
    reported: Count | None


class SliceCheckpoint(StagingModel, StoredFile):
    """How far a slice has been staged.

    :param start: inclusive lower bound of the slice, microseconds since 1970.
    :param end: exclusive upper bound.
    :param files: staged files.
    :param cursor: where its reading stands, with the events of these files as known; None at its beginning.
    :param sessions: in the files, where whole ones are read.
    :param cut: bounds of slices of which nothing is staged, by their numbers: they were cut off this one or others,
        and are known from here unless they have a checkpoint of their own.
    """

    KIND: ClassVar[str] = "checkpoint"
    HAS_CHECKSUM: ClassVar[bool] = True

    start: Micros | None
    end: Micros | None
    files: Items[StagedFile] = []
    cursor: StoredCursor | None = None
    sessions: ReadSessions | None = None
    cut: dict[_SliceNumber, _Bounds] = {}

    def load_cursor(self) -> Cursor | None:
        """Return where the reading stands."""
        cursor = self.cursor
        if cursor is None:
            return None
        facts = {one.name: getattr(cursor, one.name) for one in fields(Cursor)}
        return Cursor(**{**facts, "known": KnownRows(cursor.known), "elsewhere": KnownRows(cursor.elsewhere)})

    def is_sound(self, number: int, folder: str) -> bool:
        """Return whether its parts fit each other, and the slice: each row of the files was taken, and inside.

        :param number: of the slice.
        :param folder: the staging folder.
        """
        own = re.compile(rf"{re.escape(folder)}/{number:05d}-[0-9]{{5,9}}-[0-9a-f]+")
        paths = {file.path for file in self.files}
        if len(paths) < len(self.files) or not all(map(own.fullmatch, paths)):
            return False
        if self.files and self.cursor is None:
            return False
        if self.cursor is not None and self.cursor.taken != sum(file.contents.event_count for file in self.files):
            return False
        if (self.start is None) != (self.end is None):
            return False
        if self.start is None or self.end is None or self.sessions is not None:
            return True
        return self.start <= self.end and all(
            self.start <= file.contents.min_us and file.contents.max_us < self.end
            for file in self.files
            if file.contents.min_us is not None and file.contents.max_us is not None
        )


class Plan(StagingModel, StoredFile):
    """How a window was split at first, and what was known then.

    :param started_at: when the first try began.
    :param total: events the server reported for the window.
    :param endpoint: the endpoint that answered.
    :param slices: bounds of the first slices in microseconds since 1970, newest first, each next to the other.
    :param writer: whose checkpoints count.
    :param inherited: checkpoints that an earlier try left to it, by the numbers of their slices.
    """

    KIND: ClassVar[str] = "plan of an export"
    HAS_CHECKSUM: ClassVar[bool] = True

    started_at: Instant
    total: Count | None
    endpoint: str | None
    slices: Items[_Bounds] = Field(min_length=1)
    writer: str
    inherited: dict[_SliceNumber, SliceCheckpoint] = {}

    @field_validator("slices")
    @classmethod
    def _meet(cls, slices: list[Bounds]) -> list[Bounds]:
        if slices != [(None, None)]:
            for start, end in slices:
                if start is None or end is None or start >= end:
                    raise ValueError("allowed: spans of time")
            if any(newer[0] != older[1] for newer, older in pairwise(slices)):
                raise ValueError("allowed: spans of time that meet, newest first")
        return slices

    @property
    def span(self) -> Bounds:
        """The window that is split."""
        return self.slices[-1][0], self.slices[0][1]
