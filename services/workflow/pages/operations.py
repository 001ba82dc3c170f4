"""Operations: the panel of every service on one page, loaded from each."""

from typing import Annotated

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from shared.http import Context, requires

router = APIRouter()
SERVICES = ("customer", "orders", "workflow", "scoring", "notify")


@router.get("/ops")
def operations(
    ctx: Annotated[Context, requires("ops.view")],
    *,
    service: Annotated[str, Query(max_length=20)] = "",
    after: Annotated[str, Query(max_length=30)] = "",
) -> HTMLResponse:
    """Lag, outbox, reconciliation and messages to decide on, service by service; of one service
    the messages `after` an id."""
    return ctx.page("ops.html", services=SERVICES, paged={service: after} if after else {})
