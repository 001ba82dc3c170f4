"""What of the margin at risk work can still save, by what came of a rule's alerts so far."""

from collections.abc import Mapping
from dataclasses import dataclass

from services.scoring.rules.stake import MILLION

HALF = 500_000
# A rule nobody has judged is worth as much as all rules together; all rules, before anybody has
# judged one, are worth a half. Either is outweighed after so many outcomes.
OUTWEIGHED_AFTER = 20


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Alerts on whose work staff recorded an outcome; of them saved: kept or recovering."""

    saved: int = 0
    judged: int = 0


def chance_of(rule: str, judged: Mapping[str, Outcomes]) -> int:
    """The chance in ppm that work on an alert of this rule saves what is at risk."""
    of_all = Outcomes(
        sum(one.saved for one in judged.values()), sum(one.judged for one in judged.values())
    )
    return _towards(judged.get(rule, Outcomes()), _towards(of_all, HALF))


def recoverable_minor(margin_at_risk_minor: int, chance: int) -> int:
    """What managers' places go by; rounded down."""
    return margin_at_risk_minor * chance // MILLION


def _towards(seen: Outcomes, prior_ppm: int) -> int:
    weighed = seen.saved * MILLION + OUTWEIGHED_AFTER * prior_ppm
    return weighed // (seen.judged + OUTWEIGHED_AFTER)
