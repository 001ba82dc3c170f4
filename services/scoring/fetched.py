"""What aiokafka fetches, handed on as `Records`: no Python object for each of them.

aiokafka still judges every batch (control batches, transactions that were broken off, a checksum
that is wrong); only how the records in it are found, and how a poll takes them, is ours.
"""

import sys
from collections.abc import Iterator
from typing import Any

import aiokafka.codec as codecs
import aiokafka.consumer.consumer as consuming
import aiokafka.consumer.fetcher as fetching
import numpy as np
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record.default_records import DefaultRecordBase
from aiokafka.record.memory_records import MemoryRecords
from crc32c import crc32c

from services.scoring import record_batch
from services.scoring.records import PLACE_WORDS, Records, joined, laid_out
from services.scoring.share import Share

REST_WAIT_MS = 250
_HEADER = DefaultRecordBase.HEADER_STRUCT
_LENGTH_AT, _LENGTH_END = 8, 12  # of a batch: where its length stands, and where that counts from
_DECODERS = {
    DefaultRecordBase.CODEC_GZIP: (codecs.has_gzip, codecs.gzip_decode),
    DefaultRecordBase.CODEC_SNAPPY: (codecs.has_snappy, codecs.snappy_decode),
    DefaultRecordBase.CODEC_LZ4: (codecs.has_lz4, codecs.lz4_decode),
    DefaultRecordBase.CODEC_ZSTD: (codecs.has_zstd, codecs.zstd_decode),
}


class Batch:
    """aiokafka's batch, but all its records in one."""

    def __init__(
        self, batch: Any, text: bytes, begin: int, end: int, passed: list[tuple[int, int]]
    ) -> None:
        self._batch = batch
        self._text, self._begin, self._end = text, begin, end
        self._has_header = hasattr(batch, "compression_type")  # the formats before 2 have none
        self._passed = passed
        if self._has_header:  # for nobody, until its records are asked for
            passed.append((batch.base_offset, batch.next_offset))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._batch, name)

    def validate_crc(self) -> bool:
        """aiokafka asks for it. Its own is right too, but takes eight times as long."""
        if not self._has_header:
            return bool(self._batch.validate_crc())
        begin = self._begin + DefaultRecordBase.ATTRIBUTES_OFFSET
        return bool(crc32c(memoryview(self._text)[begin : self._end]) == self._batch.crc)

    def has_records(self) -> bool:
        """Compaction leaves the batch of a marker, but may take the marker out of it."""
        return bool(_HEADER.unpack_from(self._text, self._begin)[-1])

    def __next__(self) -> Any:
        return next(self._batch)  # of a control batch aiokafka reads the one record itself

    def __iter__(self) -> Iterator[Records]:
        if self._has_header:
            self._passed.pop()
        found = self._records()
        if len(found):
            yield found

    def _records(self) -> Records:
        if not self._has_header:
            return laid_out(list(self._batch))
        text, begin, end = self._text, self._begin + _HEADER.size, self._end
        count = _HEADER.unpack_from(text, self._begin)[-1]
        codec = self._batch.compression_type
        if codec:
            text = _decoded(codec, text[begin:end])
            begin, end = 0, len(text)
        if count > (end - begin) // record_batch.LEAST_BYTES:
            raise CorruptRecordException(f"{count} records in {end - begin} bytes")
        found = Records(text, np.empty((max(count, 0), PLACE_WORDS), np.int64))
        if not record_batch.locate(
            found.letters(), begin, end, self._batch.base_offset, found.places
        ):
            raise CorruptRecordException("Found invalid record structure")
        return found


def _decoded(codec: int, packed: bytes) -> bytes:
    if codec not in _DECODERS:
        raise UnsupportedCodecError(f"Unknown compression codec {codec:#04x}")
    has_library, decode = _DECODERS[codec]
    if not has_library():
        raise UnsupportedCodecError(f"Libraries for compression codec {codec:#04x} not found")
    return bytes(decode(packed))


class Fetched:
    """Stands for aiokafka's MemoryRecords: it keeps the text that the batches lie in."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._at = 0
        self._batches = MemoryRecords(text)
        self._passed: list[tuple[int, int]] = []

    def has_next(self) -> bool:
        return bool(self._batches.has_next())

    def size_in_bytes(self) -> int:
        return len(self._text)

    def next_batch(self) -> Batch | None:
        batch = self._batches.next_batch()
        if batch is None:
            return None
        begin = self._at
        length = self._text[begin + _LENGTH_AT : begin + _LENGTH_END]
        self._at = begin + _LENGTH_END + int.from_bytes(length, "big")
        return Batch(batch, self._text, begin, self._at, self._passed)

    def take_passed(self) -> list[tuple[int, int]]:
        """The batches since the last call of which nobody asked for the records."""
        found = self._passed[:]
        self._passed.clear()
        return found


class PartitionRecords(fetching.PartitionRecords):  # type: ignore[misc]
    """Goes through the batches of one fetch of a partition."""

    _records: Fetched
    _left: Records | None = None  # of a batch that the last poll could not take whole

    def _consumer_record(self, tp: Any, record: Records) -> Records:
        return record.since(self.next_fetch_offset)

    def _contains_abort_marker(self, batch: Batch) -> bool:
        return batch.has_records() and bool(super()._contains_abort_marker(batch))

    def take(self, most: int | None) -> tuple[Share, bool]:
        """The next records, at most so many; and whether there are no more."""
        begin = self.next_fetch_offset
        records, is_all = self._take(most)
        return Share(records, begin, self.next_fetch_offset, self._records.take_passed()), is_all

    def _take(self, most: int | None) -> tuple[Records, bool]:
        parts: list[Records] = []
        room = sys.maxsize if most is None else most
        while room > 0:
            part = next(self, None) if self._left is None else self._left
            if part is None:
                return joined(parts), True
            self._left = part[room:] if len(part) > room else None
            parts.append(part[:room])
            self.next_fetch_offset = parts[-1].offset + 1
            room -= len(parts[-1])
        return joined(parts), False


class FetchResult(fetching.FetchResult):  # type: ignore[misc]
    """What a poll takes of a partition's fetch."""

    _partition_records: PartitionRecords | None

    def getall(self, max_records: int | None = None) -> Records:
        if not self.check_assignment(self._topic_partition) or self._partition_records is None:
            return joined(())
        taken, is_all = self._partition_records.take(max_records)
        self._update_position()
        if is_all:
            self._partition_records = None
        return taken


class Fetcher(fetching.Fetcher):  # type: ignore[misc]
    """Lets a fetch of everything wait longer at the broker: a record of any partition ends it. One
    of the others only, while a partition is being read, would hold that partition up."""

    def _get_actions_per_node(self, assignment: Any) -> Any:
        found = super()._get_actions_per_node(assignment)
        requests = [request for _, request in found[0]]
        asked = sum(len(places) for request in requests for _, places in request.topics)
        read = sum(not assignment.state_value(place).paused for place in assignment.tps)
        if asked == read:
            for request in requests:
                request._max_wait_ms = REST_WAIT_MS
        return found


def install() -> None:
    """From here on aiokafka makes ours: it looks the four up by name."""
    consuming.Fetcher = Fetcher
    fetching.MemoryRecords = Fetched
    fetching.PartitionRecords = PartitionRecords
    fetching.FetchResult = FetchResult
