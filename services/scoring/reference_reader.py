"""Reads `bank.reference` and `scoring.rules`, one partition each, whole, in every worker: at the
start, before the state is recovered for the last time, and before a close is taken."""

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from services.scoring.engine import Engine
from services.scoring.reference import tell
from shared.settings import Settings

TOPICS = ("bank.reference", "scoring.rules")
_POLL_MS = 50


class ReferenceReader:
    """No group: a worker that starts reads from the beginning. Not thread-safe."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._settings = settings
        self._places = [TopicPartition(settings.topic(topic), 0) for topic in TOPICS]
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    async def catch_up(self) -> None:
        """Applies everything up to the ends that the topics have now."""
        async with self._lock:
            consumer = await self._started()
            ends = await consumer.end_offsets(self._places)
            for place in self._places:
                while await consumer.position(place) < ends[place]:
                    polled = await consumer.getmany(place, timeout_ms=_POLL_MS)
                    for record in polled.get(place, ()):
                        tell(self._engine, record.value)

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka, enable_auto_commit=False,
                fetch_max_wait_ms=_POLL_MS,
            )  # fmt: skip
            await consumer.start()
            consumer.assign(self._places)
            await consumer.seek_to_beginning(*self._places)
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None
