"""The model of risk: a versioned JSON file that `train` writes. Integers only, never a pickle.

It says which method scores which products, with what weights, and by which run it was found.
"""

from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import numpy as np
from msgspec import Meta
from numpy.typing import NDArray

from services.scoring.scores import account_features, linear, no_purchase, purchase_features
from services.scoring.scores.alive import Process

Ints = NDArray[np.int64]
Goal = Literal["silence", "collapse", "outflow", "distress", "use"]
Positive = Annotated[int, Meta(gt=0)]
Micro = Annotated[int, Meta(ge=-(10**9), le=10**9)]  # times a feature within 64 bits
Ppm = Annotated[int, Meta(ge=0, le=1_000_000)]
Share = Annotated[int, Meta(gt=0, lt=1_000_000)]  # ppm that a score may reach
FEATURE_MAX = 100_000_000  # no feature is beyond it: twice ln(2**63) in millionths
SUM_MAX = 1 << 62  # of weights times features
NAMES = {"purchase": purchase_features.NAMES, "account": account_features.NAMES}
# The state of every account decays by these, whatever the model: e^-(1/tau) at 60 bits.
TAUS_DAYS = (15, 45, 180)
DAY_FACTORS = (1_078_566_120_752_867_794, 1_127_583_601_684_856_119, 1_146_534_144_232_901_912)


class NoPurchase(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="no_purchase"):
    """P_H by BG/NBD or MBG/NBD. Parameters in millionths, alpha in millionths of a day."""

    at_once: bool
    r_micro: Positive
    alpha_micro_days: Positive
    a_micro: Positive
    b_micro: Positive

    @classmethod
    def of(cls, process: Process) -> "NoPurchase":
        r, alpha, a, b = (max(round(value * 1e6), 1) for value in process[:4])
        return cls(bool(process.at_once), r, alpha, a, b)

    @property
    def process(self) -> Process:
        parts = (self.r_micro, self.alpha_micro_days, self.a_micro, self.b_micro)
        r, alpha, a, b = (part / 1e6 for part in parts)
        return Process(r, alpha, a, b, int(self.at_once))

    def risk_ppm(self, repeats: int, tx_days: int, age_days: int, horizon_days: int) -> int:
        return int(no_purchase.risk_ppm(self.process, repeats, tx_days, age_days, horizon_days))


class Linear(
    msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag="linear", dict=True
):  # fmt: skip
    """A logit over decayed features, all in millionths. A factor is e^-(1/tau) at 60 bits."""

    features: Literal["purchase", "account"]
    taus_days: tuple[Positive, Positive, Positive]
    day_factors: tuple[Positive, Positive, Positive]
    names: tuple[str, ...]
    weights_micro: tuple[Micro, ...]
    means_micro: tuple[Micro, ...]
    base_micro: Micro

    def __post_init__(self) -> None:
        if self.names != NAMES[self.features]:
            raise ValueError(f"names are not those of this release's {self.features} features")
        if (self.taus_days, self.day_factors) != (TAUS_DAYS, DAY_FACTORS):
            raise ValueError("time constants are not those of this release")
        if not len(self.names) == len(self.weights_micro) == len(self.means_micro):
            raise ValueError("names, weights and means are not of one length")
        parts = zip(self.weights_micro, self.means_micro, strict=True)
        if sum(abs(weight) * (FEATURE_MAX + abs(mean)) for weight, mean in parts) >= SUM_MAX:
            raise ValueError("weights are too great: their sum would leave the exact figures")

    @cached_property
    def weights(self) -> Ints:
        return np.array(self.weights_micro, np.int64)

    @cached_property
    def means(self) -> Ints:
        return np.array(self.means_micro, np.int64)

    def terms(self, features: Ints) -> Ints:
        """What each feature adds to the logit; with `base_micro` they sum to it exactly."""
        found: Ints = linear.terms(features, self.weights, self.means)
        return found

    def risk_ppm(self, features: Ints) -> int:
        return linear.risk_ppm(linear.logit_micro(self.base_micro, self.terms(features)))


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What one method did on the later half, on all accounts or on those with repeat purchases."""

    method: str
    population: Literal["all", "repeat"]
    rows: int
    accounts: int
    base_ppm: Ppm  # the share that came true
    auc_ppm: Ppm
    brier_ppm: Ppm
    ece_ppm: Ppm


class Threshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an alert begins and ends, set on the early half; and what it would have done later."""

    raise_ppm: Share
    clear_ppm: Share  # below it an open alert ends
    rows: int  # of the later half, at or above `raise_ppm`
    came_true: int  # of these

    def __post_init__(self) -> None:
        if self.clear_ppm >= self.raise_ppm:
            raise ValueError("clear_ppm must be below raise_ppm")


class Score(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A goal, the products it is for, and the method with the smallest measured error."""

    goal: Goal
    product_codes: tuple[str, ...]
    horizon_days: Positive
    method: str
    methods: dict[str, NoPurchase | Linear]
    measured: tuple[Measured, ...]
    refused: dict[str, str]  # method: why these data do not carry it
    threshold: Threshold

    def __post_init__(self) -> None:
        if self.method not in self.methods:
            raise ValueError(f"method {self.method} has no parameters")
        kind = "purchase" if self.goal == "silence" else "account"
        chosen = self.methods[self.method]
        if (chosen.features if isinstance(chosen, Linear) else "purchase") != kind:
            raise ValueError(f"method {self.method} has other features than {self.goal} is told by")


class Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The run that found a model."""

    trained_on: date
    file_name: str
    file_sha256: str
    transactions: int
    accounts: int
    first_on: date
    last_on: date
    split_on: date  # nothing after it was used for a weight
    train_on: tuple[date, ...]  # snapshots
    test_on: tuple[date, ...]
    error: str  # by which the method was chosen
    refused: tuple[str, ...]  # goals that these data do not carry, and why


class RiskModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    format: Literal[2]  # 1 had no thresholds
    version: str
    scores: tuple[Score, ...]
    record: Record


def load(file: Path) -> RiskModel:
    """The model in a file. Raises msgspec.ValidationError where something is missing or unknown."""
    return msgspec.json.decode(file.read_bytes(), type=RiskModel)


def save(model: RiskModel, file: Path) -> None:
    """Writes it whole or not at all."""
    part = part_of(file)
    part.write_bytes(msgspec.json.format(msgspec.json.encode(model), indent=2) + b"\n")
    part.replace(file)


def part_of(file: Path) -> Path:
    """Where it is written until it is whole."""
    return file.with_name(file.name + ".part")
