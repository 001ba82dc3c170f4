"""The batch transport: all that one poll brought of a partition is ONE Faust event.

Stock Faust spends 100 us on an event before the agent sees it. Everything that this file touches
of Faust 0.15.3 and aiokafka 0.14.0 is listed in TOUCH_POINTS and pinned by a contract test.
"""

import asyncio
import time
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import faust
import structlog
from aiokafka.structs import TopicPartition
from faust.serializers.schemas import Schema
from faust.transport.drivers import aiokafka as driver
from faust.types import TP
from faust.types.tuples import ConsumerMessage

from services.scoring import fetched, produced
from services.scoring.holes import Holes
from services.scoring.membership import Membership
from services.scoring.metrics import REWINDS
from services.scoring.records import Packed
from services.scoring.share import Share

log = structlog.get_logger()

TOUCH_POINTS = (
    "faust.App._new_transport",
    "faust.App._new_producer_transport",
    "faust.transport.consumer.Consumer._drain_messages",
    "faust.transport.consumer.Consumer._wait_next_records",
    "faust.transport.consumer.Consumer._new_offset",
    "faust.transport.consumer.Consumer.ack",
    "faust.transport.consumer.Consumer.perform_seek",
    "faust.transport.consumer.Consumer.on_partitions_revoked",
    "faust.transport.drivers.aiokafka.Consumer._new_consumer_thread",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._create_worker_consumer",
    "faust.transport.drivers.aiokafka.Producer._settings_extra",
    "aiokafka.consumer.subscription_state.TopicPartitionState.has_valid_position",
    "aiokafka.consumer.subscription_state.TopicPartitionState.position",
    "aiokafka.consumer.subscription_state.TopicPartitionState.paused",
    "aiokafka.AIOKafkaConsumer._fetch_max_wait_ms",
    "aiokafka.AIOKafkaConsumer._isolation_level",
    "faust.transport.drivers.aiokafka.AIOKafkaConsumerThread.on_start",
    "faust.transport.drivers.aiokafka.Producer._new_producer",
    "aiokafka.consumer.group_coordinator.GroupCoordinator._send_req",
    "aiokafka.producer.sender.Sender._send_produce_req",
    "aiokafka.consumer.consumer.Fetcher",
    "aiokafka.consumer.fetcher.Fetcher._get_actions_per_node",
    "aiokafka.protocol.fetch.FetchRequest.topics",
    "aiokafka.consumer.fetcher.MemoryRecords",
    "aiokafka.consumer.fetcher.PartitionRecords._unpack_records",
    "aiokafka.consumer.fetcher.PartitionRecords._consumer_record",
    "aiokafka.consumer.fetcher.FetchResult.getall",
    "aiokafka.consumer.fetcher.FetchResult.check_assignment",
    "aiokafka.consumer.fetcher.FetchResult._update_position",
    "aiokafka.producer.message_accumulator.BatchBuilder._set_producer_state",
    "aiokafka.producer.message_accumulator.BatchBuilder._build",
    "aiokafka.producer.message_accumulator.BatchBuilder.record_count",
    "aiokafka.producer.message_accumulator.BatchBuilder.closed",
)

FETCH_WAIT_MS = 20  # Faust's 1500 parks the busy partitions behind the idle ones
# A record waits for up to two polls: what one takes was fetched right after the one before.
# With 25 ms a state row took 49 ms at 10,000 events a second; with 10 it takes 14, and more CPU.
POLL_S = 0.010
BACK_PRESSURE_S = 0.002  # Faust sleeps a whole second when every buffer is full
LEAVE_WAIT_S = 8.0  # below the session, so that the group does not throw us out while we finish


class ConsumerThread(driver.AIOKafkaConsumerThread):  # type: ignore[misc]
    """The thread that owns aiokafka's consumer."""

    async def on_start(self) -> None:
        await super().on_start()  # nothing is subscribed to yet, so no group is joined
        self.app.membership.watch(self._ensure_consumer()._coordinator)

    def _create_worker_consumer(self, transport: Any) -> Any:
        consumer = super()._create_worker_consumer(transport)
        consumer._fetch_max_wait_ms = FETCH_WAIT_MS
        consumer._isolation_level = "read_committed"  # a bank system may publish in transactions
        return consumer

    async def seek_now(self, offsets: Mapping[TP, int]) -> None:
        """Seeks on the thread's own loop; partitions that were just revoked are left out."""
        await self.call_thread(self._seek_assigned, offsets)

    async def put_back(self, spans: Mapping[TP, tuple[int, int]]) -> None:
        """Undoes reading (first, next) of each partition, unless somebody sought it since."""
        await self.call_thread(self._put_back_assigned, spans)

    async def _put_back_assigned(self, spans: Mapping[TP, tuple[int, int]]) -> None:
        consumer = self._ensure_consumer()
        mine = consumer.assignment()
        for tp, (first, following) in spans.items():
            place = TopicPartition(tp.topic, tp.partition)
            if place not in mine:
                continue
            at = consumer._subscription.subscription.assignment.state_value(place)
            if at.has_valid_position and at.position == following:
                consumer.seek(place, first)

    async def _seek_assigned(self, offsets: Mapping[TP, int]) -> None:
        consumer = self._ensure_consumer()
        mine = consumer.assignment()
        for tp, offset in offsets.items():
            place = TopicPartition(tp.topic, tp.partition)
            if place in mine:
                consumer.seek(place, offset)


class Consumer(driver.Consumer):  # type: ignore[misc]
    """Delivers batches, commits contiguous acknowledged ones, never loses a first record."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._pending: defaultdict[TP, deque[int]] = defaultdict(deque)
        self.holes = Holes()
        self.before_leaving: Callable[[Iterable[TP]], Awaitable[None]] | None = None
        # Told the commits at which partitions were placed.
        self.when_open: Callable[[Mapping[TP, int]], None] | None = None
        self._starts: dict[TP, int] = {}
        self._placed = False  # all partitions stand at their commits since the flow last stopped
        self._stops = 0  # of the flow: a seek that began before the last one places nothing
        self._open = False  # events may be read

    def _new_consumer_thread(self) -> ConsumerThread:
        return ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    # Where reading starts ---------------------------------------------------------------------

    def stop_flow(self) -> None:
        self._open = self._placed = False
        self._stops += 1
        super().stop_flow()

    def resume_flow(self) -> None:
        """Faust resumes once for the changelogs and once when all is in place; then it clears its
        queues. Only after the second may events be read, or those in between would be lost."""
        super().resume_flow()
        self._open = self._placed
        if self._open and self.when_open is not None:
            self.when_open(self._starts)

    async def perform_seek(self) -> None:
        """Puts every partition at its commit; one without a commit gets one, at its beginning.

        aiokafka seeks only to commits above 0, while Faust throws away what was fetched when the
        flow stood still: the first rebalance of a group lost those records silently.

        A rebalance may begin meanwhile. Faust still resumes the flow when this seek is done; events
        read from there on would be read again after the next seek, and what was pending twice is
        acknowledged once: the partition's commit would stand still for ever.
        """
        stops = self._stops
        self._pending.clear()
        await super().perform_seek()
        acking = [tp for tp in self.assignment() if self._acking(tp)]
        begins = await self.earliest_offsets(*acking) if acking else {}
        fresh = {tp: int(begins[tp] or 0) for tp in acking if self._read_offset[tp] is None}
        if fresh:
            await self._commit(fresh)
            self._read_offset.update(fresh)
        self._starts = {tp: int(self._read_offset[tp] or 0) for tp in acking}
        await self._thread.seek_now(self._starts)
        for tp, offset in self._starts.items():
            self.holes.begin(tp, offset)
        self._placed = self._placed or self._stops == stops
        REWINDS.inc()

    def _acking(self, tp: TP) -> bool:
        return bool(self.app.topics.acks_enabled_for(tp.topic)) and not self._is_changelog_tp(tp)

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Finishes what is being written first: the next owner must not overtake it."""
        if self.before_leaving is not None:
            try:
                await asyncio.wait_for(self.before_leaving(revoked), LEAVE_WAIT_S)
                await self.commit()
            except TimeoutError:
                log.error("batch_outlived_its_partition", partitions=len(revoked))
        for tp in revoked:
            self._pending.pop(tp, None)
        await super().on_partitions_revoked(revoked)

    # What is committed ------------------------------------------------------------------------

    def ack(self, message: Any) -> bool:
        """An older generation's batch was or will be redelivered: it must not move the commit."""
        if message.generation_id != self.app.consumer_generation_id:
            message.acked = True
            self._unacked_messages.discard(message)
            return False
        return bool(super().ack(message))

    def _new_offset(self, tp: TP) -> int | None:
        """The end of the contiguous run of acknowledged batches, never past one in flight."""
        acked, index, pending = self._acked[tp], self._acked_index[tp], self._pending[tp]
        if not acked:
            return None
        new = None
        while pending and pending[0] in index:
            last = pending.popleft()
            index.discard(last)
            new = last + 1
        acked[:] = [offset for offset in acked if offset in index]
        return new

    # How it is read ---------------------------------------------------------------------------

    async def _wait_next_records(self, timeout: float) -> tuple[Mapping[TP, Any], Any]:
        if not self.flow_active:
            await self.wait(self.can_resume_flow)
        try:
            self.not_waiting_next_records.clear()
            # A copy: Faust empties its set in a rebalance, and to aiokafka an empty set is all.
            active = {tp for tp in self._get_active_partitions()
                      if self._open or not self._acking(tp)}  # fmt: skip
            if active:
                return await self._getmany(active_partitions=active, timeout=timeout), active
            await asyncio.sleep(BACK_PRESSURE_S)
            return {}, active
        finally:
            self.not_waiting_next_records.set()

    async def _drain_messages(self, fetcher: Any) -> None:
        try:
            while not (self._stopped.is_set() or fetcher._stopped.is_set()):
                begun = time.monotonic()
                records, active = await self._wait_next_records(timeout=1.0)
                await asyncio.sleep(0)
                if not records:
                    continue
                if not self.flow_active:
                    await self._unread(records)
                    continue
                count = await self._deliver(records, active)
                if count < self.app.conf.broker_max_poll_records:
                    # Batches by time: a record alone costs 24 times one among thousands.
                    await asyncio.sleep(max(POLL_S - (time.monotonic() - begun), 0.0))
        except self.consumer_stopped_errors:
            if not self.transport.app.should_stop:
                raise
        except asyncio.CancelledError:
            if not self.transport.app.should_stop:
                raise

    async def _deliver(self, polled: Mapping[TP, Share], active: set[TP] | None) -> int:
        """Hands each partition's share to its agent. A rebalance in between ends the poll."""
        generation = self.app.consumer_generation_id
        count = 0
        left = dict(polled)
        for tp, share in polled.items():
            if not self.flow_active or self.app.consumer_generation_id != generation:
                await self._unread(left)
                break
            del left[tp]
            if not (active is None or tp in active or tp in self._buffered_partitions):
                await self._unread({tp: share})
                continue
            acking = self._acking(tp)
            # Of a changelog only records count; the commit of events goes past markers too.
            fresh = await self._in_place(tp, share) if acking else share.of_records()
            if not fresh:
                continue
            last = fresh.end - 1
            if acking:
                self._pending[tp].append(last)
            message = ConsumerMessage(
                tp.topic, tp.partition, last, 0.0, None, (), None, fresh, None, 0, 0, tp,
                generation_id=generation,
            )  # fmt: skip
            self.app.monitor.track_tp_end_offset(tp, self.highwater(tp))
            await self.wait_first(self.callback(message), self.suspend_flow.wait())
            self._read_offset[tp] = last + 1
            count += len(fresh)
        return count

    async def _unread(self, polled: Mapping[TP, Share]) -> None:
        """Records that will not be delivered. Events are read again after `perform_seek`; of a
        changelog nobody would ask again, and the recovery would wait for ever."""
        spans = {tp: (share.begin, share.end)
                 for tp, share in polled.items() if share and not self._acking(tp)}  # fmt: skip
        if spans:
            log.info("put_back", partitions=sorted(tp.partition for tp in spans))
            await self._thread.put_back(spans)

    async def _in_place(self, tp: TP, share: Share) -> Share:
        """The records that come next. A poll that was under way during a seek may bring others:
        those before are dropped, and for those after it the partition is put back. A share begins
        where it was fetched from: between that and its first record may be markers."""
        if not self._open:
            return share.since(share.end)
        read = self._read_offset[tp]
        if read is None:
            return share
        fresh = share.since(read)
        if fresh and fresh.begin > read:
            begins = await self.earliest_offsets(tp)
            if int(begins[tp] or 0) <= read:
                log.warning("put_back", partition=tp.partition, at=fresh.begin, to=read)
                await self._thread.seek_now({tp: read})
                return share.since(share.end)
        return fresh


class Producer(driver.Producer):  # type: ignore[misc]
    """Idempotent: Faust asks for it in exactly-once mode only. Silent when no member any more."""

    def _new_producer(self, transactional_id: str | None = None) -> Any:
        producer = super()._new_producer(transactional_id)
        self.app.membership.fence(producer)
        return producer

    def _settings_extra(self) -> Mapping[str, Any]:
        return {"acks": "all", "enable_idempotence": True}


class Transport(driver.Transport):  # type: ignore[misc]
    """Faust's aiokafka transport with our consumer and producer."""

    Consumer = Consumer
    Producer = Producer


class BatchApp(faust.App):  # type: ignore[misc]
    """A Faust app on the batch transport."""

    membership: Membership

    def _create_directories(self) -> None:
        """None: nothing is kept in files, and a killed worker would leave its folder behind."""

    def _new_transport(self) -> Transport:
        fetched.install()
        return Transport(self.conf.broker_consumer, self)

    def _new_producer_transport(self) -> Transport:
        return Transport(self.conf.broker_producer, self)


class BatchSchema(Schema):  # type: ignore[misc]
    """Lets a share pass through the channel as it is."""

    def compile(self, app: Any, **_: Any) -> Any:
        create = app.create_event

        async def decode(message: Any, *, propagate: bool = False) -> Any:
            return create(None, message.value, None, message)

        return decode


class PartitionWriter:
    """Appends records to one partition in as few Kafka batches as possible."""

    def __init__(self, app: Any, topic: str) -> None:
        self._app = app
        self._topic = topic

    async def write_packed(self, partition: int, records: Packed) -> list[Any]:
        """The same of records that are none of Python yet."""
        producer = self._app.producer._ensure_producer()
        reports = await self.write(partition, records.first)
        for batch in produced.batches(records.rows, self._app.conf.producer_max_batch_size):
            reports.append(await producer.send_batch(batch, self._topic, partition=partition))
        return reports

    async def write(
        self, partition: int, records: Iterable[tuple[bytes | None, bytes | None]]
    ) -> list[Any]:
        """Futures of the delivery reports; nothing is sure before each of them is awaited."""
        producer = self._app.producer._ensure_producer()
        reports: list[Any] = []
        batch = None
        for key, value in records:
            if batch is not None and batch.append(key=key, value=value, timestamp=None) is None:
                reports.append(await producer.send_batch(batch, self._topic, partition=partition))
                batch = None
            if batch is None:
                batch = producer.create_batch()
                if batch.append(key=key, value=value, timestamp=None) is None:
                    raise ValueError(f"a record of {len(value or b'')} bytes fits no batch")
        if batch is not None:
            reports.append(await producer.send_batch(batch, self._topic, partition=partition))
        return reports
