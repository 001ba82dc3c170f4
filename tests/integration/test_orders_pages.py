"""The pages of orders: forms, errors at the field, buttons for those who may."""

import re

import pytest

from tests.integration import orders_room
from tests.integration.orders_room import (
    CHECKER,
    MAKER,
    approved,
    own,
    paid,
    placed,
)

space, orders_service = orders_room.space, orders_room.orders_service
room = orders_room.room


def form(**changes):
    return {
        "party_id": "P1", "currency": "CNY", "deliver_days": "1", "collect_days": "2",
        "line.0.product_code": "GOLD-BAR-10G", "line.0.quantity": "2",
        "line.0.unit_price": "8,050.00", "line.0.discount": "2.5", "key": own("k"), **changes,
    }  # fmt: skip


@pytest.fixture
def maker(room):
    client = room.client(MAKER)
    client._transport.raise_server_exceptions = True
    return client


def test_every_page_renders_in_both_languages(room, maker):
    order_id = approved(room)["order_id"]
    quote = maker.post(
        "/quotes",
        json={
            "party_id": "P1", "valid_until_on": "2026-04-01",
            "lines": [{"product_code": "POS-TERMINAL", "quantity": 1, "unit_price_minor": 68000}],
        },
    ).json()  # fmt: skip
    maker.post(f"/quotes/{quote['quote_id']}/offer")
    draft = placed(room)["order_id"]
    for path in (
        "/orders", "/orders?status=submitted&party=P1&waiting=true", "/orders/new?party=P1",
        f"/orders/new?quote={quote['quote_id']}", f"/orders/{order_id}",
        f"/orders/{order_id}/panel", f"/orders/{draft}/edit", "/quotes", "/quotes/new?party=P1",
        f"/quotes/{quote['quote_id']}", f"/quotes/{quote['quote_id']}/revise",
    ):  # fmt: skip
        for language in ("zh-CN", "en"):
            answer = maker.get(path, headers={"x-guanxi-language": language})
            assert answer.status_code == 200, (path, answer.text[:2000])
            assert len(answer.content) < 60_000, path
            if language == "en" and "/panel" not in path:
                assert not re.search("[\u4e00-\u9fff]{3,}", _text(answer.text)), path


def _text(html):
    """What is ours to translate: product names and notes of the data are not there in English."""
    return re.sub(r"<script.*?</script>", "", html, flags=re.S)


def test_the_lists_are_live_under_the_filters_they_show(room, maker):
    page = maker.get("/orders?status=draft&owner=S012&at=order.lifecycle:0:7").text
    assert "orders:all" in re.search(r'data-audiences="([^"]*)"', page).group(1).split()
    live = re.search(r'id="orders"[^>]*hx-get="([^"]*)"', page).group(1)
    assert live == "/orders/orders?status=draft&amp;owner=S012"  # and no position: it would grow
    assert 'hx-trigger="guanxi:orders:all from:body' in page
    quotes = maker.get("/quotes").text
    assert 'id="quotes"' in quotes
    assert 'hx-trigger="guanxi:orders:all from:body' in quotes


def test_a_form_makes_an_order_once(room, maker):
    first = maker.post("/forms/orders", data=form())
    again = maker.post("/forms/orders", data=form())
    assert first.status_code == 204, first.text
    assert first.headers["hx-redirect"] == again.headers["hx-redirect"]
    order_id = first.headers["hx-redirect"].rsplit("/", 1)[-1]
    shown = maker.get(f"/api/orders/{order_id}").json()
    assert shown["amount_minor"] == 1_610_000 - 40_250


def test_errors_stand_at_the_field_and_nothing_typed_is_lost(maker):
    answer = maker.post(
        "/forms/orders",
        data=form(**{"line.0.unit_price": "8050.001", "deliver_days": "soon", "note": "记一笔"}),
    )
    assert answer.status_code == 422
    assert "8050.001" in answer.text
    assert "记一笔" in answer.text
    assert 'value="soon"' in answer.text
    assert "请填写金额,最多到分" in answer.text


def test_totals_follow_what_is_typed(maker):
    answer = maker.post("/forms/totals", data=form())
    assert "15,697.50" in answer.text


def test_a_line_is_added_and_removed_without_losing_the_others(maker):
    added = maker.post("/forms/lines", data=form())
    assert "line.1.product_code" in added.text
    assert "8,050.00" in added.text
    removed = maker.post("/forms/lines", data=form(remove="0"))
    assert "8,050.00" not in removed.text


def test_the_checker_sees_the_buttons_and_the_maker_the_reason(room, maker):
    order_id = placed(room, submit=True)["order_id"]
    own = maker.get(f"/orders/{order_id}").text
    assert "/approve" not in own
    page = room.client(CHECKER).get(f"/orders/{order_id}").text
    seen = re.search(r'name="content_hash" value="([0-9a-f]{64})"', page)[1]
    answer = room.client(CHECKER).post(
        f"/forms/orders/{order_id}/approve", data={"content_hash": seen}
    )
    assert answer.status_code == 200
    assert "已生效" in answer.text


def test_a_refusal_is_said_in_the_readers_language(room):
    order_id = placed(room, submit=True)["order_id"]
    answer = room.client(CHECKER).post(
        f"/forms/orders/{order_id}/approve", data={"content_hash": "0" * 64}
    )
    assert answer.status_code == 422
    assert "订单内容与提交时不一致" in answer.text


def test_the_edit_form_says_before_that_it_voids(room, maker):
    order_id = placed(room, submit=True)["order_id"]
    page = maker.get(f"/orders/{order_id}/edit").text
    assert "保存改动会使本单审批失效" in page
    version = re.search(r'name="version" value="(\d+)"', page)[1]
    answer = maker.post(f"/forms/orders/{order_id}", data=form(version=version))
    assert answer.status_code == 204, answer.text
    assert maker.get(f"/api/orders/{order_id}").json()["status"] == "voided"


def test_payments_stand_beside_the_receivable(space, room, maker):
    order_id = approved(room)["order_id"]
    space.publish(paid(order_id, 10_000, customer_number="C7"))
    room.drain()
    panel = maker.get(f"/orders/{order_id}/panel").text
    assert "第三方" in panel
    assert "部分付款" in panel
