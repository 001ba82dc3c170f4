"""Payments and the plan of orders on real servers."""

from datetime import UTC, date, datetime
from itertools import permutations

from shared.events import bank
from tests.integration import orders_room
from tests.integration.orders_room import (
    AMOUNT,
    COLLECTOR,
    MAKER,
    approve,
    approved,
    facts,
    order_body,
    own,
    paid,
    placed,
    shown,
    types,
)

space, orders_service = orders_room.space, orders_room.orders_service
room, fresh = orders_room.room, orders_room.fresh


# Payments --------------------------------------------------------------------------------------


def state_of(room, order_id):
    order = shown(room, order_id)
    receivable = order["receivable"]
    return receivable["paid_minor"], receivable["settlement"], order["status"]


def test_parts_add_up_and_too_much_is_shown(space, room):
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, 610_000, "T1"))
    room.drain()
    assert state_of(room, order_id) == (610_000, "partial", "executing")
    space.publish(paid(order_id, 1_000_000, "T2"), paid(order_id, 5, "T3"))
    room.drain()
    assert state_of(room, order_id) == (1_610_005, "overpaid", "executing")
    steps = [e.data.kind for e in facts(space, order_id) if e.type.endswith("step_done.v1")]
    assert steps == ["collect"]


def test_a_reference_is_read_as_people_type_it(space, room):
    order_id = approved(room)["order_id"]
    digits = order_id.removeprefix("ORD-")
    space.publish(paid(f"货款 ord {digits} 谢谢", AMOUNT))
    room.drain()
    assert state_of(room, order_id)[1] == "settled"


def test_a_third_party_pays_from_another_partition(space, room):
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, AMOUNT, customer_number="C777"))
    room.drain()
    assert shown(room, order_id)["payments"][0]["third_party"] is True
    assert state_of(room, order_id)[1] == "settled"


def test_the_receiving_account_is_enough(space, room):
    account = own("6222")
    order_id = approved(room, receiving_account=account)["order_id"]
    space.publish(paid(None, AMOUNT, account_number=account, customer_number="C5"))
    space.publish(paid(None, AMOUNT, "T2", account_number=own("6223"), customer_number="C5"))
    room.drain()
    assert state_of(room, order_id)[:2] == (AMOUNT, "settled")
    taken = room.client(MAKER).post("/orders", json=order_body(receiving_account=account))
    assert taken.json()["fields"] == [{"field": "receiving_account"}]


def test_a_reversal_opens_the_order_and_its_reminder_again(space, room):
    order_id = approved(room)["order_id"]
    room.client(MAKER).post(f"/orders/{order_id}/deliver")
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    assert state_of(room, order_id)[2] == "closed"
    space.publish(paid(None, -AMOUNT, "T2", reverses="T1", kind="transfer_out"))
    room.drain()
    assert state_of(room, order_id) == (0, "open", "executing")
    assert shown(room, order_id)["reminder"]["state"] == "armed"
    applied = [e.data for e in facts(space, order_id) if "payment_applied" in e.type]
    assert [(a.amount_minor, a.open_minor, a.reverses) for a in applied] == [
        (AMOUNT, 0, None), (-AMOUNT, AMOUNT, own("T1")),
    ]  # fmt: skip
    space.publish(paid(order_id, AMOUNT, "T3"))
    room.drain()
    assert state_of(room, order_id) == (AMOUNT, "settled", "closed")


def test_any_order_of_payments_and_reversals_ends_the_same(space, room):
    """Each customer is a partition of its own here: nothing orders them for us."""
    for number, order in enumerate(permutations(("pay", "reverse", "again"))):
        order_id = approved(room)["order_id"]
        first, back = f"A{number}", f"B{number}"
        facts = {
            "pay": paid(order_id, AMOUNT, first),
            "reverse": paid(order_id, -AMOUNT, back, reverses=first),
            "again": paid(order_id, 7, f"C{number}"),
        }
        for name in order:
            space.publish(facts[name])
            room.drain()
        assert state_of(room, order_id)[:2] == (7, "partial"), order


def test_a_payment_sent_twice_counts_once(space, room):
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, 100), event_id=own("txn"))
    space.publish(paid(order_id, 100), event_id=own("txn"))
    space.publish(paid(order_id, 100), event_id=own("txn-other-road"))
    room.drain()
    assert state_of(room, order_id)[0] == 100
    assert types(space, order_id).count("payment_applied") == 1


def test_money_that_came_early_counts_when_the_order_takes_effect(space, room):
    order = placed(room, submit=True)
    space.publish(paid(order["order_id"], AMOUNT))
    room.drain()
    assert shown(room, order["order_id"])["receivable"] is None
    assert approve(room, order).status_code == 200
    assert state_of(room, order["order_id"]) == (AMOUNT, "settled", "executing")


def test_money_without_a_fitting_order_waits_for_a_person(space, room):
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, 500, currency="USD"), paid("ORD-100000015", 500, "T2"))
    space.publish(paid("INV-7 thank you", 500, "T3"))
    room.drain()
    assert state_of(room, order_id)[0] == 0
    page = room.client(COLLECTOR).get("/orders").text
    assert "待认领款项" in page
    assert "币种与订单不同" in page
    assert "订单号有误" in page
    assert "INV-7" not in page


def test_a_person_says_which_order_a_payment_is_for(space, room):
    one, two = approved(room)["order_id"], approved(room)["order_id"]
    space.publish(paid(f"{one} {two}", AMOUNT))
    room.drain()
    assert state_of(room, one)[0] == state_of(room, two)[0] == 0
    answer = room.client(COLLECTOR).post(f"/payments/{own('T1')}/match", json={"order_id": two})
    assert answer.status_code == 200, answer.text
    assert state_of(room, two)[:2] == (AMOUNT, "settled")
    assert room.client(COLLECTOR).post(
        f"/payments/{own('T1')}/match", json={"order_id": one}
    ).status_code == 404


# Plan ------------------------------------------------------------------------------------------


def test_steps_fall_due_on_bank_days(space, room):
    """Monday 2 March 2026, deliver after 1 bank day, collect 4 later: Monday, not Saturday."""
    order_id = approved(room, collect_days=4)["order_id"]
    steps = shown(room, order_id)["steps"]
    assert [s["due_on"] for s in steps] == ["2026-03-03", "2026-03-09"]
    space.clock.bank = datetime(2026, 3, 9, 1, 0, tzinfo=UTC)
    room.drain()
    assert [s["state"] for s in shown(room, order_id)["steps"]] == ["due", "due"]
    said = [t for t in types(space, order_id) if "due" in t]
    assert said == ["step_due", "step_due", "receivable_due"]


def test_dues_before_going_live_tell_nobody(fresh):
    space, room = fresh
    space.publish(bank.WentLive(on=date(2026, 6, 1)))
    order_id = approved(room)["order_id"]
    room.drain()
    space.clock.bank = datetime(2026, 3, 20, 2, 0, tzinfo=UTC)
    room.drain()
    assert not [t for t in types(space, order_id) if "due" in t or "reminder" in t]
    order = shown(room, order_id)
    assert [s["state"] for s in order["steps"]] == ["due", "due"]
    assert order["reminder"]["state"] == "recorded"


def test_a_rewind_to_the_beginning_changes_nothing(fresh):
    space, room = fresh
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    before, events = shown(room, order_id), types(space, order_id)
    again = room.runtime.listener(room.runtime.source(group="orders-again"))
    room.listener.source.close()
    room.listener = again
    room.drain()
    assert shown(room, order_id) == before
    assert types(space, order_id) == events
