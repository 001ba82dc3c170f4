"""What kafka-python fetched, read by aiokafka's compiled reader: the library's own, in Python, was
a third of what a listener did. It still judges every batch; only the records in one are read here.

What a bank system publishes in transactions is read when they are committed. Their markers, and
what aborted ones wrote, take offsets too: each is handed on as `Passed`, so that who counts offsets
misses none.
"""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from aiokafka.record.default_records import DefaultRecordBatch
from kafka import KafkaConsumer
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError
from kafka.protocol.consumer import IsolationLevel

FORMAT = 2  # of batches: brokers have written no other since Kafka 0.11

PASSED_MS: Final = -2  # the time of what is for nobody; a record without one has -1


class Passed(NamedTuple):
    """An offset at which stands nothing to be read."""

    offset: int
    timestamp: int = PASSED_MS
    key: None = None
    value: None = None


class PartitionRecords(Fetcher.PartitionRecords):  # type: ignore[misc]  # untyped library
    """Of one partition. They have the names of the library's: offset, timestamp, key, value."""

    def _unpack_records(self, tp: Any, records: Any, *_: Any) -> Iterator[Any]:
        while (batch := records.next_batch()) is not None:
            if batch.magic != FORMAT:
                raise CorruptRecordError(f"{tp} has a batch of format {batch.magic}")
            if self.check_crcs and not batch.validate_crc():
                raise CorruptRecordError(f"{tp} at {batch.base_offset}: a checksum is wrong")
            self.leader_epoch = batch.leader_epoch
            self.bytes_read += batch.size_in_bytes
            self.records_read += batch.records_count
            if self._is_for_nobody(batch):
                for offset in range(batch.base_offset, batch.next_offset):
                    self.next_fetch_offset = offset + 1
                    yield Passed(offset)
            else:
                for record in DefaultRecordBatch(bytes(batch._buffer)):
                    self.next_fetch_offset = record.offset + 1
                    yield record
            # What was compacted away at its end is not asked for again.
            self.next_fetch_offset = batch.next_offset
        self.drain()

    def _is_for_nobody(self, batch: Any) -> bool:
        """A marker of a transaction, or a batch of one that was aborted."""
        if self.isolation_level == IsolationLevel.READ_COMMITTED and batch.has_producer_id():
            self._consume_aborted_transactions_up_to(batch.last_offset)
            # Compaction may leave a marker's batch without its record.
            if batch.records_count and self._contains_abort_marker(batch):
                self.aborted_producer_ids.discard(batch.producer_id)
            elif self._is_batch_aborted(batch):
                return True
        return bool(batch.is_control_batch)


def read_compiled(consumer: KafkaConsumer) -> None:
    """From now on this consumer's records come from there."""
    consumer._fetcher.PartitionRecords = PartitionRecords
