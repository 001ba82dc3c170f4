"""Columns grow to twice their length, and the free half is no memory of the process."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import psutil
import pytest
from numpy.typing import NDArray

from services.scoring.books import Books
from services.scoring.growing import with_room
from services.scoring.rows import CUSTOMER

MB = 1 << 20


@pytest.mark.parametrize("length", [1, 1_000, 40_000, 700_000])
@pytest.mark.parametrize("column", [np.zeros(1, np.int64), np.zeros((1, 3), np.int64),
                                    np.zeros(1, np.uint8), np.zeros(1, CUSTOMER)])  # fmt: skip
def test_a_column_keeps_what_was_written_and_the_rest_is_zero(
    column: NDArray[Any], length: int
) -> None:
    column = with_room(column, 0, length)
    assert len(column) >= length
    words = column.view(np.uint8).reshape(len(column), -1)
    words[:length] = np.arange(length, dtype=np.uint8)[:, None]
    grown = with_room(column, length, length)
    assert (grown.dtype, grown.shape[1:]) == (column.dtype, column.shape[1:])
    assert len(grown) > 2 * length
    found = grown.view(np.uint8).reshape(len(grown), -1)
    assert (found[:length] == words[:length]).all()
    assert not found[length:].any()
    assert found.flags.writeable


def test_a_column_with_room_stays_where_it_is() -> None:
    column = np.zeros(10, np.int64)
    assert with_room(column, 4, 5) is column
    assert with_room(column, 4, 6) is not column


def _taken(make: Callable[[], NDArray[Any]]) -> int:
    """Megabytes that a column of 64 takes."""
    before = psutil.Process().memory_info().rss
    column = make()
    assert column.nbytes >= 64 * MB
    return int((psutil.Process().memory_info().rss - before) // MB)


MEASURED = """
import numpy as np
from services.scoring.books import Books
from services.scoring.growing import with_room
from tests.unit.test_growing import MB, _taken
small = np.zeros(4, np.int64)
print(_taken(lambda: with_room(small, 4, 8 * MB)), _taken(lambda: np.full(8 * MB, -1, np.int64)))
"""


def test_what_is_not_written_is_no_memory() -> None:
    """In a process of its own: what others have let go of would be taken again."""
    done = subprocess.run(
        [sys.executable, "-c", MEASURED], check=True, capture_output=True, text=True
    )  # fmt: skip
    reserved, written = map(int, done.stdout.split())
    assert reserved < 8
    assert written > 56, "else the measure sees nothing"


def test_leaves_of_many_accounts_make_no_room_for_entries_and_grades() -> None:
    """A month's end of a million accounts takes the memory of its leaves, not that of all tables
    as many times over."""
    books = Books()
    others = books.pool, books.grades.pool
    for _ in range(10):
        books.written[0] = len(books.leaves) - 1
        before = len(books.leaves)
        books.make_room()
        assert len(books.leaves) >= 2 * before
    assert (books.pool is others[0], books.grades.pool is others[1]) == (True, True)


def test_all_get_room_where_one_account_needs_more_than_there_is() -> None:
    books = Books()
    lengths = [len(books.leaves), len(books.pool), len(books.grades.pool)]
    books.make_room()
    grown = [len(books.leaves), len(books.pool), len(books.grades.pool)]
    assert all(new >= 2 * old for new, old in zip(grown, lengths, strict=True))
