"""What kafka-python fetched, read by aiokafka's compiled reader: the library's own, in Python, was
a third of what a listener did. It still judges every batch; only the records in one are read here.
"""

from collections.abc import Iterator
from typing import Any

from aiokafka.record.default_records import DefaultRecordBatch
from kafka import KafkaConsumer
from kafka.consumer.fetcher import Fetcher
from kafka.errors import CorruptRecordError

FORMAT = 2  # of batches: brokers have written no other since Kafka 0.11


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
            if not batch.is_control_batch:
                for record in DefaultRecordBatch(bytes(batch._buffer)):
                    self.next_fetch_offset = record.offset + 1
                    yield record
            # What was compacted away at its end is not asked for again.
            self.next_fetch_offset = batch.next_offset
        self.drain()


def read_compiled(consumer: KafkaConsumer) -> None:
    """From now on this consumer's records come from there."""
    consumer._fetcher.PartitionRecords = PartitionRecords
