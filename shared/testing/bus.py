"""FakeBus: the source and sender interfaces in memory, with partitions, offsets and rewinds.

The same behaviour tests run against it and against Kafka; it is never used where a user would
run the real thing.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from shared.ids import partition_of
from shared.wire import Place, Record, Span, TopicPart


@dataclass
class FakeBus:
    """Topics appear when named in `partitions`; records keep what a broker would keep."""

    partitions: dict[str, int]
    logs: dict[TopicPart, list[Record]] = field(default_factory=lambda: defaultdict(list))
    topic_id: str = "fake"
    down: bool = False
    refuse_keys: set[bytes] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def source(self, topics: Iterable[str], place: Place) -> "FakeSource":
        return FakeSource(self, sorted(topics), place)

    def sender(self) -> "FakeSender":
        return FakeSender(self)

    def append(
        self, topic: str, key: bytes | None, value: bytes | None, partition: int | None = None
    ) -> Record:
        with self._lock:
            if partition is None:
                partition = partition_of(key or b"", self.partitions[topic])
            log = self.logs[topic, partition]
            record = Record(topic, partition, len(log), key, value, int(time.time() * 1000))
            log.append(record)
            return record


class FakeSource:
    def __init__(self, bus: FakeBus, topics: list[str], place: Place) -> None:
        self._bus = bus
        self._topics = topics
        self._place = place
        self._at: dict[TopicPart, int] = {}
        self.committed: dict[TopicPart, int] = {}

    def poll(self, timeout_s: float, records_max: int) -> list[Record]:
        if self._bus.down:
            raise ConnectionError("the bus is down")
        if not self._at:
            parts = [(t, p) for t in self._topics for p in range(self._bus.partitions[t])]
            spans = {tp: Span(self._bus.topic_id, 0, len(self._bus.logs[tp])) for tp in parts}
            self._at = dict(self._place(spans))
        out: list[Record] = []
        for tp, offset in self._at.items():
            taken = self._bus.logs[tp][offset : offset + records_max - len(out)]
            out += taken
            self._at[tp] = offset + len(taken)
        return out

    def rewind(self) -> None:
        self._at = {}

    def commit(self, next_offsets: Mapping[TopicPart, int]) -> None:
        self.committed.update(next_offsets)

    def end_offsets(self, topics: Iterable[str]) -> dict[TopicPart, int]:
        return {
            (t, p): len(self._bus.logs[t, p])
            for t in topics
            for p in range(self._bus.partitions[t])
        }

    def partitions(self, topic: str) -> int:
        return self._bus.partitions[topic]

    def close(self) -> None:
        self._at = {}


class FakeSender:
    def __init__(self, bus: FakeBus) -> None:
        self._bus = bus

    def send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None
    ) -> "Future[Any]":
        report: Future[Any] = Future()
        if self._bus.down or (key is not None and key in self._bus.refuse_keys):
            report.set_exception(ConnectionError("refused"))
        else:
            report.set_result(self._bus.append(topic, key, value, partition))
        return report

    def flush(self, timeout_s: float) -> None:
        pass

    def close(self) -> None:
        pass
