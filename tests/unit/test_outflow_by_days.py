"""Outflow of a number and of a party's sums, held against a loop over days that knows nothing of
either: the mean at the beginning of each day, one balance after the other."""

import math
from collections.abc import Sequence
from datetime import date, timedelta
from random import Random
from typing import Any

import msgspec

from services.scoring import rule_set
from services.scoring.queries.outflows import factors
from services.scoring.rules import outflows
from services.scoring.rules.outflows import Limits
from shared.events import Event
from shared.events.bank import TransactionBooked
from tests.ledger_bank import FIRST_DAY, Bank, event_of
from tests.scored import Scored
from tests.workers import closed

NUMBERS, DAYS = 40, 300
TAU, BEGINS, ENDS, LEAST = 60, 0.5, 0.7, 2_000_000
Booked = dict[int, int]  # by day
Spans = list[tuple[int, int | None]]


def number(rng: Random) -> Booked:
    """Money comes and goes, more than half of it now and then."""
    booked, balance, day = {0: rng.randrange(3_000_000, 9_000_000)}, 0, 0
    balance = booked[0]
    while (day := day + rng.randrange(1, 25)) < DAYS:
        gone = rng.random() < 0.6
        booked[day] = -balance * rng.randrange(10, 95) // 100 if gone else rng.randrange(4_000_000)
        balance += booked[day]
    return booked


def by_days(booked: Booked, *, of_sums: bool) -> Spans:
    """A number is asked at the event, a party's sums at the close of its day; an outflow that is
    over as a day begins is over for sums whatever the day brings, for a number if it brings none.
    What sums show at a close and is over with it never was.
    """
    left, found = math.exp(-1 / TAU), list[tuple[int, int | None]]()
    balance = mean = 0.0
    for day in range(DAYS):
        is_open = bool(found) and found[-1][1] is None
        if of_sums and is_open and not (mean >= LEAST and balance < ENDS * mean):
            begun, is_open = found.pop()[0], False
            found += [(begun, day)] if day > begun + 1 else []
        balance += booked.get(day, 0)
        if is_open and not (mean >= LEAST and balance < ENDS * mean):
            if not of_sums:
                found[-1] = (found[-1][0], day)
        elif not is_open and day in booked and mean >= LEAST and balance < BEGINS * mean:
            found.append((day, None))
        mean = balance + (mean - balance) * left
    return found


def by_worker(numbers: Sequence[Booked]) -> list[Spans]:
    events: list[Event[Any]] = []
    for day in range(DAYS):
        on = FIRST_DAY + timedelta(days=day)
        for n, booked in enumerate(numbers):
            if day in booked:
                fact = TransactionBooked(
                    transaction_id=f"{n}-{day}", account_number=f"A{n}", customer_number=f"C{n}",
                    product_code="CA", amount_minor=booked[day], currency="CNY",
                    kind="transfer_in", initiated_by="customer", booked_on=on,
                )  # fmt: skip
                events.append(event_of(fact, f"txn-{n}-{day}", on))
        events.append(closed(on))
    scored = Scored(Bank()).run(events, 10**6)
    told = [one for one in map(msgspec.json.decode, scored.signals.values())
            if one["rule"] == "outflow"]  # fmt: skip
    days = {(one["customer_number"], one["episode"], one["kind"]):
            (date.fromisoformat(one["on"]) - FIRST_DAY).days for one in told}  # fmt: skip
    return [
        [(on, days.get((f"C{n}", episode, "cleared")))
         for (whose, episode, kind), on in sorted(days.items())
         if (whose, kind) == (f"C{n}", "raised")]
        for n in range(len(numbers))
    ]  # fmt: skip


def by_sums(booked: Booked) -> Spans:
    limits = [Limits(0, "first", rule_set.first_thresholds())]
    moves = [(FIRST_DAY + timedelta(days=day), amount) for day, amount in booked.items()]
    through = FIRST_DAY + timedelta(days=DAYS - 2)  # the day before the last that the loop begins
    return [((one.closed_on - FIRST_DAY).days,
             (one.ended_on - FIRST_DAY).days if one.ended_on else None)
            for one in outflows.judge(moves, limits, factors(), through).falls]  # fmt: skip


def test_an_outflow_of_a_number_begins_and_ends_on_the_days_of_the_formula() -> None:
    numbers = [number(rng) for rng in map(Random, range(NUMBERS))]
    expected = [by_days(booked, of_sums=False) for booked in numbers]
    assert by_worker(numbers) == expected
    assert sum(end is not None for spans in expected for _, end in spans) > NUMBERS


def test_an_outflow_of_sums_begins_and_ends_on_the_days_of_the_formula() -> None:
    ended = 0
    for booked in (number(rng) for rng in map(Random, range(NUMBERS))):
        own = {day: amount for day, amount in booked.items() if day < DAYS - 1}
        expected = by_days(own, of_sums=True)
        assert by_sums(own) == expected
        ended += sum(end is not None for _, end in expected)
    assert ended > NUMBERS
