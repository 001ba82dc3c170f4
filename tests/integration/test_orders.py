"""Orders on real servers: four eyes, plan, payments, idempotency, what may be seen."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from services.orders.commands.answers import KEPT, forget_answers
from shared.events import bank, customer
from tests.integration import orders_room
from tests.integration.orders_room import (
    AMOUNT,
    CHECKER,
    GOLD,
    MAKER,
    approve,
    approved,
    facts,
    order_body,
    own,
    paid,
    placed,
    shown,
    staff,
    types,
)

space, orders_service = orders_room.space, orders_room.orders_service
room, fresh = orders_room.room, orders_room.fresh

ELSEWHERE = staff("S009", "order.view", "order.edit", "order.approve", path="/head/b2")


def test_an_order_goes_from_submission_through_payment_to_its_end(space, room):
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
    assert types(space, order_id) == [
        "order_submitted", "order_approved", "order_effective", "step_done", "payment_applied",
        "reminder_withdrawn", "step_done", "order_closed",
    ]  # fmt: skip


def test_every_event_of_an_order_counts_up_and_names_the_story(space, room):
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, AMOUNT))
    room.drain()
    events = facts(space, order_id)
    assert [e.sequence for e in events] == list(range(1, len(events) + 1))
    applied = next(e for e in events if e.type == "orders.payment_applied.v1")
    assert applied.data.open_minor == 0
    assert applied.causationid.startswith("test-")
    assert applied.rootat is not None


# Four eyes -------------------------------------------------------------------------------------


def test_who_made_an_order_does_not_approve_it(room):
    both = staff("S005", "order.view", "order.edit", "order.submit", "order.approve", limit=10**9)
    answer = approve(room, placed(room, both, submit=True), both)
    assert (answer.status_code, answer.json()["code"]) == (403, "same_person")


def test_who_edited_an_order_does_not_approve_it_either(room):
    order = placed(room)
    edited = room.client(CHECKER).put(
        f"/orders/{order['order_id']}", json=order_body(note="x", version=order["version"])
    )
    assert edited.status_code == 200, edited.text
    asked = room.client(MAKER).post(f"/orders/{order['order_id']}/submit").json()
    assert approve(room, asked).json()["code"] == "same_person"


@pytest.mark.parametrize(("limit", "status"), [(AMOUNT - 1, 403), (AMOUNT, 200), (None, 403)])
def test_a_limit_covers_exactly_its_amount(room, limit, status):
    checker = staff("S006", "order.view", "order.approve", limit=limit)
    assert approve(room, placed(room, submit=True), checker).status_code == status


def test_another_content_is_not_approved(room):
    order = placed(room, submit=True)
    answer = approve(room, {**order, "content_hash": "0" * 64})
    assert (answer.status_code, answer.json()["code"]) == (409, "content_changed")
    assert shown(room, order["order_id"])["status"] == "submitted"


def test_an_order_outside_the_scope_is_not_there(room):
    order = placed(room, submit=True)
    client = room.client(ELSEWHERE)
    assert client.get(f"/api/orders/{order['order_id']}").status_code == 404
    assert client.get(f"/orders/{order['order_id']}").status_code == 404
    assert client.get("/api/orders").json()["orders"] == []
    assert approve(room, order, ELSEWHERE).status_code == 404


def test_two_checkers_at_once_make_one_approval(space, room):
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
    assert types(space, order["order_id"]).count("order_approved") == 1


def test_an_edit_voids_and_asks_anew(space, room):
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
    assert types(space, order["order_id"]) == [
        "order_submitted", "order_approved", "order_voided", "order_submitted", "order_approved",
        "order_effective",
    ]  # fmt: skip
    said = facts(space, order["order_id"])
    voided = next(e.data for e in said if e.type.endswith("voided.v1"))
    assert (voided.content_hash, voided.checker_id) == (order["content_hash"], "S002")


def test_an_edit_that_changes_nothing_voids_nothing(room):
    order = placed(room, submit=True)
    same = order_body(version=order["version"])
    answer = room.client(MAKER).put(f"/orders/{order['order_id']}", json=same)
    assert answer.json()["status"] == "submitted"
    assert approve(room, order).status_code == 200


def test_an_old_version_does_not_write_over_a_newer_one(room):
    order = placed(room)
    client, path = room.client(MAKER), f"/orders/{order['order_id']}"
    assert client.put(path, json=order_body(note="a", version=1)).status_code == 200
    late = client.put(path, json=order_body(note="b", version=1))
    assert (late.status_code, late.json()["code"]) == (409, "changed_meanwhile")


def test_an_order_in_effect_is_neither_edited_nor_cancelled(room):
    order = approved(room)
    path = f"/orders/{order['order_id']}"
    client = room.client(MAKER)
    edit = client.put(path, json=order_body(note="a", version=order["version"]))
    assert (edit.status_code, edit.json()["code"]) == (409, "not_in_this_state")
    assert client.post(f"{path}/cancel").status_code == 409


def test_a_refused_order_is_asked_again_after_an_edit(space, room):
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
    said = types(space, order["order_id"])
    assert said == ["order_submitted", "order_refused", "order_submitted"]


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
def test_bad_input_is_refused_with_its_field(room, changes, field):
    answer = room.client(MAKER).post("/orders", json=order_body(**changes))
    assert answer.status_code == 422
    assert [f["field"] for f in answer.json()["fields"]] == [field]


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        (  # against the rules: a domain refusal
            {"lines": [{**GOLD, "product_code": "NONE"}], "attributes": {"colour": "red"},
             "effective_on": "2026-03-01"},
            {"lines.0.product_code", "attributes.colour", "effective_on"},
        ),
        (  # against the schema
            {"lines": [{**GOLD, "quantity": True, "unit_price_minor": 1.5}], "colour": "red"},
            {"lines.0.quantity", "lines.0.unit_price_minor", "colour"},
        ),
    ],
)  # fmt: skip
def test_a_body_with_several_wrong_fields_is_answered_with_all_of_them(room, changes, wrong):
    problem = room.client(MAKER).post("/orders", json=order_body(**changes)).json()
    assert {e["field"] for e in problem["errors"]} == wrong
    assert all(e["reason"] for e in problem["errors"])
    assert problem["fields"][0]["field"] == problem["errors"][0]["field"]


def test_a_form_shows_each_problem_beside_its_field(room):
    form = {
        "party_id": "P404", "currency": "CNY", "deliver_days": "many", "collect_days": "7",
        "effective_on": "soon", "line.0.product_code": "NONE", "line.0.quantity": "x",
    }  # fmt: skip
    answer = room.client(MAKER).post("/forms/orders", data=form)
    assert answer.status_code == 422
    assert answer.text.count('class="invalid-feedback') >= 4
    well_formed = {
        **form, "deliver_days": "999", "effective_on": "2020-01-01",
        "line.0.product_code": GOLD["product_code"], "line.0.quantity": "1",
    }  # fmt: skip
    answer = room.client(MAKER).post("/forms/orders", data=well_formed)
    assert answer.status_code == 422
    assert answer.text.count('class="invalid-feedback') == 3, "party, days and date, by the rules"


def test_a_second_number_of_the_party_may_be_chosen(room):
    order = placed(room, customer_number="C9")
    assert shown(room, order["order_id"])["customer_number"] == "C9"


def test_an_older_word_on_a_party_does_not_win(fresh):
    space, room = fresh
    earlier = space.clock.bank - timedelta(days=1)
    space.publish(
        customer.PartyRecorded(
            party_id="P1", customer_number="C9", kind="person", customer_numbers=("C9",)
        ),
        at=earlier,
    )
    room.drain()
    assert shown(room, placed(room)["order_id"])["customer_number"] == "C1"


def test_custom_attributes_are_defined_at_run_time_and_are_content(fresh):
    _, room = fresh
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


def test_the_banks_products_join_the_catalogue(space, room):
    space.publish(
        bank.ProductDescribed(
            product_code="LCY1", names={"zh-CN": "大额存单", "en": "Large deposit"},
            line_code="liability",
        )
    )  # fmt: skip
    room.drain()
    placed(room, lines=[{"product_code": "LCY1", "quantity": 1, "unit_price_minor": 5}])


# Quotes ----------------------------------------------------------------------------------------


def quote(room, offer=True, **changes):
    body = {"party_id": "P1", "lines": [GOLD], "valid_until_on": "2026-03-10", **changes}
    client = room.client(MAKER)
    made = client.post("/quotes", json=body).json()
    if offer:
        assert client.post(f"/quotes/{made['quote_id']}/offer").status_code == 200
    return made["quote_id"]


def test_one_order_takes_several_quotes(space, room):
    first, second = quote(room), quote(room)
    lines = [{**GOLD, "quote_id": q, "quote_version": 1} for q in (first, second)]
    order = placed(room, lines=lines)
    assert order["amount_minor"] == 2 * AMOUNT
    assert room.client(MAKER).get(f"/api/quotes/{first}").json()["status"] == "ordered"
    room.drain()
    assert types(space, first) == types(space, second) == ["quote_offered"]


@pytest.mark.parametrize("why", ["not offered", "too late", "other price", "other party"])
def test_a_quote_binds_only_as_it_was_offered(space, room, why):
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


def test_a_new_version_leaves_the_offered_one_as_it_was(room):
    quote_id = quote(room)
    body = {"lines": [{**GOLD, "discount_ppm": 100_000}], "valid_until_on": "2026-03-12"}
    revised = room.client(MAKER).post(f"/quotes/{quote_id}/versions", json=body).json()
    assert [v["amount_minor"] for v in revised["versions"]] == [1_449_000, AMOUNT]
    assert revised["status"] == "draft"


# Idempotency -----------------------------------------------------------------------------------


def test_a_key_acts_once_and_repeats_its_answer(room):
    client, headers = room.client(MAKER), {"Idempotency-Key": own("k-1")}
    first = client.post("/orders", json=order_body(), headers=headers)
    again = client.post("/orders", json=order_body(), headers=headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert first.json() == again.json()
    assert again.headers["idempotent-replayed"] == "true"
    other = client.post("/orders", json=order_body(note="x"), headers=headers)
    assert (other.status_code, other.json()["code"]) == (422, "key_used_otherwise")
    stranger = room.client(CHECKER).post("/orders", json=order_body(), headers=headers)
    assert stranger.json()["order_id"] != first.json()["order_id"]


def test_a_key_used_by_many_at_once_acts_once(room):
    room.client(MAKER)
    ids, key = [], own("k-2")

    def send():
        answer = room.client(MAKER).post(
            "/orders", json=order_body(), headers={"Idempotency-Key": key}
        )
        ids.append(answer.json()["order_id"])

    threads = [threading.Thread(target=send) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(ids) == 6
    assert len(set(ids)) == 1


def test_a_refused_request_leaves_its_key_free(room):
    client, headers = room.client(MAKER), {"Idempotency-Key": own("k-3")}
    bad = client.post("/orders", json=order_body(party_id="P9"), headers=headers)
    assert bad.status_code == 422
    assert client.post("/orders", json=order_body(), headers=headers).status_code == 201


def test_answers_are_kept_for_three_days(room):
    headers = {"Idempotency-Key": own("k-4")}
    room.client(MAKER).post("/orders", json=order_body(), headers=headers)
    with room.database.transaction() as tx:
        assert forget_answers(tx, tx.wall_now + KEPT - timedelta(hours=1)) == 0
        assert forget_answers(tx, tx.wall_now + KEPT + timedelta(minutes=1)) >= 1
