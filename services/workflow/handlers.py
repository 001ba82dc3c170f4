"""What workflow does when others say something. Translate, call one command."""

from collections.abc import Callable
from typing import Any

from services.workflow.commands import alerts, approvals, ownership, tasks
from shared.db import Tx
from shared.events.bank import WentLive
from shared.events.customer import (
    IdentityMerged,
    IdentityUnmerged,
    ManagerChanged,
    PartyRecorded,
)
from shared.events.envelope import Event
from shared.events.fact import Cause, Fact
from shared.events.orders import OrderApproved, OrderRefused, OrderSubmitted, OrderVoided
from shared.events.scoring import AlertCleared, AlertRaised
from shared.timers import Timer, TimerHandler


def on_alert_raised(tx: Tx, event: Event[AlertRaised]) -> None:
    alert = event.data
    cause = Cause(type=event.type, id=event.id, at=alert.at, text=alert.text)
    alerts.take_alert(tx, alert, cause)


def on_alert_cleared(tx: Tx, event: Event[AlertCleared]) -> None:
    alerts.clear_alert(tx, event.data)


def on_went_live(tx: Tx, event: Event[WentLive]) -> None:
    alerts.record_went_live(tx, event.source, event.data.on)


def on_party_recorded(tx: Tx, event: Event[PartyRecorded]) -> None:
    ownership.learn_home(tx, event.data)


def on_manager_changed(tx: Tx, event: Event[ManagerChanged]) -> None:
    ownership.learn_manager(tx, event.data)


def on_identity_merged(tx: Tx, event: Event[IdentityMerged]) -> None:
    ownership.follow_merge(tx, event.data)


def on_identity_unmerged(tx: Tx, event: Event[IdentityUnmerged]) -> None:
    ownership.learn_party(tx, event.data)


def on_order_submitted(tx: Tx, event: Event[OrderSubmitted]) -> None:
    cause = Cause(type=event.type, id=event.id, at=event.time, text=event.data.text)
    approvals.ask_for_approval(tx, event.data, cause)


def on_order_approved(tx: Tx, event: Event[OrderApproved]) -> None:
    order = event.data
    approvals.close_approval(tx, order.order_id, order.content_hash, "approved", order.checker_id)


def on_order_refused(tx: Tx, event: Event[OrderRefused]) -> None:
    order = event.data
    approvals.close_approval(tx, order.order_id, order.content_hash, "refused", order.checker_id)


def on_order_voided(tx: Tx, event: Event[OrderVoided]) -> None:
    order = event.data
    approvals.close_approval(tx, order.order_id, order.content_hash, "voided", order.voided_by)


def on_task_due(tx: Tx, timer: Timer) -> None:
    tasks.say_due(tx, timer.key)


def on_release_waiting(tx: Tx, timer: Timer) -> None:
    alerts.release_waiting(tx, timer.key)


HANDLERS: dict[type[Fact], Callable[[Tx, Event[Any]], None]] = {
    AlertRaised: on_alert_raised,
    AlertCleared: on_alert_cleared,
    WentLive: on_went_live,
    PartyRecorded: on_party_recorded,
    ManagerChanged: on_manager_changed,
    IdentityMerged: on_identity_merged,
    IdentityUnmerged: on_identity_unmerged,
    OrderSubmitted: on_order_submitted,
    OrderApproved: on_order_approved,
    OrderRefused: on_order_refused,
    OrderVoided: on_order_voided,
}
TIMERS: dict[str, TimerHandler] = {
    "task_due": on_task_due,
    alerts.RELEASE: on_release_waiting,
}
