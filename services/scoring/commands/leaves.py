"""Keeps posted leaves: a leaf is posted once, and comes again equal when a worker was killed."""

import msgspec
from sqlalchemy import text

from services.scoring.commands import contribution, sharing
from services.scoring.commands.contribution import MOVE
from services.scoring.commands.copying import copy_rows, staged
from services.scoring.leaf_sql import (
    AT_PLACE,
    LEAF_KEY,
    PLACE,
    columns,
    last_day,
    place_of,
    product_of,
)
from services.scoring.leaves import Leaf
from shared.db import Tx
from shared.wire import Record

IDENTITY = (
    "customer_number", "account_number", "loan_number", "product_code", "component", "period",
    "origin_period", "account_product_code",
)  # fmt: skip
COLUMNS = (*IDENTITY, "amount_minor")
STAGED = ", ".join((*(f"{name} text" for name in IDENTITY), "amount_minor bigint"))
_NAMES = ", ".join(COLUMNS)
_TOLD = ", ".join(f"t.{name}" for name in COLUMNS)
_SAME = ", ".join(IDENTITY)
KEEP = text(
    f"""
    with kept as (
      insert into leaves ({_NAMES}, {PLACE})
      select {_TOLD}, {AT_PLACE}
        from (select distinct {_NAMES} from told_leaves) t
        {
        place_of(
            "t.customer_number", "t.account_number", product_of("t"), last_day("t.origin_period"),
            loan="t.loan_number",
        )
    }
       order by {_TOLD}
      on conflict ({", ".join(LEAF_KEY)}) do nothing
      returning *)
    {MOVE}
    select customer_number, product_code, component, period, {PLACE}, amount_minor, 0
      from kept
    """  # noqa: S608 - names are ours
)
# What was posted of it before; of a joint account the parts of all its holders together.
CHANGED = text(
    f"""
    select whole.minor as amount_minor, t.amount_minor as told_minor, l.account_number,
           l.component, l.period
      from told_leaves t join leaves l using ({_SAME})
      cross join lateral (
        select l.amount_minor + coalesce(sum(p.amount_minor), 0) as minor from leaves p
         where p.owner_number <> '' and p.owner_number = l.customer_number
           and ({columns("p", IDENTITY[1:])}) = ({columns("l", IDENTITY[1:])})) whole
     where l.owner_number = '' and l.amount_minor <> t.amount_minor
       and whole.minor <> t.amount_minor limit 1
    """  # noqa: S608 - names are ours
)
_decoder = msgspec.json.Decoder(Leaf)


class LeafChanged(RuntimeError):
    """A posted leaf came again with another amount: closed periods never change."""


def keep_leaves(tx: Tx, records: list[Record]) -> None:
    """Takes a poll of `scoring.leaves`. Raises LeafChanged."""
    told = [_decoder.decode(record.value or b"") for record in records]
    sharing.prepare_moves(tx, {leaf.customer_number for leaf in told})
    staged(tx, "told_leaves", STAGED)
    copy_rows(
        tx, "told_leaves", COLUMNS,
        ([*(getattr(leaf, name) for name in IDENTITY), leaf.amount_minor] for leaf in told),
    )  # fmt: skip
    tx.session.execute(KEEP)
    sharing.share_told(tx)
    contribution.count_moves(tx)
    changed = tx.session.execute(CHANGED).first()
    if changed is not None:
        raise LeafChanged(
            f"{changed.account_number} {changed.component} {changed.period}: "
            f"{changed.amount_minor}, now {changed.told_minor}"
        )
