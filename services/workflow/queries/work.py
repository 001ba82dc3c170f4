"""What work there is: desks, processes, one instance with its story."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    and_,
    exists,
    false,
    func,
    or_,
    select,
    text,
    true,
    union,
)
from sqlalchemy.orm import Session

from services.workflow.queries import people
from services.workflow.rules import Candidate, by_load
from services.workflow.tables import (
    ON_A_DESK,
    AlertRow,
    DefinitionRow,
    DepartmentRow,
    EntryRow,
    InstanceRow,
    TaskRow,
    WaitingPartyRow,
)
from shared.errors import NotFound
from shared.policy import Actor, widest, within

DESK_ROWS_MAX = 100
PAGE_ROWS = 50
USUAL_DAYS = 90
QUEUES_MAX = 20
STORY_ROWS_MAX = 300
CHECK_PERMISSION = "order.approve"


@dataclass(frozen=True, slots=True)
class Line:
    """A task with what a desk shows of its instance."""

    task: TaskRow
    instance: InstanceRow


@dataclass(frozen=True, slots=True)
class DeskView:
    """One person's desk, each list ordered by what is at stake."""

    mine: list[Line]
    approvals: list[Line]
    queued: list[Line]
    handed_on: list[Line]
    waiting: int  # parties that wait for a place
    capacity: int  # places of a business day
    watched: list[str]  # audiences: the queues the person serves, the desks he stands in for


def desk_of(session: Session, actor: Actor, day: date) -> DeskView:
    """My tasks and approvals, the queues I serve, and what I handed on."""
    owners = [actor.id, *people.stands_in_for(session, actor.id, day)]
    held = _lines(session, TaskRow.staff_id.in_(owners), text(ON_A_DESK))
    grants = people.places_of_roles(session, actor.id, day)
    queued = _lines(
        session,
        TaskRow.staff_id.is_(None),
        _served(grants),
        or_(TaskRow.maker_id.is_(None), TaskRow.maker_id != actor.id),
        text(ON_A_DESK),
    )
    handed_on = [
        Line(task, instance)
        for task, instance in session.execute(
            select(TaskRow, InstanceRow)
            .join(InstanceRow, InstanceRow.instance_id == TaskRow.instance_id)
            .where(TaskRow.task_id.in_(_handed_on_by(actor.id)), TaskRow.staff_id != actor.id)
            .order_by(TaskRow.completed_at.is_not(None), TaskRow.assigned_at.desc())
            .limit(PAGE_ROWS)
        )
    ]
    waiting = session.scalar(
        select(func.count()).where(WaitingPartyRow.desk == f"staff:{actor.id}")
    )
    return DeskView(
        mine=[line for line in held if line.task.kind == "user"],
        approvals=[line for line in held if line.task.kind == "receive"],
        queued=queued,
        handed_on=handed_on,
        waiting=waiting or 0,
        capacity=people.capacity_of(session, actor.id),
        watched=[*_queues(session, grants), *(f"staff:{one}" for one in owners[1:])],
    )


def _handed_on_by(staff_id: str) -> CompoundSelect[tuple[str]]:
    """Steps that he gave to somebody, and tasks that he passed on: whoever has them by now."""
    passed_on = (
        select(TaskRow.task_id)
        .join(
            EntryRow,
            and_(
                EntryRow.instance_id == TaskRow.instance_id, EntryRow.step_id == TaskRow.step_id
            ),
        )
        .where(EntryRow.kind == "handed_off", EntryRow.actor_id == staff_id)
    )
    return union(select(TaskRow.task_id).where(TaskRow.handed_by == staff_id), passed_on)


def _queues(session: Session, grants: list[tuple[str, str, str]]) -> list[str]:
    """The queues a person serves, as audiences: of the place itself and of branches below it."""
    found = {f"queue:{role}:{path}" for role, _, path in grants}
    branches = session.scalars(
        select(DepartmentRow.org_path).where(DepartmentRow.branch_code.is_not(None))
    ).all()
    for role, scope, path in grants:
        if scope in ("subtree", "all"):
            found |= {f"queue:{role}:{b}" for b in branches if within(b, path) or scope == "all"}
    return sorted(found)[:QUEUES_MAX]


def _served(grants: list[tuple[str, str, str]]) -> ColumnElement[bool]:
    """SQL of `rules.serves_queue`."""
    conditions: list[ColumnElement[bool]] = []
    for role, scope, path in grants:
        at: ColumnElement[bool] = TaskRow.org_path == path
        if scope == "subtree":
            at = or_(at, TaskRow.org_path.startswith(path.rstrip("/") + "/", autoescape=True))
        conditions.append(and_(TaskRow.role == role, true() if scope == "all" else at))
    return or_(false(), *conditions)


def _lines(session: Session, *where: Any) -> list[Line]:
    rows = session.execute(
        select(TaskRow, InstanceRow)
        .join(InstanceRow, InstanceRow.instance_id == TaskRow.instance_id)
        .where(*where)
        .order_by(TaskRow.stake_minor.desc(), TaskRow.due_at, TaskRow.task_id)
        .limit(DESK_ROWS_MAX)
    )
    return [Line(task, instance) for task, instance in rows]


def visible_to(actor: Actor, day_owners: Collection[str]) -> ColumnElement[bool]:
    """Instances within the actor's scope of process.view, and those he has worked in."""
    conditions: list[ColumnElement[bool]] = [_involved(day_owners)]
    for scope in widest(actor, "process.view"):
        if scope.kind == "all":
            return true()
        if scope.kind == "department":
            conditions.append(InstanceRow.org_path == scope.path)
        if scope.kind == "subtree":
            below = scope.path.rstrip("/") + "/"
            conditions.append(
                or_(
                    InstanceRow.org_path == scope.path,
                    InstanceRow.org_path.startswith(below, autoescape=True),
                )
            )
    return or_(*conditions)


def _involved(staff_ids: Collection[str]) -> ColumnElement[bool]:
    return or_(
        InstanceRow.data["maker_id"].astext.in_(staff_ids),
        exists().where(
            TaskRow.instance_id == InstanceRow.instance_id,
            or_(
                TaskRow.staff_id.in_(staff_ids),
                TaskRow.completed_by.in_(staff_ids),
                TaskRow.maker_id.in_(staff_ids),
            ),
        ),
        exists().where(  # also who held it before it was passed on, and who passed it on
            EntryRow.instance_id == InstanceRow.instance_id,
            or_(
                EntryRow.actor_id.in_(staff_ids),
                EntryRow.to.in_([f"staff:{one}" for one in staff_ids]),
            ),
        ),
    )


@dataclass(frozen=True, slots=True)
class Filters:
    """What the list of processes shows; it lives in the address."""

    state: str = "open"  # open, finished, all
    definition: str | None = None
    party_id: str | None = None
    order_id: str | None = None
    before: tuple[datetime, str] | None = None  # keyset: opened_at, instance_id


def processes(session: Session, actor: Actor, day: date, filters: Filters) -> list[InstanceRow]:
    """Newest first, one page and one row more: the row more says there is a next page."""
    owners = [actor.id, *people.stands_in_for(session, actor.id, day)]
    query = select(InstanceRow).where(visible_to(actor, owners))
    if filters.state == "open":
        query = query.where(InstanceRow.finished_at.is_(None))
    if filters.state == "finished":
        query = query.where(InstanceRow.finished_at.is_not(None))
    if filters.definition:
        query = query.where(InstanceRow.definition_key == filters.definition)
    if filters.party_id:
        query = query.where(InstanceRow.party_id == filters.party_id)
    if filters.order_id:
        query = query.where(InstanceRow.order_id == filters.order_id)
    if filters.before:
        opened_at, instance_id = filters.before
        query = query.where(
            or_(
                InstanceRow.opened_at < opened_at,
                and_(InstanceRow.opened_at == opened_at, InstanceRow.instance_id < instance_id),
            )
        )
    query = query.order_by(InstanceRow.opened_at.desc(), InstanceRow.instance_id.desc())
    return list(session.scalars(query.limit(PAGE_ROWS + 1)))


def tasks_on_desks(session: Session, instance_ids: Collection[str]) -> dict[str, list[TaskRow]]:
    """Who holds each instance now."""
    found: dict[str, list[TaskRow]] = {}
    for task in session.scalars(
        select(TaskRow).where(TaskRow.instance_id.in_(instance_ids), text(ON_A_DESK))
    ):
        found.setdefault(task.instance_id, []).append(task)
    return found


@dataclass(frozen=True, slots=True)
class Story:
    """One instance with everything its page shows."""

    instance: InstanceRow
    definition: DefinitionRow
    tasks: list[TaskRow]
    entries: list[EntryRow]
    alerts: list[AlertRow]
    usual_hours: dict[str, float]  # step -> median hours from desk to done


def story_of(session: Session, actor: Actor, day: date, instance_id: str) -> Story | None:
    """None when there is no such instance, or the actor may not know of it."""
    owners = [actor.id, *people.stands_in_for(session, actor.id, day)]
    grants = people.places_of_roles(session, actor.id, day)
    in_my_queue = exists().where(
        TaskRow.instance_id == InstanceRow.instance_id, TaskRow.staff_id.is_(None), _served(grants)
    )
    instance = session.scalars(
        select(InstanceRow).where(
            InstanceRow.instance_id == instance_id, or_(visible_to(actor, owners), in_my_queue)
        )
    ).one_or_none()
    if instance is None:
        return None
    definition = session.get(DefinitionRow, (instance.definition_key, instance.definition_version))
    assert definition is not None, "a foreign key promises it"
    tasks = session.scalars(
        select(TaskRow)
        .where(TaskRow.instance_id == instance_id)
        .order_by(TaskRow.assigned_at, TaskRow.task_id)
    )
    entries = session.scalars(
        select(EntryRow)
        .where(EntryRow.instance_id == instance_id)
        .order_by(EntryRow.id.desc())
        .limit(STORY_ROWS_MAX)
    )
    alerts = session.scalars(
        select(AlertRow).where(AlertRow.instance_id == instance_id).order_by(AlertRow.raised_at)
    )
    return Story(
        instance, definition, list(tasks), list(entries), list(alerts),
        usual_hours(session, instance.definition_key, day),
    )  # fmt: skip


def usual_hours(session: Session, definition_key: str, day: date) -> dict[str, float]:
    """Median hours of each step from assignment to done, over the last 90 days."""
    since = datetime.combine(day - timedelta(days=USUAL_DAYS), time.min, UTC)
    taken = func.extract("epoch", TaskRow.completed_at - TaskRow.assigned_at)
    rows = session.execute(
        select(TaskRow.step_id, func.percentile_cont(0.5).within_group(taken) / 3600)
        .join(InstanceRow, InstanceRow.instance_id == TaskRow.instance_id)
        .where(InstanceRow.definition_key == definition_key, TaskRow.completed_at >= since)
        .group_by(TaskRow.step_id)
    )
    return {step: float(hours) for step, hours in rows}


def participants(session: Session, actor: Actor, day: date, near: str) -> list[Candidate]:
    """Whom a task can be handed to, the fittest first; the actor himself is not among them."""
    found = people.candidates(session, "task.act", day)
    return by_load((one for one in found if one.staff_id != actor.id), near)


class TaskUnknown(NotFound):
    """No such task, or the actor may not know of it."""

    def __init__(self, task_id: str) -> None:
        super().__init__(
            {"zh-CN": f"没有任务 {task_id},或您无权查看。",
             "en": f"There is no task {task_id}, or it is not yours to see."}
        )  # fmt: skip


def participants_for(
    session: Session, actor: Actor, day: date, task_id: str
) -> tuple[TaskRow, list[Candidate]]:
    """A task and whom it can be handed to. Raises TaskUnknown."""
    task = session.get(TaskRow, task_id)
    if task is None or story_of(session, actor, day, task.instance_id) is None:
        raise TaskUnknown(task_id)
    return task, takers_of(session, task, actor, day)


def takers_of(session: Session, task: TaskRow, actor: Actor, day: date) -> list[Candidate]:
    """Whom the actor can hand the task to, the nearest first: not to himself, nor to who has it,
    nor to the maker of what it checks."""
    place = session.scalars(
        select(InstanceRow.org_path).where(InstanceRow.instance_id == task.instance_id)
    ).one()
    found = people.takers(session, permission_for(task), place, day)
    left_out = (actor.id, task.staff_id, task.maker_id)
    return [one for one in found if one.staff_id not in left_out]


def permission_for(task: TaskRow) -> str:
    """What one must hold to do a task: a decision of another service has its own permission."""
    return CHECK_PERMISSION if task.kind == "receive" else "task.act"


def definitions(session: Session) -> list[DefinitionRow]:
    """The newest version of each process."""
    return list(
        session.scalars(
            select(DefinitionRow)
            .distinct(DefinitionRow.key)
            .order_by(DefinitionRow.key, DefinitionRow.version.desc())
        )
    )


def hours_since(start: datetime, end: datetime) -> float:
    return (end - start).total_seconds() / 3600
