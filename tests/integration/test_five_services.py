"""The whole system told everything again: nothing changes, and every sum is right to the unit."""

import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, func, insert, select, text, update

from deploy.bank.payment import payment
from deploy.bank.simulation import Bank, Plan
from services.customer.tables import AccountRow
from shared import inbox, outbox
from shared.db import OutboxRow, PositionRow, TallyRow
from shared.events.bank import TransactionBooked
from shared.events.envelope import Event, decode, wrap
from shared.events.scoring import AlertCleared, AlertRaised
from shared.testing.servers import Servers
from shared.testing.space import Space
from shared.wire import Record
from tests.chaos.five import Picture, Whole, place_orders

PLAN = Plan(customers=48, days=38, seed=11)  # over 500 transactions
AFTER = datetime(2025, 9, 1, 2, 0, tzinfo=UTC)  # the bank's morning after the history
ORDERS = 12


def history() -> list[Event[Any]]:
    return [event for day in Bank(PLAN).history() for event in day]


def signals(parties: list[str]) -> list[Event[Any]]:
    """Alerts as scoring would say them, some of them over again."""
    text_ = {"zh-CN": "余额低于平时一半", "en": "Balance under half of its mean"}
    found = []
    for number, party in enumerate(parties):
        alert: dict[str, Any] = {
            "alert_id": f"{party}:outflow:1", "party_id": party, "rule": "outflow", "episode": 1,
            "customer_number": None,
        }  # fmt: skip
        raised = AlertRaised(
            **alert, at=AFTER, risk_ppm=600_000, contribution_minor=100_000, currency="CNY",
            margin_at_risk_minor=60_000 + number, terms=(), text=text_,
        )  # fmt: skip
        found.append(_said(raised, 1))
        if number % 3 == 0:
            cleared = AlertCleared(
                **alert, at=AFTER + timedelta(hours=1), reason_code="balance", text=text_
            )
            found.append(_said(cleared, 2))
    return found


def _said(fact: Any, sequence: int) -> Event[Any]:
    return wrap(
        fact, id=f"score.alerts:{fact.party_id}:{sequence}", source="guanxi/scoring", time=AFTER,
        businessdate=AFTER.date(), sequence=sequence,
    )  # fmt: skip


def live(whole: Whole) -> None:
    """A day of the whole bank: history, alerts that become work, orders that are paid."""
    whole.space.clock.bank = AFTER
    whole.publish(whole.history)
    whole.drain()
    with whole["orders"].database.read() as session:
        parties = session.execute(text("select party_id from parties order by 1 limit 9")).scalars()
        alerts = signals(list(parties))
    whole.publish(alerts)
    whole.orders += place_orders(whole, ORDERS)
    whole.drain()
    whole.publish(
        payment(
            order["order_id"], order["amount_minor"], order["customer_number"], at=AFTER,
            zone=whole.space.clock.zone, transaction_id=f"pay-{number}",
        )
        for number, order in enumerate(whole.orders)
    )  # fmt: skip
    whole.drain()


@pytest.fixture(scope="module")
def whole(servers: Servers) -> Iterator[Whole]:
    space = Space(servers)
    found = Whole.of(space)
    found.history += history()
    live(found)
    yield found
    found.close()
    space.close()


@pytest.fixture
def before(whole: Whole) -> Picture:
    return whole.picture()


def test_every_event_is_accounted_for_in_every_service(whole: Whole, before: Picture):
    whole.assert_whole()
    events = len(whole.records("bank.events"))
    lines = whole.reconciliation()
    for (service, topic), line in lines.items():
        if topic == "bank.events":
            assert line["acknowledged"] == events, service
    bad = {k: v for k, v in whole.outcomes().items() if k in ("dead", "parked", "quarantined")}
    assert not any(bad.values()), bad
    assert before.topics["order.lifecycle"][0] >= ORDERS * 6
    assert before.tables["workflow.instances"][0] >= ORDERS
    assert before.tables["notify.notices"][0] > 0


def test_the_customers_balances_equal_the_bank_to_the_unit(whole: Whole):
    sums: Counter[str] = Counter()
    for record in whole.records("bank.events"):
        if b"transaction_booked" in (record.value or b""):
            booked = decode(record.value or b"").data
            sums[booked.account_number] += booked.amount_minor
    assert sum(1 for e in whole.history if isinstance(e.data, TransactionBooked)) > 500
    with whole["customer"].database.read() as session:
        kept = dict(
            session.execute(select(AccountRow.account_number, AccountRow.balance_minor)).all()
        )
    assert {a: kept.get(a) for a in sums} == dict(sums)


def test_the_workers_figures_stay_when_every_event_is_sent_twice(whole: Whole):
    """The real worker takes every transaction twice, and a third time after its own restart."""
    booked = [r for r in whole.records("bank.events") if b"transaction_booked" in (r.value or b"")]
    figures = "select customer_number, account_number, sum_minor, count from account_figures"
    with whole.scorer():
        whole.scored(len(booked))
        before = sorted(whole.rows("scoring", figures))
        alerts = len(whole.records("score.alerts"))
        whole.publish_again(booked)
        whole.scored(len(booked))
        assert sorted(whole.rows("scoring", figures)) == before
    whole.publish_again(booked)
    with whole.scorer():
        whole.scored(len(booked))
    assert sorted(whole.rows("scoring", figures)) == before
    assert sum(row.count for row in before) == len(booked)
    assert sum(row.sum_minor for row in before) == sum(
        decode(record.value or b"").data.amount_minor for record in booked
    )
    assert len(whole.records("score.alerts")) == alerts
    whole.assert_whole()


def test_every_order_was_paid_once_and_closed(whole: Whole):
    with whole["orders"].database.read() as session:
        paid = session.execute(text("select order_id, count(*) from payments group by 1")).all()
        states = (
            session.execute(text("select distinct settlement from receivables")).scalars().all()
        )
    assert dict(paid) == {order["order_id"]: 1 for order in whole.orders}
    assert states == ["settled"]


def test_offsets_reset_to_the_beginning_change_nothing(whole: Whole, before: Picture):
    counted = whole.outcomes()
    whole.rewind("reset")
    whole.drain()
    assert before.changes(whole.picture()) == []
    assert whole.outcomes() == counted


def test_with_the_stored_positions_lost_too_the_inbox_alone_holds(whole: Whole, before: Picture):
    """Not a supported act, and the tallies would show it; but no fact is doubled."""
    topics = ("bank.customers", "bank.events", "customer.events", "order.lifecycle",
              "task.handoffs")  # fmt: skip
    readers = [one for name, one in whole.services.items() if name != "scoring"]
    counted, kept = whole.outcomes(), []
    for one in readers:  # scoring's store is keyed by position, which this act takes away
        with one.database.transaction() as tx:
            kept.append(tx.session.execute(select(TallyRow.__table__)).mappings().all())
            tx.session.execute(
                update(PositionRow)
                .where(PositionRow.topic.in_(topics))
                .values(next_offset=PositionRow.start_offset)
            )
    whole.rewind("lost")
    whole.drain()
    again = whole.outcomes()
    assert before.changes(whole.picture()) == []
    assert again["duplicate"] - counted["duplicate"] > 500
    assert again["applied"] == counted["applied"]
    for one, rows in zip(readers, kept, strict=True):  # the equation counts an offset once
        with one.database.transaction() as tx:
            tx.session.execute(delete(TallyRow))
            tx.session.execute(insert(TallyRow), [dict(row) for row in rows])


def test_every_event_of_the_bank_sent_twice_changes_only_the_count(whole: Whole, before: Picture):
    counted = whole.outcomes()
    sent = whole.publish_again(whole.records("bank.customers", "bank.events"))
    whole.drain()
    assert sent >= len(whole.history) - 200  # reference data are compacted: not sent again
    assert before.changes(whole.picture()) == []
    whole.assert_whole()
    again = whole.outcomes()
    assert again["applied"] == counted["applied"]
    assert again["duplicate"] - counted["duplicate"] >= sent
    assert again["refused"] == counted["refused"]


def test_everything_we_said_sent_twice_changes_nothing(whole: Whole, before: Picture):
    """What a relay does that is killed between produce and delete, for every event there is."""
    topics = ("customer.events", "order.lifecycle", "task.handoffs", "notice.requests",
              "notice.deliveries", "score.alerts")  # fmt: skip
    counted = whole.outcomes()
    sent = whole.publish_again(whole.records(*topics))
    whole.drain()
    assert sent > 200
    assert before.changes(whole.picture()) == []
    whole.assert_whole()
    assert whole.outcomes()["applied"] == counted["applied"]


def test_a_relay_that_dies_between_produce_and_delete_changes_nothing_for_readers(whole: Whole):
    """The same round is produced, forgotten, and produced again by the next relay."""
    repeats = 0
    placed = list(place_orders(whole, 3))
    for one in whole.services.values():
        for _ in range(200):
            with one.database.read() as session:
                waiting = list(session.execute(select(OutboxRow).order_by(OutboxRow.id)).scalars())
            if not waiting:
                break
            one.relay._sender = one.relay._sender or one.relay._new_sender()
            repeats += len(one.relay._produce(outbox.first_per_key(waiting)))
            one.relay_once()
    assert repeats >= 3
    whole.drain()
    whole.assert_whole()
    with whole["workflow"].database.read() as session:
        asked = session.execute(
            text("select order_id, count(*) from instances where order_id = any(:o) group by 1"),
            {"o": [order["order_id"] for order in placed]},
        ).all()
    assert dict(asked) == {order["order_id"]: 1 for order in placed}


def test_an_event_years_ahead_is_put_aside_by_each_service_and_changes_nothing_else(
    whole: Whole, before: Picture
):
    """One of every type that is heard, dated today; only its time is wrong. What scoring stores of
    `bank.events` the worker judges (tests/unit/test_scanning.py)."""
    topics = ("bank.customers", "bank.events", "customer.events", "order.lifecycle",
              "task.handoffs", "score.alerts", "notice.deliveries")  # fmt: skip
    one_of_each = {decode(r.value or b"").type: r for r in whole.records(*topics)}
    whole.publish_again(map(_years_ahead, one_of_each.values()))
    whole.drain()
    others = whole.services.keys() - {"scoring"}
    changed = {table for table in _tables_changed(before, whole.picture())
               if not table.startswith("scoring.")}  # fmt: skip
    changed -= {"customer.scores"}  # told anew, as of the places that were looked at
    assert changed == {f"{name}.dead_letters" for name in others}
    for name in whole.services:
        put_aside = whole.rows(name, "select distinct kind, state, field from dead_letters")
        assert put_aside == [("quarantined", "waiting", "time")], name
    whole.publish_again(  # the same, but for the time
        _of_now(r) for r in one_of_each.values() if r.topic == "bank.events"
    )
    whole.drain()
    assert "customer.timeline" in _tables_changed(before, whole.picture())


def _years_ahead(record: Record) -> Record:
    return _anew(record, "ahead", AFTER.replace(year=2125))


def _of_now(record: Record) -> Record:
    return _anew(record, "now", AFTER)


def _anew(record: Record, name: str, at: datetime) -> Record:
    event = json.loads(record.value or b"") | {"id": name, "time": at.isoformat()}
    event["id"] += event["type"]
    return record._replace(value=json.dumps(event).encode())


def _tables_changed(before: Picture, now: Picture) -> set[str]:
    changes = Picture(before.tables, {}).changes(Picture(now.tables, {}))
    return {line.partition(":")[0] for line in changes}


def test_without_the_inbox_the_same_repeats_are_found_out(
    whole: Whole, before: Picture, monkeypatch: pytest.MonkeyPatch
):
    """Negative control, and the last test: it breaks the stage."""
    monkeypatch.setattr(inbox, "claim", lambda tx, wanted: (set(range(len(wanted))), set()))
    transactions = [r for r in whole.records("bank.events") if b"transaction_booked" in r.value]
    whole.publish_again(transactions)
    whole.drain()
    changed = before.changes(whole.picture())
    assert any(line.startswith("customer.accounts:") for line in changed), changed
    with whole["customer"].database.read() as session:
        total = session.execute(select(func.sum(AccountRow.balance_minor))).scalar_one()
    assert total != 0
