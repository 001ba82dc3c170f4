"""What accounts have accrued through a closed day to which no event has brought them: the worker's
own code on its own records, so every rate, grade, entry and rounding is the worker's."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from services.scoring import model
from services.scoring.live_sets import LiveSets
from services.scoring.open_leaf import COLUMNS
from services.scoring.partition import Partition
from services.scoring.restoring import restore
from services.scoring.risk_plan import NO_PLAN
from services.scoring.rows import F_ACCOUNT, F_AMOUNT, F_COMPONENT, USES
from services.scoring.scores.contribution.ledger import SETTLED_ON
from services.scoring.state import UnreadableState
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
    books, accounts = partition.books, len(partition.account_keys)
    order = np.argsort(told.owners, kind="stable")  # accounts as the records have them
    if accounts != len(order) or np.any(
        books.ledgers[:accounts, SETTLED_ON] != told.settled_on[order]
    ):
        raise UnreadableState("accounts were restored in another order than they are told")
    leaves = books.open_leaves(accounts, day + 1)
    sums = np.zeros((accounts, USES + 1), np.int64)
    np.add.at(sums, (leaves[:, F_ACCOUNT], leaves[:, F_COMPONENT]), leaves[:, F_AMOUNT])
    found = np.empty_like(told.accrued)
    found[order] = sums[:, list(COLUMNS.values())]
    return found
