"""What orders can be asked. Everything takes a Session and reads only."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, false, func, or_, select, true, tuple_
from sqlalchemy.orm import Session

from services.orders.rules.attributes import Attribute
from services.orders.rules.content import Content
from services.orders.rules.lines import Line
from services.orders.rules.payments import Paid
from services.orders.rules.reminders import LETTERS_MAX, Letter
from services.orders.tables import (
    ApprovalRow,
    AttributeRow,
    FactRow,
    OrderLineRow,
    OrderRow,
    PartyRow,
    PaymentRow,
    PlanStepRow,
    ProductRow,
    QuoteRow,
    QuoteVersionRow,
    ReceivableRow,
    ReminderRow,
    ReversalRow,
)
from shared.db import DeadLetterRow
from shared.dead_letters import OPEN
from shared.policy import Actor, widest

PAGE_ROWS = 50
WENT_LIVE = "went_live_on"


# Who may see what ------------------------------------------------------------------------------


def visible(actor: Actor, permission: str, row: type[OrderRow | QuoteRow]) -> ColumnElement[bool]:
    """The condition that leaves what the actor's scopes cover; no scope, no rows."""
    parts: list[ColumnElement[bool]] = []
    for scope in widest(actor, permission):
        if scope.kind == "all":
            return true()
        if scope.kind == "own":
            parts.append(row.owner_id == actor.id)
        elif scope.kind == "department":
            parts.append(row.org_path == scope.path)
        else:
            root = scope.path.rstrip("/")
            parts.append(row.org_path == root)
            parts.append(row.org_path.startswith(root + "/", autoescape=True))
    return or_(*parts) if parts else false()


# Catalogue -------------------------------------------------------------------------------------


def products_sold(session: Session) -> list[ProductRow]:
    return list(
        session.execute(
            select(ProductRow).where(ProductRow.sold).order_by(ProductRow.product_code)
        ).scalars()
    )


def known_codes(session: Session, codes: Collection[str]) -> set[str]:
    """Which of the codes are products that are sold."""
    return set(
        session.execute(
            select(ProductRow.product_code).where(
                ProductRow.product_code.in_(codes), ProductRow.sold
            )
        ).scalars()
    )


def product_names(session: Session, codes: Collection[str]) -> dict[str, dict[str, str]]:
    rows = session.execute(
        select(ProductRow.product_code, ProductRow.name_zh, ProductRow.name_en).where(
            ProductRow.product_code.in_(codes)
        )
    )
    return {r.product_code: {"zh-CN": r.name_zh, "en": r.name_en} for r in rows}


def attribute_rows(session: Session) -> list[AttributeRow]:
    return list(
        session.execute(
            select(AttributeRow).order_by(AttributeRow.place, AttributeRow.code)
        ).scalars()
    )


def attributes_defined(session: Session) -> list[Attribute]:
    return [
        Attribute(r.code, r.kind, r.required, tuple(r.choices))  # type: ignore[arg-type]
        for r in attribute_rows(session)
    ]


def customer_numbers_of(session: Session, party_id: str) -> list[str] | None:
    """The numbers of a party; none when the party is unknown here."""
    return session.execute(
        select(PartyRow.customer_numbers).where(PartyRow.party_id == party_id)
    ).scalar_one_or_none()


def fact(session: Session, name: str) -> str | None:
    return session.execute(select(FactRow.value).where(FactRow.name == name)).scalar_one_or_none()


# Orders ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """What a list of orders is narrowed to; all optional."""

    status: str | None = None
    party_id: str | None = None
    owner_id: str | None = None
    waiting_for_me: bool = False


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where the next page begins: after this order, newest first."""

    created_at: datetime
    order_id: str


def orders_page(
    session: Session,
    actor: Actor,
    wanted: OrderFilter,
    after: Cursor | None,
    *,
    whole_party: bool = False,
) -> list[OrderRow]:
    """Up to PAGE_ROWS + 1 orders, newest first: the extra one says that there are more.

    `whole_party`: of the party that is asked for the actor sees all, in his scope or not.
    """
    query = select(OrderRow)
    if not whole_party:
        query = query.where(visible(actor, "order.view", OrderRow))
    if wanted.status:
        query = query.where(OrderRow.status == wanted.status)
    if wanted.party_id:
        query = query.where(OrderRow.party_id == wanted.party_id)
    if wanted.owner_id:
        query = query.where(OrderRow.owner_id == wanted.owner_id)
    if wanted.waiting_for_me:
        query = query.where(_waits_for(actor))
    if after:
        query = query.where(
            tuple_(OrderRow.created_at, OrderRow.order_id) < (after.created_at, after.order_id)
        )
    return list(
        session.execute(
            query.order_by(OrderRow.created_at.desc(), OrderRow.order_id.desc()).limit(
                PAGE_ROWS + 1
            )
        ).scalars()
    )


def _waits_for(actor: Actor) -> ColumnElement[bool]:
    """Submitted orders that this actor could approve: scope, limit, and not his own work."""
    return and_(
        OrderRow.status == "submitted",
        visible(actor, "order.approve", OrderRow),
        OrderRow.amount_minor <= actor.limits.get("order.approve", -1),
        ~OrderRow.makers.contains([actor.id]),
    )


def waiting_count(session: Session, actor: Actor) -> int:
    if "order.approve" not in actor.permissions:
        return 0
    return session.execute(
        select(func.count()).select_from(OrderRow).where(_waits_for(actor))
    ).scalar_one()


def lines_of(session: Session, order_id: str) -> tuple[Line, ...]:
    rows = session.execute(
        select(OrderLineRow)
        .where(OrderLineRow.order_id == order_id)
        .order_by(OrderLineRow.line_no)
        .execution_options(populate_existing=True)
    ).scalars()
    return tuple(
        Line(
            r.product_code, r.quantity, r.unit_price_minor, r.discount_ppm,
            r.quote_id, r.quote_version,
        )
        for r in rows
    )  # fmt: skip


def content_of(order: OrderRow, lines: Sequence[Line]) -> Content:
    """What an approval of this order would be bound to."""
    return Content(
        order_id=order.order_id,
        party_id=order.party_id,
        customer_number=order.customer_number,
        currency=order.currency,
        lines=tuple(lines),
        attributes=order.attributes,
        effective_on=order.effective_on,
        deliver_days=order.deliver_days,
        collect_days=order.collect_days,
        receiving_account=order.receiving_account,
        note=order.note,
    )


def approvals_of(session: Session, order_id: str) -> list[ApprovalRow]:
    """Newest first."""
    return list(
        session.execute(
            select(ApprovalRow)
            .where(ApprovalRow.order_id == order_id)
            .order_by(ApprovalRow.request_no.desc())
        ).scalars()
    )


def steps_of(session: Session, order_id: str) -> list[PlanStepRow]:
    return list(
        session.execute(
            select(PlanStepRow)
            .where(PlanStepRow.order_id == order_id)
            .order_by(PlanStepRow.step_no)
        ).scalars()
    )


@dataclass(frozen=True, slots=True)
class OrderView:
    """All that an order's page and its API answer show."""

    order: OrderRow
    lines: tuple[Line, ...]
    approvals: list[ApprovalRow]
    steps: list[PlanStepRow]
    receivable: ReceivableRow | None
    payments: list[PaymentRow]
    reversed_ids: set[str]
    reminder: ReminderRow | None


def order_view(session: Session, order_id: str) -> OrderView | None:
    order = session.get(OrderRow, order_id)
    if order is None:
        return None
    payments, reversed_ids = payments_of(session, order_id)
    return OrderView(
        order=order,
        lines=lines_of(session, order_id),
        approvals=approvals_of(session, order_id),
        steps=steps_of(session, order_id),
        receivable=session.get(ReceivableRow, order_id),
        payments=payments,
        reversed_ids=reversed_ids,
        reminder=session.get(ReminderRow, order_id),
    )


# Money -----------------------------------------------------------------------------------------


def payments_of(session: Session, order_id: str) -> tuple[list[PaymentRow], set[str]]:
    """The payments that count for an order, and which of them were reversed."""
    rows = session.execute(
        select(PaymentRow, ReversalRow.transaction_id)
        .outerjoin(ReversalRow, ReversalRow.reversed_transaction_id == PaymentRow.transaction_id)
        .where(PaymentRow.order_id == order_id, PaymentRow.why_unmatched.is_(None))
        .order_by(PaymentRow.booked_on, PaymentRow.transaction_id)
    ).all()
    return [r[0] for r in rows], {r[0].transaction_id for r in rows if r[1] is not None}


def paid_of(payments: Sequence[PaymentRow]) -> list[Paid]:
    return [Paid(p.transaction_id, p.amount_minor) for p in payments]


def unmatched_payments(session: Session, limit: int = 50) -> list[PaymentRow]:
    """Money that names an order which cannot take it: a person must look."""
    return list(
        session.execute(
            select(PaymentRow)
            .where(PaymentRow.why_unmatched.is_not(None))
            .order_by(PaymentRow.recorded_at.desc())
            .limit(limit)
        ).scalars()
    )


def receiving_accounts(session: Session, closed_after: datetime) -> dict[str, str]:
    """Receiving account -> the order that takes what comes in on it; open orders first."""
    rows = session.execute(
        select(OrderRow.receiving_account, OrderRow.order_id)
        .where(
            OrderRow.receiving_account.is_not(None),
            OrderRow.status != "cancelled",
            or_(OrderRow.closed_at.is_(None), OrderRow.closed_at > closed_after),
        )
        .order_by(OrderRow.receiving_account, OrderRow.closed_at.is_(None), OrderRow.created_at)
    )
    return {account: order_id for account, order_id in rows if account}


def letters_in_the_way(session: Session, topic: str) -> list[Letter]:
    """Messages of a topic that were not applied and wait for a decision, oldest first."""
    rows = session.execute(
        select(
            DeadLetterRow.kind, DeadLetterRow.partition, DeadLetterRow.offset, DeadLetterRow.payload
        )
        .where(DeadLetterRow.topic == topic, DeadLetterRow.state.in_(OPEN))
        .order_by(DeadLetterRow.id)
        .limit(LETTERS_MAX + 1)
    )
    return [Letter(r.kind, r.partition, r.offset, r.payload) for r in rows]


# Quotes ----------------------------------------------------------------------------------------


def quotes_page(
    session: Session, actor: Actor, party_id: str | None, after: str | None
) -> list[QuoteRow]:
    """Newest first; quote ids sort by age."""
    query = select(QuoteRow).where(visible(actor, "order.view", QuoteRow))
    if party_id:
        query = query.where(QuoteRow.party_id == party_id)
    if after:
        query = query.where(QuoteRow.quote_id < after)
    return list(
        session.execute(query.order_by(QuoteRow.quote_id.desc()).limit(PAGE_ROWS + 1)).scalars()
    )


def quote_versions(session: Session, quote_id: str) -> list[QuoteVersionRow]:
    """Newest first."""
    return list(
        session.execute(
            select(QuoteVersionRow)
            .where(QuoteVersionRow.quote_id == quote_id)
            .order_by(QuoteVersionRow.version.desc())
        ).scalars()
    )


def quote_lines(version: QuoteVersionRow) -> tuple[Line, ...]:
    return tuple(_line(version, raw) for raw in version.lines)


def _line(version: QuoteVersionRow, raw: dict[str, Any]) -> Line:
    return Line(
        raw["product_code"],
        raw["quantity"],
        raw["unit_price_minor"],
        raw["discount_ppm"],
        version.quote_id,
        version.version,
    )
