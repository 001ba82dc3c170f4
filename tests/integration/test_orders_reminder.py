"""The reminder before collection: it asks the fact again, and waits for what it has not read."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from shared import dead_letters
from shared.db import DeadLetterRow
from shared.events import bank, notify
from shared.events.fact import Cause
from tests.integration import orders_room
from tests.integration.orders_room import (
    AMOUNT,
    MAKER,
    approved,
    facts,
    own,
    paid,
    shown,
    types,
)

space, orders_service = orders_room.space, orders_room.orders_service
room = orders_room.room

DUE = datetime(2026, 3, 4, 1, 0, tzinfo=UTC)  # a bank day before collection, at the opening


@pytest.fixture(autouse=True)
def nothing_left_in_the_way(room):
    """A message that another test left unreadable would hold the reminders of all."""
    yield
    _discard_all(room)


@pytest.fixture
def order_id(room):
    found = approved(room)["order_id"]
    room.drain()
    return found


def reminder(room, order_id):
    return shown(room, order_id)["reminder"]


def fire_only(room):
    """Runs due timers, without reading anything from Kafka."""
    from shared import timers

    return timers.fire_due(room.database, room.runtime.service.timers)


def wait_out_pauses(room):
    """Ends the pauses of all timers on the wall clock."""
    from shared.db import TimerRow

    with room.database.transaction() as tx:
        tx.session.execute(update(TimerRow).values(not_before=None))


def released(space, order_id):
    return [e.data for e in facts(space, order_id) if "reminder_released" in e.type]


def answer(space, kind, asked, **changes):
    values = {
        "receiver_id": asked.receiver_id, "order_id": asked.order_id, "notice_id": own("N"),
        "channel": "inbox", "reminder_id": asked.reminder_id,
        "cause": Cause(type="orders.reminder_released.v1", id="x"),
    }  # fmt: skip
    space.publish(kind(**{**values, **changes}), source="guanxi/notify")


def test_nothing_is_released_before_its_moment(space, room, order_id):
    space.clock.bank = DUE - timedelta(seconds=1)
    room.drain()
    assert reminder(room, order_id)["state"] == "armed"
    assert not released(space, order_id)


def test_an_unpaid_order_is_reminded_with_its_fence_and_a_lease(space, room, order_id):
    space.publish(paid(order_id, 10_000))
    space.clock.bank = DUE
    room.drain()
    (asked,) = released(space, order_id)
    assert asked.receiver_id == MAKER.id
    assert dict(asked.fence) == room.runtime.broker.end_offsets("bank.events")
    assert len(asked.fence) == 4
    lease = asked.valid_until - datetime.now(UTC)
    assert timedelta(seconds=30) < lease <= timedelta(seconds=60)
    assert "¥16,000.00" in asked.text["zh-CN"]
    assert reminder(room, order_id)["state"] == "released"


def test_a_payment_before_the_moment_withdraws_it(space, room, order_id):
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    space.clock.bank = DUE
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    assert not released(space, order_id)
    assert types(space, order_id).count("reminder_withdrawn") == 1


def test_a_payment_on_the_topic_but_not_yet_read_is_waited_for(space, room, order_id):
    """The race: at its moment the payment is published, but we have not applied it."""
    space.clock.bank = DUE
    space.publish(paid(order_id, AMOUNT, customer_number="C777"))
    for _ in range(3):
        wait_out_pauses(room)
        fire_only(room)
    assert reminder(room, order_id)["state"] == "fencing"
    room.relay_once()
    assert not released(space, order_id)
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    assert not released(space, order_id)


def test_a_payment_between_the_moment_and_the_passed_fence_is_seen(space, room, order_id):
    space.clock.bank = DUE
    space.publish(paid(None, 1, "T9", customer_number="C5"))  # something not yet read
    wait_out_pauses(room)
    fire_only(room)
    assert reminder(room, order_id)["state"] == "fencing"
    space.publish(paid(order_id, AMOUNT, customer_number="C6"))  # behind the fence
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    assert not released(space, order_id)


def test_a_payment_after_the_release_withdraws_what_was_not_sent(space, room, order_id):
    space.clock.bank = DUE
    room.drain()
    assert len(released(space, order_id)) == 1
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    withdrawn = [e.data for e in facts(space, order_id) if "withdrawn" in e.type]
    assert withdrawn[0].reminder_id == released(space, order_id)[0].reminder_id
    assert withdrawn[0].why == "paid"


def test_an_expired_lease_asks_the_fact_again(space, room, order_id):
    space.clock.bank = DUE
    room.drain()
    first = released(space, order_id)[0]
    answer(space, notify.NoticeFailed, first, reason_code="expired")
    room.drain()
    second = released(space, order_id)[1]
    assert second.reminder_id != first.reminder_id
    assert second.valid_until > first.valid_until
    answer(space, notify.NoticeFailed, first, reason_code="expired")  # late: of the first one
    answer(space, notify.NoticeSent, second)
    room.drain()
    assert reminder(room, order_id)["state"] == "sent"
    assert len(released(space, order_id)) == 2


def test_an_expired_lease_on_a_paid_order_tells_nobody(space, room, order_id):
    space.clock.bank = DUE
    room.drain()
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    answer(space, notify.NoticeFailed, released(space, order_id)[0], reason_code="expired")
    room.drain()
    assert len(released(space, order_id)) == 1
    assert reminder(room, order_id)["state"] == "withdrawn"


def test_a_failed_channel_is_shown_and_a_person_asks_again(space, room, order_id):
    from tests.integration.orders_room import COLLECTOR

    space.clock.bank = DUE
    room.drain()
    answer(space, notify.NoticeFailed, released(space, order_id)[0], reason_code="mailbox_full")
    room.drain()
    assert reminder(room, order_id)["why"] == "mailbox_full"
    room.client(COLLECTOR).post(f"/orders/{order_id}/remind-again")
    room.drain()
    assert len(released(space, order_id)) == 2


# Messages in the way ---------------------------------------------------------------------------

def raw(space, value, key=b"C1"):
    space.sender.send("bank.events", key, value).result(10)


def envelope_of(**data):
    import json

    return json.dumps(
        {
            "specversion": "1.0", "id": f"bad-{uuid.uuid4().hex}", "source": "core",
            "type": "bank.transaction_booked.v1", "subject": "C1",
            "time": "2026-03-03T02:00:00Z", "datacontenttype": "application/json",
            "businessdate": "2026-03-03", "data": {"customer_number": "C1", **data},
        }
    ).encode()  # fmt: skip


@pytest.mark.parametrize("case", ["unreadable", "names the order", "number for the account"])
def test_a_message_in_the_way_holds_the_reminder(space, room, case):
    account = str(62_220_000 + int(own("").removeprefix("-")))
    order_id = approved(room, receiving_account=account)["order_id"]
    room.drain()
    values = {
        "unreadable": b"{not json",
        "names the order": envelope_of(payment_reference=order_id.lower(), amount_minor="x"),
        "number for the account": envelope_of(account_number=int(account)),
    }
    raw(space, values[case])
    space.clock.bank = DUE
    room.drain()
    held = reminder(room, order_id)
    assert held["state"] == "held"
    assert held["held_by"]["kind"] == "dead"
    assert not released(space, order_id)
    (told,) = [e.data for e in facts(space, order_id, "notice.requests")]
    assert (told.receiver_id, told.kind) == (MAKER.id, "reminder_held")
    page = room.client(MAKER).get(f"/orders/{order_id}").text
    assert "已暂缓" in page


def test_a_payment_dated_before_its_source_was_active_holds_until_it_is_replayed(
    space, room, order_id
):
    today, core = space.clock.bank.date(), own("core")

    def active_from(day):
        space.publish(
            bank.SourceDescribed(source=core, closes_days=False, active_from=day), source=core
        )
        room.drain()

    active_from(today)
    space.publish(paid(order_id, AMOUNT), source=core, businessdate=today - timedelta(days=1))
    space.clock.bank = DUE
    room.drain()
    held = reminder(room, order_id)
    assert (held["state"], held["held_by"]["kind"]) == ("held", "quarantined")
    assert not released(space, order_id)

    active_from(today - timedelta(days=1))
    with room.database.transaction(actor_id="OPS") as tx:
        for letter in dead_letters.listing(tx.session):
            dead_letters.ask_replay(tx, letter.id)
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    assert not released(space, order_id)


def test_a_bad_message_about_others_holds_nothing(space, room, order_id):
    raw(space, envelope_of(payment_reference="INV-1", amount_minor="x"))
    space.clock.bank = DUE
    room.drain()
    assert len(released(space, order_id)) == 1


def test_when_the_message_is_given_up_the_fact_is_asked_anew(space, room, order_id):
    raw(space, b"{not json")
    space.clock.bank = DUE
    room.drain()
    fence_before = _fence(room, order_id)
    space.publish(paid(None, 5, "T8", customer_number="C5"))
    room.drain()
    _discard_all(room)
    wait_out_pauses(room)
    room.drain()
    (asked,) = released(space, order_id)
    assert sum(dict(asked.fence).values()) > sum(fence_before.values())


def test_a_parked_payment_is_replayed_and_withdraws_the_reminder(space, room, order_id):
    def fails(tx, event):
        raise RuntimeError("a bug of ours")

    listener = room.listener
    stock = dict(listener._handlers)
    fact, _ = stock["bank.transaction_booked.v1"]
    listener._handlers["bank.transaction_booked.v1"] = (fact, fails)
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    listener._handlers.update(stock)
    space.clock.bank = DUE
    room.drain()
    held = reminder(room, order_id)
    assert (held["state"], held["held_by"]["kind"]) == ("held", "parked")
    with room.database.transaction(actor_id="OPS") as tx:
        for letter in dead_letters.listing(tx.session):
            dead_letters.ask_replay(tx, letter.id)
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    assert not released(space, order_id)


def _fence(room, order_id):
    from services.orders.tables import ReminderRow

    with room.database.read() as session:
        return session.get(ReminderRow, order_id).fence


def _discard_all(room):
    with room.database.transaction(actor_id="OPS") as tx:
        tx.session.execute(update(DeadLetterRow).values(state="discarded"))
