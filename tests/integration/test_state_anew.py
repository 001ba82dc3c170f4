"""The runbook's *The state anew*, where a rate has changed leaves that were posted."""

import time
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

import msgspec
import pytest
from kafka import KafkaAdminClient
from sqlalchemy import text

from deploy.local.topics import create_topics
from services.scoring import risk_model, risk_plan
from services.scoring.__main__ import SERVICE
from services.scoring.commands import forgetting_state
from services.scoring.commands.forgetting_state import TOPICS, forget_state
from services.scoring.signals import Signal
from services.scoring.worker_settings import GROUP
from shared.events import Event
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, pools_room, scoring_room, worker_room
from tests.integration.joint_room import open_rows, posted_rows
from tests.integration.ledger_room import told
from tests.integration.pools_room import JANUARY, allocated, booked, close, cost
from tests.integration.rolls_room import all_sums
from tests.integration.scoring_room import compared, party, read_through, rows
from tests.integration.test_scoring_rolls_live import roll
from tests.integration.test_scoring_totals import residual
from tests.integration.test_worker_contribution import sums
from tests.integration.worker_room import Room
from tests.ledger_bank import FIRST_DAY
from tests.risk_live import hand_made
from tests.scored import Scored
from tests.scoring_bank import ScoredBank
from tests.unit.test_contribution_rules import RATES, Book, rate
from tests.workers import closed

room, scoring, months = worker_room.room, scoring_room.scoring, pools_room.months
made, scored = ledger_room.made, ledger_room.scored
LATER = rate("transfer_price", 400_000, on=FIRST_DAY + timedelta(days=4))
DAYS = 62


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n - 1)


def days(book: Book, first: int, last: int) -> list[Event]:
    """Two customers' transactions in January, and every close."""
    of_day = {
        1: book.booked(10**7, day(1), transaction_id="a"),
        20: book.booked(10**6, day(20), transaction_id="b", customer_number="D"),
    }
    return [e for n in range(first, last + 1) for e in (of_day.get(n), closed(day(n))) if e]


def patiently(step: Callable[[], object]) -> None:
    """As ops do: what the broker does not allow yet is tried again."""
    deadline = time.monotonic() + 60
    while True:
        try:
            step()
        except Exception:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


def made_anew(room: Room, customers: int = 2) -> None:
    """The runbook's steps, but for the last."""
    stop_workers(room)
    close_scoring(room)
    delete_group(room)
    delete_topics(room)
    make_topics(room)
    ops = room.begin("ops", "services.scoring", "forget-state")
    assert ops.wait_dead() == 0, ops.tail()
    assert f"taken back of {customers} customers" in ops.tail()
    room.scoring = room.space.service(SERVICE)
    room.ops = room.scoring.client(worker_room.OPS)


HELD = "select count(*) from alerts_held"


def let_go(room: Room) -> None:
    """A worker tells a total of where it is when it has nothing else to do."""
    room.scoring.drain()
    compared(room.scoring)
    assert rows(room.scoring, HELD) == [(0,)]


def stop_workers(room: Room) -> None:
    for worker in room.workers.workers:
        worker.stop()


def close_scoring(room: Room) -> None:
    room.scoring.close()
    room.space._services.remove(room.scoring)


def delete_group(room: Room) -> None:
    admin = KafkaAdminClient(bootstrap_servers=room.space.servers.kafka)
    try:
        patiently(lambda: _none_refused(admin.delete_groups([room.space.prefix + GROUP])))
    finally:
        admin.close()


def delete_topics(room: Room) -> None:
    admin = KafkaAdminClient(bootstrap_servers=room.space.servers.kafka)
    try:
        admin.delete_topics([room.space.prefix + topic for topic in TOPICS])
    finally:
        admin.close()


def make_topics(room: Room) -> None:
    prefix, missing = room.space.prefix, set[str]()

    def made() -> None:
        kafka = room.space.servers.kafka
        missing.update(create_topics(kafka, prefix, {**room.space.partitions}))
        assert {prefix + topic for topic in TOPICS} <= missing

    patiently(made)


def _none_refused(told: dict[str, object]) -> None:
    """The broker keeps the group until the session of its last worker has ended."""
    assert "NonEmptyGroup" not in str(told)


@pytest.mark.parametrize("late", ["restated", "refused"])
def test_the_state_made_anew_has_the_rates_of_now_also_in_posted_leaves(
    room: Room, late: str
) -> None:
    """Of months that were closed too: a rate published after them is part of them then."""
    room.stand_at(day(75))
    for n, number in enumerate(("C", "D")):
        party(room.space, f"P{n}", number)
    book = Book()
    room.workers.describe(*RATES)
    room.workers.publish(days(book, 1, 32))
    room.start()
    room.settle()
    if late == "restated":
        room.workers.describe(LATER)
    room.workers.publish(days(book, 33, DAYS))
    room.settle()
    if late == "refused":
        room.workers.describe(LATER)
        room.workers.publish([closed(day(DAYS + 1))])
        room.settle()
        assert "needs a rebuild" in room.workers.workers[0].tail()
    before = posted_rows(room.scoring)
    made_anew(room)
    assert rows(room.scoring, HELD) != [(0,)], "where the workers told a state alerts are held"
    room.start("b")
    room.settle()
    patiently(lambda: let_go(room))
    roll(room)
    truth = Book([*RATES, LATER])
    truth.tell(*days(truth, 1, DAYS + (late == "refused")))
    assert all_sums(room.scoring) == sums(room.workers) == truth.scored.sums()
    after = posted_rows(room.scoring)
    changed = {key for key in before.keys() & after.keys() if before[key] != after[key]}
    assert changed, "no posted leaf changed: the test proves nothing"
    assert residual(room.scoring) == 0
    assert not room.letters()
    room.balanced()


FOLDED = "select customer_number, count, position, input_sequence from customer_state order by 1"
OVERDRAFTS = "select partition, product_code, below_product_code from overdrafts order by 1, 2"


def refuse(scoring: ServiceUnderTest, *topics: str) -> None:
    """The listener could not take the first record of each."""
    letter = """
        insert into dead_letters
               (kind, state, topic, partition, "offset", reason, timestamp_ms, recorded_at)
        values ('parked', 'waiting', :topic, 0, 0, 'x', 0, now())"""
    for topic in topics:
        run(scoring, letter, topic=topic)


def one_more_input_was_taken(scoring: ServiceUnderTest) -> None:
    """By the state of before; the new one has none at the same place of the log."""
    run(scoring, "update customer_state set count = count + 1, input_sequence = 1")


def of_another_time(scoring: ServiceUnderTest) -> None:
    """The bank has said otherwise since."""
    run(scoring, "update overdrafts set product_code = 'gone', below_product_code = 'gone'")


def run(scoring: ServiceUnderTest, statement: str, **parameters: str) -> None:
    with scoring.database.transaction() as tx:
        tx.session.execute(text(statement), parameters)


def test_what_is_not_the_workers_stays_and_all_of_it_comes_again(
    space: Space, months: ServiceUnderTest, scored: Scored
) -> None:
    booked(space, cost("c1", "IT", 10_007, "card"))
    months.drain()
    close(months, JANUARY)
    spread, posted, accrued = allocated(months), posted_rows(months), open_rows(months)
    assert spread
    kept = ("contribution_totals", "owner_totals", "month_totals", "customer_months",
            "customer_components")  # fmt: skip

    def totals() -> list[list[tuple[object, ...]]]:
        return [
            sorted(row for row in rows(months, f"select * from {table}")  # noqa: S608
                   if any(isinstance(cell, int | Decimal) and cell for cell in row))
            for table in kept
        ]  # fmt: skip

    folded = rows(months, FOLDED)
    refuse(months, "scoring.leaves", "customer.events")
    one_more_input_was_taken(months)
    before, overdrafts = totals(), rows(months, OVERDRAFTS)
    assert overdrafts
    of_another_time(months)
    assert sum(forget_state(months.database)) > 0
    assert residual(months) == 0
    assert set(posted_rows(months)) == {k for k in posted if k[4] in ("variance", "overhead")}
    assert not any(any(cells) for cells in open_rows(months).values())
    assert allocated(months) == spread
    for topic in TOPICS:
        assert not rows(months, "select 1 from positions where topic = :t", t=topic)
    assert rows(months, "select topic from dead_letters") == [("customer.events",)]
    assert not rows(months, OVERDRAFTS)
    told(months, scored)
    assert (rows(months, FOLDED), rows(months, OVERDRAFTS)) == (folded, overdrafts)
    assert (posted_rows(months), open_rows(months), totals()) == (posted, accrued, before)
    assert residual(months) == 0


def test_a_warning_of_before_products_stood_in_signals_ends_after_the_state_made_anew(
    space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, file = hand_made("CA-P"), tmp_path / "first.json"
    risk_model.save(model, file)
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(file))
    scoring = space.service(SERVICE)
    party(space, "P1", "C1")
    before = ScoredBank(space, risk_plan.plan_of(model))
    before.days("C1", scoring_room.day(0), scoring_room.day(60), 3, 1_000_000)
    before.close_through(scoring_room.day(150))
    records, found = before.score(write=False)
    before.write(records, [(partition, of_before(one)) for partition, one in found])
    scoring.drain()
    before.shut()
    alerts = "select alert_id, signal_id, ended_at is null from alerts where rule = 'collapse'"
    ((alert_id, signal_id, _),) = rows(scoring, alerts)
    assert signal_id == "collapse/C1/A-C1/1/raised"
    monkeypatch.setattr(forgetting_state, "PLACES_IN_LOGS", ())  # here the topics stay
    assert sum(forget_state(scoring.database)) > 0
    assert rows(scoring, alerts) == [(alert_id, "collapse/C1/A-C1/CA-P/1/raised", True)]
    anew = ScoredBank(space, risk_plan.plan_of(model))
    anew.score()
    scoring.drain()
    read_through(scoring)
    assert compared(scoring) > 0
    assert rows(scoring, alerts) == [(alert_id, "collapse/C1/A-C1/CA-P/1/raised", True)]
    anew.days("C1", scoring_room.day(151), scoring_room.day(200), 1, 1_000_000)
    anew.close_through(scoring_room.day(200), scoring_room.day(151))
    anew.score()
    scoring.drain()
    anew.shut()
    assert rows(scoring, alerts) == [(alert_id, "collapse/C1/A-C1/CA-P/1/raised", False)]


def of_before(one: Signal) -> Signal:
    """As a release told it in which an account was its number alone."""
    if not one.account_number:
        return one
    return msgspec.structs.replace(one, id=one.id.replace("/CA-P/", "/"), product_code="")
