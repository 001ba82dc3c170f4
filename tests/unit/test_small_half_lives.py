"""Each small rule remembers by a time constant of its own. In the frozen model both are 60 days, so
there nothing tells them apart: here they differ."""

from datetime import date, timedelta
from decimal import Decimal, getcontext
from math import exp
from pathlib import Path

import msgspec
import pytest

from services.scoring import model as models
from services.scoring import risk, rule_set
from services.scoring.queries import outflows
from services.scoring.replay import Line
from shared.events.envelope import encode
from tests.ledger_bank import FIRST_DAY, Bank
from tests.scored import Scored
from tests.workers import closed, transaction

MODEL = models.load()
SHORT, LONG = 20, 120
DEPOSIT, LAST_DAY = 10_000_000, 60
# At first once in six days, then every other day: the usual gap depends on how much is remembered
DAYS = [*range(0, 37, 6), *range(38, LAST_DAY + 1, 2)]
Told = dict[str, tuple[str, str]]


def factor(tau_days: int) -> int:
    getcontext().prec = 50
    return int((Decimal(-1) / tau_days).exp() * (1 << 60))


def with_taus(activity_days: int, balance_days: int) -> models.Model:
    return msgspec.structs.replace(
        MODEL,
        activity_tau_days=activity_days, activity_day_factor=factor(activity_days),
        balance_tau_days=balance_days, balance_day_factor=factor(balance_days),
        silence_days_min=1,
    )  # fmt: skip


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n)


def run(model: models.Model, restarted_on: int | None = None) -> tuple[Scored, Told]:
    """Deposits, then one withdrawal of nearly all, then nothing. What was told of each rule: the
    day on which it began or, of an outflow, ended."""
    scored, offset = Scored(Bank(), first=model), 0
    for n in range(400):
        if n == restarted_on:
            scored.restart()
        events = [transaction(n, "C", "A", DEPOSIT, day(n))] if n in DAYS else []
        if n == LAST_DAY:
            taken = -DEPOSIT * (len(DAYS) - 1)
            events.append(transaction(n + 1_000, "C", "A", taken, day(n), by="bank"))
        for event in [*events, closed(day(n))]:
            key = None if event.type == "bank.day_closed.v1" else b"C"
            scored.feed(0, [Line(offset, key, encode(event))])
            offset += 1
    told = [msgspec.json.decode(one) for one in scored.signals.values()]
    return scored, {one["rule"]: (one["kind"], one["on"]) for one in told}


def recovers_on(balance_days: int) -> str:
    """The mean by the formula, in floats: e^(-days / tau) towards the balance."""
    mean = balance = 0.0
    for n in range(LAST_DAY + 1):
        mean = balance + (mean - balance) * exp(-1 / balance_days) if n else 0.0
        balance += DEPOSIT if n in DAYS else 0
    balance -= DEPOSIT * (len(DAYS) - 1)
    n = 0
    while True:
        sunk = balance + (mean - balance) * exp(-n / balance_days)
        if sunk < MODEL.outflow_mean_min_minor or balance >= sunk * 0.7:
            return day(LAST_DAY + n).isoformat()
        n += 1


@pytest.mark.parametrize("restarted_on", [None, LAST_DAY + 1])
def test_silence_goes_by_the_one_and_outflow_by_the_other(restarted_on: int | None) -> None:
    told = {taus: run(with_taus(*taus), restarted_on)[1]
            for taus in ((SHORT, SHORT), (SHORT, LONG), (LONG, SHORT), (LONG, LONG))}  # fmt: skip
    for one in (SHORT, LONG):
        assert told[one, SHORT]["silence"] == told[one, LONG]["silence"]
        assert told[SHORT, one]["outflow"] == told[LONG, one]["outflow"]
        assert told[one, one]["outflow"] == ("cleared", recovers_on(one))
    (_, soon), (_, late) = (told[one, SHORT]["silence"] for one in (SHORT, LONG))
    assert soon < late  # he who forgets the slow beginning expects him sooner
    assert recovers_on(SHORT) < recovers_on(LONG)


def test_scores_on_a_day_go_by_their_own_too() -> None:
    found = {}
    for taus in ((SHORT, SHORT), (SHORT, LONG), (LONG, SHORT)):
        scored, _ = run(with_taus(*taus))
        scores, _ = risk.scores_on(with_taus(*taus), scored.customers()["C"], day(430))
        found[taus] = scores
    both, balance, activity = found.values()
    own = {"activity_milli", "silence_risk_ppm"}, {"mean_balance_minor", "outflow_risk_ppm"}
    changed = [
        {name for name in both if both[name] != other[name]} for other in (activity, balance)
    ]
    assert changed[0] <= own[0]
    assert "activity_milli" in changed[0]
    assert changed[1] <= own[1]
    assert "mean_balance_minor" in changed[1]


def test_the_sums_of_a_party_go_by_that_of_the_balance(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    other = with_taus(SHORT, LONG)
    file = tmp_path / "model.json"
    file.write_bytes(msgspec.json.encode(other))
    monkeypatch.setattr(rule_set, "FIRST_FILE", file)
    left = outflows.factors.__wrapped__()
    assert list(left) == other.balance_factors.tolist()
    assert list(left) != other.activity_factors.tolist()
