"""Our own topics: scores, alerts, work, orders, notices. Copies for the customer page."""

from collections.abc import Callable
from typing import Any

import msgspec

from services.customer.commands import heard
from services.customer.commands.timeline import note
from services.customer.rules.identity import party_of_number
from services.customer.rules.marks import sequence_mark_of
from shared.consumer import Handler
from shared.db import Tx
from shared.events import notify, orders, scoring, workflow
from shared.events.envelope import Event, Fact


def party_of(fact: Any) -> str | None:
    """The party a fact names: by id, else by customer number, else nobody."""
    if fact.party_id is not None:
        return str(fact.party_id)
    number = getattr(fact, "customer_number", None)
    return party_of_number(number) if number is not None else None


def _said(fact: Any, *names: str) -> dict[str, Any]:
    """The fields of a fact that its timeline entry keeps; empty ones are left out."""
    built = msgspec.to_builtins(fact)
    return {name: built[name] for name in names if built.get(name) not in (None, [], {})}


# Scores and alerts ---------------------------------------------------------------------------


def on_score_updated(tx: Tx, event: Event[scoring.ScoreUpdated]) -> None:
    assert tx.message is not None
    heard.keep_score(tx, event.data.party_id, event.time, event.data, tx.message.offset)


def on_alert_raised(tx: Tx, event: Event[scoring.AlertRaised]) -> None:
    fact = event.data
    heard.raise_alert(
        tx, fact.alert_id, fact.party_id, at=fact.at, mark=sequence_mark_of(event), facts=fact
    )
    note(
        tx,
        event,
        fact.party_id,
        "alert",
        "alert_raised",
        amount_minor=fact.margin_at_risk_minor,
        currency=fact.currency,
        ref=fact.alert_id,
        facts=_said(fact, "rule", "risk_ppm", "text"),
    )


def on_alert_cleared(tx: Tx, event: Event[scoring.AlertCleared]) -> None:
    fact = event.data
    heard.clear_alert(
        tx, fact.alert_id, fact.party_id, at=fact.at, mark=sequence_mark_of(event), facts=fact
    )
    note(
        tx,
        event,
        fact.party_id,
        "alert",
        "alert_cleared",
        ref=fact.alert_id,
        facts=_said(fact, "rule", "reason_code", "text"),
    )


# Work ----------------------------------------------------------------------------------------


def on_process_started(tx: Tx, event: Event[workflow.ProcessStarted]) -> None:
    fact = event.data
    party_id = party_of(fact)
    heard.start_process(tx, fact.process_instance_id, party_id, fact.definition, event.time)
    if party_id is not None:
        note(
            tx,
            event,
            party_id,
            "work",
            "process_started",
            ref=fact.process_instance_id,
            facts=_said(fact, "definition", "text", "link"),
        )


def on_process_finished(tx: Tx, event: Event[workflow.ProcessFinished]) -> None:
    fact = event.data
    party_id = party_of(fact)
    heard.finish_process(tx, fact.process_instance_id, party_id, fact.outcome_code, event.time)
    if party_id is not None:
        note(
            tx,
            event,
            party_id,
            "work",
            "process_finished",
            ref=fact.process_instance_id,
            facts=_said(fact, "outcome_code", "text"),
        )


TASK_STATES: dict[type[Any], str] = {
    workflow.TaskAssigned: "assigned",
    workflow.TaskClaimed: "claimed",
    workflow.TaskHandedOff: "handed_off",
    workflow.TaskDue: "due",
    workflow.TaskCompleted: "completed",
}


def on_task(tx: Tx, event: Event[workflow.TaskFact]) -> None:
    """A task moved; the sequence of its process instance says which move is the last."""
    fact = event.data
    state = TASK_STATES[type(fact)]
    party_id = party_of(fact)
    heard.keep_task(
        tx,
        fact.task_id,
        party_id=party_id,
        process_instance_id=fact.process_instance_id,
        step=fact.step,
        state=state,
        staff_id=fact.to_staff_id or (fact.from_staff_id if state == "completed" else None),
        role=fact.role,
        org_path=fact.org_path,
        due_at=fact.due_at,
        at=event.time,
        sequence=event.sequence or 0,
    )
    if party_id is not None:
        note(
            tx,
            event,
            party_id,
            "work",
            f"task_{state}",
            ref=fact.process_instance_id,
            facts=_said(
                fact,
                "task_id",
                "step",
                "from_staff_id",
                "to_staff_id",
                "role",
                "outcome_code",
                "text",
            ),
        )


def on_reassignment_requested(tx: Tx, event: Event[workflow.ReassignmentRequested]) -> None:
    """A request names its customers by number: each has it on the timeline."""
    fact = event.data
    for number in fact.customer_numbers:
        note(
            tx,
            event,
            party_of_number(number),
            "work",
            "reassignment_requested",
            ref=fact.process_instance_id,
            facts=_said(fact, "from_manager_code", "to_manager_code", "effective_on"),
        )


# Orders --------------------------------------------------------------------------------------

# What an order is after a fact; those that are not here leave its state as it was.
ORDER_STATES: dict[type[Any], str] = {
    orders.QuoteOffered: "quoted",
    orders.OrderSubmitted: "submitted",
    orders.OrderApproved: "approved",
    orders.OrderRefused: "refused",
    orders.OrderVoided: "voided",
    orders.OrderEffective: "effective",
    orders.OrderClosed: "closed",
}
ORDER_AMOUNTS = (orders.QuoteOffered, orders.OrderSubmitted, orders.OrderEffective)


def _on_order(code: str) -> Callable[[Tx, Event[Any]], None]:
    def on_order_fact(tx: Tx, event: Event[Any]) -> None:
        fact = event.data
        party_id = party_of(fact)
        state = ORDER_STATES.get(type(fact))
        amount = getattr(fact, "amount_minor", None)
        currency = getattr(fact, "currency", None)
        if state is not None:
            priced = isinstance(fact, ORDER_AMOUNTS)
            heard.keep_order(
                tx,
                fact.order_id,
                party_id=party_id,
                state=state,
                amount_minor=amount if priced else None,
                currency=currency if priced else None,
                at=event.time,
                sequence=event.sequence or 0,
            )
        if party_id is not None:
            note(
                tx,
                event,
                party_id,
                "order",
                code,
                amount_minor=amount,
                currency=currency,
                ref=fact.order_id,
                facts=_said(
                    fact,
                    "kind",
                    "maker_id",
                    "checker_id",
                    "due_on",
                    "due_at",
                    "why",
                    "outcome_code",
                    "reason_code",
                    "text",
                ),
            )

    return on_order_fact


ORDER_CODES: dict[type[Fact], str] = {
    orders.QuoteOffered: "quote_offered",
    orders.OrderSubmitted: "order_submitted",
    orders.OrderApproved: "order_approved",
    orders.OrderRefused: "order_refused",
    orders.OrderVoided: "order_voided",
    orders.OrderEffective: "order_effective",
    orders.StepDue: "step_due",
    orders.StepDone: "step_done",
    orders.ReceivableDue: "receivable_due",
    orders.PaymentApplied: "payment_applied",
    orders.ReminderReleased: "reminder_released",
    orders.ReminderWithdrawn: "reminder_withdrawn",
    orders.OrderClosed: "order_closed",
}

# Notices -------------------------------------------------------------------------------------

NOTICE_CODES: dict[type[Any], str] = {
    notify.NoticeSent: "notice_sent",
    notify.NoticeFailed: "notice_failed",
    notify.NoticeAcknowledged: "notice_acknowledged",
}


def on_notice(tx: Tx, event: Event[notify.DeliveryFact]) -> None:
    """Who of the staff was told about the party, and in which channel."""
    fact = event.data
    party_id = party_of(fact)
    if party_id is not None:
        note(
            tx,
            event,
            party_id,
            "notice",
            NOTICE_CODES[type(fact)],
            ref=fact.notice_id,
            facts=_said(fact, "receiver_id", "channel", "reason_code"),
        )


HANDLERS: dict[type[Fact], Handler] = {
    scoring.ScoreUpdated: on_score_updated,
    scoring.AlertRaised: on_alert_raised,
    scoring.AlertCleared: on_alert_cleared,
    workflow.ProcessStarted: on_process_started,
    workflow.ProcessFinished: on_process_finished,
    **dict.fromkeys(TASK_STATES, on_task),
    workflow.ReassignmentRequested: on_reassignment_requested,
    **{fact: _on_order(code) for fact, code in ORDER_CODES.items()},
    **dict.fromkeys(NOTICE_CODES, on_notice),
}
