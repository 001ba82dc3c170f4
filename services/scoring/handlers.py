"""What scoring's query side hears. The worker's own topics and the bank's events come in batches,
raw: they are stored and folded set-based, in the same transaction as their positions."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from services.scoring.commands import (
    alerts,
    contribution,
    customers,
    fold,
    leaves,
    outcomes,
    parties,
    placing,
    plans,
    pools,
    store,
    taxes,
    worker_letters,
)
from services.scoring.commands.parties import MANAGER_TIMER
from shared import open_work
from shared.clock import business_date
from shared.consumer import BatchHandler
from shared.db import Tx
from shared.events import bank, customer, workflow
from shared.events.envelope import Event, Fact
from shared.sources import on_source_described
from shared.timers import Timer, TimerHandler


def on_customer_fact(tx: Tx, event: Event[customer.PartyFact]) -> None:
    """Who is who and who answers for whom: taken for all of a batch at once."""
    if event.data.customer_number is not None:  # else a prospect, who holds nothing yet
        tx.together(customers.take, tx.message)


def on_process_started(tx: Tx, event: Event[workflow.ProcessStarted]) -> None:
    fact = event.data
    if fact.alert_ids:
        outcomes.note_process(
            tx,
            fact.process_instance_id,
            fact.party_id,
            fact.alert_ids,
            started_at=event.time,
        )


def on_task_event(tx: Tx, event: Event[workflow.TaskFact]) -> None:
    """A later alert attaches to the open process: its tasks name it."""
    open_work.on_task(tx, event)
    fact = event.data
    if fact.alert_ids:
        outcomes.note_process(tx, fact.process_instance_id, fact.party_id, fact.alert_ids)


def on_process_finished(tx: Tx, event: Event[workflow.ProcessFinished]) -> None:
    open_work.on_process_finished(tx, event)
    fact = event.data
    if fact.alert_ids:
        outcomes.note_process(
            tx,
            fact.process_instance_id,
            fact.party_id,
            fact.alert_ids,
            finished_at=event.time,
            outcome_code=fact.outcome_code,
            outcome_text=msgspec.json.encode(fact.text).decode() if fact.text else None,
        )


def on_went_live(tx: Tx, event: Event[bank.WentLive]) -> None:
    assert tx.message is not None
    outcomes.note_went_live(tx, event.source, event.data.on, tx.message.offset)


def on_product_described(tx: Tx, event: Event[bank.ProductDescribed]) -> None:
    assert tx.message is not None
    outcomes.note_product(tx, event.data, tx.message.offset)


def on_branch_described(tx: Tx, event: Event[bank.BranchDescribed]) -> None:
    assert tx.message is not None
    fact = event.data
    placing.note_branch(
        tx,
        fact.branch_code,
        from_on=fact.from_on,
        names=msgspec.json.encode(fact.names).decode() if fact.names else None,
        region_code=fact.region_code,
        position=tx.message.offset,
    )


def on_plan_set(tx: Tx, event: Event[bank.PlanSet | bank.BudgetSet]) -> None:
    assert tx.message is not None
    plans.note_plan(tx, event.data, event.source, event.time, tx.message.offset)


def on_rate_set(tx: Tx, event: Event[bank.RateSet]) -> None:
    assert tx.message is not None
    pools.note_rate(tx, event.data, tx.message.offset)
    taxes.note_rate(tx, event.data, tx.message.offset)


def on_cost_pool_described(tx: Tx, event: Event[bank.CostPoolDescribed]) -> None:
    assert tx.message is not None
    pools.note_pool(tx, event.data, tx.message.offset)


def on_cost_booked(tx: Tx, event: Event[bank.CostBooked]) -> None:
    assert tx.message is not None
    pools.note_cost(
        tx, event.data, event.source, event.businessdate, event.time, tx.message.offset
    )


def when_manager_effective(tx: Tx, timer: Timer) -> None:
    """The day of a future assignment has come: ask anew who answers for the number."""
    number = timer.key.rpartition("/")[0]
    with contribution.under_others(tx, [number]):
        parties.reassign(tx, [number], business_date(tx.bank_now, tx.clock.zone))


HANDLERS: Mapping[type[Fact], Callable[[Tx, Event[Any]], None]] = {
    customer.PartyRecorded: on_customer_fact,
    customer.IdentityMerged: on_customer_fact,
    customer.IdentityUnmerged: on_customer_fact,
    customer.ManagerChanged: on_customer_fact,
    workflow.ProcessStarted: on_process_started,
    **dict.fromkeys(open_work.TASKS, on_task_event),
    workflow.ProcessFinished: on_process_finished,
    bank.WentLive: on_went_live,
    bank.ProductDescribed: on_product_described,
    bank.BranchDescribed: on_branch_described,
    bank.SourceDescribed: on_source_described,
    bank.PlanSet: on_plan_set,
    bank.BudgetSet: on_plan_set,
    bank.RateSet: on_rate_set,
    bank.CostPoolDescribed: on_cost_pool_described,
    bank.CostBooked: on_cost_booked,
}
TIMERS: Mapping[str, TimerHandler] = {MANAGER_TIMER: when_manager_effective}
BATCHES: Mapping[str, BatchHandler] = {
    "bank.events": store.store_events,
    "scoring.state": fold.fold_state,
    "scoring.leaves": leaves.keep_leaves,
    "scoring.signals": alerts.keep_signals,
    "scoring.totals": fold.keep_totals,
    "scoring.dead": worker_letters.keep_refusals,
}
