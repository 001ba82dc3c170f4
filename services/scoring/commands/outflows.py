"""Asks parties of several numbers for an outflow of their sums, once all that they booked by a
close is known.

A party waits for its next close as soon as a record of one of its numbers is folded, and for no
close when its numbers change. It is asked when the event store holds all that these records rest
on: a payment that left one number and is not stored yet for the other would be an outflow. All of
its past is asked, so a late event or a merge gives what would have been had it always been known.
"""

import threading
from collections.abc import Collection
from datetime import date

from sqlalchemy import text

from services.scoring.commands import alerts, parties
from services.scoring.commands.copying import as_array
from services.scoring.commands.rounds import alone, in_rounds
from services.scoring.queries import outflows as queries
from services.scoring.rules import outflows
from shared.db import Tx
from shared.runtime import Runtime

TOPICS = ("bank.events", "scoring.state")
ROUND_S = 1.0
PARTIES = 50  # of one transaction: a fold of their numbers waits for no more
FAR_BEHIND = 100_000  # records: while history is loaded, nobody is told of its outflows
FOR_NOBODY = date.min  # waits for no close

WAIT = text(
    """
    insert into outflows_waiting (party_id, due_on)
    select party_id, :due_on from party_figures
     where party_id = any(cast(:parties as text[])) and numbers > 1 order by party_id
    on conflict (party_id) do update set due_on = excluded.due_on
    """
)
# A number without a transaction has no state, and nothing to ask for.
READY = text(
    """
    select w.party_id, x.through_on, x.numbers from outflows_waiting w cross join lateral (
      select case when bool_and(r.closed_on is not null) then min(r.closed_on) end as through_on,
             coalesce(bool_and(coalesce(o.next_offset, 0) > s.position), true) as stored,
             array_agg(n.customer_number) as numbers
        from numbers n join customer_state s using (customer_number)
        left join rolls r on r.partition = s.partition
        left join positions o on o.topic = 'bank.events' and o.partition = s.partition
       where n.party_id = w.party_id) x
     where w.due_on <= coalesce((select max(closed_on) from rolls), date '0001-01-01')
       and w.due_on <= coalesce(x.through_on, date '0001-01-01') and x.stored
       and (cast(:parties as text[]) is null or w.party_id = any(cast(:parties as text[])))
     order by w.due_on, w.party_id limit :many
    """
)
SEVERAL = text(
    "select party_id from party_figures where party_id = any(cast(:parties as text[]))"
    " and numbers > 1"
)
NEXT = text("update outflows_waiting set due_on = :due_on where party_id = :party_id")
DONE = text("delete from outflows_waiting where party_id = any(cast(:parties as text[]))")


def ask_anew(tx: Tx, party_ids: Collection[str]) -> None:
    """The numbers of these locked parties have changed, or what one of them booked has."""
    if party_ids:
        tx.session.execute(WAIT, {"parties": as_array(party_ids), "due_on": FOR_NOBODY})


def ask_anew_of(tx: Tx, numbers: Collection[str]) -> None:
    """What these numbers booked does not count after all."""
    if numbers:
        party_of = parties.hold_numbers(tx, numbers)
        touched = {party for party in party_of.values() if party is not None}
        parties.lock_parties(tx, touched)
        ask_anew(tx, touched)


def ask_outflows(runtime: Runtime, stop: threading.Event) -> None:
    """The job: until told to stop, asks whoever waits for a close that has come."""

    def step(tx: Tx) -> bool:
        if max(runtime.behind.get(topic, 0) for topic in TOPICS) > FAR_BEHIND:
            return False
        return ask(tx)

    in_rounds(runtime, stop, step, ROUND_S, "outflows_not_asked")


def ask(tx: Tx) -> bool:
    """Asks the parties that have waited longest; False: none can be asked now."""
    if not alone(tx, "outflows"):
        return False
    found = tx.session.execute(READY, {"parties": None, "many": PARTIES}).all()
    if not found:
        return False
    party_ids = sorted(row.party_id for row in found)
    parties.hold_numbers(tx, {number for row in found for number in row.numbers or ()})
    parties.lock_parties(tx, party_ids)
    asked = {"parties": as_array(party_ids), "many": PARTIES}
    ready = {row.party_id: row.through_on for row in tx.session.execute(READY, asked)}
    several = set(tx.session.execute(SEVERAL, {"parties": as_array(party_ids)}).scalars())
    _judge(tx, {party: through for party, through in ready.items() if party in several})
    gone = as_array(set(party_ids) - several)
    tx.session.execute(DONE, {"parties": gone})
    return True


def _judge(tx: Tx, through: dict[str, date | None]) -> None:
    if not through:
        return
    sets, left = queries.limits(tx.session), queries.factors()
    moves = queries.moves_of(tx.session, through)
    judged = {
        party_id: outflows.judge(moves.get(party_id, ()), sets, left, day or date.min)
        for party_id, day in through.items()
    }
    alerts.refresh_outflows(tx, {party_id: one.falls for party_id, one in judged.items()})
    done = [party_id for party_id, one in judged.items() if one.next_on is None]
    tx.session.execute(DONE, {"parties": as_array(done)})
    waiting = [
        {"party_id": party_id, "due_on": one.next_on}
        for party_id, one in judged.items()
        if one.next_on is not None
    ]
    if waiting:
        tx.session.execute(NEXT, waiting)
