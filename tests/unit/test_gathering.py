"""Of topics of states one poll brings as much as waits; never more to do than of others."""

from collections.abc import Iterator
from itertools import islice
from random import Random

import pytest

from shared.gathering import BEHIND, MOST, MOST_BYTES, gathered
from shared.wire import Record

STATES, EVENTS = "scoring.state", "bank.events"
AT_MOST = 5000


class Log:
    """What waits; a fetch brings some of it."""

    def __init__(self, records: Iterator[Record], *, fetch: int = BEHIND, ends: int = 0) -> None:
        self.records, self.size, self.ends = records, fetch, ends
        self.asked: list[tuple[float, int]] = []

    def fetch(self, timeout_s: float, records_max: int) -> tuple[list[Record], bool]:
        self.asked.append((timeout_s, records_max))
        found = list(islice(self.records, min(records_max, self.size)))
        return found, len(self.asked) != self.ends


def states(count: int, keys: int, topic: str = STATES) -> Iterator[Record]:
    return (Record(topic, 0, n, b"%d" % (n % keys), b"", 0) for n in range(count))


def test_a_state_counts_once_for_each_key() -> None:
    log = Log(states(18_000, 900))
    assert [r.offset for r in gathered(log.fetch, {STATES}, 1.0, AT_MOST)] == list(range(18_000))


def test_but_for_what_is_in_memory_there_is_an_end() -> None:
    log = Log(states(10 * AT_MOST, 900))
    first = gathered(log.fetch, {STATES}, 1.0, AT_MOST)
    assert [r.offset for r in first] == list(range(MOST * AT_MOST))
    assert next(log.records).offset == MOST * AT_MOST, "a record was fetched and left out"


def test_large_states_end_it_sooner() -> None:
    size = MOST_BYTES // 2500
    large = (record._replace(value=bytes(size)) for record in states(18_000, 900))
    assert len(gathered(Log(large).fetch, {STATES}, 1.0, AT_MOST)) == 3 * BEHIND


@pytest.mark.parametrize("keys", [AT_MOST, 3 * AT_MOST, 10**9])
def test_there_is_no_more_to_do_than_of_others(keys: int) -> None:
    log = Log(states(50_000, keys), fetch=1300)
    assert len({r.key for r in gathered(log.fetch, {STATES}, 1.0, AT_MOST)}) == AT_MOST


def test_what_is_no_state_counts_each_time() -> None:
    rng = Random(1)
    mixed = (r._replace(topic=EVENTS) if rng.random() < 0.4 else r for r in states(60_000, 500))
    found = gathered(Log(mixed).fetch, {STATES}, 1.0, AT_MOST)
    events = sum(record.topic == EVENTS for record in found)
    keys = {record.key for record in found if record.topic == STATES}
    assert 3500 < events <= AT_MOST - len(keys)
    assert [record.offset for record in found] == list(range(len(found)))


def test_where_nothing_is_a_state_it_is_one_fetch() -> None:
    """The control: so it is for whoever does each record."""
    log = Log(states(18_000, 900))
    assert len(gathered(log.fetch, (), 1.0, AT_MOST)) == BEHIND
    assert log.asked == [(1.0, AT_MOST)]


def test_who_is_not_behind_waits_for_no_second_fetch() -> None:
    log = Log(states(18_000, 900), fetch=BEHIND - 1)
    assert len(gathered(log.fetch, {STATES}, 1.0, AT_MOST)) == BEHIND - 1
    assert len(log.asked) == 1


def test_it_ends_where_partitions_come_or_go() -> None:
    log = Log(states(18_000, 900), ends=3)
    assert len(gathered(log.fetch, {STATES}, 1.0, AT_MOST)) == 3 * BEHIND
