"""Pages of notify: the inbox and the count in the frame."""

from datetime import timedelta
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse

from services.notify import commands, queries
from services.notify.tables import NoticeRow
from shared.http import Context, requires
from shared.web.translations import N_

router = APIRouter()

KINDS = {
    "task_assigned": N_("New task"),
    "task_handed_off": N_("Handed to you"),
    "task_due": N_("Task due"),
    "order_approved": N_("Order approved"),
    "order_refused": N_("Order refused"),
    "reminder": N_("Reminder"),
}
STATES = {
    "unread": N_("Unread"),
    "snoozed": N_("Snoozed"),
    "acknowledged": N_("Acknowledged"),
    "withdrawn": N_("Withdrawn"),
}


@router.get("/inbox")
def inbox(ctx: Annotated[Context, requires("notice.view")]) -> HTMLResponse:
    return ctx.page("inbox.html", stale=False, **_list(ctx, None))


@router.get("/inbox/list")
def inbox_list(
    ctx: Annotated[Context, requires("notice.view")],
    before: int | None = None,
    at: str | None = None,
) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("inbox_list.html", stale=stale, **_list(ctx, before))


@router.get("/count")
def count(ctx: Annotated[Context, requires("notice.view")], at: str | None = None) -> HTMLResponse:
    """The unread count in the top bar."""
    stale = ctx.stale(at)
    with ctx.read() as session:
        unread = queries.unread_count(session, ctx.actor.id)
    return ctx.page("count.html", unread=unread, stale=stale)


@router.get("/inbox/why/{notice_id:path}")
def why(notice_id: str, ctx: Annotated[Context, requires("notice.view")]) -> HTMLResponse:
    with ctx.read() as session:
        notice = queries.notice_of(session, notice_id, ctx.actor.id)
        sent = queries.deliveries_of(session, notice_id) if notice else []
        return ctx.page("why.html", notice=notice, deliveries=sent, status=200 if notice else 404)


@router.post("/inbox/acknowledge/{notice_id:path}")
def acknowledge(notice_id: str, ctx: Annotated[Context, requires("notice.view")]) -> HTMLResponse:
    with ctx.transaction() as tx:
        commands.acknowledge(tx, ctx.actor.id, notice_id)
    return ctx.page("inbox_list.html", stale=False, **_list(ctx, None))


@router.post("/inbox/snooze/{notice_id:path}")
def snooze(
    notice_id: str,
    ctx: Annotated[Context, requires("notice.view")],
    minutes: Annotated[int, Form(ge=5, le=7 * 24 * 60)],
) -> HTMLResponse:
    with ctx.transaction() as tx:
        commands.snooze(tx, ctx.actor.id, notice_id, minutes)
    return ctx.page("inbox_list.html", stale=False, **_list(ctx, None))


def _list(ctx: Context, before: int | None) -> dict[str, Any]:
    with ctx.read() as session:
        rows = queries.inbox(session, ctx.actor.id, before=before)
        unread = queries.unread_count(session, ctx.actor.id)
    stories = [
        {"story": story, "notices": list(group)}
        for story, group in groupby(rows, key=lambda row: row.story)
    ]
    return {
        "stories": stories,
        "unread": unread,
        "before": rows[-1].number if len(rows) == queries.PAGE_ROWS else None,
        "kinds": KINDS,
        "states": STATES,
        "tomorrow_minutes": _until_tomorrow(ctx),
        "is_open": _is_open,
    }


def _is_open(row: NoticeRow) -> bool:
    return row.state in ("unread", "snoozed")


def _until_tomorrow(ctx: Context) -> int:
    """Minutes until 8:30 of the next day on the bank's clock."""
    now = ctx.clock.bank_now().astimezone(ctx.settings.zone)
    morning = (now + timedelta(days=1)).replace(hour=8, minute=30, second=0, microsecond=0)
    return max(int((morning - now).total_seconds() // 60), 5)
