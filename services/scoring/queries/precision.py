"""How good each rule was, by what staff recorded at the end of the work on its alerts.

Precision: real ones of the alerts that staff judged. Lift: precision over the base rate, which is
the share of all customers of whom staff recorded in the same time, by whatever rule, that the risk
was real. The time of a rule is from the first of its judged alerts to the last word on one. Lead:
days from the alert to that word, the median of the real ones.
"""

from dataclasses import dataclass
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

MILLION = 1_000_000
_COUNTS = ("alerts", "open", "confirmed", "false_alarms", "real_customers", "customers")
# The view `rule_precision` counts an alert as real by the same words.
BY_RULE = text(
    """
    with judged as (
      select a.alert_id, a.party_id, a.rule, a.at, max(p.finished_at) as said_at,
             bool_or(p.outcome_code <> 'false_alarm') as is_real,
             min(p.finished_at) filter (where p.outcome_code <> 'false_alarm') as real_at
        from processes p
        join process_alerts pa on pa.process_instance_id = p.process_instance_id
        join alerts a on a.alert_id = pa.alert_id
       where a.valid and p.outcome_code in ('kept', 'recovering', 'lost', 'false_alarm')
       group by a.alert_id),
    told as (
      select rule, min(at) as first_at, max(said_at) as last_at,
             percentile_cont(0.5) within group (
               order by cast(real_at at time zone :zone as date)
                        - cast(at at time zone :zone as date)) filter (where is_real) as lead_days
        from judged group by rule)
    select v.rule, v.alerts, v.open, v.confirmed, v.false_alarms,
           (select count(distinct j.party_id) from judged j
             where j.is_real and j.real_at between t.first_at and t.last_at) as real_customers,
           (select coalesce(sum(s.parties), 0) from party_slices s) as customers, t.lead_days
      from rule_precision v left join told t on t.rule = v.rule
     order by v.rule
    """
)


@dataclass(frozen=True, slots=True)
class Precision:
    """Of one rule, over the whole bank. `real_customers` of all `customers` make the base rate."""

    rule: str
    alerts: int
    open: int
    confirmed: int
    false_alarms: int
    real_customers: int
    customers: int
    lead_days: float | None  # none: none was real

    @property
    def judged(self) -> int:
        return self.confirmed + self.false_alarms

    @property
    def ppm(self) -> int | None:
        """None: nobody has judged one yet."""
        return self.confirmed * MILLION // self.judged if self.judged else None

    @property
    def lift_ppm(self) -> int | None:
        """A million is no better than chance. None: nothing real was recorded meanwhile."""
        if not self.judged or not self.real_customers:
            return None
        of_all = self.judged * self.real_customers
        return self.confirmed * self.customers * MILLION // of_all


def by_rule(session: Session, zone: ZoneInfo) -> dict[str, Precision]:
    """A rule is judged by all that staff found, whoever asks."""
    found = session.execute(BY_RULE, {"zone": zone.key})
    return {
        row.rule: Precision(
            **{name: int(getattr(row, name)) for name in _COUNTS},
            rule=row.rule,
            lead_days=row.lead_days,
        )
        for row in found
    }

