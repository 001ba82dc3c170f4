"""A server is gone for a while, under load: APIs keep accepting, and nothing is lost or doubled.

The servers are this module's own, so that killing them disturbs nobody.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import httpx
import pytest
import redis
from sqlalchemy import create_engine, text

from deploy.bank.places import SOURCE
from deploy.bank.simulation import Bank, Plan
from shared.testing.servers import Servers, embedded_servers
from shared.testing.space import Space, token_for
from tests.chaos.five import holes_of
from tests.chaos.stage import PRODUCT, OrdersProcess, key_server, payment, seat_staff

RATE_PER_S = 20.0
WARM_S = 2.0  # under load before the server goes
GIVEN = ("GUANXI_KAFKA", "GUANXI_DATABASE", "GUANXI_REDIS", "LANE")
KAFKA, POSTGRES, REDIS = GIVEN[:3]
FROZEN_S, DEAD_S = 10.0, 30.0


@pytest.fixture(scope="module")
def own_servers() -> Iterator[Servers]:
    with pytest.MonkeyPatch.context() as patch:
        for name in GIVEN:
            patch.delenv(name, raising=False)
        with embedded_servers() as found:
            yield found


@pytest.fixture(scope="module")
def space(own_servers: Servers) -> Iterator[Space]:
    room = Space(own_servers)
    yield room
    room.close()


@pytest.fixture(scope="module")
def orders(space: Space) -> Iterator[OrdersProcess]:
    seat_staff(space)
    with key_server() as url:
        process = OrdersProcess(space, url)
        process.start()
        yield process
        process.kill()


@dataclass
class Load:
    """Places orders without pause, one after the other at a steady rate; keeps every answer.

    Every order has a key of its own and is asked once, unless `retry` says that no answer means
    to ask again: then the key makes the repeats one order.
    """

    name: str
    port: int
    retry: bool = False
    placed: dict[int, str] = field(default_factory=dict)  # number -> order id, as acknowledged
    refused: dict[int, str] = field(default_factory=dict)  # number -> the answer that was not 201
    slowest_s: float = 0.0

    @contextmanager
    def running(self) -> Iterator["Load"]:
        stop = threading.Event()
        thread = threading.Thread(target=self._run, args=(stop,))
        thread.start()
        try:
            yield self
        finally:
            stop.set()
            thread.join(timeout=60)
            assert not thread.is_alive()

    def _run(self, stop: threading.Event) -> None:
        headers = {"authorization": f"Bearer {token_for('S1')}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers) as client:
            number = 0
            while not stop.is_set():
                began = time.monotonic()
                self._place(client, number)
                took = time.monotonic() - began
                self.slowest_s = max(self.slowest_s, took)
                number += 1
                stop.wait(max(1 / RATE_PER_S - took, 0.0))

    def _place(self, client: httpx.Client, number: int) -> None:
        line = {"product_code": PRODUCT, "quantity": 1, "unit_price_minor": 1000 + number}
        body = {"party_id": "P1", "customer_number": "C1", "submit": True, "lines": [line]}
        deadline = time.monotonic() + 40
        while True:
            try:
                answer = client.post(
                    "/orders",
                    json=body,
                    timeout=15,
                    headers={"Idempotency-Key": f"{self.name}-{number}"},
                )
                said = f"{answer.status_code} {answer.text[:200]}"
                if answer.status_code == 201:
                    self.placed[number] = answer.json()["order_id"]
                    return
            except httpx.HTTPError as error:
                said = repr(error)
            if not self.retry or time.monotonic() > deadline:
                self.refused[number] = said
                return
            time.sleep(0.1)


def query(space: Space, sql: str) -> list[tuple]:
    engine = create_engine(space.database("orders"))
    try:
        with engine.begin() as connection:
            connection.execute(text("set search_path to orders"))
            return [tuple(row) for row in connection.execute(text(sql))]
    finally:
        engine.dispose()


def until(true: Callable[[], bool], what: str, deadline_s: float = 120.0) -> float:
    """Waits for a fact; answers how long it took, in seconds."""
    began = time.monotonic()
    while not true():
        assert time.monotonic() - began < deadline_s, f"not after {deadline_s} s: {what}"
        time.sleep(0.1)
    return time.monotonic() - began


def unsent(space: Space) -> int:
    return query(space, "select count(*) from outbox")[0][0]


def kill(own_servers: Servers, name: str, number: signal.Signals = signal.SIGKILL) -> None:
    """The server's whole process group: PostgreSQL has a process per session."""
    os.killpg(own_servers.stack.children[name].pid, number)
    if number == signal.SIGKILL:
        own_servers.stack.children[name].process.wait()


def assert_nothing_lost_or_doubled(space: Space, load: Load) -> None:
    stored = {row[0] for row in query(space, "select order_id from orders")}
    acknowledged = list(load.placed.values())
    assert len(set(acknowledged)) == len(acknowledged), "two answers name one order"
    assert set(acknowledged) - stored == set(), "acknowledged and lost"
    told = space.read("order.lifecycle")
    submitted = [e.data.order_id for e in {e.id: e for e in told}.values()
                 if e.type == "orders.order_submitted.v1"]  # fmt: skip
    assert sorted(submitted) == sorted(stored), "the topic and the table differ"
    assert holes_of(told) == {}, "out of order"


def pay_all(space: Space, load: Load) -> float:
    """Every order is paid after the outage: the listener lives. Seconds until all are applied."""
    placed = set(load.placed.values())
    space.publish(
        *(payment(f"{load.name}-{n}", order, 1000 + n) for n, order in load.placed.items())
    )

    def paid() -> bool:
        return placed <= {row[0] for row in query(space, "select order_id from payments")}

    return until(paid, "all payments are applied")


def meanwhile(during: int, load: Load, drained_s: float) -> str:
    return (
        f"{during} orders accepted meanwhile, slowest answer {load.slowest_s * 1000:.0f} ms, "
        f"drained {drained_s:.1f} s after"
    )


def test_while_the_broker_is_frozen_the_api_accepts_and_the_topic_misses_nothing(
    space: Space, orders: OrdersProcess, own_servers: Servers, figure
):
    load = Load("frozen", orders.port)
    with load.running():
        time.sleep(WARM_S)
        before = len(load.placed)
        kill(own_servers, KAFKA, signal.SIGSTOP)
        try:
            time.sleep(FROZEN_S)
            during, waiting = len(load.placed) - before, unsent(space)
        finally:
            kill(own_servers, KAFKA, signal.SIGCONT)
        drained_s = until(lambda: unsent(space) < 5, "the outbox drains under load")
    until(lambda: unsent(space) == 0, "the outbox is empty")
    assert load.refused == {}
    assert during >= (before / WARM_S) * FROZEN_S / 3  # a slow machine is slow before, too
    assert waiting >= during * 0.8
    assert_nothing_lost_or_doubled(space, load)
    paid_s = pay_all(space, load)
    figure(f"broker frozen {FROZEN_S:.0f} s: {meanwhile(during, load, drained_s)}, "
          f"{len(load.placed)} payments applied in {paid_s:.1f} s")  # fmt: skip


def test_while_the_broker_is_dead_the_api_accepts_and_the_topic_misses_nothing(
    space: Space, orders: OrdersProcess, own_servers: Servers, figure
):
    load = Load("dead", orders.port)
    with load.running():
        time.sleep(WARM_S)
        before = len(load.placed)
        kill(own_servers, KAFKA)
        time.sleep(DEAD_S)
        during = len(load.placed) - before
        ready = httpx.get(f"http://127.0.0.1:{orders.port}/health/ready", timeout=30)
        own_servers.stack.watch()  # the supervisor starts it again
        drained_s = until(lambda: unsent(space) < 5, "the outbox drains under load")
    until(lambda: unsent(space) == 0, "the outbox is empty")
    assert ready.status_code == 200, "an API is ready without a broker"
    assert load.refused == {}
    assert during >= (before / WARM_S) * DEAD_S / 3  # a slow machine is slow before, too
    assert_nothing_lost_or_doubled(space, load)
    paid_s = pay_all(space, load)
    figure(f"broker dead {DEAD_S:.0f} s: {meanwhile(during, load, drained_s)}, "
          f"{len(load.placed)} payments applied in {paid_s:.1f} s")  # fmt: skip


def test_a_database_that_dies_costs_no_acknowledged_order_and_services_come_back(
    space: Space, orders: OrdersProcess, own_servers: Servers, figure
):
    load = Load("database", orders.port, retry=True)
    with load.running():
        time.sleep(3)
        kill(own_servers, POSTGRES)
        time.sleep(2)
        before = len(load.placed)
        own_servers.stack.watch()
        back_s = until(lambda: len(load.placed) > before + 20, "orders are placed again")
    until(lambda: unsent(space) == 0, "the outbox drains")
    assert load.refused == {}
    assert not orders.died(), "the service comes back by itself"
    assert_nothing_lost_or_doubled(space, load)
    paid_s = pay_all(space, load)
    figure(f"database killed: {len(load.placed)} acknowledged, lost 0, 20 more placed "
          f"{back_s:.1f} s after its return, all paid {paid_s:.1f} s later")  # fmt: skip


def test_redis_wiped_and_killed_takes_nothing_durable(
    space: Space, orders: OrdersProcess, own_servers: Servers, figure
):
    headers = {"authorization": f"Bearer {token_for('S1')}"}
    page = f"http://127.0.0.1:{orders.port}/orders"
    load = Load("redis", orders.port)
    with load.running():
        time.sleep(2)
        redis.Redis.from_url(own_servers.redis).flushall()
        time.sleep(1)
        kill(own_servers, REDIS)
        before = len(load.placed)
        time.sleep(3)
        during = len(load.placed) - before
        without = httpx.get(page, headers=headers, timeout=30).status_code
        own_servers.stack.watch()
        time.sleep(1)
    until(lambda: unsent(space) == 0, "the outbox drains")
    assert load.refused == {}
    assert during >= before / 3
    assert without == 200
    assert httpx.get(page, headers=headers, timeout=30).status_code == 200
    assert_nothing_lost_or_doubled(space, load)
    figure(f"redis wiped and killed: {during} orders placed without it, pages answer")


def test_the_simulated_bank_waits_for_the_broker_and_goes_on_by_itself(
    space: Space, own_servers: Servers, tmp_path: Path, figure
):
    """No restart by a supervisor; what it sent twice is one event, by its id."""
    command = [sys.executable, "-m", "deploy.bank", "live", "--state", str(tmp_path / "live.json"),
               "--customers", "30", "--days", "12", "--seed", "3", "--speed", "43200"]  # fmt: skip
    environment = {
        **os.environ,
        "GUANXI_KAFKA": space.servers.kafka,
        "GUANXI_TOPIC_PREFIX": space.prefix,
        "GUANXI_DELIVERY_TIMEOUT_S": "2",
    }
    told = tmp_path / "told"

    def published() -> list[str]:
        return [e.id for e in space.read("bank.events") if e.source == SOURCE]

    with told.open("wb") as out:
        bank = subprocess.Popen(command, env=environment, stdout=out, stderr=out)
    try:
        until(lambda: len(published()) > 100, "the bank runs")
        kill(own_servers, KAFKA, signal.SIGSTOP)
        until(lambda: "bank_waits" in told.read_text(), "the bank says that it waits")
        kill(own_servers, KAFKA, signal.SIGCONT)
        kill(own_servers, KAFKA)
        own_servers.stack.watch()
        back_s = until(lambda: "bank_goes_on" in told.read_text(), "the bank goes on")
        before = len(published())
        until(lambda: len(published()) > before + 100, "more events come")
        assert bank.poll() is None, told.read_text()
    finally:
        bank.send_signal(signal.SIGTERM)
        bank.wait(timeout=90)
    assert bank.returncode == 0, told.read_text()
    ids = published()
    done = json.loads((tmp_path / "live.json").read_text())
    plan, wanted = Plan(customers=30, days=12, seed=3), set()
    for on, events in Bank(plan).days():
        if on >= date.fromisoformat(done["day"]):
            break
        wanted |= {e.id for e in events if on >= plan.live_on and e.data.TOPIC == "bank.events"}
    closes = {one for one in wanted if one.startswith("close-")}  # one for each partition
    assert wanted - closes - set(ids) == set()
    figure(f"the bank in an outage: {len(set(ids))} events, {len(ids) - len(set(ids))} sent twice, "
           f"on again {back_s:.1f} s after the broker's return")  # fmt: skip
