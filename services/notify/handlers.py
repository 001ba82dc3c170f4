"""What notify hears. Each handler says who is told; every event gives its audiences a hint."""

from collections.abc import Callable
from typing import Any

from services.notify import commands, places
from services.notify.rules import NoticeDraft
from shared.db import Tx
from shared.events import customer, notify, orders, scoring, workflow
from shared.events.envelope import Event, Fact
from shared.live import Hint
from shared.timers import Timer

Draft = Callable[[Any], NoticeDraft | None]


def audiences_of(fact: Fact) -> list[str]:
    """Who is watching what this fact changes."""
    found = []
    for field, audience in (
        ("party_id", "party"), ("order_id", "order"), ("process_instance_id", "process"),
        ("to_staff_id", "staff"), ("from_staff_id", "staff"), ("receiver_id", "staff"),
        ("maker_id", "staff"), ("checker_id", "staff"),
    ):  # fmt: skip
        value = getattr(fact, field, None)
        if value:
            found.append(f"{audience}:{value}")
    role = getattr(fact, "role", None)
    if role and isinstance(fact, workflow.TaskFact):
        found.append(f"queue:{role}:{fact.org_path or ''}")
    former = getattr(fact, "former_party_id", None)
    if former:
        found.append(f"party:{former}")
    if isinstance(fact, workflow.DirectoryFact):
        found.append("organisation:all")
    if isinstance(fact, scoring.ScoreUpdated | scoring.AlertFact):
        found.append("scores:all")
    if isinstance(fact, workflow.ProcessFact):
        found.append("processes:all")
    if isinstance(fact, orders.OrderFact):
        found.append("orders:all")
    return sorted(set(found))


def hint(tx: Tx, *audiences: str) -> None:
    """Tells open pages after the commit that something of these audiences changed."""
    if tx.message is None:
        return
    message = tx.message
    for audience in audiences:
        place = message.topic, message.partition, message.offset
        tx.together(_push, Hint(audience, *place, message.event.type))


def _push(tx: Tx, hints: list[Hint]) -> None:
    """Of what a batch says of one audience and kind, the last place is enough to ask anew."""
    push = tx.push
    if push is not None:
        newest = {(h.audience, h.topic, h.partition, h.type): h for h in hints}
        tx.after_commit.append(lambda: push(list(newest.values())))


def remember(tx: Tx, event: Event[Any]) -> None:
    """Why somebody may be told later, and who may watch what it is about."""
    commands.keep_in_story(tx, event)
    places.keep(tx, event)


def on_any(tx: Tx, event: Event[Any]) -> None:
    remember(tx, event)
    hint(tx, *audiences_of(event.data))


def telling(draft: Draft) -> Callable[[Tx, Event[Any]], None]:
    """A handler that tells one person what the draft says, if it says something."""

    def on_event(tx: Tx, event: Event[Any]) -> None:
        remember(tx, event)
        audiences = audiences_of(event.data)
        made = draft(event.data)
        if made is not None:
            commands.tell(tx, made, commands.about_of(event.data))
            audiences.append(f"staff:{made.receiver_id}")
        hint(tx, *sorted(set(audiences)))

    return on_event


def _task(kind: str, zh: str, en: str, *, urgent: bool = False) -> Draft:
    def draft(fact: workflow.TaskFact) -> NoticeDraft | None:
        if fact.to_staff_id is None or fact.to_staff_id == fact.from_staff_id:
            return None
        said = fact.text or {"zh-CN": fact.step, "en": fact.step}
        text = {"zh-CN": f"{zh}:{said['zh-CN']}", "en": f"{en}: {said['en']}"}
        link = fact.link or f"/workflow/processes/{fact.process_instance_id}"
        return NoticeDraft(fact.to_staff_id, kind, fact.task_id, text, link, urgent=urgent)

    return draft


def _order(kind: str, zh: str, en: str) -> Draft:
    def draft(fact: Any) -> NoticeDraft | None:
        if not fact.maker_id:
            return None
        text = {"zh-CN": f"订单 {fact.order_id} {zh}", "en": f"Order {fact.order_id} {en}"}
        link = f"/orders/orders/{fact.order_id}"
        return NoticeDraft(fact.maker_id, kind, fact.order_id, text, link)

    return draft


def _reminder(fact: orders.ReminderReleased) -> NoticeDraft:
    return NoticeDraft(
        fact.receiver_id, "reminder", fact.reminder_id, dict(fact.text),
        fact.link or f"/orders/orders/{fact.order_id}", urgent=True, valid_until=fact.valid_until,
    )  # fmt: skip


def _requested(fact: notify.NoticeRequested) -> NoticeDraft:
    return NoticeDraft(
        fact.receiver_id, fact.kind, fact.request_id, dict(fact.text), fact.link or "/notify/inbox",
        urgent=fact.urgency == "high", valid_until=fact.valid_until,
    )  # fmt: skip


def on_reminder_withdrawn(tx: Tx, event: Event[orders.ReminderWithdrawn]) -> None:
    remember(tx, event)
    receivers = commands.withdraw(tx, event.data.reminder_id, "reminder")
    hint(tx, *audiences_of(event.data), *(f"staff:{r}" for r in receivers))


def on_task_completed(tx: Tx, event: Event[workflow.TaskCompleted]) -> None:
    """What was only told because the task was open is no longer news."""
    remember(tx, event)
    receivers = []
    for kind in ("task_assigned", "task_handed_off", "task_due"):
        receivers += commands.withdraw(tx, event.data.task_id, kind)
    hint(tx, *audiences_of(event.data), *(f"staff:{r}" for r in receivers))


def on_wake_notice(tx: Tx, timer: Timer) -> None:
    row = commands.wake(tx, timer.key)
    if row is not None and tx.push is not None:
        push, receiver = tx.push, row.receiver_id
        tx.after_commit.append(
            lambda: push([Hint(f"staff:{receiver}", "notice.deliveries", 0, -1, "notify.woken")])
        )


HANDLERS: dict[type[Fact], Callable[[Tx, Event[Any]], None]] = {
    notify.NoticeRequested: telling(_requested),
    notify.NoticeSent: on_any,
    notify.NoticeFailed: on_any,
    notify.NoticeAcknowledged: on_any,
    workflow.ProcessStarted: on_any,
    workflow.TaskAssigned: telling(_task("task_assigned", "新任务", "New task")),
    workflow.TaskClaimed: on_any,
    workflow.TaskHandedOff: telling(_task("task_handed_off", "转交给您", "Handed to you")),
    workflow.TaskCompleted: on_task_completed,
    workflow.TaskDue: telling(_task("task_due", "任务到期", "Task due", urgent=True)),
    workflow.ProcessFinished: on_any,
    workflow.ReassignmentRequested: on_any,
    orders.QuoteOffered: on_any,
    orders.OrderSubmitted: on_any,
    orders.OrderApproved: telling(_order("order_approved", "审批通过", "was approved")),
    orders.OrderRefused: telling(_order("order_refused", "被退回", "was refused")),
    orders.OrderVoided: on_any,
    orders.OrderEffective: on_any,
    orders.StepDue: on_any,
    orders.StepDone: on_any,
    orders.ReceivableDue: on_any,
    orders.PaymentApplied: on_any,
    orders.ReminderReleased: telling(_reminder),
    orders.ReminderWithdrawn: on_reminder_withdrawn,
    orders.OrderClosed: on_any,
    customer.PartyRecorded: on_any,
    customer.HoldingChanged: on_any,
    customer.ManagerChanged: on_any,
    customer.CustomerContactRecorded: on_any,
    customer.IdentityMerged: on_any,
    customer.IdentityUnmerged: on_any,
    customer.ServiceRequested: on_any,
    scoring.ScoreUpdated: on_any,
    scoring.AlertRaised: on_any,
    scoring.AlertCleared: on_any,
}

TIMERS: dict[str, Callable[[Tx, Timer], None]] = {"wake_notice": on_wake_notice}
