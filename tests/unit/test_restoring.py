"""Records taken back: the same bytes come out again, and bad ones are refused whole."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random
from struct import pack
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.scoring import model as models
from services.scoring import reference, risk_plan, state
from services.scoring.engine import Engine
from services.scoring.interned import Interned, joined
from services.scoring.partition import Partition
from services.scoring.replay import Line
from services.scoring.restoring import restore
from services.scoring.rows import (
    ACCOUNT_WORDS,
    CUSTOMER_WORDS,
    KIND_CUSTOMER,
    LEDGER_WORDS,
    RECORD_VERSION,
)
from services.scoring.scores.contribution.entries import CELL_MIN
from services.scoring.scores.watching import ACCOUNTS, WORDS
from services.scoring.watermark import Source
from shared.events.envelope import encode
from tests.load.bench_worker import rates_of
from tests.risk_live import hand_made
from tests.workers import FIRST_DAY, SOURCE, closed, transaction

WATCHED = "CA-P"
PLAN = risk_plan.plan_of(hand_made(WATCHED))
MAX = 2**63 - 1


def engine() -> Engine:
    one = Engine(models.load(), topic="bank.events", partitions=1, currency="CNY",
                 zone="Asia/Shanghai", plan=PLAN)  # fmt: skip
    one.describe(SOURCE, Source(closes_days=True, active_from=FIRST_DAY.toordinal()))
    return one


def fresh() -> Partition:
    return engine().partition(0)


def all_records(partition: Partition) -> dict[bytes, bytes | None]:
    return dict(partition.records(np.arange(len(partition.numbers))))


def words(*of: int) -> bytes:
    return pack(f"<{len(of)}q", *of)


@dataclass
class Account:
    """Written by hand: what `packing` is held against."""

    texts: tuple[str, str, str, str]
    figures: list[int]
    ledger: list[int]
    entries: list[tuple[int, int]]
    watch: list[int]

    def record(self) -> bytes:
        texts = [text.encode() for text in self.texts]
        letters = b"".join(texts)
        ledger = self.ledger
        while ledger and ledger[-1] == 0:
            ledger = ledger[:-1]
        return b"".join((
            words(*self.figures), pack("<IIq", len(self.entries), len(ledger), len(self.watch)),
            pack("<HHHH", *map(len, texts)), letters, bytes(-len(letters) % 8), words(*ledger),
            *(words(*entry) for entry in self.entries), words(*self.watch),
        ))  # fmt: skip


def customer(
    row: Sequence[int], accounts: Sequence[Account], ids: Sequence[tuple[int, int]] = (),
    grades: Sequence[tuple[int, int, int]] = (),
) -> bytes:  # fmt: skip
    days = [day for _, day in ids]
    return b"".join((
        pack("<BBHIII", RECORD_VERSION, KIND_CUSTOMER, 0, len(accounts), len(ids), len(grades)),
        words(*row), *(account.record() for account in accounts), words(*(h for h, _ in ids)),
        pack(f"<{len(ids)}i", *days), bytes(4 * (len(ids) % 2)), *(words(*g) for g in grades),
    ))  # fmt: skip


INTEGERS = st.integers(-MAX, MAX)
TEXTS = st.tuples(
    st.text("A1账é", min_size=1, max_size=20), st.sampled_from([WATCHED, "SA", "定期"]),
    st.sampled_from(["CNY", "USD"]), st.sampled_from(["", "", "", "L1", "贷2"]),
)  # fmt: skip


@st.composite
def ledgers(draw: Any) -> tuple[list[int], list[tuple[int, int]]]:
    """A ledger, and entries in the order of their three lists."""
    if draw(st.booleans()):
        return [], []
    settled_on = draw(st.integers(1, 800_000))
    rest = draw(st.lists(INTEGERS, max_size=LEDGER_WORDS - 1))
    days = st.lists(st.integers(0, 1_000), unique=True, max_size=6)
    pending = sorted(2 * settled_on + day for day in draw(days))
    history = sorted(2 * settled_on - 1 - day for day in draw(days))
    cells = sorted(CELL_MIN + cell for cell in draw(days))
    ledger = [settled_on, *rest, *[0] * (LEDGER_WORDS - 1 - len(rest))]
    return ledger, [(code, draw(INTEGERS)) for code in (*history, *pending, *cells)]


@st.composite
def accounts_of(draw: Any) -> list[Account]:
    found = []
    for texts in draw(st.lists(TEXTS, unique=True, max_size=4)):
        _, product, currency, loan = texts
        own = 0
        if (product, currency, loan) == (WATCHED, "CNY", ""):
            own = WORDS[ACCOUNTS] + 4 * draw(st.integers(0, 3))
        figures = draw(st.lists(INTEGERS, min_size=ACCOUNT_WORDS, max_size=ACCOUNT_WORDS))
        watch = [Random(draw(st.integers(0, 99))).randrange(-MAX, MAX) for _ in range(own)]
        ledger, entries = draw(ledgers())
        found.append(Account(texts, figures, ledger, entries, watch))
    return found


@st.composite
def records(draw: Any) -> bytes:
    """A customer's record as it may stand in the log."""
    place = draw(st.tuples(st.integers(0, MAX), st.integers(0, MAX)))
    figures = st.lists(INTEGERS, min_size=CUSTOMER_WORDS - 2, max_size=CUSTOMER_WORDS - 2)
    accounts = draw(accounts_of())
    ids = draw(st.lists(st.tuples(INTEGERS, st.integers(1, 2**31 - 1)), max_size=5,
                        unique_by=lambda one: one[0]))  # fmt: skip
    grades = draw(st.lists(st.tuples(st.integers(0, len(accounts)), st.integers(0, MAX),
                                     st.integers(0, 99)), unique=True, max_size=4))  # fmt: skip
    # Latest first; of one time that of the account that began last, which stands first here.
    grades.sort(key=lambda g: (-g[1], g[0] or MAX, -g[2]))
    return customer([*place, *draw(figures)], accounts, ids, grades)


@settings(deadline=None)
@given(st.lists(records(), min_size=1, max_size=4))
def test_what_a_record_says_is_what_is_written_again(values: list[bytes]) -> None:
    log = [(b"C%d" % n, value) for n, value in enumerate(values)]
    one = fresh()
    restore(one, log)
    assert all_records(one) == dict(log)
    restore(one, log)  # the same again changes nothing
    assert all_records(one) == dict(log)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3), records()), min_size=1, max_size=8), st.integers(1, 8))
def test_of_one_key_the_greatest_place_stays_and_of_equal_ones_the_last(
    told: list[tuple[int, bytes]], size: int
) -> None:
    # Accounts and ids only ever come, so one shape of record is told at several places.
    log = [(b"C%d" % n, customer(list(np.frombuffer(value, "<i8", CUSTOMER_WORDS, 16)), ()))
           for n, value in told]  # fmt: skip
    one, newest = fresh(), dict[bytes, bytes]()
    for begin in range(0, len(log), size):
        restore(one, [*log[begin : begin + size], (b"C0/1", None)])
    for key, value in log:
        if key not in newest or state.place_of(value) >= state.place_of(newest[key]):
            newest[key] = value
    assert all_records(one) == newest
    assert one.recovered_to == max(state.place_of(value)[0] for value in newest.values())


RICH = customer(
    [7, 1, *range(100, 100 + CUSTOMER_WORDS - 2)],
    [Account(("A-0000123", WATCHED, "CNY", ""), [1, 2, 3, 4, 5],
             [730_000, 5, *[0] * (LEDGER_WORDS - 2)], [(1_460_010, 4), (CELL_MIN + 5, 6)],
             list(range(WORDS[ACCOUNTS] + 4))),
     Account(("A-0000123", "LN", "CNY", "L7"), [4, 5, 6, 7, 8], [], [], [])],
    [(11, 740_000), (12, 740_001), (13, 740_002)], [(2, 9, 3), (0, 8, 2)],
)  # fmt: skip


def test_the_rich_record_is_taken_as_it_is() -> None:
    one = fresh()
    restore(one, [(b"C1", RICH)])
    assert all_records(one) == {b"C1": RICH}


@pytest.mark.parametrize("n", range(0, len(RICH), 4))
def test_a_record_cut_short_stops_the_recovery_wherever_it_is_cut(n: int) -> None:
    with pytest.raises(state.UnreadableState):
        restore(fresh(), [(b"C1", RICH[:n])])
    with pytest.raises(state.UnreadableState, match="C2"):
        restore(fresh(), [(b"C1", RICH), (b"C2", RICH[: max(n, 16)]), (b"C3", RICH)])


@settings(deadline=None, max_examples=300)
@given(st.integers(0, len(RICH) - 1), st.integers(1, 255))
@example(4, 1)  # more accounts than there are
@example(8, 0xFF)  # more ids
@example(15, 0x80)  # more grades than any memory holds
@example(19 * 8 + 24 + 15, 0x80)  # less than no words of features
def test_a_flipped_byte_is_refused_or_is_another_record(at: int, by: int) -> None:
    value = bytearray(RICH)
    value[at] ^= by
    log = [(b"C0", RICH), (b"C1", bytes(value)), (b"C2", RICH)]
    one = fresh()
    try:
        restore(one, log)
    except state.UnreadableState:
        return
    found = all_records(one)
    assert found[b"C0"] == found[b"C2"] == RICH, "its neighbours are as they were"
    _, behind = state.accounts_at(bytes(value))  # whoever folds it reads it too
    state.ids_at(bytes(value), behind, state.ids_count(bytes(value)))
    state.grades_at(bytes(value), behind)


def test_bytes_behind_a_record_are_not_passed_over() -> None:
    with pytest.raises(state.UnreadableState, match="C1"):
        restore(fresh(), [(b"C1", RICH + bytes(8))])


def test_texts_that_are_no_text_are_refused() -> None:
    for old, new in ((b"A-0000123", b"A-\xff000123"), (b"LN", b"\xc3\x28")):
        with pytest.raises(state.UnreadableState, match="C1"):
            restore(fresh(), [(b"C1", RICH.replace(old, new))])
    with pytest.raises(state.UnreadableState):
        restore(fresh(), [(b"\xff", RICH)])


def test_a_bank_with_rates_and_a_model_is_the_same_after_a_recovery() -> None:
    one = engine()
    for event in rates_of():
        reference.tell(one, event)
    rng, lines = Random(3), list[Line]()
    for n in range(6_000):
        number = f"C{rng.randrange(2_000):04d}"
        booked = transaction(n, number, f"A{number}{n % 2}", rng.randrange(1, 999), FIRST_DAY,
                             currency=rng.choice(("CNY", "CNY", "USD")))  # fmt: skip
        lines.append(Line(len(lines), number.encode(), encode(booked)))
        if n == 3_000:
            lines.append(Line(len(lines), None, encode(closed(FIRST_DAY))))
    outcome = one.apply(one.read(0, lines, FIRST_DAY.toordinal() + 3_000), set())
    before = one.partition(0)
    told = {key: value for key, value in outcome.records if value is not None}
    assert len(told) > 1_500
    for size in (10**6, 97):
        after = fresh()
        after.closes = before.closes
        log = [*outcome.first, *told.items()]
        for begin in range(0, len(log), size):
            restore(after, log[begin : begin + size])
        after.recovered()
        before.recovered()
        assert all_records(after) == told
        assert after.totals() == before.totals()
        assert {n: sorted(rows) for n, rows in after.timers.buckets.items()} == {
            day: sorted(after.numbers.find(before.numbers[row]) for row in rows)
            for day, rows in before.timers.buckets.items()
        }
        names = [(f"C{n:04d}", f"AC{n:04d}0") for n in range(50)]
        found = [before.accounts_of(*one) for one in names]
        assert [after.accounts_of(*one) for one in names] == found
        assert max(map(len, found)) == 2, "CNY and USD"


def test_accounts_of_a_number_stay_in_their_order_and_with_their_owner() -> None:
    accounts = [Account(("A1", product, "CNY", ""), [0] * ACCOUNT_WORDS, [], [], [])
                for product in ("young", "old")]  # fmt: skip
    one = fresh()
    of_each = customer([0] * CUSTOMER_WORDS, accounts)
    restore(one, [(number, of_each) for number in (b"C1", b"C2")])
    assert one.accounts_of("C1", "A1") == [
        ("C1", "A1", "young", "CNY", ""), ("C1", "A1", "old", "CNY", ""),
    ]  # fmt: skip


def test_closes_of_before_change_nothing_and_those_of_another_partition_are_refused() -> None:
    def told(partition: int, offset: int, watermark: int) -> tuple[bytes, bytes]:
        return state.partition_record(state.PartitionState(partition, offset, watermark, {}))

    one = fresh()
    restore(one, [told(0, 9, 5), told(0, 7, 4)])
    assert (one.closes.offset, one.closes.watermark) == (9, 5)
    with pytest.raises(state.UnreadableState):
        restore(one, [told(1, 10, 6)])


def test_a_loan_is_found_by_its_number_and_is_no_account() -> None:
    one = fresh()
    restore(one, [(b"C1", RICH)])
    loan = one.loan("C1", "L7")
    assert one.key_of(loan) == ("C1", "A-0000123", "LN", "CNY", "L7")
    assert (one.loan("C1", "L8"), one.loan("C2", "L7"), one.loan("C1", "")) == (-1, -1, -1)
    assert one.accounts_of("C1", "A-0000123") == [("C1", "A-0000123", WATCHED, "CNY", "")]
    assert one.accounts_of("C1", "L7") == []


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12), max_size=60), st.lists(st.binary(max_size=12)))
def test_texts_are_numbered_in_the_order_they_came(texts: list[bytes], others: list[bytes]) -> None:
    from services.scoring import interned

    known, numbers = Interned(), dict[bytes, int]()
    for text in texts:
        if known.find(text) < 0:
            known.make_room(1, len(text))
            interned.add(np.frombuffer(text or b"\0", np.uint8), 0, len(text), known.texts)
            numbers[text] = len(numbers)
    assert len(known) == len(numbers)
    assert known.many(np.arange(len(known))) == list(numbers)
    assert found(known, [*texts, *others]) == [
        numbers.get(text, -1) for text in (*texts, *others)
    ]


def test_twenty_thousand_texts_are_found_again() -> None:
    from services.scoring import interned

    known = Interned()
    for n in range(20_000):
        text = b"C%07d" % n
        known.make_room(1, len(text))
        interned.add(np.frombuffer(text, np.uint8), 0, len(text), known.texts)
    asked = [b"C%07d" % n for n in range(20_001)]
    assert found(known, asked) == [*range(20_000), -1]


def found(known: Interned, texts: list[bytes]) -> list[int]:
    letters, ends = joined(texts)
    places = np.stack((np.concatenate(([0], ends))[: len(texts)], ends), axis=1)
    return [int(number) for number in known.find_all(letters, places, 0)]
