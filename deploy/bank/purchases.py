"""Purchase histories (CDNOW, a grocer's log) as card transactions: one event per customer-day."""

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from deploy.bank.tables import dates, instant, minor, rows
from shared.events import Event, Fact, wrap
from shared.events.bank import (
    AccountOpened,
    CustomerRecorded,
    DayClosed,
    ProductDescribed,
    SourceDescribed,
    TransactionBooked,
)

_ZONE = ZoneInfo("America/New_York")
_PURCHASES: dict[str, tuple[str, str, str, str]] = {  # source: product, currency, zh, en
    "cdnow": ("CDNOW", "USD", "唱片购买", "CD purchases"),
    "grocery": ("GROCERY", "EUR", "杂货购买", "Grocery purchases"),
}
_NOMINAL_MINOR = 100  # the grocer's log has no amounts: each purchase day counts one


def events(path: Path, source: str) -> Iterator[Event[Any]]:
    """A card account of one product per customer; money leaves it, so amounts are negative.

    Rows of one customer-day are one purchase. A CDNOW day of nothing but free items is a purchase
    of zero.
    """
    by_day, first_on = _customer_days(path, source)
    if not by_day:
        raise ValueError(f"{path} has no rows")
    begin, end = min(by_day), max(by_day)
    yield from _reference(source, begin)
    for customer in sorted(first_on, key=int):
        person = CustomerRecorded(
            customer_number=customer, kind="person", name=f"Customer {customer}"
        )
        yield _event(person, f"cust-{customer}", source, begin)
    for day in dates(begin, end):
        today = by_day.get(day, {})
        for customer in sorted(today, key=int):
            if first_on[customer] == day:
                yield _event(_opened(customer, source, day), f"acct-{customer}", source, day)
        for customer in sorted(today, key=int):
            fact = _purchase(customer, source, day, today[customer])
            yield _event(fact, f"txn-{fact.transaction_id}", source, day, 12 * 3600)
        closed = DayClosed(day=day)
        yield _event(closed, closed.event_id(source), source, day, 86_400 - 1)


def _customer_days(path: Path, source: str) -> tuple[dict[date, dict[str, int]], dict[str, date]]:
    currency = _PURCHASES[source][1]
    by_day: defaultdict[date, dict[str, int]] = defaultdict(dict)
    first_on: dict[str, date] = {}
    for row in rows(path):
        customer, day = row["customer_id"], date.fromisoformat(row["date"])
        today = by_day[day]
        if source == "cdnow":
            today[customer] = today.get(customer, 0) + minor(row["usd"], currency)
        else:
            today[customer] = _NOMINAL_MINOR
        first_on[customer] = min(first_on.get(customer, day), day)
    return dict(by_day), first_on


def _event(fact: Fact, event_id: str, source: str, day: date, second: int = 0) -> Event[Any]:
    return wrap(
        fact, id=event_id, source=source, time=instant(day, _ZONE, second), businessdate=day
    )


def _reference(source: str, begin: date) -> Iterator[Event[Any]]:
    product, _, name, name_en = _PURCHASES[source]
    described = ProductDescribed(
        product_code=product,
        names={"zh-CN": name, "en": name_en},
        line_code="fee",
        purchase_like=True,
    )
    closes = SourceDescribed(source=source, closes_days=True, active_from=begin)
    for fact in (closes, described):
        yield _event(fact, f"reference-{fact.key(source)}", source, begin)


def _opened(customer: str, source: str, day: date) -> AccountOpened:
    product, currency, *_ = _PURCHASES[source]
    return AccountOpened(
        customer_number=customer,
        account_number=customer,
        product_code=product,
        currency=currency,
        opened_on=day,
    )


def _purchase(customer: str, source: str, day: date, amount_minor: int) -> TransactionBooked:
    product, currency, *_ = _PURCHASES[source]
    return TransactionBooked(
        transaction_id=f"{customer}-{day:%Y%m%d}",
        account_number=customer,
        customer_number=customer,
        product_code=product,
        amount_minor=-amount_minor,
        currency=currency,
        kind="card",
        initiated_by="customer",
        booked_on=day,
        channel_code="card",
        order_in_day=1,
    )
