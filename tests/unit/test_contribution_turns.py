"""Openings and closings of an account whose days contradict each other: none of them may make a
gain, or a cost twice. What contradicts is refused by name; the rest is the independent loop's."""

import json
from datetime import date, timedelta
from random import Random
from typing import Any

import pytest

from shared.events import Event
from shared.events.bank import AccountClosed, AccountOpened
from shared.events.envelope import encode
from tests.golden import day_by_day
from tests.ledger_bank import FIRST_DAY, event_of
from tests.scored import digest_of
from tests.unit.test_contribution_rules import RATES, Book
from tests.workers import closed

LATEST = date(2079, 1, 1).toordinal()
NOT_OPEN = ("dead", "the account was not open on that day")
CLOSED_LATER = ("dead", "the account was closed on a later day")
OPENED_LATER = ("dead", "the account was opened on a later day")
LAST = FIRST_DAY + timedelta(days=58)
LATE = pytest.mark.parametrize("told_on", [0, 25, 50], ids=["open days", "late", "month closed"])


def opened(day: date, again: str = "") -> Event[Any]:
    fact = AccountOpened(customer_number="C", account_number="1", product_code="CA",
                         currency="CNY", opened_on=day)  # fmt: skip
    return event_of(fact, f"opened-{day}{again}", day)


def ended(day: date, again: str = "") -> Event[Any]:
    fact = AccountClosed(customer_number="C", account_number="1", closed_on=day)
    return event_of(fact, f"closed-{day}{again}", day)


def january(day: int) -> date:
    return date(2025, 1, day)


def told(*events: Event[Any], on: int = 0, restarts: bool = False) -> Book:
    """Two months; all is told after so many closes."""
    book = Book(RATES)
    book.tell(book.booked(1, FIRST_DAY))  # so the account is known
    for n in range(59):
        if n == on:
            for event in events:
                book.tell(event)
                if restarts:
                    book.scored.restart()
        book.tell(closed(FIRST_DAY + timedelta(days=n)))
    return book


def upkeep(book: Book) -> dict[str, int]:
    """By origin."""
    return {origin: minor for (_, _, component, origin), minor in book.scored.by_origin().items()
            if component == "abc_maint"}  # fmt: skip


def by_loop(*events: Event[Any], rates: list[Event[Any]] = RATES) -> int:
    plain = [[json.loads(encode(event)) for event in some] for some in (rates, events)]
    return day_by_day.leaves(*plain, LAST).get(("1", "CA", "abc_maint"), 0)


@LATE
@pytest.mark.parametrize("restarts", [False, True])
def test_a_closing_of_before_the_opening_is_refused_and_gains_nothing(
    told_on: int, restarts: bool
) -> None:
    events = opened(january(20)), ended(january(8))
    book = told(*events, on=told_on, restarts=restarts)
    assert book.told() == [NOT_OPEN]
    assert upkeep(book) == {"2025-01": -12, "2025-02": -28}
    assert sum(upkeep(book).values()) == by_loop(events[0])


@LATE
@pytest.mark.parametrize(("day", "costs"), [(20, {}), (25, {"2025-01": -5})])
def test_one_from_the_day_of_the_opening_on_counts(
    told_on: int, day: int, costs: dict[str, int]
) -> None:
    """The control of the one above."""
    book = told(opened(january(20)), ended(january(day)), on=told_on)
    assert book.told() == []
    assert upkeep(book) == costs


def test_it_is_refused_too_where_its_opening_is_no_longer_among_the_kept_days() -> None:
    """Told when the opening is long settled: of its entry nothing is left."""
    book = told(opened(january(20)))
    book.tell(ended(january(8)))
    assert book.told() == [NOT_OPEN]
    assert upkeep(book) == {"2025-01": -12, "2025-02": -28}


def test_a_closing_as_late_as_that_counts_from_its_day_on() -> None:
    """The control of the one above: what is refused is not the lateness."""
    book = told(opened(january(20)))
    book.tell(ended(january(21)))
    assert book.told() == []
    assert upkeep(book) == {"2025-01": -1}


@LATE
@pytest.mark.parametrize("restarts", [False, True])
def test_a_closing_of_which_no_opening_was_told_is_taken_and_costs_nothing(
    told_on: int, restarts: bool
) -> None:
    """What a bank tells of accounts that it had before; an opening of before it is refused."""
    book = told(ended(january(30)), opened(january(20)), on=told_on, restarts=restarts)
    assert book.told() == [CLOSED_LATER]
    assert upkeep(book) == {}
    again = told(ended(january(10)), opened(january(20)), on=told_on, restarts=restarts)
    assert again.told() == []
    assert upkeep(again) == {"2025-01": -12, "2025-02": -28}


@LATE
def test_an_opening_of_before_the_last_closing_is_refused_and_costs_nothing_twice(
    told_on: int,
) -> None:
    events = opened(january(3)), ended(january(20)), opened(january(10))
    book = told(*events, on=told_on)
    assert book.told() == [CLOSED_LATER]
    assert upkeep(book) == {"2025-01": -17}
    again = told(*events[:2], opened(january(25)), on=told_on)  # the control
    assert again.told() == []
    assert upkeep(again) == {"2025-01": -17 - 7, "2025-02": -28}


@LATE
def test_said_twice_it_is_said_once(told_on: int) -> None:
    pair = opened(january(3)), opened(january(5)), ended(january(20)), ended(january(22))
    book = told(*pair, on=told_on)
    assert book.told() == []
    assert upkeep(book) == {"2025-01": -17}


@LATE
@pytest.mark.parametrize("restarts", [False, True])
def test_what_was_said_again_later_is_not_ended_on_an_earlier_day(
    told_on: int, restarts: bool
) -> None:
    """It would leave the account closed on days on which the bank has said that it is open."""
    again = opened(january(3)), opened(january(12)), opened(january(7))
    book = told(*again, ended(january(9)), on=told_on, restarts=restarts)
    assert book.told() == [OPENED_LATER]
    assert upkeep(book) == {"2025-01": -29, "2025-02": -28}
    later = told(*again, ended(january(12)), on=told_on, restarts=restarts)  # the control
    assert later.told() == []
    assert upkeep(later) == {"2025-01": -9}
    shut = opened(january(3)), ended(january(9)), ended(january(20)), ended(january(14))
    book = told(*shut, opened(january(16)), on=told_on, restarts=restarts)
    assert book.told() == [CLOSED_LATER]
    assert upkeep(book) == {"2025-01": -6}


@pytest.mark.parametrize("events", [
    [opened(january(3)), opened(january(3), "-again")],
    [opened(january(3)), opened(january(12)), opened(january(7)), opened(january(5))],
    [opened(january(3)), ended(january(9)), ended(january(9), "-again")],
    [opened(january(3)), ended(january(9)), ended(january(15)), opened(january(15))],
    [opened(january(3)), ended(january(9)), opened(january(9))],
    [opened(january(9)), ended(january(9))],
    [ended(january(9)), ended(january(9), "-again"), ended(january(11)), opened(january(20))],
], ids=lambda events: " ".join(event.id for event in events))  # fmt: skip
def test_a_ledger_is_the_same_whenever_its_days_were_closed(events: list[Event[Any]]) -> None:
    book = told(*events)
    assert book.told() == []
    for other in (told(*events, restarts=True), told(*events, on=7), told(*events, on=50)):
        assert other.told() == []
        assert digest_of(other.scored) == digest_of(book.scored)


@LATE
@pytest.mark.parametrize("restarts", [False, True])
def test_another_day_of_before_the_last_one_is_not_taken_for_a_repeat(
    told_on: int, restarts: bool
) -> None:
    """Which of the two days is right nobody knows here; the later one stands."""
    book = told(opened(january(5)), opened(january(3)), on=told_on, restarts=restarts)
    assert book.told() == [OPENED_LATER]
    assert upkeep(book) == {"2025-01": -27, "2025-02": -28}
    turns = opened(january(3)), ended(january(20)), ended(january(10))
    shut = told(*turns, on=told_on, restarts=restarts)
    assert shut.told() == [CLOSED_LATER]
    assert upkeep(shut) == {"2025-01": -17}


@LATE
def test_a_day_with_both_leaves_the_account_as_it_was(told_on: int) -> None:
    same = opened(january(9)), ended(january(9))
    shut = told(*same, ended(january(11)), on=told_on)
    assert (shut.told(), upkeep(shut)) == ([], {})
    reopened = told(opened(january(3)), ended(january(9)), opened(january(9)), on=told_on)
    assert reopened.told() == []
    assert upkeep(reopened) == {"2025-01": -29, "2025-02": -28}


@pytest.mark.parametrize("seed", range(12))
def test_turns_in_any_delay_among_wrong_ones_are_those_of_the_independent_loop(seed: int) -> None:
    rng = Random(seed)
    days = [FIRST_DAY + timedelta(days=n) for n in sorted(rng.sample(range(2, 58), 4))]
    turns = [opened(days[0]), ended(days[1]), opened(days[2]), ended(days[3])]
    told_on = sorted(min(58, (day - FIRST_DAY).days + rng.randrange(25)) for day in days)
    wrong = 0
    book = Book(RATES)
    book.tell(book.booked(1, FIRST_DAY))
    for n in range(59):
        for turn, on in zip(turns, told_on, strict=True):
            if on != n:
                continue
            book.tell(turn)
            before = max(turn.businessdate - timedelta(days=rng.randrange(1, 40)), FIRST_DAY)
            wrong += 1
            other = opened if turn in turns[1::2] else ended
            book.tell(other(before, f"-wrong-{wrong}"))
            if rng.random() < 0.5:
                book.scored.restart()
        book.tell(closed(FIRST_DAY + timedelta(days=n)))
    assert len(book.told()) == wrong == 4
    assert set(book.told()) == {NOT_OPEN, CLOSED_LATER}
    assert sum(upkeep(book).values()) == by_loop(*turns)
    assert by_loop(*turns) < 0
