"""HTTP of notify: the inbox, acknowledge, snooze, preferences, and the only live stream."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse, StreamingResponse

from services.notify import commands, queries
from services.notify.schemas import NoticeOut, PreferenceIn, SnoozeIn
from services.notify.tables import NoticeRow
from services.notify.watching import Watch, check_audience
from shared.errors import NotFound
from shared.http import Context, requires
from shared.live import Fanout

router = APIRouter()

AUDIENCES_MAX = 40


@router.get("/stream")
async def stream(
    request: Request,
    ctx: Annotated[Context, requires("notice.view")],
    audiences: Annotated[str, Query(max_length=4000)],
    last_event_id: Annotated[str | None, Query(max_length=40)] = None,
) -> StreamingResponse:
    """Server-sent events: hints on what changed, for the audiences asked and allowed."""
    wanted = audiences.split()[:AUDIENCES_MAX]
    directory = ctx.runtime.directory
    for audience in wanted:
        check_audience(directory, ctx.actor, ctx.clock, audience)
    watch = Watch(ctx.database, directory, ctx.actor.id)
    fanout = fanout_of(request)
    since = request.headers.get("last-event-id") or last_event_id

    async def body() -> AsyncIterator[str]:
        yield _framed(_ping(ctx))
        async for event in fanout.events(wanted, since):
            if event["event"] == "hint":
                audience = json.loads(event["data"])["audience"]
                if not await asyncio.to_thread(watch.lets_through, audience):
                    continue
            yield _framed(_ping(ctx) if event["event"] == "ping" else event)

    return StreamingResponse(
        body(),
        media_type="text/event-stream",
        headers={"cache-control": "no-store", "x-accel-buffering": "no"},
    )


def _framed(event: dict[str, Any]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in event.items()) + "\n"


def _ping(ctx: Context) -> dict[str, Any]:
    """A sign of life that carries the bank's time and its pace: the page's date follows it."""
    now = ctx.clock.bank_now().astimezone(ctx.settings.zone).isoformat(timespec="seconds")
    return {"event": "ping", "data": json.dumps({"bank_now": now, "factor": ctx.clock.factor})}


def fanout_of(request: Request) -> Fanout:
    """One reader of the hints per process."""
    state = request.app.state
    if not hasattr(state, "fanout"):
        state.fanout = Fanout(state.runtime.settings)
        state.runtime.on_stop.append(state.fanout.close)
    found: Fanout = state.fanout
    return found


def out(row: NoticeRow, language: str) -> NoticeOut:
    return NoticeOut(
        notice_id=row.notice_id, number=row.number, kind=row.kind, story=row.story,
        text=row.text.get(language) or next(iter(row.text.values())), link=row.link,
        urgent=row.urgent, state=row.state, created_at=row.created_at,  # type: ignore[arg-type]
        snoozed_until=row.snoozed_until, cause=row.cause,
    )  # fmt: skip


@router.get("/notices")
def notices(
    ctx: Annotated[Context, requires("notice.view")],
    before: int | None = None,
    only_open: bool = False,
) -> list[NoticeOut]:
    """My notices, newest first; `before` is the last number of the page before."""
    with ctx.read() as session:
        rows = queries.inbox(session, ctx.actor.id, before=before, only_open=only_open)
        return [out(row, ctx.actor.language) for row in rows]


@router.get("/notices/{notice_id:path}/why")
def why(notice_id: str, ctx: Annotated[Context, requires("notice.view")]) -> dict[str, Any]:
    """Why did I get this: the rule, the event, and what caused it; and what became of it."""
    with ctx.read() as session:
        row = queries.notice_of(session, notice_id, ctx.actor.id)
        if row is None:
            raise NotFound({"zh-CN": "没有这条通知。", "en": "There is no such notice."})
        sent = queries.deliveries_of(session, notice_id)
        chain = queries.chain_of(session, row)
        return {
            "notice_id": notice_id,
            "cause": row.cause,
            "chain": [{"id": one.event_id, "type": one.type, "at": one.at} for one in chain],
            "deliveries": [
                {"channel": d.channel, "state": d.state, "proof": d.proof} for d in sent
            ],
        }


@router.post("/notices/{notice_id:path}/acknowledge")
def acknowledge(notice_id: str, ctx: Annotated[Context, requires("notice.view")]) -> NoticeOut:
    with ctx.transaction() as tx:
        return out(commands.acknowledge(tx, ctx.actor.id, notice_id), ctx.actor.language)


@router.post("/notices/{notice_id:path}/snooze")
def snooze(
    notice_id: str, body: SnoozeIn, ctx: Annotated[Context, requires("notice.view")]
) -> NoticeOut:
    with ctx.transaction() as tx:
        row = commands.snooze(tx, ctx.actor.id, notice_id, body.minutes)
        return out(row, ctx.actor.language)


@router.put("/preferences")
def prefer(body: PreferenceIn, ctx: Annotated[Context, requires("notice.view")]) -> JSONResponse:
    """Which outside channel I want for a kind of notice; kind `*` stands for all others."""
    with ctx.transaction() as tx:
        commands.prefer(tx, ctx.actor.id, body.kind, body.channel, wanted=body.wanted)
    return JSONResponse(body.model_dump())
