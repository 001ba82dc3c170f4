"""Keeps what accounts accrued and have not posted, from the records of `scoring.state`.

A customer's record tells all his accounts, also those that no event has touched, as the worker
last settled them. `rolling` brings those up to the closed day; so a row is written from a record
only where what is told of its account has changed.

Whose product a negative balance is stands in the same log, before the first account that it holds
for: as each partition of the worker took it, or refused it, not as the bank's reference data say.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import TextClause, text

from services.scoring import state_columns
from services.scoring.commands import contribution, sharing
from services.scoring.commands.contribution import MOVE
from services.scoring.commands.copying import Texts, copy_columns, staged, texts_first
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
from services.scoring.rate import Rate
from services.scoring.rows import ACCOUNT_FIELDS, CUSTOMER_FIELDS
from shared.db import Tx
from shared.wire import Record

KEY = ("customer_number", "account_number", "loan_number", "product_code")
POSITION = ("position", "input_sequence", "state_offset")
# What is told of accounts stands in `told_accounts`.
_TEXTS = ("customer_number", "account_number", "product_code", "currency", "loan_number")
_TOLD_COLUMNS = (
    *_TEXTS, "partition", *POSITION, *(f"{name}_n" for name in ACCOUNT_FIELDS), "has_ledger",
    "settled_on_n", "told_hash", *COLUMNS,
)  # fmt: skip
_COUNT = ACCOUNT_FIELDS.index("count")
_PLACE = [CUSTOMER_FIELDS.index(name) for name in ("offset", "input_sequence")]
# Of it, the accounts that have a ledger.
TOLD = "(select * from told_accounts where has_ledger = 1) t"
# The rows of the accounts' owners: what others hold of a joint account is given to them anew.
OWN = f"({columns('t', KEY)}, '') = ({columns('o', (*KEY, 'owner_number'))})"
_NEW = ", ".join((*KEY, "below_product_code", *POSITION, *COLUMNS, *PLACES))
NEW = text(
    f"""
    insert into open_leaves ({_NEW})
    select t.customer_number, t.account_number, t.loan_number, t.product_code,
           case when t.loan_number = '' then coalesce(d.below_product_code, t.product_code)
                else t.product_code end,
           -2, 0, 0, {", ".join("0" for _ in COLUMNS)},
           {AT_PLACE}
      from {TOLD}
      left join open_leaves o on {OWN}
      left join overdrafts d on (d.partition, d.product_code) = (t.partition, t.product_code)
      {
        place_of(
            "t.customer_number", "t.account_number", "t.product_code", ":today",
            loan="t.loan_number",
        )
    }
     where o.customer_number is null
     order by {columns("t", KEY)}
    """  # noqa: S608 - names are ours
)
OVERDRAFT = text(
    """
    insert into overdrafts (partition, product_code, below_product_code)
    values (:partition, :product_code, :below_product_code)
    on conflict (partition, product_code) do update
       set below_product_code = excluded.below_product_code
    """
)
CHANGED = "o.told_hash is distinct from t.told_hash"
# What is told is newer: a record that is older than what is known changes nothing.
NEWER = f"({columns('o', POSITION)}) < ({columns('t', POSITION)})"

# A closed month is posted up to its end, while days after it may be rolled already: what is open is
# no further than that then, and a roll that is under way begins again.
PUT_BACK = """put_back as (
          update rolls r
             set through_on = case when r.through_on > k.day then k.day else r.through_on end,
                 after_number = ''
            from (select partition, min(settled_on) - 1 as day from kept group by partition) k
           where r.partition = k.partition and (k.day < r.through_on or k.day < r.rolling_on))"""


def moving(names: Sequence[str], more: str, where: str, beside: str = "") -> TextClause:
    """Takes these columns, and more, from what is told; says by how much the amounts move."""
    return text(
        f"""
        with kept as (
          update open_leaves o
             set {", ".join(f"{name} = t.{name}" for name in names)}{more}
            from {TOLD} where {OWN} and {where}
          returning t.partition, new.settled_on, new.customer_number, new.product_code,
                    new.below_product_code,
                    {", ".join(f"new.{name}" for name in PLACES)},
                    {", ".join(f"new.{name} - old.{name} as {name}" for name in COLUMNS)})
        {beside} {MOVE}
        select o.customer_number, v.product_code, v.component, '', {columns("o", PLACES)}, 0,
               v.amount_minor
          from kept o {open_values("o.{name}", KERNEL_PARTS)}
         where v.amount_minor <> 0
        """  # noqa: S608 - names are ours
    )


KEEP = moving(
    (*POSITION, *COLUMNS, "told_hash"),
    f", settled_on = {day_of('t.settled_on_n')}",
    f"{NEWER} and {CHANGED}",
    f", {PUT_BACK}",
)


def note_overdrafts(tx: Tx, rates: Sequence[tuple[int, Rate]]) -> None:
    """To which product a negative balance belongs, as partitions of the worker took it."""
    told = [
        {"partition": partition, "product_code": rate.product, "below_product_code": rate.overdraft}
        for partition, rate in rates
        if rate.kind == "overdraft"
    ]
    if told:
        tx.session.execute(OVERDRAFT, told)


def stage_accounts(
    tx: Tx, records: Sequence[Record], told: state_columns.Columns, accrued: NDArray[np.int64]
) -> None:
    """What customers' records tell of accounts that have a transaction or a ledger; `accrued` by
    component: as they tell it, or brought on to a later day."""
    numbers = Texts.of([record.key or b"" for record in records])
    places = np.array([(record.partition, record.offset) for record in records], np.int64)
    kept = told.has_ledger | (told.figures[:, _COUNT] > 0)
    owners = told.owners[kept]
    words = zip(told.text_begins[kept].T, told.text_lengths[kept].T, strict=True)
    staged(tx, "told_accounts", texts_first(_TOLD_COLUMNS, len(_TEXTS)))
    copy_columns(
        tx, "told_accounts", _TOLD_COLUMNS,
        [numbers.taken(owners), *(Texts(told.data, *w) for w in words)],
        np.column_stack((
            places[owners, 0], told.rows[owners][:, _PLACE], places[owners, 1], told.figures[kept],
            told.has_ledger[kept], told.settled_on[kept], told.hashes[kept], accrued[kept],
        )),
    )  # fmt: skip


def keep_open_leaves(tx: Tx) -> set[str]:
    """Takes what stands in `told_accounts`; the numbers are held. Returns the parties whose sums
    must follow; the totals are left to the caller (`contribution.add_to_totals`).

    A customer with no transaction yet has open leaves too: his account costs its upkeep.
    """
    contribution.stage_moves(tx)
    tx.session.execute(NEW, {"today": contribution.today_of(tx)})
    with sharing.whole_open(tx):
        tx.session.execute(KEEP)
    return contribution.add_to_numbers(tx, posted=False)
