"""Was an event applied before? Asked only of events whose day is closed already.

The ids of open days are in the worker's own state; older ones only the query side's event store
knows: `bank_events` (partition, source, event_id, event_offset). A repeat stands there twice, each
at its own offset; the first that was not refused is the one that counted. Which were refused only
the worker knows, and of those that it keeps no more the letters.
"""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Sequence
from typing import Protocol

import structlog
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring import id_hash
from services.scoring.columns import Asked, Columns, Words
from shared import positions
from shared.db import Database, is_world_down

log = structlog.get_logger()
TOPIC = "bank.events"
_ASKED_MAX = 1000  # identities of one statement
_WAIT_S = 0.05
_WARN_S = 10.0

# One text whatever is asked: a statement written out for each batch stayed, compiled, in memory.
COPIES = text(
    """
    select e.source, e.event_id, e.event_offset
      from unnest(cast(:sources as text[]), cast(:ids as text[])) as a(source, event_id)
      join bank_events e using (source, event_id)
     where e.partition = :partition
    """
)

# A refusal has one, and it is kept: also where the worker knows of it no more.
LETTERS = text(
    """
    select event_offset from worker_letters
     where topic = 'bank.events' and partition = :partition
       and event_offset = any(cast(:offsets as bigint[]))
    """
)


class SeenBefore(Protocol):
    """Says which of these late events are repeats: their offsets."""

    def note(self, partition: int, columns: Columns) -> None:
        """Tells of a batch that is about to be applied."""

    async def ask(
        self, partition: int, asked: Sequence[Asked], through: int, refused: Collection[int]
    ) -> set[int]:
        """Waits until the store holds everything up to the offset `through`, then answers. Events
        at the offsets `refused` stand in the store but never counted."""
        ...


class KeepsAll:
    """Remembers every identity since its start: `replay`, and a worker without a database.

    By its hash, as rows remember those of open days. What was refused is never noted. Most banks
    never ask: only then the events noted are gone through one by one.
    """

    def __init__(self) -> None:
        self._noted: defaultdict[int, list[tuple[Words, Words]]] = defaultdict(list)
        self._offsets: defaultdict[int, dict[int, tuple[int, ...]]] = defaultdict(dict)

    def note(self, partition: int, columns: Columns) -> None:
        self._noted[partition].append((columns.hashes, columns.offsets))

    def repeats(self, partition: int, asked: Sequence[Asked]) -> set[int]:
        known = self._offsets[partition]
        for hashes, offsets in self._noted.pop(partition, ()):
            for identity, offset in zip(hashes, offsets, strict=True):
                before = known.get(identity, ())
                if offset not in before:
                    known[identity] = (*before, offset)
        found = set()
        for one in asked:
            copies = known.get(id_hash.of_one(one.source, one.id), ())
            if is_repeat(one, copies) or (one.at_own and one.offset in copies):
                found.add(one.offset)
        return found

    async def ask(
        self, partition: int, asked: Sequence[Asked], through: int, refused: Collection[int]
    ) -> set[int]:
        return self.repeats(partition, asked)


class EventStore:
    """The query side's event store: every copy of an event that was readable and in its place."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, partition: int, columns: Columns) -> None:
        """The store hears of the events by itself."""

    async def ask(
        self, partition: int, asked: Sequence[Asked], through: int, refused: Collection[int]
    ) -> set[int]:
        waited = 0.0
        while True:
            answer = await asyncio.to_thread(self._answer, partition, asked, through, refused)
            if answer is not None:
                return answer
            await asyncio.sleep(_WAIT_S)
            waited += _WAIT_S
            if waited >= _WARN_S:
                waited = 0.0
                log.warning("event_store_behind", partition=partition, through=through)

    def _answer(
        self, partition: int, asked: Sequence[Asked], through: int, refused: Collection[int]
    ) -> set[int] | None:
        """None: the store is not there yet, or it is away."""
        try:
            with self._database.read() as session:
                if positions.stored(session, TOPIC).get(partition, 0) <= through:
                    return None
                return repeats(session, partition, asked, refused)
        except Exception as error:
            if not is_world_down(error):
                raise
            log.warning("event_store_away", error=str(error)[:200])
            return None


def repeats(
    session: Session, partition: int, asked: Sequence[Asked], refused: Collection[int] = ()
) -> set[int]:
    """Offsets of those that stand in the store at another offset of the same partition too."""
    found: set[int] = set()
    for begin in range(0, len(asked), _ASKED_MAX):
        part = asked[begin : begin + _ASKED_MAX]
        sources, ids = zip(*sorted({(one.source, one.id) for one in part}), strict=True)
        copies: defaultdict[tuple[str, str], set[int]] = defaultdict(set)
        told = {"partition": partition, "sources": list(sources), "ids": list(ids)}
        for row in session.execute(COPIES, told):
            if row.event_offset not in refused:
                copies[row.source, row.event_id].add(row.event_offset)
        found |= {one.offset for one in part if is_repeat(one, copies[one.source, one.id])}
        found |= _counted_at_own(session, partition, part)
    return found


def _counted_at_own(session: Session, partition: int, asked: Sequence[Asked]) -> set[int]:
    """A replay fills the place of its event before the worker has it: the place tells nothing."""
    places = {one.offset for one in asked if one.at_own}
    if not places:
        return places
    told = {"partition": partition, "offsets": sorted(places)}
    return places.difference(session.execute(LETTERS, told).scalars())


def is_repeat(one: Asked, copies: Collection[int]) -> bool:
    """Another copy of the event counted already, or another input has settled this one."""
    return one.offset in one.settled or any(
        offset != one.offset and (offset <= one.until or offset in one.settled) for offset in copies
    )
