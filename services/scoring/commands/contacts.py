"""What contacts cost: each by the rate of its channel on its day, on the customer himself.

A contact is with a person, not with one of his accounts: its leaf has neither account nor product.
The sum follows from the event store and the rates alone, so whatever changes either (a contact
that comes late or is refused after all, a rate of before) makes the difference, and what comes
twice makes none. A contact that no rate covers waits for one.
"""

from collections.abc import Collection, Iterator

from sqlalchemy import text

from services.scoring.allocation_sql import OF_BANK, priced
from services.scoring.commands import contribution
from services.scoring.commands.contribution import MOVE
from services.scoring.leaf_sql import AT_PLACE, PLACE, PLACES, columns, last_day, place_of
from services.scoring.open_leaf import COLUMNS
from services.scoring.queries.events import CONTACTED, FIRST
from services.scoring.rate import CONTACT
from shared.db import Tx

CHUNK = 5_000
# Every contact with what it costs.
_RATE = priced(f"'{CONTACT}'", "e.channel_code", "''", "e.businessdate", partition=str(OF_BANK))
COSTING = f"""
      from bank_events e {_RATE}
     where e.type = '{CONTACTED}' and {FIRST}"""
OPEN = ", ".join((
    "customer_number", "account_number", "loan_number", "product_code", "below_product_code",
    "position", "input_sequence", "state_offset", *COLUMNS, *PLACES,
))  # fmt: skip
NEW = text(
    f"""
    insert into open_leaves ({OPEN})
    select c.customer_number, '', '', '', '', -2, 0, 0, {", ".join("0" for _ in COLUMNS)},
           {AT_PLACE}
      from (select distinct e.customer_number from bank_events e
             where e.customer_number = any(:numbers)
               and e.type = '{CONTACTED}') c
      {place_of("c.customer_number", "''", "''", ":today")}
     order by c.customer_number
    on conflict do nothing
    """  # noqa: S608 - names are ours
)
# What all contacts cost, less what stands in posted leaves.
ACCRUE = text(
    f"""
    with cost as (
      select e.customer_number, sum(rate.value) as minor {COSTING}
         and e.customer_number = any(:numbers) group by 1),
    posted as (
      select customer_number, sum(amount_minor) as minor from leaves
       where customer_number = any(:numbers) and component = '{CONTACT}' group by 1),
    differs as (
      select o.customer_number, {columns("o", PLACES)}, o.contact as before,
             -coalesce(c.minor, 0) - coalesce(p.minor, 0) as after
        from open_leaves o
        left join cost c using (customer_number) left join posted p using (customer_number)
       where o.customer_number = any(:numbers)
         and (o.account_number, o.loan_number, o.product_code) = ('', '', '')),
    kept as (
      update open_leaves o set contact = d.after from differs d
       where (o.customer_number, o.account_number, o.loan_number, o.product_code)
             = (d.customer_number, '', '', '') and d.after <> d.before)
    {MOVE}
    select customer_number, '', '{CONTACT}', '', {PLACE}, 0, after - before from differs
     where after <> before
    """  # noqa: S608 - names are ours
)
POST = text(
    f"""
    with cost as (
      select e.customer_number, to_char(e.businessdate, 'YYYY-MM') as origin,
             sum(rate.value) as minor {COSTING}
         and e.customer_number = any(:numbers) and e.businessdate <= {last_day(":period")}
       group by 1, 2),
    known as (
      select customer_number, origin_period as origin, sum(amount_minor) as minor from leaves
       where customer_number = any(:numbers) and component = '{CONTACT}' group by 1, 2),
    due as (
      select customer_number, origin, -coalesce(c.minor, 0) - coalesce(k.minor, 0) as minor
        from cost c full join known k using (customer_number, origin)),
    kept as (
      insert into leaves (customer_number, account_number, loan_number, product_code, component,
                          period, origin_period, amount_minor, {PLACE})
      select d.customer_number, '', '', '', '{CONTACT}', :period, d.origin, d.minor,
             {AT_PLACE}
        from due d {place_of("d.customer_number", "''", "''", last_day("d.origin"))}
       where d.minor <> 0 order by d.customer_number, d.origin
      returning *)
    {MOVE}
    select customer_number, product_code, component, period, {PLACE}, amount_minor, 0 from kept
    """  # noqa: S608 - names are ours
)
ALL = text(
    f"""
    select distinct customer_number from bank_events
     where type = '{CONTACTED}' and customer_number is not null order by 1
    """  # noqa: S608 - names are ours
)


def accrue(tx: Tx, numbers: Collection[str]) -> None:
    """Something changed for these customers' contacts: what they cost and is not posted yet."""
    if not numbers:
        return
    contribution.prepare_moves(tx, numbers)
    _accrue(tx, sorted(numbers))
    contribution.count_moves(tx)


def _accrue(tx: Tx, numbers: list[str]) -> None:
    tx.session.execute(NEW, {"numbers": numbers, "today": contribution.today_of(tx)})
    tx.session.execute(ACCRUE, {"numbers": numbers})


def post(tx: Tx, numbers: list[str], period: str) -> None:
    """Leaves of all contacts through a month that closes; older ones say which month they are of.

    The moves are prepared and counted by the caller.
    """
    tx.session.execute(POST, {"numbers": numbers, "period": period})
    _accrue(tx, numbers)


def price_anew(tx: Tx) -> None:
    """A rate of contacts was set: it may be of days behind."""
    for numbers in _chunks(list(tx.session.execute(ALL).scalars())):
        accrue(tx, numbers)


def _chunks(numbers: list[str]) -> Iterator[list[str]]:
    for begin in range(0, len(numbers), CHUNK):
        yield numbers[begin : begin + CHUNK]
