"""What people do with tasks: claim, hand off, complete, move the due time, delegate."""

from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from services.workflow.commands.definitions import definition_of
from services.workflow.commands.instances import (
    Choice,
    Run,
    complete_step,
    locked_instance,
)
from services.workflow.commands.organisation import record
from services.workflow.commands.story import add_entry, task_fields
from services.workflow.queries import people
from services.workflow.queries.people import Desk
from services.workflow.queries.work import TaskUnknown, permission_for
from services.workflow.rules import serves_queue
from services.workflow.tables import InstanceRow, TaskRow
from shared import outbox, timers
from shared.clock import business_date
from shared.db import Tx
from shared.errors import DomainError, Invalid, NotAllowed
from shared.events.workflow import AbsenceSet, TaskClaimed, TaskDue, TaskHandedOff
from shared.ids import new_id
from shared.policy import Actor, decide

NOTE_CHARS_MAX = 2_000
OWN_ORDER = {"zh-CN": "经办人不能复核自己的订单", "en": "The maker cannot check his own order"}
OUT_OF_REACH = {
    "zh-CN": "该员工不能办理此任务:须有办理权限,且在本支行,或主管本支行",
    "en": "This person cannot take the task: it needs the permission for it, and a place in its"
    " branch or over it",
}


class TaskNotOpen(DomainError):
    """The task was done or withdrawn in the meantime."""


class TaskTaken(DomainError):
    """Somebody else holds the task."""


class DecidedElsewhere(DomainError):
    """This decision is taken on the record's own page."""


class ParticipantUnfit(DomainError):
    """The chosen participant may not do this work, or is away without a deputy."""


def claim_task(tx: Tx, actor: Actor, task_id: str) -> TaskRow:
    """Takes a task out of a queue onto the actor's desk."""
    instance, task = _locked(tx, task_id)
    if task.staff_id == actor.id:
        return task  # a double click is not an error
    if task.staff_id is not None:
        raise TaskTaken({"zh-CN": "该任务已有人受理", "en": "Somebody holds this task already"})
    if not _rights(tx, actor, task).claim:
        raise NotAllowed(
            {"zh-CN": "您不在该任务的受理范围内", "en": "This queue is not one you serve"}
        )
    task.staff_id = actor.id
    task.state = "claimed"
    task.claimed_at = tx.bank_now
    add_entry(tx, instance, "claimed", task.text, task=task, actor_id=actor.id)
    outbox.enqueue(tx, TaskClaimed(**task_fields(tx, instance, task), from_staff_id=actor.id))
    return task


def complete_task(
    tx: Tx,
    actor: Actor,
    task_id: str,
    outcome: str,
    *,
    note: str | None = None,
    next_staff_id: str | None = None,
    next_due_at: datetime | None = None,
) -> InstanceRow:
    """Ends a step with one of its outcomes; the next participant may be chosen."""
    instance, task = _locked(tx, task_id)
    if task.kind != "user":
        raise DecidedElsewhere(
            {"zh-CN": "请在订单页面复核", "en": "Decide this on the page of the order"}
        )
    if not _rights(tx, actor, task).complete:
        raise NotAllowed({"zh-CN": "该任务不在您的桌面上", "en": "This task is not on your desk"})
    task.staff_id = task.staff_id or actor.id  # doing it is claiming it
    run = Run(tx, instance, definition_of(tx.session, instance), actor.id)
    if run.steps[task.step_id].outcome(outcome) is None:
        raise Invalid("outcome", {"zh-CN": "没有这个结果", "en": "There is no such outcome"})
    if note and len(note) > NOTE_CHARS_MAX:
        raise Invalid("note", {"zh-CN": "备注过长", "en": "The note is too long"})
    if next_due_at is not None and next_due_at <= tx.bank_now:
        raise Invalid("due_at", {"zh-CN": "期限应晚于现在", "en": "The due time has passed"})
    desk = _chosen_desk(tx, instance, "task.act", next_staff_id) if next_staff_id else None
    if note:
        add_entry(tx, instance, "note", task.text, task=task, actor_id=actor.id, note=note)
    complete_step(run, task, outcome, Choice(desk, next_due_at))
    return instance


def hand_off_task(
    tx: Tx,
    actor: Actor,
    task_id: str,
    to_staff_id: str,
    *,
    reason: str | None = None,
    due_at: datetime | None = None,
) -> TaskRow:
    """Passes a task and its data to a chosen participant. Holder, deputy or leader may."""
    instance, task = _locked(tx, task_id)
    if not _rights(tx, actor, task).hand_off:
        raise NotAllowed({"zh-CN": "您不能转交该任务", "en": "You may not hand off this task"})
    if task.maker_id is not None and to_staff_id == task.maker_id:
        raise ParticipantUnfit(OWN_ORDER)
    desk = _chosen_desk(tx, instance, permission_for(task), to_staff_id)
    if task.maker_id is not None and desk.staff_id == task.maker_id:
        raise ParticipantUnfit(OWN_ORDER)  # as the deputy of whom was chosen
    if desk.staff_id == task.staff_id:
        return task
    before = task.staff_id or actor.id  # a leader may take it off somebody's desk
    task.staff_id, task.org_path = desk.staff_id, desk.org_path
    task.state, task.claimed_at = "open", None
    task.handed_by, task.assigned_at = actor.id, tx.bank_now
    if due_at is not None:
        _move_due(tx, task, due_at)
    add_entry(tx, instance, "handed_off", task.text, task=task, actor_id=actor.id, note=reason)
    fields = task_fields(tx, instance, task)
    outbox.enqueue(tx, TaskHandedOff(**fields, from_staff_id=before, reason=reason))
    return task


def set_due(tx: Tx, actor: Actor, task_id: str, due_at: datetime) -> TaskRow:
    """Moves the due time of an open task."""
    instance, task = _locked(tx, task_id)
    if not _rights(tx, actor, task).hand_off:
        raise NotAllowed({"zh-CN": "您不能更改期限", "en": "You may not move the due time"})
    _move_due(tx, task, due_at)
    add_entry(tx, instance, "due_moved", task.text, task=task, actor_id=actor.id)
    return task


def say_due(tx: Tx, task_id: str) -> None:
    """The due time has come: only a task that is still open, and due now, is said to be."""
    instance, task = _locked(tx, task_id, must_be_open=False)
    if task.completed_at is not None or task.due_at is None or task.due_at > tx.bank_now:
        return
    task.overdue = True
    add_entry(tx, instance, "due", task.text, task=task)
    outbox.enqueue(tx, TaskDue(**task_fields(tx, instance, task)))


def delegate(
    tx: Tx,
    actor: Actor,
    *,
    staff_id: str,
    deputy_staff_id: str,
    from_on: date,
    until_on: date,
) -> str:
    """Lets a deputy stand in from a day until before a day. One's own, or by the organisation."""
    if staff_id != actor.id:
        person = people.on_the_staff(tx.session, staff_id)
        path = person.org_path if person is not None else "/"
        if not decide(actor, "organisation.edit", org_path=path).allowed:
            raise NotAllowed(
                {"zh-CN": "您不能为他人设置代理", "en": "You may not set a deputy for others"}
            )
    absence_id = new_id("AB")
    record(
        tx,
        actor.id,
        AbsenceSet(
            absence_id=absence_id,
            staff_id=staff_id,
            from_on=from_on,
            until_on=until_on,
            deputy_staff_id=deputy_staff_id,
        ),
    )
    return absence_id


def end_delegation(tx: Tx, actor: Actor) -> None:
    """The actor is back earlier than planned: what holds today or begins later is taken back."""
    today = _today(tx)
    for absence in people.absences_from(tx.session, actor.id, today):
        record(
            tx,
            actor.id,
            AbsenceSet(
                absence_id=absence.absence_id,
                staff_id=absence.staff_id,
                from_on=absence.from_on,
                until_on=absence.until_on,
                deputy_staff_id=absence.deputy_staff_id,
                cancelled=True,
            ),
        )


@dataclass(frozen=True, slots=True)
class Rights:
    """What an actor may do with one open task."""

    claim: bool
    complete: bool
    hand_off: bool


def rights_on(session: Session, actor: Actor, task: TaskRow, day: date) -> Rights:
    """The holder and the deputy complete it, who serves its queue claims it, a leader within
    scope may hand it on too; nobody claims what he made himself."""
    holds = task.staff_id is not None and (
        task.staff_id == actor.id or task.staff_id in people.stands_in_for(session, actor.id, day)
    )
    claims = (
        task.staff_id is None
        and task.maker_id != actor.id
        and serves_queue(people.places_of_roles(session, actor.id, day), task.role, task.org_path)
    )
    leads = decide(actor, "task.handoff", org_path=task.org_path).allowed
    return Rights(
        claim=claims and "task.act" in actor.permissions,
        complete=(holds or claims) and task.kind == "user" and "task.act" in actor.permissions,
        hand_off=(holds or claims or leads) and "task.handoff" in actor.permissions,
    )


def _rights(tx: Tx, actor: Actor, task: TaskRow) -> Rights:
    return rights_on(tx.session, actor, task, _today(tx))


def _chosen_desk(tx: Tx, instance: InstanceRow, permission: str, staff_id: str) -> Desk:
    """The chosen person's desk; his deputy's while he is away. Raises ParticipantUnfit."""
    today = _today(tx)
    person = people.on_the_staff(tx.session, staff_id)
    if person is not None and people.absence_of(tx.session, staff_id, today) is not None:
        desk = people.desk_of_person(tx.session, person, today)
        if desk.staff_id is None:
            raise ParticipantUnfit(
                {"zh-CN": "该员工离岗且未设代理", "en": "This person is away and has no deputy"}
            )
    able = people.takers(tx.session, permission, instance.org_path, today)
    if person is None or staff_id not in {one.staff_id for one in able}:
        raise ParticipantUnfit(OUT_OF_REACH)
    return people.desk_of_person(tx.session, person, today)


def _move_due(tx: Tx, task: TaskRow, due_at: datetime) -> None:
    if due_at <= tx.bank_now:
        raise Invalid("due_at", {"zh-CN": "期限应晚于现在", "en": "The due time has passed"})
    task.due_at, task.overdue = due_at, False
    timers.arm(tx, "task_due", task.task_id, due_at)


def _locked(tx: Tx, task_id: str, *, must_be_open: bool = True) -> tuple[InstanceRow, TaskRow]:
    instance_id = tx.session.scalar(select(TaskRow.instance_id).where(TaskRow.task_id == task_id))
    if instance_id is None:
        raise TaskUnknown(task_id)
    instance = locked_instance(tx, instance_id)
    task = tx.session.get(TaskRow, task_id, populate_existing=True)
    assert task is not None
    if must_be_open and task.state not in ("open", "claimed"):
        raise TaskNotOpen({"zh-CN": "该任务已办结", "en": "This task is done already"})
    return instance, task


def _today(tx: Tx) -> date:
    return business_date(tx.bank_now, tx.clock.zone)
