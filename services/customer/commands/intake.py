"""Bank events over HTTP: taken whole or not at all, durable before they are acknowledged.

One transaction writes the identities and the outbox rows. The relay publishes them in order per
key; a close of a day is a barrier, so it leaves after everything its source was acknowledged for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import text

from services.customer.rules.intake import Taken, close_copies
from shared import outbox
from shared.db import Tx
from shared.errors import DomainError
from shared.events.bank import DayClosed
from shared.events.envelope import encode, key_of
from shared.forgetting import Aging
from shared.inbox import body_hash

CLAIM = text(
    """
    insert into intake (source, event_id, body_hash, taken_at)
    select s, i, h, :taken_at
      from unnest(cast(:sources as text[]), cast(:ids as text[]),
                  cast(:hashes as bigint[])) as x(s, i, h)
     order by s, i
    on conflict do nothing
    returning source, event_id
    """
)
KNOWN = text(
    """
    select source, event_id, body_hash from intake
     where (source, event_id) in
       (select * from unnest(cast(:sources as text[]), cast(:ids as text[])))
    """
)

FORGET = text(
    """
    delete from intake where ctid = any(array(
      select ctid from intake where taken_at < :before
       order by taken_at limit :rows for update skip locked))
    returning 1
    """
)
# As long as the inboxes behind the topic remember: a repeat is no news on either road.
AGING = Aging("intake", FORGET, lambda settings: settings.kept_days)


class IdentityConflict(DomainError):
    """The same source and id came before with another body."""

    def __init__(self, index: int, source: str, event_id: str) -> None:
        self.index = index
        super().__init__(
            {
                "zh-CN": f"事件 {event_id}({source})已收到过,内容不同。",
                "en": f"Event {event_id} of {source} was taken before with another body.",
            }
        )


@dataclass(frozen=True)
class IntakeResult:
    """Events that are new, and those that were taken before with the same body."""

    taken: int
    repeated: int


def take_bank_events(tx: Tx, events: list[Taken], partitions: Callable[[], int]) -> IntakeResult:
    """Writes what is new to the outbox. `partitions`: of bank.events, asked only for a close.

    Raises IdentityConflict; then nothing of the batch is taken.
    """
    new = _claim(tx, events)
    for taken in new:
        fact = taken.event.data
        if isinstance(fact, DayClosed):
            for copy in close_copies(taken.event, partitions()):
                outbox.enqueue_raw(
                    tx,
                    fact.TOPIC,
                    key_of(copy),
                    encode(copy),
                    partition=copy.data.partition,
                    barrier=True,
                )
        else:
            outbox.enqueue_raw(tx, fact.TOPIC, key_of(taken.event), taken.raw)
    return IntakeResult(len(new), len(events) - len(new))


def _claim(tx: Tx, events: list[Taken]) -> list[Taken]:
    hashes = [body_hash(canonical(taken.raw)) for taken in events]
    first: dict[tuple[str, str], int] = {}
    for index, taken in enumerate(events):
        first.setdefault((taken.event.source, taken.event.id), index)
    asked: dict[str, Any] = {
        "sources": [source for source, _ in first],
        "ids": [event_id for _, event_id in first],
    }
    rows = tx.session.execute(
        CLAIM,
        {**asked, "hashes": [hashes[i] for i in first.values()], "taken_at": tx.wall_now},
    )
    fresh = {(r.source, r.event_id) for r in rows}
    known = {(r.source, r.event_id): r.body_hash for r in tx.session.execute(KNOWN, asked)}
    for index, taken in enumerate(events):
        if known[taken.event.source, taken.event.id] != hashes[index]:
            raise IdentityConflict(index, taken.event.source, taken.event.id)
    return [events[index] for identity, index in first.items() if identity in fresh]


def canonical(raw: bytes) -> bytes:
    """Blanks and the order of fields make no other body."""
    return msgspec.json.encode(msgspec.json.decode(raw), order="sorted")
