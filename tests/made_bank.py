"""A made bank to learn from: buyers of different pace, and current accounts of which some turn."""

from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from shared.events import Fact, decode, encode, wrap
from shared.events.bank import (
    AccountOpened,
    DayClosed,
    ProductDescribed,
    SourceDescribed,
    TransactionBooked,
)

BEGIN, DAYS = date(2024, 1, 1), 640
SPLIT = date(2024, 12, 31)
ZONE = ZoneInfo("Asia/Shanghai")
SOURCE = "made"
NAMES = {"zh-CN": "产品", "en": "Product"}
Line = bytes


def line(fact: Fact, event_id: str, day: date) -> Line:
    at = wrap(
        fact, id=event_id, source=SOURCE, businessdate=day,
        time=datetime(day.year, day.month, day.day, 12, tzinfo=ZONE),
    )  # fmt: skip
    return encode(at) + b"\n"


def booked(account: str, product: str, day: int, amount: int, kind: str, by: str, n: int) -> Line:
    on = BEGIN + timedelta(days=day)
    fact = TransactionBooked(
        transaction_id=f"{account}-{n}", account_number=account, customer_number=account,
        product_code=product, amount_minor=amount, currency="CNY", kind=kind,  # type: ignore[arg-type]
        initiated_by=by, booked_on=on,  # type: ignore[arg-type]
    )  # fmt: skip
    return line(fact, f"txn-{account}-{n}", on)


def opened(account: str, product: str) -> Line:
    fact = AccountOpened(
        customer_number=account, account_number=account, product_code=product, currency="CNY",
        opened_on=BEGIN,
    )  # fmt: skip
    return line(fact, f"acct-{account}", BEGIN)


def buyers(rng: np.random.Generator, customers: int) -> list[Line]:
    """Card customers of very different pace, of whom some leave."""
    found = []
    for number in range(customers):
        name, day, n, gap = f"card-{number}", float(rng.uniform(0, 60)), 0, rng.uniform(3, 40)
        leaves = rng.uniform(60, 900)
        found.append(opened(name, "CARD"))
        while day < min(DAYS, leaves):
            found.append(booked(name, "CARD", int(day), -int(rng.integers(100, 9000)), "card",
                                "customer", n))  # fmt: skip
            day, n = day + rng.exponential(gap), n + 1
    return found


def current_accounts(rng: np.random.Generator, customers: int) -> list[Line]:
    """Salary in, spending out. Some turn: they do less and less, or spend more and more."""
    found = []
    for number in range(customers):
        name, n, wage = f"ca-{number}", 1, int(rng.integers(600_000, 900_000))
        turn = rng.integers(60, 600) if rng.random() < 0.8 else 10**6
        fades, spends = number % 3 == 0, 1 + 2 * (number % 3)
        found.append(opened(name, "CA"))
        found.append(booked(name, "CA", 0, 3 * wage, "transfer_in", "customer", n))
        for day in range(1, DAYS - 1, 3):
            gone = max(day - turn, 0) / 60
            if day % 30 == 1 and gone < 1.5:
                n += 1
                found.append(booked(name, "CA", day, wage, "transfer_in", "customer", n))
            if rng.random() < 0.5 * (np.exp(-2 * gone) if fades else 1):
                size = 1.0 if fades else 1 + spends * min(gone, 2)
                amount, n = int(rng.integers(60_000, 160_000) * size), n + 1
                found.append(booked(name, "CA", day, -amount, "card", "customer", n))
        found.append(booked(name, "CA", DAYS - 1, -100, "fee", "bank", n + 1))
    return found


def write(file: Path) -> None:
    """All of it in one file, unordered, with one close at its end."""
    rng = np.random.default_rng(11)
    described = [
        ProductDescribed(product_code="CARD", names=NAMES, line_code="fee", purchase_like=True),
        ProductDescribed(product_code="CA", names=NAMES, line_code="liability"),
    ]
    lines = [line(fact, f"ref-{fact.product_code}", BEGIN) for fact in described]
    lines += buyers(rng, 300) + current_accounts(rng, 240)
    last = BEGIN + timedelta(days=DAYS - 1)
    lines.append(line(DayClosed(day=last), "close-made", last))
    file.write_bytes(b"".join(lines))


def live(file: Path) -> list[bytes]:
    """The same lines as they would have been published: in the order of days, each day closed."""
    events = [(decode(one), one) for one in file.read_bytes().splitlines(keepends=True)]
    by_day: dict[date, list[bytes]] = {BEGIN + timedelta(days=n): [] for n in range(DAYS)}
    described = SourceDescribed(source=SOURCE, closes_days=True, active_from=BEGIN)
    by_day[BEGIN].append(line(described, "source-made", BEGIN))
    for event, one in events:
        if not isinstance(event.data, DayClosed):
            by_day[event.businessdate].append(one)
    for day, lines in by_day.items():
        lines.append(line(DayClosed(day=day), f"close-{day}", day))
    return [one for lines in by_day.values() for one in lines]
