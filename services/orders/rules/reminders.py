"""The reminder before collection: it asks the fact again before it leaves.

armed -> fencing (the end offsets are noted, the own positions catch up) -> released, or held
while an unapplied message may be the payment -> sent; withdrawn as soon as the money is there.
"""

import json
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Any

from shared.ids import order_references_in

RELEASE_LEASE = timedelta(seconds=60)  # wall clock: how long a release may still be sent
LETTERS_MAX = 2000  # more unapplied messages than this cannot be judged one by one


class ReminderState(StrEnum):
    """Where a reminder stands. `recorded`: due before the bank went live, tells nobody."""

    ARMED = "armed"
    FENCING = "fencing"
    HELD = "held"
    RELEASED = "released"
    SENT = "sent"
    FAILED = "failed"
    WITHDRAWN = "withdrawn"
    RECORDED = "recorded"


UNDER_WAY = frozenset(
    {ReminderState.ARMED, ReminderState.FENCING, ReminderState.HELD, ReminderState.RELEASED}
)


@dataclass(frozen=True, slots=True)
class Letter:
    """A message of bank.events that was not applied: where it stands and its bytes."""

    kind: str
    partition: int
    offset: int
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why a reminder is held: the position of the message and what is the matter."""

    cause: str  # carries_reference, unreadable, too_many
    kind: str
    partition: int
    offset: int

    def described(self) -> dict[str, Any]:
        return {
            "cause": self.cause,
            "kind": self.kind,
            "partition": self.partition,
            "offset": self.offset,
        }


def fence_passed(fence: Mapping[int, int], stored: Mapping[int, int]) -> bool:
    """Do the stored positions stand at or beyond the fence in every partition?"""
    return all(stored.get(partition, 0) >= offset for partition, offset in fence.items())


def obstacle_among(letters: Iterable[Letter], names: Collection[str]) -> Obstacle | None:
    """The first message that may concern the order.

    `names`: reference, receiving account, and the transactions already counted for the order.
    A message that no parser reads might be its payment, so it stands in the way of all.
    """
    for seen, letter in enumerate(letters):
        if seen >= LETTERS_MAX:
            return Obstacle("too_many", letter.kind, letter.partition, letter.offset)
        try:
            document = json.loads(letter.payload or b"")
        except ValueError:
            return Obstacle("unreadable", letter.kind, letter.partition, letter.offset)
        if not isinstance(document, dict):
            return Obstacle("unreadable", letter.kind, letter.partition, letter.offset)
        if _mentions(document, names):
            return Obstacle("carries_reference", letter.kind, letter.partition, letter.offset)
    return None


def _mentions(value: Any, names: Collection[str]) -> bool:
    """A mistyped field still counts: a number is compared as the text it would have been."""
    if isinstance(value, dict):
        return any(_mentions(v, names) for v in value.values())
    if isinstance(value, list):
        return any(_mentions(v, names) for v in value)
    if isinstance(value, str):
        return any(n in value for n in names) or any(r in names for r in order_references_in(value))
    return value is not None and str(value) in names
