"""The ops face that every service has: the equation, the outbox, and messages to decide on."""

from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy import func, select

from shared import dead_letters, positions
from shared.db import OutboxRow
from shared.http import Context, requires

router = APIRouter(prefix="/ops")


def _state(ctx: Context) -> dict[str, Any]:
    with ctx.read() as session:
        depth, oldest = session.execute(
            select(func.count(), func.min(OutboxRow.created_at)).select_from(OutboxRow)
        ).one()
        now = ctx.clock.wall_now()
        others = ctx.runtime.service.letters
        return {
            "service": ctx.settings.service,
            "outbox_depth": depth,
            "outbox_age_s": round((now - oldest).total_seconds(), 1) if oldest else 0.0,
            "stopped": ctx.runtime.stopped,
            "reconciliation": positions.reconcile(session),
            "letters": [
                {
                    "id": row.id,
                    "path": f"letters/{row.id}",
                    "reader": "service",
                    "obstacle": None,
                    "kind": row.kind,
                    "state": row.state,
                    "topic": row.topic,
                    "partition": row.partition,
                    "offset": row.offset,
                    "key": row.key,
                    "type": row.type,
                    "field": row.field,
                    "reason": row.reason,
                    "recorded_at": row.recorded_at.isoformat(),
                }
                for row in dead_letters.listing(session)
            ]
            + (others(session) if others else []),
        }


@router.get("/state")
def state(ctx: Annotated[Context, requires("ops.view")]) -> dict[str, Any]:
    return _state(ctx)


@router.get("/fragment")
def fragment(ctx: Annotated[Context, requires("ops.view")]) -> HTMLResponse:
    return ctx.page(
        "ops_fragment.html", ops=_state(ctx), may_act="ops.act" in ctx.actor.permissions
    )


@router.post("/letters/{letter_id}/replay")
def replay(letter_id: int, ctx: Annotated[Context, requires("ops.act")]) -> JSONResponse:
    """Runs the message again inside this service's listener, and what waits behind its key."""
    with ctx.transaction() as tx:
        dead_letters.ask_replay(tx, letter_id)
    return JSONResponse({"id": letter_id, "state": "replay"}, status_code=202)


@router.post("/letters/{letter_id}/discard")
def discard(
    letter_id: int,
    reason: Annotated[str, Form(min_length=3, max_length=500)],
    ctx: Annotated[Context, requires("ops.act")],
) -> JSONResponse:
    """Gives the message up, with a reason that stays in the audit."""
    with ctx.transaction() as tx:
        dead_letters.discard(tx, letter_id, reason)
    return JSONResponse({"id": letter_id, "state": "discarded"})
