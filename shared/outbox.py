"""The outbox: events written with the state that made them, relayed to Kafka in order.

Order per key: `write_drafts` locks the (topic, key) counter before the row takes its id, so ids
of one key follow commit order. The relay reads in id order, at most one row per key and round,
waits for every delivery report and deletes what was reported: a later event of a key cannot
overtake a failed one, and a crash between produce and delete only sends the same id again.

What is a state, not an event, may stand in a `Line`: the relay asks for it when it sends it.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

import structlog
from sqlalchemy import Connection, text

from shared import failpoints
from shared.clock import business_date
from shared.db import Database, Message, Tx, is_world_down
from shared.events import envelope
from shared.events.envelope import Event, Fact
from shared.wire import Report

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Origin:
    """What an event comes from: the event that caused it, the story, the broker's time of its
    root. Of the message being applied, unless a batch handler names another."""

    event_id: str
    correlation_id: str
    root_at: datetime | None


def origin_of(message: Message) -> Origin:
    event = message.event
    return Origin(
        event.id,
        event.correlationid or event.id,
        event.rootat or datetime.fromtimestamp(message.timestamp_ms / 1000, UTC),
    )


@dataclass(frozen=True)
class Draft:
    """An event before its sequence is known; `raw` is a finished value that is passed on."""

    topic: str
    key: str
    fact: Fact | None = None
    event_id: str | None = None
    raw: bytes | None = None
    partition: int | None = None
    barrier: bool = False
    origin: Origin | None = None


def enqueue(
    tx: Tx, fact: Fact, *, event_id: str | None = None, origin: Origin | None = None
) -> None:
    """Publishes a fact with this transaction. Lock the aggregate's row first.

    Without `event_id` the identity is `<topic>:<key>:<sequence>`. `origin` is for handlers of
    whole batches: elsewhere it is the message being applied.
    """
    if origin is None and tx.message is not None:
        origin = origin_of(tx.message)
    key = fact.key(source_of(tx.service))
    tx.drafts.append(Draft(type(fact).TOPIC, key, fact, event_id=event_id, origin=origin))


def enqueue_raw(
    tx: Tx,
    topic: str,
    key: str,
    value: bytes,
    *,
    partition: int | None = None,
    barrier: bool = False,
) -> None:
    """Passes on an event that is already in its envelope (the intake of bank events).

    A barrier leaves only when every earlier row has left, whatever its key.
    """
    tx.drafts.append(Draft(topic, key, raw=value, partition=partition, barrier=barrier))


COUNT = text(
    """
    insert into counters (topic, key, last)
    select t, k, n from unnest(cast(:topics as text[]), cast(:keys as text[]),
                               cast(:counts as bigint[])) as x(t, k, n) order by t, k
    on conflict (topic, key) do update set last = counters.last + excluded.last
    returning topic, key, last
    """
)


KEEP = text(
    """
    insert into outbox (topic, key, partition, barrier, payload, created_at)
    select x.topic, x.key, x.part, x.barrier, x.payload, :now
      from unnest(cast(:topics as text[]), cast(:keys as text[]), cast(:partitions as int[]),
                  cast(:barriers as bool[]), cast(:payloads as bytea[])) with ordinality
           as x(topic, key, part, barrier, payload, place) order by x.place
    """
)


def write_drafts(tx: Tx) -> None:
    """Two statements for all events of a transaction; called by the commit, or to force ids."""
    drafts = list(tx.drafts)
    tx.drafts.clear()
    if not drafts:
        return
    counts: dict[tuple[str, str], int] = defaultdict(int)
    for draft in drafts:
        counts[draft.topic, draft.key] += 1
    rows = tx.session.execute(
        COUNT,
        {
            "topics": [topic for topic, _ in counts],
            "keys": [key for _, key in counts],
            "counts": list(counts.values()),
        },
    )
    following = {(r.topic, r.key): r.last - counts[r.topic, r.key] for r in rows}
    payloads = []
    for draft in drafts:
        following[draft.topic, draft.key] += 1
        sequence = following[draft.topic, draft.key]
        payloads.append(draft.raw or envelope.encode(_event_of(tx, draft, sequence)))
    tx.session.execute(
        KEEP,
        {
            "topics": [draft.topic for draft in drafts],
            "keys": [draft.key for draft in drafts],
            "partitions": [draft.partition for draft in drafts],
            "barriers": [draft.barrier for draft in drafts],
            "payloads": payloads,
            "now": tx.wall_now,
        },
    )
    tx.enqueued = True


def source_of(service: str) -> str:
    """The CloudEvents source of what a service says."""
    return f"guanxi/{service}"


# Whole records: no sequence when written, no inbox when read; the greatest position wins.
COMPACT_TOPICS = frozenset({"staff.directory", "score.updates", "bank.reference", "scoring.rules"})
# Of these the broker lets go what a newer record of the key has made old; a reader may not see it.
COMPACTED = COMPACT_TOPICS | {"scoring.state"}


def _event_of(tx: Tx, draft: Draft, sequence: int) -> Event[Any]:
    assert draft.fact is not None
    event_id = draft.event_id or f"{draft.topic}:{draft.key}:{sequence}"
    origin = draft.origin
    correlation_id = origin.correlation_id if origin else tx.correlation_id
    return envelope.wrap(
        draft.fact,
        id=event_id,
        source=source_of(tx.service),
        time=tx.bank_now,
        businessdate=business_date(tx.bank_now, tx.clock.zone),
        sequence=None if draft.topic in COMPACT_TOPICS else sequence,
        correlationid=correlation_id or event_id,
        causationid=origin.event_id if origin else None,
        rootat=origin.root_at if origin else None,
    )


_nudges: dict[str, threading.Event] = defaultdict(threading.Event)


def nudge(schema: str) -> None:
    """Wakes the relay of this process, if it has one; the poll is the fallback."""
    _nudges[schema].set()


class Sending(Protocol):
    """What the relay needs of a producer."""

    def send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None
    ) -> Report: ...

    def flush(self, timeout_s: float) -> None: ...

    def close(self) -> None: ...


class Unsent(NamedTuple):
    """A row of the outbox that is to be sent."""

    id: int
    topic: str
    key: str
    partition: int | None
    barrier: bool
    payload: bytes


class Telling(NamedTuple):
    """What is told of a key that stands in a line, as of a version of its state."""

    topic: str
    key: str
    payload: bytes
    version: int
    partition: int | None = None


class Line(Protocol):
    """Keys that wait to be told, each once however often it changed. Its topic is compacted, and
    nothing else writes to it.

    Whoever changes the state puts its key in line in the same transaction. It leaves the line when
    the broker has reported a version and the state still has this version: so nothing is lost. The
    one relay waits for all reports before it takes again: so nothing is reordered. A crash before
    `told` tells the same version again, by the same id.
    """

    def take(self, database: Database, limit: int) -> list[Telling]:
        """Those whose turn it is, one of each key, as they are at one moment."""

    def told(self, tx: Tx, reported: list[Telling]) -> None:
        """Takes these out of the line, but for those that have changed since."""


Sent = TypeVar("Sent", Unsent, Telling)
UNSENT = text(
    "select id, topic, key, partition, barrier, payload from outbox order by id limit :limit"
)
REPORTED = text("delete from outbox where id = any(:ids)")


OF_ROWS = ("relay.after_read", "relay.after_produce", "relay.after_delete")  # failpoints
OF_LINE = ("line.after_take", "line.after_produce", "line.after_told")


class LockLostError(Exception):
    """Another relay of the service holds the lock, or the session that held it is gone."""


class Relay:
    """The one active relay of a service. Standbys wait for the lock."""

    def __init__(
        self, database: Database, sender: Callable[[], Sending], lines: Sequence[Line] = ()
    ) -> None:
        self._database = database
        self._lines = lines
        self._settings = database.settings
        self._new_sender = sender
        self._sender: Sending | None = None

    def run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                with self._lock() as lock:
                    self._run_locked(lock, stop)
            except LockLostError:
                stop.wait(1.0)
            except Exception as error:
                if not is_world_down(error) and not isinstance(error, DeliveryFailedError):
                    log.exception("relay_failed")
                else:
                    log.warning("relay_waits", error=str(error)[:200])
                stop.wait(1.0)
            finally:
                self._drop_sender()

    def _run_locked(self, lock: Connection, stop: threading.Event) -> None:
        wake = _nudges[self._database.schema]
        while not stop.is_set():
            lock.execute(text("select 1"))  # raises when the session that holds the lock is gone
            settings, began = self._settings, time.monotonic()
            sent = self.round()
            if sent:
                # What is written meanwhile goes together: a round asks as much for few as for many.
                took = min(time.monotonic() - began, settings.rest_max_s)
                is_full = sent >= settings.relay_rows_max
                stop.wait(settings.relay_busy_s if is_full else max(settings.relay_busy_s, took))
                continue
            wake.wait(settings.relay_line_idle_s if self._lines else settings.relay_idle_s)
            wake.clear()

    @contextmanager
    def _lock(self) -> Iterator[Connection]:
        """An advisory lock on a session of its own, in autocommit: it outlives no process."""
        engine = self._database.engine.execution_options(isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            name = f"guanxi.relay.{self._database.schema}"
            taken = connection.execute(
                text("select pg_try_advisory_lock(hashtextextended(:name, 0))"), {"name": name}
            ).scalar_one()
            if not taken:
                raise LockLostError
            try:
                yield connection
            finally:
                connection.invalidate()  # never back to the pool with a lock on it

    def round(self) -> int:
        """One round of the outbox, then of each line. Returns how many were sent."""
        most = self._settings.relay_rows_max
        sent = self._send(self._unsent(most), _delete, OF_ROWS)
        for line in self._lines:
            sent += self._send(line.take(self._database, most), line.told, OF_LINE)
        return sent

    def _unsent(self, most: int) -> list[Unsent]:
        with self._database.read() as session:
            rows = session.execute(UNSENT, {"limit": most})
            return first_per_key([Unsent(*row) for row in rows])

    def _send(
        self, batch: list[Sent], settle: Callable[[Tx, list[Sent]], None], points: tuple[str, ...]
    ) -> int:
        """Produce, wait for every report, settle what was reported."""
        after_read, after_produce, after_settle = points
        failpoints.reach(after_read)
        if not batch:
            return 0
        done = self._produce(batch)
        failpoints.reach(after_produce)
        if done:
            with self._database.transaction() as tx:
                settle(tx, done)
            failpoints.reach(after_settle)
        if len(done) < len(batch):
            self._drop_sender()
            raise DeliveryFailedError(f"{len(batch) - len(done)} of {len(batch)} not delivered")
        return len(done)

    def _produce(self, batch: list[Sent]) -> list[Sent]:
        """Those of them that the broker has reported."""
        if self._sender is None:
            self._sender = self._new_sender()
        sender = self._sender
        deadline = time.monotonic() + self._settings.delivery_timeout_s
        reports = [
            sender.send(one.topic, one.key.encode(), one.payload, one.partition) for one in batch
        ]
        sender.flush(self._settings.delivery_timeout_s)
        done = []
        for one, report in zip(batch, reports, strict=True):
            try:
                report.result(timeout=max(deadline - time.monotonic(), 0.001))
            except Exception as error:  # a failed report: it stays, its key waits
                log.warning("delivery_failed", topic=one.topic, key=one.key,
                            error=str(error)[:200])  # fmt: skip
            else:
                done.append(one)
        return done

    def _drop_sender(self) -> None:
        if self._sender is not None:
            try:
                self._sender.close()
            finally:
                self._sender = None


def _delete(tx: Tx, reported: list[Unsent]) -> None:
    tx.session.execute(REPORTED, {"ids": [row.id for row in reported]})


class DeliveryFailedError(Exception):
    """The broker did not take all rows of a round; they stay and are tried again."""


def first_per_key(rows: list[Unsent]) -> list[Unsent]:
    """The rows of one round: id order, one per key, a barrier only when nothing waits before it."""
    taken: list[Unsent] = []
    seen: set[tuple[str, str]] = set()
    skipped = False
    for row in rows:
        if row.barrier and (skipped or (taken and not all(r.barrier for r in taken))):
            break
        if not row.barrier and taken and taken[-1].barrier:
            break
        if (row.topic, row.key) in seen:
            skipped = True
            continue
        seen.add((row.topic, row.key))
        taken.append(row)
    return taken
