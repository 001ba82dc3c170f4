"""A bank system that publishes by a transactional producer: markers take offsets of the log."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer

Message = tuple[bytes, bytes]  # key and value


async def publish_in_transactions(
    kafka: str, topic: str, partition: int, groups: Iterable[Sequence[Message]],
    aborted: Collection[int] = (),
) -> None:  # fmt: skip
    """Each group in a transaction of its own; those with these numbers are broken off."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic + "-bank")
    await producer.start()
    try:
        for number, messages in enumerate(groups):
            await producer.begin_transaction()
            for key, value in messages:
                await producer.send_and_wait(topic, key=key, value=value, partition=partition)
            if number in aborted:
                await producer.abort_transaction()
            else:
                await producer.commit_transaction()
    finally:
        await producer.stop()


@asynccontextmanager
async def open_transaction(
    kafka: str, topic: str, message: Message, partition: int = 0, lasts_s: float = 60
) -> AsyncIterator[AIOKafkaProducer]:
    """The message is acknowledged; its transaction ends by the caller, or by the broker."""
    producer = AIOKafkaProducer(
        bootstrap_servers=kafka, transactional_id=topic + "-slow",
        transaction_timeout_ms=int(lasts_s * 1000),
    )  # fmt: skip
    await producer.start()
    try:
        await producer.begin_transaction()
        key, value = message
        await producer.send_and_wait(topic, key=key, value=value, partition=partition)
        yield producer
    finally:
        await producer.stop()
