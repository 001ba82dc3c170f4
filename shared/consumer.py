"""The one loop: poll, claim, apply, commit; then the offset. It knows no Kafka, only a Source.

A poll's records are applied in one transaction. If anything in it fails, the batch is rolled
back and each half of it is applied by itself, down to one: a bad message costs a few transactions.
"""

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from shared import dead_letters, failpoints, inbox, logs, positions, replay, sources, timers
from shared.db import Database, DeadLetterRow, Message, Tx, is_world_down
from shared.dead_letters import Verdict
from shared.errors import DomainError
from shared.events import envelope
from shared.events.envelope import Event, Fact
from shared.metrics import LATENCY, MESSAGES, SECONDS, count_unknown
from shared.outbox import COMPACT_TOPICS
from shared.positions import ListenerStopped
from shared.sources import Window
from shared.timers import TimerHandler
from shared.wire import Record, Source, TopicPart

log = structlog.get_logger()

Handler = Callable[[Tx, Event[Any]], None]
BatchHandler = Callable[[Tx, list[Record]], None]
"""Takes all records that one poll brought of a private topic whose values are not events."""

RECORDS_MAX = 2000  # of one transaction, where a service says nothing else
SMALL = 1000  # records: after fewer the listener rests; who may take very many, after a tenth


@dataclass(frozen=True, slots=True)
class Sorted:
    """A record with what is known before any handler runs."""

    record: Record
    event: Event[Any] | None
    verdict: Verdict | None  # none: apply it
    outcome: str  # applied, ignored, dead, quarantined, parked, passed
    unknown: str | None = None  # the type, when the catalogue does not have it


class Listener:
    """One service's consumer. `step` is one poll and one transaction."""

    def __init__(
        self,
        database: Database,
        source: Source,
        handlers: Mapping[type[Fact], Handler],
        timer_handlers: Mapping[str, TimerHandler],
        batches: Mapping[str, BatchHandler] | None = None,
        *,
        records_max: int = RECORDS_MAX,
    ) -> None:
        self.database = database
        self.source = source
        self._settings = database.settings
        self._handlers = {fact.TYPE: (fact, handler) for fact, handler in handlers.items()}
        self._timers = timer_handlers
        self._batches = dict(batches or {})
        self._records_max = self._at_most = records_max
        self._small = max(SMALL, records_max // 10)
        self._last_commit = 0.0
        self._counts: dict[str, int] = {}  # partitions are never added to a live keyed topic
        self._progress: dict[TopicPart, int] = {}
        self.beat = time.monotonic()
        self.rest_s = 0.0  # after the step just done, before the next

    def run(self, stop: threading.Event) -> None:
        """Until told to stop. World down: hold the offset, back off with a cap, try again."""
        pause = 0.0
        while not stop.is_set():
            try:
                self.step()
                pause = 0.0
                if self.rest_s:
                    stop.wait(self.rest_s)
            except ListenerStopped:
                raise
            except Exception as error:
                pause = min(max(pause * 2, 0.2), 5.0)
                if is_world_down(error):
                    log.warning("listener_waits", error=str(error)[:300], pause_s=pause)
                else:
                    log.exception("listener_failed")
                self.source.rewind()
                stop.wait(pause)

    def step(self) -> int:
        """One poll applied, due timers fired, asked replays run. Returns messages and timers."""
        records = self.source.poll(self._settings.poll_timeout_s, self._at_most)
        began = time.monotonic()
        if records:
            self._apply_at_most(records)
            self._commit_offsets()
        done = len(records) + timers.fire_due(self.database, self._timers)
        done += replay.run_asked(self.database, self.apply_letter)
        self.beat = time.monotonic()
        # A batch costs a dozen statements, however small: what comes meanwhile is taken together.
        small = 0 < len(records) < self._small
        self.rest_s = min(self.beat - began, self._settings.rest_max_s) if small else 0.0
        return done

    def _commit_offsets(self) -> None:
        if time.monotonic() - self._last_commit > 1.0:
            self.source.commit(self._progress)
            self._last_commit = time.monotonic()

    # A batch -----------------------------------------------------------------------------------

    def _apply_at_most(self, records: list[Record]) -> None:
        """What the database has no time for together, it is asked to do in halves."""
        try:
            self._apply(records)
        except Exception:
            self._at_most = max(min(len(records), self._at_most) // 2, 1)
            raise
        self._at_most = min(2 * self._at_most, self._records_max)

    def _apply(self, records: list[Record]) -> None:
        logs.at_work.set(partial(told_of, records))
        try:
            if self._applied_together(records):
                return
            if len(records) == 1:
                self._apply_alone(records[0])
                return
            for half in (records[: len(records) // 2], records[len(records) // 2 :]):
                self._apply(half)
        finally:
            logs.at_work.set(None)

    def _applied_together(self, records: list[Record]) -> bool:
        """False: something in it fails, and nothing of it was done."""
        try:
            self._apply_together(records)
        except Exception as error:
            if isinstance(error, ListenerStopped) or is_world_down(error):
                raise
            if not isinstance(error, DomainError):
                log.warning("batch_halved", size=len(records), error=repr(error)[:500])
            return False
        return True

    def _apply_together(self, records: list[Record]) -> None:
        started = time.perf_counter()
        with self.database.transaction() as tx:
            fresh = positions.lock_and_filter(tx, records)
            if not fresh:
                return
            sort = self._sort(tx, fresh)
            outcomes = Counter((s.record.topic, s.record.partition, s.outcome) for s in sort)
            todo = self._claim(tx, sort, outcomes)
            failpoints.reach("consumer.after_claim")
            self._handle_all(tx, todo)
            dead_letters.record(tx, [(s.record, s.verdict) for s in sort if s.verdict])
            self._check_parked(tx, sort)
            positions.advance(tx, fresh)
            positions.tally(tx, outcomes)
            failpoints.reach("consumer.after_effect")
        failpoints.reach("consumer.after_commit")
        self._note(fresh, outcomes)
        for one in sort:
            if one.unknown is not None:
                count_unknown(one.record.topic, one.unknown)
        _observe_latency(todo)
        SECONDS.labels("batch").observe(time.perf_counter() - started)

    def _claim(self, tx: Tx, sort: list[Sorted], outcomes: "Counter[Any]") -> list[Sorted]:
        """What is left to handle after the inbox; repeats and conflicts are counted."""
        todo = [s for s in sort if s.outcome == "applied"]
        keyed = [s for s in todo if s.event is not None and s.record.topic not in COMPACT_TOPICS]
        claims = [
            inbox.Claim(s.event.source, s.event.id, inbox.body_hash(s.record.value or b""))
            for s in keyed
            if s.event
        ]
        new, conflicts = inbox.claim(tx, claims)
        repeats = {id(s) for i, s in enumerate(keyed) if i not in new}
        for i, one in enumerate(keyed):
            if i in new:
                continue
            place = (one.record.topic, one.record.partition)
            outcomes[(*place, "applied")] -= 1
            outcomes[(*place, "duplicate")] += 1
            if i in conflicts:
                MESSAGES.labels(one.record.topic, "conflict").inc()
                log.warning("identity_conflict", **told_of([one.record]))
        return [s for s in todo if id(s) not in repeats]

    def _handle_all(self, tx: Tx, todo: list[Sorted]) -> None:
        """Each line that is logged meanwhile says of which event; of a batch, which records."""
        batch = logs.at_work.get()
        for topic, handler in self._batches.items():
            records = [s.record for s in todo if s.record.topic == topic]
            if records:
                logs.at_work.set(partial(told_of, records))
                handler(tx, records)
        for one in todo:
            if one.event is not None:
                self._handle(tx, one)
        tx.message = None
        logs.at_work.set(batch)
        tx.flush()

    def _handle(self, tx: Tx, one: Sorted) -> None:
        assert one.event is not None
        rec = one.record
        logs.at_work.set(partial(told_of, [rec]))
        tx.message = Message(
            rec.topic,
            rec.partition,
            rec.offset,
            rec.key.decode() if rec.key is not None else None,
            rec.timestamp_ms,
            one.event,
        )
        self._handlers[one.event.type][1](tx, one.event)

    # One message -------------------------------------------------------------------------------

    def _apply_alone(self, record: Record) -> None:
        for attempt in range(self._settings.retries_max):
            try:
                self._apply_together([record])
                return
            except DomainError as refusal:
                self._settle(record, Verdict("refused", f"{refusal.code}: {refusal}"))
                return
            except ListenerStopped:
                raise
            except Exception as error:
                if is_world_down(error):
                    raise
                if attempt + 1 == self._settings.retries_max:
                    log.exception("message_parked")
                    self._settle(record, Verdict("parked", repr(error)))
                    return
                time.sleep(self._settings.retry_backoff_s * 2**attempt)

    def _settle(self, record: Record, verdict: Verdict) -> None:
        """Records a message that was not applied, and moves on. A refusal claims its identity."""
        with self.database.transaction() as tx:
            fresh = positions.lock_and_filter(tx, [record])
            if not fresh:
                return
            plain = record.topic not in COMPACT_TOPICS and record.topic not in self._batches
            if verdict.kind == "refused" and plain:
                event = envelope.decode(record.value or b"")
                inbox.claim(
                    tx, [inbox.Claim(event.source, event.id, inbox.body_hash(record.value or b""))]
                )
            dead_letters.record(tx, [(record, verdict)])
            if verdict.kind == "parked":
                self._stop_when_flooded(tx)
            positions.advance(tx, fresh)
            outcomes = Counter({(record.topic, record.partition, verdict.kind): 1})
            positions.tally(tx, outcomes)
        self._note(fresh, outcomes)

    # Before any handler ------------------------------------------------------------------------

    def _sort(self, tx: Tx, records: list[Record]) -> list[Sorted]:
        held, window = dead_letters.held_keys(tx, {r.topic for r in records}), sources.window(tx)
        return [
            Sorted(r, None, None, "passed") if r.is_passed else self._sort_one(r, held, window)
            for r in records
        ]

    def _sort_one(self, rec: Record, held: set[tuple[str, str]], window: Window) -> Sorted:
        if held and (rec.topic, dead_letters.key_text(rec.key) or "") in held:
            return _not_applied(rec, "parked", "waits behind a parked message", None)
        if rec.topic in self._batches:
            return Sorted(rec, None, None, "applied")
        try:
            event = envelope.decode(rec.value if rec.value is not None else b"")
            count = self._partitions(rec.topic)
            verdict = envelope.misplaced(event, rec.topic, rec.key, rec.partition, count)
        except envelope.Undecodable as error:
            return _not_applied(rec, "dead", error.reason, error.field)
        except envelope.UnknownVersion as error:
            return _not_applied(rec, "quarantined", str(error), "type")
        except envelope.UnknownType as error:
            return Sorted(rec, None, None, "ignored", error.type)
        if verdict is not None:
            return _not_applied(rec, "dead", verdict, "key", event.type)
        if event.type not in self._handlers:
            return Sorted(rec, event, None, "ignored")
        untimely = window.refuses(event)
        if untimely is not None:
            field, reason = untimely
            return _not_applied(rec, "quarantined", reason, field, event.type)
        return Sorted(rec, event, None, "applied")

    def _partitions(self, topic: str) -> int | None:
        if not self._counts.get(topic):
            self._counts[topic] = self.source.partitions(topic)
        return self._counts[topic] or None

    def _check_parked(self, tx: Tx, sort: list[Sorted]) -> None:
        if any(s.outcome == "parked" for s in sort):
            self._stop_when_flooded(tx)

    def _stop_when_flooded(self, tx: Tx) -> None:
        parked = dead_letters.parked_last_hour(tx.session, tx.wall_now)
        if parked > self._settings.parked_per_hour_max:
            raise ListenerStopped(f"{parked} messages parked within an hour")

    def _note(self, fresh: list[Record], outcomes: "Counter[tuple[str, int, str]]") -> None:
        for record in fresh:
            self._progress[record.topic, record.partition] = record.offset + 1
        for (topic, _, outcome), count in outcomes.items():
            if count > 0:
                MESSAGES.labels(topic, outcome).inc(count)

    def apply_letter(self, tx: Tx, row: DeadLetterRow) -> None:
        """Runs a stored message again; raises what its handler raises (see shared.replay).

        One that only waited behind a parked one is judged now, as if it had come alone: what is
        dead or quarantined holds nobody.
        """
        record = Record(
            row.topic,
            row.partition,
            row.offset,
            row.key.encode() if row.key is not None else None,
            row.payload,
            row.timestamp_ms,
        )
        one = self._sort_one(record, set(), sources.window(tx))
        if one.verdict is not None:
            if row.kind != "parked":
                raise ValueError(f"still {one.verdict.kind}: {one.verdict.reason}")
            place = (row.topic, row.partition)
            positions.tally(tx, Counter({(*place, row.kind): -1, (*place, one.verdict.kind): 1}))
            dead_letters.judge(row, one.verdict)
            return
        outcomes: Counter[Any] = Counter({(row.topic, row.partition, row.kind): -1})
        outcomes[row.topic, row.partition, one.outcome] += 1
        logs.at_work.set(partial(told_of, [record]))
        try:
            self._handle_all(tx, self._claim(tx, [one], outcomes))
        finally:
            logs.at_work.set(None)
        positions.tally(tx, outcomes)
        dead_letters.resolve(tx, row, "replayed")


def told_of(records: list[Record]) -> dict[str, Any]:
    """What a log line says of the records it is about. Several are of several stories: then it
    says which they are, and no one story's correlation id."""
    if len(records) > 1:
        spans: dict[str, list[int]] = {}
        for rec in records:
            first, last = spans.get(f"{rec.topic}/{rec.partition}", (rec.offset, rec.offset))
            spans[f"{rec.topic}/{rec.partition}"] = [min(first, rec.offset), max(last, rec.offset)]
        return {"records": len(records), "offsets": spans}
    (rec,) = records
    told = {"topic": rec.topic, "partition": rec.partition, "offset": rec.offset}
    try:
        event = envelope.decode(rec.value or b"")
    except (envelope.Undecodable, envelope.UnknownVersion, envelope.UnknownType):
        return told
    return {**told, "event_id": event.id, "correlation_id": event.correlationid or event.id}


def _observe_latency(applied: list[Sorted]) -> None:
    """From the broker's time of the root event to its effect here; of records that came as a batch
    the oldest speaks for all of its topic."""
    now = time.time()
    begins: dict[str, list[float]] = defaultdict(list)
    oldest: dict[str, float] = {}
    for one in applied:
        topic, began = one.record.topic, one.record.timestamp_ms / 1000
        if one.event is None:
            oldest[topic] = min(oldest.get(topic, began), began)
        else:
            root = one.event.rootat
            begins[topic].append(root.timestamp() if root is not None else began)
    for topic, began in oldest.items():
        begins[topic].append(began)
    for topic, times in begins.items():
        latency = LATENCY.labels(topic)
        for began in times:
            latency.observe(max(now - began, 0.0))


def _not_applied(
    rec: Record, kind: str, reason: str, field: str | None, event_type: str | None = None
) -> Sorted:
    return Sorted(rec, None, Verdict(kind, reason, field, event_type), kind)
