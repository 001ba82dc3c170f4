"""The job that compares alerts with the signals of now, where a state that was made anew is again
where it was: what was told before and is not told again goes, and with it its alerts.

A partition is there once it is closed through the day of before, and its worker has told a total of
where the last signal of before stood. What the worker wrote up to then is read first: the end of a
rule may be among it.
"""

import threading
from collections.abc import Sequence

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.commands import alerts, holding_alerts, outflows, parties
from services.scoring.commands.fold import fold_state
from services.scoring.commands.rounds import alone, rounds
from services.scoring.held_tables import AlertsHeldRow, FiguresOfBeforeRow
from services.scoring.roller import Log
from shared import positions
from shared.db import Tx
from shared.runtime import Runtime

log = structlog.get_logger()
TOPICS = ("scoring.leaves", "scoring.signals", "scoring.state")
REFUSALS = "scoring.dead"  # of all partitions in one: what waits again is out of the event store
ROUND_S = 1.0
NUMBERS = 200  # of one transaction: a fold of them waits for no more
THERE = text(
    """
    select h.partition from alerts_held h
      left join rolls r using (partition) left join control_totals t using (partition)
     where (h.through_on is null or r.closed_on >= h.through_on)
       and coalesce(t.position, -1) >= h.position
     order by 1
    """
)
# Not joined with it: all numbers would be read and sorted each time.
NEXT = text(
    """
    select customer_number from customer_state
     where partition = :partition and customer_number > :after order by 1 limit :many
    """
)
# After all others, as whoever finds a number held: they wait for this one, which waits for them for
# less than it takes until one of the two would be cancelled.
BRIEFLY = text("set local lock_timeout = '500ms'")
ALONE_WITH = text("select 1 from alerts_held where partition = :partition for update")
# Their records seemed older than what was folded before: the last event is refused now.
STALE = text(
    """
    update customer_state set position = -1
     where customer_number = any(:numbers) and state_offset = -1 returning customer_number
    """
)
OF_BEFORE = text(
    """
    select customer_number from customer_state
     where customer_number = any(:numbers) and state_offset = -1
    """
)
DROP = text("delete from signals where customer_number = any(:numbers) and of_before")


def compare_alerts(runtime: Runtime, stop: threading.Event) -> None:
    """Until told to stop, lets go of the alerts that are held, as partitions come to where they
    were."""
    rounds(stop, AlertsAnew(runtime).step, ROUND_S, "alerts_not_compared")


class AlertsAnew:
    """Works in steps. Between them it remembers how far is to be read, what it has read of the
    worker's rows and which partitions fail; all else is in tables."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ends: dict[int, dict[tuple[str, int], int]] = {}  # of a partition, by place
        self._log: tuple[int, Log] | None = None  # of the partition that was read last
        self._failed: dict[int, Exception] = {}  # in this round

    def step(self) -> bool:
        """Some numbers of one partition; False: nothing can be compared now. One that fails is
        left until the others have done what they can, and raised then."""
        with self._runtime.database.read() as session:
            there = session.execute(THERE).scalars().all()
        self._ends = {n: end for n, end in self._ends.items() if n in there}
        for number in there:
            if number not in self._failed and self._is_read(number) and self._tried(number):
                return True
        failed, self._failed = self._failed, {}
        for error in failed.values():
            raise error
        return False

    def _tried(self, number: int) -> bool:
        try:
            self._read_ahead(number)
            with self._runtime.database.transaction() as tx:
                return alone(tx, "alerts_anew") and self._compare(tx, number)
        except Exception as error:
            log.info("partition_not_compared", partition=number, error=str(error)[:300])
            self._failed[number] = error
            return False

    def _is_read(self, number: int) -> bool:
        if number not in self._ends:
            self._ends[number] = {
                (topic, of): self._runtime.end_offsets(topic).get(of, 0)
                for topic, of in (*((topic, number) for topic in TOPICS), (REFUSALS, 0))
            }
        with self._runtime.database.read() as session:
            return all(positions.passed(session, topic, {of: end})
                       for (topic, of), end in self._ends[number].items())  # fmt: skip

    def _read_ahead(self, partition: int) -> None:
        """What takes minutes of a large bank: whoever folds would wait for it."""
        with self._runtime.database.read() as session:
            held = session.get(AlertsHeldRow, partition)
            if held is None:
                return
            stale = of_before(session, next_numbers(session, held, NUMBERS))
        if stale:
            self._read(partition)

    def _compare(self, tx: Tx, partition: int) -> bool:
        held = tx.session.get(AlertsHeldRow, partition)
        if held is None:
            return False  # another process has done it
        numbers = next_numbers(tx.session, held, NUMBERS)
        party_of = parties.hold_numbers(tx, numbers)
        touched = {party for party in party_of.values() if party is not None}
        touched |= holding_alerts.held_along(tx, numbers)
        parties.lock_parties(tx, touched)
        tx.session.execute(BRIEFLY)
        tx.session.execute(ALONE_WITH, {"partition": partition})
        anew = next_numbers(tx.session, held, NUMBERS)
        if anew != numbers or holding_alerts.held_along(tx, numbers) - touched:
            return True  # one began, or changed its party, before all this was locked: once more
        if not numbers:
            tx.session.delete(held)
            self._log = None
            return True
        if stale := tx.session.execute(STALE, {"numbers": list(numbers)}).scalars().all():
            fold_state(tx, self._read(partition).of(stale))
        held.after_number = numbers[-1]
        tx.session.flush()  # these are held no more
        holding_alerts.let_go(tx, numbers)
        outflows.let_go(tx, touched)
        tx.session.execute(DROP, {"numbers": list(numbers)})
        alerts.refresh(tx, alerts.with_signals_or_alerts(tx, touched))
        return True

    def _read(self, partition: int) -> Log:
        """The log as far as it is folded now: what came since it was last read may have a record
        that was refused as older."""
        if self._log is None or self._log[0] != partition:
            self._log = partition, Log(self._runtime, partition)
        else:
            self._log[1].read_on()
        return self._log[1]


def next_numbers(
    session: Session, row: AlertsHeldRow | FiguresOfBeforeRow, many: int
) -> Sequence[str]:
    """The numbers of its partition that the row has not come to yet, in their order."""
    asked = {"partition": row.partition, "after": row.after_number, "many": many}
    return session.execute(NEXT, asked).scalars().all()


def of_before(session: Session, numbers: Sequence[str]) -> list[str]:
    """Those of these numbers of which no record was folded since the state was made anew."""
    return list(session.execute(OF_BEFORE, {"numbers": list(numbers)}).scalars())
