"""What a reader may see of orders, and where a list goes on. Used by the API and the pages."""

from datetime import datetime

from sqlalchemy.orm import Session

from services.orders import queries
from services.orders.commands.subject import no_such_order
from services.orders.tables import OrderRow, QuoteRow
from shared.errors import Invalid, NotFound
from shared.open_work import Desk
from shared.policy import Actor, decide


def view_for(
    session: Session, actor: Actor, order_id: str, desk: Desk | None = None
) -> queries.OrderView:
    """The order with all that belongs to it. Outside of the reader's scope there is none, unless
    an open task on the desk is about it or its party: to see, not to change."""
    view = queries.order_view(session, order_id)
    if view is None or not (
        _in_scope(actor, view.order)
        or (desk and desk.has_open(session, orders={order_id}, parties={view.order.party_id}))
    ):
        raise NotFound(no_such_order(order_id))
    return view


def quote_for_reader(session: Session, actor: Actor, quote_id: str) -> QuoteRow:
    """The quote, if the reader may see it. Raises NotFound."""
    quote = session.get(QuoteRow, quote_id)
    if quote is None or not _in_scope(actor, quote):
        raise NotFound(
            {"zh-CN": f"没有报价单 {quote_id}。", "en": f"There is no quote {quote_id}."}
        )
    return quote


def cursor_text(row: OrderRow) -> str:
    return f"{row.created_at.isoformat()}~{row.order_id}"


def cursor_of(text: str | None) -> queries.Cursor | None:
    """Raises Invalid when it is not one of ours."""
    if not text:
        return None
    created_at, _, order_id = text.partition("~")
    try:
        instant = datetime.fromisoformat(created_at)
    except ValueError:
        raise Invalid("after", "not a cursor") from None
    if instant.tzinfo is None or not order_id:
        raise Invalid("after", "not a cursor")
    return queries.Cursor(instant, order_id)


def orders_for(
    session: Session,
    actor: Actor,
    wanted: queries.OrderFilter,
    after: queries.Cursor | None,
    desk: Desk,
) -> list[OrderRow]:
    """A page of orders within the scope, and all of the one party that a task is about."""
    party_id = wanted.party_id
    on_desk = party_id is not None and desk.has_open(session, parties={party_id})
    return queries.orders_page(session, actor, wanted, after, whole_party=on_desk)


def _in_scope(actor: Actor, row: OrderRow | QuoteRow) -> bool:
    return decide(actor, "order.view", org_path=row.org_path, owner_id=row.owner_id).allowed
