"""Where Kafka's consumer (3.0.12) does otherwise than a listener needs."""

from collections.abc import Callable
from typing import Any


def rest_when_all_is_asked(consumer: Any, rest_ms: int) -> None:
    """Lets a fetch of everything wait longer at the broker: an event of any partition ends it.

    The library has one fetch under way with a broker, so one of the others only, while a partition
    is being read, would hold that partition up. A service at rest asks four times a second, not
    twenty.
    """
    fetcher = consumer._fetcher
    create = fetcher._create_fetch_requests

    def requests() -> Any:
        found = create()
        asked = sum(len(offsets) for _, offsets in found.values())
        if asked == len(consumer.assignment()):
            for request, _ in found.values():
                request.max_wait_ms = rest_ms
        return found

    fetcher._create_fetch_requests = requests


def place_anew_when_out_of_range(consumer: Any, put_back: Callable[[set[Any]], None]) -> None:
    """Where the log no longer has a reader's position, the reader is asked again where to begin,
    and may stop: the library would go on from the log's begin, and nobody would know what was
    passed over."""
    subscription = consumer._subscription
    reset = subscription.request_offset_reset

    def request(partition: Any, *strategy: Any) -> None:
        put_back({partition})
        reset(partition, *strategy)

    subscription.request_offset_reset = request
