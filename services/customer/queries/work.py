"""An open task opens its party: who holds it, or serves its queue, must see whom it is about."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.directory import Directory, Grant
from shared.policy import Actor

OPEN_TASKS = text(
    """
    select distinct member.root_id, task.staff_id, task.role, task.org_path
      from parties member
      join tasks task on task.party_id = member.party_id and task.state <> 'completed'
      left join processes process on process.process_instance_id = task.process_instance_id
     where member.root_id = any(:root_ids) and process.finished_at is null
    """
)


@dataclass(frozen=True, slots=True)
class Desk:
    """Whose tasks a reader does: his own, of those he stands in for, and out of these queues."""

    staff_ids: frozenset[str]
    grants: tuple[Grant, ...]

    def has(self, staff_id: str | None, role: str | None, org_path: str | None) -> bool:
        if staff_id is not None:
            return staff_id in self.staff_ids
        return any(grant.serves_queue(role or "", org_path or "") for grant in self.grants)


def desk(directory: Directory, actor: Actor, at: datetime) -> Desk:
    """The actor's desk on the date of `at`, as workflow would show it."""
    return Desk(
        frozenset({actor.id, *directory.stands_in_for(actor.id, at)}),
        tuple(directory.grants(actor.id, at)),
    )


def parties_on_desk(session: Session, root_ids: Collection[str], of: Desk) -> set[str]:
    """Which of these present parties an open task on the desk is about."""
    if not root_ids:
        return set()
    rows = session.execute(OPEN_TASKS, {"root_ids": sorted(root_ids)})
    return {row.root_id for row in rows if of.has(row.staff_id, row.role, row.org_path)}
