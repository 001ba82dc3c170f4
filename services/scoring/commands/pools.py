"""What the bank says of its costs: rates of drivers, pools and their drivers, actual costs."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec
from sqlalchemy import text

from services.scoring.allocation_sql import OF_BANK
from services.scoring.commands import contacts
from services.scoring.rate import CONTACT, Rate
from shared.db import Tx
from shared.events.bank import CostBooked, CostPoolDescribed, RateSet

ALWAYS = date(1, 1, 1)
RATE = text(
    """
    insert into cost_rates (partition, driver_code, product_code, from_on, value, position)
    values (:partition, :driver_code, :product_code, :from_on, :value, :position)
    on conflict (partition, driver_code, product_code, from_on) do update
       set value = excluded.value, position = excluded.position
     where cost_rates.position <= excluded.position
    """
)
POOL = text(
    """
    insert into cost_pools (cost_centre_code, from_on, names, driver_code, position)
    values (:cost_centre_code, :from_on, cast(:names as jsonb), :driver_code, :position)
    on conflict (cost_centre_code, from_on) do update
       set names = excluded.names, driver_code = excluded.driver_code,
           position = excluded.position
     where cost_pools.position < excluded.position
    """
)
# By the time of the word first: what is told late again is not the latest word.
COST = text(
    """
    insert into costs (source, cost_id, cost_centre_code, driver_code, amount_minor, currency,
                       period, booked_on, set_at, position)
    values (:source, :cost_id, :cost_centre_code, :driver_code, :amount_minor, :currency, :period,
            :booked_on, :set_at, :position)
    on conflict (source, cost_id) do update
       set cost_centre_code = excluded.cost_centre_code, driver_code = excluded.driver_code,
           amount_minor = excluded.amount_minor, currency = excluded.currency,
           period = excluded.period, booked_on = excluded.booked_on, set_at = excluded.set_at,
           position = excluded.position
     where (costs.set_at, costs.position) < (excluded.set_at, excluded.position)
    """
)


def note_rate(tx: Tx, fact: RateSet, position: int) -> None:
    """What a contact costs; the other rates are the worker's to take (`note_taken`)."""
    if (fact.driver_code or "").partition("/")[0] != CONTACT or fact.product_code is not None:
        return
    told = {
        "partition": OF_BANK, "driver_code": fact.driver_code, "product_code": "",
        "from_on": fact.from_on, "value": fact.value, "position": position,
    }  # fmt: skip
    tx.session.execute(RATE, told)
    contacts.price_anew(tx)


def note_taken(tx: Tx, rates: Sequence[tuple[int, Rate]]) -> None:
    """Rates that partitions of the worker took: only by these are its uses charged. One that it
    refused is none, whatever others did. What a restatement brought is newer than what was
    there."""
    told = [
        {
            "partition": partition, "driver_code": rate.driver, "product_code": rate.product,
            "value": rate.value, "from_on": date.fromordinal(rate.from_day),
            "position": rate.restatement,
        }
        for partition, rate in rates
        if rate.kind == "cost_driver"
    ]  # fmt: skip
    if told:
        tx.session.execute(RATE, told)


def note_pool(tx: Tx, fact: CostPoolDescribed, position: int) -> None:
    """By what a cost centre's pool is spread; what is spread already follows at the next close."""
    tx.session.execute(
        POOL,
        {
            "cost_centre_code": fact.cost_centre_code,
            "from_on": fact.from_on or ALWAYS,
            "names": msgspec.json.encode(fact.names).decode(),
            "driver_code": fact.driver_code,
            "position": position,
        },
    )


def note_cost(  # noqa: PLR0917 - a fact and its envelope
    tx: Tx, fact: CostBooked, source: str, booked_on: date, set_at: datetime, position: int
) -> None:
    """An actual cost, perhaps said anew: a reversal is its opposite, or 0 under its id."""
    tx.session.execute(
        COST,
        {
            "source": source,
            "cost_id": fact.cost_id,
            "cost_centre_code": fact.cost_centre_code,
            "driver_code": fact.driver_code,
            "amount_minor": fact.amount_minor,
            "currency": fact.currency,
            "period": fact.period,
            "booked_on": booked_on,
            "set_at": set_at,
            "position": position,
        },
    )
