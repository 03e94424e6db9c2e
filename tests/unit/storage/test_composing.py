"""How Google's objects are put together in rounds, and Azure's in blocks, without a server."""

from __future__ import annotations

import pytest

from airflow_provider_honeyhive.exceptions import DestinationError
from airflow_provider_honeyhive.storage.azure_blocks import Block, BlockFile, Receipt, extents_of
from airflow_provider_honeyhive.storage.gcs import MOST_COMPOSED, _groups
from airflow_provider_honeyhive.storage.uploads import SmallFirst


@pytest.mark.parametrize(
    ("count", "rounds"), [(1, 0), (32, 0), (33, 1), (63, 1), (64, 1), (1024, 1), (1025, 2), (5000, 2)]
)
def test_objects_are_grouped_in_order_until_few_enough_are_left(count, rounds):
    names = [f"{number}," for number in range(count)]
    taken = 0
    while len(names) > MOST_COMPOSED:
        groups = list(_groups(names))
        assert all(0 < len(group) <= MOST_COMPOSED for group in groups)
        names = ["".join(group) for group in groups]
        taken += 1
    assert taken == rounds
    assert "".join(names) == "".join(f"{number}," for number in range(count))


def test_no_more_is_composed_than_leaves_few_enough():
    groups = list(_groups([str(number) for number in range(40)]))
    assert [len(group) for group in groups] == [9] + [1] * 31


def test_a_block_file_sends_whole_blocks_of_names_of_one_length():
    sent: dict[str, bytes] = {}
    made: list[Block] = []
    file = BlockFile(sent.__setitem__, made.extend, 10)
    for data in (b"a" * 3, b"b" * 25, b"", b"c" * 12, b"d"):
        file.write(data)
    file.close()
    assert b"".join(sent[block.id] for block in made) == b"a" * 3 + b"b" * 25 + b"c" * 12 + b"d"
    assert [block.size_bytes for block in made] == [10, 10, 10, 10, 1]
    assert {len(block.id) for block in made} == {32}


def test_a_block_file_that_was_aborted_sends_no_more():
    sent: dict[str, bytes] = {}
    file = BlockFile(sent.__setitem__, lambda _: pytest.fail("must not be completed"), 10)
    file.write(bytes(15))
    file.discard()
    with pytest.raises(ValueError, match="aborted"):
        file.write(bytes(15))
    assert len(sent) == 1


def test_blocks_are_found_where_they_are_and_a_missing_one_is_noticed():
    there = [Block("a", 3), Block("b", 5), Block("c", 2)]
    assert extents_of([there[2], there[0]], there) == [(8, 2), (0, 3)]
    assert extents_of([], there) == []
    assert extents_of([there[0], Block("d", 1)], there) is None


def test_a_receipt_says_what_it_was_told():
    receipt = Receipt("bucket/file", [Block("a", 3), Block("b", 5)])
    assert Receipt.load(receipt.dump(), "where") == receipt
    assert receipt.metadata == {"piece_size": "8"}
    for data in (b"", b"[]", b"{}", b'{"blob": "x", "blocks": [1]}', b"\xff"):
        with pytest.raises(DestinationError, match="^remove a file that is no piece .*\nwhere does not say"):
            Receipt.load(data, "where")


@pytest.mark.parametrize("sizes", [[], [5], [9], [10], [3, 3, 3], [3, 3, 3, 3], [100], [9, 100]])
def test_what_is_less_than_a_block_goes_out_at_once_and_all_else_by_the_driver(sizes):
    small: list[bytes] = []
    large: list[bytes] = []

    class Driver:
        closed = False

        def write(self, data: bytes) -> None:
            large.append(bytes(data))

        def close(self) -> None:
            large.append(b".")

    file = SmallFirst(Driver, small.append, 10)
    content = [bytes([number]) * size for number, size in enumerate(sizes)]
    for data in content:
        file.write(data)
    file.close()
    if sum(sizes) < 10:
        assert (small, large) == ([b"".join(content)], [])
    else:
        assert (small, b"".join(large)) == ([], b"".join(content) + b".")
