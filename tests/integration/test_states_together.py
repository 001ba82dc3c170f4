"""Of a topic of states one poll brings as much as waits, for only the last of a key is done."""

from collections import Counter
from collections.abc import Callable, Collection, Iterator

import pytest

from shared.gathering import MOST
from shared.testing.space import Space
from shared.wire import KafkaSource, Record, Span, TopicPart

STATES, EVENTS = "scoring.state", "bank.events"
AT_MOST = 1000
SENT = {STATES: 20_000, EVENTS: 700}

Made = Callable[[Collection[str]], KafkaSource]
"""Given the topics of states, what reads both from their begins."""


@pytest.fixture
def sources(space: Space) -> Iterator[Made]:
    """What reads five keys of states and other events; each partition from its begin."""
    settings = space.settings("scoring")
    reports = [
        space.sender.send(topic, b"key-%d" % (n % 5), b"%d" % n, partition=0)
        for topic, count in SENT.items() for n in range(count)
    ]  # fmt: skip
    space.sender.flush(60)
    for report in reports:
        report.result(60)
    made: list[KafkaSource] = []

    def source_of(states: Collection[str]) -> KafkaSource:
        made.append(KafkaSource(settings, "together", SENT, _from_begin, states))
        return made[-1]

    yield source_of
    for one in made:
        one.close()


def _from_begin(spans: dict[TopicPart, Span]) -> dict[TopicPart, int]:
    return dict.fromkeys(spans, 0)


def _polls(source: KafkaSource) -> list[list[Record]]:
    """All there is. A new topic may be assigned twice, and is then read from its begin again."""
    polls: list[list[Record]] = []
    ends = dict.fromkeys(SENT, 0)
    while ends != SENT:
        polls.append(source.poll(0.5, AT_MOST))
        for record in polls[-1]:
            assert record.offset <= ends[record.topic], "some were left out"
            ends[record.topic] = max(ends[record.topic], record.offset + 1)
    return polls


def _in_order(polls: list[list[Record]]) -> bool:
    """Of no poll is a record missing between others, doubled or out of its order."""
    told = [
        [(r.offset, r.value) for r in poll if r.topic == topic] for poll in polls for topic in SENT
    ]
    return all(
        of_one == [(n, b"%d" % n) for n in range(of_one[0][0], of_one[-1][0] + 1)]
        for of_one in told if of_one
    )  # fmt: skip


def test_states_count_once_for_each_key(sources: Made) -> None:
    polls = _polls(sources([STATES]))
    assert _in_order(polls)
    assert max(map(len, polls)) > AT_MOST
    for poll in polls:
        of = Counter(record.topic for record in poll)
        assert len(poll) <= MOST * AT_MOST
        assert of[EVENTS] <= AT_MOST


def test_what_is_no_state_counts_each_time(sources: Made) -> None:
    """The control."""
    polls = _polls(sources([]))
    assert _in_order(polls)
    assert max(map(len, polls)) <= AT_MOST
