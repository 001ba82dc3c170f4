"""Approval of orders: the task is opened and closed here, the decision is the orders service's."""

from sqlalchemy import select, text

from services.workflow.commands.definitions import definition_of
from services.workflow.commands.instances import (
    Opening,
    Run,
    locked_instance,
    open_instance,
    receive_message,
)
from services.workflow.queries import people
from services.workflow.queries.people import HEAD_OFFICE, Desk
from services.workflow.tables import OPEN, InstanceRow, SubscriptionRow
from shared.db import Tx
from shared.events.fact import Cause
from shared.events.orders import OrderSubmitted

APPROVAL = "order_approval"
DECIDED = "order_decided"


def ask_for_approval(tx: Tx, order: OrderSubmitted, cause: Cause) -> None:
    """Puts the order on a checker's desk. A second submission voids what was open before it."""
    _close_stale(tx, order.order_id)
    maker = people.on_the_staff(tx.session, order.maker_id)
    org_path = order.org_path or (maker.org_path if maker is not None else HEAD_OFFICE)
    message = tx.message
    reason = order.text or {
        "zh-CN": f"订单 {order.order_id} 待复核",
        "en": f"Order {order.order_id} asks for approval",
    }
    open_instance(
        tx,
        Opening(
            definition_key=APPROVAL,
            business_key=order.order_id,
            owner=Desk(order.maker_id, None, org_path),
            party_id=order.party_id,
            order_id=order.order_id,
            stake_minor=order.amount_minor,
            currency=order.currency,
            reason=reason,
            cause=[cause],
            correlation_id=(message.event.correlationid or message.event.id) if message else None,
            data={
                "maker_id": order.maker_id,
                "amount_minor": order.amount_minor,
                "content_hash": order.content_hash,
                "customer_number": order.customer_number,
                "link": order.link or f"/orders/orders/{order.order_id}",
            },
        ),
    )


def close_approval(
    tx: Tx, order_id: str, content_hash: str, outcome: str, actor_id: str | None
) -> None:
    """The order was approved, refused or voided; routed by the subscription table.

    A decision on another content than the open task's is not its answer and changes nothing.
    """
    found = tx.session.execute(
        select(SubscriptionRow.instance_id, SubscriptionRow.engine_task_id).where(
            SubscriptionRow.message == DECIDED, SubscriptionRow.correlation_key == order_id
        )
    ).all()
    for instance_id, engine_task_id in found:
        instance = locked_instance(tx, instance_id)
        if instance.finished_at is None and instance.data.get("content_hash") == content_hash:
            run = Run(tx, instance, definition_of(tx.session, instance), actor_id)
            receive_message(run, engine_task_id, outcome)


def _close_stale(tx: Tx, order_id: str) -> None:
    open_one = tx.session.scalars(
        select(InstanceRow).where(
            InstanceRow.definition_key == APPROVAL,
            InstanceRow.business_key == order_id,
            text(OPEN),
        )
    ).one_or_none()
    if open_one is not None:
        close_approval(tx, order_id, str(open_one.data.get("content_hash")), "voided", None)
