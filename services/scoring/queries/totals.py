"""Net transactions added up: kept sums for whoever sees all, the accounts' for the others.

That the kept sums are those of the rows is checked by a job (`commands.checking`), for it reads
every row of the bank; against the scorer's own totals they stand here.
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.queries.contribution import Sum, residual_minor
from services.scoring.queries.figures import Part
from services.scoring.queries.reach import PARTIES_REACHED, parameters_of
from shared.reach import Reach

OF_ALL = text(
    """
    select f.currency, f.product_code, p.names, sum(f.sum_minor) as sum_minor,
           sum(f.count) as transactions, sum(f.accounts) as accounts
      from folded_totals f left join products p using (product_code)
     group by f.currency, f.product_code, p.names
     order by sum(f.sum_minor) desc, f.product_code
    """
)
# A party's page shows all of its numbers, whoever answers for them.
MINE = f"""
    mine as (select n.customer_number, n.party_id from numbers n
              where n.party_id in {PARTIES_REACHED})"""  # noqa: S608 - names are ours
OF_REACH = text(
    f"""
    with {MINE}
    select a.currency, a.product_code, p.names, sum(a.sum_minor) as sum_minor,
           sum(a.count) as transactions, count(*) as accounts
      from mine join account_figures a using (customer_number)
      left join products p using (product_code)
     group by a.currency, a.product_code, p.names
     order by sum(a.sum_minor) desc, a.product_code
    """  # noqa: S608 - names are ours
)
# Two ways more, in the bank's own currency.
WAYS_OF_REACH = text(
    f"""
    with {MINE}
    select (select coalesce(sum(s.sum_minor), 0) from mine join customer_state s
             using (customer_number)) as customers,
           (select coalesce(sum(f.sum_minor), 0) from party_figures f
             where f.party_id in (select m.party_id from mine m)) as parties,
           0 as without_party,
           (select count(*) from mine join customer_state s using (customer_number))
             as customer_count,
           (select count(distinct party_id) from mine) as party_count
    """  # noqa: S608 - names are ours
)
# One statement, hence one snapshot: four ways to the same sum.
WAYS_OF_ALL = text(
    """
    with loose as (
      select coalesce(sum(s.sum_minor), 0) as minor
        from numbers n join customer_state s using (customer_number) where n.party_id is null)
    select (select coalesce(sum(sum_minor), 0) from folded_totals where currency = :currency)
             as kept,
           (select coalesce(sum(sum_minor), 0) from account_figures where currency = :currency)
             as accounts,
           (select coalesce(sum(sum_minor), 0) from customer_state) as customers,
           (select coalesce(sum(sum_minor), 0) from party_figures) + (select minor from loose)
             as parties,
           (select minor from loose) as without_party,
           (select count(*) from customer_state) as customer_count,
           (select count(*) from party_figures where numbers > 0) as party_count
    """
)
CHECKED = text("select as_of, checked_at, took_ms, transactions, contribution from sums_checked")
CONTROL = text(
    """
    select t.partition, t.position, t.watermark_on, t.count as told_count, t.sums,
           coalesce(f.count, 0) as folded_count, coalesce(f.sums, '{}') as folded_sums
      from control_totals t
      left join (
        select y.partition, sum(y.count) as count,
               jsonb_object_agg(y.currency, cast(y.sum_minor as text)) as sums
          from (select partition, currency, sum(sum_minor) as sum_minor, sum(count) as count
                  from folded_totals group by partition, currency) y
         group by y.partition) f on f.partition = t.partition
     order by t.partition
    """
)


class Ways(msgspec.Struct, frozen=True):
    """Net transactions in the bank's own currency, once per way of adding them up."""

    customers: int
    parties: int  # and who is no party's yet
    without_party: int
    customer_count: int
    party_count: int
    accounts: int
    kept: int

    @property
    def residual_minor(self) -> int:
        """The greatest difference between two ways; must be 0."""
        ways = (self.customers, self.parties, self.accounts, self.kept)
        return max(ways) - min(ways)


@dataclass(frozen=True, slots=True)
class Checked:
    """What the last check of all rows found; `as_of` is the bank's clock."""

    as_of: datetime
    checked_at: datetime
    took_ms: int
    transactions: Ways
    contribution: dict[str, Sum]  # by way

    def contribution_residuals(self) -> dict[str, int]:
        """What each way differs from the bank's sum by; must be 0."""
        bank = self.contribution["bank"]
        return {
            way: residual_minor({"bank": bank, way: found})
            for way, found in self.contribution.items()
        }


@dataclass(frozen=True, slots=True)
class Totals:
    """All that the reader may see, in the bank's own currency. `ways` is of `as_of` for whoever
    sees all, None before the first check; for the others it is of now."""

    products: list[Part]
    others: list[Part]  # sums in other currencies, never converted; `product_code` names them
    ways: Ways | None
    as_of: datetime | None

    @property
    def sum_minor(self) -> int:
        return sum(part.sum_minor for part in self.products)

    @property
    def transactions(self) -> int:
        return sum(part.transactions for part in self.products)


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


def totals(session: Session, reach: Reach, currency: str) -> Totals:
    """What the reader may see: kept sums at any size of the bank, or the sums of his customers."""
    asked = parameters_of(reach)
    rows = list(session.execute(OF_ALL if reach.everything else OF_REACH, asked))
    home = [_part(row) for row in rows if row.currency == currency]
    others: dict[str, Part] = {}
    for row in rows:
        if row.currency != currency:
            one = others.get(row.currency, Part(row.currency, None, 0, 0))
            others[row.currency] = Part(
                row.currency, None, one.sum_minor + int(row.sum_minor),
                one.transactions + int(row.transactions),
            )  # fmt: skip
    if reach.everything:
        last = checked(session)
        if last is None:
            return Totals(home, list(others.values()), None, None)
        return Totals(home, list(others.values()), last.transactions, last.as_of)
    found = session.execute(WAYS_OF_REACH, asked).one()._mapping
    own = sum(part.sum_minor for part in home)
    ways = _ways({**found, "accounts": own, "kept": own})
    return Totals(home, list(others.values()), ways, None)


def _part(row: Any) -> Part:
    return Part(row.product_code, row.names, int(row.sum_minor), int(row.transactions),
                int(row.accounts))  # fmt: skip


def _ways(found: Any) -> Ways:
    return Ways(**{name: int(found[name]) for name in Ways.__struct_fields__})


def ways_of_all(session: Session, currency: str) -> Ways:
    """Reads every row of the bank."""
    return _ways(session.execute(WAYS_OF_ALL, {"currency": currency}).one()._mapping)


def checked(session: Session) -> Checked | None:
    """The last check; None before the first."""
    row = session.execute(CHECKED).one_or_none()
    if row is None:
        return None
    return Checked(
        row.as_of,
        row.checked_at,
        row.took_ms,
        msgspec.convert(row.transactions, Ways),
        {way: Sum(*found) for way, found in row.contribution.items()},
    )


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
