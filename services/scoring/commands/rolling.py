"""Brings what is open of all accounts up to the closed day, also of those that no event touched.

The worker settles an account when something touches it, so its record may be of a day long ago; in
between it has earned by its balance. A roll goes through the customers of one partition, some at a
time in the order of their numbers, and takes for each account what a close would post of it. It
begins when all records that stand before the partition's close are folded. A row is written only
while it rests on the very words that were rolled: what the worker settled since is as far already.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from services.scoring import state, state_columns
from services.scoring.commands import contribution, sharing
from services.scoring.commands.copying import BY_KEY
from services.scoring.commands.open_leaves import (
    CHANGED,
    OWN,
    POSITION,
    TOLD,
    moving,
    stage_accounts,
)
from services.scoring.leaf_sql import columns
from services.scoring.open_leaf import COLUMNS
from shared.db import Tx
from shared.wire import Record

CLOSED = text(
    """
    insert into rolls (partition, closed_on) values (:partition, :closed_on)
    on conflict (partition) do update set closed_on = excluded.closed_on
     where rolls.closed_on < excluded.closed_on
    """
)
NEXT = text(
    """
    select partition, coalesce(rolling_on, closed_on) as day, after_number from rolls
     where rolling_on is not null or through_on is distinct from closed_on
     order by rolling_on is null, partition limit 1
    """
)
# Before any number is held, as the fold does: it notes a close first.
GO_ON = text(
    """
    update rolls set rolling_on = :day, after_number = :last
     where partition = :partition and after_number = :after
       and coalesce(rolling_on, :day) = :day and (through_on < :day or through_on is null)
    """
)
DONE = text(
    """
    update rolls set through_on = rolling_on, rolling_on = null, after_number = ''
     where partition = :partition
    """
)
# A listener may hold what we want and want what we hold: we give up first, and come again.
PATIENCE = text("set local lock_timeout = '500ms'")
ANALYZE = text("analyze told_accounts (customer_number, has_ledger)")
_SAME_PLACE = f"({columns('o', POSITION)}) = ({columns('t', POSITION)})"
_AMOUNTS = (*COLUMNS,)
# A row from before there were hashes rests on the record of its place.
ROLLED = moving(
    (*_AMOUNTS, "told_hash"),
    "",
    f"""(o.told_hash = t.told_hash or (o.told_hash is null and {_SAME_PLACE}))
        and ({columns("o", _AMOUNTS)}) is distinct from ({columns("t", _AMOUNTS)})""",
)
BEHIND = text(
    f"""
    select count(*) from {TOLD} join open_leaves o on {OWN}
     where {CHANGED} and o.settled_on <= :day
    """  # noqa: S608 - names are ours
)


class NotFolded(RuntimeError):
    """An account rests on an older record than the one at hand: the fold has to come to it."""


@dataclass(frozen=True, slots=True)
class Roll:
    """A roll that is under way, or due: a partition, the closed day, how far it has come."""

    partition: int
    day: date
    after: str


def note_closed(tx: Tx, partitions: Sequence[state.PartitionState]) -> None:
    """Days that the worker has closed; what it wrote before that is folded with this."""
    closed = [
        {"partition": one.partition, "closed_on": date.fromordinal(one.watermark)}
        for one in partitions
        if one.watermark
    ]
    if closed:
        tx.session.execute(CLOSED, closed)


def next_roll(tx: Tx) -> Roll | None:
    row = tx.session.execute(NEXT).first()
    return None if row is None else Roll(row.partition, row.day, row.after_number)


def bring_on(
    tx: Tx, roll: Roll, records: Sequence[Record], told: state_columns.Columns,
    accrued: NDArray[np.int64], *, last: bool,
) -> None:  # fmt: skip
    """Takes what the accounts of the next customers have accrued. Raises NotFolded."""
    tx.session.execute(PATIENCE)
    numbers = [(record.key or b"").decode() for record in records]
    here = {"partition": roll.partition, "day": roll.day, "after": roll.after}
    asked = {**here, "last": numbers[-1] if numbers else roll.after}
    if not tx.session.execute(GO_ON, asked).rowcount:  # type: ignore[attr-defined]
        return  # another process has done it
    if told.has_ledger.any():
        sharing.hold_numbers(tx, numbers)
        stage_accounts(tx, records, told, accrued)
        tx.session.execute(ANALYZE)
        tx.session.execute(BY_KEY)
        contribution.stage_moves(tx)
        with sharing.whole_open(tx):
            tx.session.execute(ROLLED)
        behind = tx.session.execute(BEHIND, {"day": roll.day}).scalar_one()
        if behind:
            raise NotFolded(f"{behind} accounts of partition {roll.partition} at {roll.day}")
        contribution.count_moves(tx, of_days=True)
    if last:
        tx.session.execute(DONE, here)
