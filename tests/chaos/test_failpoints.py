"""kill -9 at every named point of a service: nothing lost, doubled or reordered.

The points are shared code, so they are killed once each, through orders. The controls break one
rule at a time and must be found out by the same harness. The two rules that only the scorer's
worker has are broken in the worker's own harnesses:

id hashes off: tests/integration/test_worker.py, `..without_the_id_hashes..`
start offset not committed: tests/chaos/test_worker_first_start.py, `..without_the_committed..`
"""

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from shared.testing.space import Space
from tests.chaos.stage import Maker, OrdersProcess, key_server, payment, seat_staff

ORDERS = 12
REPEATS = 4  # payments that the bank sends again, at new offsets
PATIENCE_S = 90.0
POINTS = (
    "api.before_commit:4", "api.after_commit:4", "api.before_answer:4",
    "relay.after_read:6", "relay.after_produce:3", "relay.after_delete:3",
    "consumer.after_claim:3", "consumer.after_effect:3", "consumer.after_commit:3",
)  # fmt: skip


@pytest.fixture(scope="module")
def keys():
    with key_server() as url:
        yield url


def outcome(
    space: Space, process: OrdersProcess, failpoint: str, patience_s: float = PATIENCE_S
) -> dict[str, int]:
    """Drives orders through one kill, then says what was lost, doubled or out of order."""
    seat_staff(space)
    process.start(failpoint)
    placed = place_two_by_two(space, process, patience_s / 10)
    for number, order_id in placed.items():  # one at a time, so that there are many batches
        space.publish(payment(number, order_id, 1000 + number), event_id=f"txn-{number}")
        wait_settled(space, process, number + 1, patience_s / 10)
    for number in range(ORDERS - REPEATS, ORDERS):  # none of those that a control lost by its kill
        space.publish(payment(number, placed[number], 1000 + number), event_id=f"txn-{number}")
    process.kill()
    process.start()
    deaths = process.deaths
    settled = wait_settled(space, process, ORDERS + REPEATS, patience_s)
    counted = ask(space, COUNTED) == ORDERS + REPEATS
    process.kill()
    return {"died": deaths, "unsettled": not (settled and counted), **verdict(space, placed)}


def place_two_by_two(space: Space, process: OrdersProcess, patience_s: float) -> dict[int, str]:
    """Two orders at a time, so that transactions overlap, and each pair is said by itself. If the
    process dies under a request, it is started again and the request repeated."""
    maker, reviving = Maker(process.port), threading.Lock()

    def place(number: int) -> str:
        try:
            return maker.place(number, deadline_s=1)
        except AssertionError:
            with reviving:
                process.revive()
            return maker.place(number)

    placed = {}
    with ThreadPoolExecutor(2) as pool:
        for number in range(0, ORDERS, 2):
            process.revive()
            pair = (number, number + 1)
            placed |= dict(zip(pair, pool.map(place, pair), strict=True))
            wait_settled(space, process, 0, patience_s)
    return placed


def heard(space: Space) -> int:
    """How many messages of the bank's are behind it, whatever came of them."""
    return ask(space, "select coalesce(sum(next_offset - start_offset), 0)"
                      " from positions where topic = 'bank.events'")  # fmt: skip


def ask(space: Space, sql: str) -> int:
    with database(space).begin() as connection:
        connection.execute(text("set search_path to orders"))
        return int(connection.execute(text(sql)).scalar_one())


def wait_settled(space: Space, process: OrdersProcess, count: int, patience_s: float) -> bool:
    """Until so many payments are heard, and nothing waits to be said or patience with it ends."""
    deadline = time.monotonic() + PATIENCE_S
    while heard(space) < count:
        assert time.monotonic() < deadline, f"{count} payments are not heard"
        process.revive()
        time.sleep(0.02)
    deadline = time.monotonic() + patience_s
    while ask(space, "select count(*) from outbox") > 0:
        if time.monotonic() > deadline:
            return False
        process.revive()
        time.sleep(0.02)
    return True


def database(space: Space):
    from sqlalchemy import create_engine

    if not hasattr(space, "admin_engine"):
        space.admin_engine = create_engine(space.database("orders"))
    return space.admin_engine


COUNTED = "select coalesce(sum(count), 0) from tallies where topic = 'bank.events'"


def verdict(space: Space, placed: dict[int, str]) -> dict[str, int]:
    """Compares what was answered with the tables and with the topic as a reader sees it."""
    with database(space).begin() as connection:
        connection.execute(text("set search_path to orders"))
        stored = set(connection.execute(text("select order_id from orders")).scalars())
        paid = Counter(connection.execute(text("select order_id from payments")).scalars())
        # A payment's number is unique in its table too: a second effect shows in the tally only.
        applied = connection.execute(text(f"{COUNTED} and outcome = 'applied'")).scalar_one()
        difference = connection.execute(
            text(
                "select coalesce(sum(abs(a.n - coalesce(t.n, 0))), 0) from"
                " (select topic, sum(next_offset - start_offset) n from positions group by topic) a"
                " left join (select topic, sum(count) n from tallies group by topic) t"
                " using (topic)"
            )
        ).scalar_one()
    first_seen: dict[str, list[int]] = {}
    seen: set[str] = set()
    bodies: dict[tuple[str, str], int] = Counter()
    for event in space.read("order.lifecycle"):
        if event.id in seen:
            continue  # a repeat with the same identity: every reader drops it
        seen.add(event.id)
        first_seen.setdefault(event.data.order_id, []).append(event.sequence)
        bodies[event.data.order_id, event.type] += 1
    return {
        "lost": len(set(placed.values()) - stored)
        + sum(f"orders.{t}.v1" not in {k[1] for k in bodies if k[0] == o}
              for o in placed.values() for t in ("order_submitted",)),
        "doubled": (len(stored) - len(set(placed.values())))
        + sum(n - 1 for n in paid.values() if n > 1)
        + max(int(applied) - len(placed), 0)
        + sum(bodies[o, "orders.order_submitted.v1"] - 1 for o in stored
              if bodies[o, "orders.order_submitted.v1"] > 1),
        "unpaid": len(set(placed.values()) - set(paid)),
        "disordered": sum(s != list(range(1, len(s) + 1)) for s in first_seen.values()),
        "difference": int(difference),
    }  # fmt: skip


CLEAN = {"unsettled": False, "lost": 0, "doubled": 0, "unpaid": 0, "disordered": 0, "difference": 0}


@pytest.mark.parametrize("failpoint", POINTS)
def test_a_kill_at_this_point_costs_nothing(space: Space, keys: str, failpoint: str):
    process = OrdersProcess(space, keys)
    try:
        found = outcome(space, process, failpoint)
    finally:
        process.kill()
    assert found.pop("died"), f"{failpoint} was never reached"
    assert found == CLEAN


POSITION_FIRST = """
from services.orders.__main__ import SERVICE, main
from shared import consumer, positions
stock = consumer.Listener._apply
def apply(self, records):
    with self.database.transaction() as tx:  # the position, before and apart from the effect
        positions.advance(tx, positions.lock_and_filter(tx, records))
    real = positions.lock_and_filter
    consumer.positions.lock_and_filter = lambda tx, records: records
    try:
        stock(self, records)
    finally:
        consumer.positions.lock_and_filter = real
consumer.Listener._apply = apply
main(SERVICE)
"""
DELETES_FIRST = """
from services.orders.__main__ import SERVICE, main
from shared import outbox
def round(self):  # deletes before it produces
    from sqlalchemy import delete, select
    from shared.db import OutboxRow
    with self._database.transaction() as tx:
        rows = list(tx.session.execute(select(OutboxRow).order_by(OutboxRow.id)).scalars())
        tx.session.execute(delete(OutboxRow).where(OutboxRow.id.in_([r.id for r in rows])))
    if rows:
        outbox.failpoints.reach("relay.after_read")
        self._produce(rows)
    return len(rows)
outbox.Relay.round = round
main(SERVICE)
"""
# Every second request commits late: its ids are taken, its rows are not yet seen.
SLOW_COMMITS = """
import itertools, time
from services.orders.__main__ import SERVICE, main
from shared import outbox
stock, turns = outbox.write_drafts, itertools.count()
def write_drafts(tx):
    stock(tx)
    if tx.enqueued and tx.actor_id and next(turns) % 2 == 0:
        time.sleep(0.5)
outbox.write_drafts = write_drafts
"""
BY_CURSOR = (
    SLOW_COMMITS  # noqa: S608 - a program, no statement
    + """
from sqlalchemy import delete, select, text
from shared.db import OutboxRow
def round(self):  # remembers the last id it sent, and reads on from there
    with self._database.transaction() as tx:
        tx.session.execute(text("create table if not exists relay_cursor (id bigint)"))
        at = tx.session.execute(text("select coalesce(max(id), 0) from relay_cursor")).scalar_one()
        rows = list(tx.session.execute(
            select(OutboxRow).where(OutboxRow.id > at).order_by(OutboxRow.id)).scalars())
        if rows:
            done = [row.id for row in self._produce(rows)]
            tx.session.execute(delete(OutboxRow).where(OutboxRow.id.in_(done)))
            tx.session.execute(text("insert into relay_cursor values (:id)"), {"id": max(done)})
    return len(rows)
outbox.Relay.round = round
main(SERVICE)
"""
)
NO_INBOX = """
from services.orders.__main__ import SERVICE, main
from shared import inbox
inbox.claim = lambda tx, wanted: (set(range(len(wanted))), set())
main(SERVICE)
"""


def test_ids_that_commit_out_of_order_cost_nothing(space: Space, keys: str):
    process = OrdersProcess(space, keys, code=f"{SLOW_COMMITS}main(SERVICE)")
    try:
        found = outcome(space, process, "")
    finally:
        process.kill()
    assert found == {"died": 0, **CLEAN}


@pytest.mark.parametrize(
    ("code", "failpoint", "sign"),
    [
        (POSITION_FIRST, "consumer.after_claim:3", "unpaid"),
        (DELETES_FIRST, "relay.after_read:4", "lost"),
        (BY_CURSOR, "", "lost"),
        (NO_INBOX, "", "doubled"),
    ],
    ids=["position before the effect", "relay that deletes before it produces",
         "relay by cursor", "inbox off"],
)  # fmt: skip
def test_a_broken_rule_is_found_out(space: Space, keys: str, code, failpoint, sign):
    process = OrdersProcess(space, keys, code=code)
    try:
        # What the cursor has passed stays in the outbox for ever.
        found = outcome(space, process, failpoint, 3 if code is BY_CURSOR else PATIENCE_S)
    finally:
        process.kill()
    assert bool(found["died"]) == bool(failpoint)
    assert found[sign] > 0, found
    others = {"lost", "unpaid", "doubled", "disordered"} - {sign}
    assert not any(found[other] for other in others), f"another rule broke too: {found}"
