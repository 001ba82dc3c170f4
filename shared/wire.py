"""What listeners read and relays write to; with `classes`, `groups`, `unpacked` all of kafka.

Topics carry the settings' prefix on the broker and their plain name everywhere else.
"""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import structlog
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, TopicPartition
from kafka.errors import KafkaError, KafkaTimeoutError
from kafka.structs import OffsetAndMetadata

from shared.classes import make_one_by_one
from shared.fetching import place_anew_when_cut_off, rest_when_all_is_asked
from shared.gathering import gathered
from shared.groups import ids_and_ends
from shared.settings import Settings
from shared.unpacked import PASSED_MS, read_compiled

log = structlog.get_logger()
make_one_by_one()

TopicPart = tuple[str, int]

# The library's own cap is 30 s: so long would a listener sleep after the broker is back.
RECONNECT_MAX_MS = 1000
BOOTSTRAP_MS = 30_000  # so long a question waits for a broker to answer
BrokerAway = KafkaTimeoutError  # then none did
FETCH_WAIT_MS = 50  # how long the broker may hold a fetch that finds nothing
READS: dict[str, Any] = {  # committed: a bank system may publish in transactions
    "enable_auto_commit": False, "allow_auto_create_topics": False,
    "isolation_level": "read_committed", "reconnect_backoff_max_ms": RECONNECT_MAX_MS,
}  # fmt: skip


class Record(NamedTuple):
    """One Kafka record; `timestamp_ms` is the broker's append time."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    timestamp_ms: int

    @property
    def is_passed(self) -> bool:
        """No record: a marker of a transaction, or what an aborted one wrote."""
        return self.timestamp_ms == PASSED_MS


@dataclass(frozen=True, slots=True)
class Span:
    """What the broker holds of a partition, and the topic's identity (it changes on recreation)."""

    topic_id: str
    begin: int
    end: int
    kept: int | None = None  # where it is known that the log was cut: up to here it is as was read


Place = Callable[[dict[TopicPart, Span]], Mapping[TopicPart, int]]
"""Given newly assigned partitions, says where each starts. May raise to stop the listener."""


class Source(Protocol):
    """What the consumer loop needs of a broker."""

    def poll(self, timeout_s: float, records_max: int) -> list[Record]: ...

    def commit(self, next_offsets: Mapping[TopicPart, int]) -> None: ...

    def end_offsets(self, topics: Iterable[str]) -> dict[TopicPart, int]: ...

    def partitions(self, topic: str) -> int: ...

    def rewind(self) -> None: ...

    def close(self) -> None: ...


class _Assigned(ConsumerRebalanceListener):  # type: ignore[misc]  # untyped library
    """Notes what was assigned; runs on the library's own loop, so it only takes notes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._fresh: set[TopicPartition] = set()
        self._kept: dict[TopicPartition, int] = {}

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        with self._lock:
            self._fresh -= set(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        with self._lock:
            self._fresh |= set(assigned)

    def take(self) -> set[TopicPartition]:
        with self._lock:
            fresh, self._fresh = self._fresh, set()
            return fresh

    def put_back(self, fresh: set[TopicPartition]) -> None:
        with self._lock:
            self._fresh |= fresh

    def cut_off(self, partition: TopicPartition, kept: int) -> None:
        with self._lock:
            self._fresh.add(partition)
            self._kept[partition] = min(kept, self._kept.get(partition, kept))

    def kept(self, partition: TopicPartition) -> int | None:
        with self._lock:
            return self._kept.get(partition)

    def placed(self, partitions: Iterable[TopicPartition]) -> None:
        with self._lock:
            for tp in partitions:
                self._kept.pop(tp, None)


class KafkaSource:
    """A group member that starts every partition where the service's own table says."""

    def __init__(
        self, settings: Settings, group: str, topics: Iterable[str], place: Place,
        states: Collection[str] = (),
    ) -> None:  # fmt: skip
        """`states`: of a key of these topics only the last record of a poll is done."""
        self._settings = settings
        self._place = place
        self._states = frozenset(states)
        self._listener = _Assigned()
        self._consumer = KafkaConsumer(
            bootstrap_servers=settings.kafka.split(","),
            group_id=settings.topic_prefix + group,
            client_id=group,
            auto_offset_reset="earliest",
            session_timeout_ms=int(settings.session_timeout_s * 1000),
            heartbeat_interval_ms=int(settings.session_timeout_s * 300),
            # Also how long the library waits for the answer to a JoinGroup before it asks anew: one
            # was lost under load, and its listener stood still for the library's five minutes.
            max_poll_interval_ms=60_000,
            max_partition_fetch_bytes=4 << 20,
            fetch_max_wait_ms=FETCH_WAIT_MS,
            metadata_max_age_ms=30_000,
            **READS,
        )
        read_compiled(self._consumer)
        place_anew_when_cut_off(self._consumer, self._listener.cut_off)
        rest_when_all_is_asked(self._consumer, int(settings.fetch_rest_s * 1000))
        names = [settings.topic(t) for t in sorted(topics)]
        # Joining before the metadata are here gives an empty assignment until the next refresh.
        missing = [name for name in names if not self._consumer.partitions_for_topic(name)]
        if missing:
            self._consumer.close(autocommit=False)
            raise KafkaError(f"topics unknown to the broker: {missing}")
        self._consumer.subscribe(names, listener=self._listener)

    def poll(self, timeout_s: float, records_max: int) -> list[Record]:
        """Those of one fetch, of states as many more as wait (`gathered`). Each partition's in its
        order; none of a partition that was not yet put in its place."""
        return gathered(self._polled, self._states, timeout_s, records_max)

    def _polled(self, timeout_s: float, records_max: int) -> tuple[list[Record], bool]:
        """Those of one fetch; False: partitions were put in their places meanwhile."""
        self._finish_join()
        polled = self._consumer.poll(timeout_ms=int(timeout_s * 1000), max_records=records_max)
        fresh = self._listener.take()
        if fresh:
            try:
                self._seek(fresh & self._consumer.assignment())
            except BaseException:
                self._listener.put_back(fresh)
                raise
        found: list[Record] = []
        for tp, records in polled.items():
            if tp not in fresh:
                topic, part = self._settings.plain_topic(tp.topic), tp.partition
                found += [
                    Record(topic, part, r.offset, r.key, r.value, r.timestamp) for r in records
                ]
        return found, not fresh

    def _finish_join(self) -> None:
        """A join that was begun is gone through with, also when one poll was too short for it.

        The library (3.0.12) asks anew at each poll whether a join is needed. One that changed
        metadata asked for is no longer needed once its answer is here, and if that came between
        two polls nobody takes it: no heartbeats, no partitions, and polls that spin for ever.
        """
        coordinator = self._consumer._coordinator
        if coordinator.rejoining:
            coordinator.request_rejoin()

    def rewind(self) -> None:
        """Puts every partition back in its stored place: after a batch that was not applied."""
        self._listener.put_back(set(self._consumer.assignment()))

    def _seek(self, fresh: set[TopicPartition]) -> None:
        if not fresh:
            return
        begins = self._consumer.beginning_offsets(list(fresh))
        ids, ends = ids_and_ends(self._settings, fresh)
        spans = {
            (self._settings.plain_topic(tp.topic), tp.partition): Span(
                ids[tp.topic], begins[tp], ends[tp], self._listener.kept(tp)
            )
            for tp in fresh
        }
        for (topic, partition), offset in self._place(spans).items():
            self._consumer.seek(TopicPartition(self._settings.topic(topic), partition), offset)
        self._listener.placed(fresh)

    def commit(self, next_offsets: Mapping[TopicPart, int]) -> None:
        """For lag only: the position that counts is in the database."""
        assigned = self._consumer.assignment()
        offsets = {}
        for (topic, partition), offset in next_offsets.items():
            tp = TopicPartition(self._settings.topic(topic), partition)
            if tp in assigned:
                offsets[tp] = OffsetAndMetadata(offset, "", -1)
        if offsets:
            self._consumer.commit_async(offsets)

    def end_offsets(self, topics: Iterable[str]) -> dict[TopicPart, int]:
        tps = [
            TopicPartition(self._settings.topic(t), p)
            for t in topics
            for p in self._consumer.partitions_for_topic(self._settings.topic(t)) or ()
        ]
        ends = self._consumer.end_offsets(tps)
        return {(self._settings.plain_topic(tp.topic), tp.partition): o for tp, o in ends.items()}

    def partitions(self, topic: str) -> int:
        """How many partitions the topic has; 0 when the broker does not say."""
        return len(self._consumer.partitions_for_topic(self._settings.topic(topic)) or ())

    def close(self) -> None:
        self._consumer.close(autocommit=False)


class Broker:
    """Questions to the broker outside any group: partitions and end offsets. Thread-safe."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._consumer: KafkaConsumer | None = None

    def partitions(self, topic: str) -> list[int]:
        with self._lock:
            found = self._client().partitions_for_topic(self._settings.topic(topic))
        if not found:
            raise KafkaError(f"topic {topic} is unknown to the broker")
        return sorted(found)

    def end_offsets(self, topic: str) -> dict[int, int]:
        """The fence: what every partition of the topic holds at this moment."""
        parts = self.partitions(topic)
        tps = [TopicPartition(self._settings.topic(topic), p) for p in parts]
        with self._lock:
            ends = self._client().end_offsets(tps)
        return {tp.partition: offset for tp, offset in ends.items()}

    def close(self) -> None:
        with self._lock:
            if self._consumer is not None:
                self._consumer.close(autocommit=False)
                self._consumer = None

    def _client(self) -> KafkaConsumer:
        if self._consumer is None:
            self._consumer = KafkaConsumer(
                bootstrap_servers=self._settings.kafka.split(","),
                client_id=f"{self._settings.service}-questions",
                bootstrap_timeout_ms=BOOTSTRAP_MS,
                # An end is behind all that the broker has acknowledged: a fence is to cover it.
                **READS | {"isolation_level": "read_uncommitted"},
            )
        return self._consumer


def read_span(
    settings: Settings, topic: str, partition: int, end: int, *, begin: int = 0,
    records_max: int = 5000,
) -> Iterator[list[Record]]:  # fmt: skip
    """What a partition holds from `begin` up to `end`, outside any group, in bounded lists."""
    tp = TopicPartition(settings.topic(topic), partition)
    consumer = KafkaConsumer(
        bootstrap_servers=settings.kafka.split(","),
        client_id=f"{settings.service}-reads-again",
        max_partition_fetch_bytes=4 << 20,
        **READS,
    )
    read_compiled(consumer)
    try:
        consumer.assign([tp])
        consumer.seek(tp, begin)
        while consumer.position(tp) < end:
            polled = consumer.poll(timeout_ms=500, max_records=records_max).get(tp, ())
            records = [Record(topic, partition, r.offset, r.key, r.value, r.timestamp)
                       for r in polled if r.offset < end and r.timestamp != PASSED_MS]  # fmt: skip
            if records:
                yield records
    finally:
        consumer.close(autocommit=False)


class Report(Protocol):
    """The broker's answer to one record."""

    def result(self, timeout: float | None = None) -> Any:
        """Where the record stands, or raises why it was not taken."""


class _Sent:
    """A record on its way. A future of the standard library would cost as much as the sending."""

    __slots__ = ("_of_library",)

    def __init__(self, of_library: Any) -> None:
        self._of_library = of_library

    def result(self, timeout: float | None = None) -> Any:
        return self._of_library.get(timeout)


class Sender:
    """An idempotent producer, acks=all."""

    def __init__(self, settings: Settings, *, linger_ms: int = 2) -> None:
        self._settings = settings
        self._producer = KafkaProducer(
            bootstrap_servers=settings.kafka.split(","),
            client_id=f"{settings.service}-sender",
            acks="all",
            enable_idempotence=True,
            linger_ms=linger_ms,
            batch_size=256 << 10,
            max_block_ms=int(settings.delivery_timeout_s * 1000),
            delivery_timeout_ms=int(settings.delivery_timeout_s * 1000),
            request_timeout_ms=int(settings.delivery_timeout_s * 500),
            max_request_size=1 << 20,
            compression_type=None,
            allow_auto_create_topics=False,
            reconnect_backoff_max_ms=RECONNECT_MAX_MS,
        )

    HEADERS = (("content-type", b"application/cloudevents+json"),)

    def send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None
    ) -> Report:
        try:
            return _Sent(
                self._producer.send(
                    self._settings.topic(topic),
                    value=value,
                    key=key,
                    partition=partition,
                    headers=list(self.HEADERS),
                )
            )
        except (KafkaError, ValueError, AssertionError) as error:
            refused: Future[Any] = Future()
            refused.set_exception(error)
            return refused

    def flush(self, timeout_s: float) -> None:
        self._producer.flush(timeout=timeout_s)

    def close(self) -> None:
        """What is not delivered by now is given up: it stays in its outbox. The library would
        leave its thread sending, and raise where only the end of a broker's outage was awaited."""
        try:
            self._producer.close(timeout=5)
        except KafkaTimeoutError as error:
            log.warning("producer_cut_off", error=str(error)[:200])
            self._producer._sender.force_close()
