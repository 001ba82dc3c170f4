"""What the worker refused: kept from `scoring.dead`, replayed through `scoring.inputs`.

The worker's letters stand beside the service's own dead letters. In the service's equation their
events are refused (commands.store).
"""

from base64 import b64encode
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from sqlalchemy import insert, text
from sqlalchemy.dialects.postgresql import insert as upsert

from services.scoring.commands import store
from services.scoring.queries.worker_letters import obstacle
from services.scoring.tables import WorkerLetterRow
from shared import outbox
from shared.db import AuditRow, Tx
from shared.dead_letters import LetterNotOpen, key_text, storable, type_of
from shared.errors import DomainError
from shared.events.bank import TransactionBooked
from shared.events.scoring import EventReplayed
from shared.forgetting import Aging
from shared.money import MINOR_MAX
from shared.wire import Record


class LetterNotReplayable(DomainError):
    """The worker could not take it: its source must send it again."""


class RefusedIn(msgspec.Struct, frozen=True):
    """What is read of a record of `scoring.dead`; bytes are base64 there."""

    topic: str
    partition: int
    offset: int
    kind: str
    field: str
    reason: str
    type: str | None = None
    key: bytes | None = None
    payload: bytes | None = None
    sequence: int = 0


class _Booked(msgspec.Struct, frozen=True):
    amount_minor: Annotated[int, Meta(ge=-MINOR_MAX, le=MINOR_MAX)]
    currency: str


class _BookedEvent(msgspec.Struct, frozen=True):
    """What is read of a transaction that was refused, whatever is wrong with the rest of it."""

    data: _Booked


_decoder = msgspec.json.Decoder(RefusedIn)
_booked = msgspec.json.Decoder(_BookedEvent)
_KEEP = upsert(WorkerLetterRow)
_TOLD = ("kind", "state", "type", "field", "reason", "sequence", "recorded_at")
# A letter told again, after a crash or by a second copy of one input, is no news; the refusal of a
# later input is.
_PLACE = (WorkerLetterRow.topic, WorkerLetterRow.partition, WorkerLetterRow.event_offset)
KEEP = _KEEP.on_conflict_do_update(
    index_elements=_PLACE,
    set_={name: _KEEP.excluded[name] for name in _TOLD}
    | {"resolved_at": None, "resolved_by": None},
    where=WorkerLetterRow.sequence < _KEEP.excluded.sequence,
).returning(*_PLACE)

FORGET = text(  # the letter stays: a worker that is behind tells its refusal once more
    """
    update worker_letters set payload = null where id = any(array(
      select id from worker_letters
       where state <> 'waiting' and resolved_at < :before and payload is not null
       order by id limit :rows for update skip locked))
    returning 1
    """
)
NOT_GIVEN_UP = text(
    """
    select id, topic, partition, event_offset, state, key, payload from worker_letters
     where topic = :topic and state <> 'discarded' order by id limit :many
    """
)
DROP = text("delete from worker_letters where id = any(:ids)")
AGING = Aging("payloads of worker_letters", FORGET, lambda settings: settings.kept_days)


def keep_refusals(tx: Tx, records: list[Record]) -> None:
    """Takes a poll of `scoring.dead`: one letter per place, whatever is told of it last waits.

    A refusal that is no news opens no letter: what was decided holds, in the event store too.
    """
    newest: dict[tuple[str, int, int], RefusedIn] = {}
    for record in records:
        told = _decoder.decode(record.value or b"")
        place = (told.topic, told.partition, told.offset)
        known = newest.get(place)
        if known is None or known.sequence < told.sequence:
            newest[place] = told
    refusals = [newest[place] for place in sorted(newest)]
    opened = tx.session.execute(KEEP, [_row(tx, told) for told in refusals]).all()
    store.forget_events(tx, sorted((p, at) for topic, p, at in opened if topic == store.TOPIC))


def _row(tx: Tx, told: RefusedIn) -> dict[str, object]:
    booked = _amount_of(told)
    return {
        "topic": told.topic,
        "partition": told.partition,
        "event_offset": told.offset,
        "sequence": told.sequence,
        "kind": told.kind,
        "state": "waiting",
        "key": key_text(told.key),
        "payload": told.payload,
        "type": storable(told.type or type_of(told.payload)),
        "amount_minor": booked.amount_minor if booked else None,
        "currency": storable(booked.currency) if booked else None,
        "field": storable(told.field),
        "reason": storable(told.reason),
        "recorded_at": tx.wall_now,
    }


def _amount_of(told: RefusedIn) -> _Booked | None:
    """The amount of a transaction; none where it is just that which cannot be read."""
    if told.type != TransactionBooked.TYPE or told.payload is None:
        return None
    try:
        return _booked.decode(told.payload).data
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None


def replay_letter(tx: Tx, letter_id: int) -> None:
    """Sends the event to the worker once more and settles the letter, in this transaction.

    The event store takes it too, so that figure and events agree. Refused anew it comes back as
    this letter. Raises LetterNotOpen, LetterNotReplayable.
    """
    row = _open_letter(tx, letter_id)
    if obstacle(row) is not None or row.key is None or row.payload is None:
        raise LetterNotReplayable(
            {"zh-CN": "无法重放，请由来源系统重新发送", "en": "its source must send it again"}
        )
    outbox.enqueue(
        tx,
        EventReplayed(
            customer_number=row.key,
            partition=row.partition,
            offset=row.event_offset,
            payload=b64encode(row.payload).decode(),
        ),
    )
    store.restore_event(tx, _record(row))
    _settle(tx, row, "replayed")
    _audit(tx, "worker_letter.replay", row)


def discard_letter(tx: Tx, letter_id: int, reason: str) -> None:
    """Gives the event up: it has no figure. Raises LetterNotOpen."""
    row = _open_letter(tx, letter_id)
    _settle(tx, row, "discarded")
    _audit(tx, "worker_letter.discard", row, reason=reason)


def _open_letter(tx: Tx, letter_id: int) -> WorkerLetterRow:
    row = tx.session.get(WorkerLetterRow, letter_id, with_for_update=True)
    if row is None or row.state != "waiting":
        raise LetterNotOpen(f"message {letter_id} of the worker is not waiting")
    return row


def forget_letters(tx: Tx, many: int) -> int:
    """Before the worker begins anew: so many letters go, but none that was given up. How many went.

    What is refused again comes as a letter again. What is not counts at its own place, so the event
    store takes it as it does one that is replayed.
    """
    found = tx.session.execute(NOT_GIVEN_UP, {"many": many, "topic": store.TOPIC}).all()
    for row in found:
        if row.state == "waiting" and row.payload is not None:
            store.restore_event(tx, _record(row))
    tx.session.execute(DROP, {"ids": [row.id for row in found]})
    return len(found)


def _record(row: Any) -> Record:
    """The event of a letter, where it stood."""
    key = None if row.key is None else row.key.encode()
    return Record(row.topic, row.partition, row.event_offset, key, row.payload, 0)


def _settle(tx: Tx, row: WorkerLetterRow, state: str) -> None:
    row.state, row.resolved_at, row.resolved_by = state, tx.wall_now, tx.actor_id


def _audit(tx: Tx, action: str, row: WorkerLetterRow, **detail: str) -> None:
    tx.session.execute(
        insert(AuditRow).values(
            at=tx.wall_now,
            actor_id=tx.actor_id or "listener",
            action=action,
            subject=f"{row.topic}/{row.partition}/{row.event_offset}",
            detail={"kind": row.kind, "key": row.key, "reader": "worker", **detail},
        )
    )
