"""Orders are placed, edited, submitted and cancelled here, by their makers."""

from datetime import date
from typing import Any

from sqlalchemy import delete, insert, select

from services.orders import queries
from services.orders.commands.quotes import take_quotes
from services.orders.commands.subject import (
    ChangedMeanwhile,
    InvalidFields,
    OrderDraft,
    fields_of,
    link_to,
    order_for,
    today_of,
)
from services.orders.rules.attributes import attribute_values
from services.orders.rules.content import content_hash
from services.orders.rules.lifecycle import Act, Status, edit_voids, status_after
from services.orders.rules.lines import Line, line_problems, line_totals, totals
from services.orders.tables import ORDER_NUMBERS, ApprovalRow, OrderLineRow, OrderRow
from shared import outbox
from shared.db import Tx
from shared.events.orders import OrderSubmitted, OrderVoided
from shared.ids import order_reference
from shared.money import Money
from shared.policy import Actor

DAYS_MAX = 366
NOTE_CHARS_MAX = 2000


def place_order(tx: Tx, actor: Actor, draft: OrderDraft, *, submit: bool = False) -> OrderRow:
    """A new order; with `submit` it asks for approval in the same transaction."""
    values = _checked(tx, draft)
    order = OrderRow(
        order_id=order_reference(tx.session.execute(select(ORDER_NUMBERS.next_value())).scalar_one()),
        status=Status.DRAFT, owner_id=actor.id, org_path=actor.org_path, makers=[actor.id],
        content_hash=None, version=1, created_at=tx.bank_now, changed_at=tx.bank_now,
        effective_at=None, closed_at=None, **values,
    )  # fmt: skip
    if submit:
        _mark_submitted(tx, order, draft.lines)
    tx.session.add(order)
    tx.session.flush()
    _write_lines(tx, order.order_id, draft.lines)
    if submit:
        _ask(tx, actor, order, request_no=1)
    return order


def edit_order(tx: Tx, actor: Actor, order_id: str, draft: OrderDraft, *, version: int) -> OrderRow:
    """Other content. What was asked or given for the old content is void; none is kept."""
    order = order_for(tx, actor, "order.edit", order_id)
    following = status_after(order.status, Act.EDIT)
    if order.version != version:
        raise ChangedMeanwhile(
            "version",
            {
                "zh-CN": "订单已被他人修改,请查看最新内容。",
                "en": "The order was changed by someone else. Look at it again.",
            },
        )
    kept = queries.lines_of(tx.session, order_id)
    old = content_hash(queries.content_of(order, kept))
    values = _checked(tx, draft, order_id, kept)
    for name, value in values.items():
        setattr(order, name, value)
    if content_hash(queries.content_of(order, draft.lines)) == old:
        return order  # the same content: nothing was edited, so nothing is void
    if edit_voids(order.status):
        _void(tx, actor, order, "edited")
    tx.session.execute(delete(OrderLineRow).where(OrderLineRow.order_id == order_id))
    _write_lines(tx, order_id, draft.lines)
    order.status = following
    order.version += 1
    order.changed_at = tx.bank_now
    if actor.id not in order.makers:
        order.makers = [*order.makers, actor.id]
    return order


def submit_order(tx: Tx, actor: Actor, order_id: str) -> OrderRow:
    """Asks for approval of exactly the content that the order has now."""
    order = order_for(tx, actor, "order.submit", order_id)
    lines = queries.lines_of(tx.session, order_id)
    if actor.id not in order.makers:
        order.makers = [*order.makers, actor.id]
    last = queries.approvals_of(tx.session, order_id)
    _mark_submitted(tx, order, lines)
    _ask(tx, actor, order, request_no=last[0].request_no + 1 if last else 1)
    return order


def cancel_order(tx: Tx, actor: Actor, order_id: str) -> OrderRow:
    """Gives an order up that is not in effect yet."""
    order = order_for(tx, actor, "order.edit", order_id)
    following = status_after(order.status, Act.CANCEL)
    if edit_voids(order.status):
        _void(tx, actor, order, "cancelled")
    order.status = following
    order.version += 1
    order.changed_at = tx.bank_now
    return order


def _mark_submitted(tx: Tx, order: OrderRow, lines: tuple[Line, ...]) -> None:
    order.status = status_after(order.status, Act.SUBMIT)
    order.content_hash = content_hash(queries.content_of(order, lines))
    order.version += 1
    order.changed_at = tx.bank_now


def _ask(tx: Tx, actor: Actor, order: OrderRow, *, request_no: int) -> None:
    assert order.content_hash is not None
    tx.session.execute(
        insert(ApprovalRow),
        {
            "order_id": order.order_id, "request_no": request_no,
            "content_hash": order.content_hash, "amount_minor": order.amount_minor,
            "maker_id": actor.id, "asked_at": tx.bank_now, "state": "waiting", "reason": "",
        },
    )  # fmt: skip
    amount = Money(order.amount_minor, order.currency)
    outbox.enqueue(
        tx,
        OrderSubmitted(
            **fields_of(order),
            content_hash=order.content_hash,
            maker_id=actor.id,
            amount_minor=order.amount_minor,
            currency=order.currency,
            link=link_to(order.order_id),
            text={
                "zh-CN": f"订单 {order.order_id} 待审批,金额 {amount.format('zh-CN')}",
                "en": f"Order {order.order_id} waits for approval, {amount.format('en')}",
            },
        ),
    )


def _void(tx: Tx, actor: Actor, order: OrderRow, reason_code: str) -> None:
    request = queries.approvals_of(tx.session, order.order_id)[0]
    checker_id = request.decided_by if request.state == "approved" else None
    request.state = "voided"
    request.reason = reason_code
    if checker_id is None:
        request.decided_by, request.decided_at = actor.id, tx.bank_now
    order.content_hash = None
    outbox.enqueue(
        tx,
        OrderVoided(
            **fields_of(order),
            content_hash=request.content_hash,
            checker_id=checker_id,
            voided_by=actor.id,
            reason_code=reason_code,
        ),
    )


def _checked(
    tx: Tx, draft: OrderDraft, order_id: str | None = None, kept: tuple[Line, ...] = ()
) -> dict[str, Any]:
    """The columns of the draft. Raises InvalidFields with everything that is wrong."""
    session = tx.session
    known = queries.known_codes(session, {line.product_code for line in draft.lines})
    problems = line_problems(draft.lines, known)
    attributes, attribute_problems = attribute_values(
        queries.attributes_defined(session), draft.attributes
    )
    problems |= attribute_problems
    numbers = queries.customer_numbers_of(session, draft.party_id)
    customer_number = draft.customer_number or (numbers[0] if numbers else None)
    if numbers is None:
        problems["party_id"] = "unknown_party"
    elif customer_number is not None and customer_number not in numbers:
        problems["customer_number"] = "not_of_this_party"
    problems |= _range_problems(draft, today_of(tx))
    account = (draft.receiving_account or "").strip() or None
    if account and _account_taken(tx, account, order_id):
        problems["receiving_account"] = "account_taken"
    if not problems:
        problems = take_quotes(
            tx, draft.lines, party_id=draft.party_id, currency=draft.currency, kept=kept
        )
    if problems:
        raise InvalidFields(problems)
    return {
        "party_id": draft.party_id,
        "customer_number": customer_number,
        "currency": draft.currency,
        "amount_minor": totals(draft.lines).amount_minor,
        "attributes": attributes,
        "note": draft.note.strip(),
        "effective_on": draft.effective_on,
        "deliver_days": draft.deliver_days,
        "collect_days": draft.collect_days,
        "receiving_account": account,
    }


def _range_problems(draft: OrderDraft, today: date) -> dict[str, str]:
    problems: dict[str, str] = {}
    for name, days in (("deliver_days", draft.deliver_days), ("collect_days", draft.collect_days)):
        if not 0 <= days <= DAYS_MAX:
            problems[name] = "out_of_range"
    if draft.effective_on is not None:
        ahead = (draft.effective_on - today).days
        if not 0 <= ahead <= DAYS_MAX:
            problems["effective_on"] = "out_of_range"
    if len(draft.note) > NOTE_CHARS_MAX:
        problems["note"] = "too_long"
    return problems


def _account_taken(tx: Tx, account: str, order_id: str | None) -> bool:
    taken = tx.session.execute(
        select(OrderRow.order_id).where(
            OrderRow.receiving_account == account,
            OrderRow.closed_at.is_(None),
            OrderRow.status != Status.CANCELLED,
            OrderRow.order_id != (order_id or ""),
        )
    ).first()
    return taken is not None


def _write_lines(tx: Tx, order_id: str, lines: tuple[Line, ...]) -> None:
    """One statement for all lines."""
    tx.session.execute(
        insert(OrderLineRow),
        [
            {
                "order_id": order_id, "line_no": number, "product_code": line.product_code,
                "quantity": line.quantity, "unit_price_minor": line.unit_price_minor,
                "discount_ppm": line.discount_ppm,
                "amount_minor": line_totals(line).amount_minor,
                "quote_id": line.quote_id, "quote_version": line.quote_version,
            }
            for number, line in enumerate(lines, 1)
        ],
    )  # fmt: skip
