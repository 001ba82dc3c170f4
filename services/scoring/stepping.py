"""The kernel's inputs and outputs while one batch of a partition is stepped."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from services.scoring import firing, kernel
from services.scoring.columns import Columns
from services.scoring.partition import Partition
from services.scoring.rows import REDELIVERED, SIGNAL_WORDS

Ints = NDArray[np.int64]


class Run:
    """The kernel's outputs while one batch is stepped."""

    def __init__(self, partition: Partition, columns: Columns) -> None:
        n = len(columns.rows)
        partition.make_room(n)
        self._partition = partition
        self._arrays: tuple[Any, ...] = columns.arrays()
        self.verdicts: Ints = np.full(n, REDELIVERED, np.int64)
        self._touched: Ints = np.empty(len(partition.customers), np.int64)
        self._signals: Ints = np.empty((2 * n + 1, SIGNAL_WORDS), np.int64)
        self._arms: Ints = np.empty((n + 1, 2), np.int64)
        counters = partition.counters
        counters[kernel.TOUCHED] = counters[kernel.SIGNALS] = counters[kernel.ARMED] = 0
        counters[kernel.GENERATION] += 1
        partition.books.written[:] = partition.watched.written[:] = 0

    def step(self, begin: int, end: int, mark: int) -> None:
        p, model = self._partition, self._partition.live.model
        rows, accounts, amounts, days, offsets, flags, hashes, sequences, uses, kinds = self._arrays
        while begin < end:
            begin = kernel.step(
                begin, end, rows, accounts, amounts, days, offsets, flags, hashes, sequences,
                uses.reshape(-1, 4), kinds, mark, p.customers, p.accounts, p.first_account,
                p.next_account, p.armed, p.stamps, p.heads, p.ids, p.slots, p.books.book(),
                p.watched.watch(), model.activity_factors, model.activity_mass,
                model.balance_factors, model.numbers, self.verdicts, self._touched, self._signals,
                self._arms, p.counters,
            )  # fmt: skip
            self._take_arms()
            if begin < end:
                p.books.make_room()

    def fire(self, mark: int, offset: int) -> None:
        """The timers that this watermark has reached."""
        p, model = self._partition, self._partition.live.model
        due = p.timers.due(mark, p.armed)
        if not len(due):
            return
        counters = p.counters
        needed = int(counters[kernel.SIGNALS]) + 2 * len(due)
        if needed >= len(self._signals):
            grown = np.zeros((needed + len(self._signals), SIGNAL_WORDS), np.int64)
            grown[: len(self._signals)] = self._signals
            self._signals = grown
        self._arms = np.zeros((max(len(due), len(self._arms)), 2), np.int64)
        begin = 0
        while begin < len(due):
            begin = firing.fire(
                begin, due, mark, offset, p.customers, p.accounts, p.armed, p.stamps,
                p.first_account, p.next_account, p.watched.watch(), model.balance_factors,
                model.activity_mass, model.numbers, self._touched, self._signals, self._arms,
                counters,
            )  # fmt: skip
            if begin < len(due):
                p.watched.make_room_to_cross()
        self._take_arms()

    def _take_arms(self) -> None:
        counters = self._partition.counters
        n = int(counters[kernel.ARMED])
        if n:
            self._partition.timers.arm(self._arms[:n, 0], self._arms[:n, 1])
            counters[kernel.ARMED] = 0

    def touched(self) -> Ints:
        return self._touched[: int(self._partition.counters[kernel.TOUCHED])]

    def signals(self) -> list[list[int]]:
        rows: list[list[int]] = self._signals[
            : int(self._partition.counters[kernel.SIGNALS])
        ].tolist()
        return rows

    def forget_signals(self) -> None:
        """They were taken."""
        self._partition.counters[kernel.SIGNALS] = self._partition.watched.written[0] = 0
