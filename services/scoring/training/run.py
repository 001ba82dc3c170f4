"""One run of training: early snapshots teach, later ones measure, the smallest error wins."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final

import numpy as np

from services.scoring import use_falls
from services.scoring.risk_model import (
    DAY_FACTORS,
    TAUS_DAYS,
    Goal,
    Linear,
    Measured,
    NoPurchase,
    Record,
    RiskModel,
    Score,
    Threshold,
)
from services.scoring.scores import account_features, purchase_features
from services.scoring.training import fits, logistic, snapshots
from services.scoring.training.history import Account, History, TrainError
from services.scoring.training.measures import measured
from services.scoring.training.snapshots import Ints, Table

GOALS: Final[tuple[Goal, ...]] = ("silence", "collapse", "outflow", "distress", "use")
_OF_ACCOUNTS: Final[tuple[Goal, ...]] = ("collapse", "outflow", "distress")
SEASONS_DAYS: Final = 730
FOUND_MIN: Final = 0.05  # of all that came true: what finds less is no rule
RAISED, CLEARED = 0.9, 0.8  # quantiles of the risks
ERROR = "Brier score on all accounts of the test snapshots"
_RATE = purchase_features.NAMES.index("count_long")
_PROCESSES = {"bg_nbd": False, "mbg_nbd": True}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is asked of a run. Days are ordinals; `every_days` 0 takes ends of months."""

    goals: tuple[Goal, ...]
    split_on: int
    every_days: int
    horizon_days: int
    precision_ppm: int | None = None  # of alerts in the early half; none: begin in its upper tenth

    def snapshots(self, history: History) -> tuple[list[int], list[int]]:
        """(train, test). A train snapshot's outcome is known at the split: nothing later leaks."""
        first = history.first_on + self.horizon_days - 1  # as many days seen as there are to wait
        last = history.last_on - self.horizon_days
        every = [day for day in self._grid(history) if first <= day <= last]
        train = [day for day in every if day + self.horizon_days <= self.split_on]
        test = [day for day in every if day >= self.split_on]
        if not train or not test:
            raise TrainError(
                f"{_day(history.first_on)} to {_day(history.last_on)} is too short for a split on "
                f"{_day(self.split_on)} with {self.horizon_days} days to wait on either side"
            )
        return train, test

    def _grid(self, history: History) -> list[int]:
        if self.every_days:
            before = (self.split_on - history.first_on) // self.every_days
            return list(
                range(self.split_on - before * self.every_days, history.last_on, self.every_days)
            )
        whole = range(history.first_on, history.last_on + 1)
        return [day for day in whole if _day(day + 1).day == 1]


def train(history: History, plan: Plan, trained_on: date) -> RiskModel:
    """The model that these data give. Raises TrainError when they give no score at all."""
    early, late = plan.snapshots(history)
    scores: list[Score] = []
    refused: list[str] = []
    if "silence" in plan.goals:
        for code, accounts in sorted(history.purchase_like().items()):
            try:
                scores.append(_silence(code, accounts, plan, early, late))
            except TrainError as error:
                refused.append(f"silence of {code}: {error}")
    asked: list[Goal] = [goal for goal in plan.goals if goal in _OF_ACCOUNTS]
    if asked and history.current():
        table = snapshots.of_bookings(history.current(), early + late, plan.horizon_days)
        codes = _codes(history.current())
        for goal in asked:
            try:
                scores.append(_of_accounts(goal, codes, table, plan))
            except TrainError as error:
                refused.append(f"{goal}: {error}")
    if "use" in plan.goals and history.current() and (scores or plan.goals == ("use",)):
        scores.append(use_falls.score_of(_codes(history.current())))  # by hand: nothing to learn
    if not scores:
        raise TrainError("; ".join(refused) or "no account is of a product for these goals")
    record = Record(
        trained_on=trained_on,
        file_name=history.file_name,
        file_sha256=history.sha256,
        transactions=history.transactions,
        accounts=len(history.accounts),
        first_on=_day(history.first_on),
        last_on=_day(history.last_on),
        split_on=_day(plan.split_on),
        train_on=tuple(_day(day) for day in early),
        test_on=tuple(_day(day) for day in late),
        error=ERROR,
        refused=tuple(refused),
    )
    version = f"{trained_on}-{history.sha256[:8]}"
    return RiskModel(format=2, version=version, scores=tuple(scores), record=record)


def _codes(accounts: Sequence[Account]) -> tuple[str, ...]:
    return tuple(sorted({account.product_code for account in accounts}))


def _silence(
    code: str, accounts: Sequence[Account], plan: Plan, early: list[int], late: list[int]
) -> Score:
    table = snapshots.of_purchases(accounts, early + late, plan.horizon_days)
    before, after = _halves(table, plan.split_on)

    methods: dict[str, NoPurchase | Linear] = {
        "linear": linear_method("purchase", before, "silence"),
        "decayed_rate": _of_one_feature(_RATE, before),
    }
    refused = {}
    known = snapshots.of_purchases(accounts, [plan.split_on], 0).states
    for name, at_once in _PROCESSES.items():
        try:
            seen = fits.Purchases.of(known[:, 0], known[:, 1], known[:, 2])
            methods[name] = NoPurchase.of(fits.fit_process(seen, at_once=at_once)[0])
        except fits.FitError as error:
            refused[name] = str(error)
    _both(after.came_true("silence"))
    repeat = after.only(after.states[:, 0] > 0)
    found = []
    for population, rows in (("all", after), ("repeat", repeat)):
        outcome = rows.came_true("silence")
        if len(np.unique(outcome)) < 2:
            continue  # nobody bought twice, or all of them alike
        for name, method in methods.items():
            risks = risks_ppm(method, rows, plan.horizon_days)
            found.append(measured(name, population, outcome, risks, rows.accounts))
    best = _best(found)
    return Score(
        goal="silence",
        product_codes=(code,),
        horizon_days=plan.horizon_days,
        method=best,
        methods=methods,
        measured=tuple(found),
        refused=refused,
        threshold=_threshold("silence", methods[best], before, after, plan),
    )


def _of_accounts(goal: Goal, codes: tuple[str, ...], table: Table, plan: Plan) -> Score:
    before, after = _halves(table.where(goal), plan.split_on)
    method = linear_method("account", before, goal)
    outcome = after.came_true(goal)
    _both(outcome)
    risks = risks_ppm(method, after, plan.horizon_days)
    return Score(
        goal=goal,
        product_codes=codes,
        horizon_days=plan.horizon_days,
        method="linear",
        methods={"linear": method},
        measured=(measured("linear", "all", outcome, risks, after.accounts),),
        refused={},
        threshold=_threshold(goal, method, before, after, plan),
    )


def _threshold(
    goal: str, method: NoPurchase | Linear, before: Table, after: Table, plan: Plan
) -> Threshold:
    """An alert begins in the upper tenth of the early half and ends below its upper fifth; or
    where so many alerts of it came true as are asked for, and ends where half as many did."""
    early, late = (risks_ppm(method, rows, plan.horizon_days) for rows in (before, after))
    if plan.precision_ppm is None:
        begins, ends = (int(np.quantile(early, share)) for share in (RAISED, CLEARED))
    else:
        true = before.came_true(goal)
        begins, ends = (
            _line(early, _before(early, before), true, plan.precision_ppm // part)
            for part in (1, 2)
        )
    begins = min(max(begins, 2), 999_999)
    over = late >= begins
    return Threshold(
        raise_ppm=begins,
        clear_ppm=min(max(ends, 1), begins - 1),
        rows=int(over.sum()),
        came_true=int((over & after.came_true(goal)).sum()),
    )


def _before(risks: Ints, rows: Table) -> Ints:
    """The risk of each row's account at the snapshot before; -1: there was none."""
    order = np.lexsort((rows.days, rows.accounts))
    found = np.full(len(risks), -1, np.int64)
    same = rows.accounts[order][1:] == rows.accounts[order][:-1]
    found[order[1:][same]] = risks[order[:-1][same]]
    return found


def _line(risks: Ints, before: Ints, came_true: np.ndarray, precision_ppm: int) -> int:
    """The smallest risk of which so many alerts came true: rows that reach it, where the snapshot
    before did not. Raises TrainError where there is none, or one that finds next to nothing."""
    lines = np.unique(risks)
    seen = before >= 0

    def alerts(rows: np.ndarray) -> Ints:
        reach, stood = np.sort(risks[rows]), np.sort(np.minimum(risks, before)[rows])
        return np.searchsorted(stood, lines) - np.searchsorted(reach, lines)

    all_of_them, right = alerts(seen), alerts(seen & came_true)
    over = len(risks[came_true]) - np.searchsorted(np.sort(risks[came_true]), lines)
    found = np.nonzero(
        (all_of_them >= logistic.EACH_MIN)
        & (right * 1_000_000 >= all_of_them * precision_ppm)
        & (over >= FOUND_MIN * came_true.sum())
    )[0]
    if not len(found):
        raise TrainError(
            f"no risk at which {precision_ppm / 1e4:g}% of the alerts before the split came true "
            f"and {FOUND_MIN:.0%} of all that did are found"
        )
    return int(lines[found[0]])


def risks_ppm(method: NoPurchase | Linear, table: Table, horizon_days: int) -> Ints:
    """What a method says of each row: by the integers of the file, as a live scorer would."""
    if isinstance(method, Linear):
        found = [method.risk_ppm(row) for row in table.features]
    else:
        found = [method.risk_ppm(x, tx, age, horizon_days) for x, tx, age in table.states.tolist()]
    return np.array(found, np.int64)


def linear_method(kind: str, rows: Table, goal: str) -> Linear:
    """All features; those of the year only where each of its days was seen in two years."""
    features = rows.features
    if kind == "account" and np.ptp(rows.days) < SEASONS_DAYS:
        features = features.copy()
        features[:, account_features.OF_THE_YEAR :] = 0
    weights, means, base = logistic.fit(features, rows.came_true(goal))
    return _as_method(kind, weights, means, base)


def _of_one_feature(column: int, rows: Table) -> Linear:
    """Platt's map of one feature, as a linear score in which the others weigh nothing."""
    one = rows.features[:, [column]]
    weight, mean, base = logistic.fit(one, rows.came_true("silence"))
    weights, means = (np.zeros(purchase_features.FEATURES, np.int64) for _ in range(2))
    weights[column], means[column] = weight[0], mean[0]
    return _as_method("purchase", weights, means, base)


def _as_method(kind: str, weights: Ints, means: Ints, base: int) -> Linear:
    purchase = kind == "purchase"
    return Linear(
        features="purchase" if purchase else "account",
        taus_days=TAUS_DAYS,
        day_factors=DAY_FACTORS,
        names=purchase_features.NAMES if purchase else account_features.NAMES,
        weights_micro=tuple(weights.tolist()),
        means_micro=tuple(means.tolist()),
        base_micro=base,
    )


def _halves(table: Table, split_on: int) -> tuple[Table, Table]:
    return table.only(table.days < split_on), table.only(table.days >= split_on)


def _both(*outcomes: np.ndarray) -> None:
    for outcome in outcomes:
        if len(np.unique(outcome)) < 2:
            raise TrainError("all rows after the split, or none, came true: there is no error")


def _best(found: Sequence[Measured]) -> str:
    of_all = [one for one in found if one.population == "all"]
    return min(of_all, key=lambda one: one.brier_ppm).method


def _day(ordinal: int) -> date:
    return date.fromordinal(ordinal)
