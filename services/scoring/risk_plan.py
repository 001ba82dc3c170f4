"""The model of risk as the worker runs it: which products are watched, by which methods."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import msgspec
import numpy as np

from services.scoring import risk_model
from services.scoring.risk_model import Linear, NoPurchase, RiskModel, Score
from services.scoring.scores import activity, decay
from services.scoring.scores.watching import ACCOUNTS, LINEAR, PROCESS, PURCHASES, SLOTS, Methods

RULES: Final = (  # by kind, by slot
    ("no_purchase",),
    ("collapse", "outflow_ahead", "distress", "use_falls"),
)
_SLOTS: Final = {"silence": 0, "collapse": 0, "outflow": 1, "distress": 2, "use": 3}
FEATURES_MAX: Final = max(len(names) for names in risk_model.NAMES.values())


class ModelRefused(ValueError):
    """The file is no model that this release can run; the message says why, in one sentence."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule on one product: what a crossing is explained by."""

    code: str
    score: Score
    method: Linear | NoPurchase


@dataclass(frozen=True)
class Plan:
    """Sets of products that are scored alike; without a model there are none."""

    model: RiskModel | None
    products: Mapping[str, int]  # product: its set
    sets: np.ndarray
    rules: tuple[Rule, ...]  # by number of the method

    @property
    def version(self) -> str:
        return self.model.version if self.model else ""

    def kind_of(self, of_set: int) -> int:
        return int(self.sets[of_set, 0])

    @cached_property
    def methods(self) -> Methods:
        """As the kernel takes them."""
        n = len(self.rules)
        weights, means = (np.zeros((n, FEATURES_MAX), np.int64) for _ in range(2))
        kinds, bases, raises, clears, at_once, horizons = (np.zeros(n, np.int64) for _ in range(6))
        processes = np.zeros((n, 4))
        for i, rule in enumerate(self.rules):
            method, threshold = rule.method, rule.score.threshold
            horizons[i] = rule.score.horizon_days
            if isinstance(method, NoPurchase):
                kinds[i], at_once[i], processes[i] = PROCESS, method.at_once, method.process[:4]
                raises[i], clears[i] = threshold.raise_ppm, threshold.clear_ppm
                continue
            kinds[i], bases[i] = LINEAR, method.base_micro
            weights[i, : len(method.names)] = method.weights_micro
            means[i, : len(method.names)] = method.means_micro
            raises[i], clears[i] = (_logit(ppm) for ppm in (threshold.raise_ppm,
                                                            threshold.clear_ppm))  # fmt: skip
        factors = np.stack([decay.table(factor) for factor in risk_model.DAY_FACTORS])
        mass = np.stack([activity.mass_of(of_tau) for of_tau in factors])
        return Methods(kinds, weights, means, bases, raises, clears, processes, at_once, horizons,
                       factors, mass)  # fmt: skip


NO_PLAN: Final = Plan(None, {}, np.zeros((0, 1 + SLOTS), np.int64), ())


def _logit(ppm: int) -> int:
    return round(math.log(ppm / (1_000_000 - ppm)) * 1e6)


def plan_of(model: RiskModel) -> Plan:
    """Raises ModelRefused where a product would be scored twice for a goal, or both as purchases
    and as an account."""
    slots: dict[str, list[int]] = {}
    kinds: dict[str, int] = {}
    rules = []
    for score in model.scores:
        kind = PURCHASES if score.goal == "silence" else ACCOUNTS
        slot = _SLOTS[score.goal]
        rules.append(Rule(RULES[kind][slot], score, score.methods[score.method]))
        for product in score.product_codes:
            known = slots.setdefault(product, [-1] * SLOTS)
            if kinds.setdefault(product, kind) != kind:
                raise ModelRefused(f"{product} is scored by its purchases and as an account")
            if known[slot] >= 0:
                raise ModelRefused(f"{product} is scored twice for {score.goal}")
            known[slot] = len(rules) - 1
    rows = sorted({(kinds[product], *found) for product, found in slots.items()})
    products = {product: rows.index((kinds[product], *found)) for product, found in slots.items()}
    return Plan(model, products, np.array(rows, np.int64), tuple(rules))


def read(file: Path | None) -> Plan:
    """The plan of a model file; of none: nothing is watched. Raises ModelRefused."""
    if file is None:
        return NO_PLAN
    try:
        return plan_of(risk_model.load(file))
    except OSError as error:
        raise ModelRefused(f"the model of risk {file} cannot be read: {error.strerror}") from None
    except (msgspec.MsgspecError, UnicodeDecodeError, ModelRefused) as error:
        raise ModelRefused(f"the model of risk {file} is refused: {error}: train again") from None
