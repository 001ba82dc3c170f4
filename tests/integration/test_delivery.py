"""The delivery rules on real Kafka and PostgreSQL: nothing lost, doubled or reordered."""

import io
import json
import sys
import time
from datetime import timedelta

import pytest
import structlog
from kafka.errors import KafkaTimeoutError
from sqlalchemy import delete, func, insert, select, text, update

from shared import logs, outbox, positions, timers
from shared.consumer import told_of
from shared.db import DeadLetterRow, InboxRow, OutboxRow, PositionRow
from shared.events import envelope
from shared.ids import partition_of
from shared.testing.space import TOPICS
from shared.wire import KafkaSource, Sender
from tests.ledger import BROKEN, EntryRow, contact, entries


def letters(database, state=None):
    with database.read() as session:
        rows = session.execute(select(DeadLetterRow).order_by(DeadLetterRow.id)).scalars()
        return [r for r in rows if state is None or r.state == state]


def said(space):
    return [
        (e.data.order_id, e.data.outcome_code, e.sequence) for e in space.read("order.lifecycle")
    ]


def test_every_event_is_applied_once_and_in_order_of_its_key(space, ledger):
    space.publish(*[contact(n, f"C{n % 3}") for n in range(30)])
    ledger.drain()
    for customer in ("C0", "C1", "C2"):
        got = [v for k, v in entries(ledger.database) if k == customer]
        assert got == [f"K{n}" for n in range(30) if f"C{n % 3}" == customer]
        order = [(c, s) for o, c, s in said(space) if o == customer]
        assert order == [(v, i + 1) for i, v in enumerate(got)]


def rewind(space, ledger):
    """The group's offsets back to the beginning: a new member with another group name."""
    ledger.listener.source.close()
    ledger.listener = ledger.runtime.listener(ledger.runtime.source("another-group"))


def test_a_rewind_to_the_beginning_changes_nothing(space, ledger):
    space.publish(*[contact(n) for n in range(20)])
    ledger.drain()
    before = entries(ledger.database), said(space)
    rewind(space, ledger)
    ledger.drain()
    assert (entries(ledger.database), said(space)) == before


def test_without_stored_positions_and_inbox_the_same_rewind_doubles(space, ledger):
    """Negative control: the harness sees what the two tables prevent."""
    space.publish(*[contact(n) for n in range(20)])
    ledger.drain()
    with ledger.database.transaction() as tx:
        tx.session.execute(update(PositionRow).values(next_offset=PositionRow.start_offset))
        tx.session.execute(delete(InboxRow))
    rewind(space, ledger)
    ledger.drain()
    assert len(entries(ledger.database)) == 40


def test_an_event_sent_twice_at_a_new_offset_changes_nothing(space, ledger):
    for _ in range(2):
        for n in range(10):
            space.publish(contact(n), event_id=f"contact-{n}")
    ledger.drain()
    assert len(entries(ledger.database)) == 10
    with ledger.database.read() as session:
        (line,) = [r for r in positions.reconcile(session) if r["topic"] == "bank.events"]
    assert (line["applied"], line["duplicate"], line["difference"]) == (10, 10, 0)


def test_the_first_body_of_an_identity_wins(space, ledger):
    space.publish(contact(1), event_id="same")
    space.publish(contact(2), event_id="same")
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K1"]


def test_a_parked_key_waits_in_order_and_others_flow_on(space, ledger):
    BROKEN.add("K2")
    space.publish(contact(1), contact(2), contact(3), contact(9, "C9"), contact(4))
    ledger.drain()
    got = entries(ledger.database)
    assert [v for k, v in got if k == "C1"] == ["K1"]
    assert ("C9", "K9") in got
    assert [(r.kind, r.type) for r in letters(ledger.database)] == [
        ("parked", "bank.contact_recorded.v1")
    ] * 3
    BROKEN.clear()
    space.publish(contact(5))
    ledger.drain()  # still held: nobody asked yet
    assert [v for k, v in entries(ledger.database) if k == "C1"] == ["K1"]
    _replay_first(ledger)
    ledger.drain()
    assert [v for k, v in entries(ledger.database) if k == "C1"] == [f"K{n}" for n in range(1, 6)]
    with ledger.database.read() as session:
        assert all(line["difference"] == 0 for line in positions.reconcile(session))
        assert not any(line.get("parked") for line in positions.reconcile(session))


def _replay_first(ledger):
    from shared import dead_letters

    with ledger.database.transaction(actor_id="ops") as tx:
        dead_letters.ask_replay(tx, letters(ledger.database, "waiting")[0].id)


def test_what_waited_behind_a_parked_message_and_is_dead_itself_holds_nobody(space, ledger):
    BROKEN.add("K1")
    space.publish(contact(1))
    space.sender.send("bank.events", b"C1", b"{").result(10)
    space.publish(contact(2))
    ledger.drain()
    named = "bank.contact_recorded.v1"
    assert [(r.kind, r.type) for r in letters(ledger.database)] == [
        ("parked", named), ("parked", None), ("parked", named),
    ]  # fmt: skip
    BROKEN.clear()
    _replay_first(ledger)
    ledger.drain()
    assert [v for k, v in entries(ledger.database) if k == "C1"] == ["K1", "K2"]
    (left,) = letters(ledger.database, "waiting")
    assert (left.kind, left.reason.split(":")[0]) == ("dead", "not JSON")
    with ledger.database.read() as session:
        (line,) = [r for r in positions.reconcile(session) if r["topic"] == "bank.events"]
    told = {name: line.get(name, 0) for name in ("applied", "dead", "parked", "difference")}
    assert told == {"applied": 2, "dead": 1, "parked": 0, "difference": 0}


def test_a_replay_that_fails_again_keeps_the_key_waiting(space, ledger):
    BROKEN.add("K1")
    space.publish(contact(1), contact(2))
    ledger.drain()
    _replay_first(ledger)
    ledger.drain()
    assert entries(ledger.database) == []
    assert [r.state for r in letters(ledger.database)] == ["waiting", "waiting"]


def test_a_refusal_is_recorded_and_the_next_event_follows(space, ledger):
    space.publish(contact(1), contact(2, topic_code="refuse"), contact(3))
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K1", "K3"]
    assert [(r.kind, r.state) for r in letters(ledger.database)] == [("refused", "recorded")]


def test_bad_input_is_put_aside_with_place_field_and_reason(space, ledger):
    good = envelope.encode(
        envelope.wrap(
            contact(1),
            id="a",
            source="s",
            time=space.clock.bank,
            businessdate=space.clock.bank.date(),
        )
    )
    bad = {
        b"not json": "dead",
        good.replace(b'"direction":"in",', b""): "dead",
        good.replace(b"contact_recorded.v1", b"contact_recorded.v9"): "quarantined",
        good.replace(b"bank.contact_recorded.v1", b"somebody.else.v1"): None,
    }
    for value in bad:
        space.sender.send("bank.events", b"C1", value).result(10)
    space.sender.send("bank.events", b"C2", good).result(10)  # another key
    space.sender.send("bank.events", None, good).result(10)  # no key
    space.sender.send("bank.events", b"C1", good, partition=_other_partition()).result(10)
    future = good.replace(b'"businessdate":"2026-', b'"businessdate":"2036-')
    space.sender.send("bank.events", b"C1", future).result(10)
    space.publish(contact(7))
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K7"]
    kinds = sorted((r.kind, r.field or "") for r in letters(ledger.database))
    assert kinds == [
        ("dead", ""),
        ("dead", "data.direction"),
        ("dead", "key"),
        ("dead", "key"),
        ("dead", "key"),
        ("quarantined", "businessdate"),
        ("quarantined", "type"),
    ]
    with ledger.database.read() as session:
        (line,) = [r for r in positions.reconcile(session) if r["topic"] == "bank.events"]
    assert line["difference"] == 0
    assert line["ignored"] == 1


def _other_partition():
    return (partition_of(b"C1", TOPICS["bank.events"]) + 1) % TOPICS["bank.events"]


def test_a_relay_that_dies_before_the_delete_only_repeats(space, ledger):
    space.publish(*[contact(n) for n in range(5)])
    ledger.listen_once()
    while not entries(ledger.database):
        ledger.listen_once()
    with ledger.database.read() as session:
        kept = list(session.execute(select(OutboxRow)).scalars())
    sender = ledger.relay._new_sender()
    ledger.relay._sender = sender
    ledger.relay._produce(outbox.first_per_key(kept))  # produced, then the process is gone
    while ledger.relay.round():
        pass
    ids = [e.id for e in space.read("order.lifecycle")]
    assert len(ids) == 6
    assert len(set(ids)) == 5


def test_a_listener_stops_when_its_topic_was_made_anew(space, ledger):
    space.publish(contact(1))
    ledger.drain()
    with ledger.database.transaction() as tx:
        tx.session.execute(update(PositionRow).values(topic_id="another"))
    rewind(space, ledger)
    with pytest.raises(positions.PositionLost):
        for _ in range(100):
            ledger.listen_once()


def test_a_position_beyond_the_log_stops_the_listener(space, ledger):
    space.publish(contact(1))
    ledger.drain()
    with ledger.database.transaction() as tx:
        tx.session.execute(update(PositionRow).values(next_offset=10_000))
    rewind(space, ledger)
    with pytest.raises(positions.PositionLost):
        for _ in range(100):
            ledger.listen_once()


@pytest.mark.parametrize("finishes", [True, False], ids=["as it is", "without the rule"])
def test_a_rejoin_whose_answer_comes_between_two_polls_is_gone_through_with(
    space, ledger, monkeypatch, finishes
):
    if not finishes:
        monkeypatch.setattr(KafkaSource, "_finish_join", lambda self: None)
    space.publish(contact(1))
    ledger.drain()
    coordinator = ledger.listener.source._consumer._coordinator
    coordinator._assignment_snapshot = {}  # as if metadata had changed since the assignment
    ledger.listener.source.poll(0.0, 10)  # begins to join anew, and has no time to wait for it
    deadline = time.monotonic() + 120
    while not coordinator._join_task.is_done:
        assert time.monotonic() < deadline, "the answer to the join never came"
        time.sleep(0.01)
    space.publish(contact(2))
    if finishes:
        ledger.drain()
    else:
        for _ in range(40):
            ledger.listen_once()
    assert len(entries(ledger.database)) == (2 if finishes else 1)


def test_a_timer_rings_once_when_the_bank_says_so(space, ledger):
    with ledger.database.transaction() as tx:
        timers.arm(tx, "ring", "x", space.clock.bank + timedelta(hours=1))
        timers.arm(tx, "ring", "y", space.clock.bank + timedelta(hours=1))
        timers.disarm(tx, "ring", "y")
    ledger.listen_once()
    assert entries(ledger.database) == []
    space.clock.bank += timedelta(hours=2)
    ledger.listen_once()
    ledger.listen_once()
    assert entries(ledger.database) == [("x", "timer ring")]


def test_two_transactions_of_a_key_get_sequences_in_commit_order(space, ledger):
    """The counter's row lock is taken before the outbox row has its id."""
    from threading import Thread

    def write(n):
        from shared.events.orders import OrderClosed

        with ledger.database.transaction() as tx:
            outbox.enqueue(tx, OrderClosed(order_id="hot", outcome_code=f"x{n}"))

    threads = [Thread(target=write, args=(n,)) for n in range(12)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    while ledger.relay.round():
        pass
    sequences = [s for o, _, s in said(space) if o == "hot"]
    assert sequences == list(range(1, 13))


def test_the_services_role_cannot_reach_another_schema(space, ledger, servers):
    with ledger.database.read() as session:
        role, path = session.execute(
            text("select current_user, current_setting('search_path')")
        ).one()
    assert role == "guanxi_ledger"
    assert path == "ledger"


@pytest.fixture
def lines(monkeypatch):
    """What has been logged, as a running service writes it."""
    written = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", written)
        logs.configure("ledger")
    yield lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def place_of(line):
    names = ("topic", "partition", "offset", "event_id", "correlation_id")
    return {name: line[name] for name in names if name in line}


def test_each_line_logged_while_an_event_is_applied_says_of_which(space, ledger, lines):
    BROKEN.add("K2")
    for n in range(4):
        space.publish(contact(n), event_id=f"contact-{n}")
    ledger.drain()
    said_lines = lines()
    home = partition_of("C1", TOPICS["bank.events"])
    for n in range(3):
        expected = {
            "topic": "bank.events", "partition": home, "offset": n,
            "event_id": f"contact-{n}", "correlation_id": f"contact-{n}",
        }  # fmt: skip
        of_event = [one for one in said_lines if one.get("contact_id") == f"K{n}"]
        assert of_event
        assert all(place_of(one) == expected for one in of_event)
    (parked,) = [one for one in said_lines if one["event"] == "message_parked"]
    assert parked["event_id"] == "contact-2"
    structlog.get_logger().info("afterwards")
    assert place_of(lines()[-1]) == {}, "what follows is of no event"


def test_a_line_of_several_records_claims_no_story(space, ledger):
    space.publish(contact(0), contact(1), contact(2))
    records = []
    while len(records) < 3:
        records += ledger.listener.source.poll(0.2, 10)
    home = partition_of("C1", TOPICS["bank.events"])
    assert told_of(records) == {"records": 3, "offsets": {f"bank.events/{home}": [0, 2]}}
    assert told_of(records[:1])["correlation_id"] == envelope.decode(records[0].value).id


def test_a_sender_that_cannot_deliver_any_more_is_cut_off_and_raises_nothing(space, monkeypatch):
    """An outage may outlast the flush of a close; the relay that closes must go on living."""
    sender = Sender(space.settings("test"))
    thread = sender._producer._sender
    assert thread.is_alive()

    def flush(timeout=None):
        raise KafkaTimeoutError("records are still there")

    monkeypatch.setattr(sender._producer, "flush", flush)
    sender.close()
    thread.join(10)
    assert not thread.is_alive(), "it would go on sending what the next one sends again"


def test_what_one_session_reads_is_of_one_moment(ledger):
    """A page asks for the parts and for their total one after the other."""
    database, more = ledger.database, insert(EntryRow).values(key="C1", value="more")
    with database.read() as session:
        parts = len(session.execute(select(EntryRow)).all())
        with database.transaction() as tx:
            tx.session.execute(more)
        assert session.scalar(select(func.count()).select_from(EntryRow)) == parts == 0
    with database.read() as session:
        assert session.scalar(select(func.count()).select_from(EntryRow)) == 1
