"""What is at stake with an alert, and the terms that explain it: all integers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.scoring.rules.episodes import OF_ALL_NUMBERS

MILLION = 1_000_000
OF_A_MODEL = frozenset({"no_purchase", "collapse", "outflow_ahead", "distress", "use_falls"})
FINDINGS = frozenset({"use_falls"})  # shown with advice: no work comes of them alone
_BESIDE = frozenset(  # what a model's alert tells beside its terms
    {"silent_days", "horizon_days", "pace_milli", "usual_pace_milli", "account_closed"}
)


@dataclass(frozen=True, slots=True)
class Evidence:
    """The signal of one number that held when a party's episode began."""

    customer_number: str
    score_ppm: int
    terms: Mapping[str, Any]
    event_ids: tuple[str, ...] = ()
    signal_id: str = ""


@dataclass(frozen=True, slots=True)
class Reason:
    """Why the party's episode began: risk, terms by code, the number and signal that tell it."""

    risk_ppm: int
    customer_number: str
    terms: dict[str, int]
    event_ids: tuple[str, ...]
    signal_id: str | None = None  # none: what its sums came to
    left_numbers: int = 0  # of its party, without an account as a silence began


def reason(
    rule: str, evidence: Sequence[Evidence], on: date, left_numbers: int = 0
) -> Reason:
    """One reason out of the signals that held as the alert began, on this day.

    Silence: of the numbers that have an account the one that was active last speaks for the party,
    and the party is as surely gone as its least sure number. `left_numbers`: how many have none.
    Other rules: the number with the greatest score.
    """
    if rule in OF_ALL_NUMBERS:
        chosen = max(evidence, key=lambda e: (str(e.terms["last_on"]), e.customer_number))
        last_on = date.fromisoformat(chosen.terms["last_on"])
        terms = {
            "silent_days": max((on - last_on).days, 0),
            "mean_gap_milli_days": int(chosen.terms["mean_gap_milli_days"]),
        }
        if "clear_actions" in chosen.terms:
            terms["clear_actions"] = int(chosen.terms["clear_actions"])
        risk = min(one.score_ppm for one in evidence)
    else:
        chosen = max(evidence, key=lambda e: (e.score_ppm, e.customer_number))
        terms = {code: value for code, value in chosen.terms.items() if isinstance(value, int)}
        risk, left_numbers = chosen.score_ppm, 0
    return Reason(
        risk, chosen.customer_number, terms, chosen.event_ids, chosen.signal_id, left_numbers
    )


def margin_at_risk(risk_ppm: int, at_stake_minor: int) -> int:
    """Risk times the amount at stake, in minor units, rounded down; never below 0."""
    return max(at_stake_minor, 0) * min(max(risk_ppm, 0), MILLION) // MILLION


@dataclass(frozen=True, slots=True)
class Piece:
    """One part of a whole: `code` names it, `unit` says how the value is shown."""

    code: str
    value: int
    share_ppm: int
    unit: str


@dataclass(frozen=True, slots=True)
class Whole:
    """Pieces that add up to `value`."""

    code: str
    value: int
    unit: str
    pieces: tuple[Piece, ...]


def whole_of(rule: str, terms: Mapping[str, int], since_days: int = 0) -> Whole | None:
    """The terms as parts that add up exactly; none for a rule without such a picture.

    Silence: the usual gap and the days beyond it are the silent days, and it lasts `since_days`
    longer by now. Outflow: what is left and
    what is gone are the usual balance. A model's rule: the terms are the score.
    """
    if rule in OF_A_MODEL:
        return _whole_of_model(terms)
    if rule == "silence":
        silent = terms.get("silent_days", 0) + since_days
        gap = min(max(round(terms.get("mean_gap_milli_days", 0) / 1000), 1), max(silent, 1))
        return _whole("silent_days", silent, "days", (("usual_gap", gap),
                                                      ("beyond_usual", silent - gap)))  # fmt: skip
    if rule == "outflow":
        mean, balance = terms.get("mean_minor", 0), terms.get("balance_minor", 0)
        left = min(max(balance, 0), mean)
        return _whole("mean_minor", mean, "money", (("left", left), ("gone", mean - left)))
    return None


def additive(terms: Mapping[str, int]) -> dict[str, int]:
    """Those terms of a model's rule that sum to its score, greatest first."""
    found = [(code, value) for code, value in terms.items()
             if code not in _BESIDE and not code.startswith("clear_")]  # fmt: skip
    return dict(sorted(found, key=lambda one: -one[1]))


def _whole_of_model(terms: Mapping[str, int]) -> Whole:
    """Terms of a linear score raise it or lower it; the two of a process are parts of the risk."""
    parts = additive(terms)
    unit = "ppm" if "waits" in parts else "points"
    size = sum(abs(value) for value in parts.values()) or 1
    pieces = tuple(
        Piece(code, value, abs(value) * MILLION // size, unit) for code, value in parts.items()
    )
    return Whole("score", sum(parts.values()), unit, pieces)


def _whole(code: str, value: int, unit: str, parts: tuple[tuple[str, int], ...]) -> Whole:
    pieces = tuple(
        Piece(name, part, part * MILLION // value if value > 0 else 0, unit) for name, part in parts
    )
    return Whole(code, value, unit, pieces)
