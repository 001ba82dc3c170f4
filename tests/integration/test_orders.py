"""Orders on real servers: four eyes, plan, payments, idempotency, what may be seen."""

import threading
from datetime import UTC, date, datetime, timedelta
from itertools import permutations

import pytest

from services.orders.commands.answers import KEPT, forget_answers
from shared.events import bank, customer
from tests.integration.orders_room import (
    AMOUNT,
    CHECKER,
    COLLECTOR,
    GOLD,
    MAKER,
    approve,
    approved,
    order_body,
    paid,
    placed,
    room,  # noqa: F401
    shown,
    staff,
    types,
)

ELSEWHERE = staff("S009", "order.view", "order.edit", "order.approve", path="/head/b2")


def test_an_order_goes_from_submission_through_payment_to_its_end(space, room):  # noqa: F811
    order = approved(room)
    order_id = order["order_id"]
    assert order["status"] == "effective"
    answer = room.client(MAKER).post(f"/orders/{order_id}/deliver")
    assert answer.json()["status"] == "executing"
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    after = shown(room, order_id)
    assert after["status"] == "closed"
    assert after["receivable"]["settlement"] == "settled"
    assert after["reminder"]["state"] == "withdrawn"
    assert types(space) == [
        "order_submitted", "order_approved", "order_effective", "step_done", "payment_applied",
        "reminder_withdrawn", "step_done", "order_closed",
    ]  # fmt: skip


def test_every_event_of_an_order_counts_up_and_names_the_story(space, room):  # noqa: F811
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    events = space.read("order.lifecycle")
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    applied = next(e for e in events if e.type == "orders.payment_applied.v1")
    assert applied.data.open_minor == 0
    assert applied.causationid.startswith("test-")
    assert applied.rootat is not None


# Four eyes -------------------------------------------------------------------------------------


def test_who_made_an_order_does_not_approve_it(room):  # noqa: F811
    both = staff("S005", "order.view", "order.edit", "order.submit", "order.approve", limit=10**9)
    answer = approve(room, placed(room, both, submit=True), both)
    assert (answer.status_code, answer.json()["code"]) == (403, "same_person")


def test_who_edited_an_order_does_not_approve_it_either(room):  # noqa: F811
    order = placed(room)
    edited = room.client(CHECKER).put(
        f"/orders/{order['order_id']}", json=order_body(note="x", version=order["version"])
    )
    assert edited.status_code == 200, edited.text
    asked = room.client(MAKER).post(f"/orders/{order['order_id']}/submit").json()
    assert approve(room, asked).json()["code"] == "same_person"


@pytest.mark.parametrize(("limit", "status"), [(AMOUNT - 1, 403), (AMOUNT, 200), (None, 403)])
def test_a_limit_covers_exactly_its_amount(room, limit, status):  # noqa: F811
    checker = staff("S006", "order.view", "order.approve", limit=limit)
    assert approve(room, placed(room, submit=True), checker).status_code == status


def test_another_content_is_not_approved(room):  # noqa: F811
    order = placed(room, submit=True)
    answer = approve(room, {**order, "content_hash": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (409, "content_changed")
    assert shown(room, order["order_id"])["status"] == "submitted"


def test_an_order_outside_the_scope_is_not_there(room):  # noqa: F811
    order = placed(room, submit=True)
    client = room.client(ELSEWHERE)
    assert client.get(f"/api/orders/{order['order_id']}").status_code == 404
    assert client.get(f"/orders/{order['order_id']}").status_code == 404
    assert client.get("/api/orders").json()["orders"] == []
    assert approve(room, order, ELSEWHERE).status_code == 404


def test_two_checkers_at_once_make_one_approval(space, room):  # noqa: F811
    order = placed(room, submit=True)
    other = staff("S007", "order.view", "order.approve", limit=10**9)
    answers = []
    threads = [
        threading.Thread(target=lambda a=a: answers.append(approve(room, order, a).status_code))
        for a in (CHECKER, other)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200, 409]
    room.drain()
    assert types(space).count("order_approved") == 1


def test_an_edit_voids_and_asks_anew(space, room):  # noqa: F811
    order = placed(room, submit=True, effective_on="2026-03-20")
    assert approve(room, order).json()["status"] == "approved"
    version = shown(room, order["order_id"])["version"]
    body = order_body(lines=[{**GOLD, "quantity": 3}], effective_on="2026-03-20", version=version)
    edited = room.client(MAKER).put(f"/orders/{order['order_id']}", json=body).json()
    assert edited["status"] == "voided"
    assert edited["content_hash"] is None
    assert approve(room, order).status_code == 409
    asked = room.client(MAKER).post(f"/orders/{order['order_id']}/submit").json()
    assert asked["content_hash"] != order["content_hash"]
    assert approve(room, asked).json()["status"] == "approved"
    space.clock.bank = datetime(2026, 3, 20, 1, 0, tzinfo=UTC)  # 09:00 in Shanghai
    room.drain()
    assert shown(room, order["order_id"])["status"] == "effective"
    assert types(space) == [
        "order_submitted", "order_approved", "order_voided", "order_submitted", "order_approved",
        "order_effective",
    ]  # fmt: skip
    voided = next(e.data for e in space.read("order.lifecycle") if e.type.endswith("voided.v1"))
    assert (voided.content_hash, voided.checker_id) == (order["content_hash"], "S002")


def test_an_edit_that_changes_nothing_voids_nothing(room):  # noqa: F811
    order = placed(room, submit=True)
    same = order_body(version=order["version"])
    answer = room.client(MAKER).put(f"/orders/{order['order_id']}", json=same)
    assert answer.json()["status"] == "submitted"
    assert approve(room, order).status_code == 200


def test_an_old_version_does_not_write_over_a_newer_one(room):  # noqa: F811
    order = placed(room)
    client, path = room.client(MAKER), f"/orders/{order['order_id']}"
    assert client.put(path, json=order_body(note="a", version=1)).status_code == 200
    late = client.put(path, json=order_body(note="b", version=1))
    assert (late.status_code, late.json()["code"]) == (409, "changed_meanwhile")


def test_an_order_in_effect_is_neither_edited_nor_cancelled(room):  # noqa: F811
    order = approved(room)
    path = f"/orders/{order['order_id']}"
    client = room.client(MAKER)
    edit = client.put(path, json=order_body(note="a", version=order["version"]))
    assert (edit.status_code, edit.json()["code"]) == (409, "not_in_this_state")
    assert client.post(f"{path}/cancel").status_code == 409


def test_a_refused_order_is_asked_again_after_an_edit(space, room):  # noqa: F811
    order = placed(room, submit=True)
    path = f"/orders/{order['order_id']}"
    refused = room.client(CHECKER).post(
        f"{path}/refuse", json={"content_hash": order["content_hash"], "reason": "价格不对"}
    )
    assert refused.json()["status"] == "refused"
    client = room.client(MAKER)
    assert client.post(f"{path}/submit").status_code == 409
    body = order_body(note="改价", version=refused.json()["version"])
    assert client.put(path, json=body).json()["status"] == "draft"
    assert client.post(f"{path}/submit").json()["status"] == "submitted"
    room.drain()
    assert types(space) == ["order_submitted", "order_refused", "order_submitted"]


# Input -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"party_id": "P404"}, "party_id"),
        ({"customer_number": "C404"}, "customer_number"),
        ({"lines": [{**GOLD, "product_code": "NONE"}]}, "lines.0.product_code"),
        ({"effective_on": "2026-03-01"}, "effective_on"),
        ({"attributes": {"colour": "red"}}, "attributes.colour"),
        ({"lines": [{**GOLD, "quantity": True}]}, "lines.0.quantity"),
        ({"lines": [{**GOLD, "unit_price_minor": 1.5}]}, "lines.0.unit_price_minor"),
        ({"lines": []}, "lines"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_bad_input_is_refused_with_its_field(room, changes, field):  # noqa: F811
    answer = room.client(MAKER).post("/orders", json=order_body(**changes))
    assert answer.status_code == 422
    assert [f["field"] for f in answer.json()["fields"]] == [field]


def test_a_second_number_of_the_party_may_be_chosen(room):  # noqa: F811
    order = placed(room, customer_number="C9")
    assert shown(room, order["order_id"])["customer_number"] == "C9"


def test_an_older_word_on_a_party_does_not_win(space, room):  # noqa: F811
    earlier = space.clock.bank - timedelta(days=1)
    space.publish(
        customer.PartyRecorded(
            party_id="P1", customer_number="C9", kind="person", customer_numbers=("C9",)
        ),
        at=earlier,
    )
    room.drain()
    assert shown(room, placed(room)["order_id"])["customer_number"] == "C1"


def test_custom_attributes_are_defined_at_run_time_and_are_content(room):  # noqa: F811
    admin = staff("S008", "organisation.edit", "order.view")
    attribute = {
        "code": "urgency", "name_zh": "紧急程度", "name_en": "Urgency", "kind": "choice",
        "required": True, "choices": ["high", "low"],
    }  # fmt: skip
    answer = room.client(admin).put("/attributes/urgency", json=attribute)
    assert answer.status_code == 204, answer.text
    client = room.client(MAKER)
    assert client.post("/orders", json=order_body()).json()["fields"] == [
        {"field": "attributes.urgency"}
    ]
    high = placed(room, submit=True, attributes={"urgency": "high"})
    body = order_body(attributes={"urgency": "low"}, version=high["version"])
    assert client.put(f"/orders/{high['order_id']}", json=body).json()["status"] == "voided"


def test_the_banks_products_join_the_catalogue(space, room):  # noqa: F811
    space.publish(
        bank.ProductDescribed(
            product_code="LCY1", names={"zh-CN": "大额存单", "en": "Large deposit"},
            line_code="liability",
        )
    )  # fmt: skip
    room.drain()
    placed(room, lines=[{"product_code": "LCY1", "quantity": 1, "unit_price_minor": 5}])


# Quotes ----------------------------------------------------------------------------------------


def quote(room, offer=True, **changes):  # noqa: F811
    body = {"party_id": "P1", "lines": [GOLD], "valid_until_on": "2026-03-10", **changes}
    client = room.client(MAKER)
    made = client.post("/quotes", json=body).json()
    if offer:
        assert client.post(f"/quotes/{made['quote_id']}/offer").status_code == 200
    return made["quote_id"]


def test_one_order_takes_several_quotes(space, room):  # noqa: F811
    first, second = quote(room), quote(room)
    lines = [{**GOLD, "quote_id": q, "quote_version": 1} for q in (first, second)]
    order = placed(room, lines=lines)
    assert order["amount_minor"] == 2 * AMOUNT
    assert room.client(MAKER).get(f"/api/quotes/{first}").json()["status"] == "ordered"
    room.drain()
    assert types(space) == ["quote_offered", "quote_offered"]


@pytest.mark.parametrize("why", ["not offered", "too late", "other price", "other party"])
def test_a_quote_binds_only_as_it_was_offered(space, room, why):  # noqa: F811
    space.publish(
        customer.PartyRecorded(
            party_id="P2", customer_number="C2", kind="firm", customer_numbers=("C2",)
        )
    )
    room.drain()
    quote_id = quote(room, offer=why != "not offered")
    line = {**GOLD, "quote_id": quote_id, "quote_version": 1}
    changes = {"lines": [line]}
    if why == "too late":
        space.clock.bank = datetime(2026, 3, 11, 2, 0, tzinfo=UTC)
    elif why == "other price":
        changes["lines"] = [{**line, "unit_price_minor": 1}]
    elif why == "other party":
        changes["party_id"] = "P2"
    answer = room.client(MAKER).post("/orders", json=order_body(**changes))
    assert answer.status_code == 422
    assert answer.json()["fields"] == [{"field": "lines.0.quote_id"}]


def test_a_new_version_leaves_the_offered_one_as_it_was(room):  # noqa: F811
    quote_id = quote(room)
    body = {"lines": [{**GOLD, "discount_ppm": 100_000}], "valid_until_on": "2026-03-12"}
    revised = room.client(MAKER).post(f"/quotes/{quote_id}/versions", json=body).json()
    assert [v["amount_minor"] for v in revised["versions"]] == [1_449_000, AMOUNT]
    assert revised["status"] == "draft"


# Idempotency -----------------------------------------------------------------------------------


def test_a_key_acts_once_and_repeats_its_answer(room):  # noqa: F811
    client, headers = room.client(MAKER), {"Idempotency-Key": "k-1"}
    first = client.post("/orders", json=order_body(), headers=headers)
    again = client.post("/orders", json=order_body(), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = client.post("/orders", json=order_body(note="x"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_used_otherwise")
    stranger = room.client(CHECKER).post("/orders", json=order_body(), headers=headers)
    assert stranger.json()["order_id"] != first.json()["order_id"]


def test_a_key_used_by_many_at_once_acts_once(room):  # noqa: F811
    room.client(MAKER)
    ids = []

    def send():
        answer = room.client(MAKER).post(
            "/orders", json=order_body(), headers={"Idempotency-Key": "k-2"}
        )
        ids.append(answer.json()["order_id"])

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_a_refused_request_leaves_its_key_free(room):  # noqa: F811
    client, headers = room.client(MAKER), {"Idempotency-Key": "k-3"}
    bad = client.post("/orders", json=order_body(party_id="P9"), headers=headers)
    assert bad.status_code == 422
    assert client.post("/orders", json=order_body(), headers=headers).status_code == 201


def test_answers_are_kept_for_three_days(room):  # noqa: F811
    headers = {"Idempotency-Key": "k-4"}
    room.client(MAKER).post("/orders", json=order_body(), headers=headers)
    with room.database.transaction() as tx:
        assert forget_answers(tx, tx.wall_now + KEPT - timedelta(minutes=1)) == 0
        assert forget_answers(tx, tx.wall_now + KEPT + timedelta(minutes=1)) == 1


# Payments --------------------------------------------------------------------------------------


def state_of(room, order_id):  # noqa: F811
    order = shown(room, order_id)
    receivable = order["receivable"]
    return receivable["paid_minor"], receivable["settlement"], order["status"]


def test_parts_add_up_and_too_much_is_shown(space, room):  # noqa: F811
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, 610_000, "T1"))
    room.drain()
    assert state_of(room, order_id) == (610_000, "partial", "executing")
    space.publish(paid(order_id, 1_000_000, "T2"), paid(order_id, 5, "T3"))
    room.drain()
    assert state_of(room, order_id) == (1_610_005, "overpaid", "executing")
    steps = [e.data.kind for e in space.read("order.lifecycle") if e.type.endswith("step_done.v1")]
    assert steps == ["collect"]


def test_a_reference_is_read_as_people_type_it(space, room):  # noqa: F811
    order_id = approved(room)["order_id"]
    digits = order_id.removeprefix("ORD-")
    space.publish(paid(f"货款 ord {digits} 谢谢", AMOUNT))
    room.drain()
    assert state_of(room, order_id)[1] == "settled"


def test_a_third_party_pays_from_another_partition(space, room):  # noqa: F811
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, AMOUNT, customer_number="C777"))
    room.drain()
    assert shown(room, order_id)["payments"][0]["third_party"] is True
    assert state_of(room, order_id)[1] == "settled"


def test_the_receiving_account_is_enough(space, room):  # noqa: F811
    order_id = approved(room, receiving_account="6222-1")["order_id"]
    space.publish(paid(None, AMOUNT, account_number="6222-1", customer_number="C5"))
    space.publish(paid(None, AMOUNT, "T2", account_number="6222-2", customer_number="C5"))
    room.drain()
    assert state_of(room, order_id)[:2] == (AMOUNT, "settled")
    taken = room.client(MAKER).post("/orders", json=order_body(receiving_account="6222-1"))
    assert taken.json()["fields"] == [{"field": "receiving_account"}]


def test_a_reversal_opens_the_order_and_its_reminder_again(space, room):  # noqa: F811
    order_id = approved(room)["order_id"]
    room.client(MAKER).post(f"/orders/{order_id}/deliver")
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    assert state_of(room, order_id)[2] == "closed"
    space.publish(paid(None, -AMOUNT, "T2", reverses="T1", kind="transfer_out"))
    room.drain()
    assert state_of(room, order_id) == (0, "open", "executing")
    assert shown(room, order_id)["reminder"]["state"] == "armed"
    applied = [e.data for e in space.read("order.lifecycle") if "payment_applied" in e.type]
    assert [(a.amount_minor, a.open_minor, a.reverses) for a in applied] == [
        (AMOUNT, 0, None), (-AMOUNT, AMOUNT, "T1"),
    ]  # fmt: skip
    space.publish(paid(order_id, AMOUNT, "T3"))
    room.drain()
    assert state_of(room, order_id) == (AMOUNT, "settled", "closed")


def test_any_order_of_payments_and_reversals_ends_the_same(space, room):  # noqa: F811
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


def test_a_payment_sent_twice_counts_once(space, room):  # noqa: F811
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, 100), event_id="txn-1")
    space.publish(paid(order_id, 100), event_id="txn-1")
    space.publish(paid(order_id, 100), event_id="txn-1-other-road")
    room.drain()
    assert state_of(room, order_id)[0] == 100
    assert types(space).count("payment_applied") == 1


def test_money_that_came_early_counts_when_the_order_takes_effect(space, room):  # noqa: F811
    order = placed(room, submit=True)
    space.publish(paid(order["order_id"], AMOUNT))
    room.drain()
    assert shown(room, order["order_id"])["receivable"] is None
    assert approve(room, order).status_code == 200
    assert state_of(room, order["order_id"]) == (AMOUNT, "settled", "executing")


def test_money_without_a_fitting_order_waits_for_a_person(space, room):  # noqa: F811
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, 500, currency="USD"), paid("ORD-999999993", 500, "T2"))
    space.publish(paid("INV-7 thank you", 500, "T3"))
    room.drain()
    assert state_of(room, order_id)[0] == 0
    page = room.client(COLLECTOR).get("/orders").text
    assert "待认领款项" in page
    assert "币种与订单不同" in page
    assert "INV-7" not in page


def test_a_person_says_which_order_a_payment_is_for(space, room):  # noqa: F811
    one, two = approved(room)["order_id"], approved(room)["order_id"]
    space.publish(paid(f"{one} {two}", AMOUNT))
    room.drain()
    assert state_of(room, one)[0] == state_of(room, two)[0] == 0
    answer = room.client(COLLECTOR).post("/payments/T1/match", json={"order_id": two})
    assert answer.status_code == 200, answer.text
    assert state_of(room, two)[:2] == (AMOUNT, "settled")
    assert room.client(COLLECTOR).post(
        "/payments/T1/match", json={"order_id": one}
    ).status_code == 404


# Plan ------------------------------------------------------------------------------------------


def test_steps_fall_due_on_bank_days(space, room):  # noqa: F811
    """Monday 2 March 2026, deliver after 1 bank day, collect 4 later: Monday, not Saturday."""
    order_id = approved(room, collect_days=4)["order_id"]
    steps = shown(room, order_id)["steps"]
    assert [s["due_on"] for s in steps] == ["2026-03-03", "2026-03-09"]
    space.clock.bank = datetime(2026, 3, 9, 1, 0, tzinfo=UTC)
    room.drain()
    assert [s["state"] for s in shown(room, order_id)["steps"]] == ["due", "due"]
    said = [t for t in types(space) if "due" in t]
    assert said == ["step_due", "step_due", "receivable_due"]


def test_dues_before_going_live_tell_nobody(space, room):  # noqa: F811
    space.publish(bank.WentLive(on=date(2026, 6, 1)))
    order_id = approved(room)["order_id"]
    room.drain()
    space.clock.bank = datetime(2026, 3, 20, 2, 0, tzinfo=UTC)
    room.drain()
    assert not [t for t in types(space) if "due" in t or "reminder" in t]
    order = shown(room, order_id)
    assert [s["state"] for s in order["steps"]] == ["due", "due"]
    assert order["reminder"]["state"] == "recorded"


def test_a_rewind_to_the_beginning_changes_nothing(space, room):  # noqa: F811
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    before, events = shown(room, order_id), types(space)
    again = room.runtime.listener(room.runtime.source(group="orders-again"))
    room.listener.source.close()
    room.listener = again
    room.drain()
    assert shown(room, order_id) == before
    assert types(space) == events
