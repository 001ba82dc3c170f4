"""A month's report: what was posted in it by component and product, by customer, for what month."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.queries.months import MINE
from services.scoring.queries.reach import by_reach, parameters_of
from shared.reach import Reach

RANKED = 10

_CELLS = f"""
    select {{by}},
           coalesce(sum(posted_minor) filter (where period = :period), 0) as posted_minor,
           coalesce(sum(posted_minor) filter (where period = :before), 0) as before_minor,
           sum(accrued_minor) as accrued_minor
      from month_totals
     where period in (:period, :before, '') and {MINE["manager"]}
     group by {{by}}
    having bool_or(posted_minor <> 0 or accrued_minor <> 0)
     order by {{by}}
    """  # noqa: S608 - names are ours
CELLS = text(_CELLS.format(by="component, product_code"))
OF_MANAGERS = text(_CELLS.format(by="manager_code"))
CORRECTIONS = text(
    f"""
    select origin_period, component, count(*) as leaves, sum(amount_minor) as amount_minor
      from leaves
     where period = :period and origin_period <> period and {MINE["manager"]}
     group by origin_period, component order by origin_period desc, component
    """  # noqa: S608 - names are ours
)
_RANKED = """
    select c.customer_number, c.posted_minor, n.party_id
      from customer_months c join numbers n on n.customer_number = c.customer_number
     where c.period = :period and {{mine}}
     order by c.posted_minor {order}, c.customer_number {order} limit :limit
    """
TOP = by_reach(_RANKED.format(order="desc"), number="c.customer_number")
BOTTOM = by_reach(_RANKED.format(order="asc"), number="c.customer_number")
# The whole bank's month by three sums that are kept apart from each other.
RESIDUAL = text(
    """
    select max(v) - min(v) from (
      select coalesce(sum(posted_minor), 0) as v from contribution_totals
       where dimension = 'month' and code = :period
      union all
      select coalesce(sum(posted_minor), 0) from month_totals where period = :period
      union all
      select coalesce(sum(posted_minor), 0) from customer_months where period = :period) x
    """
)

@dataclass(frozen=True, slots=True)
class Cell:
    """One component of one product, or one manager: posted in the month and in the one before;
    accrued now."""

    posted_minor: int
    before_minor: int
    accrued_minor: int
    component: str = ""
    product_code: str = ""
    manager_code: str = ""


def cells(session: Session, reach: Reach, period: str, before: str) -> list[Cell]:
    asked = {**parameters_of(reach), "period": period, "before": before}
    return [
        Cell(*_figures(row), component=row.component, product_code=row.product_code)
        for row in session.execute(CELLS, asked)
    ]


def of_managers(session: Session, reach: Reach, period: str, before: str) -> list[Cell]:
    asked = {**parameters_of(reach), "period": period, "before": before}
    return [
        Cell(*_figures(row), manager_code=row.manager_code)
        for row in session.execute(OF_MANAGERS, asked)
    ]


def _figures(row: Any) -> tuple[int, int, int]:
    return int(row.posted_minor), int(row.before_minor), int(row.accrued_minor)


def corrections(session: Session, reach: Reach, period: str) -> Sequence[Any]:
    """What was posted in the month for earlier ones, by the month that it corrects."""
    return session.execute(CORRECTIONS, {**parameters_of(reach), "period": period}).all()


def ranked(session: Session, reach: Reach, period: str, *, top: bool) -> Sequence[Any]:
    """Customer numbers that brought most, or least."""
    asked = {**parameters_of(reach), "period": period, "limit": RANKED}
    return session.execute((TOP if top else BOTTOM)[reach.everything], asked).all()


def residual_minor(session: Session, period: str) -> int:
    """Between the sums of the whole bank's month, whoever asks; must be 0."""
    return int(session.execute(RESIDUAL, {"period": period}).scalar_one())
