"""Messages that could not be applied: kept whole, listed, replayed or discarded by a person.

dead: unreadable, or against the contract. quarantined: of a version or date not yet acceptable.
parked: our code failed on it; it holds its (topic, key) until resolved. refused: a rule said no;
recorded only. Replay runs inside the failing service, in its listener, from this table.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import func, insert, select, text, update
from sqlalchemy.orm import Session

from shared.db import AuditRow, DeadLetterRow, Tx
from shared.errors import DomainError
from shared.forgetting import Aging
from shared.wire import Record

OPEN = ("waiting", "replay")
PAGE_ROWS = 50
TEXT_CHARS_MAX = 2_000
# What waits for a person stays; of what is settled the audit keeps the decision, not the payload.
FORGET = text(
    """
    delete from dead_letters where id = any(array(
      select id from dead_letters
       where state in ('replayed', 'discarded', 'recorded')
         and coalesce(resolved_at, recorded_at) < :before
       order by id limit :rows for update skip locked))
    returning 1
    """
)
AGING = Aging("dead_letters", FORGET, lambda settings: settings.kept_days)
KEY_CHARS_MAX = 500  # what an index of the database can hold, with room for the topic


class LetterNotOpen(DomainError):
    """The message was replayed or discarded already."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a message is not applied."""

    kind: str  # dead, quarantined, parked, refused
    reason: str
    field: str | None = None
    type: str | None = None


def storable(text: str | None, chars_max: int = TEXT_CHARS_MAX) -> str | None:
    """What PostgreSQL can keep of a text from outside: no zero character, no lone surrogate."""
    if text is None:
        return None
    return text[:chars_max].replace("\0", "\ufffd").encode(errors="replace").decode()


def key_text(key: bytes | None) -> str | None:
    """A Kafka key as letters carry it. Keys that differ in what cannot be stored hold each other:
    rather too many wait than one overtakes."""
    return None if key is None else storable(key.decode(errors="replace"), KEY_CHARS_MAX)


class _Head(msgspec.Struct):
    type: str | None = None


_head = msgspec.json.Decoder(_Head)


def type_of(payload: bytes | None) -> str | None:
    """What a message says it is, where that much of it can be read, whatever is wrong with it."""
    try:
        return _head.decode(payload or b"").type
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def record(tx: Tx, letters: Iterable[tuple[Record, Verdict]]) -> None:
    rows = [
        {
            "kind": verdict.kind,
            "state": "recorded" if verdict.kind == "refused" else "waiting",
            "topic": rec.topic,
            "partition": rec.partition,
            "offset": rec.offset,
            "key": key_text(rec.key),
            "payload": rec.value,
            "type": storable(verdict.type or type_of(rec.value)),
            "field": storable(verdict.field),
            "reason": storable(verdict.reason),
            "timestamp_ms": rec.timestamp_ms,
            "recorded_at": tx.wall_now,
        }
        for rec, verdict in letters
    ]
    if rows:
        tx.session.execute(insert(DeadLetterRow), rows)


def held_keys(tx: Tx, topics: Iterable[str]) -> set[tuple[str, str]]:
    """The (topic, key) that wait behind a parked message."""
    rows = tx.session.execute(
        select(DeadLetterRow.topic, DeadLetterRow.key)
        .where(
            DeadLetterRow.kind == "parked",
            DeadLetterRow.state.in_(OPEN),
            DeadLetterRow.topic.in_(list(topics)),
        )
        .distinct()
    )
    return {(r.topic, r.key) for r in rows}


def parked_last_hour(session: Session, now: datetime) -> int:
    since = now - timedelta(hours=1)
    return session.execute(
        select(func.count())
        .select_from(DeadLetterRow)
        .where(DeadLetterRow.kind == "parked", DeadLetterRow.recorded_at >= since)
    ).scalar_one()


def listing(session: Session, *, after: int = 0, limit: int = PAGE_ROWS) -> list[DeadLetterRow]:
    """What waits for a decision, oldest first; `after` is the id of the last one seen."""
    return list(
        session.execute(
            select(DeadLetterRow)
            .where(DeadLetterRow.state.in_(OPEN), DeadLetterRow.id > after)
            .order_by(DeadLetterRow.id)
            .limit(limit)
        ).scalars()
    )


def open_count(session: Session) -> int:
    return session.execute(
        select(func.count()).select_from(DeadLetterRow).where(DeadLetterRow.state.in_(OPEN))
    ).scalar_one()


def ask_replay(tx: Tx, letter_id: int) -> None:
    """Marks a message, and what waits behind its key, for the listener to run again in order."""
    row = _open_letter(tx, letter_id)
    condition = [DeadLetterRow.id == letter_id]
    if row.kind == "parked":
        condition = [
            DeadLetterRow.kind == "parked",
            DeadLetterRow.topic == row.topic,
            DeadLetterRow.key == row.key,
            DeadLetterRow.state == "waiting",
        ]
    tx.session.execute(update(DeadLetterRow).where(*condition).values(state="replay"))
    _audit(tx, "dead_letter.replay", row)


def discard(tx: Tx, letter_id: int, reason: str) -> None:
    """Gives a message up. Those that waited behind it are asked for again."""
    row = _open_letter(tx, letter_id)
    resolve(tx, row, "discarded")
    tx.session.flush()
    if row.kind == "parked":
        tx.session.execute(
            update(DeadLetterRow)
            .where(
                DeadLetterRow.kind == "parked",
                DeadLetterRow.topic == row.topic,
                DeadLetterRow.key == row.key,
                DeadLetterRow.state == "waiting",
            )
            .values(state="replay")
        )
    _audit(tx, "dead_letter.discard", row, reason=reason)


def judge(row: DeadLetterRow, verdict: Verdict) -> None:
    """A message that waited behind another has a verdict of its own now."""
    row.kind, row.state = verdict.kind, "waiting"
    row.field, row.reason = storable(verdict.field), storable(verdict.reason) or ""


def resolve(tx: Tx, row: DeadLetterRow, state: str) -> None:
    row.state = state
    row.resolved_at = tx.wall_now
    row.resolved_by = tx.actor_id


def _open_letter(tx: Tx, letter_id: int) -> DeadLetterRow:
    row = tx.session.get(DeadLetterRow, letter_id, with_for_update=True)
    if row is None or row.state not in OPEN:
        raise LetterNotOpen(f"message {letter_id} is not waiting")
    return row


def _audit(tx: Tx, action: str, row: DeadLetterRow, **detail: str) -> None:
    tx.session.execute(
        insert(AuditRow).values(
            at=tx.wall_now,
            actor_id=tx.actor_id or "listener",
            action=action,
            subject=f"{row.topic}/{row.partition}/{row.offset}",
            detail={"kind": row.kind, "key": row.key, **detail},
        )
    )
