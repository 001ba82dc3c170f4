"""Totals of the contribution, moved with every leaf: whatever changes a leaf says by how much.

The moves of a transaction stand in `leaf_moves`; `count_moves` adds them to the totals of every
dimension, to the customer's own sum and to what moved today, each from the moves themselves, so
that a way that misses a leaf is seen as a residual.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from datetime import date, timedelta

from sqlalchemy import text

from services.scoring.commands import last_months, parties
from services.scoring.commands.copying import staged
from services.scoring.leaf_sql import (
    AT_PLACE,
    LEAF_KEY,
    OWNER,
    PLACE,
    PLACES,
    columns,
    last_day,
    open_values,
    owner,
    owner_of,
    place_of,
    product_of,
)
from shared.clock import business_date
from shared.db import Tx

MOVED = ("customer_number", "product_code", "component", "period", *PLACES)
MOVES = ", ".join((*(f"{name} text" for name in MOVED), "posted_minor bigint",
                   "accrued_minor bigint"))  # fmt: skip
MOVE = f"insert into leaf_moves ({', '.join(MOVED)}, posted_minor, accrued_minor)"
OPEN_KEY = ("customer_number", "account_number", "loan_number", "product_code", "owner_number")
_OLD_PLACES = [f"old_{name}" for name in PLACES]
_NEW_PLACES = ", ".join(f"{name} = p.{name}" for name in PLACES)


def _as_old(alias: str) -> str:
    return ", ".join(f"{alias}.{name} as old_{name}" for name in PLACES)


PLACE_LEAVES = text(
    f"""
    with placed as (
      select {columns("l", LEAF_KEY)}, l.amount_minor, {_as_old("l")}, {AT_PLACE}
        from leaves l {
        place_of(
            "l.customer_number", "l.account_number", product_of("l"),
            last_day("l.origin_period"), owner_of("l"), loan="l.loan_number",
        )
    }
       where l.customer_number = any(:numbers)
         and ({columns("l", PLACES)}) is distinct from ({AT_PLACE})),
    moved as (
      update leaves l set {_NEW_PLACES} from placed p
       where ({columns("l", LEAF_KEY)}) = ({columns("p", LEAF_KEY)})
      returning p.*)
    {MOVE}
    select m.customer_number, m.product_code, m.component, m.period, {columns("x", PLACES)},
           x.amount, 0
      from moved m cross join lateral (values
        ({columns("m", _OLD_PLACES)}, -m.amount_minor), ({columns("m", PLACES)}, m.amount_minor))
        x({PLACE}, amount)
    """  # noqa: S608 - names are ours
)
PLACE_OPEN = text(
    f"""
    with placed as (
      select {columns("o", OPEN_KEY)}, {_as_old("o")}, {AT_PLACE}
        from open_leaves o {
        place_of(
            "o.customer_number", "o.account_number", "o.product_code", ":today", owner_of("o"),
            loan="o.loan_number",
        )
    }
       where o.customer_number = any(:numbers)
         and ({columns("o", PLACES)}) is distinct from ({AT_PLACE})),
    moved as (
      update open_leaves o set {_NEW_PLACES} from placed p
       where ({columns("o", OPEN_KEY)}) = ({columns("p", OPEN_KEY)})
      returning o.*, {columns("p", _OLD_PLACES)})
    {MOVE}
    select o.customer_number, v.product_code, v.component, '', {columns("x", PLACES)}, 0,
           x.sign * v.amount_minor
      from moved o {open_values("o.{name}")}
      cross join lateral (values
        ({columns("o", _OLD_PLACES)}, -1), ({columns("o", PLACES)}, 1)) x({PLACE}, sign)
     where v.amount_minor <> 0
    """  # noqa: S608 - names are ours
)
DIMENSIONS = """cross join lateral (values
        ('bank', ''), ('product', m.product_code), ('region', m.region_code),
        ('branch', m.branch_code), ('manager', m.manager_code), ('channel', m.channel_code),
        ('month', m.period))
        d(dimension, code)"""
# Many moves are few places: added up first, then told to each dimension.
_OF_PLACE = ", ".join(("product_code", "component", "period", *PLACES))
_SUMS = "sum(posted_minor) as posted_minor, sum(accrued_minor) as accrued_minor"
_ADDED = """do update
       set posted_minor = {table}.posted_minor + excluded.posted_minor,
           accrued_minor = {table}.accrued_minor + excluded.accrued_minor"""
TO_TOTALS = text(
    f"""
    insert into contribution_totals (dimension, code, component, posted_minor, accrued_minor)
    select d.dimension, d.code, m.component, sum(m.posted_minor), sum(m.accrued_minor)
      from (select {_OF_PLACE}, {_SUMS} from leaf_moves group by {_OF_PLACE}) m {DIMENSIONS}
     group by d.dimension, d.code, m.component
    having sum(m.posted_minor) <> 0 or sum(m.accrued_minor) <> 0
     order by d.dimension, d.code, m.component
    on conflict (dimension, code, component) {_ADDED.format(table="contribution_totals")}
    """  # noqa: S608 - names are ours
)
_OWNER_KEY = f"dimension, {OWNER}, code, component"
TO_OWNERS = text(
    f"""
    insert into owner_totals ({_OWNER_KEY}, posted_minor, accrued_minor)
    select d.dimension, {OWNER}, d.code, m.component, sum(m.posted_minor),
           sum(m.accrued_minor)
      from (select {OWNER}, {_OF_PLACE}, {_SUMS}
              from (select l.*, {owner("n")}
                      from leaf_moves l join numbers n using (customer_number)) o
             group by {OWNER}, {_OF_PLACE}) m {DIMENSIONS}
     group by d.dimension, {OWNER}, d.code, m.component
    having sum(m.posted_minor) <> 0 or sum(m.accrued_minor) <> 0
     order by d.dimension, {OWNER}, d.code, m.component
    on conflict ({_OWNER_KEY}) {_ADDED.format(table="owner_totals")}
    """  # noqa: S608 - names are ours
)
_MONTH_KEY = "period, manager_code, branch_code, product_code, component"
TO_MONTHS = text(
    f"""
    insert into month_totals ({_MONTH_KEY}, posted_minor, accrued_minor)
    select {_MONTH_KEY}, sum(posted_minor), sum(accrued_minor)
      from leaf_moves group by {_MONTH_KEY}
    having sum(posted_minor) <> 0 or sum(accrued_minor) <> 0
     order by {_MONTH_KEY}
    on conflict ({_MONTH_KEY}) {_ADDED.format(table="month_totals")}
    """  # noqa: S608 - names are ours
)
TO_CUSTOMER_MONTHS = text(
    """
    insert into customer_months (period, customer_number, posted_minor)
    select period, customer_number, sum(posted_minor)
      from leaf_moves where period <> '' group by period, customer_number
    having sum(posted_minor) <> 0 order by period, customer_number
    on conflict (period, customer_number) do update
       set posted_minor = customer_months.posted_minor + excluded.posted_minor
    """
)
TO_COMPONENTS = text(
    """
    insert into customer_components (customer_number, component, posted_minor)
    select customer_number, component, sum(posted_minor)
      from leaf_moves where posted_minor <> 0 group by customer_number, component
     order by customer_number, component
    on conflict (customer_number, component) do update
       set posted_minor = customer_components.posted_minor + excluded.posted_minor
    """
)
# All leaves of some numbers, with a sign: they leave one owner and come to another.
ALL_OF_THEM = text(
    f"""
    {MOVE}
    select customer_number, product_code, component, period, {PLACE}, :sign * amount_minor, 0
      from leaves where customer_number = any(:numbers)
    union all
    select o.customer_number, v.product_code, v.component, '', {columns("o", PLACES)}, 0,
           :sign * v.amount_minor
      from open_leaves o {open_values("o.{name}")}
     where o.customer_number = any(:numbers) and v.amount_minor <> 0
    """  # noqa: S608 - names are ours
)
TO_NUMBERS = text(
    """
    with sums as (
      select customer_number, sum(posted_minor) as posted, sum(accrued_minor) as accrued
        from leaf_moves group by customer_number),
    updated as (
      update numbers n
         set posted_minor = n.posted_minor + s.posted,
             accrued_minor = n.accrued_minor + s.accrued
        from sums s where n.customer_number = s.customer_number
         and (s.posted <> 0 or s.accrued <> 0)
      returning n.party_id)
    select distinct party_id from updated where party_id is not null
    """
)
WITH_LEAVES = text(
    """
    select n from unnest(cast(:numbers as text[])) as x(n)
     where exists (select 1 from leaves where customer_number = n)
        or exists (select 1 from open_leaves where customer_number = n)
    """
)
EMPTY = text("truncate leaf_moves")
# Not a merge: of a day that has just begun the planner knows nothing, and would read all of it.
TO_MOVED = text(
    """
    insert into moved (on_date, customer_number, moved_minor)
    select :today, customer_number, sum(posted_minor + accrued_minor)
      from leaf_moves group by customer_number
    having sum(posted_minor + accrued_minor) <> 0 order by customer_number
    on conflict (on_date, customer_number) do update
       set moved_minor = moved.moved_minor + excluded.moved_minor
    """
)
# Whose leaves a tax is due on anew, where the bank has one; see `taxes`.
TO_UNTAXED = text(
    """
    insert into untaxed (customer_number)
    select distinct customer_number from leaf_moves
     where posted_minor <> 0 and exists (select 1 from tax_rates)
    on conflict do nothing
    """
)
FORGET_MOVED = text("delete from moved where on_date < :before")
MOVED_KEPT = timedelta(days=7)


def prepare_moves(tx: Tx, numbers: Collection[str]) -> None:
    """Before anything of these numbers' leaves changes: they are held, so no move is lost."""
    stage_moves(tx)
    parties.hold_numbers(tx, numbers)


def stage_moves(tx: Tx) -> None:
    """For who holds the numbers already."""
    staged(tx, "leaf_moves", MOVES)


def count_moves(tx: Tx, *, of_days: bool = False) -> None:
    """Adds the moves of this transaction to all sums, once; `of_days`: it was the days that went
    by, nobody has moved anything today."""
    touched = add_to_numbers(tx, of_days=of_days)
    parties.lock_parties(tx, touched)
    parties.recompute(tx, touched)
    add_to_totals(tx)


def add_to_numbers(tx: Tx, *, of_days: bool = False, posted: bool = True) -> set[str]:
    """The moves to the sums of their numbers. Returns the parties that must follow.

    `posted`: some of it may be of posted leaves; else as `count_moves`, which has the rest.
    """
    today = today_of(tx)
    touched = set(tx.session.execute(TO_NUMBERS).scalars().all())
    if posted:
        tx.session.execute(TO_CUSTOMER_MONTHS)
        tx.session.execute(TO_COMPONENTS)
        tx.session.execute(TO_UNTAXED)
        touched |= last_months.add_moves(tx, today)
    if not of_days:
        tx.session.execute(TO_MOVED, {"today": today})
    tx.session.execute(FORGET_MOVED, {"before": today - MOVED_KEPT})
    return touched


def add_to_totals(tx: Tx) -> None:
    """The moves to the few rows that all customers share: last, since whoever else changes a
    customer waits for them until the commit."""
    tx.session.execute(TO_TOTALS)
    tx.session.execute(TO_OWNERS)
    tx.session.execute(TO_MONTHS)
    tx.session.execute(EMPTY)


@contextmanager
def under_others(tx: Tx, numbers: Collection[str]) -> Iterator[None]:
    """Within it others begin to answer for these numbers: what they ever earned goes along, and
    the leaves of the days from which somebody answers are his. The numbers are held, so that no
    leaf comes under the one before meanwhile."""
    parties.hold_numbers(tx, numbers)
    found = tx.session.execute(WITH_LEAVES, {"numbers": sorted(numbers)}).scalars()
    with_leaves = sorted(found)
    if not with_leaves:
        yield
        return
    stage_moves(tx)
    for sign in (-1, 1):
        if sign == 1:
            yield
        tx.session.execute(ALL_OF_THEM, {"numbers": with_leaves, "sign": sign})
        tx.session.execute(TO_OWNERS)
        tx.session.execute(EMPTY)
    place_anew(tx, with_leaves)


def place_anew(tx: Tx, numbers: Collection[str]) -> None:
    """Something came that says where these numbers' leaves belong, perhaps late: move them."""
    if not numbers:
        return
    prepare_moves(tx, numbers)
    asked = {"numbers": sorted(numbers), "today": today_of(tx)}
    moved = tx.session.execute(PLACE_LEAVES, asked).rowcount  # type: ignore[attr-defined]
    moved += tx.session.execute(PLACE_OPEN, asked).rowcount  # type: ignore[attr-defined]
    if moved:
        count_moves(tx)


def today_of(tx: Tx) -> date:
    return business_date(tx.bank_now, tx.clock.zone)
