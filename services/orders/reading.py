"""What a reader may see of orders, and where a list goes on. Used by the API and the pages."""

from datetime import datetime

from sqlalchemy.orm import Session

from services.orders import queries
from services.orders.commands.subject import no_such_order
from services.orders.tables import OrderRow, QuoteRow
from shared.errors import Invalid, NotFound
from shared.policy import Actor, decide


def view_for(session: Session, actor: Actor, order_id: str) -> queries.OrderView:
    """The order with all that belongs to it. Outside of the reader's scope there is none."""
    view = queries.order_view(session, order_id)
    if view is None or not _may_see(actor, view.order):
        raise NotFound(no_such_order(order_id))
    return view


def quote_for_reader(session: Session, actor: Actor, quote_id: str) -> QuoteRow:
    """The quote, if the reader may see it. Raises NotFound."""
    quote = session.get(QuoteRow, quote_id)
    if quote is None or not _may_see(actor, quote):
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


def _may_see(actor: Actor, row: OrderRow | QuoteRow) -> bool:
    return decide(
        actor, "order.view", org_path=row.org_path, owner_id=row.owner_id
    ).allowed
