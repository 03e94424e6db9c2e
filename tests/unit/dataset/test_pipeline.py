"""Other threads get items ahead, and write behind: in order, one at a time, and their errors arrive."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from airflow_provider_honeyhive.dataset.pipeline import Behind, ahead

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_items_come_in_order_and_one_ahead() -> None:
    got: list[int] = []
    third = threading.Event()

    def items() -> Iterator[int]:
        for number in range(4):
            got.append(number)
            if number == 2:
                third.set()
            yield number

    found = ahead(items())
    assert [next(found), next(found)] == [0, 1]
    assert third.wait(10)
    assert got == [0, 1, 2]
    assert list(found) == [2, 3]


def test_an_error_arrives_after_the_items_before_it() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("two")

    found = ahead(items())
    assert next(found) == 1
    with pytest.raises(ValueError, match="two"):
        next(found)


def test_functions_are_called_in_order_and_are_done_in_the_end() -> None:
    done: list[int] = []
    with Behind() as behind:
        for number in range(5):
            behind.call(done.append, number)
    assert done == [0, 1, 2, 3, 4]


def test_an_error_of_a_function_arrives_with_the_next_one_or_in_the_end() -> None:
    def fail() -> None:
        raise ValueError("no")

    with Behind() as behind:
        behind.call(fail)
        with pytest.raises(ValueError, match="no"):
            behind.call(list)
    with pytest.raises(ValueError, match="no"), Behind() as behind:
        behind.call(fail)


def test_an_error_inside_counts_more_than_one_of_a_function() -> None:
    def fail() -> None:
        raise ValueError("no")

    def use() -> None:
        with Behind() as behind:
            behind.call(fail)
            raise KeyError

    with pytest.raises(KeyError):
        use()
