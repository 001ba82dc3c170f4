"""Was an event applied before? Asked only of events whose day is closed already.

The ids of open days are in the worker's own state; older ones only the query side's event store
knows: `bank_events` (partition, source, event_id, event_offset). A repeat stands there twice, each
at its own offset; the first is the one that counted.
"""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from sqlalchemy import BigInteger, Column, Integer, MetaData, String, Table, and_, func, or_, select
from sqlalchemy.orm import Session

from services.scoring.columns import Columns
from shared import positions
from shared.db import Database, is_world_down

log = structlog.get_logger()
TOPIC = "bank.events"
_ASKED_MAX = 1000  # identities of one statement
_WAIT_S = 0.05
_WARN_S = 10.0

BANK_EVENTS = Table(
    "bank_events",
    MetaData(),
    Column("partition", Integer),
    Column("source", String),
    Column("event_id", String),
    Column("event_offset", BigInteger),
)

Asked = Sequence[tuple[str, str, int]]  # source, id, offset


class SeenBefore(Protocol):
    """Says which of these late events are repeats: their offsets."""

    def note(self, partition: int, columns: Columns) -> None:
        """Tells of a batch that is about to be applied."""

    async def ask(self, partition: int, asked: Asked, through: int) -> set[int]:
        """Waits until the store holds everything up to the offset `through`, then answers."""
        ...


class KeepsAll:
    """Remembers every identity since its start: `replay`, and a worker without a database."""

    def __init__(self) -> None:
        self._first: dict[tuple[int, str, str], int] = {}

    def note(self, partition: int, columns: Columns) -> None:
        for source, event_id, offset in zip(
            columns.sources, columns.ids, columns.offsets, strict=True
        ):
            self._first.setdefault((partition, source, event_id), offset)

    def repeats(self, partition: int, asked: Asked) -> set[int]:
        return {
            offset
            for source, event_id, offset in asked
            if self._first.get((partition, source, event_id), offset) < offset
        }

    async def ask(self, partition: int, asked: Asked, through: int) -> set[int]:
        return self.repeats(partition, asked)


class EventStore:
    """The query side's event store. An event is a repeat if it stands there at a smaller offset."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def note(self, partition: int, columns: Columns) -> None:
        """The store hears of the events by itself."""

    async def ask(self, partition: int, asked: Asked, through: int) -> set[int]:
        waited = 0.0
        while True:
            answer = await asyncio.to_thread(self._answer, partition, asked, through)
            if answer is not None:
                return answer
            await asyncio.sleep(_WAIT_S)
            waited += _WAIT_S
            if waited >= _WARN_S:
                waited = 0.0
                log.warning("event_store_behind", partition=partition, through=through)

    def _answer(self, partition: int, asked: Asked, through: int) -> set[int] | None:
        """None: the store is not there yet, or it is away."""
        try:
            with self._database.read() as session:
                if positions.stored(session, TOPIC).get(partition, 0) <= through:
                    return None
                return repeats(session, partition, asked)
        except Exception as error:
            if not is_world_down(error):
                raise
            log.warning("event_store_away", error=str(error)[:200])
            return None


def repeats(session: Session, partition: int, asked: Asked) -> set[int]:
    """Offsets of those that stand in the store at a smaller offset of the same partition."""
    found: set[int] = set()
    t = BANK_EVENTS.c
    for begin in range(0, len(asked), _ASKED_MAX):
        part = asked[begin : begin + _ASKED_MAX]
        identities = [and_(t.source == source, t.event_id == event_id)
                      for source, event_id in {(s, i) for s, i, _ in part}]  # fmt: skip
        first = {
            (row.source, row.event_id): row.event_offset
            for row in session.execute(
                select(t.source, t.event_id, func.min(t.event_offset).label("event_offset"))
                .where(t.partition == partition, or_(*identities))
                .group_by(t.source, t.event_id)
            )
        }
        found |= {o for s, i, o in part if first.get((s, i), o) < o}
    return found
