"""An open task opens its subject to whoever does it: the holder, his deputy, who serves its queue.

Outside his usual data scope a member of staff sees the party, the order and the process of a task
on his desk for as long as it is open. Every service judges this from its own copy of
`task.handoffs`.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, Session, declared_attr, mapped_column

from shared.db import Tx
from shared.directory import Directory, Grant
from shared.events.envelope import Event, Fact
from shared.events.workflow import (
    ProcessFinished,
    TaskAssigned,
    TaskClaimed,
    TaskCompleted,
    TaskDue,
    TaskFact,
    TaskHandedOff,
)
from shared.policy import Actor

OPEN = "is_open"


class OpenTaskColumns:
    """The table of a service that judges by it: a mixin, for it is not every service's."""

    __tablename__ = "open_tasks"
    task_id: Mapped[str] = mapped_column(primary_key=True)
    process_instance_id: Mapped[str] = mapped_column(index=True)
    party_id: Mapped[str | None]
    customer_number: Mapped[str | None]
    order_id: Mapped[str | None]
    staff_id: Mapped[str | None]
    role: Mapped[str | None]
    org_path: Mapped[str | None]
    is_open: Mapped[bool]
    sequence: Mapped[int]  # of the process instance: a fact that comes late changes nothing

    @declared_attr.directive
    def __table_args__(cls) -> tuple[Index, ...]:  # noqa: N805 - SQLAlchemy passes the class
        return tuple(
            Index(f"open_tasks_of_{name}", f"{name}_{key}", postgresql_where=text(OPEN))
            for name, key in (("party", "id"), ("customer", "number"), ("order", "id"))
        )


KEEP = text(
    """
    insert into open_tasks (task_id, process_instance_id, party_id, customer_number, order_id,
                            staff_id, role, org_path, is_open, sequence)
    values (:task_id, :process_instance_id, :party_id, :customer_number, :order_id,
            :staff_id, :role, :org_path, :is_open, :sequence)
    on conflict (task_id) do update
       set party_id = excluded.party_id, customer_number = excluded.customer_number,
           order_id = excluded.order_id, staff_id = excluded.staff_id, role = excluded.role,
           org_path = excluded.org_path, is_open = excluded.is_open, sequence = excluded.sequence
     where open_tasks.sequence < excluded.sequence
    """
)
CLOSE = text(
    """
    update open_tasks set is_open = false, sequence = greatest(sequence, :sequence)
     where process_instance_id = :process_instance_id
    """
)
ABOUT = text(
    """
    select staff_id, role, org_path from open_tasks
     where is_open and (party_id = any(:parties) or customer_number = any(:numbers)
                        or order_id = any(:orders) or process_instance_id = any(:processes))
    """
)


def on_task(tx: Tx, event: Event[TaskFact]) -> None:
    fact = event.data
    tx.session.execute(
        KEEP,
        {
            "task_id": fact.task_id,
            "process_instance_id": fact.process_instance_id,
            "party_id": fact.party_id,
            "customer_number": fact.customer_number,
            "order_id": fact.order_id,
            "staff_id": fact.to_staff_id,
            "role": fact.role,
            "org_path": fact.org_path,
            "is_open": not isinstance(fact, TaskCompleted),
            "sequence": event.sequence or 0,
        },
    )


def on_process_finished(tx: Tx, event: Event[ProcessFinished]) -> None:
    """A task that was withdrawn with its process has no fact of its own."""
    closed = {
        "process_instance_id": event.data.process_instance_id,
        "sequence": event.sequence or 0,
    }
    tx.session.execute(CLOSE, closed)


TASKS: tuple[type[TaskFact], ...] = (
    TaskAssigned, TaskClaimed, TaskHandedOff, TaskDue, TaskCompleted,
)  # fmt: skip
HANDLERS: dict[type[Fact], Callable[[Tx, Event[Any]], None]] = {
    **dict.fromkeys(TASKS, on_task),
    ProcessFinished: on_process_finished,
}


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose tasks a reader does: his own, of those he stands in for, and out of these queues."""

    staff_ids: frozenset[str]
    grants: tuple[Grant, ...]

    def has(self, staff_id: str | None, role: str | None, org_path: str | None) -> bool:
        if staff_id is not None:
            return staff_id in self.staff_ids
        return any(grant.serves_queue(role or "", org_path or "") for grant in self.grants)

    def has_open(
        self,
        session: Session,
        *,
        parties: Iterable[str] = (),
        numbers: Iterable[str] = (),
        orders: Iterable[str] = (),
        processes: Iterable[str] = (),
    ) -> bool:
        """Is an open task about one of these on the desk?"""
        about = {
            "parties": list(parties),
            "numbers": list(numbers),
            "orders": list(orders),
            "processes": list(processes),
        }
        rows = session.execute(ABOUT, about)
        return any(self.has(row.staff_id, row.role, row.org_path) for row in rows)


def desk_of(directory: Directory, actor: Actor, at: datetime) -> Desk:
    """The actor's desk on the date of `at`, as workflow would show it."""
    return Desk(
        frozenset({actor.id, *directory.stands_in_for(actor.id, at)}),
        tuple(directory.grants(actor.id, at)),
    )
