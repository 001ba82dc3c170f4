"""The small rules are told by the first watermark that reaches their day: no event, no scan."""

from datetime import date, timedelta

import msgspec
import pytest

from services.scoring.replay import Line
from shared.events import Event
from shared.events.envelope import encode
from tests.ledger_bank import FIRST_DAY, Bank
from tests.scored import Scored
from tests.workers import closed, transaction

ACTIVE_DAYS, WATCHED_DAYS = 60, 260


class _Told:
    """A bank of one customer whose days close one after the other, each in a batch of its own."""

    def __init__(self) -> None:
        self.scored = Scored(Bank())
        self._offset = 0

    def feed(self, event: Event) -> list[dict]:
        known = set(self.scored.signals)
        key = None if event.type == "bank.day_closed.v1" else event.subject.encode()
        self.scored.feed(0, [Line(self._offset, key, encode(event))])
        self._offset += 1
        new = self.scored.signals.keys() - known
        return [msgspec.json.decode(self.scored.signals[one]) for one in sorted(new)]

    def due(self, column: str) -> date | None:
        day = int(self.scored.engine.partition(0).customers[column][0])
        return date.fromordinal(day) if day else None


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n)


def test_each_is_told_on_the_day_that_was_computed_and_on_no_other() -> None:
    bank, found, due = _Told(), {}, {}
    for n in range(WATCHED_DAYS):
        if n < ACTIVE_DAYS and n % 5 == 0:
            assert bank.feed(transaction(n, "C1", "A1", 5_000_000, day(n))) == []
        if n == ACTIVE_DAYS:
            (raised,) = bank.feed(transaction(n, "C1", "A1", -55_000_000, day(n)))
            assert (raised["rule"], raised["kind"]) == ("outflow", "raised")
        if n >= ACTIVE_DAYS:
            due |= {"silence": bank.due("silent_on") or due.get("silence"),
                    "outflow": bank.due("recovers_on") or due.get("outflow")}  # fmt: skip
        for told in bank.feed(closed(day(n))):
            assert told["rule"] not in found, "told twice"
            found[told["rule"]] = (told["kind"], day(n))
    assert None not in due.values()
    assert due["silence"] != due["outflow"]
    assert found == {"silence": ("raised", due["silence"]), "outflow": ("cleared", due["outflow"])}


@pytest.mark.parametrize(("less", "ends"), [(0, True), (1, False)])
def test_the_deposit_that_is_named_ends_an_outflow_and_a_smaller_one_does_not(
    less: int, ends: bool
) -> None:
    bank = _Told()
    for n in range(0, ACTIVE_DAYS, 5):
        bank.feed(transaction(n, "C1", "A1", 5_000_000, day(n)))
    (raised,) = bank.feed(transaction(90, "C1", "A1", -55_000_000, day(ACTIVE_DAYS)))
    deposit = raised["terms"]["clear_deposit_minor"] - less
    said = bank.feed(transaction(91, "C1", "A1", deposit, day(ACTIVE_DAYS)))
    assert [one["kind"] for one in said] == (["cleared"] if ends else [])
    assert all("clear_deposit_minor" not in one["terms"] for one in said)


def test_one_transaction_of_his_own_ends_a_silence_as_it_says() -> None:
    bank, raised = _Told(), []
    for n in range(0, ACTIVE_DAYS, 5):
        bank.feed(transaction(n, "C1", "A1", 5_000_000, day(n)))
    for n in range(WATCHED_DAYS):
        raised += bank.feed(closed(day(n)))
    assert [(one["rule"], one["terms"]["clear_actions"]) for one in raised] == [("silence", 1)]
    (ended,) = bank.feed(transaction(99, "C1", "A1", 100, day(WATCHED_DAYS)))
    assert (ended["rule"], ended["kind"]) == ("silence", "cleared")
