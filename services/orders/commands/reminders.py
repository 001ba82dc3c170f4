"""The reminder before collection: armed, fenced, held, released, withdrawn, answered."""

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

from services.orders import queries
from services.orders.commands.subject import fields_of, link_to, order_if_free
from services.orders.rules.payments import SETTLED
from services.orders.rules.reminders import (
    RELEASE_LEASE,
    UNDER_WAY,
    Obstacle,
    ReminderState,
    fence_passed,
    obstacle_among,
)
from services.orders.tables import OrderRow, ReceivableRow, ReminderRow
from shared import outbox, positions, timers
from shared.clock import business_date
from shared.db import Tx
from shared.events.notify import NoticeRequested
from shared.events.orders import ReminderReleased, ReminderWithdrawn
from shared.money import Money
from shared.timers import Timer

REMINDER = "reminder"
FENCED_TOPIC = "bank.events"
LOOK_AGAIN = timedelta(milliseconds=200)  # while our positions catch up with the fence
LOOK_AGAIN_HELD = timedelta(seconds=2)  # while a person decides on the message in the way
WITHDRAWABLE = UNDER_WAY | {ReminderState.FAILED}


def arm_reminder(tx: Tx, order: OrderRow, remind_at: datetime) -> None:
    """Sets the order's reminder, or sets it again after a payment was taken back."""
    row = tx.session.get(ReminderRow, order.order_id)
    if row is None:
        row = ReminderRow(order_id=order.order_id, attempt=1)
        tx.session.add(row)
    else:
        row.attempt += 1
    row.state, row.remind_at, row.changed_at = ReminderState.ARMED, remind_at, tx.bank_now
    row.fence = row.fence_at = row.held_by = row.notice_id = row.valid_until = row.why = None
    timers.arm(tx, REMINDER, order.order_id, remind_at)


def withdraw_reminder(tx: Tx, order: OrderRow, why: str) -> None:
    """There is nothing to remind of any more. One that was sent stays sent.

    The timer is left to run out: its handler asks this row first.
    """
    row = tx.session.get(ReminderRow, order.order_id, populate_existing=True)
    if row is None or row.state not in WITHDRAWABLE:
        return
    row.state, row.why, row.changed_at = ReminderState.WITHDRAWN, why, tx.bank_now
    row.held_by = None
    outbox.enqueue(
        tx,
        ReminderWithdrawn(
            **fields_of(order),
            reminder_id=reminder_id(row),
            why=why,
            receiver_id=order.owner_id,
            receivable_id=order.order_id,
            text={
                "zh-CN": f"订单 {order.order_id} 的收款提醒已撤回:款项已到账。",
                "en": f"The reminder for order {order.order_id} is withdrawn: it is paid.",
            },
        ),
    )


def remind(tx: Tx, timer: Timer) -> None:
    """At its moment: note the fence, wait until we have passed it, then release or withdraw."""
    state = _state(tx, timer.key)
    if state not in UNDER_WAY or state == ReminderState.RELEASED:
        return  # withdrawn or answered meanwhile: the timer was only not taken down
    # Asked before anything is locked: the broker may be slow.
    fence = tx.fence(FENCED_TOPIC) if state == ReminderState.ARMED else None
    order = order_if_free(tx, timer.key)
    if order is None:
        _again(tx, timer, LOOK_AGAIN)
        return
    row = tx.session.get_one(ReminderRow, order.order_id, populate_existing=True)
    if row.state != state:
        _again(tx, timer, LOOK_AGAIN)
        return
    if fence is not None:
        if _before_live(tx, row.remind_at):
            row.state, row.changed_at = ReminderState.RECORDED, tx.bank_now
            return
        row.state = ReminderState.FENCING
        row.fence = {str(p): offset for p, offset in sorted(fence.items())}
        row.fence_at = tx.wall_now
        row.changed_at = tx.bank_now
        tx.session.flush()
    _decide(tx, order, row, timer)


def note_sent(tx: Tx, order_id: str, asked_id: str, notice_id: str) -> None:
    """Notify has told the receiver."""
    row = _answered(tx, order_id, asked_id)
    if row is not None and row.state in (ReminderState.RELEASED, ReminderState.FAILED):
        row.state, row.notice_id, row.changed_at = ReminderState.SENT, notice_id, tx.bank_now


def note_failed(tx: Tx, order_id: str, asked_id: str, notice_id: str, reason_code: str) -> None:
    """Notify could not tell. An expired lease asks the fact again; anything else is shown."""
    row = _answered(tx, order_id, asked_id)
    if row is None or row.state != ReminderState.RELEASED:
        return
    if reason_code != "expired":
        row.state, row.why = ReminderState.FAILED, reason_code
        row.notice_id, row.changed_at = notice_id, tx.bank_now
        return
    order = tx.session.get_one(OrderRow, order_id)
    remind_at = row.remind_at
    arm_reminder(tx, order, remind_at)


def ask_again(tx: Tx, order: OrderRow) -> None:
    """A person wants a failed reminder to be tried once more."""
    row = tx.session.get(ReminderRow, order.order_id)
    if row is not None and row.state == ReminderState.FAILED:
        arm_reminder(tx, order, row.remind_at)


def reminder_id(row: ReminderRow) -> str:
    return f"{row.order_id}-R{row.attempt}"


def _decide(tx: Tx, order: OrderRow, row: ReminderRow, timer: Timer) -> None:
    fence = {int(p): offset for p, offset in (row.fence or {}).items()}
    if not fence_passed(fence, positions.stored(tx.session, FENCED_TOPIC)):
        _again(tx, timer, LOOK_AGAIN)
        return
    # Read after the positions: whatever stood before the fence is in these rows.
    receivable = tx.session.get_one(ReceivableRow, order.order_id, populate_existing=True)
    obstacle = _obstacle(tx, order)
    if obstacle is not None:
        _hold(tx, order, row, obstacle)
        _again(tx, timer, LOOK_AGAIN_HELD)
    elif row.state == ReminderState.HELD:
        # The obstacle is gone; time has passed since the fence, so a new one is asked for.
        row.state, row.held_by, row.changed_at = ReminderState.ARMED, None, tx.bank_now
        _again(tx, timer, timedelta(0))
    elif receivable.settlement in SETTLED:
        withdraw_reminder(tx, order, "paid")
    else:
        _release(tx, order, row, receivable, fence)


def _release(
    tx: Tx, order: OrderRow, row: ReminderRow, receivable: ReceivableRow, fence: Mapping[int, int]
) -> None:
    row.state, row.changed_at = ReminderState.RELEASED, tx.bank_now
    row.valid_until = tx.wall_now + RELEASE_LEASE
    still_open = Money(receivable.amount_minor - receivable.paid_minor, receivable.currency)
    due_on = receivable.due_on.isoformat()
    outbox.enqueue(
        tx,
        ReminderReleased(
            **fields_of(order),
            reminder_id=reminder_id(row),
            receiver_id=order.owner_id,
            fence=tuple(sorted(fence.items())),
            valid_until=row.valid_until,
            receivable_id=order.order_id,
            link=link_to(order.order_id),
            due_at=row.remind_at,
            text={
                "zh-CN": f"订单 {order.order_id} 将于 {due_on} 收款,"
                f"尚欠 {still_open.format('zh-CN')}",
                "en": f"Order {order.order_id} is to be collected on {due_on}, "
                f"{still_open.format('en')} open",
            },
        ),
    )


def _hold(tx: Tx, order: OrderRow, row: ReminderRow, obstacle: Obstacle) -> None:
    """Held and shown; the owner is told once, not at every look."""
    first = row.state != ReminderState.HELD
    row.state, row.held_by = ReminderState.HELD, obstacle.described()
    if not first:
        return
    row.changed_at = tx.bank_now
    place = f"{FENCED_TOPIC}/{obstacle.partition}/{obstacle.offset}"
    outbox.enqueue(
        tx,
        NoticeRequested(
            request_id=f"{reminder_id(row)}-held",
            receiver_id=order.owner_id,
            order_id=order.order_id,
            party_id=order.party_id,
            customer_number=order.customer_number,
            kind="reminder_held",
            link=link_to(order.order_id),
            text={
                "zh-CN": f"订单 {order.order_id} 的收款提醒已暂缓:有一条银行消息未处理({place})",
                "en": f"The reminder for order {order.order_id} is held: "
                f"a message of the bank is not applied ({place})",
            },
        ),
    )


def _obstacle(tx: Tx, order: OrderRow) -> Obstacle | None:
    letters = queries.letters_in_the_way(tx.session, FENCED_TOPIC)
    if not letters:
        return None
    payments, _ = queries.payments_of(tx.session, order.order_id)
    names = {order.order_id, *(p.transaction_id for p in payments)}
    if order.receiving_account:
        names.add(order.receiving_account)
    return obstacle_among(letters, names)


def _before_live(tx: Tx, at: datetime) -> bool:
    """Is the due date before the bank went live? Then it is recorded and tells nobody."""
    live_on = queries.fact(tx.session, queries.WENT_LIVE)
    if live_on is None:
        return False
    return business_date(at, tx.clock.zone) < date.fromisoformat(live_on)


def _state(tx: Tx, order_id: str) -> str | None:
    row = tx.session.get(ReminderRow, order_id, populate_existing=True)
    return row.state if row is not None else None


def _answered(tx: Tx, order_id: str, asked_id: str) -> ReminderRow | None:
    """The reminder that an answer is about; none when it is about an older attempt."""
    order = tx.session.get(OrderRow, order_id, with_for_update=True, populate_existing=True)
    if order is None:
        return None
    row = tx.session.get(ReminderRow, order_id, populate_existing=True)
    return row if row is not None and reminder_id(row) == asked_id else None


def _again(tx: Tx, timer: Timer, pause: timedelta) -> None:
    data: dict[str, Any] = dict(timer.data)
    timers.arm(tx, REMINDER, timer.key, timer.due_at, data, not_before=tx.wall_now + pause)
