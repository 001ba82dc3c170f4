"""An open task opens its party: who does it must see whom it is about."""

from collections.abc import Collection

from sqlalchemy import text
from sqlalchemy.orm import Session

from shared.open_work import Desk

OPEN_TASKS = text(
    """
    select distinct member.root_id, task.staff_id, task.role, task.org_path
      from parties member
      join tasks task on task.party_id = member.party_id and task.state <> 'completed'
      left join processes process on process.process_instance_id = task.process_instance_id
     where member.root_id = any(:root_ids) and process.finished_at is null
    """
)


def parties_on_desk(session: Session, root_ids: Collection[str], of: Desk) -> set[str]:
    """Which of these present parties an open task on the desk is about."""
    if not root_ids:
        return set()
    rows = session.execute(OPEN_TASKS, {"root_ids": sorted(root_ids)})
    return {row.root_id for row in rows if of.has(row.staff_id, row.role, row.org_path)}
