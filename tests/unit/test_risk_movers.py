"""What moved each term of a risk: the last booking of the term's own way, and no other."""

import random
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Final

import pytest

from services.scoring import risk_plan
from services.scoring.risk_model import (
    DAY_FACTORS,
    NAMES,
    TAUS_DAYS,
    Goal,
    Linear,
    Record,
    RiskModel,
    Score,
    Threshold,
)
from services.scoring.scores import questions
from services.scoring.signals import Signal
from tests import made_bank
from tests.risk_live import Live

# One feature of each term; its weight is small, so the base alone raises the rule as soon as it is
# asked.
OF_ACCOUNT: Final = (
    "actions_long", "cash_long", "money_in_long", "money_out_long", "transfers_in_long",
    "penalties_long", "balance", "silent_days", "gap_long", "tenure_days", "year_cosine_1",
)  # fmt: skip
OF_PURCHASES: Final = ("count_long", "amount_long", "gap_long", "silent_days", "tenure_days")
BASE, WEIGHT = 3_000_000, 20_000
ASKED_ON: Final = questions.HISTORY_DAYS  # of an account of such a mean balance
FIRST_MINOR: Final = 2_000_000

# Bookings by what they move: amount, kind, by whom
ACTION, CASH, MONEY_IN, MONEY_OUT, TRANSFER, PENALTY = (
    (-3_000, "transfer_out", "customer"),
    (-2_000, "card", "customer"),
    (400, "interest_paid", "bank"),
    (-300, "fee", "bank"),
    (70_000, "transfer_in", "bank"),
    (-900, "interest_received", "bank"),
)
WAYS: Final = {
    "action": ACTION, "cash": CASH, "money in": MONEY_IN, "money out": MONEY_OUT,
    "transfer": TRANSFER, "penalty": PENALTY,
}  # fmt: skip
# The terms that a booking of each way moves, spelled out: all move the balance.
MOVES: Final = {
    "action": {"actions", "silence", "gaps", "money_out", "balance"},
    "cash": {"actions", "silence", "gaps", "cash", "money_out", "balance"},
    "money in": {"money_in", "balance"},
    "money out": {"money_out", "balance"},
    "transfer": {"transfers_in", "money_in", "balance"},
    "penalty": {"trouble", "money_out", "balance"},
}
TERMS: Final = set().union(*MOVES.values())


def _plan(goal: Goal, features: str, weighed: Sequence[str]) -> risk_plan.Plan:
    names = NAMES[features]
    method = Linear(
        features, TAUS_DAYS, DAY_FACTORS, names,  # type: ignore[arg-type]
        tuple(WEIGHT if name in weighed else 0 for name in names), (-5_000_000,) * len(names), BASE,
    )  # fmt: skip
    score = Score(goal, ("CA",), 90, "linear", {"linear": method}, (), {},
                  Threshold(500_000, 300_000, 0, 0))  # fmt: skip
    day = date(2024, 12, 31)
    record = Record(day, "by hand", "", 0, 0, day, day, day, (), (), "none", ())
    return risk_plan.plan_of(RiskModel(2, "hand-made", (score,), record))


ACCOUNT_PLAN = _plan("outflow", "account", OF_ACCOUNT)
PURCHASE_PLAN = _plan("silence", "purchase", OF_PURCHASES)


def _feed(live: Live, way: tuple[int, str, str], on: int) -> int:
    """The offset of a booking."""
    amount, kind, by = way
    live.feed(made_bank.booked("one", "CA", on, amount, kind, by, live.at), b"one")
    return live.at - 1


def _raised(live: Live, on: int) -> Signal:
    (found,) = live.close(on)
    assert found.kind == "raised"
    return found


def _moved(signal: Signal) -> dict[str, int]:
    assert signal.position is not None
    return signal.position.moved


def _expected(fed: Mapping[int, str]) -> dict[str, int]:
    """By each term the greatest offset of a booking that moves it. `fed`: ways by offset."""
    return {
        term: max(offset for offset, way in fed.items() if term in MOVES[way])
        for term in TERMS
        if any(term in MOVES[way] for way in fed.values())
    }


def _account() -> tuple[Live, dict[int, str]]:
    """An account that the rule is asked of tomorrow, and the way of its first booking."""
    live = Live(ACCOUNT_PLAN)
    first = _feed(live, (FIRST_MINOR, *MONEY_IN[1:]), 0)
    assert live.close_through(0, ASKED_ON - 1) == {}
    return live, {first: "money in"}


@pytest.mark.parametrize("on", [ASKED_ON, ASKED_ON - 1], ids=["in time", "late"])
@pytest.mark.parametrize("last", WAYS)
def test_each_term_names_the_last_booking_of_its_own_way(last: str, on: int) -> None:
    """Each way comes once, then one of them again: its terms move, the others stay."""
    live, fed = _account()
    fed |= {_feed(live, way, on): name for name, way in WAYS.items()}
    at = _feed(live, WAYS[last], on)
    raised = _raised(live, ASKED_ON)
    assert set(raised.terms) >= TERMS | {"tenure", "season", "base"}
    assert _moved(raised) == _expected(fed) | dict.fromkeys(MOVES[last], at)


@pytest.mark.parametrize("seed", range(4))
def test_a_booking_of_a_day_that_is_open_has_moved_nothing(seed: int) -> None:
    """In any order: those of the closed day are named, though others have come after them."""
    rng, (live, fed) = random.Random(seed), _account()
    for name in rng.sample([*WAYS, *WAYS], 2 * len(WAYS)):
        fed[_feed(live, WAYS[name], ASKED_ON)] = name
        _feed(live, WAYS[rng.choice([*WAYS])], ASKED_ON + 1)
    assert len(set(_expected(fed).values())) >= 3, "else one event could stand for all"
    assert _moved(_raised(live, ASKED_ON)) == _expected(fed)


@pytest.mark.parametrize("way", WAYS)
def test_a_term_that_nothing_has_moved_yet_names_no_event(way: str) -> None:
    live, fed = _account()
    at = _feed(live, WAYS[way], ASKED_ON)
    assert _moved(_raised(live, ASKED_ON)) == _expected({**fed, at: way})


def test_terms_of_purchases_name_the_last_purchase_and_nothing_that_is_none() -> None:
    live = Live(PURCHASE_PLAN)
    for _ in range(2):
        bought = _feed(live, CASH, 0)
    for way in (MONEY_IN, MONEY_OUT, TRANSFER, PENALTY):
        _feed(live, way, 0)
    raised = _raised(live, 0)
    terms = {"purchases", "amounts", "gaps", "silence"}
    assert set(raised.terms) >= terms | {"tenure", "base"}
    assert _moved(raised) == dict.fromkeys(terms, bought)
