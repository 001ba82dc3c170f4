"""The scorer worker as a real process on a real broker."""

import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from services.scoring import risk_model, signals, state
from services.scoring.driver import Totals
from services.scoring.replay import Replay
from shared.events.bank import TransactionBooked
from shared.testing.servers import Servers
from tests.load.latest_rows import customers_in, latest_rows, records_in
from tests.risk_live import figures, hand_made
from tests.workers import (
    Stream,
    WorkerSpace,
    closed,
    described,
    opened_long_ago,
    replay_of,
    same_figures,
    small_bank,
)


@pytest.fixture(scope="module")
def bank() -> Stream:
    """Every account is as old as a model of risk wants it to be."""
    stream = small_bank()
    stream.events[:0] = opened_long_ago(stream)
    return stream


@pytest.fixture(scope="module")
def risk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("model") / "model.json"
    risk_model.save(hand_made("CA-P"), file)
    return file


@pytest.fixture
def space(servers: Servers, tmp_path: Path) -> Iterator[WorkerSpace]:
    room = WorkerSpace(servers, tmp_path)
    yield room
    room.close()


def _same_signals(space: WorkerSpace, replayed: Replay) -> None:
    """Bit for bit, those of a model among them."""
    assert space.signals() == sorted(
        (msgspec.json.decode(signals.encode(s, with_position=False))
         for s in replayed.result.signals),
        key=lambda s: s["id"],
    )  # fmt: skip
    kinds = Counter((s["rule"], s["kind"]) for s in space.signals())
    ends = [(rule, "cleared") for rule in ("collapse", "distress")]
    for one in [*ends, *((rule, "raised") for rule in ("collapse", "outflow_ahead", "distress"))]:
        assert kinds[one] > 0, kinds
    assert kinds.total() > 20, "a bank in which nothing happens proves nothing"


@pytest.mark.parametrize(("partitions", "records_max"), [(3, 1), (1, 7), (3, 5000), (16, 200)])
def test_live_equals_replay_at_any_batch_size_and_partition_count(
    servers: Servers, tmp_path: Path, bank: Stream, risk: Path, partitions: int, records_max: int
) -> None:
    if records_max == 1:  # a round of writing for every event: fewer of them
        bank = small_bank(customers=60, per_day=6)
        bank.events[:0] = opened_long_ago(bank)
    space = WorkerSpace(servers, tmp_path, partitions)
    try:
        space.describe(described())
        space.publish(bank.events)
        worker = space.start(
            GUANXI_WORKER_RECORDS_MAX=str(records_max), GUANXI_RISK_MODEL=str(risk)
        )
        worker.wait_ready()
        space.wait_committed()
        found = space.customers()
        same_figures(found, bank)
        replayed = replay_of(bank.events, tmp_path / "events.jsonl", [described()], risk)
        expected = {c.customer_number: c for c in replayed.customers()}
        assert figures(found) == figures(expected)
        _same_signals(space, replayed)
        assert worker.metric("guanxi_holes") == 0
        _totals_add_up(space, bank)
    finally:
        space.close()


def _totals_add_up(space: WorkerSpace, bank: Stream, told_before: int = 0) -> None:
    """Of each partition the last, a second later at most; `told_before`: records of before."""
    deadline = time.monotonic() + 120
    while True:
        told = [
            msgspec.json.decode(value or b"", type=Totals)
            for _, _, value in space.read("scoring.totals")[told_before:]
        ]
        last = {totals.partition: totals for totals in told}
        if sum(t.count for t in last.values()) == sum(bank.counts.values()):
            break
        assert time.monotonic() < deadline, last
        time.sleep(0.1)
    assert sum(t.sum_minor.get("CNY", 0) for t in last.values()) == sum(bank.sums.values())


def test_a_worker_tells_the_totals_that_a_dead_one_left_untold(
    servers: Servers, tmp_path: Path
) -> None:
    """With no event after it that would move a position."""
    bank = small_bank(customers=20, days=10)
    space = WorkerSpace(servers, tmp_path, partitions=1)
    try:
        space.describe(described())
        space.publish(bank.events)
        dead = space.start()
        space.wait_committed()
        dead.kill()
        told = len(space.read("scoring.totals"))
        space.start().wait_ready()
        _totals_add_up(space, bank, told)
    finally:
        space.close()


def test_a_worker_does_not_run_on_rows_that_count_less_than_was_told(space: WorkerSpace) -> None:
    """Older rows in the place of later ones, once compaction let those go."""
    stream = small_bank(customers=20, days=3)
    space.describe(described())
    first = space.start()
    first.wait_ready()
    space.publish(stream.events)
    space.wait_committed()
    _totals_add_up(space, stream, 0)
    first.kill()
    told = {p: msgspec.json.decode(v, type=Totals) for p, _, v in space.read("scoring.totals")}
    more = msgspec.structs.replace(told[1], count=told[1].count + 1)
    space.send([(1, b"1", msgspec.json.encode(more))], topic="scoring.totals")
    second = space.start()
    assert second.wait_dead() == 70
    assert f"count {told[1].count} transactions" in second.log.read_text()


def test_without_the_id_hashes_every_repeat_counts(space: WorkerSpace) -> None:
    """The negative control: the same harness, and figures that say how often an event came."""
    bank = small_bank(customers=20, days=10)
    came = Counter(e.data.customer_number for e in bank.events
                   if isinstance(e.data, TransactionBooked))  # fmt: skip
    assert came.total() > sum(bank.counts.values()), "nothing came twice"
    space.describe(described())
    space.publish(bank.events)
    space.start("a", ("tests.chaos.forgetful_worker", "hashes")).wait_ready()
    space.wait_committed()
    with pytest.raises(AssertionError):
        same_figures(space.customers(), bank)
    assert {n: c.count for n, c in space.customers().items()} == came


@pytest.mark.parametrize("point", ["worker.after_signals", "worker.after_state",
                                   "worker.before_ack"])  # fmt: skip
def test_a_kill_between_the_stages_of_writing_changes_nothing(
    space: WorkerSpace, tmp_path: Path, bank: Stream, risk: Path, point: str
) -> None:
    space.describe(described())
    space.publish(bank.events)
    model = {"GUANXI_RISK_MODEL": str(risk)}
    doomed = space.start(GUANXI_FAILPOINT=f"{point}:3", GUANXI_WORKER_RECORDS_MAX="300", **model)
    assert doomed.wait_dead() == -9, doomed.tail()
    second = space.start(GUANXI_FAILPOINT=f"{point}:5", GUANXI_WORKER_RECORDS_MAX="400", **model)
    assert second.wait_dead() == -9, second.tail()
    survivor = space.start(**model)
    survivor.wait_ready()
    space.wait_committed()
    found = space.customers()
    same_figures(found, bank)
    replayed = replay_of(bank.events, tmp_path / "events.jsonl", [described()], risk)
    assert figures(found) == figures({c.customer_number: c for c in replayed.customers()})
    _same_signals(space, replayed)
    assert survivor.metric("guanxi_holes") == 0
    _totals_add_up(space, bank)


def test_two_workers_that_start_a_group_together_lose_nothing(
    space: WorkerSpace, bank: Stream
) -> None:
    space.describe(described())
    space.publish(bank.events)
    workers = [space.start("a"), space.start("b")]
    for worker in workers:
        worker.wait_ready()
    space.wait_committed()
    found = space.customers()
    same_figures(found, bank)
    assert space.holes() == 0
    # The bench's fast way to read them brings the same.
    rows = customers_in(latest_rows(space))
    assert {k.decode(): state.unpack(k, v) for k, v in rows.items()} == found
    assert records_in(space, "scoring.state") == len(space.read("scoring.state"))


def test_bad_records_are_told_with_their_place_and_the_batch_goes_on(
    space: WorkerSpace, bank: Stream
) -> None:
    from shared.events.envelope import encode
    from shared.ids import partition_of
    from tests.workers import FIRST_DAY, SOURCE, transaction

    space.describe(described())
    good = transaction(1, "C1", "A1", 500, FIRST_DAY)
    home = partition_of("C1", space.partitions)
    value = encode(good)
    bad = [
        (home, b"C1", b"not json"),
        (home, None, value),
        (home, b"C2", value),
        ((home + 1) % space.partitions, b"C1", value),
        (home, b"C1", value.replace(b'"amount_minor":500', b'"amount_minor":5.5')),
        (home, b"C1", value.replace(b"booked.v1", b"booked.v9")),
        (home, b"C1", value.replace(b'"businessdate":"2025', b'"businessdate":"2999')),
        (
            home,
            b"C1",
            value.replace(b'"businessdate":"2025', b'"businessdate":"1890').replace(
                SOURCE.encode(), b"nobody/described"
            ),
        ),
        (home, b"C1", value.replace(b'"time":"2025', b'"time":"2999')),
        (home, b"C1", value.replace(b"bank.transaction_booked.v1", b"bank.weather_changed.v1")),
    ]
    space.send([*bad, (home, b"C1", value)])
    worker = space.start()
    worker.wait_ready()
    space.wait_committed()
    told = sorted(
        (d["offset"], d["kind"], d["field"])
        for _, _, v in space.read("scoring.dead")
        if (d := msgspec.json.decode(v or b""))["partition"] == home
    )
    assert told == [
        (0, "dead", ""),
        (1, "dead", "key"),
        (2, "dead", "key"),
        (3, "dead", "data.amount_minor"),
        (4, "quarantined", "type"),
        (5, "quarantined", "businessdate"),
        (6, "quarantined", "businessdate"),
        (7, "quarantined", "time"),
    ]
    elsewhere = [msgspec.json.decode(v or b"") for _, _, v in space.read("scoring.dead")
                 if msgspec.json.decode(v or b"")["partition"] != home]  # fmt: skip
    assert [(d["field"], d["topic"]) for d in elsewhere] == [("partition", "bank.events")]
    assert space.customers()["C1"].sum_minor == 500
    assert bank.events[-1].data.day == closed(bank.events[-1].data.day).data.day
