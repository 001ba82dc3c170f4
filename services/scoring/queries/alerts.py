"""Alerts with what became of them."""

from collections.abc import Sequence
from typing import Any, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.queries import cursors
from services.scoring.queries.reach import IN_REACH, NUMBERS, parameters_of, reach_of_party
from services.scoring.rules.stake import FINDINGS
from shared.open_work import Desk
from shared.reach import Reach

PAGE_ROWS = 12
State = Literal["open", "waiting", "findings", "ended"]

_ALERT = """
  a.alert_id, a.party_id, a.rule, a.episode, a.at, a.ended_at, a.valid, a.told, a.reason_code,
  a.customer_number, a.risk_ppm, a.contribution_minor, a.at_stake_minor, a.margin_at_risk_minor,
  a.recoverable_minor, a.currency, a.terms, a.event_ids, a.signal_id, a.text, a.advice,
  a.model_version,
  m.manager_staff_id, m.manager_code, m.desk,
  w.process_instance_id, w.outcome_code, w.outcome_text, w.finished_at
  from alerts a
  left join lateral (
    select n.manager_staff_id, n.manager_code,
           coalesce(n.manager_staff_id, n.branch_code, n.home_branch_code) as desk from numbers n
     where n.party_id = a.party_id order by n.customer_number limit 1) m on true
  left join lateral (
    select p.process_instance_id, p.outcome_code, p.outcome_text, p.finished_at
      from process_alerts pa join processes p on p.process_instance_id = pa.process_instance_id
     where pa.alert_id = a.alert_id
     order by p.started_at desc nulls last limit 1) w on true
"""
# Told to workflow, which has made no work of it: it waits for a place at the manager's desk.
_WAITS = """
  a.valid and a.told and a.ended_at is null and a.rule <> all(:findings)
  and a.at >= (select cast(min(l.on_date) as timestamp) at time zone :zone from went_live l)
  and not exists (select from process_alerts pa where pa.alert_id = a.alert_id)
  and not exists (select from processes p where p.party_id = a.party_id and p.finished_at is null)
"""
WAITING = text(
    f"""
    select {_ALERT}
     where {_WAITS} and (cast(:rule as text) is null or a.rule = :rule)
       and {IN_REACH.format(party="a.party_id")}
       and (cast(:after as numeric) is null
            or (a.recoverable_minor, a.alert_id) < (cast(:after as numeric), :after_id))
     order by a.recoverable_minor desc, a.alert_id desc limit :limit
    """
)
# A party waits once, by its alert of which most can be recovered, in the order of workflow.
RANKS = text(
    f"""
    with queued as (
      select m.desk, a.party_id, max(a.recoverable_minor) as recoverable_minor
        from alerts a
        join lateral (
          select coalesce(n.manager_staff_id, n.branch_code, n.home_branch_code) as desk
            from numbers n
           where n.party_id = a.party_id order by n.customer_number limit 1) m on true
       where a.party_id in (
               select n.party_id from numbers n
                where n.manager_staff_id = any(:desks) or n.branch_code = any(:desks)
                   or n.home_branch_code = any(:desks))
         and m.desk = any(:desks) and {_WAITS}
       group by m.desk, a.party_id),
    ranked as (
      select party_id, row_number() over (
               partition by desk order by recoverable_minor desc, party_id) as rank
        from queued)
    select party_id, rank from ranked where party_id = any(:parties)
    """  # noqa: S608 - names are ours
)
OPEN = text(
    f"""
    select {_ALERT}
     where a.valid and a.ended_at is null and a.rule <> all(:findings)
       and (cast(:rule as text) is null or a.rule = :rule)
       and {IN_REACH.format(party="a.party_id")}
       and (cast(:after as numeric) is null
            or (a.margin_at_risk_minor, a.alert_id) < (cast(:after as numeric), :after_id))
     order by a.margin_at_risk_minor desc, a.alert_id desc limit :limit
    """
)
FOUND = text(
    f"""
    select {_ALERT}
     where a.valid and a.ended_at is null and a.rule = any(:findings)
       and (cast(:rule as text) is null or a.rule = :rule)
       and {IN_REACH.format(party="a.party_id")}
       and (cast(:after as timestamptz) is null
            or (a.at, a.alert_id) < (cast(:after as timestamptz), :after_id))
     order by a.at desc, a.alert_id desc limit :limit
    """
)
ENDED = text(
    f"""
    select {_ALERT}
     where a.valid and a.ended_at is not null and (cast(:rule as text) is null or a.rule = :rule)
       and {IN_REACH.format(party="a.party_id")}
       and (cast(:after as timestamptz) is null
            or (a.at, a.alert_id) < (cast(:after as timestamptz), :after_id))
     order by a.at desc, a.alert_id desc limit :limit
    """
)
LISTS = {"open": OPEN, "waiting": WAITING, "findings": FOUND, "ended": ENDED}
PARTY_OF = text("select party_id from alerts where alert_id = :alert_id")
ONE = text(
    f"""select {_ALERT} where a.alert_id = :alert_id
        and {IN_REACH.format(party="a.party_id")}"""
)
OF_PARTY = text(
    f"select {_ALERT} where a.party_id = :party_id order by a.at desc, a.alert_id limit 50"
)
# Of a model's rule, with no id where the store has not come to the event, or the worker refused it.
MOVED = text(
    """
    select m.code, e.event_id
      from signals s cross join lateral jsonb_each_text(s.moved) m(code, at)
      left join bank_events e
        on e.partition = s.partition and e.event_offset = cast(m.at as bigint)
     where s.id = :signal_id order by m.code
    """
)
COUNTS = text(
    f"""
    select count(*) as open, coalesce(sum(x.margin), 0) as margin_minor from (
      select a.party_id, max(a.margin_at_risk_minor) as margin from alerts a
       where a.valid and a.ended_at is null and a.rule <> all(:findings)
         and {IN_REACH.format(party="a.party_id")}
       group by a.party_id) x
    """  # noqa: S608 - names are ours
)


def alerts_of(
    session: Session,
    reach: Reach,
    state: State,
    zone: ZoneInfo,
    *,
    rule: str | None = None,
    after: str | None = None,
    limit: int = PAGE_ROWS,
) -> list[Any]:
    """Alerts in reach: open ones, most money at risk first; those that wait for a place, most to
    recover first; findings that hold, or what has ended, latest first. `after` is the cursor of the
    last seen."""
    by_money = state in ("open", "waiting")
    place = cursors.number_and_id(after) if by_money else cursors.instant_and_id(after)
    asked = {
        **parameters_of(reach),
        "rule": rule,
        "zone": zone.key,
        "findings": sorted(FINDINGS),
        "after": place[0] if place else None,
        "after_id": place[1] if place else None,
        "limit": limit,
    }
    return list(session.execute(LISTS[state], asked))


def cursor(row: Any, state: State) -> str:
    """The place behind an alert in its list."""
    value = {"open": row.margin_at_risk_minor, "waiting": row.recoverable_minor}.get(
        state, row.at.isoformat()
    )
    return f"{value}~{row.alert_id}"


def ranks(session: Session, found: Sequence[Any], zone: ZoneInfo) -> dict[str, int]:
    """Which of these alerts' parties wait at their manager's desk, and as which in the line."""
    asked = [one for one in found if one.ended_at is None and one.process_instance_id is None]
    if not asked:
        return {}
    rows = session.execute(
        RANKS,
        {
            "desks": sorted({one.desk for one in asked if one.desk}),
            "parties": sorted({one.party_id for one in asked}),
            "zone": zone.key,
            "findings": sorted(FINDINGS),
        },
    )
    return {row.party_id: row.rank for row in rows}


def alert(session: Session, scope: Reach, desk: Desk, alert_id: str) -> Any:
    """One alert, also one that was taken back; none when unknown, or its party is neither in the
    scope nor on the desk."""
    party_id = session.execute(PARTY_OF, {"alert_id": alert_id}).scalar_one_or_none()
    if party_id is None:
        return None
    reach = reach_of_party(session, scope, desk, party_id)
    return session.execute(ONE, {**parameters_of(reach), "alert_id": alert_id}).one_or_none()


def moved_by(session: Session, signal_id: str | None) -> dict[str, tuple[str, ...]]:
    """Ids of the events that moved the terms of a model's rule last, as far as they are stored.

    The store may be behind the worker when the alert is raised: so they are found when asked for.
    """
    rows = session.execute(MOVED, {"signal_id": signal_id})
    return {row.code: (row.event_id,) if row.event_id else () for row in rows}


def alerts_of_party(session: Session, party_id: str) -> list[Any]:
    """The party's alerts, latest first. The caller has checked the reach."""
    return list(session.execute(OF_PARTY, {"party_id": party_id}))


def open_counts(session: Session, reach: Reach) -> tuple[int, int]:
    """Parties with an open alert, and the sum of what is at risk with them."""
    row = session.execute(COUNTS, {**parameters_of(reach), "findings": sorted(FINDINGS)}).one()
    return row.open, int(row.margin_minor)


def numbers_of(session: Session, party_id: str) -> list[str]:
    return list(session.execute(NUMBERS, {"party_id": party_id}).scalars())
