"""Reads `bank.reference`, one partition, whole, in every worker: at the start and when asked."""

import asyncio

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from services.scoring.engine import Engine
from services.scoring.reference import tell
from shared.settings import Settings

TOPIC = "bank.reference"
_POLL_MS = 50


class ReferenceReader:
    """No group: a worker that starts reads from the beginning. Not thread-safe."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._settings = settings
        self._place = TopicPartition(settings.topic(TOPIC), 0)
        self._consumer: AIOKafkaConsumer | None = None
        self._lock = asyncio.Lock()

    async def catch_up(self) -> None:
        """Applies everything up to the end that the topic has now."""
        async with self._lock:
            consumer = await self._started()
            ends = await consumer.end_offsets([self._place])
            end = ends[self._place]
            while await consumer.position(self._place) < end:
                polled = await consumer.getmany(self._place, timeout_ms=_POLL_MS)
                for record in polled.get(self._place, ()):
                    tell(self._engine, record.value)

    async def _started(self) -> AIOKafkaConsumer:
        if self._consumer is None:
            consumer = AIOKafkaConsumer(
                bootstrap_servers=self._settings.kafka, enable_auto_commit=False,
                fetch_max_wait_ms=_POLL_MS,
            )  # fmt: skip
            await consumer.start()
            consumer.assign([self._place])
            await consumer.seek_to_beginning(self._place)
            self._consumer = consumer
        return self._consumer

    async def close(self) -> None:
        if self._consumer is not None:
            await self._consumer.stop()
            self._consumer = None
