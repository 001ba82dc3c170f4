"""Where customers, accounts and branches lie, as the bank says it: what leaves are placed by."""

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

from sqlalchemy import text

from services.scoring.commands import contribution, openings
from shared.db import Tx
from shared.events.bank import AccountOpened, CustomerPlaced
from shared.events.envelope import Event

PLACEMENT = text(
    """
    insert into placements (customer_number, on_date, region_code, branch_code, event_offset)
    values (:customer_number, :on_date, :region_code, :branch_code, :event_offset)
    on conflict (customer_number, on_date) do update
       set region_code = excluded.region_code, branch_code = excluded.branch_code,
           event_offset = excluded.event_offset
     where placements.event_offset < excluded.event_offset
    """
)
# The earlier of two placements of one day is not brought back.
FORGET_PLACEMENT = text(
    """
    delete from placements
     where customer_number = :customer_number and event_offset = :event_offset
    """
)
BRANCH = text(
    """
    insert into branches (branch_code, from_on, names, region_code, position)
    values (:branch_code, :from_on, cast(:names as jsonb), :region_code, :position)
    on conflict (branch_code, from_on) do update
       set names = excluded.names, region_code = excluded.region_code,
           position = excluded.position
     where branches.position < excluded.position
    """
)
OF_BRANCH = text(
    """
    select customer_number from leaves where branch_code = :branch_code
    union select customer_number from open_leaves where branch_code = :branch_code
    """
)
REPEATED = text(
    """
    select x.customer_number, x.event_offset
      from unnest(cast(:sources as text[]), cast(:ids as text[]), cast(:numbers as text[]),
                  cast(:offsets as bigint[])) as x(source, event_id, customer_number, event_offset)
     where exists (select 1 from bank_events b
                    where b.source = x.source and b.event_id = x.event_id
                      and b.customer_number = x.customer_number
                      and b.event_offset < x.event_offset)
    """
)
ALWAYS = date(1, 1, 1)


def note_places(tx: Tx, events: Iterable[tuple[int, Event[Any]]]) -> None:
    """Placements and openings among a poll's stored events, each with its offset."""
    placements: list[dict[str, Any]] = []
    opened: list[tuple[int, Event[AccountOpened]]] = []
    for offset, event in _first_told(tx, events):
        fact = event.data
        if isinstance(fact, CustomerPlaced):
            placements.append(
                {
                    "customer_number": fact.customer_number,
                    "on_date": event.businessdate,
                    "region_code": fact.region_code,
                    "branch_code": fact.home_branch_code,
                    "event_offset": offset,
                }
            )
        elif isinstance(fact, AccountOpened):
            opened.append((offset, event))
    if placements:
        tx.session.execute(PLACEMENT, placements)
    if opened:
        openings.note_openings(tx, opened)
    placed = {row["customer_number"] for row in placements}
    contribution.place_anew(tx, placed | {event.data.customer_number for _, event in opened})


def forget_places(tx: Tx, events: Collection[Any]) -> None:
    """Placements and openings that the worker refused after all: rows of the event store."""
    if not events:
        return
    opened = [
        (row.customer_number, row.account_number, row.event_offset)
        for row in events
        if row.type == AccountOpened.TYPE
    ]
    for row in events:
        place = {"customer_number": row.customer_number, "event_offset": row.event_offset}
        tx.session.execute(FORGET_PLACEMENT, place)
    if opened:
        openings.forget_openings(tx, opened)
    contribution.place_anew(tx, {row.customer_number for row in events})


def _first_told(tx: Tx, events: Iterable[tuple[int, Event[Any]]]) -> list[tuple[int, Event[Any]]]:
    """Without what was told before: an old placement that comes again is not the latest word. A
    poll holds several partitions, so an offset alone names no event."""
    told = [(o, e) for o, e in events if isinstance(e.data, CustomerPlaced | AccountOpened)]
    if not told:
        return told
    asked = {
        "sources": [e.source for _, e in told],
        "ids": [e.id for _, e in told],
        "numbers": [e.data.customer_number for _, e in told],
        "offsets": [offset for offset, _ in told],
    }
    repeated = set(map(tuple, tx.session.execute(REPEATED, asked)))
    return [(o, e) for o, e in told if (e.data.customer_number, o) not in repeated]


def note_branch(
    tx: Tx,
    branch_code: str,
    *,
    from_on: date | None,
    names: str | None,
    region_code: str | None,
    position: int,
) -> None:
    """A branch lies in another region perhaps: the leaves of its customers follow.

    Who writes leaves now has seen the branch as it was: he is waited for, then all are there.
    """
    tx.session.execute(text("lock table leaves, open_leaves in share row exclusive mode"))
    tx.session.execute(
        BRANCH,
        {
            "branch_code": branch_code,
            "from_on": from_on or ALWAYS,
            "names": names,
            "region_code": region_code,
            "position": position,
        },
    )
    found = tx.session.execute(OF_BRANCH, {"branch_code": branch_code}).scalars()
    contribution.place_anew(tx, set(found))
