"""Tax on what customers earn, if the bank set a rate: of each account and product, at a close.

Tax is the rate of a month times the sum of its other leaves, linear also below zero, so it adds up
whichever way. It follows from the leaves and the rates alone: a close posts the difference to what
was posted before, by month of origin, for the customers whose leaves have changed since.
"""

import structlog
from sqlalchemy import text

from services.scoring.commands.contribution import MOVE
from services.scoring.leaf_sql import AT_PLACE, PLACE, columns, last_day, owner_of, place_of
from services.scoring.rules.concentration import MILLION
from shared.db import Tx
from shared.events.bank import RateSet

log = structlog.get_logger()

TAX = "tax"  # the kind of the rate, and the component
RATE = text(
    """
    insert into tax_rates (from_on, value, position) values (:from_on, :value, :position)
    on conflict (from_on) do update set value = excluded.value, position = excluded.position
     where tax_rates.position < excluded.position
    """
)
ALL_AGAIN = text(
    """
    insert into untaxed (customer_number) select distinct customer_number from leaves
    on conflict do nothing
    """
)
_LEAF = "customer_number, account_number, loan_number, product_code, owner_number"
# Exact: ppm of minor units, added up month by month and rounded (half to even) as a difference of
# cumulative sums, so that an error of rounding is carried and never grows.
POST = text(
    f"""
    with earned as (
      select {_LEAF}, origin_period, sum(amount_minor) filter (where component <> '{TAX}') as minor,
             coalesce(sum(amount_minor) filter (where component = '{TAX}'), 0) as taxed
        from leaves where customer_number = any(:numbers) and period <= :period
       group by {_LEAF}, origin_period),
    summed as (
      select e.*, sum(coalesce(e.minor, 0) * coalesce(rate.value, 0)) over (
               partition by {_LEAF} order by e.origin_period) as ppm
        from earned e
        left join lateral (
          select r.value from tax_rates r where r.from_on <= {last_day("e.origin_period")}
           order by r.from_on desc limit 1) rate on true),
    floored as (
      select *, mod(mod(ppm, 1000000) + 1000000, 1000000) as remainder from summed),
    rounded as (
      select *, div(ppm - remainder, 1000000)
                + case when remainder > 500000 or (remainder = 500000
                            and mod(div(ppm - remainder, 1000000), 2) <> 0) then 1 else 0 end
                as minor_to_then
        from floored),
    due as (
      select {_LEAF}, origin_period,
             - (minor_to_then - coalesce(lag(minor_to_then) over (
                  partition by {_LEAF} order by origin_period), 0)) - taxed as minor
        from rounded),
    kept as (
      insert into leaves ({_LEAF}, component, period, origin_period, amount_minor, {PLACE})
      select {columns("d", _LEAF.split(", "))}, '{TAX}', :period, d.origin_period, d.minor,
             {AT_PLACE}
        from due d {
        place_of(
            "d.customer_number", "d.account_number", "d.product_code",
            last_day("d.origin_period"), owner_of("d"), loan="d.loan_number",
        )
    }
       where d.minor <> 0
       order by {columns("d", _LEAF.split(", "))}, d.origin_period
      returning *)
    {MOVE}
    select customer_number, product_code, component, period, {PLACE}, amount_minor, 0 from kept
    """  # noqa: S608 - names are ours
)
DONE = text(
    """
    delete from untaxed u where u.customer_number = any(:numbers) and not exists (
      select 1 from leaves l where l.customer_number = u.customer_number and l.period > :period)
    """
)


def note_rate(tx: Tx, fact: RateSet, position: int) -> None:
    """A rate of tax, perhaps of months behind: the next close takes it for everybody."""
    if fact.kind != TAX:
        return
    if not 0 <= fact.value <= MILLION:
        log.error("tax_rate_refused", value=fact.value, from_on=str(fact.from_on))
        return
    tx.session.execute(
        RATE, {"from_on": fact.from_on, "value": fact.value, "position": position}
    )
    tx.session.execute(ALL_AGAIN)


def post(tx: Tx, numbers: list[str], period: str) -> None:
    """Leaves of tax; to be asked when all others of these customers' leaves are there."""
    tx.session.execute(POST, {"numbers": numbers, "period": period})


def settle(tx: Tx, numbers: list[str], period: str) -> None:
    """They are taxed, but for what is of a later month."""
    tx.session.execute(DONE, {"numbers": numbers, "period": period})
