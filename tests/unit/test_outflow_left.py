"""An outflow that goes by as the mean sinks, of one who has no account any more: it says so."""

from typing import Any

import msgspec
import pytest

from services.scoring.rules.wording import cleared_text
from shared.events import Event
from shared.events.bank import TransactionBooked
from tests.ledger_bank import Bank, event_of
from tests.scored import Scored
from tests.unit.test_leaving import closing, day, opening
from tests.workers import closed

GONE = 70
DAYS = 300
Told = dict[int, list[Event[Any]]]


def money(n: int, amount: int) -> Event[Any]:
    fact = TransactionBooked(
        transaction_id=f"money-{n}", account_number="1", customer_number="C", product_code="CA",
        amount_minor=amount, currency="CNY", kind="transfer_in" if amount > 0 else "transfer_out",
        initiated_by="customer", booked_on=day(n),
    )  # fmt: skip
    return event_of(fact, f"txn-money-{n}", day(n))


def ended(told: Told, size: int, restart_every: int = 0) -> dict[str, Any]:
    """How the outflow of all his money ended; what he has left is what it ends with."""
    events: list[Event[Any]] = []
    for n in range(DAYS):
        if n == 0:
            events += [opening(0, "1"), money(0, 10_000_000)]
        if n == GONE:
            events.append(money(GONE, -10_000_000))
        events += [*told.get(n, []), closed(day(n))]
    scored = Scored(Bank()).run(events, size, restart_every)
    found = [one for one in map(msgspec.json.decode, scored.signals.values())
             if one["rule"] == "outflow"]  # fmt: skip
    assert sorted(one["kind"] for one in found) == ["cleared", "raised"]
    (end,) = (one for one in found if one["kind"] == "cleared")
    (begin,) = (one for one in found if one["kind"] == "raised")
    assert "open_accounts" not in begin["terms"]
    return dict(end)


STORIES: dict[str, tuple[Told, bool]] = {
    "stays": ({}, False),
    "closes his account": ({75: [closing(75)]}, True),
    "with the money": ({GONE: [closing(GONE)]}, True),
    "told ahead": ({75: [closing(80)]}, True),
    "told late": ({85: [closing(80)]}, True),
    "before it ends, told ahead for a day after": ({75: [closing(200)]}, False),
    "has another": ({75: [closing(75), opening(75, "2")]}, False),
    "comes back before it ends": ({75: [closing(75)], 90: [opening(90, "2")]}, False),
    "comes back after it has ended": ({75: [closing(75)], 200: [opening(200, "2")]}, True),
}


@pytest.mark.parametrize(("told", "left"), STORIES.values(), ids=STORIES)
def test_an_outflow_that_ends_where_there_is_no_account_says_so(told: Told, *, left: bool) -> None:
    one = ended(told, 1)
    assert one["terms"].get("open_accounts") == (0 if left else None)
    assert cleared_text("outflow", one["terms"])["en"] == (
        "The customer has closed all accounts" if left
        else "The usual balance is small by now"
    )  # fmt: skip
    stays = ended({}, 1)
    assert (one["on"], one["at"]) == (stays["on"], stays["at"]), "it is not why it ends"
    assert ended(told, 7, 3) == one == ended(told, 10**6)


def test_one_that_a_deposit_ends_does_not() -> None:
    back = {75: [closing(75)], 90: [money(90, 9_000_000)]}
    one = ended(back, 1)
    assert "open_accounts" not in one["terms"]
    assert cleared_text("outflow", one["terms"])["en"] == (
        "The balance is close to its usual level again"
    )


def test_one_that_ends_as_the_mean_comes_down_to_what_is_left_does_not() -> None:
    """A mean that matters still."""
    one = ended({GONE: [money(999, 3_000_000)]}, 1)
    assert one["terms"]["balance_minor"] == 3_000_000
    assert cleared_text("outflow", one["terms"])["zh-CN"] == "余额已接近平时水平"
