"""What accounts have accrued through a closed day to which no event has brought them: the worker's
own code on its own records, so every rate, grade, entry and rounding is the worker's."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from services.scoring import model
from services.scoring.books import AccountKey
from services.scoring.live_sets import LiveSets
from services.scoring.open_leaf import COLUMNS
from services.scoring.partition import Partition
from services.scoring.restoring import restore
from services.scoring.risk_plan import NO_PLAN
from services.scoring.rows import F_ACCOUNT, F_AMOUNT, F_COMPONENT, USES
from services.scoring.state_columns import Columns

Ints = NDArray[np.int64]
Record = tuple[bytes, bytes]
_WATCHES_NOTHING = LiveSets(model.load(), NO_PLAN).first


def accrued_through(
    day: int, rates: Iterable[Record], customers: Sequence[Record], told: Columns, currency: str
) -> Ints:
    """Of each account by component, as `told.accrued` and in its order. `told` is what columns say
    of the same customers."""
    partition = Partition(0, _WATCHES_NOTHING, currency)
    restore(partition, [*rates, *customers])
    accounts = len(partition.account_keys)
    place = {partition.key_of(n): n for n in range(accounts)}
    order = np.array([place[key] for key in _keys([k.decode() for k, _ in customers], told)])
    leaves = partition.books.open_leaves(accounts, day + 1)
    sums = np.zeros((accounts, USES + 1), np.int64)
    np.add.at(sums, (leaves[:, F_ACCOUNT], leaves[:, F_COMPONENT]), leaves[:, F_AMOUNT])
    found: Ints = sums[order][:, list(COLUMNS.values())]
    return found


def _keys(numbers: Sequence[str], told: Columns) -> Iterator[AccountKey]:
    ends = told.text_begins + told.text_lengths
    spans = zip(told.text_begins.tolist(), ends.tolist(), strict=True)
    for owner, ((a, b, c, d), (a_end, b_end, c_end, d_end)) in zip(
        told.owners.tolist(), spans, strict=True
    ):
        data = told.data
        yield (
            numbers[owner], data[a:a_end].decode(), data[b:b_end].decode(),
            data[c:c_end].decode(), data[d:d_end].decode(),
        )  # fmt: skip
