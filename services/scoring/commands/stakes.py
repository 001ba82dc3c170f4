"""What is at stake with a party: what it earns the bank now, and with it its open alerts' margins.

A party would take along its contribution of twelve months with what is not posted yet, or its
usual balance where the bank tells no prices; never less than nothing.
"""

from collections.abc import Collection

from sqlalchemy import text

from services.scoring.commands.parties import WAIT_FOR_TURN, changed, turn_of
from services.scoring.queries.months import last_twelve
from services.scoring.rules.stake import FINDINGS
from shared.clock import business_date
from shared.db import Tx

STAKES = """
    select f.party_id, e.minor as contribution_minor,
           greatest(case when p.priced then e.minor else f.mean_minor end, 0) as at_stake_minor
      from party_figures f
     cross join (select exists (
             select 1 from contribution_totals where dimension = 'bank') as priced) p
     cross join lateral (
       select f.accrued_minor + coalesce(sum(m.posted_minor), 0) as minor
         from numbers n join customer_months m
           on m.customer_number = n.customer_number and m.period = any(:periods)
        where n.party_id = f.party_id) e
     where f.party_id = any(:parties)
"""
OPEN = "valid and ended_at is null"
OF_PARTIES = text(STAKES)
# What work can save stays as it was when the alert began: workflow's desks are ranked by it.
FOLLOW = text(
    f"""
    update alerts a
       set contribution_minor = s.contribution_minor, at_stake_minor = s.at_stake_minor,
           margin_at_risk_minor = case when a.rule = any(:findings) then 0
             else div(s.at_stake_minor * least(greatest(a.risk_ppm, 0), 1000000), 1000000) end
      from ({STAKES} and exists (
              select 1 from alerts where party_id = f.party_id and {OPEN})) s
     where a.party_id = s.party_id and {OPEN}
       and (a.contribution_minor, a.at_stake_minor)
           is distinct from (s.contribution_minor, s.at_stake_minor)
    returning a.party_id
    """  # noqa: S608 - names are ours
)
# The small rules are always told; another rule from its first alert on.
RISK = text(
    f"""
    with ruled as (
      select p.party_id, r.rule,
             coalesce(max(a.risk_ppm) filter (where a.valid and a.ended_at is null), 0) as ppm,
             coalesce(max(a.margin_at_risk_minor)
                        filter (where a.valid and a.ended_at is null), 0) as margin
        from unnest(cast(:parties as text[])) as p(party_id)
       cross join lateral (
         values ('outflow'), ('silence')
         union select x.rule from alerts x where x.party_id = p.party_id) r(rule)
        left join alerts a on a.party_id = p.party_id and a.rule = r.rule
       group by p.party_id, r.rule),
    told as (
      select party_id, jsonb_object_agg(rule, ppm) as risk_ppm, max(margin) as margin
        from ruled group by party_id),
    updated as (
      update party_figures f
         set risk_ppm = t.risk_ppm, margin_at_risk_minor = t.margin,
             {changed("f.as_of_on")}
        from told t where f.party_id = t.party_id returning f.*)
    {WAIT_FOR_TURN}
    """  # noqa: S608 - names are ours
)


def of_parties(tx: Tx, parties: Collection[str]) -> dict[str, tuple[int, int]]:
    """Contribution and what is at stake, by party."""
    found = tx.session.execute(OF_PARTIES, _asked(tx, parties))
    return {row.party_id: (int(row.contribution_minor), int(row.at_stake_minor)) for row in found}


def follow(tx: Tx, parties: Collection[str]) -> None:
    """The margins of these locked parties' open alerts become those of what they earn now."""
    asked = {**_asked(tx, parties), "findings": sorted(FINDINGS)}
    moved = set(tx.session.execute(FOLLOW, asked).scalars())
    if moved:
        sum_up(tx, moved)


def sum_up(tx: Tx, parties: Collection[str]) -> None:
    """What is told of these locked parties' open alerts together."""
    tx.session.execute(RISK, {"parties": sorted(parties), **turn_of(tx)})


def _asked(tx: Tx, parties: Collection[str]) -> dict[str, object]:
    today = business_date(tx.bank_now, tx.clock.zone)
    return {"parties": sorted(parties), "periods": last_twelve(today)}
