"""Keeps what the bank plans and budgets, as it was last set."""

from datetime import datetime

from sqlalchemy import text

from shared.db import Tx
from shared.events.bank import BudgetSet, PlanSet

# By the time of the word first: what is told late again is not the latest word.
SET = text(
    """
    insert into plans (kind, source, plan_id, what, dimension, who, period, amount_minor,
                       currency, set_at, position)
    values (:kind, :source, :plan_id, :what, :dimension, :who, :period, :amount_minor, :currency,
            :set_at, :position)
    on conflict (kind, source, plan_id) do update
       set what = excluded.what, dimension = excluded.dimension, who = excluded.who,
           period = excluded.period, amount_minor = excluded.amount_minor,
           currency = excluded.currency, set_at = excluded.set_at, position = excluded.position
     where (plans.set_at, plans.position) < (excluded.set_at, excluded.position)
    """
)


def note_plan(
    tx: Tx, fact: PlanSet | BudgetSet, source: str, set_at: datetime, position: int
) -> None:
    """A plan or a budget was set, perhaps anew."""
    tx.session.execute(
        SET,
        {
            "kind": "plan" if isinstance(fact, PlanSet) else "budget",
            "source": source,
            "plan_id": fact.key(source),
            "what": fact.what,
            "dimension": fact.dimension,
            "who": fact.who,
            "period": fact.period,
            "amount_minor": fact.amount_minor,
            "currency": fact.currency,
            "set_at": set_at,
            "position": position,
        },
    )
