"""The watched accounts of one partition: rows of features, what waits, crossings of the batch."""

from collections.abc import Mapping, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

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
        self.places: Ints = np.full((_START, 2), -1, np.int64)
        self.pool: Ints = np.zeros(_START, np.int64)
        self.looks: Ints = np.zeros(_START, np.int64)
        self.heads: Ints = np.full(_START, -1, np.int64)
        self.entries: Ints = np.zeros((_START, waiting.WORDS), np.int64)
        self.used: Ints = np.array([0, -1], np.int64)
        self.crossings: Ints = np.zeros((watching.SLOTS, CROSSING_WORDS), np.int64)
        self.written: Ints = np.zeros(1, np.int64)
        self._end = 0

    def set_of(self, product_code: str, currency: str, home: str) -> int:
        """The set of a product; -1: not watched. The weights know the bank's own money only."""
        return self.plan.products.get(product_code, -1) if currency == home else -1

    def go_over(self, plan: Plan, products: Mapping[str, int], owners: Ints) -> None:
        """Other rules on the same accounts; `owners` has the product of each by its number. Their
        features stay."""
        self.plan = plan
        sets = np.full(len(products) + 1, -1, np.int64)
        for product, number in products.items():
            sets[number] = plan.products.get(product, -1)
        watched = np.flatnonzero(self.places[:, 0] >= 0)
        self.places[watched, 1] = sets[owners[watched]]

    def own(self, account: int, of_set: int) -> None:
        """A new account row, watched by a set."""
        if account >= len(self.places):
            self.places = _grown(self.places, 2 * account, -1)
            self.heads = _grown(self.heads, 2 * account, -1)
        if of_set < 0:
            return
        begin = self._end
        self._end += WORDS[self.plan.kind_of(of_set)]
        if self._end > len(self.pool):
            self.pool = _grown(self.pool, 2 * self._end)
        self.places[account] = begin, of_set

    def make_room(self, bookings: int) -> None:
        """So that the kernel never runs out of places for what waits."""
        if not self.plan.products:
            return
        needed = int(self.used[waiting.E_USED]) + bookings
        if needed > len(self.entries):
            self.entries = _grown(self.entries, 2 * needed)

    def make_room_to_cross(self) -> None:
        """The kernel has stopped for want of it."""
        self.crossings = _grown(self.crossings, 2 * len(self.crossings))

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

    # Records --------------------------------------------------------------------------------

    def restore(self, account: int, words: Sequence[int]) -> None:
        """An account's row as a record has it. Raises ValueError: its past is not in the record,
        and a score of half a past would be wrong without a word."""
        begin, of_set = self.places[account].tolist()
        if begin < 0:
            return  # no longer watched
        own = WORDS[self.plan.kind_of(of_set)]
        if len(words) < own or (len(words) - own) % waiting.TOLD:
            raise ValueError(
                f"its features are not those that model {self.plan.version} asks for: "
                "rebuild the state from bank.events"
            )
        self.pool[begin : begin + own] = words[:own]
        while self.heads[account] >= 0:
            waiting.pop(self.waits(), account)
        told = [words[at : at + waiting.TOLD] for at in range(own, len(words), waiting.TOLD)]
        self.make_room(len(told))
        for entry in reversed(told):
            place = waiting.put(self.waits(), account, -1, entry[waiting.CODE])
            self.entries[place, : waiting.TOLD] = entry


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


def _grown(array: NDArray[np.int64], size: int, fill: int = 0) -> NDArray[np.int64]:
    new = np.full((size, *array.shape[1:]), fill, np.int64)
    new[: len(array)] = array
    return new
