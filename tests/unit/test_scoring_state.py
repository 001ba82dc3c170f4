"""Rows, records, recovery, watermark: the engine without Kafka."""

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from services.scoring import model as models
from services.scoring import state, watermark
from services.scoring.engine import Engine, Outcome
from services.scoring.replay import Line
from services.scoring.restoring import restore
from services.scoring.seen import KeepsAll
from services.scoring.signals import encode as encode_signal
from services.scoring.watermark import Source
from shared.events import Event
from shared.events.bank import DayClosed
from shared.events.envelope import encode
from shared.ids import partition_of
from tests.workers import FIRST_DAY, SOURCE, Stream, closed, small_bank, transaction

MODEL = models.load()
LATEST = FIRST_DAY.toordinal() + 4000


def engine(partitions: int = 1) -> Engine:
    one = Engine(MODEL, topic="bank.events", partitions=partitions, currency="CNY",
                 zone="Asia/Shanghai")  # fmt: skip
    one.describe(SOURCE, Source(closes_days=True, active_from=FIRST_DAY.toordinal()))
    return one


def lines(events: Sequence[Event[Any]], partitions: int) -> dict[int, list[Line]]:
    """What each partition holds."""
    found: dict[int, list[Line]] = {p: [] for p in range(partitions)}
    for event in events:
        closes = isinstance(event.data, DayClosed)
        for p in found if closes else (partition_of(event.subject, partitions),):
            key = None if closes else event.subject.encode()
            found[p].append(Line(len(found[p]), key, encode(event)))
    return found


class Run:
    """An engine fed batch by batch, and everything it wrote."""

    def __init__(self, partitions: int = 1) -> None:
        self.engine = engine(partitions)
        self.seen = KeepsAll()
        self.log: list[tuple[bytes, bytes | None]] = []
        self.signals: dict[str, bytes] = {}
        self.outcomes: list[Outcome] = []

    def feed(self, partition: int, records: Sequence[Line]) -> Outcome:
        batch = self.engine.read(partition, records, LATEST)
        self.seen.note(partition, batch.columns)
        outcome = self.engine.apply(batch, self.seen.repeats(partition, batch.asked()))
        self.log += outcome.records
        for signal in outcome.signals:
            written = encode_signal(signal, with_position=False)
            assert self.signals.setdefault(signal.id, written) == written
        self.outcomes.append(outcome)
        return outcome

    def customers(self) -> dict[str, state.CustomerState]:
        return customers(self.log)


def customers(log: Sequence[tuple[bytes, bytes | None]]) -> dict[str, state.CustomerState]:
    found = {}
    for key, value in log:
        one = state.unpack(key, value) if value else None
        if isinstance(one, state.CustomerState):
            found[one.customer_number] = dataclasses.replace(one, offset=0, ids=())
    return found


def run(stream: Stream, partitions: int, size: int) -> Run:
    one = Run(partitions)
    for p, records in lines(stream.events, partitions).items():
        for begin in range(0, len(records), size):
            one.feed(p, records[begin : begin + size])
    return one


@pytest.fixture(scope="module")
def bank() -> Stream:
    return small_bank(customers=60, days=100, per_day=40)


@pytest.fixture(scope="module")
def whole(bank: Stream) -> Run:
    return run(bank, 1, 10**6)


@pytest.mark.parametrize(("partitions", "size"), [(1, 1), (1, 7), (3, 5000), (16, 7), (16, 5000)])
def test_same_figures_and_signals_at_any_batch_size_and_partition_count(
    bank: Stream, whole: Run, partitions: int, size: int
) -> None:
    other = run(bank, partitions, size)
    assert other.customers() == whole.customers()
    assert other.signals == whole.signals
    kinds = {key.split("/")[0] + "/" + key.split("/")[-1] for key in whole.signals}
    assert kinds == {f"{r}/{k}" for r in ("outflow", "silence") for k in ("raised", "cleared")}


def test_sums_are_those_of_the_distinct_events(bank: Stream, whole: Run) -> None:
    sums = {(c.customer_number, a.account_number): a.sum_minor
            for c in whole.customers().values() for a in c.accounts}  # fmt: skip
    assert sums == dict(bank.sums)
    count, by_currency = whole.engine.partition(0).totals()
    assert (count, by_currency["CNY"]) == (sum(bank.counts.values()), sum(bank.sums.values()))
    assert sum(o.counts["duplicate"] for o in whole.outcomes) > 20


@pytest.mark.parametrize("kept", [0, 1, 40, 10**9])
def test_a_crash_anywhere_in_the_state_rows_changes_nothing(
    bank: Stream, whole: Run, kept: int
) -> None:
    records = lines(bank.events, 1)[0]
    before = Run()
    cut = len(records) // 2
    for begin in range(0, cut, 500):
        before.feed(0, records[begin : min(begin + 500, cut)])
    durable = list(before.log)
    closes = state.pack_partition(before.engine.partition(0).closes)
    lost = before.feed(0, records[cut : cut + 700])  # only some of its rows get written
    after = Run()
    after.seen = before.seen  # the event store survives a worker
    after.signals = before.signals
    restore(
        after.engine.partition(0),
        [*durable, (state.PARTITION_KEY + b"0", closes), *lost.records[:kept]],
    )
    after.engine.partition(0).recovered()
    after.log = [*durable, *lost.records[:kept]]
    for begin in range(cut - 300, len(records), 900):  # redelivered from before the cut
        after.feed(0, records[begin : begin + 900])
    assert after.customers() == whole.customers()
    assert after.signals == whole.signals


def test_an_offset_is_applied_once_whatever_is_redelivered() -> None:
    one = Run()
    record = Line(5, b"C1", encode(transaction(1, "C1", "A1", 700, FIRST_DAY)))
    assert one.feed(0, [record, record]).counts == {"applied": 1, "redelivered": 1, "ignored": 0}
    assert not one.feed(0, [record]).records
    assert one.customers()["C1"].sum_minor == 700


def test_a_repeat_at_a_new_offset_is_found_in_an_open_day_and_in_a_closed_one() -> None:
    one = Run()
    first = encode(transaction(1, "C1", "A1", 700, FIRST_DAY))
    close = encode(closed(FIRST_DAY))
    one.feed(0, [Line(0, b"C1", first), Line(1, b"C1", first)])
    one.feed(0, [Line(2, None, close), Line(3, b"C1", first)])
    assert one.customers()["C1"].count == 1
    assert sum(o.counts["duplicate"] for o in one.outcomes) == 2


def test_more_ids_than_a_record_holds_spill_and_come_back() -> None:
    one = Run()
    events = [transaction(n, "C1", "A1", 1, FIRST_DAY) for n in range(9000)]
    records = [Line(n, b"C1", encode(e)) for n, e in enumerate(events)]
    one.feed(0, records[:5000])
    one.feed(0, records[5000:])
    spilled = [key for key, _ in one.log if b"/" in key]
    assert spilled == [b"C1/1", b"C1/2", b"C1/3"][: len(spilled)]
    assert len(spilled) >= 2
    after = Run()
    restore(after.engine.partition(0), one.log)
    after.engine.partition(0).recovered()
    again = [Line(9000 + n, b"C1", r.value) for n, r in enumerate(records)]
    assert after.feed(0, again).counts["duplicate"] == 9000
    gone = after.feed(0, [Line(20_000, None, encode(closed(FIRST_DAY))),
                          Line(20_001, b"C1", encode(transaction(10**5, "C1", "A1", 1,
                                                     FIRST_DAY + timedelta(days=1))))])  # fmt: skip
    assert {key for key, value in gone.records if value is None} == set(spilled)


def test_a_sum_beyond_the_exact_range_is_refused_not_wrapped() -> None:
    one = Run()
    events = [transaction(n, "C1", "A1", 2**53 - 1, FIRST_DAY) for n in range(300)]
    outcome = one.feed(0, [Line(n, b"C1", encode(e)) for n, e in enumerate(events)])
    assert outcome.counts["dead"] == 300 - 256
    assert {r.field for r in outcome.beyond} == {"data.amount_minor"}
    assert one.customers()["C1"].sum_minor == 256 * (2**53 - 1)


def test_other_currencies_have_exact_accounts_but_no_part_in_the_balance() -> None:
    one = Run()
    events = [transaction(1, "C1", "A1", 5, FIRST_DAY),
              transaction(2, "C1", "A2", 7, FIRST_DAY, currency="USD")]  # fmt: skip
    one.feed(0, [Line(n, b"C1", encode(e)) for n, e in enumerate(events)])
    customer = one.customers()["C1"]
    assert (customer.count, customer.sum_minor) == (2, 5)
    assert one.engine.partition(0).totals() == (2, {"CNY": 5, "USD": 7})


@pytest.mark.parametrize("value", [b"", b"\x02" + bytes(40), b"\x01\x09" + bytes(40),
                                   b"\x01\x01\x00\x00\x05" + bytes(200)])  # fmt: skip
def test_a_record_that_cannot_be_read_stops_the_recovery(value: bytes) -> None:
    with pytest.raises(state.UnreadableState):
        restore(engine().partition(0), [(b"C1", value)])


def test_an_apply_error_in_recovery_is_fatal() -> None:
    from types import SimpleNamespace

    from services.scoring.table import ColumnStore

    died: list[str] = []
    store = ColumnStore.__new__(ColumnStore)
    store._engine, store._fatal = engine(), died.append
    record = SimpleNamespace(key=b"C1", value=b"\x02" + bytes(40))
    event = SimpleNamespace(message=SimpleNamespace(partition=0), value=[record])
    store.apply_changelog_batch([event], None, None)
    assert len(died) == 1
    assert "recovery of partition 0 failed" in died[0]


def test_the_greater_offset_wins_in_recovery_whatever_the_order_of_the_log() -> None:
    one = Run()
    old = one.feed(0, [Line(0, b"C1", encode(transaction(1, "C1", "A1", 1, FIRST_DAY)))])
    new = one.feed(0, [Line(1, b"C1", encode(transaction(2, "C1", "A1", 2, FIRST_DAY)))])
    fresh = engine().partition(0)
    restore(fresh, [*new.records, *old.records])
    restore(fresh, old.records)
    assert int(fresh.customers["sum_minor"][0]) == 3
    assert fresh.recovered_to == 1


# Watermark -----------------------------------------------------------------------------------

A = Source(closes_days=True, active_from=10)
B = Source(closes_days=True, active_from=12)


def test_the_watermark_is_the_earliest_of_all_that_hold_it() -> None:
    at, sources = watermark.fresh(0), {"a": A, "b": B, "c": Source(False, 10)}
    assert [watermark.close(at, sources, "a", d) for d in (10, 11, 12, 13)] == ["applied"] * 4
    assert at.watermark == 11  # b is active from 12 on
    watermark.close(at, sources, "b", 12)
    assert at.watermark == 12
    assert watermark.close(at, sources, "c", 40) == "not_holding"
    assert watermark.close(at, sources, "stranger", 40) == "not_holding"


def test_a_repeat_is_a_duplicate_and_a_gap_is_held_until_it_fills() -> None:
    at, sources = watermark.fresh(0), {"a": A}
    assert watermark.close(at, sources, "a", 10) == "applied"
    assert watermark.close(at, sources, "a", 10) == "duplicate"
    assert watermark.close(at, sources, "a", 12) == "held"
    assert watermark.close(at, sources, "a", 12) == "duplicate"
    assert (at.watermark, watermark.held(at, sources)) == (10, {"a": 1})
    assert watermark.close(at, sources, "a", 11) == "applied"
    assert (at.watermark, watermark.held(at, sources)) == (12, {"a": 0})


def test_of_a_source_given_up_no_close_is_waited_for() -> None:
    at, sources = watermark.fresh(0), {"a": A, "b": B}
    for source, day in (("a", 10), ("a", 12), ("b", 12), ("b", 14)):
        watermark.close(at, sources, source, day)
    assert watermark.held(at, sources) == {"a": 1, "b": 1}
    sources["b"] = Source(closes_days=True, active_from=12, active_until=12)
    assert watermark.held(at, sources) == {"a": 1}, "it has closed its last day"
    sources["a"] = Source(closes_days=True, active_from=10, active_until=11)
    assert watermark.held(at, sources) == {"a": 1}, "its last day is the one that is missing"


def test_a_source_is_stalled_by_the_days_that_are_over_and_not_closed() -> None:
    ended = Source(closes_days=True, active_from=10, active_until=11)
    at, sources = watermark.fresh(0), {"a": A, "b": B, "c": Source(False, 10), "e": ended}
    assert watermark.stalled(at, sources, 9) == {"a": 0, "b": 0, "e": 0}, "none is active yet"
    for source, day in (("a", 10), ("a", 11), ("e", 10), ("e", 11), ("b", 12), ("b", 14)):
        watermark.close(at, sources, source, day)
    assert watermark.stalled(at, sources, 11) == {"a": 0, "b": 0}, "e has closed its last day"
    assert watermark.stalled(at, sources, 15) == {"a": 4, "b": 3}, "a day held is not closed"
    watermark.close(at, sources, "b", 13)
    assert watermark.stalled(at, sources, 15) == {"a": 4, "b": 1}
    sources["late"] = Source(closes_days=True, active_from=at.watermark)
    assert watermark.stalled(at, sources, 15).keys() == {"a", "b"}, "it cannot hold days closed"


def test_a_source_that_ended_no_longer_holds_and_one_that_comes_late_cannot() -> None:
    ended = Source(closes_days=True, active_from=10, active_until=11)
    at, sources = watermark.fresh(0), {"a": A, "b": ended}
    for day in (10, 11):
        watermark.close(at, sources, "a", day)
        watermark.close(at, sources, "b", day)
    watermark.close(at, sources, "a", 12)
    assert at.watermark == 12
    sources["late"] = Source(closes_days=True, active_from=12)
    assert watermark.close(at, sources, "late", 12) == "too_late"
    watermark.close(at, sources, "a", 13)
    assert at.watermark == 13
