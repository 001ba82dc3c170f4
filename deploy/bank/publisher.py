"""Events into Kafka: each on its topic under its key; a day's close to every partition."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from shared.events import Event, encode, key_of
from shared.events.bank import DayClosed
from shared.groups import topic_ids
from shared.settings import Settings
from shared.wire import Broker, Report, Sender

PENDING_MAX = 2000
_KNOWN_WITHIN_S = 3.0
_EVENTS_TOPIC = DayClosed.TOPIC


class Sending(Protocol):
    """What the publisher needs of shared.wire.Sender."""

    def send(
        self, topic: str, key: bytes | None, value: bytes, partition: int | None = None
    ) -> Report: ...

    def flush(self, timeout_s: float) -> None: ...

    def close(self) -> None: ...


class NotDelivered(Exception):
    """At least one event since the last settled one has not reached the broker."""


class Unreachable(Exception):
    """No broker there, or it has no topic `bank.events`."""


class Publisher:
    """Sends without waiting, up to PENDING_MAX; `settle` waits for the broker's reports."""

    def __init__(
        self, sender: Sending, partitions: int, timeout_s: float,
        another: Callable[[], Sending] | None = None,
    ) -> None:  # fmt: skip
        self._sender = sender
        self._another = another
        self._partitions = partitions
        self._timeout_s = timeout_s
        self._pending: list[Report] = []
        self.sent = 0

    def send(self, event: Event[Any], value: bytes | None = None) -> None:
        """`value` is the encoded event when the caller has it. Raises NotDelivered."""
        if isinstance(event.data, DayClosed):
            self._close_day(event)
            return
        key = key_of(event).encode()
        self._pending.append(self._sender.send(event.data.TOPIC, key, value or encode(event)))
        self.sent += 1
        if len(self._pending) >= PENDING_MAX:
            self.settle()

    def _close_day(self, event: Event[Any]) -> None:
        """One copy for each partition, after everything before it has arrived."""
        self.settle()
        for partition in range(self._partitions):
            fact = DayClosed(day=event.data.day, partition=partition)
            copy = msgspec.structs.replace(event, id=fact.event_id(event.source), data=fact)
            key = key_of(copy).encode()
            self._pending.append(
                self._sender.send(_EVENTS_TOPIC, key, encode(copy), partition=partition)
            )
        self.sent += self._partitions

    def settle(self) -> None:
        """Returns when all that was sent is in the log. Raises NotDelivered."""
        if not self._pending:
            return
        pending, self._pending = self._pending, []
        deadline = time.monotonic() + self._timeout_s
        try:
            self._sender.flush(self._timeout_s)
            for report in pending:
                report.result(max(deadline - time.monotonic(), 0.01))
        except Exception as error:
            raise NotDelivered(f"{len(pending)} events unsettled: {error!r}") from error

    def begin_again(self) -> None:
        """After NotDelivered: one that gave up on records may never deliver another."""
        self._pending = []
        if self._another is not None:
            self._sender.close()
            self._sender = self._another()

    def close(self) -> None:
        self._sender.close()


@dataclass(frozen=True, slots=True)
class EventsTopic:
    """`bank.events` as the broker has it: a topic made anew has another id."""

    id: str
    partitions: int


def events_topic(settings: Settings) -> EventsTopic:
    """Asks the broker, for a while: a topic just made is not known at once.

    Raises Unreachable when the broker or the topic is not there.
    """
    deadline = time.monotonic() + _KNOWN_WITHIN_S
    while True:
        try:
            return _events_topic(settings)
        except Exception as error:  # the client's own errors are shared.wire's to know
            if time.monotonic() > deadline:
                topic = settings.topic(_EVENTS_TOPIC)
                raise Unreachable(f"{topic} at {settings.kafka}: {error}") from error
        time.sleep(0.1)


def _events_topic(settings: Settings) -> EventsTopic:
    broker = Broker(settings)
    try:
        partitions = len(broker.partitions(_EVENTS_TOPIC))
    finally:
        broker.close()
    topic = settings.topic(_EVENTS_TOPIC)
    return EventsTopic(topic_ids(settings, [topic])[topic], partitions)


def kafka_publisher(
    settings: Settings, topic: EventsTopic | None = None, *, linger_ms: int = 20
) -> Publisher:
    partitions = (topic or events_topic(settings)).partitions

    def sender() -> Sender:
        return Sender(settings, linger_ms=linger_ms)

    return Publisher(sender(), partitions, settings.delivery_timeout_s + 10, sender)
