"""Live hints on a real Redis: delivered, replayed after a gap, and the gap said when it is lost."""

import asyncio

import pytest
import redis

from shared.live import Fanout, Hint, publish, stream_of
from shared.settings import Settings


@pytest.fixture
def settings(servers, request):
    found = Settings(redis=servers.redis, topic_prefix=f"{request.node.name[:20]}.")
    client = redis.Redis.from_url(servers.redis)
    client.delete(stream_of(found))
    yield found
    client.delete(stream_of(found))


def say(settings, *audiences):
    client = redis.Redis.from_url(settings.redis)
    publish(
        client, settings, [Hint(a, "task.handoffs", 0, n, "t") for n, a in enumerate(audiences)]
    )


async def take(fanout, audiences, count, last_id=None, after=None):
    """The first `count` events that are no pings; `after` runs once the stream is open."""
    got = []
    stream = fanout.events(audiences, last_id)
    opened = asyncio.create_task(anext(stream))
    await asyncio.sleep(0.2)
    if after:
        after()
    got.append(await asyncio.wait_for(opened, 10))
    while len(got) < count:
        got.append(await asyncio.wait_for(anext(stream), 10))
    await stream.aclose()
    return got


def test_a_reader_hears_his_audiences_and_no_others(settings):
    async def story():
        fanout = Fanout(settings)
        return await take(
            fanout, ["staff:S1"], 1, after=lambda: say(settings, "staff:S2", "staff:S1")
        )

    (event,) = asyncio.run(story())
    assert '"staff:S1"' in event["data"]


def test_after_a_gap_the_missed_hints_come_first(settings):
    say(settings, "party:P1", "party:P1")
    client = redis.Redis.from_url(settings.redis)
    first = client.xrange(stream_of(settings))[0][0].decode()
    (event,) = asyncio.run(take(Fanout(settings), ["party:P1"], 1, last_id=first))
    assert '"offset": 1' in event["data"]


def test_a_wiped_stream_is_said(settings):
    say(settings, "party:P1")
    client = redis.Redis.from_url(settings.redis)
    last = client.xrange(stream_of(settings))[0][0].decode()
    client.delete(stream_of(settings))
    (event,) = asyncio.run(take(Fanout(settings), ["party:P1"], 1, last_id=last))
    assert event["event"] == "gap"


def test_a_frozen_tab_costs_no_memory(settings):
    async def story():
        fanout = Fanout(settings)
        stream = fanout.events(["party:P1"], None)
        opened = asyncio.create_task(anext(stream))
        await asyncio.sleep(0.2)
        say(settings, *["party:P1"] * 1200)
        await asyncio.wait_for(opened, 10)
        await asyncio.sleep(0.8)
        (client,) = fanout._clients
        size = client.queue.qsize()
        await stream.aclose()
        return size

    assert asyncio.run(story()) <= 500
