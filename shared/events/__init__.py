"""The catalogue of events: one module per owner, one envelope for all."""

from shared.events.envelope import (
    CATALOGUE,
    Event,
    Undecodable,
    UnknownType,
    UnknownVersion,
    decode,
    encode,
    key_of,
    misplaced,
    wrap,
)
from shared.events.fact import Cause, Fact, Text

__all__ = [
    "CATALOGUE",
    "Cause",
    "Event",
    "Fact",
    "Text",
    "Undecodable",
    "UnknownType",
    "UnknownVersion",
    "decode",
    "encode",
    "key_of",
    "misplaced",
    "wrap",
]
