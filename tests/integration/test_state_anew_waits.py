"""The state made anew: what alerts wait for before they are compared, and whose last event is
refused now."""

import dataclasses
from datetime import timedelta

import pytest

from services.scoring.__main__ import SERVICE
from tests.integration import worker_room
from tests.integration.scoring_room import compared, party, rows
from tests.integration.test_state_anew import HELD, close_scoring, day, let_go, made_anew, patiently
from tests.integration.test_state_anew_letters import SA
from tests.integration.worker_room import Room
from tests.unit.test_contribution_rules import RATES, Book
from tests.workers import closed, described, transaction

room = worker_room.room
OF_MONEY = "select contribution_minor, recoverable_minor from alerts"


def hears(room: Room, *, all_but: str = "") -> None:
    """A listener that has not come to one of its topics, or to all."""
    close_scoring(room)
    batches = {topic: heard for topic, heard in SERVICE.batches.items() if topic != all_but}
    room.scoring = room.space.service(dataclasses.replace(SERVICE, batches=batches))


@pytest.mark.parametrize("topic", ["scoring.leaves", "scoring.dead"])
def test_alerts_are_held_until_what_they_rest_on_is_read(room: Room, topic: str) -> None:
    """The money at stake is of leaves; what waits again is taken out of the event store."""
    room.stand_at(day(80))
    party(room.space, "PC", "C")
    book = Book()
    room.workers.describe(*RATES)
    gone = book.booked(-95_000_000, day(60), transaction_id="w", product_code="SA",
                       account_number="2", kind="transfer_out")  # fmt: skip
    room.workers.publish([
        book.booked(100_000_000, day(1), transaction_id="a"),
        *(closed(day(n)) for n in range(1, 60)), gone, *(closed(day(n)) for n in range(60, 79)),
    ])  # fmt: skip
    room.start()
    room.settle()
    assert rows(room.scoring, OF_MONEY) == []
    if topic == "scoring.leaves":
        room.workers.describe(SA)  # what waited counts, and is an outflow
    made_anew(room, customers=1)
    hears(room, all_but=topic)
    room.start("b")
    room.settle()
    compared(room.scoring)
    assert rows(room.scoring, HELD) != [(0,)]
    hears(room)
    patiently(lambda: let_go(room))
    told = rows(room.scoring, OF_MONEY)
    assert [min(money) > 0 for money in told] == [True] * (topic == "scoring.leaves")


def test_whose_last_event_is_refused_now_is_folded_as_he_is_now(room: Room) -> None:
    room.stand_at(day(40))
    party(room.space, "PC", "C")
    room.workers.publish([
        transaction(1, "C", "A", 1000, day(1)), *(closed(day(n)) for n in range(1, 10)),
        transaction(2, "C", "A", 5000, day(10), source="cards"),
        *(closed(day(n)) for n in range(10, 16)),
    ])  # fmt: skip
    room.start()
    room.settle()
    assert room.folded() == [("C", 2, 6000)]
    room.workers.describe(described("cards", day(10) + timedelta(10)))
    made_anew(room, customers=1)
    room.start("b")
    room.settle()
    patiently(lambda: let_go(room))
    assert room.folded() == [("C", 1, 1000)]
