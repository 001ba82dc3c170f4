"""Keeps what accounts accrued and have not posted, from the records of `scoring.state`."""

from sqlalchemy import text

from services.scoring.commands import contribution, sharing
from services.scoring.commands.contribution import MOVE
from services.scoring.leaf_sql import (
    AT_PLACE,
    KERNEL_PARTS,
    PLACES,
    columns,
    day_of,
    open_values,
    place_of,
)
from services.scoring.open_leaf import COLUMNS
from shared.db import Tx

KEY = ("customer_number", "account_number", "loan_number", "product_code")
POSITION = ("position", "input_sequence", "state_offset")
# Of what is told, the accounts that have a ledger.
TOLD = "(select * from told_accounts where has_ledger = 1) t"
# The rows of the accounts' owners: what others hold of a joint account is given to them anew.
_OWN = f"({columns('t', KEY)}, '') = ({columns('o', (*KEY, 'owner_number'))})"
_NEW = ", ".join((*KEY, "below_product_code", *POSITION, *COLUMNS, *PLACES))
NEW = text(
    f"""
    insert into open_leaves ({_NEW})
    select t.customer_number, t.account_number, t.loan_number, t.product_code,
           case when t.loan_number = '' then coalesce(p.overdraft_product_code, t.product_code)
                else t.product_code end,
           -2, 0, 0, {", ".join("0" for _ in COLUMNS)},
           {AT_PLACE}
      from {TOLD}
      left join open_leaves o on {_OWN}
      left join products p on p.product_code = t.product_code
      {place_of("t.customer_number", "t.account_number", ":today")}
     where o.customer_number is null
     order by {columns("t", KEY)}
    """  # noqa: S608 - names are ours
)
# What is told is newer: a record that is older than what is known changes nothing.
_NEWER = f"{_OWN} and ({columns('o', POSITION)}) < ({columns('t', POSITION)})"
KEEP = text(
    f"""
    with kept as (
      update open_leaves o
         set {", ".join(f"{name} = t.{name}" for name in (*POSITION, *COLUMNS))},
             settled_on = {day_of("t.settled_on_n")}
        from {TOLD} where {_NEWER}
      returning new.customer_number, new.product_code, new.below_product_code,
                {", ".join(f"new.{name}" for name in PLACES)},
                {", ".join(f"new.{name} - old.{name} as {name}" for name in COLUMNS)})
    {MOVE}
    select o.customer_number, v.product_code, v.component, '', {columns("o", PLACES)}, 0,
           v.amount_minor
      from kept o {open_values("o.{name}", KERNEL_PARTS)}
     where v.amount_minor <> 0
    """  # noqa: S608 - names are ours
)


def keep_open_leaves(tx: Tx) -> set[str]:
    """Takes what stands in `told_accounts`; the numbers are held. Returns the parties whose sums
    must follow.

    A customer with no transaction yet has open leaves too: his account costs its upkeep.
    """
    contribution.stage_moves(tx)
    tx.session.execute(NEW, {"today": contribution.today_of(tx)})
    with sharing.whole_open(tx):
        tx.session.execute(KEEP)
    return contribution.add_moves(tx)
