"""The runbook's *The state anew*, where the worker had refused events: each counts once."""

import pytest

from services.scoring.rebuild import Rebuild
from shared.events import Event
from shared.events.bank import LoanGranted
from tests.integration import worker_room
from tests.integration.scoring_room import party
from tests.integration.test_state_anew import day, made_anew
from tests.integration.test_worker_contribution import sums
from tests.integration.worker_room import Room
from tests.ledger_bank import event_of
from tests.unit.test_contribution_rules import RATES, Book, rate
from tests.workers import closed

room = worker_room.room
SA = rate("transfer_price", 365_000, product="SA")
LN = [rate("margin", 30_000, product="LN"), rate("transfer_price", 365_000, product="LN")]


def figures(room: Room) -> tuple[int, int]:
    """As the worker has them, and as they are folded."""
    found = room.customer("C")
    assert room.folded() == [("C", found.count, found.sum_minor)]
    return found.count, found.sum_minor


def places(room: Room) -> list[int]:
    """Where the event store has the event that waited."""
    return [at for (at,) in room.rows(
        "select event_offset from bank_events where event_id = 'txn-w' order by 1")]  # fmt: skip


def published(room: Room, book: Book, event: Event) -> None:  # type: ignore[type-arg]
    """The event that waits on the tenth of fifteen closed days, and the worker."""
    room.stand_at(day(40))
    party(room.space, "PC", "C")
    room.workers.publish([
        book.booked(10**7, day(1), transaction_id="a"), *(closed(day(n)) for n in range(1, 10)),
        event, *(closed(day(n)) for n in range(10, 16)),
    ])  # fmt: skip
    room.start()
    room.settle()


@pytest.mark.parametrize("replayed", ["before", "after"])
def test_an_event_whose_rate_has_come_counts_once_however_its_letter_stood(
    room: Room, replayed: str
) -> None:
    """Its refusal is not told again, so its letter is gone: nobody can ask for it once more."""
    book = Book()
    room.workers.describe(*RATES)
    waits = book.booked(7_000_000, day(10), transaction_id="w", product_code="SA",
                        account_number="2")  # fmt: skip
    published(room, book, waits)
    (letter,) = room.letters()
    assert (figures(room), places(room)) == ((1, 10_000_000), [])
    room.workers.describe(SA)
    if replayed == "before":
        assert room.replay(letter) == 202
        room.settle()
        assert figures(room) == (2, 17_000_000)
    made_anew(room, customers=1)
    if replayed == "after":
        assert room.replay(letter) == 409
    room.start("b")
    room.settle()
    assert (figures(room), places(room), room.letters()) == ((2, 17_000_000), [10], [])
    room.workers.publish([waits])
    room.settle()
    assert figures(room) == (2, 17_000_000), "the bank sent it again"
    room.balanced()


def test_an_event_that_waits_again_is_listed_anew_and_its_replay_counts_once(room: Room) -> None:
    """An instalment before its loan: refused at its place whatever is known by now."""
    book = Book()
    room.workers.describe(*RATES, *LN)
    waits = book.booked(-1_200, day(10), transaction_id="w", kind="loan_instalment",
                        loan_number="L")  # fmt: skip
    published(room, book, waits)
    loan = LoanGranted(customer_number="C", loan_number="L", account_number="1", product_code="LN",
                       principal_minor=1_000_000, currency="CNY", granted_on=day(10))  # fmt: skip
    room.workers.publish([event_of(loan, "loan-L", day(10)), closed(day(16))])
    room.settle()
    (letter,) = room.letters()
    assert room.replay(letter) == 202
    room.settle()
    before = (figures(room), places(room), sums(room.workers))
    assert before[:2] == ((2, 10_000_000 - 1_200), [10])
    made_anew(room, customers=1)
    room.start("b")
    room.settle()
    (again,) = room.letters()
    assert again["reason"] == "loan L is not known"
    assert (figures(room), places(room)) == ((1, 10_000_000), [])
    assert room.replay(again) == 202
    room.settle()
    assert (figures(room), places(room), sums(room.workers)) == before
    room.workers.publish([waits])
    room.settle()
    assert figures(room) == before[0], "the bank sent it again"
    assert not room.letters()
    room.balanced()


def test_an_event_that_was_given_up_stays_so_though_its_rate_has_come(room: Room) -> None:
    """Also by those that begin with the new state, and in what the log makes. A second one that
    waited, and was not given up, counts: the negative control."""
    book = Book()
    room.workers.describe(*RATES)
    waits, other = (book.booked(minor, day(10), transaction_id=name, product_code="SA",
                                account_number="2")
                    for minor, name in ((7_000_000, "w"), (9_000_000, "o")))  # fmt: skip
    published(room, book, waits)
    room.workers.publish([other])
    room.settle()
    given_up, _ = room.letters()
    assert room.discard(given_up) == 200
    room.workers.describe(SA)
    made_anew(room, customers=1)
    first = room.start("b")
    room.settle()
    counted: object = ((2, 19_000_000), [], [])
    assert (figures(room), places(room), room.letters()) == counted
    first.kill()
    for instance in ("b", "c"):  # it begins with what it wrote, then half of it goes to another
        room.start(instance)
        room.workers.publish([closed(day(16 if instance == "b" else 17))])
        room.settle()
        assert (figures(room), places(room), room.letters()) == counted
    room.balanced()
    building = Rebuild(room.scoring.runtime.settings, room.scoring.database)
    assert all(made == live for made, live in building.compared())
    building.close()
    room.workers.publish([waits])
    room.settle()
    assert figures(room) == (3, 26_000_000), "the bank says it is right after all"
    room.balanced()


def test_a_letter_that_was_given_up_stays_so_and_what_was_not_sent_yet_is_not_sent(
    room: Room,
) -> None:
    book = Book()
    room.workers.describe(*RATES, *LN)
    lost, waits = (book.booked(-n, day(10), transaction_id=name, kind="loan_instalment",
                               loan_number="L") for n, name in ((5, "lost"), (7, "w")))  # fmt: skip
    published(room, book, lost)
    room.workers.publish([waits])
    room.settle()
    given_up, other = room.letters()
    assert room.discard(given_up) == 200
    for worker in room.workers.workers:
        worker.stop()
    assert room.replay(other) == 202
    assert room.rows("select topic from outbox") == [("scoring.inputs",)]
    made_anew(room, customers=1)
    assert not room.rows("select 1 from outbox")
    assert not room.rows("select 1 from control_totals"), "they would be of places far ahead"
    room.start("b")
    room.settle()
    assert room.rows("select state, event_offset from worker_letters order by 2") == [
        ("discarded", given_up["offset"]), ("waiting", other["offset"])
    ]  # fmt: skip
    assert (figures(room), places(room)) == ((1, 10_000_000), [])
    while not room.rows("select 1 from control_totals where count > 0"):
        room.scoring.drain()  # a worker tells its totals every second
    room.balanced()
