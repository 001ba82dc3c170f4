"""Numbers joined into parties: who is who, who answers for whom, and the party's sums.

Locks are taken in one order everywhere: rows of `numbers`, then rows of `party_figures`, then those
of sums that all share (slices, totals): who holds these holds up everybody until he commits. A fold
holds its numbers, so a merge waits for it and then sees its figures, and the other way round.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import NamedTuple

from sqlalchemy import text

from services.scoring.commands.copying import as_array
from services.scoring.leaf_sql import SLICE
from services.scoring.rules.membership import replaces
from shared import timers
from shared.clock import business_date
from shared.db import Message, Tx
from shared.events.customer import ManagerChanged, PartyRecorded

MANAGER_TIMER = "manager_effective"

NEW_NUMBERS = text(
    """
    insert into numbers (customer_number)
    select n from unnest(cast(:numbers as text[])) as x(n) order by n
    on conflict do nothing
    """
)
HOLD_NUMBERS = text(
    """
    select customer_number, party_id from numbers
     where customer_number = any(cast(:numbers as text[])) order by customer_number for update
    """
)
LOCK_NUMBERS = text(
    """
    select customer_number, party_id, party_as_of from numbers
     where customer_number = any(cast(:numbers as text[])) order by customer_number for update
    """
)
MOVE = text(
    """
    update numbers n set party_id = x.party_id, party_as_of = x.as_of
      from unnest(cast(:numbers as text[]), cast(:parties as text[]),
                  cast(:times as timestamptz[])) as x(customer_number, party_id, as_of)
     where n.customer_number = x.customer_number
    """
)
DESCRIBE = text(
    """
    update numbers n set kind = x.kind, home_branch_code = x.home_branch_code
      from unnest(cast(:numbers as text[]), cast(:kinds as text[]), cast(:branches as text[]))
           as x(customer_number, kind, home_branch_code)
     where n.customer_number = x.customer_number
    """
)
NEW_PARTIES = text(
    """
    insert into party_figures (party_id)
    select p from unnest(cast(:parties as text[])) as x(p) order by p
    on conflict do nothing
    """
)
LOCK_PARTIES = text(
    """
    select party_id from party_figures
     where party_id = any(cast(:parties as text[])) order by party_id for update
    """
)
# How long after one score a party's next one waits: who lives in the present is told at most every
# 250 ms, who is still being loaded every 15 s. A turn that is near enough stays what it is.
_GAP = "case when {as_of_on} >= :live_on then interval '250 ms' else interval '15 s' end"
_NOW = "cast(:wall_now as timestamptz)"
_TURN = f"""case when f.turn_at > {_NOW} - {_GAP} and f.turn_at <= {_NOW} then f.turn_at + {_GAP}
                 when f.turn_at > {_NOW} and f.turn_at <= {_NOW} + {_GAP} then f.turn_at
                 else {_NOW} end"""


def changed(as_of_on: str) -> str:
    """What a change of a party's figures writes beside them."""
    turn = _TURN.format(as_of_on=as_of_on)
    return f"version = f.version + 1, figures_at = :bank_now, turn_at = {turn}"


# The rows of `updated` are locked, so nobody else puts them in line meanwhile. Who was told already
# or stands in line must be told that nothing is left of him.
WAIT_FOR_TURN = """
    insert into scores_waiting (party_id, due_at, version)
    select u.party_id, u.turn_at, u.version from updated u
     where u.numbers > 0 or u.published_at is not null
        or exists (select 1 from scores_waiting w where w.party_id = u.party_id)
     order by u.party_id
    on conflict (party_id) do update
       set version = excluded.version, due_at = least(scores_waiting.due_at, excluded.due_at)
"""
# The sums of a party of several numbers are asked for an outflow at the next close of them all.
WAIT_FOR_CLOSE = """
    insert into outflows_waiting (party_id, due_on)
    select u.party_id, coalesce(x.next_on, date '0001-01-01')
      from updated u cross join lateral (
        select case when bool_and(r.closed_on is not null) then min(r.closed_on) + 1 end as next_on
          from numbers n join customer_state s using (customer_number)
          left join rolls r on r.partition = s.partition
         where n.party_id = u.party_id) x
     where u.numbers > 1 and u.booked order by u.party_id
    on conflict (party_id) do update set due_on = excluded.due_on
     where outflows_waiting.due_on > excluded.due_on
"""
# Party by party, lateral: joined first and grouped then, all numbers of the bank were read and
# sorted as soon as the planner knew little of the tables.
RECOMPUTE = text(
    f"""
    with sums as (
      select p.party_id, x.*
        from unnest(cast(:parties as text[])) as p(party_id)
       cross join lateral (
         select count(n.customer_number) as numbers,
                coalesce(sum(s.sum_minor), 0) as sum_minor, coalesce(sum(s.count), 0) as count,
                coalesce(sum(s.customer_count), 0) as customer_count,
                coalesce(sum(s.mean_minor), 0) as mean_minor,
                coalesce(sum(n.posted_minor), 0) as posted_minor,
                coalesce(sum(n.accrued_minor), 0) as accrued_minor,
                coalesce(sum(n.last_12_months_minor), 0) as last_12_months_minor,
                max(s.last_on) as last_on, max(greatest(s.last_on, s.mean_on)) as as_of_on
           from numbers n left join customer_state s using (customer_number)
          where n.party_id = p.party_id) x),
    updated as (
      update party_figures f
         set numbers = x.numbers, sum_minor = x.sum_minor, count = x.count,
             customer_count = x.customer_count, mean_minor = x.mean_minor, last_on = x.last_on,
             posted_minor = x.posted_minor, accrued_minor = x.accrued_minor,
             last_12_months_minor = x.last_12_months_minor, as_of_on = x.as_of_on,
             {changed("x.as_of_on")}
        from sums x where f.party_id = x.party_id
      returning new.party_id, new.published_at, new.turn_at, new.version, new.numbers,
                new.posted_minor + new.accrued_minor as minor, old.numbers as old_numbers,
                old.posted_minor + old.accrued_minor as old_minor,
                (new.sum_minor, new.count) is distinct from (old.sum_minor, old.count) as booked),
    waiting as ({WAIT_FOR_TURN}),
    asked as ({WAIT_FOR_CLOSE})
    insert into party_slices (slice, parties, sum_minor)
    select {SLICE.format(v="y.minor")}, sum(y.parties), sum(y.parties * y.minor)
      from updated u cross join lateral (values
        (u.old_minor, case when u.old_numbers > 0 then -1 else 0 end),
        (u.minor, case when u.numbers > 0 then 1 else 0 end)) y(minor, parties)
     where (u.old_minor, u.old_numbers > 0) is distinct from (u.minor, u.numbers > 0)
     group by 1 order by 1
    on conflict (slice) do update
       set parties = party_slices.parties + excluded.parties,
           sum_minor = party_slices.sum_minor + excluded.sum_minor
    """  # noqa: S608 - names are ours
)
REASSIGN = text(
    """
    with current as (
      select distinct on (m.customer_number)
             m.customer_number, m.manager_code, m.staff_id, m.branch_code
        from managers m
       where m.customer_number = any(:numbers) and m.effective_on <= :today
       order by m.customer_number, m.effective_on desc, m.share_ppm desc, m.manager_code)
    update numbers n
       set manager_code = nullif(c.manager_code, ''), manager_staff_id = c.staff_id,
           branch_code = c.branch_code
      from current c where n.customer_number = c.customer_number
    """
)
KEEP_MANAGER = text(
    """
    insert into managers (customer_number, effective_on, manager_code, staff_id, branch_code,
                          share_ppm)
    values (:customer_number, :effective_on, :manager_code, :staff_id, :branch_code, :share_ppm)
    on conflict (customer_number, effective_on, manager_code) do update
       set staff_id = excluded.staff_id, branch_code = excluded.branch_code,
           share_ppm = excluded.share_ppm
    """
)


@dataclass(frozen=True, slots=True)
class Membership:
    """These numbers are this party, as of an instant, said on the key of one of them."""

    party_id: str
    customer_number: str
    customer_numbers: Sequence[str]
    as_of: datetime
    message: Message

    @property
    def numbers(self) -> set[str]:
        return {self.customer_number, *self.customer_numbers}


class Joined(NamedTuple):
    """The parties that changed, each with what was said of it last, and which of them gave a number
    to which."""

    told: dict[str, Message]
    exchanges: set[tuple[str, str]]


def hold_numbers(tx: Tx, numbers: Collection[str]) -> dict[str, str | None]:
    """Number -> party; the mapping stands still until the commit."""
    asked = {"numbers": as_array(numbers)}
    found = _party_of(tx, asked)
    missing = as_array(set(numbers) - found.keys())
    if missing != "{}":
        tx.session.execute(NEW_NUMBERS, {"numbers": missing})
        found |= _party_of(tx, {"numbers": missing})
    return found


def _party_of(tx: Tx, asked: dict[str, str]) -> dict[str, str | None]:
    """All rows at once: one by one they cost more than their locks."""
    rows = tx.session.execute(HOLD_NUMBERS, asked).all()
    return {row[0]: row[1] for row in rows}


def lock_parties(tx: Tx, parties: Collection[str]) -> None:
    """Whoever writes a party's figures or alerts holds its row."""
    if not parties:
        return
    locked = tx.session.execute(LOCK_PARTIES, {"parties": as_array(parties)}).scalars().all()
    missing = as_array(set(parties) - set(locked))
    if missing != "{}":
        tx.session.execute(NEW_PARTIES, {"parties": missing})
        tx.session.execute(LOCK_PARTIES, {"parties": missing})


def recompute(tx: Tx, parties: Collection[str]) -> None:
    """The parties' sums anew from their numbers, set-based. The parties are locked."""
    if parties:
        tx.session.execute(RECOMPUTE, {"parties": as_array(parties), **turn_of(tx)})


def turn_of(tx: Tx) -> dict[str, date | datetime]:
    """What WAIT_FOR_TURN asks for, and when what is told has changed."""
    today = business_date(tx.bank_now, tx.clock.zone)
    live_on = today - timedelta(days=1)
    return {"wall_now": tx.wall_now, "live_on": live_on, "bank_now": tx.bank_now}


def join_numbers(tx: Tx, told: Sequence[Membership]) -> Joined:
    """Puts numbers where events say they belong. The parties that changed are locked."""
    asked = {"numbers": as_array({n for said in told for n in said.numbers})}
    tx.session.execute(NEW_NUMBERS, asked)
    before = {
        row.customer_number: (row.party_id, row.party_as_of)
        for row in tx.session.execute(LOCK_NUMBERS, asked)
    }
    now, changed, exchanges = dict(before), dict[str, Message](), set[tuple[str, str]]()
    for said in told:
        for number in said.numbers:
            party_id, as_of = now[number]
            if not replaces(said.as_of, as_of, own=number == said.customer_number):
                continue
            if party_id != said.party_id:
                changed |= {p: said.message for p in (party_id, said.party_id) if p is not None}
                if party_id is not None:
                    exchanges.add((party_id, said.party_id))
            now[number] = (said.party_id, said.as_of)
    moved = [number for number in before if now[number] != before[number]]
    tx.session.execute(
        MOVE,
        {
            "numbers": moved,
            "parties": [now[number][0] for number in moved],
            "times": [now[number][1] for number in moved],
        },
    )
    lock_parties(tx, changed)
    recompute(tx, changed)
    return Joined(changed, exchanges)


def describe_numbers(tx: Tx, told: Sequence[PartyRecorded]) -> None:
    """Of two facts about a number the later one stands."""
    newest = {fact.customer_number: fact for fact in told}
    tx.session.execute(
        DESCRIBE,
        {
            "numbers": list(newest),
            "kinds": [fact.kind for fact in newest.values()],
            "branches": [fact.home_branch_code for fact in newest.values()],
        },
    )


def keep_managers(tx: Tx, told: Sequence[ManagerChanged]) -> None:
    """Attribution is by effective date: a later one waits for its day, an older one is history."""
    tx.session.execute(
        KEEP_MANAGER,
        [
            {
                "customer_number": fact.customer_number,
                "effective_on": fact.effective_on,
                "manager_code": fact.manager_code or "",
                "staff_id": fact.staff_id,
                "branch_code": fact.branch_code,
                "share_ppm": fact.share_ppm,
            }
            for fact in told
        ],
    )
    today = business_date(tx.bank_now, tx.clock.zone)
    for fact in told:
        if fact.effective_on > today:
            due_at = datetime.combine(fact.effective_on, time(), tx.clock.zone)
            key = f"{fact.customer_number}/{fact.effective_on.isoformat()}"
            timers.arm(tx, MANAGER_TIMER, key, due_at)
    reassign(tx, [f.customer_number or "" for f in told if f.effective_on <= today], today)


def reassign(tx: Tx, numbers: Sequence[str], today: date) -> None:
    """Who answers for these numbers on a day of the bank."""
    tx.session.execute(REASSIGN, {"numbers": list(numbers), "today": today})


def midnight(day: date | None, tx: Tx) -> datetime | None:
    """The first instant of a day of the bank."""
    return None if day is None else datetime.combine(day, time(), tx.clock.zone)
