"""Reads `bank.reference` and `scoring.rules`, one partition each, whole, in every worker: at the
start, before the state is recovered for the last time, and before a close is taken.

What a listener sets aside as a letter changes no figure here either: a record at a wrong key is
left out, one that is dated in the future of the bank waits until the bank's day has come to it.
"""

import asyncio
from typing import Any

import structlog
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from services.scoring.engine import Engine
from services.scoring.rate import lacking
from services.scoring.reference import placed, tell
from shared.clock import Clock
from shared.events import Event
from shared.settings import Settings
from shared.sources import Window, window_at

log = structlog.get_logger()

TOPICS = ("bank.reference", "scoring.rules")
_POLL_MS = 50


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
        self._lock = asyncio.Lock()

    async def catch_up(self) -> None:
        """Applies everything up to the ends that the topics have now."""
        async with self._lock:
            consumer = await self._started()
            ends = await consumer.end_offsets(self._places)
            window = window_at(self._clock.bank_now(), self._clock.zone, {})
            early, self._early = self._early, []
            for one in early:
                self._take(one, window)
            for place, topic in self._topics.items():
                if await consumer.position(place) >= ends[place]:
                    continue
                consumer.resume(place)
                while await consumer.position(place) < ends[place]:
                    polled = await consumer.getmany(place, timeout_ms=_POLL_MS)
                    for record in polled.get(place, ()):
                        event = placed(topic, record.key, record.value)
                        if event is not None:
                            self._take(event, window)
                consumer.pause(place)
            self._say_lacking()

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

    async def close(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None
