"""Orders placed per second through the gateway by clients at once; each is then on the topic."""

import threading
import time
from collections import Counter
from typing import Any

import httpx

from tests.load.stage import Bench, spread

CLIENTS = 8
SECONDS = 20.0


def run(bench: Bench, *, quick: bool) -> dict[str, Any]:
    """Submitted orders; every acknowledged one is asserted in the table and on the topic."""
    seconds = 5.0 if quick else SECONDS
    customer = next(c for c in bench.customers if c.manager_code.startswith("RM-SH01-1"))
    sql = "select party_id from parties where customer_number = :n"
    party = bench.rows("customer", sql, n=customer.number)[0].party_id
    start = bench.ends("order.lifecycle")
    placed: list[str] = []
    took: list[float] = []
    stop = time.monotonic() + seconds

    def client(number: int) -> None:
        line = {"product_code": "GOLD-BAR-10G", "quantity": 1, "unit_price_minor": 80_000 + number}
        body = {"party_id": party, "lines": [line], "submit": True}
        headers = bench.headers("S012")
        with httpx.Client(base_url=bench.system.url, timeout=20, headers=headers) as http:
            while time.monotonic() < stop:
                began = time.monotonic()
                answer = http.post("/orders/orders", json=body)
                took.append(time.monotonic() - began)
                assert answer.status_code == 201, answer.text
                placed.append(answer.json()["order_id"])

    threads = [threading.Thread(target=client, args=(n,)) for n in range(CLIENTS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lasted = time.monotonic() - began
    waiting = "select count(*) from outbox"
    drained = bench.wait(lambda: bench.rows("orders", waiting)[0][0] == 0, "the outbox drains")
    _assert_effects(bench, placed, start)
    return {
        "clients": CLIENTS,
        "orders_per_s": round(len(placed) / lasted, 1),
        "placed": len(placed),
        "outbox_drained_s": round(drained, 2),
        "answer": spread(took),
    }


def _assert_effects(bench: Bench, placed: list[str], start: dict[int, int]) -> None:
    assert len(set(placed)) == len(placed), "two answers name one order"
    sql = "select order_id from orders where order_id = any(:ids)"
    stored = {row.order_id for row in bench.rows("orders", sql, ids=placed)}
    assert stored == set(placed), "acknowledged orders are missing"
    told = Counter(
        event["data"]["order_id"]
        for event in bench.read("order.lifecycle", start)
        if event["type"] == "orders.order_submitted.v1"
    )
    assert {order: told[order] for order in placed} == dict.fromkeys(placed, 1)
