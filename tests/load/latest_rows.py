"""The latest state row of every customer, read back fast, and whether its figures are the bank's.

Of two million rows most were replaced by a later one: those are never unpacked. They are read by
the worker's own reader, which makes no object of each. A row that it lost would be missed.
"""

import asyncio
from collections.abc import Mapping
from struct import Struct
from typing import Final

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


def ends(space: WorkerSpace) -> dict[int, int]:
    """Where the topic ends now."""
    return asyncio.run(_ends(space))


def latest_rows(space: WorkerSpace, since: Mapping[int, int]) -> dict[bytes, bytes]:
    """Customer -> his latest row, of those that were written at these offsets or behind."""
    return asyncio.run(_latest(space, since))


def _consumer(space: WorkerSpace) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(bootstrap_servers=space.servers.kafka, enable_auto_commit=False,
                            max_partition_fetch_bytes=FETCH_BYTES)  # fmt: skip


def _places(space: WorkerSpace) -> list[TopicPartition]:
    return [TopicPartition(space.prefix + TOPIC, n) for n in range(space.partitions)]


async def _ends(space: WorkerSpace) -> dict[int, int]:
    async with _consumer(space) as consumer:
        found = await consumer.end_offsets(_places(space))
    return {place.partition: end for place, end in found.items()}


async def _latest(space: WorkerSpace, since: Mapping[int, int]) -> dict[bytes, bytes]:
    fetched.install()
    latest: dict[bytes, bytes] = {}
    async with _consumer(space) as consumer:
        places = _places(space)
        consumer.assign(places)
        for place in places:
            consumer.seek(place, since[place.partition])
        until = await consumer.end_offsets(places)
        left = {place for place in places if until[place] > since[place.partition]}
        while left:
            polled = await consumer.getmany(*left, timeout_ms=int(SILENCE_S * 1000))
            assert polled, f"{TOPIC} cannot be read to its end: {left}"
            for place, records in polled.items():
                latest |= {r.key: r.value for r in records
                           if r.value and kind_of(r.value) == KIND_CUSTOMER}  # fmt: skip
                if records[-1].offset >= until[place] - 1:
                    left.discard(place)
    return latest


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
