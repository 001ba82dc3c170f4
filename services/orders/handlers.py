"""What orders does about what it hears. One line per event; the rest is commands."""

from collections.abc import Callable
from typing import Any

from services.orders.commands import catalogue, effect, payments, plan, reminders
from services.orders.commands.payments import Booked
from shared import open_work
from shared.db import Tx
from shared.events.bank import ProductDescribed, SourceDescribed, TransactionBooked, WentLive
from shared.events.customer import IdentityMerged, IdentityUnmerged, PartyRecorded
from shared.events.envelope import Event, Fact
from shared.events.notify import NoticeFailed, NoticeSent
from shared.sources import on_source_described
from shared.timers import TimerHandler


def on_transaction_booked(tx: Tx, event: Event[TransactionBooked]) -> None:
    data = event.data
    payments.record_transaction(
        tx,
        Booked(
            transaction_id=data.transaction_id,
            customer_number=data.customer_number,
            account_number=data.account_number,
            amount_minor=data.amount_minor,
            currency=data.currency,
            booked_on=data.booked_on,
            payment_reference=data.payment_reference,
            reverses=data.reverses,
        ),
    )


def on_party_recorded(tx: Tx, event: Event[PartyRecorded]) -> None:
    catalogue.record_party(tx, event.data.party_id, event.data.customer_numbers, event.time)


def on_identity_merged(tx: Tx, event: Event[IdentityMerged]) -> None:
    """The former party keeps its orders, but has no number of its own any more."""
    catalogue.record_party(tx, event.data.party_id, event.data.customer_numbers, event.time)
    catalogue.record_party(tx, event.data.former_party_id, (), event.time)


def on_identity_unmerged(tx: Tx, event: Event[IdentityUnmerged]) -> None:
    catalogue.record_party(tx, event.data.party_id, event.data.customer_numbers, event.time)


def on_product_described(tx: Tx, event: Event[ProductDescribed]) -> None:
    data = event.data
    catalogue.describe_product(
        tx, data.product_code, data.names["zh-CN"], data.names["en"], data.line_code
    )


def on_went_live(tx: Tx, event: Event[WentLive]) -> None:
    catalogue.go_live(tx, event.data.on.isoformat())


def on_notice_sent(tx: Tx, event: Event[NoticeSent]) -> None:
    data = event.data
    if data.order_id and data.reminder_id:
        reminders.note_sent(tx, data.order_id, data.reminder_id, data.notice_id)


def on_notice_failed(tx: Tx, event: Event[NoticeFailed]) -> None:
    data = event.data
    if data.order_id and data.reminder_id:
        reminders.note_failed(tx, data.order_id, data.reminder_id, data.notice_id, data.reason_code)


HANDLERS: dict[type[Fact], Callable[[Tx, Event[Any]], None]] = {
    TransactionBooked: on_transaction_booked,
    PartyRecorded: on_party_recorded,
    IdentityMerged: on_identity_merged,
    IdentityUnmerged: on_identity_unmerged,
    ProductDescribed: on_product_described,
    WentLive: on_went_live,
    SourceDescribed: on_source_described,
    NoticeSent: on_notice_sent,
    NoticeFailed: on_notice_failed,
    **open_work.HANDLERS,
}

TIMERS: dict[str, TimerHandler] = {
    effect.TAKE_EFFECT: effect.effect_due,
    plan.STEP_DUE: plan.step_due,
    reminders.REMINDER: reminders.remind,
}
