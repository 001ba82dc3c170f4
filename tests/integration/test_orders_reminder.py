"""The reminder before collection: it asks the fact again, and waits for what it has not read."""

import uuid
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import update

from shared import dead_letters
from shared.db import DeadLetterRow
from shared.events import notify
from shared.events.fact import Cause
from tests.integration.orders_room import (
    AMOUNT,
    MAKER,
    approved,
    paid,
    room,  # noqa: F401
    shown,
    types,
)

DUE = datetime(2026, 3, 4, 1, 0, tzinfo=UTC)  # a bank day before collection, at the opening


@pytest.fixture
def order_id(room):  # noqa: F811
    found = approved(room)["order_id"]
    room.drain()
    return found


def reminder(room, order_id):  # noqa: F811
    return shown(room, order_id)["reminder"]


def fire_only(room):  # noqa: F811
    """Runs due timers, without reading anything from Kafka."""
    from shared import timers

    return timers.fire_due(room.database, room.runtime.service.timers)


def wait_out_pauses(room):  # noqa: F811
    """Ends the pauses of all timers on the wall clock."""
    from shared.db import TimerRow

    with room.database.transaction() as tx:
        tx.session.execute(update(TimerRow).values(not_before=None))


def released(space):
    return [e.data for e in space.read("order.lifecycle") if "reminder_released" in e.type]


def answer(space, kind, asked, **changes):
    values = {
        "receiver_id": asked.receiver_id, "order_id": asked.order_id, "notice_id": "N1",
        "channel": "inbox", "reminder_id": asked.reminder_id,
        "cause": Cause(type="orders.reminder_released.v1", id="x"),
    }  # fmt: skip
    space.publish(kind(**{**values, **changes}), source="guanxi/notify")


def test_nothing_is_released_before_its_moment(space, room, order_id):  # noqa: F811
    space.clock.bank = DUE - timedelta(seconds=1)
    room.drain()
    assert reminder(room, order_id)["state"] == "armed"
    assert not released(space)


def test_an_unpaid_order_is_reminded_with_its_fence_and_a_lease(space, room, order_id):  # noqa: F811
    space.publish(paid(order_id, 10_000))
    space.clock.bank = DUE
    room.drain()
    (asked,) = released(space)
    assert asked.receiver_id == MAKER.id
    ends = dict(asked.fence)
    assert sorted(ends) == [0, 1, 2, 3]
    assert sum(ends.values()) == 1
    lease = asked.valid_until - datetime.now(UTC)
    assert timedelta(seconds=30) < lease <= timedelta(seconds=60)
    assert "¥16,000.00" in asked.text["zh-CN"]
    assert reminder(room, order_id)["state"] == "released"


def test_a_payment_before_the_moment_withdraws_it(space, room, order_id):  # noqa: F811
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    space.clock.bank = DUE
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    assert not released(space)
    assert types(space).count("reminder_withdrawn") == 1


def test_a_payment_on_the_topic_but_not_yet_read_is_waited_for(space, room, order_id):  # noqa: F811
    """The race: at its moment the payment is published, but we have not applied it."""
    space.clock.bank = DUE
    space.publish(paid(order_id, AMOUNT, customer_number="C777"))
    for _ in range(3):
        wait_out_pauses(room)
        fire_only(room)
    assert reminder(room, order_id)["state"] == "fencing"
    room.relay_once()
    assert not released(space)
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    assert not released(space)


def test_a_payment_between_the_moment_and_the_passed_fence_is_seen(space, room, order_id):  # noqa: F811
    space.clock.bank = DUE
    space.publish(paid(None, 1, "T9", customer_number="C5"))  # something not yet read
    wait_out_pauses(room)
    fire_only(room)
    assert reminder(room, order_id)["state"] == "fencing"
    space.publish(paid(order_id, AMOUNT, customer_number="C6"))  # behind the fence
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    assert not released(space)


def test_a_payment_after_the_release_withdraws_what_was_not_sent(space, room, order_id):  # noqa: F811
    space.clock.bank = DUE
    room.drain()
    assert len(released(space)) == 1
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    assert reminder(room, order_id)["state"] == "withdrawn"
    withdrawn = [e.data for e in space.read("order.lifecycle") if "withdrawn" in e.type]
    assert withdrawn[0].reminder_id == released(space)[0].reminder_id
    assert withdrawn[0].why == "paid"


def test_an_expired_lease_asks_the_fact_again(space, room, order_id):  # noqa: F811
    space.clock.bank = DUE
    room.drain()
    first = released(space)[0]
    answer(space, notify.NoticeFailed, first, reason_code="expired")
    room.drain()
    second = released(space)[1]
    assert second.reminder_id != first.reminder_id
    assert second.valid_until > first.valid_until
    answer(space, notify.NoticeFailed, first, reason_code="expired")  # late: of the first one
    answer(space, notify.NoticeSent, second)
    room.drain()
    assert reminder(room, order_id)["state"] == "sent"
    assert len(released(space)) == 2


def test_an_expired_lease_on_a_paid_order_tells_nobody(space, room, order_id):  # noqa: F811
    space.clock.bank = DUE
    room.drain()
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    answer(space, notify.NoticeFailed, released(space)[0], reason_code="expired")
    room.drain()
    assert len(released(space)) == 1
    assert reminder(room, order_id)["state"] == "withdrawn"


def test_a_failed_channel_is_shown_and_a_person_asks_again(space, room, order_id):  # noqa: F811
    from tests.integration.orders_room import COLLECTOR

    space.clock.bank = DUE
    room.drain()
    answer(space, notify.NoticeFailed, released(space)[0], reason_code="mailbox_full")
    room.drain()
    assert reminder(room, order_id)["why"] == "mailbox_full"
    room.client(COLLECTOR).post(f"/orders/{order_id}/remind-again")
    room.drain()
    assert len(released(space)) == 2


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
def test_a_message_in_the_way_holds_the_reminder(space, room, case):  # noqa: F811
    order_id = approved(room, receiving_account="62220001")["order_id"]
    room.drain()
    values = {
        "unreadable": b"{not json",
        "names the order": envelope_of(payment_reference=order_id.lower(), amount_minor="x"),
        "number for the account": envelope_of(account_number=62220001),
    }
    raw(space, values[case])
    space.clock.bank = DUE
    room.drain()
    held = reminder(room, order_id)
    assert held["state"] == "held"
    assert held["held_by"]["kind"] == "dead"
    assert not released(space)
    (told,) = [e.data for e in space.read("notice.requests")]
    assert (told.receiver_id, told.kind) == (MAKER.id, "reminder_held")
    page = room.client(MAKER).get(f"/orders/{order_id}").text
    assert "已暂缓" in page


def test_a_bad_message_about_others_holds_nothing(space, room, order_id):  # noqa: F811
    raw(space, envelope_of(payment_reference="INV-1", amount_minor="x"))
    space.clock.bank = DUE
    room.drain()
    assert len(released(space)) == 1


def test_when_the_message_is_given_up_the_fact_is_asked_anew(space, room, order_id):  # noqa: F811
    raw(space, b"{not json")
    space.clock.bank = DUE
    room.drain()
    fence_before = _fence(room, order_id)
    space.publish(paid(None, 5, "T8", customer_number="C5"))
    room.drain()
    _discard_all(room)
    wait_out_pauses(room)
    room.drain()
    (asked,) = released(space)
    assert sum(dict(asked.fence).values()) > sum(fence_before.values())


def test_a_parked_payment_is_replayed_and_withdraws_the_reminder(space, room, order_id):  # noqa: F811
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
    assert not released(space)


def _fence(room, order_id):  # noqa: F811
    from services.orders.tables import ReminderRow

    with room.database.read() as session:
        return session.get(ReminderRow, order_id).fence


def _discard_all(room):  # noqa: F811
    with room.database.transaction(actor_id="OPS") as tx:
        tx.session.execute(update(DeadLetterRow).values(state="discarded"))
