"""The close of a month: what accounts earned that no event has touched since is posted too.

An event settles its own account, so the path of events sweeps nothing. When the watermark has
passed the last day of a month, the customers are walked once, in steps between the batches. A step
does what the next event of the account would have done, so an account that was walked, or met by an
event before, or is walked again after a crash, has the same leaves.
"""

import numpy as np
from numpy.typing import NDArray

from services.scoring.partition import Partition
from services.scoring.scores.contribution.booking import post_months
from services.scoring.scores.contribution.months import first_day, month_of

Ints = NDArray[np.int64]
STEP_ROWS = 4_096  # customers: tens of milliseconds


def step(partition: Partition) -> tuple[Ints, list[list[int]]] | None:
    """The rows that a step touched and its leaves, to be written; None: the months are posted."""
    books, watermark = partition.books, partition.closes.watermark
    if not watermark or not books.rates.active:
        return None
    until = first_day(month_of(watermark + 1))
    if books.posted_until != until:
        books.posted_until, books.posted_rows = until, 0
    customers = len(partition.numbers)
    while books.posted_rows < customers:
        row, end = books.posted_rows, min(books.posted_rows + STEP_ROWS, customers)
        touched: Ints = np.zeros(end - row, np.int64)
        count: Ints = np.zeros(1, np.int64)
        books.written[0] = 0
        while row < end:
            row = post_months(books.book(), partition.first_account, partition.next_account, row,
                              end, until, touched, count)  # fmt: skip
            if row < end:
                books.make_room()
        books.posted_rows = end
        if count[0]:
            return touched[: int(count[0])], books.posted()
    return None


def customers_left(partition: Partition) -> int:
    """How many a closed month has yet to walk."""
    return max(len(partition.numbers) - partition.books.posted_rows, 0)
