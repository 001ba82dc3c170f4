"""State rows written in compiled code against aiokafka's own writer: the same bytes."""

import asyncio
from typing import Any

import numpy as np
import pytest
from aiokafka.producer.message_accumulator import BatchBuilder
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring import interned, produced
from services.scoring.fetched import Fetched
from services.scoring.interned import Interned
from services.scoring.records import Packed, StateRows
from services.scoring.transport import PartitionWriter

AT_MS = 1_700_000_000_123
Row = tuple[bytes, bytes]
LENGTHS = st.sampled_from([0, 1, 7, 8, 31, 32, 63, 64, 65, 127, 128, 8191, 8192, 8193])
ROWS = st.lists(st.tuples(st.binary(min_size=1, max_size=130), LENGTHS), min_size=1, max_size=150)


def rows_of(records: list[Row]) -> StateRows:
    """As a partition hands them out: keys by number, values apart with gaps between them."""
    known, numbered = Interned(), []
    for key, _ in records:
        known.make_room(1, len(key))
        raw = np.frombuffer(key, np.uint8)
        number = known.find(key)
        numbered.append(interned.add(raw, 0, len(raw), known.texts) if number < 0 else number)
    begins, values, at = [], bytearray(b"\xaa" * 8), 8
    for _, value in records:
        begins.append(at)
        values += value + b"\xaa" * 16
        at = len(values)
    return StateRows(
        np.array(numbered, np.int64), known.texts.letters, known.texts.ends,
        np.frombuffer(bytes(values), np.uint8), np.array(begins, np.int64),
        np.array([len(value) for _, value in records], np.int64),
    )  # fmt: skip


def theirs(records: list[Row], producer: tuple[int, int, int]) -> bytes:
    builder = DefaultRecordBatchBuilder(2, 0, 0, *producer, 1 << 30)
    for n, (key, value) in enumerate(records):
        assert builder.append(n, AT_MS, key, value, []) is not None
    return bytes(builder.build())


def built(
    batches: list[produced.Batch], producer: tuple[int, int, int] | None = None
) -> list[bytes]:
    found = []
    for batch in batches:
        batch._at_ms = AT_MS
        if producer is not None:
            batch._set_producer_state(*producer)
        found.append(bytes(batch._build()))
    return found


@settings(max_examples=200, deadline=None)
@given(ROWS, st.sampled_from([None, (4711, 3, 2**31 - 1)]))
def test_the_bytes_are_those_of_aiokafka(
    lengths: list[tuple[bytes, int]], producer: tuple[int, int, int] | None
) -> None:
    records = [(key, bytes(n % 251 for n in range(length))) for key, length in lengths]
    (found,) = built(list(produced.batches(rows_of(records), 1 << 30)), producer)
    assert found == theirs(records, producer or (-1, -1, 0))


def test_a_batch_that_is_sent_again_says_the_same() -> None:
    (batch,) = produced.batches(rows_of([(b"C1", b"x" * 80)]), 900_000)
    batch._set_producer_state(1, 2, 3)
    assert bytes(batch._build()) == bytes(batch._build())


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(0, 900), max_size=60), st.integers(200, 2_000))
def test_no_batch_is_larger_than_it_may_be_and_nothing_is_left_out(
    lengths: list[int], most: int
) -> None:
    records = [(b"C%d" % n, b"v" * length) for n, length in enumerate(lengths)]
    batches = list(produced.batches(rows_of(records), most))
    assert sum(batch.record_count() for batch in batches) == len(records)
    read = []
    for text in built(batches):
        alone = Fetched(text).next_batch()
        assert alone is not None
        (found,) = alone
        assert len(text) <= most or len(found) == 1
        read += [(record.key, record.value) for record in found]
    assert read == records
    assert all(batch.closed() for batch in batches)


class Sent:
    """Stands for the app and its producer."""

    def __init__(self) -> None:
        self.producer = self.conf = self
        self.producer_max_batch_size = 320
        self.order: list[tuple[bytes | None, bytes | None]] = []

    def _ensure_producer(self) -> "Sent":
        return self

    def create_batch(self) -> Any:
        return BatchBuilder(320, 0)

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> str:
        assert (topic, partition) == ("state", 3)
        found = Fetched(bytes(batch._build())).next_batch()
        assert found is not None
        for records in found:
            self.order += [(r.key, r.value) for r in records]
        return f"report {len(self.order)}"


def test_what_comes_first_is_written_first_and_each_batch_reports() -> None:
    rows = [(b"C%d" % n, b"v" * 100) for n in range(5)]
    first: list[tuple[bytes, bytes | None]] = [(b"C1/1", b"spilled"), (b"C2/1", None)]
    packed = Packed(first, rows_of(rows))
    sent = Sent()
    reports = asyncio.run(PartitionWriter(sent, "state").write_packed(3, packed))
    assert sent.order == [*first, *rows]
    assert list(packed) == sent.order
    assert (len(packed), packed[1], packed[-1], packed[1:4]) == (
        7, first[1], rows[-1], sent.order[1:4]
    )  # fmt: skip
    assert reports == ["report 2", "report 4", "report 6", "report 7"]
    with pytest.raises(IndexError):
        packed[7]


def test_nothing_to_write_is_nothing() -> None:
    writer = PartitionWriter(Sent(), "state")
    assert asyncio.run(writer.write_packed(3, Packed([], rows_of([])))) == []
