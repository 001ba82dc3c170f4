"""Operations: the panel of every service on one page, loaded from each."""

from typing import Annotated

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from shared.http import Context, requires

router = APIRouter()
SERVICES = ("customer", "orders", "workflow", "scoring", "notify")


@router.get("/ops")
def operations(ctx: Annotated[Context, requires("ops.view")]) -> HTMLResponse:
    """Lag, outbox, reconciliation and messages to decide on, service by service."""
    return ctx.page("ops.html", services=SERVICES)
