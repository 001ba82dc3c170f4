"""Plans and budgets of a period as they hold: of the same target the later word."""

from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

Kind = Literal["plan", "budget"]
WHAT: dict[Kind, str] = {"plan": "contribution", "budget": "cost"}  # what scoring measures

PLANS = text(
    """
    select distinct on (case when dimension = 'bank' then '' else who end)
           case when dimension = 'bank' then '' else who end as who, amount_minor
      from plans
     where period = :period and kind = :kind and dimension = :dimension and what = :what
       and currency = :currency
     order by 1, set_at desc, position desc, source, plan_id
    """
)
NOT_COMPARED = text(
    """
    select what, count(*) as planned from plans
     where period = :period and kind = :kind and (what <> :what or currency <> :currency)
     group by what order by what
    """
)
# One step of the index for each period: there are few of them, and many plans in each.
PERIODS = text(
    """
    with recursive p(period) as (
      (select period from plans order by period limit 1)
      union all
      select (select x.period from plans x where x.period > p.period order by x.period limit 1)
        from p where p.period is not null)
    select period from p where period is not null
    """
)


def plans(
    session: Session, kind: Kind, dimension: str, period: str, currency: str
) -> dict[str, int]:
    """Who -> minor units; the whole bank is ''."""
    asked = {
        "kind": kind, "dimension": dimension, "period": period, "what": WHAT[kind],
        "currency": currency,
    }  # fmt: skip
    return {row.who: row.amount_minor for row in session.execute(PLANS, asked)}


def not_compared(session: Session, kind: Kind, period: str, currency: str) -> dict[str, int]:
    """What is planned that the contribution is no measure of, or in another currency: how many."""
    asked = {"kind": kind, "period": period, "what": WHAT[kind], "currency": currency}
    return {row.what: row.planned for row in session.execute(NOT_COMPARED, asked)}


def periods(session: Session) -> set[str]:
    """Months and years that something is planned for."""
    return set(session.execute(PERIODS).scalars())
