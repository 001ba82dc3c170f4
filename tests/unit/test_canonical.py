"""The hash of a state knows every figure of every ledger and leaf, and nothing of how it came."""

import os
from random import Random

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.rows import LEDGER_FIELDS
from services.scoring.standing import EXACT, standings
from shared.events.bank import TransactionBooked
from tests.ledger_bank import Bank, random_bank, restatements, stream, with_rates
from tests.scored import Scored, digest_of, posted_of

SEEDS = st.integers(0, 2**32)
many = settings(max_examples=int(os.environ.get("GUANXI_EXAMPLES", "8")), deadline=None)


def scored(bank: Bank, seed: int, size: int = 50) -> Scored:
    return Scored(bank).run(stream(bank, Random(seed)), size)


@many
@given(seed=SEEDS, size=st.sampled_from((1, 7, 5000)), partitions=st.sampled_from((1, 3)),
       walks=st.booleans())  # fmt: skip
def test_batches_partitions_restarts_and_the_closes_of_months_change_no_hash(
    seed: int, size: int, partitions: int, walks: bool
) -> None:
    bank = random_bank(seed)
    other = Scored(bank, partitions)
    other.walks = walks
    other.run(stream(bank, Random(0)), size, restart_every=5)
    assert digest_of(other) == digest_of(scored(bank, 0))


@many
@given(seed=SEEDS, order=SEEDS)
def test_another_order_of_events_changes_no_ledger_and_no_leaf(seed: int, order: int) -> None:
    """Decayed figures of a customer do follow the order in which days came."""
    bank = random_bank(seed)
    assert ledgers_of(scored(bank, order)) == ledgers_of(scored(bank, 0))


@many
@given(seed=SEEDS, size=st.sampled_from((1, 20)))
def test_a_state_that_was_restated_is_the_one_that_is_built_by_the_rates_of_now(
    seed: int, size: int
) -> None:
    bank = random_bank(seed)
    late = restatements(seed, bank)
    live = Scored(bank).run(with_rates(stream(bank, Random(seed)), late), size)
    assert not live.alarms
    rebuilt = Bank(bank.events, [*bank.rates, *(rate for _, rate in late)], bank.days)
    assert digest_of(live) == digest_of(scored(rebuilt, seed))


def ledgers_of(scored: Scored) -> list[tuple[object, ...]]:
    found = standings(scored.engine.partition(0), posted_of(scored, 0))
    return sorted((one.customer.customer_number, one.ledgers, +one.leaves, -one.leaves)
                  for one in found)  # fmt: skip


# The negative controls ------------------------------------------------------------------------


@pytest.fixture
def one() -> Scored:
    return scored(random_bank(6), 0)


@pytest.mark.parametrize("word", [LEDGER_FIELDS[n] for n in EXACT])
def test_the_least_change_of_a_ledger_changes_the_hash(one: Scored, word: str) -> None:
    before = digest_of(one)
    books = one.engine.partition(0).books
    account = next(n for n in range(9) if books.ledgers[n, 0])
    books.ledgers[account, LEDGER_FIELDS.index(word)] += 1
    after = digest_of(one)
    assert (after.customers, after.accounts) == (before.customers, before.accounts)
    assert after.hash != before.hash


@pytest.mark.parametrize("component", ["ftp", "el", "capital", "abc_maint", "abc_txn", "fee",
                                       "interest_paid", "interest_recv"])  # fmt: skip
def test_one_cent_of_one_posted_leaf_changes_the_hash(one: Scored, component: str) -> None:
    before = digest_of(one)
    key, leaf = next((k, x) for k, x in one.posted.items() if x.component == component)
    one.posted[key] = msgspec.structs.replace(leaf, amount_minor=leaf.amount_minor + 1)
    assert digest_of(one) != before
    del one.posted[key]
    assert digest_of(one) != before


def test_one_cent_of_one_event_changes_the_hash(one: Scored) -> None:
    before = digest_of(one)
    bank = random_bank(6)
    for n, (slot, event) in enumerate(bank.events):
        if isinstance(event.data, TransactionBooked):
            fact = msgspec.structs.replace(event.data, amount_minor=event.data.amount_minor + 1)
            bank.events[n] = (slot, msgspec.structs.replace(event, data=fact))
            break
    assert digest_of(scored(bank, 0)) != before


def test_how_far_a_ledger_is_and_what_it_kept_of_days_behind_is_no_figure(one: Scored) -> None:
    """All but the exact words: a settled day that another run has not come to, and so on."""
    before = digest_of(one)
    books = one.engine.partition(0).books
    for word in ("kept_from", "old_min", "old_max", "restated"):
        books.ledgers[:9, LEDGER_FIELDS.index(word)] += 1
    assert digest_of(one) == before
