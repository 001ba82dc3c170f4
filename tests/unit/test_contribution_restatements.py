"""A rate that comes after its days: what it changes is booked, once, and nothing that is closed
moves. Held against the independent loop with the rates as they are at last."""

import os
from collections import Counter
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring import replay, restatement
from services.scoring.rate import BASIS_POINT, CAPITAL
from services.scoring.scores.contribution import restating
from services.scoring.scores.contribution.ledger import HISTORY_DAYS, RESTATED
from shared.events import Event
from shared.events.bank import AccountClosed, AccountOpened, ProductDescribed, RateSet
from shared.events.envelope import encode
from tests.golden import day_by_day
from tests.ledger_bank import (
    CURRENCY,
    FIRST_DAY,
    Bank,
    event_of,
    plain,
    random_bank,
    restatements,
    stream,
    with_rates,
)
from tests.scored import MODEL, Scored, Sums
from tests.unit.test_contribution_rules import FEB, JAN, OVERDRAFT, RATES, Book, rate
from tests.workers import described

EXAMPLES = int(os.environ.get("GUANXI_EXAMPLES", "12"))
many = settings(max_examples=EXAMPLES, deadline=None)
SEEDS = st.integers(0, 2**32)
Late = Sequence[tuple[int, Event[Any]]]


def truth(bank: Bank, late: Late) -> Sums:
    told = [*bank.rates, *(rate for _, rate in sorted(late, key=lambda one: one[0]))]
    last = FIRST_DAY + timedelta(days=bank.days - 1)
    return day_by_day.leaves(plain(told), plain([e for _, e in bank.events]), last)


def scored(bank: Bank, late: Late, seed: int = 0, size: int = 7, **how: Any) -> Scored:
    partitions = how.pop("partitions", 1)
    killed_after = how.pop("killed_after", None)
    one = Scored(bank, partitions)
    one.killed_after = killed_after
    one.run(with_rates(stream(bank, Random(seed)), late), size, **how)
    assert not one.refused
    assert not one.alarms
    return one


def takes_rates_only(*given: Any) -> int:
    """In place of the walk: the rates are taken, no ledger is corrected."""
    return int(given[6])


@many
@given(seed=SEEDS, size=st.sampled_from((1, 20, 5000)), partitions=st.sampled_from((1, 3, 16)),
       at_once=st.booleans())  # fmt: skip
def test_the_sums_are_those_of_the_loop_wherever_a_partition_meets_the_rates(
    seed: int, size: int, partitions: int, at_once: bool
) -> None:
    bank = random_bank(seed)
    late = restatements(seed, bank)
    one = scored(bank, late, seed, size, partitions=partitions, at_once=at_once)
    assert one.sums() == truth(bank, late)


@many
@given(seed=SEEDS, order=SEEDS, size=st.sampled_from((1, 7, 50)),
       partitions=st.sampled_from((1, 3, 16)), restart_every=st.sampled_from((0, 5)),
       killed_after=st.sampled_from((None, 0, 1, 2)))  # fmt: skip
def test_partitions_splits_restarts_and_kills_change_no_leaf(
    seed: int, order: int, size: int, partitions: int, restart_every: int, killed_after: int | None
) -> None:
    bank = random_bank(seed)
    late = restatements(seed, bank)
    one = scored(bank, late)
    other = scored(bank, late, order, size, partitions=partitions, restart_every=restart_every,
                   killed_after=killed_after)  # fmt: skip
    assert other.leaves() == one.leaves()


@many
@given(seed=SEEDS, order=SEEDS)
def test_restatements_in_another_order_give_the_same_sums_by_origin(seed: int, order: int) -> None:
    bank = random_bank(seed)
    slot = Random(seed).randrange(HISTORY_DAYS + 3, bank.days - 1)
    late = [(slot, one) for at, one in restatements(seed, bank, 8)
            if 0 < slot - (one.data.from_on - FIRST_DAY).days <= HISTORY_DAYS]  # fmt: skip
    shuffled = Random(order).sample(late, len(late))
    one, other = scored(bank, late), scored(bank, shuffled)
    assert other.by_origin() == one.by_origin()
    assert one.sums() == truth(bank, late)


@many
@given(seed=SEEDS, apart=st.integers(0, 3))
def test_a_restatement_taken_back_changes_nothing(seed: int, apart: int) -> None:
    bank, rng = random_bank(seed), Random(seed)
    of_first_day = [one for one in bank.rates if isinstance(one.data, RateSet)
                    and one.data.from_on == FIRST_DAY
                    and one.data.driver_code in (None, "account_day")]  # fmt: skip
    late: list[tuple[int, Event[Any]]] = []
    for before in rng.sample(of_first_day, 4):
        slot = rng.randrange(2, HISTORY_DAYS - apart)
        step = BASIS_POINT if before.data.kind in CAPITAL else 1
        value = before.data.value + rng.randrange(1, 1_000) * step
        moved = msgspec.structs.replace(before.data, value=value)
        late += [(slot, event_of(moved, f"moved-{moved.entry}", FIRST_DAY)), (slot + apart, before)]
    untouched = scored(bank, []).leaves()
    assert scored(bank, late).leaves() == untouched
    there = scored(bank, [one for one in late if one[1] not in bank.rates])
    assert there.leaves() != untouched
    # There on the last day of January, back when it is closed: another leaf, the same sums.
    after_the_close = [(31 if one in bank.rates else 30, one) for _, one in late]
    assert scored(bank, after_the_close).sums() == scored(bank, []).sums()


def test_the_negative_control_rates_without_the_walk_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = random_bank(5)
    late = restatements(5, bank)
    assert scored(bank, late).sums() == truth(bank, late)
    monkeypatch.setattr(restating, "restate", takes_rates_only)
    assert scored(bank, late).sums() != truth(bank, late)


def test_the_negative_control_a_walk_that_forgets_its_ledgers_corrects_them_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed_half_way() -> dict[tuple[str, ...], int]:
        book = Book()
        other = book.booked(1_000, FIRST_DAY, customer_number="D", account_number="2")
        book.tell(book.booked(1_000, FIRST_DAY), other)
        book.close(FIRST_DAY, date(2025, 1, 20))
        book.scored.killed_after = 1
        book.scored.tell(rate("transfer_price", 730_000, on=date(2025, 1, 11)))
        book.close(date(2025, 1, 21), date(2025, 1, 31))
        return book.scored.leaves()

    assert set(killed_half_way().values()) == {10 + 42}
    restart = Scored.restart

    def forgetting(one: Scored) -> None:
        restart(one)
        one.engine.partition(0).books.ledgers[:, RESTATED] = 0

    monkeypatch.setattr(Scored, "restart", forgetting)
    assert set(killed_half_way().values()) == {10 + 42, 10 + 42 + 10}


def test_steps_of_one_customer_come_to_the_same_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    bank = random_bank(6)
    late = restatements(6, bank)
    quiet = scored(bank, late).leaves()
    monkeypatch.setattr(restatement, "STEP_ROWS", 1)
    assert scored(bank, late).leaves() == quiet
    assert scored(bank, late, killed_after=1).leaves() == quiet


def test_replay_restates_at_the_same_place_of_a_file_and_not_for_rates_beside_it(
    tmp_path: Path,
) -> None:
    bank = random_bank(8)
    late = restatements(8, bank)
    events = stream(bank, Random(0), repeats=0)
    quiet = scored(bank, late, size=1)

    def replayed(lines: Sequence[Event[Any]], rates: Path | None) -> dict[tuple[str, ...], int]:
        file = tmp_path / "events.jsonl"
        told = [described(from_on=FIRST_DAY), *bank.rates, *lines]
        file.write_bytes(b"".join(encode(event) + b"\n" for event in told))
        last = FIRST_DAY + timedelta(days=bank.days)
        one = replay.Replay(MODEL, currency=CURRENCY, zone="Asia/Shanghai", until=last)
        replay.run(one, file, rates, [])
        assert not one.result.alarms
        return {key: amount for key, amount in one.result.leaves.items() if amount}

    live: Counter[tuple[str, ...]] = Counter()
    for (_, account, _, product, component, period, origin, _), amount in quiet.leaves().items():
        live[account, product, component, period, origin] += amount
    at_place = replayed(with_rates(events, late), None)
    assert at_place == {key: amount for key, amount in live.items() if amount}
    beside = tmp_path / "rates.jsonl"
    beside.write_bytes(b"".join(encode(one) + b"\n" for _, one in late))
    assert replayed(events, beside) != at_place


def test_a_closed_month_stays_and_its_change_is_a_leaf_of_the_open_one() -> None:
    book = Book()
    book.tell(book.booked(1_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 2, 10))
    book.scored.tell(rate("transfer_price", 730_000, on=date(2025, 1, 11)))
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    book.tell(book.booked(0, date(2025, 3, 1)))
    # 36.5 % a year: a thousandth a day, twice that from 11 January
    assert book.leaves() == {
        ("CA", "ftp", JAN, JAN): 31, ("CA", "ftp", FEB, JAN): 21, ("CA", "ftp", FEB, FEB): 56,
    }  # fmt: skip
    assert not book.scored.alarms


def test_what_was_changed_is_told() -> None:
    book = Book()
    book.tell(book.booked(1_000, FIRST_DAY), book.booked(-4_000, FIRST_DAY, account_number="2"))
    book.close(FIRST_DAY, date(2025, 1, 20))
    book.scored.tell(rate("transfer_price", 1_000_000, product="OD", on=date(2025, 1, 11)))
    (outcome,) = book.scored.engine.restate(0)
    assert outcome.walked is not None
    # ten days of 4000 by 27 % a year more
    assert outcome.walked._replace(keys=[]) == (1, [], 2, round(-4_000 * 0.27 * 10 / 365), 0)
    assert len(outcome.walked.keys) == 1
    assert list(book.scored.engine.restate(0)) == []


def test_upkeep_is_restated_for_the_days_that_an_account_was_open() -> None:
    book = Book()
    opened = AccountOpened(customer_number="C", account_number="1", product_code="CA",
                           currency="CNY", opened_on=date(2025, 1, 30))  # fmt: skip
    ended = AccountClosed(customer_number="C", account_number="1", closed_on=date(2025, 2, 5))
    book.close(FIRST_DAY, date(2025, 1, 29))
    book.tell(event_of(opened, "acct-1", date(2025, 1, 30)))
    book.close(date(2025, 1, 30), date(2025, 2, 3))
    book.tell(event_of(ended, "end-1", date(2025, 2, 5)))
    book.close(date(2025, 2, 4), date(2025, 2, 10))
    costs = RateSet(kind="cost_driver", driver_code="account_day", from_on=date(2025, 1, 20),
                    value=4, currency="CNY")  # fmt: skip
    book.scored.tell(event_of(costs, "rate-day", FIRST_DAY))
    book.close(date(2025, 2, 11), date(2025, 2, 28))
    assert book.leaves() == {
        ("CA", "abc_maint", JAN, JAN): -2, ("CA", "abc_maint", FEB, JAN): -6,
        ("CA", "abc_maint", FEB, FEB): -16,
    }  # fmt: skip


def test_what_the_ledgers_no_longer_hold_is_refused_and_says_what_it_needs() -> None:
    book = Book()
    book.tell(book.booked(1_000, FIRST_DAY))
    book.close(FIRST_DAY, date(2025, 2, 10))
    before = book.leaves()
    for late in (rate("transfer_price", 1, on=date(2025, 1, 10)),
                 rate("cost_driver", 9, product=None, driver="card", on=FIRST_DAY),
                 rate("transfer_price", 2_000_000, on=date(2025, 2, 1))):  # fmt: skip
        book.scored.tell(late)
    other = event_of(OVERDRAFT.data.__class__(
        product_code="CA", names=OVERDRAFT.data.names, line_code="liability",
        overdraft_product_code="XX"), "product-CA-2", FIRST_DAY)  # fmt: skip
    book.scored.tell(other)
    book.tell(book.booked(0, date(2025, 2, 11)))
    assert [alarm.split(": ", 1)[1] for alarm in book.scored.alarms] == [
        "2000000 is not within -1000000 and 1000000",  # what is no rate is put aside first
        "balances are kept from 2025-01-11 only; needs a rebuild: replay from bank.events",
        "uses are booked, and their count by day is not kept; "
        "needs a rebuild: replay from bank.events",
        "its accounts have figures already; needs a rebuild: replay from bank.events",
    ]  # fmt: skip
    assert book.leaves() == before
    assert RATES[0].data.value == 365_000


def test_an_overdraft_may_be_described_after_its_prices_before_there_is_an_account() -> None:
    """In a bank that is live: the order of reference data is not the bank's to promise."""
    priced = (("transfer_price", "NW", 90_000), ("transfer_price", "NO", 120_000),
              ("pd", "NO", 150_000), ("lgd", "NO", 600_000))  # fmt: skip
    facts = [rate(kind, value, product=of, on=date(2025, 1, 10)) for kind, of, value in priced]
    described = event_of(ProductDescribed(
        product_code="NW", names=OVERDRAFT.data.names, line_code="liability",
        overdraft_product_code="NO"), "product-NW", FIRST_DAY)  # fmt: skip
    found = []
    for told in ([described, *facts], [*facts, described]):
        book = Book()
        book.tell(book.booked(1_000, FIRST_DAY))
        book.close(FIRST_DAY, date(2025, 1, 9))
        for event in told:
            book.scored.tell(event)
        book.tell(book.booked(
            -1_000_000, date(2025, 1, 10), product_code="NW", account_number="2"
        ))  # fmt: skip
        book.close(date(2025, 1, 10), date(2025, 1, 31))
        assert book.scored.alarms == []
        found.append(book.leaves())
    assert found[0] == found[1]
    assert {key[:2] for key in found[0]} >= {("NO", "ftp"), ("NO", "el")}


def test_a_rate_of_days_to_come_that_is_corrected_does_not_end_all_restatements() -> None:
    """An account whose first event is of an open day stands ahead of the close for a while:
    meanwhile a rate of those days is a restatement, and its correction after that is none."""

    def day(n: int) -> date:
        return FIRST_DAY + timedelta(days=n - 1)

    def upkeep(value: int) -> Event[Any]:
        return rate("cost_driver", value, product=None, driver="account_day", on=day(50))

    book = Book()
    opened = AccountOpened(customer_number="C", account_number="1", product_code="CA",
                           currency="CNY", opened_on=FIRST_DAY)  # fmt: skip
    book.tell(event_of(opened, "acct-1", FIRST_DAY), book.booked(1_000_000, FIRST_DAY))
    book.close(FIRST_DAY, day(9))
    book.tell(book.booked(5, day(55), account_number="9"))
    book.scored.tell(upkeep(5))
    book.close(day(10), day(10))
    assert book.scored.engine.partition(0).closes.restated == 1
    book.tell(book.booked(5, day(11), account_number="9"))
    book.close(day(11), day(11))
    book.scored.tell(upkeep(9))
    book.close(day(12), day(20))
    (again,) = [r for r in book.scored.engine.partition(0).books.rates.taken.values()
                if r.value == 9]  # fmt: skip
    assert again.restatement == 1, "pools take the word with the greatest number"
    book.scored.tell(rate("transfer_price", 730_000, on=day(15)))
    book.close(day(21), day(60))
    found = Counter[str]()
    for (_, account, _, _, component, *_), amount in book.scored.leaves().items():
        if account == "1":
            found[component] += amount
    assert found["ftp"] == 1000 * 14 + 2000 * (60 - 14)
    assert found["abc_maint"] == -(49 + 9 * (60 - 49))
    assert book.scored.alarms == []
