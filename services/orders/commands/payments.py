"""What the bank booked, against what an order brings in."""

from dataclasses import dataclass
from datetime import date, timedelta

from sqlalchemy.dialects.postgresql import insert

from services.orders import queries
from services.orders.commands.plan import collected, uncollected
from services.orders.commands.reminders import arm_reminder, withdraw_reminder
from services.orders.commands.subject import fields_of
from services.orders.rules.lifecycle import Act, Status, status_after
from services.orders.rules.payments import (
    SETTLED,
    is_mistyped,
    paid_minor,
    references_of,
    settlement,
)
from services.orders.rules.plan import opening_of, remind_on
from services.orders.tables import OrderRow, PaymentRow, ReceivableRow, ReversalRow
from shared import outbox
from shared.clock import business_date
from shared.db import Tx
from shared.errors import NotFound
from shared.events.orders import PaymentApplied

ACCOUNT_KEPT = timedelta(days=90)  # how long a closed order still takes what comes in for it


@dataclass(frozen=True, slots=True)
class Booked:
    """A transaction as far as orders cares; amount in minor units, + comes in."""

    transaction_id: str
    customer_number: str
    account_number: str
    amount_minor: int
    currency: str
    booked_on: date
    payment_reference: str | None
    reverses: str | None


def record_transaction(tx: Tx, booked: Booked) -> None:
    """Takes what concerns an order; anything else costs a look into two small sets."""
    references = references_of(booked.payment_reference)
    order_id = references[0] if references else _accounts(tx).get(booked.account_number)
    if booked.reverses is not None:
        _record_reversal(tx, booked, ours=order_id is not None)
    elif booked.amount_minor > 0 and order_id is not None:
        _record_payment(tx, booked, order_id, len(references))
    elif booked.amount_minor > 0 and is_mistyped(booked.payment_reference):
        _record_payment(tx, booked, None, 0)


def settle(tx: Tx, order: OrderRow, receivable: ReceivableRow) -> None:
    """Counts again what stands paid; the plan and the reminder follow."""
    tx.session.flush()
    payments, reversed_ids = queries.payments_of(tx.session, order.order_id)
    receivable.paid_minor = paid_minor(queries.paid_of(payments), reversed_ids)
    receivable.settlement = settlement(receivable.amount_minor, receivable.paid_minor)
    if receivable.settlement in SETTLED:
        withdraw_reminder(tx, order, "paid")
        collected(tx, order)
    else:
        uncollected(tx, order)


def say_payment(
    tx: Tx,
    order: OrderRow,
    payment: PaymentRow,
    *,
    receivable: ReceivableRow,
    reversed_by: str | None = None,
) -> None:
    """Announces a payment, or its reversal, with what is still owed after it."""
    sign = -1 if reversed_by else 1
    outbox.enqueue(
        tx,
        PaymentApplied(
            **fields_of(order),
            transaction_id=reversed_by or payment.transaction_id,
            amount_minor=sign * payment.amount_minor,
            currency=payment.currency,
            receivable_id=order.order_id,
            open_minor=max(receivable.amount_minor - receivable.paid_minor, 0),
            reverses=payment.transaction_id if reversed_by else None,
        ),
    )


def match_payment(tx: Tx, transaction_id: str, order: OrderRow) -> None:
    """A person says which order an unmatched payment is for."""
    payment = tx.session.get(PaymentRow, transaction_id, with_for_update=True)
    if payment is None or payment.why_unmatched is None:
        raise NotFound({"zh-CN": "没有这笔待认领款项。", "en": "No such payment waits."})
    payment.order_id, payment.why_unmatched = order.order_id, _mismatch(order, payment.currency)
    _apply(tx, order, payment)


def _record_payment(tx: Tx, booked: Booked, order_id: str | None, references: int) -> None:
    order = None
    if order_id is not None:
        order = tx.session.get(OrderRow, order_id, with_for_update=True, populate_existing=True)
    if references > 1:
        why: str | None = "several_references"
    elif order is None:
        why = "unknown_order" if order_id else "mistyped_reference"
    else:
        why = _mismatch(order, booked.currency)
    payer_is_customer = order is not None and booked.customer_number == order.customer_number
    created = tx.session.execute(
        insert(PaymentRow)
        .values(
            transaction_id=booked.transaction_id, order_id=order_id if order else None,
            reference=booked.payment_reference, why_unmatched=why,
            customer_number=booked.customer_number, account_number=booked.account_number,
            amount_minor=booked.amount_minor, currency=booked.currency,
            third_party=not payer_is_customer, booked_on=booked.booked_on,
            recorded_at=tx.bank_now,
        )
        .on_conflict_do_nothing()
        .returning(PaymentRow.transaction_id)
    ).scalar_one_or_none()  # fmt: skip
    if created is None or order is None:
        return
    _apply(tx, order, tx.session.get_one(PaymentRow, booked.transaction_id))


def _apply(tx: Tx, order: OrderRow, payment: PaymentRow) -> None:
    """A payment that counts changes the receivable; before the order is in effect it waits."""
    receivable = tx.session.get(ReceivableRow, order.order_id, populate_existing=True)
    if payment.why_unmatched is not None or receivable is None:
        return
    tx.session.flush()
    if tx.session.get(ReversalRow, payment.transaction_id) is not None:
        return  # taken back before we heard of it: it never stood
    if order.status == Status.EFFECTIVE:
        order.status = status_after(order.status, Act.START)
    _recount_and_say(tx, order, receivable, payment, reversed_by=None)


def _record_reversal(tx: Tx, booked: Booked, *, ours: bool) -> None:
    """Kept when it takes back a payment that we know, or that looks like one of ours."""
    reversed_id = booked.reverses or ""
    found = tx.session.get(PaymentRow, reversed_id)
    if found is None and not ours:
        return
    order = None
    if found is not None and found.order_id is not None:
        order = tx.session.get(
            OrderRow, found.order_id, with_for_update=True, populate_existing=True
        )
    created = tx.session.execute(
        insert(ReversalRow)
        .values(
            reversed_transaction_id=reversed_id, transaction_id=booked.transaction_id,
            booked_on=booked.booked_on,
        )
        .on_conflict_do_nothing()
        .returning(ReversalRow.transaction_id)
    ).scalar_one_or_none()  # fmt: skip
    if created is None or order is None or found is None or found.why_unmatched is not None:
        return
    receivable = tx.session.get(ReceivableRow, order.order_id, populate_existing=True)
    if receivable is not None:
        _recount_and_say(tx, order, receivable, found, reversed_by=booked.transaction_id)


def _recount_and_say(
    tx: Tx,
    order: OrderRow,
    receivable: ReceivableRow,
    payment: PaymentRow,
    *,
    reversed_by: str | None,
) -> None:
    payments, reversed_ids = queries.payments_of(tx.session, order.order_id)
    receivable.paid_minor = paid_minor(queries.paid_of(payments), reversed_ids)
    say_payment(tx, order, payment, receivable=receivable, reversed_by=reversed_by)
    was_settled = receivable.settlement in SETTLED
    settle(tx, order, receivable)
    if was_settled and receivable.settlement not in SETTLED:
        effective_on = business_date(order.effective_at or tx.bank_now, tx.clock.zone)
        at = opening_of(remind_on(receivable.due_on, effective_on), tx.clock.zone)
        arm_reminder(tx, order, max(at, tx.bank_now))


def _mismatch(order: OrderRow, currency: str) -> str | None:
    if order.status == Status.CANCELLED:
        return "order_cancelled"
    return None if order.currency == currency else "other_currency"


def _accounts(tx: Tx) -> dict[str, str]:
    """Receiving accounts, read once per transaction: bank.events is mostly not about us."""
    known: dict[str, str] | None = tx.session.info.get("receiving_accounts")
    if known is None:
        known = queries.receiving_accounts(tx.session, tx.bank_now - ACCOUNT_KEPT)
        tx.session.info["receiving_accounts"] = known
    return known
