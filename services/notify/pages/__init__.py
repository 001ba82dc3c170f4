"""Pages of notify: the inbox and the count in the frame."""

from datetime import timedelta
from itertools import groupby
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse

from services.notify import commands, queries
from services.notify.pages import words
from services.notify.rules import Link, is_of_the_bank
from services.notify.tables import NoticeRow
from shared.http import Context, requires

router = APIRouter()


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
        chain = queries.chain_of(session, notice) if notice else []
    return ctx.page(
        "why.html",
        status=200 if notice else 404,
        notice=notice,
        deliveries=sent,
        chain=[(one, _may_open(ctx, one)) for one in chain],
        events=words.EVENTS,
        channels=words.CHANNELS,
        outcomes=words.DELIVERIES,
        is_of_the_bank=is_of_the_bank,
    )


def _may_open(ctx: Context, one: Link) -> bool:
    """Whether the link leads somewhere for this reader: a door that answers 403 is none."""
    return one.link is not None and any(
        one.link.startswith(page) and permission in ctx.actor.permissions
        for page, permission in words.PAGES.items()
    )


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
        "kinds": words.KINDS,
        "states": words.STATES,
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
