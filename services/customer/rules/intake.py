"""What the intake accepts, and what becomes of a close."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from shared.events.bank import DayClosed
from shared.events.envelope import (
    Event,
    Undecodable,
    UnknownType,
    UnknownVersion,
    decode,
    key_of,
    misplaced,
    wrap,
)

BODY_BYTES_MAX = 1_000_000
BAD_MAX = 100  # an answer that lists more helps nobody
EVENT_BYTES_MAX = 900_000  # what the broker takes in one record, with room for its own bytes
TOPICS = frozenset({"bank.events", "bank.customers", "bank.reference"})


class BadEvent(ValueError):
    """Why one event of a request cannot be taken; nothing of the request is."""

    def __init__(self, index: int, field: str, reason: str) -> None:
        super().__init__(f"[{index}] {field}: {reason}")
        self.index = index
        self.field = field
        self.reason = reason


class BadBatch(ValueError):
    """Every event of a request that cannot be taken, the first BAD_MAX of them, in order."""

    def __init__(self, bad: list[BadEvent]) -> None:
        super().__init__("; ".join(map(str, bad)))
        self.bad = bad


@dataclass(frozen=True)
class Taken:
    """An event that may be taken, and its bytes as they came."""

    raw: bytes
    event: Event[Any]


def read_events(body: bytes) -> list[Taken]:
    """One event, or a list of events. Raises BadBatch with those that cannot be taken."""
    try:
        if body.lstrip()[:1] == b"[":
            raws = [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
        else:
            raws = [body]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadBatch([BadEvent(0, "", f"not JSON: {error}")]) from None
    except RecursionError:
        raise BadBatch([BadEvent(0, "", "nested too deeply")]) from None
    if not raws:
        raise BadBatch([BadEvent(0, "", "an empty batch")])
    taken: list[Taken] = []
    bad: list[BadEvent] = []
    for index, raw in enumerate(raws):
        try:
            taken.append(_read(index, raw))
        except BadEvent as error:
            bad.append(error)
            if len(bad) == BAD_MAX:
                break
    if bad:
        raise BadBatch(bad)
    return taken


def _read(index: int, raw: bytes) -> Taken:
    if len(raw) > EVENT_BYTES_MAX:
        raise BadEvent(index, "", f"larger than {EVENT_BYTES_MAX} bytes")
    try:
        event = decode(raw)
    except Undecodable as error:
        raise BadEvent(index, error.field, error.reason) from None
    except (UnknownType, UnknownVersion) as error:
        raise BadEvent(index, "type", str(error)) from None
    fact = event.data
    if fact.TOPIC not in TOPICS:
        raise BadEvent(index, "type", f"{fact.TYPE} is not published by the bank")
    if event.source.startswith("guanxi/"):
        raise BadEvent(index, "source", "this source is our own")
    if isinstance(fact, DayClosed):
        if fact.partition is not None:
            raise BadEvent(index, "data.partition", "one close stands for all partitions here")
        return Taken(raw, event)
    # The business date is not judged here. Whether it is too early or too late hangs on the clock
    # and on descriptions that may still be corrected, so every reader quarantines it with its
    # place, by whichever road it came, and replays it later. A 422 would lose it, and its batch.
    wrong = misplaced(event, fact.TOPIC, key_of(event).encode())
    if wrong is not None:
        raise BadEvent(index, "subject", wrong)
    return Taken(raw, event)


def close_copies(event: Event[DayClosed], partitions: int) -> Iterator[Event[DayClosed]]:
    """One copy of a close for each partition, with the identity the contract gives it."""
    for partition in range(partitions):
        fact = msgspec.structs.replace(event.data, partition=partition)
        yield wrap(
            fact,
            id=fact.event_id(event.source),
            source=event.source,
            time=event.time,
            businessdate=event.businessdate,
            correlationid=event.correlationid,
            causationid=event.causationid,
        )
