"""The job that takes back what customers have from before the state was made anew, where the new
state has nothing of them: their events are refused now, or are on the log no more.

Of whoever has a record the figures of now are folded, at the latest as his alerts are compared
(commands.alerts_anew). Once the worker has read what was on the log after that, and what it wrote
is folded, who still bears the mark of the state before has no record. His leaves were taken back
with the state.
"""

import threading

from sqlalchemy import text

from services.scoring.commands import alerts, parties
from services.scoring.commands.alerts_anew import next_numbers, of_before
from services.scoring.commands.rounds import alone, rounds
from services.scoring.held_tables import FiguresOfBeforeRow
from shared import positions
from shared.db import Tx
from shared.runtime import Runtime

EVENTS, STATE = "bank.events", "scoring.state"
ROUND_S = 5.0
NUMBERS = 1_000  # of one transaction; those with something to take back are few
NOTE = text(
    """
    insert into figures_of_before (partition)
    select partition from alerts_held order by 1
    on conflict (partition) do update set after_number = ''
    """
)
COMPARED = text(
    """
    select f.partition, coalesce(t.position, -1) as position
      from figures_of_before f left join control_totals t using (partition)
     where not exists (select 1 from alerts_held h where h.partition = f.partition)
     order by 1
    """
)
ACCOUNTS = text(
    """
    with gone as (
      delete from account_figures a using customer_state s
       where a.customer_number = any(:numbers) and s.customer_number = a.customer_number
      returning s.partition, a.product_code, a.currency, a.sum_minor, a.count)
    insert into folded_totals as f (partition, product_code, currency, sum_minor, count, accounts)
    select partition, product_code, currency, -sum(sum_minor), -sum(count), -count(*)
      from gone group by 1, 2, 3 order by 1, 2, 3
    on conflict (partition, product_code, currency) do update
       set sum_minor = f.sum_minor + excluded.sum_minor, count = f.count + excluded.count,
           accounts = f.accounts + excluded.accounts
    """
)
FIGURES = text("delete from customer_state where customer_number = any(:numbers)")


def note(tx: Tx) -> None:
    """All that there is now is of before."""
    tx.session.execute(NOTE)


def take_back_left_over(runtime: Runtime, stop: threading.Event) -> None:
    """Until told to stop, partition by partition."""
    rounds(stop, LeftOver(runtime).step, ROUND_S, "figures_not_taken_back")


class LeftOver:
    """Works in steps. Between them it remembers how far is to be read; all else is in tables."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._events: dict[int, int] = {}  # of a partition, the end of the log after the comparison
        self._state: dict[int, int] = {}  # and that of the state after the worker came there

    def step(self) -> bool:
        """Some numbers of one partition; False: nothing can be taken back now."""
        with self._runtime.database.read() as session:
            rows = session.execute(COMPARED).all()
        compared = {row.partition: row.position for row in rows}
        self._events = {n: end for n, end in self._events.items() if n in compared}
        self._state = {n: end for n, end in self._state.items() if n in self._events}
        for number, position in compared.items():
            if self._is_through(number, position):
                with self._runtime.database.transaction() as tx:
                    return alone(tx, "left_over") and _take_back(tx, number)
        return False

    def _is_through(self, number: int, position: int) -> bool:
        if number not in self._events:
            self._events[number] = self._runtime.end_offsets(EVENTS).get(number, 0)
        if position < self._events[number] - 1:
            return False
        if number not in self._state:
            self._state[number] = self._runtime.end_offsets(STATE).get(number, 0)
        with self._runtime.database.read() as session:
            return positions.passed(session, STATE, {number: self._state[number]})


def _take_back(tx: Tx, partition: int) -> bool:
    row = tx.session.get(FiguresOfBeforeRow, partition)
    if row is None:
        return False  # another process has done it
    numbers = next_numbers(tx.session, row, NUMBERS)
    if not numbers:
        tx.session.delete(row)
        return True
    row.after_number = numbers[-1]
    if asked_of := of_before(tx.session, numbers):
        party_of = parties.hold_numbers(tx, asked_of)
        if gone := of_before(tx.session, asked_of):  # not folded while we waited
            for statement in (ACCOUNTS, FIGURES):
                tx.session.execute(statement, {"numbers": gone})
            touched = {party for number in gone if (party := party_of[number]) is not None}
            parties.lock_parties(tx, touched)
            parties.recompute(tx, touched)
            alerts.refresh(tx, alerts.with_signals_or_alerts(tx, touched))
    return True
