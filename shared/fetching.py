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


def place_anew_when_cut_off(consumer: Any, cut_off: Callable[[Any, int], None]) -> None:
    """Where the log no longer has what a reader had read, the reader is asked again where to begin,
    and may stop. The library would go on from the log's begin, or from where what came back (an
    older copy, another leader's log) parts from what was read; nobody would know what was lost.

    `cut_off` is told the partition, and up to where the log can still be what was read. Its end
    does not say it: records that came since may have filled it up to the reader's place again.
    """
    subscription = consumer._subscription
    reset, seek = subscription.request_offset_reset, subscription.seek

    def out_of_range(partition: Any, *strategy: Any) -> None:
        position = subscription.assignment[partition].position
        # In a validation: the broker knows nothing of the epoch in which it was read.
        unknown = subscription.is_offset_validation_needed(partition) or position is None
        cut_off(partition, 0 if unknown else position.offset - 1)
        reset(partition, *strategy)

    def diverging(partition: Any, offset: Any) -> None:
        if subscription.is_offset_validation_needed(partition):
            cut_off(partition, getattr(offset, "offset", offset))
        seek(partition, offset)

    subscription.request_offset_reset, subscription.seek = out_of_range, diverging
