"""What the worker refused: listed for ops, replayed through `scoring.inputs`, counted once."""

import dataclasses
import json
import re
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from services.scoring import state
from shared.events import Event
from shared.events.bank import RateSet
from shared.events.envelope import encode
from shared.ids import partition_of
from shared.policy import Actor, Scope
from tests.integration import worker_room
from tests.integration.scoring_room import HEAD, party
from tests.integration.worker_room import PARTITIONS, Room
from tests.ledger_bank import event_of
from tests.workers import FIRST_DAY, Worker, closed, described, replay_of, transaction

room = worker_room.room
LATER = FIRST_DAY + timedelta(days=5)
FIELDS = ("businessdate", "time")


def plain(customer: state.CustomerState) -> state.CustomerState:
    return dataclasses.replace(customer, offset=0, input_sequence=0, ids=())


def refuse_one(
    room: Room, field: str = "businessdate"
) -> tuple[list[Event[Any]], dict[str, Any]]:
    """One event of today that counts, one of next week that does not: (both, the letter)."""
    early = transaction(2, "C1", "A1", 70, LATER)
    if field == "time":
        early = structs.replace(early, businessdate=FIRST_DAY)
    events = [transaction(1, "C1", "A1", 500, FIRST_DAY), early]
    room.workers.publish(events)
    room.start()
    room.settle()
    (letter,) = room.letters()
    return events, letter


@pytest.mark.parametrize("field", FIELDS)
def test_a_future_event_is_listed_and_its_replay_counts_once(
    room: Room, tmp_path: Path, field: str
) -> None:
    events, letter = refuse_one(room, field)
    assert room.folded() == [("C1", 1, 500)]
    home = partition_of("C1", PARTITIONS)
    assert (letter["topic"], letter["partition"], letter["offset"]) == ("bank.events", home, 1)
    assert (letter["kind"], letter["field"], letter["key"]) == ("quarantined", field, "C1")
    told = LATER if field == "businessdate" else f"the time {events[1].time.isoformat()}"
    assert letter["reason"] == f"{told} lies in the future of the bank"
    assert letter["type"] == "bank.transaction_booked.v1"
    assert letter["reader"] == "worker"
    page = room.ops.get("/ops/fragment").text
    assert f"/scoring/ops/{letter['path']}/replay" in page
    assert room.rows("select payload from worker_letters") == [(encode(events[1]),)]
    assert room.rows("select event_id from bank_events order by event_offset") == [
        ("txn-1",), (None,)
    ]  # fmt: skip
    room.stand_at(LATER)
    assert room.replay(letter) == 202
    assert room.replay(letter) == 409, "it was replayed already"
    room.settle()
    found = room.customer("C1")
    assert (found.count, found.sum_minor, found.offset, found.input_sequence) == (2, 570, 0, 1)
    assert room.folded() == [("C1", 2, 570)]
    assert room.rows("select event_id from bank_events order by event_offset") == [
        ("txn-1",), ("txn-2",)
    ]  # fmt: skip
    assert not room.letters()
    assert room.rows("select actor_id, action from audit") == [("S900", "worker_letter.replay")]
    room.balanced()
    replayed = replay_of(events, tmp_path / "events.jsonl", [described()])
    assert plain(found) == plain(*replayed.customers())
    room.send_inputs_again()
    room.settle()
    assert room.folded() == [("C1", 2, 570)], "the relay sent it twice"


def test_a_discarded_letter_changes_nothing(room: Room) -> None:
    _, letter = refuse_one(room)
    room.stand_at(LATER)
    said = {"reason": "the bank took it back"}
    assert room.ops.post(f"/ops/{letter['path']}/discard", data=said).status_code == 200
    assert room.replay(letter) == 409
    room.settle()
    assert not room.letters()
    assert room.folded() == [("C1", 1, 500)]
    assert room.workers.read("scoring.inputs") == []
    ((action, detail),) = room.rows("select action, detail from audit")
    assert (action, detail["reason"]) == ("worker_letter.discard", said["reason"])
    room.balanced()


def test_refused_again_it_is_one_letter_again_however_often_it_is_told(room: Room) -> None:
    _, letter = refuse_one(room)
    assert room.replay(letter) == 202
    room.settle()
    room.send_inputs_again()
    room.settle()
    (again,) = room.letters()
    assert (again["id"], again["reason"]) == (letter["id"], letter["reason"])
    assert room.rows("select event_id from bank_events where event_offset = 1") == [(None,)]
    dead = [(0, key, value or b"") for _, key, value in room.workers.read("scoring.dead")]
    room.workers.send(dead, topic="scoring.dead")
    room.stand_at(LATER)
    assert room.replay(again) == 202
    room.settle()
    assert room.folded() == [("C1", 2, 570)]
    assert room.customer("C1").input_sequence == 2
    room.workers.send(dead, topic="scoring.dead")
    room.settle()
    assert not room.letters()
    assert room.rows("select event_id from bank_events where event_offset = 1") == [("txn-2",)], (
        "a refusal that opens no letter leaves the event where it is"
    )
    room.balanced()


@pytest.mark.parametrize("point", ["worker.after_signals", "worker.after_state",
                                   "worker.after_closes", "worker.before_ack"])  # fmt: skip
def test_a_kill_in_a_round_of_inputs_changes_nothing(room: Room, point: str) -> None:
    _, letter = refuse_one(room)
    room.workers.workers[-1].kill()
    room.stand_at(LATER)
    room.replay(letter)
    room.scoring.drain()
    doomed = room.begin(GUANXI_FAILPOINT=f"{point}:1")
    assert doomed.wait_dead() == -9, doomed.tail()
    survivor = room.start()
    room.settle()
    assert room.folded() == [("C1", 2, 570)]
    assert not room.letters()
    assert survivor.metric("guanxi_holes") == 0


def close_through(room: Room, day: date) -> None:
    span = (day - FIRST_DAY).days
    room.workers.publish([closed(FIRST_DAY + timedelta(days=n)) for n in range(span + 1)])
    room.settle()


def test_a_late_replay_counts_once_and_a_second_copy_of_the_input_never(room: Room) -> None:
    _, letter = refuse_one(room)
    room.stand_at(LATER)
    close_through(room, LATER)
    assert room.replay(letter) == 202
    room.settle()
    assert room.folded() == [("C1", 2, 570)]
    room.send_inputs_again()
    room.settle()
    assert room.folded() == [("C1", 2, 570)]
    room.workers.publish([transaction(2, "C1", "A1", 70, LATER)])
    room.settle()
    assert room.folded() == [("C1", 2, 570)], "the bank sent it again after the replay"
    assert not room.letters()


def test_without_sequence_and_memory_of_inputs_the_second_copy_changes_figures(room: Room) -> None:
    _, letter = refuse_one(room)
    room.workers.workers[-1].kill()
    room.stand_at(LATER)
    room.start("a", "tests.chaos.forgetful_worker")
    close_through(room, LATER)
    assert room.replay(letter) == 202
    room.settle()
    room.send_inputs_again()
    room.settle()
    assert room.folded() == [("C1", 3, 640)]


@pytest.mark.parametrize("resent_first", [True, False])
def test_of_an_event_sent_twice_only_one_counts_whichever_is_replayed(
    room: Room, resent_first: bool
) -> None:
    """One copy bears a date that is refused, the other a right one; then the days are closed."""
    good = transaction(1, "C1", "A1", 500, FIRST_DAY)
    bad = transaction(1, "C1", "A1", 500, LATER)
    room.workers.publish([bad, good] if resent_first else [good, bad])
    room.start()
    room.settle()
    (letter,) = room.letters()
    assert room.folded() == [("C1", 1, 500)]
    room.stand_at(LATER)
    close_through(room, LATER)
    assert room.replay(letter) == 202
    room.settle()
    assert room.folded() == [("C1", 1, 500)]
    assert not room.letters()


def test_an_event_of_a_closed_day_counts_when_its_first_copy_was_refused(room: Room) -> None:
    _, letter = refuse_one(room)
    room.stand_at(LATER)
    close_through(room, LATER)
    room.workers.publish([transaction(2, "C1", "A1", 70, LATER)])
    room.settle()
    assert room.folded() == [("C1", 2, 570)]
    room.replay(letter)
    room.settle()
    assert room.folded() == [("C1", 2, 570)]


def test_two_workers_take_inputs_where_they_take_the_events(room: Room) -> None:
    """Equal partition counts and one subscription: Faust assigns the two topics together."""
    numbers = [f"C{n}" for n in range(12)]
    assert {partition_of(n, PARTITIONS) for n in numbers} == set(range(PARTITIONS))
    room.workers.publish(
        event
        for i, number in enumerate(numbers)
        for event in (
            transaction(2 * i, number, f"A{i}", 500, FIRST_DAY),
            transaction(2 * i + 1, number, f"A{i}", 70, LATER),
        )
    )
    first, second = room.start("a"), room.start("b")
    room.settle()
    for worker in (first, second):
        worker.wait_ready()
    assert assigned(first) == assigned(second) == 2
    letters = room.letters()
    assert sorted(letter["key"] for letter in letters) == sorted(numbers)
    room.stand_at(LATER)
    for letter in letters[:6]:
        assert room.replay(letter) == 202
    room.settle()
    assert first.metric("guanxi_worker_inputs_apart_total") == 0
    assert second.metric("guanxi_worker_inputs_apart_total") == 0
    first.kill()
    for letter in letters[6:]:
        assert room.replay(letter) == 202
    room.settle()
    assert room.folded() == sorted((n, 2, 570) for n in numbers)
    assert second.metric("guanxi_worker_inputs_apart_total") == 0
    assert second.metric("guanxi_holes") == 0
    assert len(room.workers.read("scoring.inputs")) == len(numbers)


def assigned(worker: Worker) -> int:
    return int(json.loads(worker.get("/health/ready"))["partitions"])


def rate(product: str, on: date) -> Event[Any]:
    fact = RateSet(kind="transfer_price", product_code=product, from_on=on, value=20_000)
    return event_of(fact, f"rate-{product}", on)


def test_what_has_no_rate_shows_on_the_pages_until_it_is_replayed(room: Room) -> None:
    """Beside the customer's contribution and the bank's, in both languages, with its amount."""
    for n in (1, 2):
        party(room.space, f"P{n}", f"C{n}")
    room.workers.describe(rate("CA-P", FIRST_DAY))
    waits = transaction(2, "C1", "A2", -770_00, FIRST_DAY)
    waits = structs.replace(waits, data=structs.replace(waits.data, product_code="SA-X"))
    room.workers.publish([transaction(1, "C1", "A1", 500_00, FIRST_DAY), waits,
                          transaction(3, "C2", "A3", 1, FIRST_DAY)])  # fmt: skip
    room.start(GUANXI_CURRENCY="CNY")
    room.settle()
    (letter,) = room.letters()
    assert letter["reason"].startswith("no rate for SA-X")

    def shown(page: str, language: str = "en") -> str:
        reader = dataclasses.replace(HEAD, language=language)
        return room.scoring.client(reader).get(page).text

    pages = ("/contribution", "/contribution/value", "/contribution/parties/P1")
    for page in pages:
        said = re.findall('data-unbooked="1" data-amount="77000">(.*?)</p>',
                          shown(page), re.DOTALL)  # fmt: skip
        assert ["Cannot be booked" in one and "1 event of" in one and "770.00" in one
                and "/scoring/ops" not in one for one in said] == [True], page  # fmt: skip
        assert "无法入账" in shown(page, "zh-CN")
    assert "data-unbooked" not in shown("/contribution/parties/P2")
    of_ops = dataclasses.replace(HEAD, permissions=HEAD.permissions | {"ops.view"})
    assert 'href="/scoring/ops"' in room.scoring.client(of_ops).get(pages[0]).text
    narrow = Actor("S1", permissions=HEAD.permissions,
                   scopes=(Scope("score.view", "own"),))  # fmt: skip
    assert "data-unbooked" not in room.scoring.client(narrow).get(pages[0]).text

    room.workers.describe(rate("SA-X", FIRST_DAY))
    assert room.replay(letter) == 202
    room.settle()
    assert room.customer("C1").sum_minor == 500_00 - 770_00
    for page in pages:
        assert "data-unbooked" not in shown(page)
