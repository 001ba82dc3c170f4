"""Settings of the query side beyond what a transaction carries."""

from functools import lru_cache
from pathlib import Path

import msgspec

from shared.settings import Settings


@lru_cache(maxsize=1)
def home_currency() -> str:
    """The bank's own currency: sums of customers and parties are in it."""
    return Settings(service="scoring").currency


class _Model(msgspec.Struct):
    version: str


@lru_cache(maxsize=1)
def model_version() -> str:
    """The version in the model's file, without the compiled code that uses the rest of it."""
    file = Path(__file__).parent / "model_v1.json"
    return msgspec.json.decode(file.read_bytes(), type=_Model).version
