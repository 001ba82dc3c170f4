"""The API of workflow: tasks, processes, definitions, the organisation."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.orm import Session

from services.workflow.commands import alerts, definitions, tasks
from services.workflow.commands.instances import InstanceUnknown
from services.workflow.commands.organisation import record
from services.workflow.commands.story import link_of
from services.workflow.queries import people, work
from services.workflow.schemas import (
    CandidateOut,
    CapacityIn,
    CompleteIn,
    DefinitionIn,
    DefinitionOut,
    DelegateIn,
    DueIn,
    GrantIn,
    HandOffIn,
    InstanceOut,
    LimitIn,
    RecordOut,
    TaskOut,
)
from services.workflow.tables import InstanceRow, TaskRow
from shared.clock import business_date
from shared.events.workflow import CapacitySet, LimitSet, RoleGranted
from shared.http import Context, requires
from shared.ids import new_id

router = APIRouter(prefix="/api")
LABELS_MAX = 200


def task_out(instance: InstanceRow, task: TaskRow) -> TaskOut:
    return TaskOut(
        task_id=task.task_id,
        process_instance_id=task.instance_id,
        step=task.step_id,
        text=task.text,
        state=task.state,
        staff_id=task.staff_id,
        role=task.role,
        org_path=task.org_path,
        party_id=task.party_id,
        order_id=task.order_id,
        stake_minor=task.stake_minor,
        currency=task.currency,
        due_at=task.due_at,
        overdue=task.overdue,
        link=link_of(instance, task),
    )


def instance_out(instance: InstanceRow, rows: list[TaskRow]) -> InstanceOut:
    return InstanceOut(
        process_instance_id=instance.instance_id,
        definition=instance.definition_key,
        version=instance.definition_version,
        party_id=instance.party_id,
        order_id=instance.order_id,
        stake_minor=instance.stake_minor,
        currency=instance.currency,
        reason=instance.reason,
        opened_at=instance.opened_at,
        finished_at=instance.finished_at,
        outcome_code=instance.outcome_code,
        tasks=[task_out(instance, task) for task in rows],
    )


def today(ctx: Context) -> date:
    return business_date(ctx.clock.bank_now(), ctx.clock.zone)


@router.get("/desk")
def desk(ctx: Annotated[Context, requires("task.view")]) -> dict[str, list[TaskOut]]:
    """The actor's desk, each list by money at stake."""
    with ctx.read() as session:
        view = work.desk_of(session, ctx.actor, today(ctx))
        return {
            name: [task_out(line.instance, line.task) for line in getattr(view, name)]
            for name in ("mine", "approvals", "queued", "handed_on")
        }


@router.post("/tasks/{task_id}/claim")
def claim(task_id: str, ctx: Annotated[Context, requires("task.act")]) -> TaskOut:
    with ctx.transaction() as tx:
        task = tasks.claim_task(tx, ctx.actor, task_id)
        return _task_out(tx.session, task)


@router.post("/tasks/{task_id}/complete")
def complete(
    task_id: str, body: CompleteIn, ctx: Annotated[Context, requires("task.act")]
) -> InstanceOut:
    with ctx.transaction() as tx:
        instance = tasks.complete_task(
            tx,
            ctx.actor,
            task_id,
            body.outcome,
            note=body.note,
            next_staff_id=body.next_staff_id,
            next_due_at=body.next_due_at,
        )
        rows = work.tasks_on_desks(tx.session, [instance.instance_id])
        return instance_out(instance, rows.get(instance.instance_id, []))


@router.post("/tasks/{task_id}/hand-off")
def hand_off(
    task_id: str, body: HandOffIn, ctx: Annotated[Context, requires("task.handoff")]
) -> TaskOut:
    with ctx.transaction() as tx:
        task = tasks.hand_off_task(
            tx, ctx.actor, task_id, body.to_staff_id, reason=body.reason, due_at=body.due_at
        )
        return _task_out(tx.session, task)


@router.post("/tasks/{task_id}/due")
def due(task_id: str, body: DueIn, ctx: Annotated[Context, requires("task.handoff")]) -> TaskOut:
    with ctx.transaction() as tx:
        task = tasks.set_due(tx, ctx.actor, task_id, body.due_at)
        return _task_out(tx.session, task)


@router.get("/tasks/{task_id}/candidates")
def candidates(
    task_id: str, ctx: Annotated[Context, requires("task.handoff")]
) -> list[CandidateOut]:
    """Whom the task can be handed to, the fittest first, with load and absence."""
    with ctx.read() as session:
        _, found = work.participants_for(session, ctx.actor, today(ctx), task_id)
        return [
            CandidateOut(
                staff_id=one.staff_id,
                name=one.name,
                org_path=one.org_path,
                open_tasks=one.open_tasks,
                absent_until=one.absent_until,
                deputy_id=one.deputy_id,
            )
            for one in found
        ]


@router.post("/delegations")
def delegate(body: DelegateIn, ctx: Annotated[Context, requires("task.act")]) -> RecordOut:
    with ctx.transaction() as tx:
        absence_id = tasks.delegate(
            tx,
            ctx.actor,
            staff_id=body.staff_id or ctx.actor.id,
            deputy_staff_id=body.deputy_staff_id,
            from_on=body.from_on,
            until_on=body.until_on,
        )
        return RecordOut(id=absence_id, changed=True)


@router.get("/processes/{instance_id}")
def process(instance_id: str, ctx: Annotated[Context, requires("process.view")]) -> InstanceOut:
    with ctx.read() as session:
        story = work.story_of(session, ctx.actor, today(ctx), instance_id)
        if story is None:
            raise InstanceUnknown(instance_id)
        return instance_out(story.instance, story.tasks)


@router.post("/definitions")
def publish(body: DefinitionIn, ctx: Annotated[Context, requires("process.edit")]) -> DefinitionOut:
    """A process definition as BPMN 2.0; the same content again is the same version."""
    with ctx.transaction() as tx:
        row = definitions.publish_definition(tx, ctx.actor.id, body.xml.encode())
        return DefinitionOut(key=row.key, version=row.version, sha256=row.sha256)


@router.post("/staff/{staff_id}/grants")
def grant(
    staff_id: str, body: GrantIn, ctx: Annotated[Context, requires("organisation.edit")]
) -> RecordOut:
    fact = RoleGranted(grant_id=new_id("GR"), staff_id=staff_id, **body.model_dump())
    with ctx.transaction() as tx:
        return RecordOut(id=fact.grant_id, changed=record(tx, ctx.actor.id, fact))


@router.post("/staff/{staff_id}/limits")
def limit(
    staff_id: str, body: LimitIn, ctx: Annotated[Context, requires("organisation.edit")]
) -> RecordOut:
    fact = LimitSet(limit_id=new_id("LI"), staff_id=staff_id, **body.model_dump())
    with ctx.transaction() as tx:
        return RecordOut(id=fact.limit_id, changed=record(tx, ctx.actor.id, fact))


@router.post("/staff/{staff_id}/capacity")
def capacity(
    staff_id: str, body: CapacityIn, ctx: Annotated[Context, requires("organisation.edit")]
) -> RecordOut:
    fact = CapacitySet(staff_id=staff_id, alerts_per_day=body.alerts_per_day)
    with ctx.transaction() as tx:
        return RecordOut(id=staff_id, changed=alerts.set_capacity(tx, ctx.actor.id, fact))


labels_router = APIRouter()


@labels_router.get("/labels")
def labels(
    ids: Annotated[str, Query(max_length=20_000)],
    ctx: Annotated[Context, requires("task.view")],
) -> dict[str, str]:
    """Names of staff for ids like `staff:S001`; unknown ones are left out."""
    asked = [one.strip() for one in ids.split(",")][:LABELS_MAX]
    staff_ids = [one.removeprefix("staff:") for one in asked if one.startswith("staff:")]
    with ctx.read() as session:
        names = people.names_of(session, staff_ids)
    return {f"staff:{staff_id}": name for staff_id, name in names.items()}


def _task_out(session: Session, task: TaskRow) -> TaskOut:
    instance = session.get(InstanceRow, task.instance_id)
    assert instance is not None, "a task belongs to an instance"
    return task_out(instance, task)
