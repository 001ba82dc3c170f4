"""The walk of a restatement over the customers of one partition, in steps that bound the memory."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.partition import Partition
from services.scoring.scores.contribution import restating
from services.scoring.scores.contribution.ledger import LOSS_UNIT, UNIT
from services.scoring.scores.contribution.limbs import BITS, rounded
from services.scoring.scores.contribution.rates import Restatement

Ints = NDArray[np.int64]
STEP_ROWS = 16_384  # customers


class Walked(NamedTuple):
    """How far a restatement has come."""

    number: int
    keys: list[str]  # of the rates that it brought
    accounts: int  # corrected so far
    changed_minor: int  # what that changed, of all components
    customers_left: int


class Step(NamedTuple):
    """What a step changed, to be written before the next one."""

    walked: Walked
    touched: Ints
    leaves: list[list[int]]


def walk(partition: Partition, restatement: Restatement) -> Iterator[Step]:
    """Corrects every ledger that has not had it. The last step has no customers left."""
    books, customers = partition.books, len(partition.numbers)
    keys = books.rates.keys_of(restatement.number)
    counts: Ints = np.zeros(restating.COUNTS, np.int64)
    row = 0
    while True:
        end = min(row + STEP_ROWS, customers)
        touched: Ints = np.zeros(end - row, np.int64)
        counts[restating.C_ROWS] = books.written[0] = 0
        while row < end:
            row = restating.restate(
                books.book(restatement.before), books.book(restatement.difference),
                restatement.from_days, partition.first_account, partition.next_account, row, end,
                partition.closes.watermark + 1, restatement.number, touched, counts,
            )  # fmt: skip
            if row < end:
                books.make_room()
        walked = Walked(
            restatement.number, keys, int(counts[restating.C_ACCOUNTS]), _changed_minor(counts),
            customers - row,
        )  # fmt: skip
        yield Step(walked, touched[: int(counts[restating.C_ROWS])], books.posted())
        if row == customers:
            return


def _changed_minor(counts: Ints) -> int:
    *sums, (high, low) = counts[restating.C_CHANGED :].reshape(-1, 2).tolist()
    units = (UNIT, UNIT, LOSS_UNIT, LOSS_UNIT)  # margins, then loss and capital; upkeep is whole
    wide = (rounded(one[0], one[1], unit) for one, unit in zip(sums, units, strict=True))
    return sum(wide) + int(high << BITS) + int(low)
