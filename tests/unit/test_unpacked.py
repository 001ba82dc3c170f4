"""The compiled reader of fetched records says what the library's own says."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel
from kafka.record.default_records import DefaultRecordBatchBuilder
from kafka.record.memory_records import MemoryRecords

from shared.unpacked import PASSED_MS, PartitionRecords

PLACE = TopicPartition("score.updates", 3)
APPENDED_AT = 1_700_000_000_777
HEADERS = [("content-type", b"application/json"), ("none", None)]
BASE_AT, ATTRIBUTES_AT, CRC_AT = 0, 21, 17  # in a batch


def batch(first: int, count: int, *, compression: int = 0, last: int | None = None) -> bytearray:
    """Records from this offset on; `last`: those between were compacted away."""
    made = DefaultRecordBatchBuilder(2, compression, False, -1, -1, -1, 1 << 20)
    for n in range(count):
        key, value = (None if n == 1 else b"C%d" % n), (None if n == 2 else b"v" * 200)
        made.append(n, APPENDED_AT + n, key, value, HEADERS if n % 2 else [])
    found = bytearray(made.build())
    found[BASE_AT : BASE_AT + 8] = first.to_bytes(8, "big")
    if last is not None:
        found[23:27] = (last - first).to_bytes(4, "big")
        summed(found)
    return found


def summed(found: bytearray) -> None:
    from kafka.record.util import calc_crc32c

    found[CRC_AT : CRC_AT + 4] = calc_crc32c(found[ATTRIBUTES_AT:]).to_bytes(4, "big")


def appended(found: bytearray) -> bytearray:
    """As a topic that keeps the broker's time has it."""
    found[ATTRIBUTES_AT + 1] |= 0x08
    found[35:43] = (APPENDED_AT + 5).to_bytes(8, "big")
    summed(found)
    return found


def transactional(first: int, count: int, marker: bytes | None = None) -> bytearray:
    """Of the producer 5; a marker says how its transaction ended."""
    made = DefaultRecordBatchBuilder(2, 0, True, 5, 0, 0, 1 << 20)
    for n in range(count):
        made.append(n, APPENDED_AT, marker or b"C1", b"\0" * 6, [])
    found = bytearray(made.build())
    found[BASE_AT : BASE_AT + 8] = first.to_bytes(8, "big")
    found[ATTRIBUTES_AT + 1] |= 0x20 if marker else 0
    summed(found)
    return found


def taken(reader: type[Any], log: bytes, at: int, step: int) -> Iterator[tuple[Any, ...]]:
    """All records, so many at a time, and where the next fetch would begin after each."""
    records = reader(at, PLACE, MemoryRecords(log))
    while records:
        for one in records.take(step):
            yield one.offset, one.timestamp, one.key, one.value
        yield "next", records.next_fetch_offset, None, None


LOGS = {
    "two batches": batch(7, 40) + batch(47, 3),
    "compacted": batch(7, 5, last=90) + batch(100, 1),
    "packed": batch(7, 40, compression=1),
    "the broker's time": appended(batch(7, 9)),
    "cut short": batch(7, 4) + batch(11, 4)[:-9],
}


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS)
@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize("at", [0, 9])
def test_the_same_records_and_the_same_places(log: bytearray, step: int, at: int) -> None:
    own = list(taken(PartitionRecords, bytes(log), at, step))
    assert own == list(taken(Fetcher.PartitionRecords, bytes(log), at, step))
    assert sum(one[0] != "next" for one in own) >= 2


ABORTED, COMMITTED = b"\0\0\0\0", b"\0\0\0\1"
TRANSACTIONS = (
    transactional(7, 3) + transactional(10, 1, ABORTED) + transactional(11, 2) + batch(13, 1)
    + transactional(14, 1, COMMITTED)
)  # fmt: skip


@pytest.mark.parametrize("step", [1, 2, 1000])
@pytest.mark.parametrize("at", [7, 9, 12])
def test_what_is_for_nobody_keeps_its_offsets(step: int, at: int) -> None:
    records = PartitionRecords(
        at, PLACE, MemoryRecords(bytes(TRANSACTIONS)),
        isolation_level=IsolationLevel.READ_COMMITTED,
        aborted_transactions=[SimpleNamespace(producer_id=5, first_offset=7)],
    )  # fmt: skip
    read, passed = [], []
    while records:
        for one in records.take(step):
            (passed if one.timestamp == PASSED_MS else read).append(one.offset)
            assert (one.timestamp == PASSED_MS) == (one.value is None)
        assert records.next_fetch_offset == 1 + max([*read, *passed])
    assert read == [n for n in (11, 12, 13) if n >= at]
    assert passed == [n for n in (7, 8, 9, 10, 14) if n >= at]


def test_a_wrong_checksum_is_refused() -> None:
    log = batch(7, 40)
    log[-3] ^= 1
    with pytest.raises(CorruptRecordError):
        list(taken(PartitionRecords, bytes(log), 0, 10))


def test_an_old_format_is_refused() -> None:
    log = batch(7, 4) + batch(11, 4)
    log[len(log) // 2 + 16] = 3
    with pytest.raises(CorruptRecordError, match="format 3"):
        list(taken(PartitionRecords, bytes(log), 0, 100))
