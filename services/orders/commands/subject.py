"""The order a command works on: found, locked, inside the actor's scope."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from sqlalchemy import select

from services.orders.rules.lines import Line
from services.orders.tables import OrderRow
from shared.clock import business_date
from shared.db import Tx
from shared.errors import Invalid, NotFound
from shared.policy import Actor, decide

LOCKED_PAUSE = timedelta(milliseconds=200)  # a timer that found its order locked comes again


class ChangedMeanwhile(Invalid):
    """Someone else changed the record after it was read."""

    status = 409


class InvalidFields(Invalid):
    """Some fields cannot be taken; `fields` maps each to the code of what is wrong."""

    def __init__(self, fields: dict[str, str]) -> None:
        self.fields = fields
        first = next(iter(fields))
        super().__init__(first, f"{first}: {fields[first]}")

    def reasons(self, language: str) -> Mapping[str, str]:
        return self.fields


@dataclass(frozen=True, slots=True)
class OrderDraft:
    """What staff enter. `lines` may name the quote versions that they come from."""

    party_id: str
    lines: tuple[Line, ...]
    currency: str = "CNY"
    customer_number: str | None = None
    attributes: dict[str, Any] = field(default_factory=dict)
    effective_on: date | None = None
    deliver_days: int = 3
    collect_days: int = 7
    receiving_account: str | None = None
    note: str = ""


def locked_order(tx: Tx, order_id: str) -> OrderRow:
    """The order's row, locked and read afresh. Raises NotFound."""
    order = tx.session.get(OrderRow, order_id, with_for_update=True, populate_existing=True)
    if order is None:
        raise NotFound(no_such_order(order_id))
    return order


def order_if_free(tx: Tx, order_id: str) -> OrderRow | None:
    """The locked order; none while someone else holds it.

    For timers only: they hold their own row already, and whoever holds the order may want that.
    """
    return tx.session.execute(
        select(OrderRow)
        .where(OrderRow.order_id == order_id)
        .with_for_update(skip_locked=True)
        .execution_options(populate_existing=True)
    ).scalar_one_or_none()


def order_for(tx: Tx, actor: Actor, permission: str, order_id: str) -> OrderRow:
    """The locked order, if it lies in the actor's scope; outside of it there is none."""
    order = locked_order(tx, order_id)
    if not decide(actor, permission, org_path=order.org_path, owner_id=order.owner_id).allowed:
        raise NotFound(no_such_order(order_id))
    return order


def no_such_order(order_id: str) -> dict[str, str]:
    return {"zh-CN": f"没有订单 {order_id}。", "en": f"There is no order {order_id}."}


def fields_of(order: OrderRow) -> dict[str, Any]:
    """What every fact on an order says: whom it is for, and who may see it."""
    return {
        "order_id": order.order_id,
        "party_id": order.party_id,
        "customer_number": order.customer_number,
        "owner_id": order.owner_id,
        "org_path": order.org_path or None,
    }


def today_of(tx: Tx) -> date:
    """The bank's date of this transaction."""
    return business_date(tx.bank_now, tx.clock.zone)


def link_to(order_id: str) -> str:
    return f"/orders/orders/{order_id}"
