"""Of a topic of states one poll brings as much as waits, for only the last of a key is done."""

from collections import Counter
from collections.abc import Iterator

import pytest

from shared.gathering import MOST
from shared.testing.space import Space
from shared.wire import KafkaSource, Record, Span, TopicPart

STATES, EVENTS = "scoring.state", "bank.events"
AT_MOST = 1000
SENT = {STATES: 20_000, EVENTS: 700}


@pytest.fixture
def polled(space: Space, request: pytest.FixtureRequest) -> Iterator[list[list[Record]]]:
    """What each poll brings: five keys of states, events between them."""
    settings = space.settings("scoring")
    reports = [
        space.sender.send(topic, b"key-%d" % (n % 5), b"%d" % n, partition=0)
        for topic, count in SENT.items() for n in range(count)
    ]  # fmt: skip
    space.sender.flush(60)
    for report in reports:
        report.result(60)
    found: list[list[Record]] = []

    def place(spans: dict[TopicPart, Span]) -> dict[TopicPart, int]:
        """Behind what came: a listener may be placed more than once."""
        came = Counter((record.topic, record.partition) for poll in found for record in poll)
        return {one: came[one] for one in spans}

    source = KafkaSource(settings, "together", SENT, place, request.param)
    try:
        while sum(map(len, found)) < len(reports):
            found += filter(None, [source.poll(0.5, AT_MOST)])
        yield found
    finally:
        source.close()


def _in_order(polls: list[list[Record]]) -> bool:
    """Nothing is missing, doubled or out of its order."""
    return all(
        [r.value for poll in polls for r in poll if r.topic == topic]
        == [b"%d" % n for n in range(count)]
        for topic, count in SENT.items()
    )


@pytest.mark.parametrize("polled", [(STATES,)], indirect=True)
def test_states_count_once_for_each_key(polled: list[list[Record]]) -> None:
    assert _in_order(polled)
    assert max(map(len, polled)) > AT_MOST
    for poll in polled:
        of = Counter(record.topic for record in poll)
        assert len(poll) <= MOST * AT_MOST
        assert of[EVENTS] <= AT_MOST


@pytest.mark.parametrize("polled", [()], indirect=True)
def test_what_is_no_state_counts_each_time(polled: list[list[Record]]) -> None:
    """The control."""
    assert _in_order(polled)
    assert max(map(len, polled)) <= AT_MOST
