"""A set of rules as it is proposed, rehearsed and published: thresholds and a model of risk.

Read without the compiled code that runs it, so the query side can show and compare sets.
"""

from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

FILE_BYTES_MAX = 500_000  # with its base64 and the event around it below the producer's greatest
FIRST_FILE = Path(__file__).parent / "model_v1.json"
Share = Annotated[int, Meta(gt=0, le=1_000_000)]  # ppm
Money = Annotated[int, Meta(ge=0, le=2**53)]  # minor units
Gaps = Annotated[int, Meta(ge=100, le=100_000)]  # thousandths of a usual gap
Days = Annotated[int, Meta(ge=1, le=3650)]


class Thresholds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the two small rules, outflow and silence, begin and end."""

    outflow_ppm: Share  # begins below this share of the mean balance
    outflow_clear_ppm: Share  # ends at or above this one
    outflow_mean_min_minor: Money  # a mean below it does not matter
    silence_gaps_milli: Gaps  # begins after so many usual gaps
    silence_days_min: Days
    silence_days_max: Days
    silence_count_min: Annotated[int, Meta(ge=1, le=10_000)]
    silence_tenure_days_min: Days

    def __post_init__(self) -> None:
        if self.outflow_clear_ppm < self.outflow_ppm:
            raise ValueError("outflow_clear_ppm must not be below outflow_ppm")
        if self.silence_days_max < self.silence_days_min:
            raise ValueError("silence_days_max must not be below silence_days_min")


class RuleSet(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What runs from a day on. `risk` is the whole file that `train` writes, or null."""

    thresholds: Thresholds
    risk: dict[str, Any] | None = None

    def encoded(self) -> str:
        return msgspec.json.encode(self, order="deterministic").decode()


def decoded(text: str | bytes) -> RuleSet:
    """Raises msgspec.ValidationError where something is missing, unknown or beyond its bounds."""
    return msgspec.json.decode(text, type=RuleSet)


def first_thresholds() -> Thresholds:
    """Those of the set with which a system begins."""
    known = msgspec.json.decode(FIRST_FILE.read_bytes(), type=dict[str, Any])
    names = Thresholds.__struct_fields__
    return msgspec.convert({name: known[name] for name in names}, Thresholds)


def first_set(risk_model: Path | None) -> RuleSet:
    """The set with which a system begins: number 0. Raises OSError, msgspec.MsgspecError."""
    risk = None
    if risk_model is not None:
        risk = msgspec.json.decode(risk_model.read_bytes(), type=dict[str, Any])
    return RuleSet(first_thresholds(), risk)


class _Change(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    thresholds: dict[str, int] = {}
    risk: dict[str, Any] | msgspec.UnsetType | None = msgspec.UNSET


def changed(base: RuleSet, text: str | bytes) -> RuleSet:
    """The set with what a file changes: some thresholds, the model as a whole, or both; what it
    leaves out stays. Raises msgspec.MsgspecError, UnicodeDecodeError."""
    change = msgspec.json.decode(text, type=_Change)
    thresholds = msgspec.structs.asdict(base.thresholds) | change.thresholds
    risk = base.risk if change.risk is msgspec.UNSET else change.risk
    return RuleSet(msgspec.convert(thresholds, Thresholds), risk)


class _Threshold(msgspec.Struct, frozen=True):
    raise_ppm: int
    clear_ppm: int


class _Score(msgspec.Struct, frozen=True):
    goal: str
    product_codes: tuple[str, ...]
    threshold: _Threshold


class _Risk(msgspec.Struct, frozen=True):
    version: str
    scores: tuple[_Score, ...]


def scored(risk: dict[str, Any] | None) -> set[tuple[str, str]]:
    """Which (product, goal) a model scores. Raises msgspec.ValidationError."""
    if risk is None:
        return set()
    found = msgspec.convert(risk, _Risk)
    return {(product, score.goal) for score in found.scores for product in score.product_codes}


def differences(before: RuleSet, after: RuleSet) -> dict[str, tuple[Any, Any]]:
    """What a set changes: name -> (before, after). Of a model its version and its thresholds."""
    one, other = _flat(before), _flat(after)
    return {
        name: (one.get(name), other.get(name))
        for name in dict.fromkeys((*one, *other))
        if one.get(name) != other.get(name)
    }


def _flat(rules: RuleSet) -> dict[str, Any]:
    found: dict[str, Any] = msgspec.structs.asdict(rules.thresholds)
    if rules.risk is not None:
        risk = msgspec.convert(rules.risk, _Risk)
        found["model"] = risk.version
        for score in risk.scores:
            name = f"{score.goal}/{','.join(score.product_codes)}"
            found[f"{name}/raise_ppm"] = score.threshold.raise_ppm
            found[f"{name}/clear_ppm"] = score.threshold.clear_ppm
    return found


NARROWER = "it leaves out {} of {}: a rule goes by a threshold that is never reached"
WIDER = "product {} is not watched: the workers' state lacks its past and needs a rebuild"
OTHER_KIND = "product {} is watched {}, so it cannot be scored by {}"


def misfit(first: RuleSet, before: RuleSet, after: RuleSet) -> str | None:
    """Why workers that began with `first` and run `before` cannot go over to `after`."""
    watched = {product: goal == "silence" for product, goal in scored(first.risk)}
    wanted = scored(after.risk)
    for product, goal in sorted(wanted):
        if product not in watched:
            return WIDER.format(product)
        if (goal == "silence") != watched[product]:
            kinds = ("as an account", "by its purchases")
            return OTHER_KIND.format(product, kinds[watched[product]], goal)
    for product, goal in sorted(scored(before.risk) - wanted):
        return NARROWER.format(goal, product)
    return None
