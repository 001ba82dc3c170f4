"""Reads `bank.reference` and `scoring.rules`, one partition each, whole, in every worker: at the
start, before the state is recovered for the last time, and before a close is taken.

What a listener sets aside as a letter changes no figure here either: a record at a wrong key is
left out, one that is dated in the future of the bank waits until the bank's day has come to it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from services.scoring.engine import Engine
from services.scoring.metrics import REFERENCE_WAITS
from services.scoring.rate import lacking
from services.scoring.reference import placed, tell
from shared.clock import Clock
from shared.events import Event
from shared.settings import Settings
from shared.sources import Window, window_at

log = structlog.get_logger()

TOPICS = ("bank.reference", "scoring.rules")
_POLL_MS = 50
_SAY_S = 5.0  # so long a reader waits before it says so, and again


class _Waits:
    """Tells how long a topic does not move."""

    def __init__(self, topic: str) -> None:
        self._topic = topic
        self._at = -1
        self._since = self._said = 0.0

    def note(self, at: int, end: int) -> None:
        """Where a reader stands, and where it has to come to."""
        now = time.monotonic()
        if at != self._at:
            self._at, self._since, self._said = at, now, now
        REFERENCE_WAITS.labels(self._topic).set(now - self._since)
        if now - self._said >= _SAY_S:
            self._said = now
            log.warning("reference_stands", topic=self._topic, at=at, end=end,
                        seconds=round(now - self._since),
                        why="a transaction is open there, or the broker is away")  # fmt: skip

    def end(self) -> None:
        REFERENCE_WAITS.labels(self._topic).set(0)


class ReferenceReader:
    """No group: a worker that starts reads from the beginning. Not thread-safe.

    What is not being read is paused: the broker answers one request of a connection after the
    other, and a fetch that waits for records would hold up the question where the ends are.
    """

    def __init__(self, settings: Settings, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._topics = {TopicPartition(settings.topic(topic), 0): topic for topic in TOPICS}
        self._places = list(self._topics)
        self._early: list[Event[Any]] = []  # dated in the future, in the order of their topics
        self._lacking: set[str] = set()  # what was said of rates
        self._looked_at = 0  # so many rates
        self._consumer: AIOKafkaConsumer | None = None
        self._uncommitted: AIOKafkaConsumer | None = None  # only asked where the logs end
        self._lock = asyncio.Lock()

    async def catch_up(self) -> None:
        """Applies everything that is committed by now: more no state that is recovered lived by."""
        async with self._lock:
            consumer = await self._started()
            await self._read_to(await consumer.end_offsets(self._places), lambda: False)

    async def catch_up_with_acknowledged(self, given_up: Callable[[], bool]) -> bool:
        """Applies everything that the broker has acknowledged by now.

        A system that commits is told so before the marker is written, and of one transaction each
        partition has its own: a close may be read before the rate that was published before it. So
        what is behind an open transaction is waited for. How long one lasts Kafka bounds; nobody
        who leaves partitions waits for that. False: given up.
        """
        async with self._lock:
            asked = await self._asked()
            return await self._read_to(await asked.end_offsets(self._places), given_up)

    async def _read_to(
        self, ends: dict[TopicPartition, int], given_up: Callable[[], bool]
    ) -> bool:
        consumer = await self._started()
        window = window_at(self._clock.bank_now(), self._clock.zone, {})
        early, self._early = self._early, []
        for one in early:
            self._take(one, window)
        for place, topic in self._topics.items():
            if await consumer.position(place) >= ends[place]:
                continue
            waits = _Waits(topic)
            consumer.resume(place)
            try:
                while (at := await consumer.position(place)) < ends[place]:
                    if given_up():
                        return False
                    waits.note(at, ends[place])
                    polled = await consumer.getmany(place, timeout_ms=_POLL_MS)
                    for record in polled.get(place, ()):
                        event = placed(topic, record.key, record.value)
                        if event is not None:
                            self._take(event, window)
            finally:
                consumer.pause(place)
                waits.end()
        self._say_lacking()
        return True

    def _say_lacking(self) -> None:
        """Once each: a component that is 0 because one of its rates is not there."""
        rates = self._engine.rates
        if self._looked_at == len(rates):
            return
        self._looked_at, found = len(rates), set(lacking(rates))
        for what in sorted(found - self._lacking):
            log.warning("rates_lacking", what=what)
        self._lacking |= found

    def _take(self, event: Event[Any], window: Window) -> None:
        refused = window.refuses(event)
        if refused is None:
            tell(self._engine, event)
            return
        log.warning("reference_waits", event_id=event.id, source=event.source, why=refused[1])
        self._early.append(event)

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka, enable_auto_commit=False,
                fetch_max_wait_ms=_POLL_MS, isolation_level="read_committed",
            )  # fmt: skip
            await consumer.start()
            consumer.assign(self._places)
            consumer.pause(*self._places)
            await consumer.seek_to_beginning(*self._places)
            self._consumer = consumer
        return self._consumer

    async def _asked(self) -> AIOKafkaConsumer:
        if self._uncommitted is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka, enable_auto_commit=False,
                isolation_level="read_uncommitted",
            )  # fmt: skip
            await consumer.start()
            self._uncommitted = consumer
        return self._uncommitted

    async def close(self) -> None:
        for consumer in (self._consumer, self._uncommitted):
            if consumer is not None:
                await consumer.stop()
        self._consumer = self._uncommitted = None
