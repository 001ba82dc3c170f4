"""Real workers on a real broker, leaves and state read back from Kafka: golden G1, restatements."""

import time
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from services.scoring import leaves, model, state
from services.scoring.engine import Engine
from services.scoring.restoring import restore
from services.scoring.scores.contribution.ledger import HISTORY_DAYS
from shared.events import Event
from shared.events.bank import CreditAnswerReceived, RateSet
from shared.events.envelope import CATALOGUE, decode
from shared.testing.servers import Servers
from tests.golden import berka_g1, day_by_day
from tests.ledger_bank import (
    CURRENCY,
    FIRST_DAY,
    plain,
    random_bank,
    restatements,
    stream,
    with_rates,
)
from tests.scored import Scored
from tests.workers import WorkerSpace, described

of_g1 = pytest.mark.skipif(
    not berka_g1.DATA.is_dir(), reason=f"the data set is not at {berka_g1.DATA}"
)
Sums = dict[tuple[str, str, str], int]


def posted(space: WorkerSpace) -> dict[tuple[str, ...], leaves.Leaf]:
    """Every posted leaf once; the same one twice must be equal."""
    found: dict[tuple[str, ...], leaves.Leaf] = {}
    for _, _, value in space.read("scoring.leaves"):
        leaf = msgspec.json.decode(value or b"", type=leaves.Leaf)
        assert found.setdefault(leaf.identity(), leaf) == leaf, "the same leaf, another amount"
    return found


def still_open(space: WorkerSpace) -> list[leaves.Leaf]:
    """What a close at each partition's watermark would post, from the state alone."""
    found = []
    log: defaultdict[int, list[tuple[bytes, bytes | None]]] = defaultdict(list)
    for number, key, value in space.read("scoring.state"):
        log[number].append((key or b"", value))
    for number, records in log.items():
        partition = Engine(
            model.load(), topic="bank.events", partitions=1, currency="CNY", zone="Asia/Shanghai"
        ).partition(number)
        restore(partition, records)
        until = partition.closes.watermark + 1
        rows = partition.books.open_leaves(len(partition.account_keys), until)
        found += partition.books.leaves_of(partition.key_of, rows.tolist())
    return found


def sums(space: WorkerSpace) -> Sums:
    found: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for leaf in [*posted(space).values(), *still_open(space)]:
        found[leaf.account_number, leaf.product_code, leaf.component] += leaf.amount_minor
    return {key: amount for key, amount in found.items() if amount}


def publish_g1(space: WorkerSpace, *, rates: bool = True) -> None:
    space.publish(described_g1(space, rates=rates))


def described_g1(space: WorkerSpace, *, rates: bool = True) -> list[Event[Any]]:
    """Publishes the reference data and returns the events that are to follow."""
    events = berka_g1.events()
    reference = [e for e in events if CATALOGUE[e.type].TOPIC == "bank.reference"]
    rated = [decode(line) for line in berka_g1.RATES.read_bytes().splitlines()] if rates else []
    assert all(isinstance(e.data, RateSet) for e in rated)
    space.describe(*reference, *rated)
    return [e for e in events if CATALOGUE[e.type].TOPIC == "bank.events"]


@of_g1
@pytest.mark.parametrize("workers", [1, 3])
def test_the_golden_sums_live(servers: Servers, tmp_path: Path, workers: int) -> None:
    space = WorkerSpace(servers, tmp_path, partitions=6)
    try:
        publish_g1(space)
        running = [
            space.start(f"w{n}", GUANXI_CURRENCY=berka_g1.CURRENCY,
                        GUANXI_WORKER_RECORDS_MAX="700")
            for n in range(workers)
        ]  # fmt: skip
        for worker in running:
            worker.wait_ready()
        space.wait_committed(120)
        berka_g1.check(sums(space))
        assert not space.read("scoring.dead")
        assert space.holes() == 0
        assert len(posted(space)) > 5 * berka_g1.LEAVES, "months were closed on the way"
    finally:
        space.close()


@of_g1
def test_a_kill_between_leaves_and_state_posts_the_same_leaves(
    servers: Servers, tmp_path: Path
) -> None:
    space = WorkerSpace(servers, tmp_path, partitions=3)
    settings = {"GUANXI_CURRENCY": berka_g1.CURRENCY, "GUANXI_WORKER_RECORDS_MAX": "4000"}
    try:
        publish_g1(space)
        doomed = space.start(GUANXI_FAILPOINT="worker.after_signals:4", **settings)
        assert doomed.wait_dead() == -9, doomed.tail()
        before = len(space.read("scoring.leaves"))
        assert before > 0
        second = space.start(GUANXI_FAILPOINT="worker.after_state:3", **settings)
        assert second.wait_dead() == -9, second.tail()
        space.start(**settings).wait_ready()
        space.wait_committed(120)
        berka_g1.check(sums(space))
        again = len(space.read("scoring.leaves")) - len(posted(space))
        assert again > 0, "no leaf came twice: the kill proved nothing"
    finally:
        space.close()


@of_g1
def test_state_of_a_bank_without_rates_has_no_ledger(servers: Servers, tmp_path: Path) -> None:
    """The negative control: the same events, no price, no contribution."""
    space = WorkerSpace(servers, tmp_path, partitions=3)
    try:
        publish_g1(space, rates=False)
        space.start(GUANXI_CURRENCY=berka_g1.CURRENCY).wait_ready()
        space.wait_committed(120)
        assert sums(space) == {}
        found = space.customers()
        assert len(found) == berka_g1.CUSTOMERS
        assert all(a.ledger == () for c in found.values() for a in c.accounts)
        assert isinstance(found["13539"], state.CustomerState)
    finally:
        space.close()


@pytest.mark.parametrize("workers", [1, 3])
def test_grades_and_capital_live_are_the_leaves_of_the_loop(
    servers: Servers, tmp_path: Path, workers: int
) -> None:
    bank = random_bank(11)
    told = stream(bank, Random(0), repeats=0)
    quiet = Scored(bank).run(told, 1)
    assert any(isinstance(event.data, CreditAnswerReceived) for event in told)
    space = WorkerSpace(servers, tmp_path, partitions=3)
    try:
        space.describe(described(from_on=FIRST_DAY), *bank.rates)
        space.publish(told)
        running = [
            space.start(f"w{n}", GUANXI_CURRENCY=CURRENCY, GUANXI_WORKER_RECORDS_MAX="20")
            for n in range(workers)
        ]  # fmt: skip
        for worker in running:
            worker.wait_ready()
        space.wait_committed(60)
        assert not space.read("scoring.dead")
        closed_before = f"{FIRST_DAY + timedelta(days=bank.days):%Y-%m}"
        deadline = time.monotonic() + 120
        while any(leaf.period < closed_before for leaf in still_open(space)):
            assert time.monotonic() < deadline, "accounts without events have not posted the month"
            time.sleep(0.2)
        live = [*posted(space).values(), *still_open(space)]
        assert {leaf.identity(): leaf.amount_minor for leaf in live} == quiet.leaves()
        last = FIRST_DAY + timedelta(days=bank.days - 1)
        events = plain([event for _, event in bank.events])
        assert sums(space) == day_by_day.leaves(plain(bank.rates), events, last)
    finally:
        space.close()


RESTATED_IN = 40  # the slot in which the rates come


@pytest.mark.parametrize(
    "failpoint", ["worker.after_signals", "worker.after_state", "worker.restating"]
)
def test_a_kill_in_a_restatement_leaves_the_leaves_of_the_quiet_run(
    servers: Servers, tmp_path: Path, failpoint: str
) -> None:
    """The first write of the doomed worker is the restatement: its events are all committed."""
    bank = random_bank(11)
    late = [(RESTATED_IN, one) for _, one in restatements(11, bank, 30)
            if 0 < RESTATED_IN - (one.data.from_on - FIRST_DAY).days <= HISTORY_DAYS]  # fmt: skip
    told = with_rates(stream(bank, Random(0), repeats=0), late)
    quiet = Scored(bank).run(told, 1)
    assert not quiet.alarms
    begin = next(n for n, event in enumerate(told) if event is late[0][1])
    space = WorkerSpace(servers, tmp_path, partitions=2)
    try:
        space.describe(described(from_on=FIRST_DAY), *bank.rates)
        space.publish(told[:begin])
        first = space.start(GUANXI_CURRENCY=CURRENCY)
        first.wait_ready()
        space.wait_committed(60)
        first.stop()
        space.describe(*(one for _, one in late))
        space.publish(told[begin + len(late) :])
        doomed = space.start(GUANXI_CURRENCY=CURRENCY, GUANXI_FAILPOINT=failpoint)
        assert doomed.wait_dead() == -9, doomed.tail()
        last = space.start(GUANXI_CURRENCY=CURRENCY)
        last.wait_ready()
        space.wait_committed(60)
        assert not space.read("scoring.dead")
        live = [*posted(space).values(), *still_open(space)]
        assert {leaf.identity(): leaf.amount_minor for leaf in live} == quiet.leaves()
        if failpoint == "worker.after_signals":  # behind it the rows may all be written
            assert last.metric("guanxi_worker_restated_customers_total") > 0
    finally:
        space.close()
