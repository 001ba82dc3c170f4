"""The same leaves, scores and signals whatever the split, repeats, partitions, and order.

A rule on the balance, and the end of a silence, speak at the event itself: there the order of one
customer's events counts, which is that of his partition for every reader (ADR 26).
`GUANXI_EXAMPLES` asks for more examples.
"""

import os
from collections import Counter, defaultdict
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring import risk_plan
from shared.events import Event
from shared.events.bank import AccountClosed
from tests.ledger_bank import FIRST_DAY, Bank, stream
from tests.lively_bank import PRODUCT, lively_bank, with_turns
from tests.risk_live import figures, hand_made
from tests.scored import Scored
from tests.workers import closed

many = settings(max_examples=int(os.environ.get("GUANXI_EXAMPLES", "8")), deadline=None)
SEEDS = st.integers(0, 2**32)
SIZES = st.sampled_from((1, 3, 7, 50, 5000))
PARTITIONS = st.sampled_from((1, 3, 16))
RESTARTS = st.sampled_from((0, 5))
TURNS = st.sampled_from((1, 1, 2, 3))  # of an account at most; a last closing shows most
PLAN = risk_plan.plan_of(hand_made(PRODUCT))


def interleaved(bank: Bank, rng: Random, repeats: float = 0.1) -> list[Event[Any]]:
    """Any order of the customers, each customer's own kept; some events once more, later."""
    by_slot: defaultdict[int, list[Event[Any]]] = defaultdict(list)
    again: defaultdict[int, list[Event[Any]]] = defaultdict(list)
    for slot, event in bank.events:
        by_slot[slot].append(event)
        if rng.random() < repeats:
            again[min(slot + rng.randrange(40), bank.days - 1)].append(event)
    found: list[Event[Any]] = []
    for slot in range(bank.days):
        turns = [event.subject for event in by_slot[slot]]
        rng.shuffle(turns)
        waiting = {subject: iter([e for e in by_slot[slot] if e.subject == subject])
                   for subject in turns}  # fmt: skip
        found += [next(waiting[subject]) for subject in turns]
        found += [*again[slot], closed(FIRST_DAY + timedelta(days=slot))]
    return found


def quiet_run(bank: Bank) -> Scored:
    """Whole, each event once, one partition."""
    return Scored(bank, plan=PLAN).run(interleaved(bank, Random(0), repeats=0), 10**6)


@many
@given(seed=SEEDS, order=SEEDS, size=SIZES, partitions=PARTITIONS, restart_every=RESTARTS)
def test_split_repeats_partitions_and_the_order_of_customers_change_nothing(
    seed: int, order: int, size: int, partitions: int, restart_every: int
) -> None:
    bank = lively_bank(seed)
    one = quiet_run(bank)
    other = Scored(bank, partitions, PLAN)
    other.run(interleaved(bank, Random(order)), size, restart_every)
    assert not one.refused
    assert not other.refused
    assert other.signals == one.signals
    assert figures(other.customers(), PRODUCT) == figures(one.customers(), PRODUCT)
    assert other.leaves() == one.leaves()


@many
@given(seed=SEEDS, order=SEEDS, size=SIZES, partitions=PARTITIONS, restart_every=RESTARTS)
def test_any_order_inside_the_open_days_changes_nothing_that_a_close_tells(
    seed: int, order: int, size: int, partitions: int, restart_every: int
) -> None:
    bank = lively_bank(seed, late=False)
    one = quiet_run(bank)
    other = Scored(bank, partitions, PLAN).run(stream(bank, Random(order)), size, restart_every)
    assert told_by_closes(other) == told_by_closes(one)
    assert of_closes(other) == of_closes(one)
    assert other.leaves() == one.leaves()


@many
@given(seed=SEEDS, order=SEEDS, turns=TURNS, size=SIZES, partitions=PARTITIONS,
       restart_every=RESTARTS)  # fmt: skip
def test_neither_does_the_split_where_accounts_are_closed_and_opened_again(
    seed: int, order: int, turns: int, size: int, partitions: int, restart_every: int
) -> None:
    bank = with_turns(lively_bank(seed), seed, turns)
    one = quiet_run(bank)
    other = Scored(bank, partitions, PLAN)
    other.run(interleaved(bank, Random(order)), size, restart_every)
    assert not one.refused
    assert not other.refused
    assert other.signals == one.signals
    assert other.leaves() == one.leaves()


@many
@given(seed=SEEDS, order=SEEDS, turns=TURNS, size=SIZES, partitions=PARTITIONS,
       restart_every=RESTARTS)  # fmt: skip
def test_neither_does_the_order_where_a_closing_is_told_before_its_day(
    seed: int, order: int, turns: int, size: int, partitions: int, restart_every: int
) -> None:
    bank = with_turns(lively_bank(seed, late=False), seed, turns)
    one = quiet_run(bank)
    other = Scored(bank, partitions, PLAN).run(stream(bank, Random(order)), size, restart_every)
    assert not one.refused
    assert not other.refused
    assert told_by_closes(other) == told_by_closes(one)
    assert other.leaves() == one.leaves()


@many
@given(seed=SEEDS, early=SEEDS, turns=TURNS, size=SIZES, restart_every=RESTARTS)
def test_nor_is_a_silence_told_otherwise_where_closings_and_openings_are_told_before_their_day(
    seed: int, early: int, turns: int, size: int, restart_every: int
) -> None:
    bank = lively_bank(seed, late=False)
    one = quiet_run(with_turns(bank, seed, turns))
    other = Scored(bank, plan=PLAN)
    told = interleaved(with_turns(bank, seed, turns, early), Random(seed))
    other.run(told, size, restart_every)
    assert not other.refused
    assert silences(other) == silences(one)


def silences(one: Scored) -> dict[str, bytes]:
    return {name: said for name, said in one.signals.items() if name.startswith("silence/")}


def test_a_turn_ends_a_silence_and_keeps_others_from_it() -> None:
    """The control of the tests with turns: without them more are raised, and none ends by one."""
    left, raised = 0, Counter[bool]()
    for seed in range(12):
        bank = lively_bank(seed, late=False)
        for turns in (False, True):
            told = silences(quiet_run(with_turns(bank, seed, 3) if turns else bank)).values()
            said = list(map(msgspec.json.decode, told))
            raised[turns] += sum(one["kind"] == "raised" for one in said)
            left += sum("open_accounts" in one["terms"] for one in said)
    assert left > 0
    assert raised[True] < raised[False]


def told_by_closes(one: Scored) -> dict[str, bytes]:
    """The signals of a model of risk: an account's events wait for the close of their day."""
    rules = ("collapse/", "outflow_ahead/", "distress/")
    return {name: said for name, said in one.signals.items() if name.startswith(rules)}


def of_closes(one: Scored) -> dict[str, Any]:
    """Counts, sums, days and the features of every account."""
    return {
        number: (found.count, found.customer_count, found.sum_minor, found.first_on, found.last_on,
                 [(a.account_number, a.count, a.sum_minor, a.watch) for a in found.accounts])
        for number, found in figures(one.customers(), PRODUCT).items()
    }  # fmt: skip


def test_the_lively_banks_have_what_is_to_be_proven() -> None:
    """Every rule is raised, and the rules that can end are cleared."""
    told: Counter[Any] = Counter()
    for seed in range(6):
        for said in quiet_run(lively_bank(seed)).signals.values():
            one = msgspec.json.decode(said)
            told[one["rule"], one["kind"]] += 1
    rules = ("silence", "outflow", "collapse", "outflow_ahead", "distress")
    assert {rule for rule, kind in told if kind == "raised"} >= set(rules), told
    assert {rule for rule, kind in told if kind == "cleared"} >= {"silence", "outflow"}, told


def test_a_turn_ends_what_is_told_of_an_account() -> None:
    """The control of the two tests with turns: they have alerts that a closing ends."""
    bank = lively_bank(3, late=False)
    turning = with_turns(bank, 3, 3)
    never, closed_some = quiet_run(bank), quiet_run(turning)
    closings = {(e.data.account_number, e.data.closed_on.isoformat())
                for _, e in turning.events if isinstance(e.data, AccountClosed)}  # fmt: skip

    def ended_by_closings(one: Scored) -> int:
        told = map(msgspec.json.decode, told_by_closes(one).values())
        return sum(s["kind"] == "cleared" and (s["account_number"], s["on"]) in closings
                   for s in told)  # fmt: skip

    assert ended_by_closings(closed_some) > ended_by_closings(never)


def test_what_comes_behind_its_close_is_found() -> None:
    """The control: the same events, some of them forty days late."""
    bank = lively_bank(3)
    one = quiet_run(bank)
    bank.events = [(min(slot + 40, bank.days - 1) if 100 < n < 160 else slot, event)
                   for n, (slot, event) in enumerate(bank.events)]  # fmt: skip
    other = quiet_run(bank)
    assert other.signals != one.signals
    assert figures(other.customers(), PRODUCT) != figures(one.customers(), PRODUCT)
