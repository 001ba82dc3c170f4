"""What bad input gets, row by row of the contract, where the delivery tests do not show it."""

import time
from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from threading import Event as Flag
from threading import Thread
from types import SimpleNamespace

import pytest
from sqlalchemy import select, text

from shared import consumer, dead_letters, metrics, positions, process
from shared.db import DeadLetterRow, DeliveryBase, InboxRow, Tx
from shared.events import bank, envelope
from shared.events.envelope import Event
from shared.ids import partition_of
from shared.migrations import prepare_schema
from shared.runtime import Runtime, Service
from shared.sources import on_source_described
from shared.testing.space import ServiceUnderTest, Space
from tests.chaos.stage import payment
from tests.ledger import BROKEN, SERVICE, Base, contact, entries

BOOKED: list[int] = []
WITH_MONEY = Service(
    name="ledger",
    handlers={
        **SERVICE.handlers,
        bank.TransactionBooked: lambda tx, event: BOOKED.append(event.data.amount_minor),
        bank.SourceDescribed: on_source_described,
    },
    timers={},
    routers=(),
    metadata=Base.metadata,
)


def a_ledger(space: Space, **changes: object) -> ServiceUnderTest:
    settings = space.settings("ledger", database=space.database("ledger"), **changes)
    prepare_schema(settings)
    runtime = Runtime(WITH_MONEY, settings, space.clock)
    with runtime.database.engine.begin() as connection:
        DeliveryBase.metadata.create_all(connection)
        Base.metadata.create_all(connection)
    found = ServiceUnderTest(runtime)
    space._services.append(found)
    return found


@pytest.fixture
def ledger(space: Space) -> Iterator[ServiceUnderTest]:
    BROKEN.clear()
    BOOKED.clear()
    yield a_ledger(space, retries_max=2, parked_per_hour_max=3)
    BROKEN.clear()


def encoded(space: Space, fact: envelope.Fact, event_id: str = "e1") -> bytes:
    return envelope.encode(
        envelope.wrap(
            fact, id=event_id, source="test/bank", time=space.clock.bank,
            businessdate=space.clock.bank.date(),
        )
    )  # fmt: skip


def send(space: Space, value: bytes, key: bytes = b"C1") -> int:
    return space.sender.send("bank.events", key, value).result(10).offset


def letters(ledger: ServiceUnderTest) -> list[DeadLetterRow]:
    with ledger.database.read() as session:
        return list(session.execute(select(DeadLetterRow).order_by(DeadLetterRow.id)).scalars())


def line(ledger: ServiceUnderTest) -> dict[str, int | str]:
    with ledger.database.read() as session:
        return next(r for r in positions.reconcile(session) if r["topic"] == "bank.events")


QUARANTINED = ("quarantined", "waiting", "businessdate")
BAD_MONEY = {
    "a float": b"12.5",
    "an exponent": b"1e3",
    "beyond 2^53": b"9007199254740993",
    "text": b'"1000"',
    "a boolean": b"true",
    "nothing": b"null",
}


def test_money_that_is_no_plain_integer_is_dead_and_the_next_flows_on(
    space: Space, ledger: ServiceUnderTest
):
    good = encoded(space, payment("1", "ORD-1", 1000))
    assert b'"amount_minor":1000' in good
    offsets = [
        send(space, good.replace(b'"amount_minor":1000', b'"amount_minor":' + amount))
        for amount in BAD_MONEY.values()
    ]
    send(space, encoded(space, payment("2", "ORD-1", 2**53), "e2"))
    ledger.drain()
    assert BOOKED == [2**53], "the largest that is allowed is taken"
    dead = letters(ledger)
    assert [(r.kind, r.topic, r.offset, r.field) for r in dead] == [
        ("dead", "bank.events", offset, "data.amount_minor") for offset in offsets
    ]
    assert all(r.reason and r.payload for r in dead)
    assert (line(ledger)["dead"], line(ledger)["difference"]) == (len(BAD_MONEY), 0)


def test_every_dead_letter_names_its_place_field_and_reason(space: Space, ledger: ServiceUnderTest):
    good = encoded(space, contact(1))
    count = space.partitions["bank.events"]
    home = partition_of(b"C1", count)
    elsewhere = (home + 1) % count
    sent: list[tuple[bytes | None, bytes, int, str, str]] = [
        (b"C1", b"not json", home, "", "not JSON"),
        (b"C1", b"\xff\xfe", home, "", "not JSON"),
        (b"C1", b"[]", home, "", "Expected `object`, got `array`"),
        (b"C1", b'{"hello": 1}', home, "type", "missing required field `type`"),
        (b"C1", good.replace(b'"source":"test/bank",', b""), home, "source", "missing required"),
        (b"C1", good.replace(b'"direction":"in"', b'"direction":7'), home, "data.direction",
         "got `int`"),
        (b"C2", good, partition_of(b"C2", count), "key", "key 'C2' is not 'C1'"),
        (None, good, home, "key", "no key, expected 'C1'"),
        (b"C1", good, elsewhere, "key", f"key 'C1' belongs in {home}"),
        (b"C1", good.replace(b'"subject":"C1"', b'"subject":"C3"'), home, "key",
         "subject 'C3' is not the key 'C1'"),
    ]  # fmt: skip
    offsets = [
        space.sender.send("bank.events", key, value, partition).result(10).offset
        for key, value, partition, _, _ in sent
    ]
    send(space, encoded(space, contact(2), "e2"))
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K2"]
    found = {(r.partition, r.offset): r for r in letters(ledger)}
    assert len(found) == len(sent)
    for (key, value, partition, field, reason), offset in zip(sent, offsets, strict=True):
        letter = found[partition, offset]
        assert (letter.kind, letter.topic, letter.field or "") == ("dead", "bank.events", field)
        assert reason in letter.reason
        assert (letter.key, letter.payload) == (key and key.decode(), value)
    assert (line(ledger)["dead"], line(ledger)["difference"]) == (len(sent), 0)


def test_an_unknown_type_is_ignored_and_counted_by_its_type(space: Space, ledger: ServiceUnderTest):
    name = f"bank.weather_{space.name}.v1"
    value = encoded(space, contact(1)).replace(b"bank.contact_recorded.v1", name.encode())
    for _ in range(3):
        send(space, value)
    send(space, encoded(space, contact(2), "e2"))
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K2"]
    assert letters(ledger) == []
    assert (line(ledger)["ignored"], line(ledger)["difference"]) == (3, 0)
    assert metrics.UNKNOWN.labels("bank.events", name)._value.get() == 3
    for n in range(metrics.UNKNOWN_TYPES_MAX + 10):  # a broken producer cannot fill our memory
        metrics.count_unknown("elsewhere", f"made.up_{n}.v1")
    assert metrics.UNKNOWN.labels("elsewhere", "others")._value.get() >= 10


def test_a_message_our_code_fails_on_is_tried_five_times_with_growing_pauses_then_parked(
    space: Space, monkeypatch: pytest.MonkeyPatch
):
    """Parked with its position and without an inbox claim; replayed here, not on the topic."""
    ledger = a_ledger(space)
    tries, pauses = Counter[str](), []
    stock = ledger.listener._handlers[bank.ContactRecorded.TYPE]

    def counting(tx: Tx, event: Event[bank.ContactRecorded]) -> None:
        tries[event.id] += 1
        stock[1](tx, event)

    ledger.listener._handlers[bank.ContactRecorded.TYPE] = (stock[0], counting)
    own = SimpleNamespace(**{**vars(time), "sleep": pauses.append})  # the libraries sleep as before
    monkeypatch.setattr(consumer, "time", own)
    BROKEN.add("K1")
    space.publish(contact(1), event_id="broken")
    ledger.drain()
    assert tries["broken"] == 1 + 5, "once with its batch, five times alone"
    assert pauses == [0.01, 0.02, 0.04, 0.08]
    (parked,) = letters(ledger)
    assert (parked.kind, parked.key, parked.offset) == ("parked", "C1", 0)
    with ledger.database.read() as session:
        assert session.execute(select(InboxRow)).all() == []
        assert positions.stored(session, "bank.events")[parked.partition] == 1
    BROKEN.clear()
    ends = ledger.runtime.broker.end_offsets("bank.events")
    ask(ledger, parked.id)
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K1"]
    assert ledger.runtime.broker.end_offsets("bank.events") == ends
    with ledger.database.read() as session:
        assert session.execute(select(InboxRow.event_id)).scalars().all() == ["broken"]


def test_an_unknown_version_waits_for_the_upgrade_and_is_replayed_after_it(
    space: Space, ledger: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
):
    """The quarantine keeps the bytes. The upgraded service asks for them again."""
    value = encoded(space, contact(1)).replace(b"contact_recorded.v1", b"contact_recorded.v2")
    send(space, value)
    send(space, encoded(space, contact(2), "e2"))
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K2"]
    (kept,) = letters(ledger)
    assert (kept.kind, kept.state, kept.payload) == ("quarantined", "waiting", value)

    ask(ledger, kept.id)
    ledger.drain()  # not upgraded yet: it goes on waiting
    assert [r.state for r in letters(ledger)] == ["waiting"]

    stock = envelope.decode
    monkeypatch.setattr(
        envelope, "decode", lambda body: stock(body.replace(b"recorded.v2", b"recorded.v1"))
    )
    ask(ledger, kept.id)
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K2", "K1"]
    assert (line(ledger).get("quarantined", 0), line(ledger)["difference"]) == (0, 0)


@pytest.mark.parametrize("field", ["businessdate", "at"])
def test_an_event_of_the_day_after_tomorrow_is_quarantined_and_replayed_when_its_day_has_come(
    space: Space, ledger: ServiceUnderTest, field: str
):
    at, day = space.clock.bank + timedelta(days=1), space.clock.bank.date() + timedelta(days=1)
    space.publish(contact(1), businessdate=day, at=at)  # a bank ahead of our zone
    far = {"businessdate": day, "at": at}
    far[field] += timedelta(days=1)
    space.publish(contact(2), **far)
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K1"]
    (kept,) = letters(ledger)
    assert (kept.kind, kept.field) == ("quarantined", {"at": "time"}.get(field, field))
    space.clock.bank += timedelta(days=3)
    redeliver(ledger)  # the verdict is stored by position: a redelivery meets the same one
    assert [v for _, v in entries(ledger.database)] == ["K1"]
    ask(ledger, kept.id)
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K1", "K2"]
    assert line(ledger)["difference"] == 0


def redeliver(ledger: ServiceUnderTest) -> None:
    """Everything from the beginning of the topics, as a new member of another group reads it."""
    ledger.listener.source.close()
    ledger.listener = ledger.runtime.listener(ledger.runtime.source("redelivered"))
    ledger.drain()


def described(active_from: date, source: str = "test/bank") -> bank.SourceDescribed:
    return bank.SourceDescribed(source=source, closes_days=True, active_from=active_from)


def test_an_event_dated_before_its_source_became_active_is_quarantined(
    space: Space, ledger: ServiceUnderTest
):
    today = space.clock.bank.date()
    yesterday = today - timedelta(days=1)
    space.publish(described(today))
    ledger.drain()
    space.publish(contact(1), businessdate=yesterday)
    space.publish(contact(2), businessdate=today)
    space.publish(contact(3), businessdate=yesterday, source="nobody/described")
    space.publish(contact(4), businessdate=date(1890, 1, 1), source="nobody/described")
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K2", "K3"], "the first day is in"
    kept = letters(ledger)
    assert {(r.kind, r.state, r.field) for r in kept} == {QUARANTINED}
    assert kept[0].reason == f"dated before test/bank became active on {today}"
    assert kept[1].reason == "dated in the far past"
    assert (line(ledger)["quarantined"], line(ledger)["difference"]) == (2, 0)


def test_a_description_that_comes_later_does_not_change_what_was_read_before_it(
    space: Space, ledger: ServiceUnderTest
):
    today = space.clock.bank.date()
    space.publish(contact(1), businessdate=today - timedelta(days=1))
    ledger.drain()
    space.publish(described(today))
    ledger.drain()
    space.publish(contact(2), businessdate=today - timedelta(days=1))
    ledger.drain()
    redeliver(ledger)
    assert [v for _, v in entries(ledger.database)] == ["K1"]
    assert [r.kind for r in letters(ledger)] == ["quarantined"]
    assert line(ledger)["difference"] == 0


def test_after_a_corrected_description_the_quarantined_event_is_replayed(
    space: Space, ledger: ServiceUnderTest
):
    today = space.clock.bank.date()
    space.publish(described(today + timedelta(days=5)))
    ledger.drain()
    space.publish(contact(1), businessdate=today)
    ledger.drain()
    (kept,) = letters(ledger)
    ask(ledger, kept.id)
    ledger.drain()  # nothing was corrected yet
    assert [(r.state, r.kind) for r in letters(ledger)] == [("waiting", "quarantined")]

    space.publish(described(today))  # itself dated before the day that it corrects
    ledger.drain()
    redeliver(ledger)
    assert entries(ledger.database) == [], "a person asks; a redelivery does not"
    ask(ledger, kept.id)
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K1"]
    assert (line(ledger).get("quarantined", 0), line(ledger)["difference"]) == (0, 0)
    space.publish(contact(2), businessdate=today)
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K1", "K2"]


def test_too_many_parked_in_an_hour_stop_the_listener_with_an_alarm(
    space: Space, ledger: ServiceUnderTest
):
    """The limit is 1,000; here 3. The rest waits on the topic, nothing of it is given up."""
    BROKEN.update(f"K{n}" for n in range(8))
    for n in range(8):
        space.publish(contact(n, f"C{n}"))
    with pytest.raises(positions.ListenerStopped, match="parked within an hour"):
        ledger.drain()
    assert len(letters(ledger)) <= 4
    assert space.settings("any").parked_per_hour_max == 1000
    BROKEN.clear()
    ledger.listener.source.close()  # a person looks, decides, and starts the process again
    ledger.listener = ledger.runtime.listener()
    with ledger.database.transaction(actor_id="ops") as tx:
        for letter in dead_letters.listing(tx.session):
            dead_letters.discard(tx, letter.id, "a bug, repaired")
        tx.session.execute(
            text("update dead_letters set recorded_at = recorded_at - interval '2h'")
        )
    ledger.drain()
    gone = {r.key for r in letters(ledger)}
    assert {k for k, _ in entries(ledger.database)} == {f"C{n}" for n in range(8)} - gone
    assert line(ledger)["difference"] == 0


def test_a_listener_that_stopped_for_good_says_so_to_those_who_watch(
    space: Space, ledger: ServiceUnderTest
):
    """The process stays, so that its pages answer; readiness and the gauge raise the alarm."""
    BROKEN.update(f"K{n}" for n in range(8))
    for n in range(8):
        space.publish(contact(n, f"C{n}"))
    ledger.listener.source.close()
    stop = Flag()
    thread = Thread(target=process.listen, args=(ledger.runtime, stop))
    thread.start()
    deadline = time.monotonic() + 120
    while ledger.runtime.stopped is None and time.monotonic() < deadline:
        time.sleep(0.05)
    stop.set()
    thread.join(60)
    assert "parked within an hour" in (ledger.runtime.stopped or "")
    up = metrics.LISTENER_UP.labels(ledger.runtime.service.name)
    assert up._value.get() == 0
    with ledger.database.transaction() as tx:
        tx.session.execute(text("create table schema_version ()"))  # migrations would make it
    ready = ledger.client("S001").get("/health/ready")
    assert (ready.status_code, ready.json()["why"]) == (503, ledger.runtime.stopped)


def test_a_discarded_message_frees_its_key_and_both_acts_are_audited(
    space: Space, ledger: ServiceUnderTest
):
    BROKEN.add("K1")
    space.publish(contact(1), contact(2), contact(3))
    ledger.drain()
    first = letters(ledger)[0]
    with ledger.database.transaction(actor_id="S900") as tx:
        dead_letters.discard(tx, first.id, "of no account")
    ledger.drain()
    assert [v for _, v in entries(ledger.database)] == ["K2", "K3"]
    with ledger.database.read() as session:
        audited = session.execute(text("select actor_id, action, subject from audit")).all()
    assert [tuple(a) for a in audited] == [
        ("S900", "dead_letter.discard", f"bank.events/{first.partition}/{first.offset}")
    ]
    assert line(ledger)["difference"] == 0


def ask(ledger: ServiceUnderTest, letter_id: int) -> None:
    with ledger.database.transaction(actor_id="ops") as tx:
        dead_letters.ask_replay(tx, letter_id)
