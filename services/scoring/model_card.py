"""What pages say of the model of risk: which rule, by which method, how wrong it was when measured.

Read from the model's file without the compiled code that runs it.
"""

from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
import structlog

log = structlog.get_logger()
RULES: Final = {
    "silence": "no_purchase",
    "collapse": "collapse",
    "outflow": "outflow_ahead",
    "distress": "distress",
    "use": "use_falls",
}


class _Measured(msgspec.Struct, frozen=True):
    method: str
    population: str
    rows: int
    auc_ppm: int
    brier_ppm: int
    ece_ppm: int


class _Threshold(msgspec.Struct, frozen=True):
    raise_ppm: int
    clear_ppm: int
    rows: int
    came_true: int


class ScoreCard(msgspec.Struct, frozen=True):
    """One rule on some products."""

    goal: str
    product_codes: tuple[str, ...]
    horizon_days: int
    method: str
    measured: tuple[_Measured, ...]
    threshold: _Threshold

    @property
    def rule(self) -> str:
        return RULES.get(self.goal, self.goal)

    @property
    def error(self) -> _Measured | None:
        """Of the method that was chosen, on all accounts; none: made by hand."""
        return next(
            (m for m in self.measured if (m.method, m.population) == (self.method, "all")), None
        )

    @property
    def others(self) -> list[_Measured]:
        """Of the methods that were tried beside it, on the same accounts, the best first."""
        found = [m for m in self.measured if m.population == "all" and m.method != self.method]
        return sorted(found, key=lambda one: one.brier_ppm)


class _Record(msgspec.Struct, frozen=True):
    trained_on: date
    split_on: date
    file_name: str


class Card(msgspec.Struct, frozen=True):
    """The model as a whole."""

    version: str
    scores: tuple[ScoreCard, ...]
    record: _Record

    def of_rule(self, rule: str) -> list[ScoreCard]:
        return [score for score in self.scores if score.rule == rule]


@lru_cache(maxsize=4)
def card_of(file: Path | None) -> Card | None:
    """None: no model is set, or the file cannot be read here, which is in the log."""
    if file is None:
        return None
    try:
        return msgspec.json.decode(file.read_bytes(), type=Card)
    except (OSError, UnicodeDecodeError, msgspec.MsgspecError) as error:
        log.error("risk_model_unreadable", file=str(file), error=str(error))
        return None
