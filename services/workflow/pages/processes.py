"""Processes: the list, and one instance with its drawing, its story and its next step."""

from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse, Response

from services.workflow import bpmn
from services.workflow.commands import tasks
from services.workflow.commands.instances import InstanceUnknown, steps_of
from services.workflow.commands.story import link_of
from services.workflow.pages.words import ENTRIES, PICKER_ROWS, STATES, today
from services.workflow.queries import people, work
from services.workflow.tables import TaskRow
from shared.errors import Invalid
from shared.http import Context, requires

router = APIRouter()


@router.get("/processes")
def processes(
    ctx: Annotated[Context, requires("process.view")],
    *,
    state: Literal["open", "finished", "all"] = "open",
    definition: Annotated[str, Query(max_length=100)] = "",
    party_id: Annotated[str, Query(max_length=200)] = "",
    order_id: Annotated[str, Query(max_length=200)] = "",
    before: Annotated[str, Query(max_length=200)] = "",
) -> HTMLResponse:
    """Newest first; the filters are in the address."""
    filters = work.Filters(state, definition or None, party_id or None, order_id or None)
    with ctx.read() as session:
        rows = work.processes(
            session, ctx.actor, today(ctx), replace(filters, before=_before(before))
        )
        page, more = rows[: work.PAGE_ROWS], len(rows) > work.PAGE_ROWS
        holders = work.tasks_on_desks(session, [row.instance_id for row in page])
        definitions = work.definitions(session)
        roles = people.role_names(session)
    asked = {
        "state": state, "definition": definition, "party_id": party_id, "order_id": order_id,
    }  # fmt: skip
    last = page[-1] if more else None
    following = (
        {**asked, "before": f"{last.opened_at.isoformat()}~{last.instance_id}"} if last else {}
    )
    return ctx.page(
        "processes.html",
        rows=page,
        holders=holders,
        definitions=definitions,
        names={one.key: one.text for one in definitions},
        states=STATES,
        roles=roles,
        now=ctx.clock.bank_now(),
        asked=asked,
        here_url=f"/workflow/processes?{urlencode({**asked, 'before': before})}",
        next_url=f"/workflow/processes?{urlencode(following)}" if last else "",
        first_url=f"/workflow/processes?{urlencode(asked)}" if before else "",
    )


@router.get("/processes/{instance_id}")
def process(instance_id: str, ctx: Annotated[Context, requires("process.view")]) -> HTMLResponse:
    """One instance; panel and tokens follow by themselves."""
    return ctx.page("process.html", **_story(ctx, instance_id), stale=False)


@router.get("/processes/{instance_id}/panel")
def panel(
    instance_id: str, ctx: Annotated[Context, requires("process.view")], at: str | None = None
) -> HTMLResponse:
    """Where it stands, what can be done, and the timeline."""
    stale = ctx.stale(at)
    return ctx.page("process_panel.html", **_story(ctx, instance_id), stale=stale)


@router.get("/processes/{instance_id}/diagram")
def diagram(instance_id: str, ctx: Annotated[Context, requires("process.view")]) -> Response:
    """The BPMN of the version that the instance runs on, named in the reader's language."""
    with ctx.read() as session:
        story = work.story_of(session, ctx.actor, today(ctx), instance_id)
        if story is None:
            raise InstanceUnknown(instance_id)
        drawing = bpmn.in_language(story.definition.xml, ctx.actor.language)
    return Response(drawing, media_type="application/xml")


@router.post("/processes/{instance_id}/tasks/{task_id}/complete")
def complete(
    instance_id: str,
    task_id: str,
    ctx: Annotated[Context, requires("task.act")],
    *,
    outcome: Annotated[str, Form(min_length=1, max_length=100)],
    note: Annotated[str, Form(max_length=2000)] = "",
    next_staff_id: Annotated[str, Form(max_length=200)] = "",
    next_due_at: Annotated[str, Form(max_length=40)] = "",
) -> HTMLResponse:
    """Ends a step; answers with the panel as it is then."""
    with ctx.transaction() as tx:
        tasks.complete_task(
            tx,
            ctx.actor,
            task_id,
            outcome,
            note=note or None,
            next_staff_id=next_staff_id or None,
            next_due_at=_instant(ctx, next_due_at),
        )
    return ctx.page("process_panel.html", **_story(ctx, instance_id), stale=False)


@router.post("/processes/{instance_id}/tasks/{task_id}/claim")
def claim(
    instance_id: str, task_id: str, ctx: Annotated[Context, requires("task.act")]
) -> HTMLResponse:
    with ctx.transaction() as tx:
        tasks.claim_task(tx, ctx.actor, task_id)
    return ctx.page("process_panel.html", **_story(ctx, instance_id), stale=False)


@router.post("/processes/{instance_id}/tasks/{task_id}/hand-off")
def hand_off(
    instance_id: str,
    task_id: str,
    ctx: Annotated[Context, requires("task.handoff")],
    *,
    to_staff_id: Annotated[str, Form(min_length=1, max_length=200)],
    reason: Annotated[str, Form(max_length=2000)] = "",
    due_at: Annotated[str, Form(max_length=40)] = "",
) -> HTMLResponse:
    with ctx.transaction() as tx:
        tasks.hand_off_task(
            tx,
            ctx.actor,
            task_id,
            to_staff_id,
            reason=reason or None,
            due_at=_instant(ctx, due_at),
        )
    return ctx.page("process_panel.html", **_story(ctx, instance_id), stale=False)


def _story(ctx: Context, instance_id: str) -> dict[str, Any]:
    day = today(ctx)
    with ctx.read() as session:
        story = work.story_of(session, ctx.actor, day, instance_id)
        if story is None:
            raise InstanceUnknown(instance_id)
        open_tasks = [task for task in story.tasks if task.completed_at is None]
        rights = {
            task.task_id: tasks.rights_on(session, ctx.actor, task, day) for task in open_tasks
        }
        takers = {
            task.task_id: work.takers_of(session, task, ctx.actor, day)
            for task in open_tasks
            if rights[task.task_id].complete or rights[task.task_id].hand_off
        }
        departments = people.department_names(session)
        roles = people.role_names(session)
        names = people.names_of(session, {task.staff_id for task in story.tasks if task.staff_id})
    steps = steps_of(story.definition)
    return {
        "story": story,
        "steps": steps,
        "open_tasks": open_tasks,
        "rights": rights,
        "takers": takers,
        "picker_rows": PICKER_ROWS,
        "departments": departments,
        "link_of": link_of,
        "entries": ENTRIES,
        "states": STATES,
        "roles": roles,
        "tokens": [_token(ctx, task, names, roles) for task in _last_of_each_step(story.tasks)],
        "now": ctx.clock.bank_now(),
        "hours": work.hours_since,
    }


def _last_of_each_step(rows: list[TaskRow]) -> list[TaskRow]:
    return list({task.step_id: task for task in rows}.values())


def _token(
    ctx: Context, task: TaskRow, names: dict[str, str], roles: dict[str, dict[str, Any]]
) -> dict[str, str]:
    """One marked step of the drawing."""
    marker = "token-done" if task.completed_at else "token-late" if task.overdue else "token-here"
    queue = roles.get(task.role or "", {}).get(ctx.actor.language, task.role or "")
    holder = names.get(task.staff_id or "", queue)
    since = (task.completed_at or task.assigned_at).astimezone(ctx.clock.zone)
    return {
        "step": task.step_id,
        "marker": marker,
        "holder": holder,
        "hint": f"{since:%Y-%m-%d %H:%M}",
    }


def _instant(ctx: Context, text: str) -> datetime | None:
    """A browser's local date and time, in the bank's zone."""
    if not text:
        return None
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise Invalid("due_at", {"zh-CN": "期限格式不对", "en": "Not a date and time"}) from error
    return read if read.tzinfo else read.replace(tzinfo=ctx.clock.zone)


def _before(text: str) -> tuple[datetime, str] | None:
    if not text:
        return None
    opened_at, _, instance_id = text.partition("~")
    try:
        return datetime.fromisoformat(opened_at), instance_id
    except ValueError as error:
        raise Invalid("before", "not a page of this list") from error
