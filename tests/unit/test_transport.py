"""The worker's consumer without Kafka: when events may be read."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from faust.transport.drivers import aiokafka as stock

from services.scoring import transport


class Flow(transport.Consumer):
    """As it is while a worker runs, of one partition less: it has none."""

    def __init__(self) -> None:
        self._pending = defaultdict(transport.deque)
        self._open = self._placed = False
        self._stops = 0
        self.opened: list[bool] = []
        self.when_open = lambda *_: self.opened.append(True)
        self.can_resume_flow, self.suspend_flow = asyncio.Event(), asyncio.Event()
        self._thread = SimpleNamespace(seek_now=self._seek_now)

    def assignment(self) -> set[Any]:
        return set()

    async def _seek_now(self, offsets: Any) -> None:
        """There is nothing to seek."""


async def _resumed(monkeypatch: pytest.MonkeyPatch, meanwhile: Callable[[Flow], None]) -> Flow:
    """What Faust does when a recovery has ended; `meanwhile` comes while commits are asked for."""
    flow = Flow()

    async def ask_for_commits(self: Flow) -> None:
        await asyncio.sleep(0)
        meanwhile(self)

    monkeypatch.setattr(stock.Consumer, "perform_seek", ask_for_commits)
    flow.stop_flow()
    flow.resume_flow()
    assert not flow._open, "it was the changelogs' turn"
    await flow.perform_seek()
    flow.resume_flow()
    return flow


def test_events_are_read_when_all_partitions_stand_at_their_commits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    flow = asyncio.run(_resumed(monkeypatch, lambda _: None))
    assert flow._open
    assert flow.opened == [True]


def test_a_seek_that_a_rebalance_overtook_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    flow = asyncio.run(_resumed(monkeypatch, Flow.stop_flow))
    assert not flow._open
    assert flow.opened == [], "the driver would take events that come again"


def test_a_seek_of_before_does_not_close_what_the_next_one_opened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def next_one_was_faster(flow: Flow) -> None:
        flow.stop_flow()
        flow._placed = True

    assert asyncio.run(_resumed(monkeypatch, next_one_was_faster))._open
