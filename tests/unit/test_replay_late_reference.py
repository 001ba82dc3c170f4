"""`replay` of a file whose reference data come behind events, beside an engine told the same at the
same places: equal leaves, equal alarms."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from services.scoring import replay
from shared.events import Event
from shared.events.bank import AccountOpened
from shared.events.envelope import encode
from tests.ledger_bank import CURRENCY, FIRST_DAY, event_of
from tests.scored import MODEL
from tests.unit.test_contribution_grades import graded
from tests.unit.test_contribution_rules import FEB, JAN, OVERDRAFT, RATES, Book, rate
from tests.workers import closed, described

Told = tuple[dict[tuple[str, ...], int], list[str]]
UNTIL = 70


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n - 1)


def upkeep(value: int, on: date) -> Event[Any]:
    return rate("cost_driver", value, product=None, on=on, driver="account_day")


OPENED = event_of(AccountOpened(customer_number="C", account_number="1", product_code="CA",
                                currency="CNY", opened_on=day(1)), "opened-1", day(1))  # fmt: skip
LGD = rate("lgd", 1_000_000, product="OD")
CHARGED = [rate("capital_ratio", 100_000, product="OD"), rate("hurdle_rate", 100_000, product="OD")]


def lines(late: Sequence[Event[Any]], closes: int) -> list[Event[Any]]:
    """A deposit and an overdraft of the first day; so many days are closed before what is late."""
    book = Book()
    first = [OPENED, book.booked(1_000_000, day(1)),
             book.booked(-3_650_000, day(1), account_number="2")]  # fmt: skip
    days = [closed(day(n)) for n in range(1, UNTIL + 1)]
    return [*first, *days[:closes], *late, *days[closes:]]


def live(rates: list[Event[Any]], events: Sequence[Event[Any]]) -> Told:
    book, found = Book(rates), Counter[tuple[str, ...]]()
    for event in events:
        if event.data.TOPIC == "bank.reference":
            book.scored.tell(event)
            book.scored.restate(0)
        else:
            book.tell(event)
    for (_, account, _, *rest, _), amount in book.scored.leaves().items():
        found[account, *rest] += amount
    assert not book.told()
    return {key: amount for key, amount in found.items() if amount}, book.scored.alarms


def replayed(folder: Path, rates: Sequence[Event[Any]], events: Sequence[Event[Any]]) -> Told:
    file = folder / "events.jsonl"
    told = [described(from_on=FIRST_DAY), *rates, *events]
    file.write_bytes(b"".join(encode(event) + b"\n" for event in told))
    one = replay.Replay(MODEL, currency=CURRENCY, zone="Asia/Shanghai", until=day(UNTIL))
    replay.run(one, file, None, [])
    assert not one.result.refused
    return {key: n for key, n in one.result.leaves.items() if n}, one.result.alarms


@pytest.mark.parametrize("closes", [31, 33, 60])
@pytest.mark.parametrize(
    ("known", "late"),
    [
        ([*RATES, LGD, rate("pd", 365_000, product="OD", on=day(30))],
         rate("pd", 730_000, product="OD", on=day(10))),
        ([*RATES, LGD, rate("pd", 365_000, product="OD", on=day(20))],
         rate("pd", 730_000, product="OD", on=day(31))),
        ([*RATES, LGD, rate("pd", 365_000, product="OD", on=day(30))],
         graded("pd", 730_000, "D", on=day(10))),
        ([*RATES[:4], upkeep(5, day(30))], upkeep(9, day(10))),
        ([*RATES, *CHARGED, rate("risk_weight", 500_000, product="OD", on=day(30))],
         rate("risk_weight", 1_000_000, product="OD", on=day(10))),
        ([*RATES, rate("customer_rate", 50_000, on=day(50))],
         rate("customer_rate", 100_000, on=day(31))),
    ],
)  # fmt: skip
def test_a_late_rate_is_taken_where_it_was_told(
    tmp_path: Path, known: list[Event[Any]], late: Event[Any], closes: int
) -> None:
    events = lines([late], closes)
    found = live(known, events)
    assert replayed(tmp_path, known, events) == found
    if closes == 60 and late.data.from_on == day(10):
        assert "balances are kept from" in found[1][0]
        assert found[0] == live(known, lines([], 0))[0]


def test_what_a_late_rate_changes_of_a_closed_month_is_a_leaf_of_the_open_one(
    tmp_path: Path,
) -> None:
    known = [*RATES, LGD, rate("pd", 365_000, product="OD", on=day(30))]
    late = rate("pd", 730_000, product="OD", on=day(10))
    leaves, alarms = replayed(tmp_path, known, lines([late], 33))
    assert not alarms
    assert leaves["2", "OD", "el", JAN, JAN] == -2 * 3_650  # days 30 and 31
    assert leaves["2", "OD", "el", FEB, JAN] == -20 * 2 * 3_650  # days 10 to 29


@pytest.mark.parametrize("closes", [0, 20])
def test_an_overdraft_that_is_described_late_changes_no_account_that_has_figures(
    tmp_path: Path, closes: int
) -> None:
    known = [one for one in RATES if one is not OVERDRAFT]
    events = lines([OVERDRAFT], closes)
    found = live(known, events)
    assert replayed(tmp_path, known, events) == found
    assert "its accounts have figures already" in found[1][0]
    assert found[0]["2", "CA", "ftp", JAN, JAN] == -31 * 3_650
    # Told before there is an account it holds, and that is another figure.
    in_time, alarms = replayed(tmp_path, known, [OVERDRAFT, *lines([], 0)])
    assert not alarms
    assert in_time["2", "OD", "ftp", JAN, JAN] == -31 * 2 * 3_650
