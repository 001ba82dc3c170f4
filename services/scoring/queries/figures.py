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
    accounts: int = 0


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
