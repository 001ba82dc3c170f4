"""Events that a bank system publishes in transactions of Kafka: a listener applies none that was
aborted, and its position goes past the markers."""

import asyncio
from datetime import UTC, date, datetime

from aiokafka import AIOKafkaProducer
from sqlalchemy import update

from shared import positions
from shared.db import PositionRow
from shared.events import wrap
from shared.events.envelope import encode
from shared.ids import partition_of
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import read_span
from tests.ledger import contact, entries
from tests.transactions import Message, open_transaction, publish_in_transactions


def _of_ledger(number: int) -> Message:
    at = datetime(2026, 3, 2, 2, tzinfo=UTC)
    event = wrap(
        contact(number), id=f"c-{number}", source="test/bank", time=at,
        businessdate=date(2026, 3, 2),
    )  # fmt: skip
    return b"C1", encode(event)


def test_a_listener_applies_what_was_committed_and_comes_to_the_end(
    space: Space, ledger: ServiceUnderTest
) -> None:
    part = partition_of(b"C1", space.partitions["bank.events"])
    groups = [[_of_ledger(0), _of_ledger(1)], [_of_ledger(2)], [_of_ledger(3)], [_of_ledger(4)]]
    topic = space.prefix + "bank.events"
    asyncio.run(publish_in_transactions(space.servers.kafka, topic, part, groups, {1, 3}))
    ledger.drain(30)
    assert [value for _, value in entries(ledger.database)] == ["K0", "K1", "K3"]
    with ledger.database.read() as session:
        (line,) = [x for x in positions.reconcile(session) if x["topic"] == "bank.events"]
        assert positions.stored(session, "bank.events")[part] == 5 + 4
    assert (line["applied"], line["passed"], line["difference"]) == (3, 4 + 2, 0)
    read = read_span(ledger.database.settings, "bank.events", part, 5 + 4)
    assert [r.offset for records in read for r in records] == [0, 1, 5]


def test_a_listener_that_had_read_into_an_open_transaction_goes_on(
    space: Space, ledger: ServiceUnderTest
) -> None:
    """In the release before: its place is behind what is committed, but not behind the log."""
    part = partition_of(b"C1", space.partitions["bank.events"])
    topic, kafka = space.prefix + "bank.events", space.servers.kafka
    space.publish(contact(0))
    ledger.drain(30)

    async def scenario() -> None:
        async with open_transaction(kafka, topic, _of_ledger(1), part) as slow:
            with ledger.database.transaction() as tx:
                row = (PositionRow.topic == "bank.events") & (PositionRow.partition == part)
                tx.session.execute(update(PositionRow).where(row).values(next_offset=2))
            ledger.listener.source.rewind()
            await asyncio.to_thread(ledger.listen_once)
            await slow.commit_transaction()

    asyncio.run(scenario())
    space.publish(contact(2))
    ledger.drain(30)
    assert [value for _, value in entries(ledger.database)] == ["K0", "K2"]


def test_a_fence_covers_what_was_acknowledged_behind_an_open_transaction(
    space: Space, ledger: ServiceUnderTest
) -> None:
    """Nobody reads it yet: a reminder waits for it all the same."""
    part = partition_of(b"C1", space.partitions["bank.events"])
    topic, kafka = space.prefix + "bank.events", space.servers.kafka

    async def scenario() -> tuple[int, int]:
        slow = AIOKafkaProducer(bootstrap_servers=kafka, transactional_id=topic + "-slow")
        await slow.start()
        try:
            async with slow.transaction():
                key, value = _of_ledger(0)
                await slow.send_and_wait(topic, key=key, value=value, partition=part)
                space.sender.send("bank.events", *_of_ledger(1), part).result(10)
                read = await asyncio.to_thread(ledger.listener.source.end_offsets, ["bank.events"])
                fence = await asyncio.to_thread(ledger.runtime.end_offsets, "bank.events")
            return read["bank.events", part], fence[part]
        finally:
            await slow.stop()

    assert asyncio.run(scenario()) == (0, 2)
