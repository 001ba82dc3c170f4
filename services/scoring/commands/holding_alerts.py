"""Holds the alerts of parties while the worker's state is made anew.

The worker tells its signals again from the beginning. Beside those of before they would raise and
take back alerts on the way, so what was told before is marked, and no alert of the parties is
touched until their partitions are where they were (commands.alerts_anew). A signal that is told
again replaces the one of before; what stays marked is told no more.
"""

from collections.abc import Collection, Sequence

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
MARK = text(
    """
    update signals set of_before = true where customer_number = any(:numbers) and not of_before
    """
)
ANY = text("select exists (select 1 from alerts_held)")
HELD = text(
    """
    select n.party_id from numbers n join customer_state s using (customer_number)
     where n.party_id = any(cast(:parties as text[]))
       and exists (select 1 from alerts_held h
                    where h.partition = s.partition and h.after_number < s.customer_number)
    """
)


def hold(tx: Tx) -> None:
    """From now on, wherever there is a state."""
    tx.session.execute(HOLD)


def mark(tx: Tx, numbers: Sequence[str]) -> None:
    """What was told of these numbers is of before."""
    tx.session.execute(MARK, {"numbers": list(numbers)})


def not_held(tx: Tx, party_ids: Collection[str]) -> Collection[str]:
    """Those of these parties whose alerts may change now."""
    if not tx.session.execute(ANY).scalar_one():
        return party_ids
    held = tx.session.execute(HELD, {"parties": as_array(party_ids)}).scalars()
    return set(party_ids).difference(held)
