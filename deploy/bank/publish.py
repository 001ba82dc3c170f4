"""A file of events into Kafka: paced, with bounded memory, going on where it was interrupted.

The state file holds how many bytes are in the log for certain. After a crash the events behind it
are sent again under the same ids, and readers drop the repeats.
"""

import hashlib
import io
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from threading import Event as Flag
from typing import Any, BinaryIO, Protocol

import msgspec

from deploy.bank.publisher import Publisher
from shared.events import Event, Undecodable, UnknownType, UnknownVersion, decode

_HEAD_LINES = 200  # tell files apart: their first lines alone are often the same
_SETTLE_EVERY_S = 1.0


class Mark(msgspec.Struct):
    """The state file: `offset_bytes` of the file whose head and topic these are are published."""

    head: str  # SHA-256 of the first lines: another file starts from its beginning
    topic_id: str  # a topic made anew is empty: everything is sent again
    offset_bytes: int = 0
    events: int = 0


class Unpublishable(ValueError):
    """A line that is no event of the catalogue; says which line and why."""


class Pace(Protocol):
    """When an event is due."""

    def wait_s(self, event: Event[Any]) -> float: ...


class FullSpeed:
    def wait_s(self, event: Event[Any]) -> float:
        del event
        return 0.0


@dataclass
class ByRate:
    """So many events per wall second."""

    events_per_s: float
    count: int = 0
    began: float | None = None

    def wait_s(self, event: Event[Any]) -> float:
        del event
        self.began = time.monotonic() if self.began is None else self.began
        due = self.began + self.count / self.events_per_s
        self.count += 1
        return due - time.monotonic()


@dataclass
class ByEventTime:
    """Time-lapse: `factor` business seconds per wall second, from the first event on."""

    factor: float
    first_at: datetime | None = None
    began: float = 0.0

    def wait_s(self, event: Event[Any]) -> float:
        if self.first_at is None:
            self.first_at, self.began = event.time, time.monotonic()
        passed_s = (event.time - self.first_at).total_seconds()
        return self.began + passed_s / self.factor - time.monotonic()


class StateFile:
    """Reads and replaces the mark whole; a half-written one cannot appear."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> Mark | None:
        """None without a file. Raises Unpublishable for one that is not ours."""
        if not self.path.exists():
            return None
        try:
            return msgspec.json.decode(self.path.read_bytes(), type=Mark)
        except msgspec.MsgspecError as error:
            raise Unpublishable(f"{self.path} is no state file: {error}") from None

    def write(self, mark: Mark) -> None:
        replace_file(self.path, msgspec.json.encode(mark))


def replace_file(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    part.write_bytes(content)
    part.replace(path)


def publish(
    stream: BinaryIO,
    publisher: Publisher,
    state: StateFile,
    topic_id: str,
    *,
    pace: Pace | None = None,
    advanced: Callable[[Mark], None] = lambda _: None,
    stop: Flag | None = None,
) -> Mark:
    """Publishes from the mark to the end, or until `stop`. Answers the final mark.

    Raises Unpublishable for a bad line (what is before it is published) and NotDelivered.
    """
    pace, stop = pace or FullSpeed(), stop or Flag()
    mark, lines = _begin(stream, state, topic_id)
    at, events = mark.offset_bytes, mark.events
    settled = time.monotonic()

    def settle() -> None:
        nonlocal settled
        publisher.settle()
        mark.offset_bytes, mark.events = at, events
        state.write(mark)
        advanced(mark)
        settled = time.monotonic()

    try:
        for line in lines:
            if line.strip():
                event = _event(line, at)
                wait_s = pace.wait_s(event)
                if wait_s > 0:
                    settle()
                    if stop.wait(wait_s):
                        break
                publisher.send(event, line.rstrip())
                events += 1
            at += len(line)
            if stop.is_set():
                break
            if events % 2000 == 0 or time.monotonic() - settled > _SETTLE_EVERY_S:
                settle()
    except Unpublishable:
        settle()
        raise
    settle()
    return mark


def _begin(stream: BinaryIO, state: StateFile, topic_id: str) -> tuple[Mark, Iterator[bytes]]:
    """The mark to go on from and the lines behind it; a pipe is read up to there."""
    first = list(itertools.islice(stream, _HEAD_LINES))
    head = hashlib.sha256(b"".join(first)).hexdigest()
    mark = state.read()
    if mark is None or mark.head != head or mark.topic_id != topic_id:
        mark = Mark(head=head, topic_id=topic_id)
    return mark, _behind(mark.offset_bytes, first, stream)


def _behind(offset: int, first: list[bytes], stream: BinaryIO) -> Iterator[bytes]:
    at = 0
    for line in first:
        if at >= offset:
            yield line
        at += len(line)
    if offset > at and stream.seekable():
        stream.seek(offset - at, io.SEEK_CUR)
        at = offset
    for line in stream:
        if at >= offset:
            yield line
        at += len(line)


def _event(line: bytes, at: int) -> Event[Any]:
    try:
        return decode(line)
    except (Undecodable, UnknownType, UnknownVersion) as error:
        raise Unpublishable(f"byte {at}: {error}") from None
