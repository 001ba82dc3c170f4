"""The sets of rules that workers know, compiled: which one judges which day."""

import hashlib
from dataclasses import dataclass

import msgspec

from services.scoring import risk_plan, rule_set
from services.scoring.model import Model
from services.scoring.risk_model import RiskModel
from services.scoring.risk_plan import NO_PLAN, ModelRefused, Plan
from services.scoring.rule_set import RuleSet, Thresholds


@dataclass(frozen=True)
class LiveSet:
    """A set of rules as the kernel takes it. It judges the close of `first_day` and what follows.

    Number 0 is the set with which a system begins.
    """

    number: int
    first_day: int
    rules: RuleSet
    model: Model
    plan: Plan


class LiveSets:
    """All sets that were published, in the order in which they follow each other."""

    def __init__(self, model: Model, plan: Plan) -> None:
        thresholds = msgspec.convert(
            {name: getattr(model, name) for name in Thresholds.__struct_fields__}, Thresholds
        )
        risk = msgspec.to_builtins(plan.model) if plan.model else None
        self._sets = [LiveSet(0, 0, RuleSet(thresholds, risk), model, plan)]

    @property
    def first(self) -> LiveSet:
        return self._sets[0]

    @property
    def seed(self) -> str:
        """Names the first set by what it says: a state that began with another is no state of this
        worker."""
        said = self.first.rules.encoded().encode()
        return hashlib.sha256(said).hexdigest()[:16]

    def take(self, number: int, first_day: int, rules: RuleSet) -> bool:
        """A set was published; False: it is known. Raises ModelRefused: it can never be live."""
        last = self._sets[-1]
        if any(known.number == number for known in self._sets):
            return False
        if first_day <= last.first_day:
            raise ModelRefused(f"it begins on a day of set {last.number}, or before")
        reason = rule_set.misfit(self.first.rules, last.rules, rules)
        if reason is not None:
            raise ModelRefused(reason)
        self._sets.append(compiled(number, first_day, rules, self.first.model))
        return True

    def of(self, number: int) -> LiveSet:
        """Raises KeyError."""
        for live in self._sets:
            if live.number == number:
                return live
        raise KeyError(number)

    def due(self, number: int, watermark: int) -> LiveSet | None:
        """The set that follows `number` once this day is closed; none: that one goes on."""
        at = self._sets.index(self.of(number))
        found = [s for s in self._sets[at + 1 :] if s.first_day <= watermark]
        return found[-1] if found else None


def compiled(number: int, first_day: int, rules: RuleSet, model: Model) -> LiveSet:
    """A set as the kernel takes it; decay factors are those of `model`. Raises ModelRefused."""
    version = f"set-{number}"
    thresholds = msgspec.structs.asdict(rules.thresholds)
    plan = NO_PLAN
    if rules.risk is not None:
        try:
            risk = msgspec.convert(rules.risk, RiskModel)
        except msgspec.ValidationError as error:
            raise ModelRefused(f"the model of risk is refused: {error}") from None
        plan = risk_plan.plan_of(msgspec.structs.replace(risk, version=version))
    own = msgspec.structs.replace(model, version=version, **thresholds)
    return LiveSet(number, first_day, rules, own, plan)
