"""The simulated bank goes on after its history: each day's events when the bank's clock is there.

With GUANXI_CLOCK_FILE the clock is the local stack's, so an event is published in the moment it
happens; without it, a clock of its own runs `speed` times as fast as the wall.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from threading import Event as Flag
from typing import Any

import msgspec

from deploy.bank.publish import replace_file
from deploy.bank.publisher import Publisher
from deploy.bank.simulation import Bank, Plan
from shared.clock import Clock
from shared.events import Event

_LOOK_S = 0.2  # the local stack may stop or speed up its clock at any time
_UNSETTLED_MAX = 500


class LiveMark(msgspec.Struct):
    """The state file: this many events of this day are published, for this plan and topic."""

    plan: dict[str, Any]
    topic_id: str
    day: date
    events_of_day: int = 0


@dataclass(slots=True)
class OwnClock:
    """Starts with the first event it is asked about."""

    factor: float
    began_at: datetime | None = None
    began: float = 0.0

    def now(self, event_at: datetime) -> datetime:
        if self.began_at is None:
            self.began_at, self.began = event_at, time.monotonic()
        return self.began_at + timedelta(seconds=self.factor * (time.monotonic() - self.began))


def run(
    plan: Plan,
    publisher: Publisher,
    state: Path,
    topic_id: str,
    *,
    speed: float,
    clock: Clock | None = None,
    until: date | None = None,
    day_done: Callable[[date, int], None] = lambda *_: None,
    stop: Flag | None = None,
) -> LiveMark:
    """Endless, unless `until` or `stop`. Answers the last mark; it is in the state file too."""
    stop = stop or Flag()
    mark = _mark(plan, state, topic_id)
    own = OwnClock(speed)
    for on, events in Bank(plan).days():
        if on < mark.day:
            continue  # history, or a day that was published by an earlier run
        if stop.is_set() or (until is not None and on > until):
            break
        begin = mark.events_of_day if on == mark.day else 0
        mark.day, mark.events_of_day = on, begin
        for index, event in enumerate(events[begin:], start=begin):
            if not _is_due(event, clock, own):
                _settle(publisher, mark, index, state)
                if not _await(event, clock, own, stop):
                    return mark
            publisher.send(event)
            if index - mark.events_of_day >= _UNSETTLED_MAX:
                _settle(publisher, mark, index + 1, state)
        _settle(publisher, mark, len(events), state)
        day_done(on, len(events))
    return mark


def _mark(plan: Plan, state: Path, topic_id: str) -> LiveMark:
    stated = {"customers": plan.customers, "days": plan.days, "seed": plan.seed,
              "until": plan.until.isoformat()}  # fmt: skip
    fresh = LiveMark(plan=stated, topic_id=topic_id, day=plan.live_on)
    if not state.exists():
        return fresh
    found = msgspec.json.decode(state.read_bytes(), type=LiveMark)
    return found if (found.plan, found.topic_id) == (stated, topic_id) else fresh


def _settle(publisher: Publisher, mark: LiveMark, events_of_day: int, state: Path) -> None:
    if events_of_day == mark.events_of_day and state.exists():
        return
    publisher.settle()
    mark.events_of_day = events_of_day
    replace_file(state, msgspec.json.encode(mark))


def _now(event: Event[Any], clock: Clock | None, own: OwnClock) -> datetime:
    return clock.bank_now() if clock is not None else own.now(event.time)


def _is_due(event: Event[Any], clock: Clock | None, own: OwnClock) -> bool:
    return _now(event, clock, own) >= event.time


def _await(event: Event[Any], clock: Clock | None, own: OwnClock, stop: Flag) -> bool:
    """True when the event is due; False when we are to stop."""
    while not _is_due(event, clock, own):
        left = (event.time - _now(event, clock, own)).total_seconds()
        look_s = _LOOK_S if clock is not None else min(left / own.factor, _LOOK_S)
        if stop.wait(max(look_s, 0.001)):
            return False
    return not stop.is_set()
