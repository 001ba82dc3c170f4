"""Live push: hints in a Redis Stream, fanned out to browsers by server-sent events.

A hint says only that something about an audience changed, and at which position. The tables are
the truth: when hints are lost (Redis wiped, a slow client, a trimmed stream) the client is told
of the gap and asks its panels again.
"""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import redis
import redis.asyncio
import structlog

from shared.settings import Settings

log = structlog.get_logger()

STREAM_LENGTH_MAX = 20_000
CLIENT_QUEUE_MAX = 500
PING_S = 15.0


@dataclass(frozen=True, slots=True)
class Hint:
    """Something about `audience` changed at this position."""

    audience: str
    topic: str
    partition: int
    offset: int
    type: str


def stream_of(settings: Settings) -> str:
    return f"{settings.topic_prefix}guanxi:hints"


def publish(client: "redis.Redis", settings: Settings, hints: Iterable[Hint]) -> None:
    """Best effort, after the commit: a failure costs freshness, never truth."""
    try:
        pipeline = client.pipeline(transaction=False)
        for hint in hints:
            pipeline.xadd(
                stream_of(settings),
                {"hint": json.dumps(asdict(hint))},
                maxlen=STREAM_LENGTH_MAX,
                approximate=True,
            )
        pipeline.execute()
    except redis.RedisError as error:
        log.warning("hints_lost", error=str(error)[:200])


@dataclass(eq=False)
class _Client:
    audiences: frozenset[str]
    queue: "asyncio.Queue[tuple[str, Hint | None]]"


class Fanout:
    """One reader of the stream per process, and a bounded queue per browser tab."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._clients: set[_Client] = set()
        self._task: asyncio.Task[None] | None = None
        self._closing = False

    async def events(
        self, audiences: Iterable[str], last_id: str | None
    ) -> AsyncIterator[dict[str, Any]]:
        """What one tab receives: `hint`, `gap`, `ping` and `bye` events, until it goes away."""
        client = _Client(frozenset(audiences), asyncio.Queue(CLIENT_QUEUE_MAX))
        self._clients.add(client)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._read())
        try:
            missed = await self._missed(client.audiences, last_id)
            if missed is None:
                yield {"event": "gap", "data": "{}"}
            for entry_id, hint in missed or ():
                yield _event(entry_id, hint)
            while not self._closing:
                try:
                    entry_id, found = await asyncio.wait_for(client.queue.get(), PING_S)
                except TimeoutError:
                    yield {"event": "ping", "data": "{}"}
                    continue
                if found is None and not self._closing:
                    yield {"event": "gap", "data": "{}"}
                elif found is not None:
                    yield _event(entry_id, found)
            yield {"event": "bye", "data": "{}"}
        finally:
            self._clients.discard(client)

    def close(self) -> None:
        """Ends all streams: called on SIGTERM, before requests are drained."""
        self._closing = True
        for client in self._clients:
            self._offer(client, "0-0", None)

    async def _missed(
        self, audiences: frozenset[str], last_id: str | None
    ) -> list[tuple[str, Hint]] | None:
        """Hints after `last_id`; none when the stream no longer reaches back so far.

        A first connection gets the last seconds: what changed while its page was on the way.
        """
        first_time = not last_id
        last_id = last_id or _ago(5.0)
        client = self._redis()
        try:
            first = await client.xrange(stream_of(self._settings), count=1)
            if not first_time and (not first or _order(first[0][0].decode()) > _order(last_id)):
                return None
            entries = await client.xrange(stream_of(self._settings), min=f"({last_id}")
        except (redis.RedisError, ValueError):
            return [] if first_time else None
        finally:
            await client.aclose()
        found = [(i.decode(), _hint(fields)) for i, fields in entries]
        return [(i, hint) for i, hint in found if hint.audience in audiences]

    async def _read(self) -> None:
        at = _ago(2.0)  # "$" would miss what arrives between subscribing and reading
        while self._clients and not self._closing:
            client = self._redis()
            try:
                while self._clients and not self._closing:
                    got = await client.xread({stream_of(self._settings): at}, 500, block=1000)
                    for _, entries in got or ():
                        for entry_id, fields in entries:
                            at = entry_id.decode()
                            self._deliver(at, _hint(fields))
            except redis.RedisError as error:
                log.warning("hints_unreadable", error=str(error)[:200])
                at = _ago(2.0)
                await asyncio.sleep(1.0)
                for one in list(self._clients):
                    self._offer(one, "0-0", None)
            finally:
                with contextlib.suppress(redis.RedisError):
                    await client.aclose()

    def _deliver(self, entry_id: str, hint: Hint) -> None:
        for client in list(self._clients):
            if hint.audience in client.audiences:
                self._offer(client, entry_id, hint)

    @staticmethod
    def _offer(client: _Client, entry_id: str, hint: Hint | None) -> None:
        if client.queue.full():
            while not client.queue.empty():  # a frozen tab loses hints, the server no memory
                client.queue.get_nowait()
            hint = None
        client.queue.put_nowait((entry_id, hint))

    def _redis(self) -> Any:
        return redis.asyncio.Redis.from_url(
            self._settings.redis, socket_connect_timeout=2.0, socket_timeout=10.0
        )


def _event(entry_id: str, hint: Hint) -> dict[str, Any]:
    return {"id": entry_id, "event": "hint", "data": json.dumps(asdict(hint))}


def _hint(fields: dict[bytes, bytes]) -> Hint:
    return Hint(**json.loads(fields[b"hint"]))


def _ago(seconds: float) -> str:
    """A stream id some seconds back: an overlap repeats a hint, which is harmless."""
    return f"{int((time.time() - seconds) * 1000)}-0"


def _order(entry_id: str) -> tuple[int, int]:
    milliseconds, _, number = entry_id.partition("-")
    return int(milliseconds), int(number or 0)
