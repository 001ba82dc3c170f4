"""Scoring's own settings, and what the query side reads of them."""

from functools import lru_cache
from pathlib import Path

import msgspec

from services.scoring.model_card import Card, card_of
from shared.settings import Settings


class ScoringSettings(Settings):
    """Of the worker, of `replay` and of the query side alike."""

    service: str = "scoring"
    risk_model: Path | None = None  # the file that `train` wrote; none: the two small rules only
    watch_turnover: bool = True  # abnormal change by customer, product and branch, each closed day


@lru_cache(maxsize=1)
def home_currency() -> str:
    """The bank's own currency: sums of customers and parties are in it."""
    return Settings(service="scoring").currency


def risk_card() -> Card | None:
    """What is known of the model of risk; none: the two small rules only."""
    return card_of(ScoringSettings().risk_model)


class _Model(msgspec.Struct):
    version: str


@lru_cache(maxsize=1)
def model_version() -> str:
    """The version in the model's file, without the compiled code that uses the rest of it."""
    file = Path(__file__).parent / "model_v1.json"
    return msgspec.json.decode(file.read_bytes(), type=_Model).version
