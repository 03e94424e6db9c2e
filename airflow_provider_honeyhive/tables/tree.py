"""Who is above whom, over all events at once: how deep each event lies, and whether tokens or cost are told below it.

In time that grows with the number of events, whatever their parents are: SQL would go over all events again for each
level, and somebody's chain of calls may have a hundred thousand of them.
"""

from __future__ import annotations

from array import array
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

#: In place of a parent's number: there is none.
NOBODY = -1

#: In place of a depth: the event is in a cycle of parents, or below one.
IN_CYCLE = -1

_UNKNOWN, _ON_THE_WAY = -2, -3


class Tree:
    """All events of a build by their numbers, which begin with zero.

    :param count: of the events.
    """

    def __init__(self, count: int) -> None:
        self._places = array("q", [0]) * count
        self._parents = array("i", [NOBODY]) * count
        self._told = {name: bytearray(count) for name in ("tokens", "cost")}

    def add(self, batch: pa.RecordBatch) -> None:
        """Take in some events.

        :param batch: five columns of 64-bit integers without NULL: the event's number and place, its parent's number
            or :data:`NOBODY`, and whether it tells tokens and cost.
        """
        places, parents, tokens, cost = self._places, self._parents, self._told["tokens"], self._told["cost"]
        for event, place, parent, tells_tokens, tells_cost in zip(*map(_integers, batch.columns), strict=True):
            places[event], parents[event], tokens[event], cost[event] = place, parent, tells_tokens, tells_cost

    def table(self) -> pa.Table:
        """Return a row for each event: ``place``, ``depth`` or :data:`IN_CYCLE`, ``tokens_below``, ``cost_below``."""
        depths = depths_of(self._parents)
        columns = {"place": _column(pa.int64(), self._places), "depth": _column(pa.int32(), depths)}
        for name, told in self._told.items():
            columns[f"{name}_below"] = _column(pa.int8(), told_below(self._parents, depths, told))
        return pa.table(columns)


def depths_of(parents: Sequence[int]) -> array[int]:
    """Return how many events are above each one.

    :param parents: the number of each event's parent, or :data:`NOBODY`.
    """
    depths = array("i", [_UNKNOWN]) * len(parents)
    for first in range(len(parents)):
        path = []
        event = first
        while event != NOBODY and depths[event] == _UNKNOWN:
            depths[event] = _ON_THE_WAY
            path.append(event)
            event = parents[event]
        depth = -1 if event == NOBODY else depths[event]
        in_cycle = event != NOBODY and depth in (_ON_THE_WAY, IN_CYCLE)
        for event in reversed(path):
            depth += 1
            depths[event] = IN_CYCLE if in_cycle else depth
    return depths


def told_below(parents: Sequence[int], depths: Sequence[int], told: Iterable[int]) -> bytearray:
    """Return a byte for each event, 1 where one below it tells something.

    Where parents form a cycle, each event would be below itself; there, and below there, all of them are 0.

    :param depths: of :func:`depths_of`.
    :param told: whether each event tells something.
    """
    below = bytearray(len(parents))
    for first, tells in enumerate(told):
        event = parents[first] if tells and depths[first] != IN_CYCLE else NOBODY
        while event != NOBODY and not below[event]:
            below[event] = 1
            event = parents[event]
    return below


def _integers(column: pa.Array) -> memoryview:
    values = memoryview(column.buffers()[1]).cast("q")
    return values[column.offset : column.offset + len(column)]


def _column(kind: pa.DataType, values: array[int] | bytearray) -> pa.Array:
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(values)])
