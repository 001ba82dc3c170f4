"""Outflow ahead is asked by the mean that its label asks, through the end of the day: held against
a loop over days that knows nothing of the scorer."""

import math
from datetime import timedelta
from random import Random

import msgspec
import numpy as np
import pytest

from services.scoring import risk_plan
from services.scoring.replay import Line
from services.scoring.risk_model import Linear
from services.scoring.scores import account_features as af
from services.scoring.scores import questions
from services.scoring.training.snapshots import FACTORS
from tests import made_bank
from tests.made_bank import BEGIN
from tests.risk_live import Live, hand_made

ACCOUNTS, DAYS = 48, 260
TAU, HISTORY, LEAST, STANDS = 45, 120, 500_000, 0.7
BASE, WEIGHT, RAISES, CLEARS = 10.0, -12.0, 0.0, math.log(0.3 / 0.7)
Booked = dict[int, int]  # by day


def account(rng: Random, gap: int) -> Booked:
    """Now and then a part goes: more than may be gone for an onset, or less. Of one that is booked
    every day all is looked at every day, so it may be about as rich as it must be. Of another only
    what lasts is: what would begin and be over before the next booking is not seen."""
    booked = {0: rng.randrange(450_000, 800_000) * (1 if gap == 1 else 3)}
    day, balance, goes_on = 0, booked[0], rng.randrange(100, 180)
    while (day := day + rng.randrange(1, gap + 1)) < DAYS:
        booked[day] = rng.randrange(2_000)
        if goes_on <= day:
            booked[day] = -balance * rng.randrange(12, 36) // 100
            goes_on = day + rng.randrange(30, 90)
        balance += booked[day]
    return booked


def by_days(booked: Booked, *, late: bool = False) -> list[tuple[int, str]]:
    """When the rule begins and ends, by the definitions: each day's balance weighs by its age.
    `late`: as if the day that is asked about were not over."""
    left, found = math.exp(-1 / TAU), list[tuple[int, str]]()
    balance = weighed = weights = 0.0
    for day in range(DAYS):
        balance += booked.get(day, 0)
        before = weighed
        weighed, weights = weighed * left + balance, weights * left + 1
        mean = weighed / weights
        score = BASE + WEIGHT * min(max(balance / max(mean, 100_000), -2), 3)
        asked_of = before * left / weights if late else mean
        asked = day >= HISTORY and asked_of >= LEAST and balance >= STANDS * asked_of
        holds = bool(found) and found[-1][1] == "raised"
        if not holds and asked and score >= RAISES:
            found.append((day, "raised"))
        elif holds and score < CLEARS:
            found.append((day, "cleared"))
    return found


def by_scorer(accounts: dict[str, Booked]) -> dict[str, list[tuple[int, str]]]:
    model = hand_made("CA")
    (score,) = (one for one in model.scores if one.goal == "outflow")
    linear = score.methods["linear"]
    assert isinstance(linear, Linear)
    assert (linear.base_micro, min(linear.weights_micro)) == (BASE * 1e6, WEIGHT * 1e6)
    live = Live(risk_plan.plan_of(msgspec.structs.replace(model, scores=(score,))))
    found: dict[str, list[tuple[int, str]]] = {name: [] for name in accounts}
    for day in range(DAYS):
        moved = [(name, booked[day]) for name, booked in accounts.items() if day in booked]
        lines = [
            Line(at, name.encode(), made_bank.booked(
                name, "CA", day, amount, "transfer_in", "customer", at))
            for at, (name, amount) in enumerate(moved, live.at)
        ]  # fmt: skip
        live.at += len(lines)
        live.replay.feed(lines)
        for one in live.close(day):
            assert (one.rule, one.on) == ("outflow_ahead", BEGIN + timedelta(days=day))
            found[one.account_number].append((day, one.kind))
    return found


def test_alerts_come_on_the_days_that_a_loop_over_days_finds() -> None:
    rng = Random(4)
    accounts = {f"a{n}": account(rng, 1 + 2 * (n % 2)) for n in range(ACCOUNTS)}
    expected = {name: by_days(booked) for name, booked in accounts.items()}
    assert by_scorer(accounts) == expected
    assert sum(map(bool, expected.values())) > ACCOUNTS // 2
    others = sum(expected[name] != by_days(booked, late=True) for name, booked in accounts.items())
    assert others > ACCOUNTS // 8, "else no account would tell the one from the other"


@pytest.mark.parametrize("idle", [0, 1, 30])
def test_the_question_arises_with_the_day_whose_end_makes_the_mean_matter(idle: int) -> None:
    """A balance that has always stood at the least is its own mean."""
    for balance, asked in ((LEAST + 5, True), (LEAST - 5, False)):
        state = np.zeros(af.WORDS, np.int64)
        af.opened(state, 1)
        af.after_booking(state, FACTORS, 1, balance, 0)
        af.advance(state, FACTORS, 1 + HISTORY)
        day = 1 + HISTORY + idle
        assert questions.asked(state, FACTORS, 0, questions.OUTFLOW, day) is asked
