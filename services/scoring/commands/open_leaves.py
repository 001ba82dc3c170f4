"""Keeps what accounts accrued and have not posted, from the records of `scoring.state`."""

import struct
from collections.abc import Sequence

from sqlalchemy import text

from services.scoring import state
from services.scoring.commands import contribution, sharing
from services.scoring.commands.contribution import MOVE
from services.scoring.commands.copying import copy_rows, staged
from services.scoring.leaf_sql import (
    AT_PLACE,
    KERNEL_PARTS,
    PLACES,
    columns,
    open_values,
    place_of,
)
from services.scoring.open_leaf import COLUMNS, accrued, settled_on
from shared.db import Tx
from shared.wire import Record

KEY = ("customer_number", "account_number", "loan_number", "product_code")
POSITION = ("position", "input_sequence", "state_offset")
TOLD_COLUMNS = (*KEY, *POSITION, "settled_on", *COLUMNS)
TOLD = ", ".join((
    *(f"{name} text" for name in KEY), *(f"{name} bigint" for name in POSITION),
    "settled_on date", *(f"{name} bigint" for name in COLUMNS),
))  # fmt: skip
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
      from told_open t
      left join open_leaves o on {_OWN}
      left join products p on p.product_code = t.product_code
      {place_of("t.customer_number", "t.account_number", ":today")}
     where o.customer_number is null
     order by {columns("t", KEY)}
    """  # noqa: S608 - names are ours
)
OLDER = text(
    f"""
    delete from told_open t using open_leaves o
     where {_OWN} and ({columns("t", POSITION)}) <= ({columns("o", POSITION)})
    """  # noqa: S608 - names are ours
)
DIFFERENCE = text(
    f"""
    {MOVE}
    select o.customer_number, v.product_code, v.component, '', {columns("o", PLACES)}, 0,
           v.amount_minor
      from told_open t join open_leaves o on {_OWN} {
        open_values("t.{name} - o.{name}", KERNEL_PARTS)
    }
     where v.amount_minor <> 0
    """  # noqa: S608 - names are ours
)
KEEP = text(
    f"""
    update open_leaves o
       set {", ".join(f"{name} = t.{name}" for name in (*POSITION, "settled_on", *COLUMNS))}
      from told_open t
     where {_OWN}
    """  # noqa: S608 - names are ours
)


def keep_open_leaves(tx: Tx, records: Sequence[Record]) -> None:
    """Takes conflated customer records; a record that is older than what is known changes nothing.

    A customer with no transaction yet has open leaves too: his account costs its upkeep.
    """
    told = [row for record in records for row in _rows(record)]
    if not told:
        return
    sharing.prepare_moves(tx, {str(row[0]) for row in told})
    staged(tx, "told_open", TOLD)
    copy_rows(tx, "told_open", TOLD_COLUMNS, told)
    tx.session.execute(text("analyze told_open"))
    tx.session.execute(NEW, {"today": contribution.today_of(tx)})
    tx.session.execute(OLDER)
    with sharing.whole_open(tx):
        tx.session.execute(DIFFERENCE)
        tx.session.execute(KEEP)
    contribution.count_moves(tx)


def _rows(record: Record) -> list[tuple[object, ...]]:
    number, value = (record.key or b"").decode(), record.value or b""
    try:
        accounts = state.accounts_at(value)[0]
        place = state.place_of(value)
    except (ValueError, IndexError, struct.error) as error:
        raise state.UnreadableState(f"{number}: {error}") from error
    return [
        (number, a.account_number, a.loan_number, a.product_code, *place, record.offset,
         state.day_of(settled_on(a.ledger)), *accrued(a.ledger, a.entries))
        for a in accounts if a.ledger
    ]  # fmt: skip
