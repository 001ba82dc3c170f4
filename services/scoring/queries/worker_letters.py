"""The worker's letters as the operations page lists them."""

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from services.scoring.tables import WorkerLetterRow
from shared.events.bank import DayClosed
from shared.events.scoring import EventReplayed

KEY_CHARS_MAX = 200  # of an identifier in an event


def waiting_letters(session: Session, after: int, limit: int) -> list[dict[str, Any]]:
    """What waits for a decision, oldest first; `path` is where to decide, below `/ops`."""
    rows = session.execute(
        select(WorkerLetterRow, WorkerLetterRow.payload.is_(None).label("not_kept"))
        .options(defer(WorkerLetterRow.payload, raiseload=True))
        .where(WorkerLetterRow.state == "waiting", WorkerLetterRow.id > after)
        .order_by(WorkerLetterRow.id)
        .limit(limit)
    )
    return [
        {
            "id": f"worker-{row.id}",
            "path": f"worker-letters/{row.id}",
            "reader": "worker",
            "obstacle": "not_kept" if not_kept else _obstacle(row),
            "kind": row.kind,
            "state": row.state,
            "topic": row.topic,
            "partition": row.partition,
            "offset": row.event_offset,
            "key": row.key,
            "type": row.type,
            "field": row.field,
            "reason": row.reason,
            "recorded_at": row.recorded_at.isoformat(),
        }
        for row, not_kept in rows
    ]


def waiting_count(session: Session) -> int:
    return session.execute(
        select(func.count()).select_from(WorkerLetterRow).where(WorkerLetterRow.state == "waiting")
    ).scalar_one()


def obstacle(row: WorkerLetterRow) -> str | None:
    """Why a replay cannot reach the worker; none when it can."""
    return "not_kept" if row.payload is None else _obstacle(row)


def _obstacle(row: WorkerLetterRow) -> str | None:
    if row.topic == EventReplayed.TOPIC:
        return "not_kept"  # an input of our own making; its event has a letter of its own
    if row.type == DayClosed.TYPE:
        return "close"
    if row.key is None or not 1 <= len(row.key) <= KEY_CHARS_MAX:
        return "no_key"
    return None
