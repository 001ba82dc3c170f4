"""Joint accounts: each holder has his part of every leaf, by the shares that hold for it.

The worker posts the leaves of an account under its owner. Here a leaf of a joint account is given
out: the whole amount is brought together again and shared anew (`rules.allocating`), so the parts
always add up to it, whatever came first. For a posted leaf the shares are those that held at the
end of its origin month, for what is open the latest; a change of shares shares the leaves of its
account anew. Tax is not given out: each holder is taxed on what he has.

Whoever gives out holds the numbers of the owner and of all who ever held with him.
"""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import TextClause, text

from services.scoring.allocation_sql import shared_out
from services.scoring.commands import contribution, parties
from services.scoring.commands.contribution import MOVE, OPEN_KEY
from services.scoring.commands.copying import as_array, staged
from services.scoring.leaf_sql import (
    AT_PLACE,
    KERNEL_PARTS,
    LEAF_KEY,
    PLACE,
    PLACES,
    columns,
    last_day,
    open_values,
    opening_of,
    place_of,
    product_of,
)
from shared.db import Tx

CO_HOLDERS = text(
    """
    select holder_number from account_holders where owner_number = any(cast(:numbers as text[]))
    """
)
JOINT = text(
    """
    select distinct owner_number, account_number from account_holders
     where owner_number = any(:numbers)
    """
)
# Whole leaves, and whole open ones, that are to be given out.
_WHOLE_LEAF = ("owner_number", *LEAF_KEY[1:-1])
_WHOLE_OPEN = ("owner_number", *OPEN_KEY[1:-1])
SHARED_LEAVES = ", ".join(f"{name} text" for name in _WHOLE_LEAF)
SHARED_OPEN = ", ".join(f"{name} text" for name in _WHOLE_OPEN)
_IS_JOINT = """exists (select 1 from account_holders h
                where h.owner_number = {t}.customer_number
                  and h.account_number = {t}.account_number)"""
_INTO_LEAVES = f"insert into shared_leaves ({', '.join(_WHOLE_LEAF)})"
_INTO_OPEN = f"insert into shared_open ({', '.join(_WHOLE_OPEN)})"
OF_TOLD_LEAVES = text(
    f"""
    {_INTO_LEAVES} select distinct t.customer_number, {columns("t", LEAF_KEY[1:-1])}
      from told_leaves t where {_IS_JOINT.format(t="t")}
    """  # noqa: S608 - names are ours
)
OF_TOLD_OPEN = text(
    f"""
    {_INTO_OPEN} select t.customer_number, {columns("t", OPEN_KEY[1:-1])}
      from told_accounts t where t.has_ledger = 1 and {_IS_JOINT.format(t="t")}
    """  # noqa: S608 - names are ours
)
OF_POOLS = text(
    f"""
    {_INTO_LEAVES} select l.customer_number, {columns("l", LEAF_KEY[1:-1])}
      from leaves l
     where l.customer_number = any(:numbers) and l.owner_number = '' and l.period = :period
       and l.component in ('overhead', 'variance') and {_IS_JOINT.format(t="l")}
    """  # noqa: S608 - names are ours
)
_OF_ACCOUNTS = """
      from unnest(cast(:numbers as text[]), cast(:accounts as text[])) as x(number, account)
      join {table} l on l.customer_number = x.number and l.account_number = x.account
       and l.owner_number = ''"""
LEAVES_OF_ACCOUNTS = text(
    f"""
    {_INTO_LEAVES} select l.customer_number, {columns("l", LEAF_KEY[1:-1])}
     {_OF_ACCOUNTS.format(table="leaves")} where l.component <> 'tax'
    """
)
OPEN_OF_ACCOUNTS = text(
    f"""
    {_INTO_OPEN} select l.customer_number, {columns("l", OPEN_KEY[1:-1])}
     {_OF_ACCOUNTS.format(table="open_leaves")}
    """
)
# The owner has the whole again.
GATHER_LEAVES = text(
    f"""
    with gone as (
      delete from leaves l using shared_leaves s
       where l.owner_number <> '' and ({columns("l", _WHOLE_LEAF)}) = ({columns("s", _WHOLE_LEAF)})
      returning l.*),
    back as (
      update leaves l set amount_minor = l.amount_minor + g.minor
        from (select {", ".join(_WHOLE_LEAF)}, cast(sum(amount_minor) as bigint) as minor
                from gone group by {", ".join(_WHOLE_LEAF)}) g
       where ({columns("l", LEAF_KEY)}) = ({columns("g", _WHOLE_LEAF)}, '')
      returning l.*, g.minor)
    {MOVE}
    select customer_number, product_code, component, period, {PLACE}, -amount_minor, 0 from gone
    union all
    select customer_number, product_code, component, period, {PLACE}, minor, 0 from back
    """  # noqa: S608 - names are ours
)


def _holders(owner: str, product: str, on: str) -> str:
    """The holders of a whole `w` as rows h; none when all is the owner's."""
    return f"""join account_holders h
        on h.owner_number = {owner} and h.account_number = w.account_number
       and h.event_offset = {opening_of(owner, "w.account_number", product, "w.loan_number", on)}"""


_PARTS_OF_LEAVES = shared_out(
    f"""select w.part, w.customer_number as owner, cast(w.amount_minor as numeric) as pool_minor,
               h.holder_number, cast(h.weight as numeric) as weight
          from whole w
          {_holders("w.customer_number", product_of("w"), last_day("w.origin_period"))}""",  # noqa: S608
    "holder_number",
)
SHARE_LEAVES = text(
    f"""
    with whole as materialized (
      select row_number() over () as part, l.*
        from shared_leaves s
        join leaves l on ({columns("l", LEAF_KEY)}) = ({columns("s", _WHOLE_LEAF)}, '')),
    parts as materialized ({_PARTS_OF_LEAVES}),
    taken as (
      select part, cast(sum(share_minor) as bigint) as minor from parts
       where holder_number <> owner group by part having sum(share_minor) <> 0),
    left_over as (
      update leaves l set amount_minor = l.amount_minor - t.minor
        from taken t join whole w using (part)
       where ({columns("l", LEAF_KEY)}) = ({columns("w", LEAF_KEY)})),
    given as (
      insert into leaves ({", ".join(LEAF_KEY)}, amount_minor, {PLACE})
      select one.holder_number, {columns("w", LEAF_KEY[1:-1])}, one.owner, one.share_minor,
             {AT_PLACE}
        from parts one join whole w using (part) {
        place_of(
            "one.holder_number", "w.account_number", product_of("w"),
            last_day("w.origin_period"), "one.owner", loan="w.loan_number",
        )
    }
       where one.holder_number <> one.owner and one.share_minor <> 0
       order by one.holder_number, {columns("w", LEAF_KEY[1:-1])}
      returning *)
    {MOVE}
    select customer_number, product_code, component, period, {PLACE}, amount_minor, 0 from given
    union all
    select customer_number, product_code, component, period, {PLACE}, -t.minor, 0
      from taken t join whole w using (part)
    """  # noqa: S608 - names are ours
)
_PARTS = tuple(KERNEL_PARTS)
_ADDED = ", ".join(f"{name} = l.{name} + g.{name}" for name in _PARTS)
GATHER_OPEN = text(
    f"""
    with gone as (
      delete from open_leaves l using shared_open s
       where l.owner_number <> '' and ({columns("l", _WHOLE_OPEN)}) = ({columns("s", _WHOLE_OPEN)})
      returning l.*),
    back as (
      update open_leaves l set {_ADDED}
        from (select {", ".join(_WHOLE_OPEN)},
                     {", ".join(f"cast(sum({name}) as bigint) as {name}" for name in _PARTS)}
                from gone group by {", ".join(_WHOLE_OPEN)}) g
       where ({columns("l", OPEN_KEY)}) = ({columns("g", _WHOLE_OPEN)}, ''))
    {MOVE}
    select x.customer_number, v.product_code, v.component, '', {columns("x", PLACES)}, 0,
           x.sign * v.amount_minor
      from gone o
      join open_leaves whole on ({columns("whole", OPEN_KEY)}) = ({columns("o", _WHOLE_OPEN)}, '')
           {open_values("o.{name}", KERNEL_PARTS)}
      cross join lateral (values
        (o.customer_number, {columns("o", PLACES)}, -1),
        (whole.customer_number, {columns("whole", PLACES)}, 1)) x(customer_number, {PLACE}, sign)
     where v.amount_minor <> 0
    """  # noqa: S608 - names are ours
)
_CELLS = ", ".join(f"('{name}', w.{name})" for name in _PARTS)
_PARTS_OF_OPEN = shared_out(
    f"""select concat(w.number, v.name) as part, w.number, v.name, w.customer_number as owner,
               cast(v.minor as numeric) as pool_minor, h.holder_number,
               cast(h.weight as numeric) as weight
          from whole w cross join lateral (values {_CELLS}) v(name, minor)
          {_holders("w.customer_number", "w.product_code", "date 'infinity'")}
         where v.minor <> 0""",  # noqa: S608 - names are ours
    "holder_number",
)
_POSITION = "below_product_code, position, input_sequence, state_offset, settled_on"


def _by_part(sign: str = "") -> str:
    return ", ".join(
        f"cast({sign}coalesce(sum(p.share_minor) filter (where p.name = '{name}'), 0) as bigint)"
        f" as {name}"
        for name in _PARTS
    )


SHARE_OPEN = text(
    f"""
    with whole as materialized (
      select row_number() over () as number, l.*
        from shared_open s
        join open_leaves l on ({columns("l", OPEN_KEY)}) = ({columns("s", _WHOLE_OPEN)}, '')),
    parts as materialized ({_PARTS_OF_OPEN}),
    given as (
      select p.number, p.holder_number, {_by_part()} from parts p
       where p.holder_number <> p.owner group by p.number, p.holder_number
      having bool_or(p.share_minor <> 0)),
    taken as (
      select p.number, {_by_part("-")} from parts p
       where p.holder_number <> p.owner group by p.number),
    left_over as (
      update open_leaves l set {_ADDED} from taken g join whole w using (number)
       where ({columns("l", OPEN_KEY)}) = ({columns("w", OPEN_KEY)})),
    kept as (
      insert into open_leaves ({", ".join(OPEN_KEY)}, {_POSITION}, {", ".join(_PARTS)}, {PLACE})
      select g.holder_number, {columns("w", OPEN_KEY[1:-1])}, w.customer_number,
             {columns("w", _POSITION.split(", "))}, {columns("g", _PARTS)}, {AT_PLACE}
        from given g join whole w using (number) {
        place_of(
            "g.holder_number", "w.account_number", "w.product_code", ":today",
            "w.customer_number", loan="w.loan_number",
        )
    }
       order by g.holder_number, {columns("w", OPEN_KEY[1:-1])}
      returning *),
    changed as (
      select customer_number, product_code, below_product_code, {", ".join(_PARTS)}, {PLACE}
        from kept
      union all
      select w.customer_number, w.product_code, w.below_product_code, {columns("t", _PARTS)},
             {columns("w", PLACES)}
        from taken t join whole w using (number))
    {MOVE}
    select o.customer_number, v.product_code, v.component, '', {columns("o", PLACES)}, 0,
           v.amount_minor
      from changed o {open_values("o.{name}", KERNEL_PARTS)} where v.amount_minor <> 0
    """  # noqa: S608 - names are ours
)


def prepare_moves(tx: Tx, numbers: Collection[str]) -> None:
    """As `contribution.prepare_moves`, for leaves that may be given out."""
    contribution.stage_moves(tx)
    hold_numbers(tx, numbers)


def hold_numbers(tx: Tx, numbers: Collection[str]) -> dict[str, str | None]:
    """As `parties.hold_numbers`, with all who ever held an account of theirs."""
    held = with_co_holders(tx, numbers)
    party_of = parties.hold_numbers(tx, held)
    more = with_co_holders(tx, numbers) - held  # told while we waited; seldom, so out of order
    if more:
        party_of |= parties.hold_numbers(tx, more)
    return party_of


def with_co_holders(tx: Tx, numbers: Collection[str]) -> set[str]:
    """These numbers and all who ever held an account of theirs."""
    found = tx.session.execute(CO_HOLDERS, {"numbers": as_array(numbers)}).scalars()
    return {*numbers, *found}


def share_told(tx: Tx) -> None:
    """Gives out what is in `told_leaves`; posted leaves that come again are found as they are."""
    _share_leaves(tx, OF_TOLD_LEAVES, {})


def share_pools(tx: Tx, numbers: Collection[str], period: str) -> None:
    """Gives out what a close spread to the accounts of these owners."""
    _share_leaves(tx, OF_POOLS, {"numbers": list(numbers), "period": period})


@contextmanager
def whole_open(tx: Tx) -> Iterator[None]:
    """Within it the owners in `told_accounts` have what is open of their joint accounts whole."""
    staged(tx, "shared_open", SHARED_OPEN)
    joint = tx.session.execute(OF_TOLD_OPEN).rowcount  # type: ignore[attr-defined]
    if joint:
        tx.session.execute(GATHER_OPEN)
    yield
    if joint:
        tx.session.execute(SHARE_OPEN, {"today": contribution.today_of(tx)})
        tx.session.execute(text("truncate shared_open"))


def _share_leaves(tx: Tx, which: TextClause, asked: dict[str, Any]) -> None:
    staged(tx, "shared_leaves", SHARED_LEAVES)
    if tx.session.execute(which, asked).rowcount:  # type: ignore[attr-defined]
        tx.session.execute(GATHER_LEAVES)
        tx.session.execute(SHARE_LEAVES)
    tx.session.execute(text("truncate shared_leaves"))


def joint_accounts(tx: Tx, numbers: Collection[str]) -> set[tuple[str, str]]:
    found = tx.session.execute(JOINT, {"numbers": sorted(numbers)})
    return {(row.owner_number, row.account_number) for row in found}


def share_anew(tx: Tx, accounts: set[tuple[str, str]]) -> None:
    """All leaves of these accounts, by owner and account; they are or were joint accounts."""
    if not accounts:
        return
    numbers, names = zip(*sorted(accounts), strict=True)
    asked = {"numbers": list(numbers), "accounts": list(names)}
    _share_leaves(tx, LEAVES_OF_ACCOUNTS, asked)
    staged(tx, "shared_open", SHARED_OPEN)
    if tx.session.execute(OPEN_OF_ACCOUNTS, asked).rowcount:  # type: ignore[attr-defined]
        tx.session.execute(GATHER_OPEN)
        tx.session.execute(SHARE_OPEN, {"today": contribution.today_of(tx)})
    tx.session.execute(text("truncate shared_open"))
    contribution.count_moves(tx)
