"""The second pair of eyes: approves or refuses exactly the content that was submitted."""

from services.orders import queries
from services.orders.commands.effect import take_effect_when_due
from services.orders.commands.subject import fields_of, order_for
from services.orders.rules.lifecycle import Act, check_approval, status_after
from services.orders.tables import OrderRow
from shared import outbox
from shared.db import Tx
from shared.events.orders import OrderApproved, OrderRefused
from shared.policy import Actor

PERMISSION = "order.approve"
REASON_CHARS_MAX = 500


def approve_order(tx: Tx, actor: Actor, order_id: str, content_hash: str) -> OrderRow:
    """Approves this content. Raises NotInThisState, ContentChanged, SamePerson, AboveLimit."""
    order = order_for(tx, actor, PERMISSION, order_id)
    following = status_after(order.status, Act.APPROVE)
    check_approval(
        asked_hash=content_hash,
        submitted_hash=order.content_hash,
        makers=order.makers,
        checker_id=actor.id,
        amount_minor=order.amount_minor,
        limit_minor=actor.limits.get(PERMISSION),
    )
    maker_id = _decided(tx, actor, order, "approved", "")
    order.status = following
    outbox.enqueue(
        tx,
        OrderApproved(
            **fields_of(order),
            content_hash=content_hash,
            checker_id=actor.id,
            maker_id=maker_id,
        ),
    )
    take_effect_when_due(tx, order)
    return order


def refuse_order(tx: Tx, actor: Actor, order_id: str, content_hash: str, reason: str) -> OrderRow:
    """Refuses this content, with the reason. A limit is not asked: saying no needs none."""
    order = order_for(tx, actor, PERMISSION, order_id)
    following = status_after(order.status, Act.REFUSE)
    check_approval(
        asked_hash=content_hash,
        submitted_hash=order.content_hash,
        makers=order.makers,
        checker_id=actor.id,
        amount_minor=0,
        limit_minor=0,
    )
    reason = reason.strip()[:REASON_CHARS_MAX]
    maker_id = _decided(tx, actor, order, "refused", reason)
    order.status = following
    order.content_hash = None
    outbox.enqueue(
        tx,
        OrderRefused(
            **fields_of(order),
            content_hash=content_hash,
            checker_id=actor.id,
            maker_id=maker_id,
            reason={"zh-CN": reason, "en": reason} if reason else None,
        ),
    )
    return order


def _decided(tx: Tx, actor: Actor, order: OrderRow, state: str, reason: str) -> str:
    """Notes the decision on the waiting request. Returns who asked."""
    request = queries.approvals_of(tx.session, order.order_id)[0]
    request.state, request.reason = state, reason
    request.decided_by, request.decided_at = actor.id, tx.bank_now
    order.version += 1
    order.changed_at = tx.bank_now
    return request.maker_id
