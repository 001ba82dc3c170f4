"""The job that rolls open leaves to each closed day. It reads the worker's log itself, in no group:
what is folded into tables is not all that accrual needs. The compiled code is loaded with the
first account that has a ledger."""

import threading
from bisect import bisect_right
from collections.abc import Iterable

import numpy as np
import structlog
from numpy.typing import NDArray

from services.scoring import state, state_columns
from services.scoring.commands import rolling
from services.scoring.commands.rolling import Roll
from services.scoring.commands.rounds import rounds
from services.scoring.rows import KIND_CUSTOMER, KIND_RATE
from shared import positions
from shared.runtime import Runtime
from shared.wire import Record, read_span

log = structlog.get_logger()

TOPIC = "scoring.state"
ROUND_S = 1.0
CUSTOMERS = 1_000  # of one transaction: whoever writes their leaves waits for no more
FAR_BEHIND = 100_000  # records not folded: while history is loaded, no day of it is rolled


def roll_open_leaves(runtime: Runtime, stop: threading.Event) -> None:
    """Until told to stop, brings what is open to the days that close."""
    rounds(stop, Roller(runtime).step, ROUND_S, "accounts_not_rolled")


class Roller:
    """Works in steps. Between them it remembers the log that it has read; all else is in tables."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._log: tuple[int, Log] | None = None  # of a partition

    def step(self) -> bool:
        """Some customers of one partition; False: nothing is to be done now."""
        with self._runtime.database.transaction() as tx:
            roll = rolling.next_roll(tx)
        if roll is None or self._runtime.behind.get(TOPIC, 0) > FAR_BEHIND:
            self._log = None
            return False
        read = self._read(roll)
        records, last = read.after(roll.after, CUSTOMERS)
        told = state_columns.read([record.value or b"" for record in records])
        accrued = self._accrued(roll, read, records, told)
        try:
            with self._runtime.database.transaction() as tx:
                rolling.bring_on(tx, roll, records, told, accrued, last=last)
        except rolling.NotFolded as reason:
            log.info("roll_waits_for_the_fold", why=str(reason))
            self._log = None
            return False
        if last:
            self._log = None
        return True

    def _read(self, roll: Roll) -> "Log":
        if self._log is None or self._log[0] != roll.partition:
            self._log = roll.partition, Log(self._runtime, roll.partition)
        return self._log[1]

    def _accrued(
        self, roll: Roll, read: "Log", records: list[Record], told: state_columns.Columns
    ) -> NDArray[np.int64]:
        if not told.has_ledger.any():
            return told.accrued
        from services.scoring.accruing import accrued_through

        customers = [(record.key or b"", record.value or b"") for record in records]
        return accrued_through(
            roll.day.toordinal(), read.rates.items(), customers, told,
            self._runtime.settings.currency,
        )  # fmt: skip


class Log:
    """One partition of `scoring.state`: its rates, and of each customer the record that the fold
    has taken last, or the one that it comes to next where compaction took that away."""

    def __init__(self, runtime: Runtime, partition: int) -> None:
        self._runtime, self._partition, self._folded = runtime, partition, 0
        self.rates: dict[bytes, bytes] = {}
        self._newest: dict[bytes, Record] = {}
        self._keys: list[bytes] = []
        self.read_on()

    def read_on(self) -> None:
        """Up to where the fold is by now."""
        end = self._runtime.end_offsets(TOPIC)[self._partition]
        with self._runtime.database.read() as session:
            folded = positions.stored(session, TOPIC).get(self._partition, 0)
        if self._keys and folded == self._folded:
            return
        read = read_span(self._runtime.settings, TOPIC, self._partition, end, begin=self._folded)
        for records in read:
            self._take(records, folded)
        self._folded = folded
        if len(self._keys) < len(self._newest):
            self._keys = sorted(self._newest)

    def _take(self, records: list[Record], folded: int) -> None:
        for record in records:
            key, value = record.key, record.value
            if key is None or value is None:
                continue
            kind = state.kind_of(value)
            if kind == KIND_RATE:
                self.rates.pop(key, None)  # of two sources' words the last one holds
                self.rates[key] = value
            elif kind == KIND_CUSTOMER:
                known = self._newest.get(key)
                if known is None or (
                    record.offset < folded
                    and state.place_of(known.value or b"") <= state.place_of(value)
                ):
                    self._newest[key] = record

    def of(self, numbers: Iterable[str]) -> list[Record]:
        """Those of these customers; of who has none there is none."""
        keys = [number.encode() for number in numbers]
        return [self._newest[key] for key in keys if key in self._newest]

    def after(self, number: str, many: int) -> tuple[list[Record], bool]:
        """The records of the customers that follow a number, and whether these are the last."""
        begin = bisect_right(self._keys, number.encode())
        keys = self._keys[begin : begin + many]
        return [self._newest[key] for key in keys], begin + many >= len(self._keys)
