"""A partition that is given while records are fetched: none of it is told before its place."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from kafka import TopicPartition

from shared.gathering import BEHIND
from shared.wire import KafkaSource, _Assigned

KEPT, GIVEN = TopicPartition("scoring.state", 0), TopicPartition("scoring.state", 1)


def _fetched(begin: int) -> list[Any]:
    return [
        SimpleNamespace(offset=n, key=b"k", value=b"v", timestamp=0)
        for n in range(begin, begin + BEHIND)
    ]


@pytest.fixture
def source(monkeypatch: pytest.MonkeyPatch) -> KafkaSource:
    """Each of its fetches brings so many records that another one would follow."""
    monkeypatch.setattr("shared.wire.ids_and_ends", lambda _, parts: (
        {tp.topic: "id" for tp in parts}, dict.fromkeys(parts, 0)
    ))  # fmt: skip
    made = KafkaSource.__new__(KafkaSource)
    made._settings = SimpleNamespace(topic=str, plain_topic=str)  # type: ignore[assignment]
    made._states, made._listener = frozenset({"scoring.state"}), _Assigned()
    made._place = lambda spans: dict.fromkeys(spans, 7)
    begins: Iterator[int] = iter(range(0, 10 * BEHIND, BEHIND))

    def poll(**_: int) -> dict[TopicPartition, list[Any]]:
        begin = next(begins)
        if begin == BEHIND:  # the second fetch
            made._listener.put_back({GIVEN})
        return {KEPT: _fetched(begin), GIVEN: _fetched(begin)} if begin else {KEPT: _fetched(0)}

    made._consumer = SimpleNamespace(
        _coordinator=SimpleNamespace(rejoining=False), poll=poll, sought=[],
        assignment=lambda: {KEPT, GIVEN},
        beginning_offsets=lambda parts: dict.fromkeys(parts, 0),
        seek=lambda *place: made._consumer.sought.append(place),
    )  # fmt: skip
    return made


def test_a_poll_ends_where_a_partition_is_put_in_its_place(source: KafkaSource) -> None:
    """Its next fetch would go on elsewhere than the one before: doubled, or with some left out."""
    told = source.poll(1.0, 50 * BEHIND)
    assert [r.offset for r in told if r.partition == 0] == list(range(2 * BEHIND))


def test_nothing_is_told_of_what_was_fetched_before_its_place(source: KafkaSource) -> None:
    assert {r.partition for r in source.poll(1.0, 50 * BEHIND)} == {0}
    assert source._consumer.sought == [(GIVEN, 7)]
    assert {r.partition for r in source.poll(1.0, 2 * BEHIND)} == {0, 1}, "the control"
