"""The worker's letters as the operations page lists them."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session, defer

from services.scoring.queries.reach import by_reach, parameters_of
from services.scoring.tables import WorkerLetterRow
from shared.events.bank import DayClosed
from shared.events.scoring import EventReplayed
from shared.reach import Reach

KEY_CHARS_MAX = 200  # of an identifier in an event
# Events that are in no figure until they are replayed, or given up. A close has no amount.
_SUMS = f"""
    select count(*) as events,
           coalesce(sum(abs(w.amount_minor)) filter (where w.currency = :currency), 0)
             as amount_minor
      from worker_letters w
     where w.state = 'waiting' and w.topic = 'bank.events'
       and w.type is distinct from '{DayClosed.TYPE}'"""  # noqa: S608 - names are ours
UNBOOKED = by_reach(f"{_SUMS} and {{mine}}", number="w.key")
UNBOOKED_OF_PARTY = text(
    f"{_SUMS} and w.key in (select customer_number from numbers"  # noqa: S608 - names are ours
    " where party_id = :party_id)"
)


@dataclass(frozen=True, slots=True)
class Unbooked:
    """How many events wait, and the amounts of those in the bank's currency, without their sign."""

    events: int
    amount_minor: int


def waiting_letters(session: Session, after: int, limit: int) -> list[dict[str, Any]]:
    """What waits for a decision, oldest first; `path` is where to decide, below `/ops`."""
    rows = session.execute(
        select(WorkerLetterRow, func.length(WorkerLetterRow.payload).label("size"))
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
            "obstacle": _obstacle(row, size),
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
        for row, size in rows
    ]


def waiting_count(session: Session) -> int:
    return session.execute(
        select(func.count()).select_from(WorkerLetterRow).where(WorkerLetterRow.state == "waiting")
    ).scalar_one()


def obstacle(row: WorkerLetterRow) -> str | None:
    """Why a replay cannot reach the worker; none when it can."""
    return _obstacle(row, None if row.payload is None else len(row.payload))


def _obstacle(row: WorkerLetterRow, size: int | None) -> str | None:
    """`size` is that of its content; none: it was not kept."""
    if size is None:
        return "not_kept"
    if size == 0:
        return "empty"
    if row.topic == EventReplayed.TOPIC:
        return "not_kept"  # an input of our own making; its event has a letter of its own
    if row.type == DayClosed.TYPE:
        return "close"
    if row.key is None or not 1 <= len(row.key) <= KEY_CHARS_MAX:
        return "no_key"
    return None


def unbooked(session: Session, reach: Reach, currency: str) -> Unbooked:
    """What the worker could not book of all that the reader may see."""
    asked = {**parameters_of(reach), "currency": currency}
    row = session.execute(UNBOOKED[reach.everything], asked).one()
    return Unbooked(row.events, int(row.amount_minor))


def unbooked_of_party(session: Session, party_id: str, currency: str) -> Unbooked:
    """The same of one party's numbers. The caller has checked the reach."""
    row = session.execute(UNBOOKED_OF_PARTY, {"party_id": party_id, "currency": currency}).one()
    return Unbooked(row.events, int(row.amount_minor))
