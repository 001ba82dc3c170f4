"""Asks parties of several numbers for an outflow of their sums, once all that they booked by a
close is known.

A party waits for its next close as soon as a record of one of its numbers is folded, and for no
close when its numbers change. It is asked when the event store holds all that these records rest
on: a payment that left one number and is not stored yet for the other would be an outflow. All of
its past is asked, so a late event or a merge gives what would have been had it always been known.
"""

import threading
from collections.abc import Collection, Mapping
from datetime import date, timedelta
from typing import Any

from sqlalchemy import text

from services.scoring.commands import alerts, holding_alerts, parties
from services.scoring.commands.copying import as_array
from services.scoring.commands.rounds import alone, in_rounds
from services.scoring.queries import outflows as queries
from services.scoring.queries.outflows import Moves
from services.scoring.rules import outflows
from shared.db import Tx
from shared.runtime import Runtime

TOPICS = ("bank.events", "scoring.state")
ROUND_S = 1.0
PARTIES = 50  # of one transaction: a fold of their numbers waits for no more
MANY_HELD = 1000  # are looked at in one transaction: all that wait are sorted for it
FAR_BEHIND = 100_000  # records: while history is loaded, nobody is told of its outflows
FOR_NOBODY = date.min  # waits for no close
HELD_BACK = date.max  # waits until its alerts are let go: else each round would go through them all

WAIT = text(
    """
    insert into outflows_waiting (party_id, due_on)
    select party_id, :due_on from party_figures
     where party_id = any(cast(:parties as text[])) and numbers > 1 order by party_id
    on conflict (party_id) do update set due_on = excluded.due_on
    """
)
# Who can be asked, or is held: of a state that is made anew too few days are closed, the outflows
# after them would be taken back. A number without a transaction has no state, and nothing to ask
# for.
READY = text(
    """
    select w.party_id, x.through_on, x.held from outflows_waiting w cross join lateral (
      select count(*) as states,
             case when bool_and(r.closed_on is not null) then min(r.closed_on) end as through_on,
             coalesce(bool_and(coalesce(o.next_offset, 0) > s.position), true) as stored,
             count(h.partition) > 0 or exists (
               select 1 from alerts_held_along a join customer_state t using (customer_number)
                 join alerts_held b
                   on b.partition = t.partition and b.after_number < t.customer_number
                where a.party_id = w.party_id) as held
        from numbers n join customer_state s using (customer_number)
        left join rolls r on r.partition = s.partition
        left join positions o on o.topic = 'bank.events' and o.partition = s.partition
        left join alerts_held h
          on h.partition = s.partition and h.after_number < s.customer_number
       where n.party_id = w.party_id) x
     where w.due_on <= coalesce((select max(closed_on) from rolls), date '0001-01-01')
       and (x.held or x.states = 0
            or w.due_on <= coalesce(x.through_on, date '0001-01-01') and x.stored)
     order by w.due_on, w.party_id
     limit case when exists (select 1 from alerts_held) then :many_held else :many end
    """
)
# By the version of its row is known whether it was told to wait once more.
STANDS = text(
    """
    select w.party_id, cast(w.xmin as text) as version, f.numbers > 1 as several,
           x.numbers, x.folded
      from outflows_waiting w join party_figures f using (party_id) cross join lateral (
        select array_agg(n.customer_number order by n.customer_number) as numbers,
               array_agg(s.state_offset order by n.customer_number) as folded
          from numbers n left join customer_state s using (customer_number)
         where n.party_id = w.party_id) x
     where w.party_id = any(cast(:parties as text[]))
    """
)
# Of a firm a million events may be read, while nothing of it is held.
LONG = text("set local statement_timeout = '10min'")
NEXT = text("update outflows_waiting set due_on = :due_on where party_id = :party_id")
# Who is being told to wait for a close is left until the next round.
HOLD_BACK = text(
    """
    update outflows_waiting set due_on = :due_on
     where party_id in (select party_id from outflows_waiting
                         where party_id = any(cast(:parties as text[]))
                         order by party_id for update skip locked)
    """
)
LET_GO = text(
    """
    update outflows_waiting set due_on = :due_on
     where party_id = any(cast(:parties as text[]))
    """
)
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


def let_go(tx: Tx, party_ids: Collection[str]) -> None:
    """The alerts of these locked parties may be held no more. What a fold put off to a close
    meanwhile is asked at once, too: it may not have been asked since."""
    asked = {"parties": as_array(party_ids), "due_on": FOR_NOBODY}
    tx.session.execute(LET_GO, asked)


def ask_outflows(runtime: Runtime, stop: threading.Event) -> None:
    """The job: until told to stop, asks whoever waits for a close that has come."""

    def step(tx: Tx) -> bool:
        if max(runtime.behind.get(topic, 0) for topic in TOPICS) > FAR_BEHIND:
            return False
        return ask(tx)

    in_rounds(runtime, stop, step, ROUND_S, "outflows_not_asked")


def ask(tx: Tx) -> bool:
    """Asks the parties that have waited longest; False: none can be asked now.

    What they booked is read before anything is held. Who has other numbers by then, or was told to
    wait once more, is left; what was folded meanwhile is asked for at the next close.
    """
    if not alone(tx, "outflows"):
        return False
    ready = tx.session.execute(READY, {"many": PARTIES, "many_held": MANY_HELD}).all()
    if held := {row.party_id for row in ready if row.held}:
        return _hold_back(tx, held)
    through = {row.party_id: row.through_on for row in ready[:PARTIES]}
    if not through:
        return False
    before = _stands(tx, through)
    tx.session.execute(LONG)
    moves = queries.moves_of(tx.session, [p for p, one in before.items() if one.several])
    parties.hold_numbers(tx, {number for one in before.values() for number in one.numbers or ()})
    parties.lock_parties(tx, before)
    now = {p: one for p, one in _stands(tx, through).items() if one[1:4] == before[p][1:4]}
    several = {p: through[p] for p, one in now.items() if one.several}
    folded = {p for p, one in now.items() if one.folded != before[p].folded}
    tx.session.execute(DONE, {"parties": as_array(now.keys() - several.keys())})
    _judge(tx, several, moves, folded)
    return True


def _hold_back(tx: Tx, party_ids: set[str]) -> bool:
    """Those that are held yet: who lets them go comes after this and puts them in line again."""
    held = party_ids.difference(holding_alerts.not_held(tx, party_ids))
    asked = {"parties": as_array(held), "due_on": HELD_BACK}
    return tx.session.execute(HOLD_BACK, asked).rowcount > 0  # type: ignore[attr-defined,no-any-return]


def _stands(tx: Tx, party_ids: Collection[str]) -> dict[str, Any]:
    rows = tx.session.execute(STANDS, {"parties": as_array(party_ids)})
    return {row.party_id: row for row in rows}


def _judge(
    tx: Tx, through: Mapping[str, date | None], moves: Mapping[str, Moves], folded: Collection[str]
) -> None:
    """`folded`: parties of which more is known by now than what they are judged by."""
    if not through:
        return
    sets, left = queries.limits(tx.session), queries.factors()
    falls, due = {}, dict[str, date | None]()
    for party_id, day in through.items():
        one = outflows.judge(moves.get(party_id, ()), sets, left, day or date.min)
        falls[party_id] = one.falls
        following = [one.next_on] if one.next_on else []
        if party_id in folded and day is not None:
            following.append(day + timedelta(days=1))
        due[party_id] = min(following, default=None)
    alerts.refresh_outflows(tx, falls)
    done = [party_id for party_id, day in due.items() if day is None]
    tx.session.execute(DONE, {"parties": as_array(done)})
    waiting = [{"party_id": p, "due_on": day} for p, day in due.items() if day is not None]
    if waiting:
        tx.session.execute(NEXT, waiting)
