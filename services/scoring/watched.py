"""The watched accounts of one partition: rows of features, what waits, crossings of the batch."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from services.scoring.growing import with_room
from services.scoring.risk_plan import NO_PLAN, Plan
from services.scoring.scores import waiting, watching
from services.scoring.scores.waiting import Waiting
from services.scoring.scores.watching import CROSSING_WORDS, HEAD, WORDS, Watch

Ints = NDArray[np.int64]
_START = 1024


class Watched:
    """Rows of `places` are those of the partition's accounts, of `looks` those of its customers."""

    def __init__(self, plan: Plan = NO_PLAN) -> None:
        self.plan = plan
        self.places: Ints = np.zeros((_START, watching.PLACE_WORDS), np.int64)
        self.pool: Ints = np.zeros(_START, np.int64)
        self.looks: Ints = np.zeros(_START, np.int64)
        self.heads: Ints = np.zeros(_START, np.int64)
        self.entries: Ints = np.zeros((_START, waiting.WORDS), np.int64)
        self.used: Ints = np.array([0, -1], np.int64)
        self.crossings: Ints = np.zeros((watching.SLOTS, CROSSING_WORDS), np.int64)
        self.written: Ints = np.zeros(1, np.int64)

    def set_of(self, product_code: str, currency: str, home: str) -> int:
        """The set of a product; -1: not watched. The weights know the bank's own money only."""
        return self.plan.products.get(product_code, -1) if currency == home else -1

    def go_over(self, plan: Plan, products: Mapping[str, int], owners: Ints) -> None:
        """Other rules on the same accounts; `owners` has the product of each by its number. Their
        features stay."""
        self.plan = plan
        self.places[: len(owners), watching.QUIET_ON] = 0  # the others may change on that day
        sets = np.full(len(products) + 1, -1, np.int64)
        for product, number in products.items():
            sets[number] = plan.products.get(product, -1)
        watched = np.flatnonzero(self.places[: len(owners), 0] >= 0)
        self.places[watched, 1] = sets[owners[watched]]

    def words_of(self, of_set: int) -> int:
        """Of the row of an account that is watched by a set, or not at all."""
        return WORDS[self.plan.kind_of(of_set)] if of_set >= 0 else 0

    def make_room_for_accounts(self, known: int, more: int, features_end: int) -> None:
        """For so many beside those known, whose features end there."""
        self.places = with_room(self.places, known, more)
        self.heads = with_room(self.heads, known, more)
        if self.plan.products:
            self.pool = with_room(self.pool, features_end, more * max(WORDS))

    def make_room(self, bookings: int) -> None:
        """So that the kernel never runs out of places for what waits."""
        if not self.plan.products:
            return
        self.entries = with_room(self.entries, int(self.used[waiting.E_USED]), bookings)

    def make_room_to_cross(self) -> None:
        """The kernel has stopped for want of it."""
        self.crossings = with_room(self.crossings, len(self.crossings), len(self.crossings))

    def watch(self) -> Watch:
        """All of it as the kernel takes it."""
        return Watch(self.places, self.pool, self.looks, self.plan.sets, self.plan.methods,
                     self.waits(), self.crossings, self.written)  # fmt: skip

    def waits(self) -> Waiting:
        return Waiting(self.heads, self.entries, self.used)

    def crossed(self) -> list[list[int]]:
        """The crossings since they were last counted from none."""
        found: list[list[int]] = self.crossings[: int(self.written[0])].tolist()
        return found


def settled(plan: Plan, of_set: int, words: Sequence[int], on: date) -> Ints:
    """The row in a record with what has waited up to a day."""
    kind = plan.kind_of(of_set)
    own = WORDS[kind]
    row: Ints = np.array(words[:own], np.int64)
    for at in range(own, len(words), waiting.TOLD):
        code, count, amount, offset = words[at : at + waiting.TOLD]
        if code >> waiting.FLAGS <= on.toordinal():
            for n in range(count):
                watching.take(
                    row[HEAD:own], row[:HEAD], plan.methods.factors, kind,
                    code >> waiting.FLAGS, 0 if n else amount, code & (waiting.OUT - 1), offset,
                )  # fmt: skip
    return row


def last_on(kind: int, row: Ints) -> int:
    """The last day that a settled row knows; 0: it knows none."""
    return int(watching.last_on(row[HEAD:], kind))
