"""A scorer with a model of risk that was learned from the made bank, fed line by line."""

import dataclasses
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec

from services.scoring import model as models
from services.scoring import reference, replay, risk_plan, state, watched
from services.scoring.replay import Line, Replay
from services.scoring.risk_model import (
    DAY_FACTORS,
    TAUS_DAYS,
    Goal,
    Linear,
    Record,
    RiskModel,
    Score,
    Threshold,
)
from services.scoring.risk_plan import Plan
from services.scoring.scores import account_features, watching
from services.scoring.signals import Signal, encode
from shared.events import envelope
from shared.events.bank import DayClosed, SourceDescribed
from tests import made_bank
from tests.made_bank import BEGIN, DAYS

ASKED = [date(2025, 1, 31), date(2025, 4, 30), date(2025, 6, 15)]


def replayed(file: Path, plan: Plan, asked: Sequence[date] = ()) -> Replay:
    one = Replay(models.load(), currency="CNY", zone="Asia/Shanghai",
                 until=BEGIN + timedelta(days=DAYS), plan=plan)  # fmt: skip
    replay.run(one, file, None, asked)
    return one


def of_model(signals: Sequence[Signal]) -> list[Signal]:
    return [one for one in signals if one.account_number]


def by_method(learned: RiskModel, name: str, **threshold: int) -> Plan:
    """The silence of the file by another of its methods, with another threshold."""
    (silence,) = (score for score in learned.scores if score.goal == "silence")
    at = msgspec.structs.replace(silence.threshold, **threshold)
    score = msgspec.structs.replace(silence, method=name, threshold=at)
    return risk_plan.plan_of(msgspec.structs.replace(learned, scores=(score,)))


class Live:
    """The scorer fed with single lines; `at` counts them."""

    def __init__(self, plan: Plan) -> None:
        self.replay = Replay(models.load(), currency="CNY", zone="Asia/Shanghai",
                             until=BEGIN + timedelta(days=4000), plan=plan)  # fmt: skip
        described = made_bank.line(SourceDescribed(source=made_bank.SOURCE, closes_days=True,
                                                   active_from=BEGIN), "source", BEGIN)  # fmt: skip
        reference.tell(self.replay.engine, envelope.decode(described))
        self.at = 0

    def feed(self, value: bytes, key: bytes | None) -> list[Signal]:
        told = len(self.replay.result.signals)
        self.replay.feed([Line(self.at, key, value)])
        self.at += 1
        return of_model(self.replay.result.signals[told:])

    def buys(self, day: int, name: str = "one", amount: int = 500) -> list[Signal]:
        return self.feed(
            made_bank.booked(name, "CARD", day, -amount, "card", "customer", self.at), name.encode()
        )

    def close(self, day: int) -> list[Signal]:
        on = BEGIN + timedelta(days=day)
        return self.feed(made_bank.line(DayClosed(day=on), f"close-{day}", on), None)

    def close_through(self, first: int, last: int) -> dict[int, list[Signal]]:
        """What each close said, where it said anything."""
        told = {day: self.close(day) for day in range(first, last + 1)}
        return {day: found for day, found in told.items() if found}


def told(one: Replay) -> dict[str, bytes]:
    return {s.id: encode(s, with_position=False) for s in of_model(one.result.signals)}


def applied(one: Replay, lines: Sequence[Line]) -> Any:
    batch = one.engine.read(0, lines, (BEGIN + timedelta(days=4000)).toordinal())
    one._seen.note(0, batch.columns)
    outcome = one.engine.apply(batch, one._seen.repeats(0, batch.asked()))
    one.result.signals += outcome.signals
    return outcome


def figures(
    customers: dict[str, state.CustomerState], product: str = "CA-P"
) -> dict[str, state.CustomerState]:
    """Without what depends on partitions: the position, and ids of days that are still open; and
    without ledgers, settled to where they were last asked: those are compared by their leaves."""
    plan = risk_plan.plan_of(hand_made(product))
    return {
        number: dataclasses.replace(
            customer, offset=0, input_sequence=0, ids=(),
            accounts=tuple(dataclasses.replace(account, ledger=(), entries=(),
                                               watch=_settled(plan, account))
                           for account in customer.accounts),
        )
        for number, customer in customers.items()
    }  # fmt: skip


def _settled(plan: Plan, account: state.AccountState) -> tuple[int, ...]:
    """The features with what waits, whatever was looked at since the record was written: without
    the day of the next look, and the offsets of what moved them, which are a partition's own."""
    if not account.watch:
        return ()
    row = watched.settled(plan, 0, account.watch, date.max).tolist()
    return (*row[watching.DUE + 1 : watching.MOVED], *row[watching.HEAD :])


def hand_made(
    product: str, bases: tuple[int, int, int] = (-2_000_000, 10_000_000, 1_000_000)
) -> RiskModel:
    """A model of three rules on a product, of a feature or two each: no training; many alerts, or
    few where the bases are low."""

    def score(goal: Goal, base: int, **weights: int) -> Score:
        names = account_features.NAMES
        method = Linear(
            "account", TAUS_DAYS, DAY_FACTORS, names,
            tuple(weights.get(name, 0) for name in names), (0,) * len(names), base,
        )  # fmt: skip
        return Score(goal, (product,), 90, "linear", {"linear": method}, (), {},
                     Threshold(500_000, 300_000, 0, 0))  # fmt: skip

    scores = (
        score("collapse", bases[0], silent_gaps=2_000_000),
        score("outflow", bases[1], balance_to_mean_middle=-12_000_000),
        score("distress", bases[2], balance_to_mean_long=-1_500_000, money_out_long=100_000),
    )
    day = date(2024, 12, 31)
    record = Record(day, "by hand", "", 0, 0, day, day, day, (), (), "none", ())
    return RiskModel(2, "hand-made-1", scores, record)


def of_products(model: RiskModel, *products: str) -> RiskModel:
    """The same rules, on accounts of all these products."""
    scores = tuple(msgspec.structs.replace(s, product_codes=products) for s in model.scores)
    return msgspec.structs.replace(model, scores=scores)
