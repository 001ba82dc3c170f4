"""The ops face that every service has: the equation, the outbox, and messages to decide on."""

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, JSONResponse
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from shared import dead_letters, positions
from shared.db import DeadLetterRow, OutboxRow
from shared.dead_letters import PAGE_ROWS
from shared.http import Context, requires
from shared.reasons import in_words, taken_apart
from shared.runtime import OtherLetters
from shared.web.translations import CHINESE, normal_language, shared_texts

router = APIRouter(prefix="/ops")


After = Annotated[str, Query(pattern=r"^((worker-)?\d{1,18})?$")]


def _state(ctx: Context, after: str) -> dict[str, Any]:
    with ctx.read() as session:
        depth, oldest = session.execute(
            select(func.count(), func.min(OutboxRow.created_at)).select_from(OutboxRow)
        ).one()
        now = ctx.clock.wall_now()
        others = ctx.runtime.service.letters
        count = dead_letters.open_count(session) + (others.count(session) if others else 0)
        letters = _letters(session, others, after)
        more = len(letters) > PAGE_ROWS
        return {
            "service": ctx.settings.service,
            "outbox_depth": depth,
            "outbox_age_s": round((now - oldest).total_seconds(), 1) if oldest else 0.0,
            "stopped": ctx.runtime.stopped,
            "has_worker": ctx.runtime.service.worker_behind is not None,
            "worker_behind": ctx.runtime.worker_behind,
            "reconciliation": [
                {**line, "behind": ctx.runtime.behind.get(str(line["topic"]))}
                for line in positions.reconcile(session)
            ],
            "letters_count": count,
            "letters": [_with_code(letter) for letter in letters[:PAGE_ROWS]],
            "after": after,
            "next": letters[PAGE_ROWS - 1]["id"] if more else None,
        }


def _letters(session: Session, others: OtherLetters | None, after: str) -> list[dict[str, Any]]:
    """A page and one more: those of the listener, then those of the other reader. `after` is the
    id of the last letter seen."""
    reader, _, number = after.rpartition("-")
    last, wanted = int(number or 0), PAGE_ROWS + 1
    found: list[dict[str, Any]] = []
    if not reader:
        rows = dead_letters.listing(session, after=last, limit=wanted)
        found = [_letter(row) for row in rows]
    if others is not None and len(found) < wanted:
        found += others.listing(session, last if reader else 0, wanted - len(found))
    return found


def _letter(row: DeadLetterRow) -> dict[str, Any]:
    return {
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


def _with_code(letter: dict[str, Any]) -> dict[str, Any]:
    """A letter with its reason taken apart, for programs; the reason itself is evidence."""
    reason = taken_apart(letter["reason"])
    return {**letter, "reason_code": reason.code, "reason_values": reason.values}


@router.get("/state")
def state(ctx: Annotated[Context, requires("ops.view")], after: After = "") -> dict[str, Any]:
    return _state(ctx, after)


@router.get("/fragment")
def fragment(ctx: Annotated[Context, requires("ops.view")], after: After = "") -> HTMLResponse:
    texts = shared_texts(normal_language(ctx.actor.language) or CHINESE)
    return ctx.page(
        "ops_fragment.html",
        ops=_state(ctx, after),
        may_act="ops.act" in ctx.actor.permissions,
        in_words=partial(in_words, gettext=texts.gettext),
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
