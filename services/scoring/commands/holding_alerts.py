"""Holds the alerts of parties while the worker's state is made anew.

The worker tells its signals again from the beginning. Beside those of before they would raise and
take back alerts on the way, so what was told before is marked, and no alert of the parties is
touched until their partitions are where they were (commands.alerts_anew). A signal that is told
again replaces the one of before; what stays marked is told no more.

A number that changes its party meanwhile holds both, and so does any other number of the two
(`alerts_held_along`): the job compares them when it has gone past all of these numbers.
"""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import text

from services.scoring.commands.copying import as_array
from shared.db import Tx

# Also where it had not come to the end of another time. Signals of an instant stand behind the last
# close; a total is told after what it counts.
HOLD = text(
    """
    insert into alerts_held (partition, through_on, position)
    select s.partition, r.closed_on, coalesce(g.position, -1)
      from (select distinct partition from customer_state) s
      left join rolls r using (partition)
      left join (select partition, max(event_offset) as position from signals
                  where partition is not null group by 1) g using (partition)
     order by 1
    on conflict (partition) do update
       set through_on = greatest(alerts_held.through_on, excluded.through_on),
           position = greatest(alerts_held.position, excluded.position), after_number = ''
    """
)
LONG = text("set local statement_timeout = '2h'")  # all signals are read, once
MARK = text(
    """
    update signals set of_before = true where customer_number = any(:numbers) and not of_before
    """
)
# Who finds a number held commits before the job lets go of its partition, so that the job sees the
# number even if it has only begun.
HOLDS = text("select partition from alerts_held order by partition for share")
_HELD = """
    select x.party_id, x.customer_number
      from (select party_id, customer_number from numbers
             where party_id = any(cast(:parties as text[]))
            union all
            select party_id, customer_number from alerts_held_along
             where party_id = any(cast(:parties as text[]))) x
      join customer_state s using (customer_number)
      join alerts_held h on h.partition = s.partition and h.after_number < s.customer_number"""
HELD = text(_HELD)
# Also those that wait for these numbers already: what they lost may have gone on since.
HOLD_ALONG = text(
    f"""
    with held as (select distinct h.customer_number from ({_HELD}) h),
    tied as (
      select unnest(cast(:parties as text[])) as party_id
       union select a.party_id from alerts_held_along a join held using (customer_number))
    insert into alerts_held_along (customer_number, party_id)
    select h.customer_number, p.party_id from held h cross join tied p order by 1, 2
    on conflict do nothing
    """  # noqa: S608 - ours
)
ALONG = text("select party_id from alerts_held_along where customer_number = any(:numbers)")
LET_GO = text("delete from alerts_held_along where customer_number = any(:numbers)")


def hold(tx: Tx) -> None:
    """From now on, wherever there is a state."""
    tx.session.execute(LONG)
    tx.session.execute(HOLD)


def mark(tx: Tx, numbers: Sequence[str]) -> None:
    """What was told of these numbers is of before."""
    tx.session.execute(MARK, {"numbers": list(numbers)})


def not_held(tx: Tx, party_ids: Collection[str]) -> Collection[str]:
    """Those of these parties whose alerts may change now."""
    if not _holds(tx):
        return party_ids
    held = tx.session.execute(HELD, {"parties": as_array(party_ids)}).scalars()
    return set(party_ids).difference(held)


def _holds(tx: Tx) -> bool:
    return bool(tx.session.execute(HOLDS).all())


def hold_along(tx: Tx, exchanges: Collection[tuple[str, str]]) -> None:
    """These locked parties gave numbers to each other: while one of them is held so is the other.
    Else the one would lose at once an alert that the other gets much later."""
    if not exchanges or not _holds(tx):
        return
    for together in _groups(exchanges):
        tx.session.execute(HOLD_ALONG, {"parties": as_array(together)})


def _groups(exchanges: Iterable[tuple[str, str]]) -> list[set[str]]:
    """Who is tied to whom, also by others."""
    found: list[set[str]] = []
    for pair in exchanges:
        tied = [group for group in found if not group.isdisjoint(pair)]
        found = [group for group in found if group.isdisjoint(pair)]
        found.append(set(pair).union(*tied))
    return found


def held_along(tx: Tx, numbers: Sequence[str]) -> set[str]:
    """The parties that wait for these numbers, beside those whose they are."""
    return set(tx.session.execute(ALONG, {"numbers": list(numbers)}).scalars())


def let_go(tx: Tx, numbers: Sequence[str]) -> None:
    """Nobody waits for these numbers any more."""
    tx.session.execute(LET_GO, {"numbers": list(numbers)})
