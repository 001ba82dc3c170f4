"""The allocation sheet (费用分解表): what each pool cost, who used its driver, what each one bears.

Whoever sees all of the bank sees the pools; others the parts of the customers they answer for.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.allocation_sql import BOOKED_POOLS
from services.scoring.leaf_sql import last_day
from services.scoring.queries.events import CONTACTED
from services.scoring.queries.reach import NUMBERS_REACHED, by_reach, parameters_of
from shared.reach import Reach

PAGE_ROWS = 50
POOL_KEY: Final = ("origin_period", "cost_centre_code", "driver_code")
_KEY = ", ".join(POOL_KEY)
_NAMES = """left join lateral (
        select p.names from cost_pools p where p.cost_centre_code = a.cost_centre_code
         order by p.from_on desc limit 1) named on true"""
CLOSED = text("select period, posted, after_number from closings order by period")
POOLS = text(
    f"""
    select a.*, named.names from allocations a {_NAMES} where a.period = :period
     order by a.origin_period desc, a.component, a.cost_centre_code, a.driver_code
    """  # noqa: S608 - names are ours
)
PRODUCTS = text(
    f"""
    select {_KEY}, product_code, weight, amount_minor, shared_minor from allocation_products
     where period = :period order by amount_minor desc, product_code
    """  # noqa: S608 - names are ours
)
MINE = text(
    f"""
    with mine as (
      select s.period, s.origin_period, s.cost_centre_code, s.driver_code, s.product_code,
             sum(s.weight) as weight, sum(s.amount_minor) as amount_minor
        from {NUMBERS_REACHED} n
        join allocation_shares s on s.customer_number = n.customer_number and s.period = :period
       group by 1, 2, 3, 4, 5)
    select m.*, a.component, named.names
      from mine m join allocations a using (period, {_KEY}) {_NAMES}
     order by m.origin_period desc, a.component, m.cost_centre_code, m.driver_code,
              m.amount_minor desc, m.product_code
    """  # noqa: S608 - names are ours
)
# What the leaves of the close add up to: kept apart from the sheet, so it can tell.
POSTED = text(
    """
    select coalesce(sum(posted_minor), 0) from month_totals
     where period = :period and component in ('overhead', 'variance')
    """
)
WAITING = text(
    f"""
    with {BOOKED_POOLS.format(only="true")}
    select a.*, named.names
      from (select origin_period, cost_centre_code, driver_code,
                   coalesce(b.actual, 0) - coalesce(t.actual, 0) as amount_minor
              from booked b
              full join told t using (origin_period, cost_centre_code, driver_code)) a {_NAMES}
     where a.amount_minor <> 0
     order by a.origin_period desc, a.cost_centre_code, a.driver_code limit 200
    """  # noqa: S608 - names are ours
)
NOT_SPREAD = text(
    """
    select cost_centre_code, period, currency, sum(amount_minor) as amount_minor from costs
     where length(period) <> 7 or currency <> :currency
     group by 1, 2, 3 order by 2 desc, 1, 3 limit 200
    """
)
_SHARE_OF = """
     where s.period = :period and s.origin_period = :origin_period
       and s.cost_centre_code = :cost_centre_code and s.driver_code = :driver_code
       and s.product_code = :product_code and {mine}"""
SHARES = by_reach(
    f"""
    select s.customer_number, s.account_number, s.weight, s.amount_minor, n.party_id
      from allocation_shares s join numbers n on n.customer_number = s.customer_number
      {_SHARE_OF}
       and (s.customer_number, s.account_number) > (:after_0, :after_1)
     order by s.customer_number, s.account_number limit :limit
    """,  # noqa: S608 - names are ours
    number="s.customer_number",
)
OF_LEAF = text(
    f"""
    select s.cost_centre_code, s.driver_code, s.weight, s.amount_minor, named.names
      from allocation_shares s join allocations a using (period, {_KEY}) {_NAMES}
     where s.period = :period and s.origin_period = :origin_period
       and s.customer_number = :customer_number and s.account_number = :account_number
       and s.product_code = :product_code and a.component = :component
     order by s.amount_minor desc, s.cost_centre_code, s.driver_code
    """  # noqa: S608 - names are ours
)
WITHOUT_RATE = text(
    f"""
    select count(*) from bank_events e
     where e.type = '{CONTACTED}' and e.businessdate >= cast(:period || '-01' as date)
       and e.businessdate <= {last_day(":period")}
       and not exists (select 1 from cost_rates r
                        where r.driver_code in ('contact', 'contact/' || e.channel_code)
                          and r.product_code = '' and r.from_on <= e.businessdate)
    """  # noqa: S608 - names are ours
)


@dataclass(frozen=True, slots=True)
class Part:
    """What one product of a pool bears, by how much of the driver it used."""

    product_code: str
    weight: int
    amount_minor: int
    shared_minor: int  # what its accounts and customers bear together


@dataclass(frozen=True, slots=True)
class Pool:
    """One row of the sheet. `actual_minor` none: only the reader's own part is told."""

    origin_period: str
    cost_centre_code: str
    driver_code: str
    component: str
    names: dict[str, str] | None
    weight: int
    amount_minor: int
    actual_minor: int | None = None
    charged_minor: int = 0
    before_minor: int = 0
    parts: list[Part] = field(default_factory=list)

    @property
    def key(self) -> tuple[str, str, str]:
        return self.origin_period, self.cost_centre_code, self.driver_code

    @property
    def left_minor(self) -> int:
        """What is not spread: the pool has no driver, or nobody used it."""
        if self.actual_minor is None:
            return 0
        return self.actual_minor - self.charged_minor - self.before_minor - self.amount_minor

    @property
    def residual_minor(self) -> int:
        """By how much products, or what their customers bear, do not add up to it; must be 0."""
        return max(
            abs(self.amount_minor - sum(part.amount_minor for part in self.parts)),
            *(abs(part.amount_minor - part.shared_minor) for part in self.parts), 0,
        )  # fmt: skip


def closings(session: Session) -> dict[str, bool]:
    """Months whose pools were spread -> are all of their leaves posted."""
    return {row.period: row.posted for row in session.execute(CLOSED)}


def sheet(session: Session, reach: Reach, period: str) -> list[Pool]:
    """The pools that a month's close spread, its own month first."""
    if not reach.everything:
        return _mine(session.execute(MINE, {**parameters_of(reach), "period": period}))
    asked = {"period": period}
    pools = [
        Pool(
            row.origin_period, row.cost_centre_code, row.driver_code, row.component, row.names,
            int(row.weight), int(row.amount_minor), int(row.actual_minor), int(row.charged_minor),
            int(row.before_minor),
        )
        for row in session.execute(POOLS, asked)
    ]  # fmt: skip
    by_key = {pool.key: pool for pool in pools}
    for row in session.execute(PRODUCTS, asked):
        key = (row.origin_period, row.cost_centre_code, row.driver_code)
        part = Part(row.product_code, int(row.weight), int(row.amount_minor), int(row.shared_minor))
        by_key[key].parts.append(part)
    return pools


def _mine(rows: Iterable[Any]) -> list[Pool]:
    found: dict[tuple[str, str, str], list[Any]] = {}
    for row in rows:
        found.setdefault((row.origin_period, row.cost_centre_code, row.driver_code), []).append(row)
    return [
        Pool(
            *key, of_pool[0].component, of_pool[0].names, sum(int(r.weight) for r in of_pool),
            sum(int(r.amount_minor) for r in of_pool),
            parts=[
                Part(r.product_code, int(r.weight), int(r.amount_minor), int(r.amount_minor))
                for r in of_pool
            ],
        )
        for key, of_pool in found.items()
    ]  # fmt: skip


def posted_minor(session: Session, period: str) -> int:
    """What the leaves of a close bear together: less than nothing, for it is a cost."""
    return int(session.execute(POSTED, {"period": period}).scalar_one())


def waiting(session: Session, currency: str) -> list[Any]:
    """What the bank said of costs since the last close: the next one spreads it."""
    return list(session.execute(WAITING, {"currency": currency}))


def not_spread(session: Session, currency: str) -> list[Any]:
    """A year's cost, or one in another currency, is kept and shown, and spread by nobody."""
    return list(session.execute(NOT_SPREAD, {"currency": currency}))


def contacts_without_rate(session: Session, period: str) -> int:
    """Contacts of a month that wait for a rate of their channel."""
    return int(session.execute(WITHOUT_RATE, {"period": period}).scalar_one())


def shares(
    session: Session, reach: Reach, asked: dict[str, str], after: tuple[str, str] | None
) -> list[Any]:
    """What each account, or customer, bears of a product's part, by number."""
    place = after or ("", "")
    return list(
        session.execute(
            SHARES[reach.everything],
            {**parameters_of(reach), **asked, "limit": PAGE_ROWS, "after_0": place[0],
             "after_1": place[1]},
        )
    )  # fmt: skip


def of_leaf(session: Session, row: Any) -> list[Any]:
    """The pools that a leaf of allocated cost is made of."""
    names = ("period", "origin_period", "account_number", "product_code", "component")
    asked = {name: getattr(row, name) for name in names}
    asked["customer_number"] = row.owner_number or row.customer_number
    return list(session.execute(OF_LEAF, asked))
