"""The desk: what to do today, ordered by the money at stake."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from fastapi.responses import HTMLResponse

from services.workflow.commands import tasks
from services.workflow.commands.story import link_of
from services.workflow.pages.words import PICKER_ROWS, STATES, today
from services.workflow.queries import people, work
from shared.http import Context, requires

router = APIRouter()
HANDED_WATCHED_MAX = 12


@router.get("/desk")
def desk(ctx: Annotated[Context, requires("task.view")]) -> HTMLResponse:
    """The page; its lists follow by themselves."""
    return ctx.page("desk.html", stale=False, **_view(ctx))


@router.get("/desk/lists")
def lists(ctx: Annotated[Context, requires("task.view")], at: str | None = None) -> HTMLResponse:
    """The lists of the desk alone."""
    stale = ctx.stale(at)
    return ctx.page("desk_lists.html", stale=stale, **_view(ctx))


@router.post("/desk/tasks/{task_id}/claim")
def claim(task_id: str, ctx: Annotated[Context, requires("task.act")]) -> HTMLResponse:
    """Takes a task out of a queue; answers with the desk as it is then."""
    with ctx.transaction() as tx:
        tasks.claim_task(tx, ctx.actor, task_id)
    return ctx.page("desk_lists.html", stale=False, **_view(ctx))


@router.get("/desk/tasks/{task_id}/picker")
def picker(task_id: str, ctx: Annotated[Context, requires("task.handoff")]) -> HTMLResponse:
    """Whom a task can be handed to, loaded when it is asked for."""
    with ctx.read() as session:
        task, found = work.participants_for(session, ctx.actor, today(ctx), task_id)
        departments = people.department_names(session)
    return ctx.page(
        "picker.html", task=task, candidates=found, departments=departments, picker_rows=PICKER_ROWS
    )


@router.get("/desk/tasks/{task_id}/participants")
def participants(
    task_id: str,
    ctx: Annotated[Context, requires("task.act")],
    *,
    q: Annotated[str, Query(max_length=100)] = "",
    stay: bool = False,
) -> HTMLResponse:
    """Among those who can take the task, the ones of that name."""
    wanted = q.strip().casefold()
    with ctx.read() as session:
        _, found = work.participants_for(session, ctx.actor, today(ctx), task_id)
        departments = people.department_names(session)
    named = [one for one in found if wanted in one.name.casefold()]
    return ctx.page(
        "participants.html", candidates=named[:PICKER_ROWS], departments=departments, stay=stay
    )


@router.post("/desk/tasks/{task_id}/hand-off")
def hand_off(
    task_id: str,
    ctx: Annotated[Context, requires("task.handoff")],
    to_staff_id: Annotated[str, Form(min_length=1, max_length=200)],
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> HTMLResponse:
    """Hands a task on from the desk."""
    with ctx.transaction() as tx:
        tasks.hand_off_task(tx, ctx.actor, task_id, to_staff_id, reason=reason or None)
    return ctx.page("desk_lists.html", stale=False, **_view(ctx))


@router.post("/desk/delegation")
def delegation(
    ctx: Annotated[Context, requires("task.act")],
    deputy_staff_id: Annotated[str, Form(min_length=1, max_length=200)],
    from_on: Annotated[date, Form()],
    until_on: Annotated[date, Form()],
) -> HTMLResponse:
    """Lets a colleague stand in for the actor."""
    with ctx.transaction() as tx:
        tasks.delegate(
            tx,
            ctx.actor,
            staff_id=ctx.actor.id,
            deputy_staff_id=deputy_staff_id,
            from_on=from_on,
            until_on=until_on,
        )
    return ctx.page("desk_lists.html", stale=False, **_view(ctx))


@router.post("/desk/delegation/end")
def end_delegation(ctx: Annotated[Context, requires("task.act")]) -> HTMLResponse:
    """The actor is back."""
    with ctx.transaction() as tx:
        tasks.end_delegation(tx, ctx.actor)
    return ctx.page("desk_lists.html", stale=False, **_view(ctx))


def _view(ctx: Context) -> dict[str, Any]:
    day = today(ctx)
    with ctx.read() as session:
        view = work.desk_of(session, ctx.actor, day)
        absences = people.absences_from(session, ctx.actor.id, day)
        colleagues = work.participants(session, ctx.actor, day, ctx.actor.org_path)
        roles = people.role_names(session)
        departments = people.department_names(session)
    return {
        "view": view,
        "watched": [*view.watched, *_handed_processes(view)],
        "absences": absences,
        "colleagues": colleagues,
        "roles": roles,
        "departments": departments,
        "link_of": link_of,
        "states": STATES,
        "stake": sum(line.task.stake_minor for line in view.mine),
        "late": sum(line.task.overdue for line in (*view.mine, *view.approvals)),
        "now": ctx.clock.bank_now(),
    }


def _handed_processes(view: work.DeskView) -> list[str]:
    """What I handed on and others do now: it moves on my desk while they work."""
    open_ones = {
        f"process:{line.instance.instance_id}"
        for line in view.handed_on
        if line.instance.finished_at is None
    }
    return sorted(open_ones)[:HANDED_WATCHED_MAX]
