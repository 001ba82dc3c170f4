"""Late repeats: the worker asks the query side's event store, the real one, on real servers."""

import asyncio
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

from services.scoring.__main__ import SERVICE
from services.scoring.columns import Asked, Refused
from services.scoring.seen import EventStore
from shared.events.envelope import Event, encode
from shared.ids import partition_of
from shared.testing.servers import Servers
from shared.testing.space import ServiceUnderTest, Space
from tests.workers import FIRST_DAY, WorkerSpace, closed, described, transaction

PARTITIONS = 4  # as the space has


@pytest.fixture
def store(space: Space) -> ServiceUnderTest:
    return space.service(SERVICE)


def _send(space: Space, *events: Event) -> None:  # type: ignore[type-arg]
    for event in events:
        space.sender.send("bank.events", event.subject.encode(), encode(event)).result(10)


def test_an_event_is_a_repeat_only_at_a_greater_offset(
    space: Space, store: ServiceUnderTest
) -> None:
    event = transaction(1, "C1", "A1", 5, FIRST_DAY)
    other = transaction(2, "C1", "A1", 5, FIRST_DAY)
    _send(space, event, other, event)
    store.drain()
    home = partition_of("C1", PARTITIONS)
    seen = EventStore(store.database)
    asked = [
        Asked(event.source, name, offset, offset - 1)
        for offset, name in enumerate((event.id, other.id, event.id))
    ]
    assert asyncio.run(seen.ask(home, asked, 2, ())) == {2}
    assert asyncio.run(seen.ask(home, asked, 2, {0})) == set(), "the first was refused"
    assert asyncio.run(seen.ask((home + 1) % PARTITIONS, [], -1, ())) == set()


def test_a_replayed_event_is_no_repeat_of_itself_but_of_every_copy_that_counted(
    space: Space, store: ServiceUnderTest
) -> None:
    event = transaction(1, "C1", "A1", 5, FIRST_DAY)
    _send(space, event, event, event)
    store.drain()
    seen = EventStore(store.database)

    def repeats(until: int, *, refused: set[int], settled: frozenset[int] = frozenset()) -> bool:
        home = partition_of("C1", PARTITIONS)
        asked = [Asked(event.source, event.id, 1, until, settled)]
        return asyncio.run(seen.ask(home, asked, 2, refused)) == {1}

    assert not repeats(1, refused={0, 1, 2})
    assert repeats(1, refused={1, 2}), "an earlier copy counted"
    assert repeats(2, refused={0, 1}), "a later copy counted"
    assert not repeats(1, refused={0, 1}), "the later copy was not met yet"
    assert repeats(-1, refused={0, 1}, settled=frozenset({2})), "it came by another input"
    assert repeats(-1, refused={0, 1}, settled=frozenset({1})), "it came by this input's origin"


def test_an_input_counted_at_its_own_place_unless_that_was_refused(
    space: Space, store: ServiceUnderTest
) -> None:
    """The letters know it of places that the worker's state keeps no more."""
    event = transaction(1, "C1", "A1", 5, FIRST_DAY)
    home = partition_of("C1", PARTITIONS)
    _send(space, event)
    store.drain()
    asked = [Asked(event.source, event.id, 0, 0, at_own=True)]
    seen = EventStore(store.database)
    assert asyncio.run(seen.ask(home, asked, 0, ())) == {0}
    letter = Refused("bank.events", home, 0, "quarantined", "data", "no rate", event.type,
                     b"C1", encode(event))  # fmt: skip
    space.sender.send("scoring.dead", b"0", msgspec.json.encode(letter)).result(10)
    store.drain()
    assert asyncio.run(seen.ask(home, asked, 0, ())) == set()


def test_the_answer_waits_until_the_store_has_passed_the_batch(
    space: Space, store: ServiceUnderTest
) -> None:
    event = transaction(1, "C1", "A1", 5, FIRST_DAY)
    _send(space, event, event)
    home = partition_of("C1", PARTITIONS)
    seen = EventStore(store.database)

    async def asked_first() -> set[int]:
        answer = asyncio.create_task(seen.ask(home, [Asked(event.source, event.id, 1, 0)], 1, ()))
        await asyncio.sleep(0.3)
        assert not answer.done(), "the store knows nothing yet"
        await asyncio.to_thread(store.drain)
        return await asyncio.wait_for(answer, 10)

    assert asyncio.run(asked_first()) == {1}


@pytest.fixture
def workers(servers: Servers, tmp_path: Path) -> Iterator[WorkerSpace]:
    room = WorkerSpace(servers, tmp_path, PARTITIONS)
    yield room
    room.close()


def test_a_late_repeat_after_a_restart_changes_nothing(
    space: Space, store: ServiceUnderTest, workers: WorkerSpace
) -> None:
    """The worker reads its own topics; the store, fed by the test, holds the same records."""
    first = transaction(1, "C1", "A1", 500, FIRST_DAY)
    workers.describe(described())
    workers.publish([first, closed(FIRST_DAY)])
    settings = store.runtime.settings
    environment = {"GUANXI_WORKER_EVENT_STORE": "1", "GUANXI_DATABASE": settings.database}
    one = workers.start(**environment)
    one.wait_ready()
    workers.wait_committed()
    one.kill()
    late = transaction(2, "C1", "A1", 70, FIRST_DAY)
    workers.publish([first, late, late, closed(FIRST_DAY + timedelta(days=1))])
    # The same places as in the worker's partition: first, a close, first, late, late, a close.
    filler = [transaction(n, "C1", "A1", 1, FIRST_DAY) for n in (8, 9)]
    _send(space, first, filler[0], first, late, late, filler[1])
    store.drain()
    two = workers.start(**environment)
    two.wait_ready()
    workers.wait_committed()
    customer = workers.customers()["C1"]
    assert (customer.count, customer.sum_minor) == (2, 570)
    assert two.metric("guanxi_holes") == 0
