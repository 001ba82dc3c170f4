"""The runtime of processes: open an instance, step it, and keep its tasks beside its tokens.

One transaction = lock the instance row, restore, step, save.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import delete, select

from services.workflow import bpmn, engine
from services.workflow.actions import ACTIONS, ActionCall
from services.workflow.commands.definitions import definition_to_start
from services.workflow.commands.story import add_entry, process_fields, task_fields
from services.workflow.queries import people
from services.workflow.queries.people import Desk
from services.workflow.queries.work import CHECK_PERMISSION
from services.workflow.rules import branch_of, checker_for, due_after
from services.workflow.tables import DefinitionRow, InstanceRow, SubscriptionRow, TaskRow
from services.workflow.workdays import is_workday
from shared import outbox, timers
from shared.clock import business_date
from shared.db import Tx
from shared.errors import NotFound
from shared.events.fact import Cause
from shared.events.workflow import (
    ProcessFinished,
    ProcessStarted,
    TaskAssigned,
    TaskCompleted,
)
from shared.ids import new_id

Text = dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What a new instance is about and whose it is first."""

    definition_key: str
    business_key: str
    owner: Desk
    stake_minor: int
    currency: str
    reason: Text
    cause: Sequence[Cause]
    correlation_id: str | None = None
    party_id: str | None = None
    order_id: str | None = None
    data: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Choice:
    """What a person decided about the next step; none of it: the definition's own rules."""

    desk: Desk | None = None
    due_at: datetime | None = None


NO_CHOICE = Choice()


@dataclass(frozen=True, slots=True)
class Run:
    """One step of one instance: what is locked, on which version, and who did it, if anyone."""

    tx: Tx
    instance: InstanceRow
    definition: DefinitionRow
    actor_id: str | None = None

    @property
    def steps(self) -> dict[str, bpmn.Step]:
        return steps_of(self.definition)


class InstanceUnknown(NotFound):
    """No such process instance, or the actor may not know of it."""

    def __init__(self, instance_id: str) -> None:
        super().__init__(
            {"zh-CN": f"没有流程 {instance_id},或您无权查看。",
             "en": f"There is no process {instance_id}, or it is not yours to see."}
        )  # fmt: skip


@lru_cache(maxsize=64)
def steps_of_definition(sha256: str, xml: str) -> dict[str, bpmn.Step]:
    """The steps of a published version; the hash makes the cache right for ever."""
    del sha256
    return bpmn.steps_of_xml(xml)


def steps_of(row: DefinitionRow) -> dict[str, bpmn.Step]:
    return steps_of_definition(row.sha256, row.xml)


def open_instance(tx: Tx, opening: Opening) -> InstanceRow:
    """Starts an instance and puts its first tasks on desks. The caller has locked the subject."""
    definition = definition_to_start(tx, opening.definition_key)
    instance = InstanceRow(
        instance_id=new_id("PI"),
        definition_key=definition.key,
        definition_version=definition.version,
        business_key=opening.business_key,
        state={},
        party_id=opening.party_id,
        order_id=opening.order_id,
        stake_minor=opening.stake_minor,
        currency=opening.currency,
        reason=dict(opening.reason),
        cause=[msgspec.to_builtins(cause) for cause in opening.cause],
        correlation_id=opening.correlation_id,
        data=opening.data,
        org_path=opening.owner.org_path,
        opened_at=tx.bank_now,
    )
    tx.session.add(instance)
    tx.session.flush()
    token = {
        "party_id": opening.party_id,
        "order_id": opening.order_id,
        "stake_minor": opening.stake_minor,
    }
    stepped = engine.start(definition.spec, token)
    outbox.enqueue(
        tx,
        ProcessStarted(
            **process_fields(tx, instance),
            definition=definition.key,
            version=definition.version,
            cause=opening.cause[0],
            text=dict(opening.reason),
            link=f"/workflow/processes/{instance.instance_id}",
        ),
    )
    add_entry(tx, instance, "opened", definition.text)
    _keep(Run(tx, instance, definition), stepped, opening.owner, NO_CHOICE)
    return instance


def locked_instance(tx: Tx, instance_id: str) -> InstanceRow:
    """The instance, locked for this transaction. Raises InstanceUnknown."""
    row = tx.session.scalars(
        select(InstanceRow)
        .where(InstanceRow.instance_id == instance_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    ).one_or_none()
    if row is None:
        raise InstanceUnknown(instance_id)
    if row.correlation_id and tx.message is None:
        tx.correlation_id = row.correlation_id  # what people do belongs to the same story
    return row


def complete_step(run: Run, task: TaskRow, outcome: str, choice: Choice) -> None:
    """A person did a step; the token goes on and the next tasks come to their desks."""
    stepped = engine.complete(
        run.definition.spec, run.instance.state, task.engine_task_id, {"outcome": outcome}
    )
    person = people.on_the_staff(run.tx.session, run.actor_id)
    before = (
        Desk(person.staff_id, None, person.org_path)
        if person is not None
        else Desk(task.staff_id, task.role, task.org_path)
    )
    _close_task(run, task, outcome)
    _keep(run, stepped, before, choice)


def receive_message(run: Run, engine_task_id: str, outcome: str) -> None:
    """The owner of a record decided; the token that waited for it goes on."""
    stepped = engine.receive(
        run.definition.spec, run.instance.state, engine_task_id, {"outcome": outcome}
    )
    task = run.tx.session.scalars(
        select(TaskRow).where(
            TaskRow.instance_id == run.instance.instance_id,
            TaskRow.engine_task_id == engine_task_id,
        )
    ).one()
    before = Desk(task.staff_id, task.role, task.org_path)
    _close_task(run, task, outcome)
    _keep(run, stepped, before, NO_CHOICE)


def _keep(run: Run, stepped: engine.Stepped, before: Desk, choice: Choice) -> None:
    """Saves the tokens, performs what service steps asked, makes tasks of what waits now."""
    session, instance = run.tx.session, run.instance
    instance.state = stepped.state
    for step_id, data in stepped.calls:
        action = run.steps[step_id].action
        assert action is not None, "a published definition names the action of a service step"
        ACTIONS[action](run.tx, ActionCall(step_id, instance, data, run.actor_id))
    known = set(
        session.scalars(
            select(TaskRow.engine_task_id).where(TaskRow.instance_id == instance.instance_id)
        )
    )
    for waiting in stepped.waiting:
        if waiting.engine_task_id not in known and waiting.step_id in run.steps:
            _assign(run, waiting, before, choice)
    if stepped.finished:
        _finish(run, stepped.data.get("outcome"))
    session.flush()


def _assign(run: Run, waiting: engine.Waiting, before: Desk, choice: Choice) -> None:
    tx, instance, step = run.tx, run.instance, run.steps[waiting.step_id]
    desk = _desk_for(run, step, before, choice)
    due_at = choice.due_at
    if due_at is None and step.due_workdays is not None:
        due_at = due_after(tx.bank_now, step.due_workdays, is_workday, tx.clock.zone)
    task = TaskRow(
        task_id=new_id("T"),
        instance_id=instance.instance_id,
        engine_task_id=waiting.engine_task_id,
        step_id=step.id,
        kind=step.kind,
        text=dict(step.text),
        state="open",
        staff_id=desk.staff_id,
        role=desk.role,
        org_path=desk.org_path,
        party_id=instance.party_id,
        order_id=instance.order_id,
        maker_id=instance.data.get("maker_id"),
        stake_minor=instance.stake_minor,
        currency=instance.currency,
        assigned_at=tx.bank_now,
        due_at=due_at,
        overdue=False,
        handed_by=before.staff_id if choice.desk and choice.desk != before else None,
    )
    tx.session.add(task)
    if step.message is not None:
        tx.session.add(
            SubscriptionRow(
                message=step.message,
                correlation_key=instance.business_key,
                instance_id=instance.instance_id,
                engine_task_id=waiting.engine_task_id,
            )
        )
    if due_at is not None:
        timers.arm(tx, "task_due", task.task_id, due_at)
    add_entry(tx, instance, "assigned", task.text, task=task)
    fields = task_fields(tx, instance, task)
    nobody_gave_it = run.actor_id is None and before.staff_id == task.staff_id
    giver_id = None if nobody_gave_it else before.staff_id
    outbox.enqueue(tx, TaskAssigned(**fields, from_staff_id=giver_id))


def _desk_for(run: Run, step: bpmn.Step, before: Desk, choice: Choice) -> Desk:
    if step.assign.startswith("role:"):
        return _desk_of_role(run, step.assign.removeprefix("role:"))
    if choice.desk is not None:
        return choice.desk
    if step.assign == "owner" and run.instance.party_id is not None:
        return people.desk_of_party(run.tx.session, run.instance.party_id, _today(run.tx))
    return before


def _desk_of_role(run: Run, role: str) -> Desk:
    """A checker with authority, near and with a short desk; else the queue of the role."""
    session, instance = run.tx.session, run.instance
    queue = Desk(None, role, branch_of(instance.org_path))
    amount = instance.data.get("amount_minor")
    if amount is None:
        return queue
    able = people.candidates(session, CHECK_PERMISSION, _today(run.tx), limit_of=CHECK_PERMISSION)
    chosen = checker_for(able, instance.data.get("maker_id", ""), amount, instance.org_path)
    return Desk(chosen.staff_id, role, chosen.org_path) if chosen is not None else queue


def _close_task(run: Run, task: TaskRow, outcome: str) -> None:
    tx, instance = run.tx, run.instance
    task.state = "done"
    task.outcome_code = outcome
    task.completed_at = tx.bank_now
    task.completed_by = run.actor_id
    timers.disarm(tx, "task_due", task.task_id)
    tx.session.execute(
        delete(SubscriptionRow).where(
            SubscriptionRow.instance_id == instance.instance_id,
            SubscriptionRow.engine_task_id == task.engine_task_id,
        )
    )
    known = run.steps[task.step_id].outcome(outcome)
    text = known.text if known is not None else {"zh-CN": outcome, "en": outcome}
    add_entry(tx, instance, "completed", text, task=task, actor_id=run.actor_id)
    fields = task_fields(tx, instance, task)
    if run.actor_id is not None:
        fields["from_staff_id"] = run.actor_id
    outbox.enqueue(tx, TaskCompleted(**fields, outcome_code=outcome))


def _finish(run: Run, outcome: str | None) -> None:
    tx, instance = run.tx, run.instance
    instance.finished_at = tx.bank_now
    instance.outcome_code = outcome
    named = [step.outcome(outcome) for step in run.steps.values() if outcome]
    text: Text = next((o.text for o in reversed(named) if o is not None), run.definition.text)
    add_entry(tx, instance, "finished", text)
    fields = process_fields(tx, instance)
    outbox.enqueue(tx, ProcessFinished(**fields, outcome_code=outcome, text=dict(text)))


def _today(tx: Tx) -> date:
    return business_date(tx.bank_now, tx.clock.zone)
