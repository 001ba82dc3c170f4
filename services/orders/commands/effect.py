"""An approved order takes effect: its plan, its receivable, its reminder."""

from services.orders import queries
from services.orders.commands.payments import say_payment, settle
from services.orders.commands.plan import lay_plan
from services.orders.commands.reminders import arm_reminder
from services.orders.commands.subject import LOCKED_PAUSE, fields_of, order_if_free, today_of
from services.orders.rules.lifecycle import Act, Status, status_after
from services.orders.rules.payments import Settlement, paid_minor
from services.orders.rules.plan import opening_of, remind_on
from services.orders.tables import OrderRow, ReceivableRow
from shared import outbox, timers
from shared.db import Tx
from shared.events.orders import OrderEffective
from shared.timers import Timer

TAKE_EFFECT = "take_effect"


def take_effect_when_due(tx: Tx, order: OrderRow) -> None:
    """At once, or at the opening of the date that was approved."""
    if order.effective_on is None or order.effective_on <= today_of(tx):
        _take_effect(tx, order)
    else:
        at = opening_of(order.effective_on, tx.clock.zone)
        timers.arm(tx, TAKE_EFFECT, order.order_id, at)


def effect_due(tx: Tx, timer: Timer) -> None:
    """The effective date has come; an order that was voided meanwhile is left alone."""
    order = order_if_free(tx, timer.key)
    if order is None:
        timers.arm(tx, TAKE_EFFECT, timer.key, timer.due_at, not_before=tx.wall_now + LOCKED_PAUSE)
    elif order.status == Status.APPROVED:
        take_effect_when_due(tx, order)


def _take_effect(tx: Tx, order: OrderRow) -> None:
    order.status = status_after(order.status, Act.TAKE_EFFECT)
    order.effective_at = order.changed_at = tx.bank_now
    order.version += 1
    outbox.enqueue(
        tx,
        OrderEffective(
            **fields_of(order),
            content_hash=order.content_hash or "",
            amount_minor=order.amount_minor,
            currency=order.currency,
            payment_reference=order.order_id,
            maker_id=order.owner_id,
        ),
    )
    today = today_of(tx)
    steps = lay_plan(tx, order, today)
    due_on = next(s.due_on for s in steps if s.kind == "collect")
    receivable = ReceivableRow(
        order_id=order.order_id, amount_minor=order.amount_minor, currency=order.currency,
        due_on=due_on, paid_minor=0, settlement=Settlement.OPEN,
    )  # fmt: skip
    tx.session.add(receivable)
    arm_reminder(tx, order, opening_of(remind_on(due_on, today), tx.clock.zone))
    tx.session.flush()
    _take_prepayments(tx, order, receivable)


def _take_prepayments(tx: Tx, order: OrderRow, receivable: ReceivableRow) -> None:
    """Money that came before the order was in effect counts from now on."""
    payments, reversed_ids = queries.payments_of(tx.session, order.order_id)
    standing = [p for p in payments if p.transaction_id not in reversed_ids]
    for number, payment in enumerate(standing, 1):
        receivable.paid_minor = paid_minor(queries.paid_of(standing[:number]), ())
        say_payment(tx, order, payment, receivable=receivable)
    if standing or receivable.amount_minor == 0:
        settle(tx, order, receivable)
