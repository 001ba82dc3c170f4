"""Figures of parties: ranking, one party with its accounts, totals whose residual must be 0."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Final, Literal

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from services.scoring.leaf_sql import BAND
from services.scoring.queries.reach import IN_REACH, by_reach, parameters_of
from shared.reach import Reach

By = Literal["contribution", "risk", "transactions"]
PAGE_ROWS = 50
_ORDER: Final[dict[By, str]] = {
    "contribution": "last_12_months_minor",  # of posted leaves, see commands.last_months
    "risk": "margin_at_risk_minor",
    "transactions": "sum_minor",
}
# By what it is read: a figure that every event changes stands in an index by its band only.
_READ: Final[dict[By, tuple[str, str]]] = {
    "contribution": ("f.last_12_months_minor", "cast(:after_value as numeric)"),
    "risk": ("f.margin_at_risk_minor", "cast(:after_value as numeric)"),
    "transactions": (
        "f.sum_band, f.sum_minor",
        f"{BAND.format(v='cast(:after_value as numeric)')}, cast(:after_value as numeric)",
    ),
}
_ONLY: Final[dict[By, str]] = {
    "contribution": "f.numbers > 0",
    "risk": "f.margin_at_risk_minor > 0",
    "transactions": "f.numbers > 0",
}


def _ranking(by: By) -> dict[bool, TextClause]:
    """Who stands on the page first, and only of these who answers for them."""
    order, after = _READ[by]
    falling = ", ".join(f"{name} desc" for name in (*order.split(", "), "f.party_id"))
    return by_reach(
        f"""
        select f.*, m.manager_staff_id, m.manager_code, m.branch_code
          from (
            select f.party_id, f.numbers, f.sum_minor, f.count as transactions, f.customer_count,
                   f.mean_minor, f.last_on, f.risk_ppm, f.posted_minor, f.accrued_minor,
                   f.last_12_months_minor, f.margin_at_risk_minor
              from party_figures f
             where {_ONLY[by]} and {{mine}}
               and (cast(:branch as text) is null or f.party_id in (
                    select n.party_id from numbers n
                     where coalesce(n.branch_code, n.home_branch_code) = :branch))
               and (cast(:manager as text) is null or f.party_id in (
                    select n.party_id from numbers n
                     where n.manager_code = :manager or n.manager_staff_id = :manager))
               and (cast(:after_value as numeric) is null
                    or ({order}, f.party_id) < ({after}, :after_party))
             order by {falling} limit :limit) f
          left join lateral (
            select n.manager_staff_id, n.manager_code,
                   coalesce(n.branch_code, n.home_branch_code) as branch_code
              from numbers n where n.party_id = f.party_id
             order by n.customer_number limit 1) m on true
         order by f.{_ORDER[by]} desc, f.party_id desc
        """,  # noqa: S608 - names are ours
        party="f.party_id",
    )


_WHOLE = ("sum_minor", "mean_minor", "posted_minor", "accrued_minor", "last_12_months_minor",
          "margin_at_risk_minor")  # fmt: skip
RANKING: Final = {by: _ranking(by) for by in _ORDER}
PRODUCTS_OF = text(
    """
    select n.party_id, a.product_code, p.names, sum(a.sum_minor) as sum_minor,
           sum(a.count) as transactions
      from numbers n
      join account_figures a on a.customer_number = n.customer_number
      left join products p on p.product_code = a.product_code
     where n.party_id = any(:parties) and a.currency = :currency
     group by n.party_id, a.product_code, p.names order by n.party_id, a.product_code
    """
)
PARTY = text(
    f"""
    select f.*, f.count as transactions,
           array(select n.customer_number from numbers n where n.party_id = f.party_id
                  order by n.customer_number) as customer_numbers
      from party_figures f where f.party_id = :party_id
       and {IN_REACH.format(party="f.party_id")}
    """  # noqa: S608 - names are ours
)
ACCOUNTS = text(
    """
    select a.customer_number, a.account_number, a.product_code, p.names, a.currency, a.sum_minor,
           a.count as transactions, a.last_on
      from numbers n
      join account_figures a on a.customer_number = n.customer_number
      left join products p on p.product_code = a.product_code
     where n.party_id = :party_id
     order by a.currency = :currency desc, a.sum_minor desc, a.account_number
    """
)
STATES = text(
    """
    select s.customer_number, s.partition, s.position, s.customer_count, s.sum_minor, s.mean_minor,
           s.mean_on, s.first_on, s.last_on, s.outflow, s.silence, s.silent_on
      from numbers n join customer_state s on s.customer_number = n.customer_number
     where n.party_id = :party_id order by s.customer_number
    """
)
# One statement, hence one snapshot: four ways to the same sum.
TOTALS = text(
    f"""
    with mine as (
      select n.customer_number, n.party_id from numbers n
       where (:everything or n.party_id in (select f.party_id from party_figures f
              where {IN_REACH.format(party="f.party_id")}))),
    accounts as (
      select a.* from account_figures a join mine m using (customer_number)
       where a.currency = :currency),
    split as (
      select a.product_code, sum(a.sum_minor) as sum_minor, sum(a.count) as count,
             count(distinct a.customer_number) as customers
        from accounts a group by a.product_code)
    select
      (select coalesce(sum(s.sum_minor), 0) from customer_state s join mine using (customer_number))
        as by_customer,
      (select coalesce(sum(f.sum_minor), 0) from party_figures f
        where f.party_id in (select m.party_id from mine m))
      + (select coalesce(sum(s.sum_minor), 0) from customer_state s join mine m
          using (customer_number) where m.party_id is null) as by_party,
      (select coalesce(sum(s.sum_minor), 0) from customer_state s join mine m
          using (customer_number) where m.party_id is null) as without_party,
      (select coalesce(sum(sum_minor), 0) from accounts) as by_account,
      (select coalesce(sum(sum_minor), 0) from split) as by_product,
      (select coalesce(sum(count), 0) from accounts) as transactions,
      (select count(*) from customer_state join mine using (customer_number)) as customers,
      (select count(distinct party_id) from mine) as parties,
      (select coalesce(jsonb_agg(jsonb_build_object(
                'product_code', x.product_code, 'names', p.names,
                'sum_minor', cast(x.sum_minor as text), 'count', x.count,
                'customers', x.customers) order by x.sum_minor desc, x.product_code), '[]')
         from split x left join products p using (product_code)) as products
    """  # noqa: S608 - names are ours
)
OTHER_CURRENCIES = text(
    """
    select a.currency, sum(a.sum_minor) as sum_minor, sum(a.count) as transactions
      from account_figures a where a.currency <> :currency group by a.currency order by a.currency
    """
)


@dataclass(frozen=True, slots=True)
class Figure:
    """A party in a ranking; `products` are the parts of `sum_minor`."""

    party_id: str
    numbers: int
    sum_minor: int
    transactions: int
    customer_count: int
    mean_minor: int
    last_on: date | None
    risk_ppm: dict[str, int]
    margin_at_risk_minor: int
    posted_minor: int
    accrued_minor: int
    last_12_months_minor: int
    manager_staff_id: str | None
    manager_code: str | None
    branch_code: str | None
    products: list["Part"] = field(default_factory=list)

    @property
    def residual_minor(self) -> int:
        """The sum less its parts by product; must be 0."""
        return self.sum_minor - sum(part.sum_minor for part in self.products)


@dataclass(frozen=True, slots=True)
class Part:
    """One product's part of a sum."""

    product_code: str
    names: dict[str, str] | None
    sum_minor: int
    transactions: int
    customers: int = 0


@dataclass(frozen=True, slots=True)
class Totals:
    """The reader's whole bank in its own currency, summed four ways."""

    by_customer: int
    by_party: int
    by_account: int
    by_product: int
    without_party: int
    transactions: int
    customers: int
    parties: int
    products: list[Part]

    @property
    def residual_minor(self) -> int:
        """The greatest difference between two of the four ways; must be 0."""
        ways = (self.by_customer, self.by_party, self.by_account, self.by_product)
        return max(ways) - min(ways)


@dataclass(frozen=True, slots=True)
class PartyFigures:
    """One party's figures with what they are made of."""

    party_id: str
    customer_numbers: list[str]
    sum_minor: int
    transactions: int
    customer_count: int
    mean_minor: int
    last_on: date | None
    risk_ppm: dict[str, int]
    margin_at_risk_minor: int
    published_at: datetime | None
    accounts: list[Any]
    states: list[Any]

    def residual_minor(self, currency: str) -> int:
        """The sum less the sums of the accounts; must be 0."""
        parts = (int(a.sum_minor) for a in self.accounts if a.currency == currency)
        return self.sum_minor - sum(parts)


def ranking(
    session: Session,
    reach: Reach,
    by: By,
    currency: str,
    *,
    branch: str | None = None,
    manager: str | None = None,
    after: tuple[int, str] | None = None,
    limit: int = PAGE_ROWS,
) -> list[Figure]:
    """Parties by contribution of the last twelve months, by margin at risk or by net transactions,
    greatest first; `after` is the last seen: its figure (`place`) and its party."""
    rows = session.execute(
        RANKING[by][reach.everything],
        {
            **parameters_of(reach),
            "branch": branch,
            "manager": manager,
            "after_value": after[0] if after else None,
            "after_party": after[1] if after else None,
            "limit": limit,
        },
    ).all()
    parts = products_of(session, [row.party_id for row in rows], currency)
    return [
        Figure(
            **{
                **row._mapping,
                **{name: int(getattr(row, name)) for name in _WHOLE},
            },
            products=parts.get(row.party_id, []),
        )
        for row in rows
    ]


def place(row: Figure, by: By) -> str:
    """Where a party stands in the ranking: what the following page goes on from."""
    return f"{getattr(row, _ORDER[by])}~{row.party_id}"


def products_of(session: Session, parties: Sequence[str], currency: str) -> dict[str, list[Part]]:
    found: dict[str, list[Part]] = {}
    for row in session.execute(PRODUCTS_OF, {"parties": list(parties), "currency": currency}):
        part = Part(row.product_code, row.names, int(row.sum_minor), int(row.transactions))
        found.setdefault(row.party_id, []).append(part)
    return found


def party(session: Session, reach: Reach, party_id: str, currency: str) -> PartyFigures | None:
    """None: unknown, or out of the reader's scope."""
    row = session.execute(PARTY, {**parameters_of(reach), "party_id": party_id}).one_or_none()
    if row is None:
        return None
    asked = {"party_id": party_id, "currency": currency}
    return PartyFigures(
        party_id=row.party_id,
        customer_numbers=row.customer_numbers,
        sum_minor=int(row.sum_minor),
        transactions=row.transactions,
        customer_count=row.customer_count,
        mean_minor=int(row.mean_minor),
        last_on=row.last_on,
        risk_ppm=row.risk_ppm,
        margin_at_risk_minor=int(row.margin_at_risk_minor),
        published_at=row.published_at,
        accounts=list(session.execute(ACCOUNTS, asked)),
        states=list(session.execute(STATES, {"party_id": party_id})),
    )


def totals(session: Session, reach: Reach, currency: str) -> Totals:
    """One snapshot of all that the reader may see."""
    row = session.execute(TOTALS, {**parameters_of(reach), "currency": currency}).one()
    return Totals(
        by_customer=int(row.by_customer),
        by_party=int(row.by_party),
        by_account=int(row.by_account),
        by_product=int(row.by_product),
        without_party=int(row.without_party),
        transactions=int(row.transactions),
        customers=row.customers,
        parties=row.parties,
        products=[
            Part(
                p["product_code"], p["names"], int(p["sum_minor"]), int(p["count"]), p["customers"]
            )
            for p in row.products
        ],
    )


def other_currencies(session: Session, currency: str) -> list[Any]:
    """Sums that are in another currency than the bank's own; never converted."""
    return list(session.execute(OTHER_CURRENCIES, {"currency": currency}))


CONTROL = text(
    """
    select t.partition, t.position, t.watermark_on, t.count as told_count, t.sums,
           coalesce(f.count, 0) as folded_count, coalesce(f.sums, '{}') as folded_sums
      from control_totals t
      left join (
        select y.partition, sum(y.count) as count,
               jsonb_object_agg(y.currency, cast(y.sum_minor as text)) as sums
          from (select s.partition, a.currency, sum(a.sum_minor) as sum_minor,
                       sum(a.count) as count
                  from account_figures a join customer_state s using (customer_number)
                 group by s.partition, a.currency) y
         group by y.partition) f on f.partition = t.partition
     order by t.partition
    """
)


@dataclass(frozen=True, slots=True)
class Control:
    """One partition's sums as the worker told them and as they were folded."""

    partition: int
    position: int
    watermark_on: date | None
    told_count: int
    folded_count: int
    told: dict[str, int]
    folded: dict[str, int]

    @property
    def residual_minor(self) -> int | None:
        """Greatest difference of a currency's sum; None while the two stand at other positions."""
        if self.told_count != self.folded_count:
            return None
        currencies = {*self.told, *self.folded}
        apart = (abs(self.told.get(c, 0) - self.folded.get(c, 0)) for c in currencies)
        return max(apart, default=0)


def control_totals(session: Session) -> list[Control]:
    """Folded sums against the worker's own. The count tells when both stand at one position."""
    return [
        Control(
            row.partition,
            row.position,
            row.watermark_on,
            int(row.told_count),
            int(row.folded_count),
            {c: int(v) for c, v in row.sums.items()},
            {c: int(v) for c, v in row.folded_sums.items()},
        )
        for row in session.execute(CONTROL)
    ]
