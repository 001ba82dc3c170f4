"""State rows as batches that aiokafka sends, written in compiled code: no Python object for one."""

import time
from collections.abc import Iterator

import numpy as np
from aiokafka.record.default_records import DefaultRecordBase
from crc32c import crc32c

from services.scoring import record_batch
from services.scoring.records import StateRows

_HEADER = DefaultRecordBase.HEADER_STRUCT
_CRC_AT, _CHECKED_FROM = DefaultRecordBase.CRC_OFFSET, DefaultRecordBase.ATTRIBUTES_OFFSET
_NOBODYS = (-1, -1, 0)  # producer, epoch, sequence: of a producer that is not idempotent


class Batch:
    """What aiokafka's producer asks of its `BatchBuilder`; it is full from the beginning."""

    def __init__(self, body: bytearray, records: int) -> None:
        self._body = body  # with room for the header
        self._records = records
        self._producer = _NOBODYS
        self._at_ms = time.time_ns() // 1_000_000

    def _set_producer_state(self, producer_id: int, epoch: int, sequence: int) -> None:
        self._producer = (producer_id, epoch, sequence)

    def _build(self) -> bytearray:
        body = self._body
        _HEADER.pack_into(
            body, 0, 0, len(body) - DefaultRecordBase.AFTER_LEN_OFFSET,
            DefaultRecordBase.NO_PARTITION_LEADER_EPOCH, 2, 0, 0, self._records - 1, self._at_ms,
            self._at_ms, *self._producer, self._records,
        )  # fmt: skip
        checksum = crc32c(memoryview(body)[_CHECKED_FROM:])
        body[_CRC_AT : _CRC_AT + 4] = checksum.to_bytes(4, "big")
        return body

    def record_count(self) -> int:
        return self._records

    def closed(self) -> bool:
        return True


def batches(rows: StateRows, most_bytes: int) -> Iterator[Batch]:
    """As few as possible; a row that is larger has a batch of its own, for the broker to judge."""
    keys = rows.ends[rows.numbered + 1] - rows.ends[rows.numbered]
    needed = np.cumsum(rows.lengths + keys + record_batch.MOST_BYTES)
    begin, room = 0, most_bytes - _HEADER.size
    while begin < len(needed):
        before = int(needed[begin - 1]) if begin else 0
        end = max(begin + 1, int(np.searchsorted(needed, before + room, "right")))
        body = bytearray(_HEADER.size + int(needed[end - 1]) - before)
        whole = record_batch.write(rows, begin, end, np.frombuffer(body, np.uint8), _HEADER.size)
        del body[whole:]
        yield Batch(body, end - begin)
        begin = end
