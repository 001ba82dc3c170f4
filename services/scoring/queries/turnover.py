"""Abnormal changes of turnover: of a party, of the customers and segments a reader may see."""

from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.queries.months import closed_through
from services.scoring.queries.reach import by_reach, parameters_of
from services.scoring.rules.stake import MILLION
from shared.reach import Reach

DAYS_SHOWN = 90
ROWS_MAX = 20
SETTLED = text("select max(through_on) from turnover_settled")
_LATELY = f"c.on_date > (select max(through_on) - {DAYS_SHOWN} from turnover_settled)"  # noqa: S608
_FIRST = f"order by c.on_date desc, c.size_micro desc, c.code limit {ROWS_MAX}"
OF_PARTY = text(
    f"""
    select c.*, n.party_id from numbers n
      join turnover_changes c on c.dimension = 'customer' and c.code = n.customer_number
     where n.party_id = :party_id and {_LATELY} {_FIRST}
    """  # noqa: S608 - names are ours
)
OF_CUSTOMERS = by_reach(
    f"""
    select c.*, n.party_id from turnover_changes c
      join numbers n on n.customer_number = c.code
     where c.dimension = 'customer' and n.party_id is not null and {_LATELY}
       and {{mine}} {_FIRST}
    """,  # noqa: S608 - names are ours
    party="n.party_id",
)
# A product is of the whole bank, so only who sees all of it sees its turnover.
OF_SEGMENTS = text(
    f"""
    select c.*, null as party_id from turnover_changes c
     where c.dimension in ('product', 'branch') and {_LATELY}
       and (:everything or (c.dimension = 'branch' and c.code = any(:branch_codes))) {_FIRST}
    """  # noqa: S608 - names are ours
)


@dataclass(frozen=True, slots=True)
class TurnoverChange:
    """Turnover of a day since `since_on`, and what was usual; `code` of a customer number, a
    product or a branch."""

    dimension: str
    code: str
    party_id: str | None
    direction: str
    since_on: date
    on_date: date
    minor: int
    usual_minor: int

    @property
    def by_amount(self) -> bool:
        """Does the amount say so too? If not, only on how many days money moved has changed."""
        grows = self.minor > self.usual_minor
        return self.usual_minor > 0 and grows == (self.direction == "up")

    @property
    def times(self) -> Decimal:
        return Decimal(self.minor) / Decimal(self.usual_minor)

    @property
    def share_ppm(self) -> int:
        return self.minor * MILLION // self.usual_minor


def settled_through(session: Session) -> date | None:
    """The last day settled; None before the first."""
    found: date | None = session.execute(SETTLED).scalar_one()
    return found


def days_behind(session: Session) -> int | None:
    """Days that the bank has closed and that are not settled; None before the first of either."""
    settled, closed = settled_through(session), closed_through(session)
    return max((closed - settled).days, 0) if settled and closed else None


def of_party(session: Session, party_id: str) -> list[TurnoverChange]:
    """Latest first; whether the reader may see the party is asked before."""
    return _changes(session.execute(OF_PARTY, {"party_id": party_id}))


def of_customers(session: Session, reach: Reach) -> list[TurnoverChange]:
    return _changes(session.execute(OF_CUSTOMERS[reach.everything], parameters_of(reach)))


def of_segments(session: Session, reach: Reach) -> list[TurnoverChange]:
    return _changes(session.execute(OF_SEGMENTS, parameters_of(reach)))


def _changes(rows: Any) -> list[TurnoverChange]:
    return [
        TurnoverChange(
            dimension=row.dimension,
            code=row.code,
            party_id=row.party_id,
            direction=row.direction,
            since_on=row.since_on,
            on_date=row.on_date,
            minor=row.minor,
            usual_minor=row.usual_minor,
        )
        for row in rows
    ]
