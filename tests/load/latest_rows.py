"""What the workers wrote, read back fast: the latest record of every key, the posted leaves and the
signals; and whether the figures of the customers are the bank's.

Of two million rows most were replaced by a later one: those are never unpacked. They are read by
the worker's own reader, which makes no object of each. A row that it lost would be missed.
"""

import asyncio
from collections.abc import AsyncIterator, Mapping
from struct import Struct
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from services.scoring import fetched
from services.scoring.rows import CUSTOMER_FIELDS, CUSTOMER_WORDS, KIND_CUSTOMER
from services.scoring.state import OFFSET_AT, accounts_at, kind_of
from tests.workers import WorkerSpace

TOPIC: Final = "scoring.state"
FETCH_BYTES: Final = 8 << 20  # of a partition at a time
SILENCE_S: Final = 60.0  # without a record before the end: something is wrong
_ROW: Final = Struct(f"<{CUSTOMER_WORDS}q")
_SUM, _COUNT = CUSTOMER_FIELDS.index("sum_minor"), CUSTOMER_FIELDS.index("count")
Latest = dict[bytes, bytes]  # key -> its latest record


def records_in(space: WorkerSpace, topic: str) -> int:
    """How many records the topic has been given, by its own ends."""
    return asyncio.run(_records_in(space, topic))


def latest_rows(space: WorkerSpace) -> dict[int, Latest]:
    """The state by partition, as a worker would begin with it."""
    return asyncio.run(_latest(space))


def values_of(space: WorkerSpace, topic: str) -> list[bytes]:
    """All values of the topic."""
    return asyncio.run(_values(space, topic))


def _consumer(space: WorkerSpace) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(bootstrap_servers=space.servers.kafka, enable_auto_commit=False,
                            max_partition_fetch_bytes=FETCH_BYTES)  # fmt: skip


def _places(space: WorkerSpace, topic: str) -> list[TopicPartition]:
    return [TopicPartition(space.prefix + topic, n) for n in range(space.partitions)]


async def _records_in(space: WorkerSpace, topic: str) -> int:
    async with _consumer(space) as consumer:
        return sum((await consumer.end_offsets(_places(space, topic))).values())


async def _read(space: WorkerSpace, topic: str) -> AsyncIterator[tuple[int, list[Any]]]:
    """Partition and records, up to the end of now."""
    fetched.install()
    async with _consumer(space) as consumer:
        places = _places(space, topic)
        consumer.assign(places)
        await consumer.seek_to_beginning(*places)
        until = await consumer.end_offsets(places)
        left = {place for place in places if until[place]}
        while left:
            polled = await consumer.getmany(*left, timeout_ms=int(SILENCE_S * 1000))
            assert polled, f"{topic} cannot be read to its end: {left}"
            for place, records in polled.items():
                yield place.partition, records
                if records[-1].offset >= until[place] - 1:
                    left.discard(place)


async def _latest(space: WorkerSpace) -> dict[int, Latest]:
    latest: dict[int, Latest] = {n: {} for n in range(space.partitions)}
    async for partition, records in _read(space, TOPIC):
        latest[partition] |= {r.key: r.value for r in records}
    return {n: {k: v for k, v in of_one.items() if v} for n, of_one in latest.items()}


async def _values(space: WorkerSpace, topic: str) -> list[bytes]:
    found: list[bytes] = []
    async for _, records in _read(space, topic):
        found += [r.value for r in records]
    return found


def customers_in(latest: Mapping[int, Latest]) -> Latest:
    """Their rows alone, of all partitions."""
    return {
        key: value
        for rows in latest.values()
        for key, value in rows.items()
        if kind_of(value) == KIND_CUSTOMER
    }


def assert_figures(
    rows: Mapping[bytes, bytes], sums: Mapping[str, int], counts: Mapping[str, int], *, rates: bool
) -> None:
    """Every customer with an event has these figures, and so have his accounts together; nobody
    else has any. Every account has a ledger if there are rates, and none without."""
    found_sums, found_counts = {}, {}
    for key, value in rows.items():
        words = _ROW.unpack_from(value, OFFSET_AT)
        accounts, _ = accounts_at(value)
        own = tuple(sum(one.figures[n] for one in accounts) for n in (0, 1))
        assert own == (words[_SUM], words[_COUNT]), f"{key!r}: his accounts have other figures"
        assert all(bool(one.ledger) == rates for one in accounts), (
            f"{key!r}: ledgers are not as asked for"
        )
        if words[_COUNT]:
            found_sums[key.decode()], found_counts[key.decode()] = words[_SUM], words[_COUNT]
    assert found_sums == sums, _differing(found_sums, sums)
    assert found_counts == counts, _differing(found_counts, counts)


def _differing(found: Mapping[str, int], expected: Mapping[str, int]) -> str:
    names = {n for n in found.keys() | expected.keys() if found.get(n) != expected.get(n)}
    first = sorted(names)[:3]
    return f"{len(names)} customers differ: {[(n, found.get(n), expected.get(n)) for n in first]}"
