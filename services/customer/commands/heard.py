"""What the other services say of a party: scores, alerts, work, orders. Copies, never decisions."""

from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import text

from shared.db import Tx

SCORE = text(
    """
    insert into scores (party_id, at, facts, position)
    values (:party_id, :at, cast(:facts as jsonb), :position)
    on conflict (party_id) do update
       set at = excluded.at, facts = excluded.facts, position = excluded.position
     where scores.position < excluded.position
    """
)
RAISE = text(
    """
    insert into alerts (alert_id, party_id, raised_at, raised, raised_as_of)
    values (:alert_id, :party_id, :at, cast(:facts as jsonb), :mark)
    on conflict (alert_id) do update
       set party_id = excluded.party_id, raised_at = excluded.raised_at,
           raised = excluded.raised, raised_as_of = excluded.raised_as_of
     where alerts.raised_as_of < excluded.raised_as_of
    """
)
CLEAR = text(
    """
    insert into alerts (alert_id, party_id, cleared_at, cleared, cleared_as_of)
    values (:alert_id, :party_id, :at, cast(:facts as jsonb), :mark)
    on conflict (alert_id) do update
       set cleared_at = excluded.cleared_at, cleared = excluded.cleared,
           cleared_as_of = excluded.cleared_as_of
     where alerts.cleared_as_of < excluded.cleared_as_of
    """
)
START = text(
    """
    insert into processes (process_instance_id, party_id, definition, started_at)
    values (:process_instance_id, :party_id, :definition, :at)
    on conflict (process_instance_id) do update
       set party_id = coalesce(excluded.party_id, processes.party_id),
           definition = excluded.definition, started_at = excluded.started_at
    """
)
FINISH = text(
    """
    insert into processes (process_instance_id, party_id, finished_at, outcome_code)
    values (:process_instance_id, :party_id, :at, :outcome_code)
    on conflict (process_instance_id) do update
       set party_id = coalesce(processes.party_id, excluded.party_id),
           finished_at = excluded.finished_at, outcome_code = excluded.outcome_code
    """
)
TASK = text(
    """
    insert into tasks (task_id, party_id, process_instance_id, step, state, staff_id, role,
                       org_path, due_at, at, sequence)
    values (:task_id, :party_id, :process_instance_id, :step, :state, :staff_id, :role,
            :org_path, :due_at, :at, :sequence)
    on conflict (task_id) do update
       set party_id = coalesce(excluded.party_id, tasks.party_id), step = excluded.step,
           state = excluded.state, staff_id = excluded.staff_id, role = excluded.role,
           org_path = excluded.org_path, due_at = coalesce(excluded.due_at, tasks.due_at),
           at = excluded.at, sequence = excluded.sequence
     where tasks.sequence < excluded.sequence
    """
)
# A fact without an amount, or without a state of its own, leaves what an earlier one said.
ORDER = text(
    """
    insert into orders (order_id, party_id, state, amount_minor, currency, at, sequence,
                        amount_sequence)
    values (:order_id, :party_id, :state, :amount_minor, :currency, :at, :sequence,
            case when cast(:amount_minor as bigint) is null then -1 else :sequence end)
    on conflict (order_id) do update
       set party_id = coalesce(excluded.party_id, orders.party_id),
           state = case when excluded.sequence > orders.sequence
                        then excluded.state else orders.state end,
           at = greatest(orders.at, excluded.at),
           sequence = greatest(orders.sequence, excluded.sequence),
           amount_minor = case when excluded.amount_sequence > orders.amount_sequence
                               then excluded.amount_minor else orders.amount_minor end,
           currency = case when excluded.amount_sequence > orders.amount_sequence
                           then excluded.currency else orders.currency end,
           amount_sequence = greatest(orders.amount_sequence, excluded.amount_sequence)
    """
)


def json_of(facts: Any) -> str:
    return msgspec.json.encode(facts).decode()


def keep_score(tx: Tx, party_id: str, at: datetime, facts: Any, position: int) -> None:
    """The topic is compacted and keeps no sequence: the greatest position wins."""
    tx.bulk(SCORE, {"party_id": party_id, "at": at, "facts": json_of(facts), "position": position})


def raise_alert(
    tx: Tx, alert_id: str, party_id: str, *, at: datetime, mark: str, facts: Any
) -> None:
    tx.bulk(
        RAISE,
        {
            "alert_id": alert_id,
            "party_id": party_id,
            "at": at,
            "mark": mark,
            "facts": json_of(facts),
        },
    )


def clear_alert(
    tx: Tx, alert_id: str, party_id: str, *, at: datetime, mark: str, facts: Any
) -> None:
    tx.bulk(
        CLEAR,
        {
            "alert_id": alert_id,
            "party_id": party_id,
            "at": at,
            "mark": mark,
            "facts": json_of(facts),
        },
    )


def start_process(
    tx: Tx, process_instance_id: str, party_id: str | None, definition: str, at: datetime
) -> None:
    tx.bulk(
        START,
        {
            "process_instance_id": process_instance_id,
            "party_id": party_id,
            "definition": definition,
            "at": at,
        },
    )


def finish_process(
    tx: Tx, process_instance_id: str, party_id: str | None, outcome_code: str | None, at: datetime
) -> None:
    tx.bulk(
        FINISH,
        {
            "process_instance_id": process_instance_id,
            "party_id": party_id,
            "outcome_code": outcome_code,
            "at": at,
        },
    )


def keep_task(tx: Tx, task_id: str, **task: Any) -> None:
    tx.bulk(TASK, {"task_id": task_id, **task})


def keep_order(tx: Tx, order_id: str, **order: Any) -> None:
    tx.bulk(ORDER, {"order_id": order_id, **order})
