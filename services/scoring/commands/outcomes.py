"""What became of alerts: workflow's processes and their outcomes; the day the bank went live."""

from collections.abc import Sequence
from datetime import date, datetime

import msgspec
from sqlalchemy import select, text

from services.scoring.rules.recovery import Outcomes
from services.scoring.tables import RuleOutcomesRow
from shared.db import Tx
from shared.events.bank import ProductDescribed

PROCESS = text(
    """
    insert into processes (process_instance_id, party_id, started_at, finished_at, outcome_code,
                           outcome_text)
    values (:process_instance_id, :party_id, :started_at, :finished_at, :outcome_code,
            cast(:outcome_text as jsonb))
    on conflict (process_instance_id) do update
       set party_id = coalesce(excluded.party_id, processes.party_id),
           started_at = coalesce(excluded.started_at, processes.started_at),
           finished_at = coalesce(excluded.finished_at, processes.finished_at),
           outcome_code = coalesce(excluded.outcome_code, processes.outcome_code),
           outcome_text = coalesce(excluded.outcome_text, processes.outcome_text)
    """
)
LINK = text(
    """
    insert into process_alerts (process_instance_id, alert_id)
    select :process_instance_id, a from unnest(cast(:alert_ids as text[])) as x(a)
    on conflict do nothing
    """
)
# An alert is judged once however often its process is told: what changed is counted.
JUDGE = text(
    """
    with said as (
      select pa.alert_id, bool_or(p.outcome_code in ('kept', 'recovering')) as saved
        from process_alerts mine
        join process_alerts pa on pa.alert_id = mine.alert_id
        join processes p on p.process_instance_id = pa.process_instance_id
       where mine.process_instance_id = :process_instance_id
         and p.outcome_code in ('kept', 'recovering', 'lost', 'false_alarm')
       group by pa.alert_id),
    judged as (
      update alerts a set saved = s.saved
        from said s, alerts old
       where a.alert_id = s.alert_id and old.alert_id = a.alert_id
         and a.saved is distinct from s.saved
      returning a.rule, old.saved as before, a.saved as now)
    insert into rule_outcomes (rule, saved, judged)
    select rule, sum(cast(now as int) - cast(coalesce(before, false) as int)),
           count(*) filter (where before is null)
      from judged group by rule order by rule
    on conflict (rule) do update
       set saved = rule_outcomes.saved + excluded.saved,
           judged = rule_outcomes.judged + excluded.judged
    """
)
WENT_LIVE = text(
    """
    insert into went_live (source, on_date, position) values (:source, :on_date, :position)
    on conflict (source) do update set on_date = excluded.on_date, position = excluded.position
     where went_live.position < excluded.position
    """
)
PRODUCT = text(
    """
    insert into products (product_code, names, line_code, position)
    values (:product_code, cast(:names as jsonb), :line_code, :position)
    on conflict (product_code) do update
       set names = excluded.names, line_code = excluded.line_code,
           position = excluded.position
     where products.position < excluded.position
    """
)


def note_process(
    tx: Tx,
    process_instance_id: str,
    party_id: str | None,
    alert_ids: Sequence[str],
    *,
    started_at: datetime | None = None,
    finished_at: datetime | None = None,
    outcome_code: str | None = None,
    outcome_text: str | None = None,
) -> None:
    """A process of alerts began, took in more of them, or ended."""
    tx.session.execute(
        PROCESS,
        {
            "process_instance_id": process_instance_id,
            "party_id": party_id,
            "started_at": started_at,
            "finished_at": finished_at,
            "outcome_code": outcome_code,
            "outcome_text": outcome_text,
        },
    )
    tx.session.execute(
        LINK, {"process_instance_id": process_instance_id, "alert_ids": list(alert_ids)}
    )
    tx.session.execute(JUDGE, {"process_instance_id": process_instance_id})


def outcomes_by_rule(tx: Tx) -> dict[str, Outcomes]:
    """What came of the alerts of each rule so far."""
    asked = select(RuleOutcomesRow.rule, RuleOutcomesRow.saved, RuleOutcomesRow.judged)
    return {rule: Outcomes(*counts) for rule, *counts in tx.session.execute(asked)}


def note_went_live(tx: Tx, source: str, on: date, position: int) -> None:
    tx.session.execute(WENT_LIVE, {"source": source, "on_date": on, "position": position})


def note_product(tx: Tx, fact: ProductDescribed, position: int) -> None:
    tx.session.execute(
        PRODUCT,
        {
            "product_code": fact.product_code,
            "names": msgspec.json.encode(fact.names).decode(),
            "line_code": fact.line_code,
            "position": position,
        },
    )
