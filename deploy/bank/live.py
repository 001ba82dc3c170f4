"""The simulated bank goes on after its history: each day's events when the bank's clock is there.

With GUANXI_CLOCK_FILE the clock is the local stack's, so an event is published in the moment it
happens; without it, a clock of its own runs `speed` times as fast as the wall.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Event as Flag
from typing import Any, TypeVar

import msgspec
import structlog

from deploy.bank.publish import replace_file
from deploy.bank.publisher import NotDelivered, Publisher, Unreachable
from deploy.bank.simulation import Bank, Plan
from shared.clock import Clock
from shared.db import is_world_down
from shared.events import Event

Answer = TypeVar("Answer")
log = structlog.get_logger()

PAUSE_MIN_S, PAUSE_MAX_S = 0.2, 5.0  # as the services' own listeners and relays
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


class TopicMadeAnew(Unreachable):
    """What was published is gone with the old one: a new start publishes the live days again."""


def patiently(
    ask: Callable[[], Answer], stop: Flag, before_again: Callable[[], None] = lambda: None
) -> Answer | None:
    """Asks again, ever more slowly, while the broker is away; none when told to stop.

    Raises what no waiting mends: an event that the broker will never take, another topic.
    """
    pause_s = 0.0
    while not stop.is_set():
        try:
            if pause_s:
                before_again()
            answer = ask()
        except (NotDelivered, Unreachable) as error:
            if error.__cause__ is None or not is_world_down(error.__cause__):
                raise
            pause_s = min(max(2 * pause_s, PAUSE_MIN_S), PAUSE_MAX_S)
            log.warning("bank_waits", error=str(error)[:300], pause_s=pause_s)
            stop.wait(pause_s)
        else:
            if pause_s:
                log.info("bank_goes_on")
            return answer
    return None


def run(
    plan: Plan,
    publisher: Publisher,
    state: Path,
    topic_now: Callable[[], str],
    *,
    speed: float,
    clock: Clock | None = None,
    until: date | None = None,
    day_done: Callable[[date, int], None] = lambda *_: None,
    stop: Flag | None = None,
) -> LiveMark:
    """Endless, unless `until` or `stop`. Answers the last mark; it is in the state file too.

    In an outage of the broker it waits, and sends again from the mark on, under the same ids.
    `topic_now` tells the id of the topic: one made anew during the outage raises TopicMadeAnew.
    """
    stop = stop or Flag()
    mark = _mark(plan, state, topic_now())
    own = OwnClock(speed)

    def begin_again() -> None:
        if topic_now() != mark.topic_id:
            raise TopicMadeAnew("the topic was made anew: start again")
        publisher.begin_again()

    for on, events in Bank(plan).days():
        if on < mark.day:
            continue  # history, or a day that was published by an earlier run
        if stop.is_set() or (until is not None and on > until):
            break
        mark.day, mark.events_of_day = on, mark.events_of_day if on == mark.day else 0
        publish = partial(_publish_day, events, publisher, mark, state, clock, own, stop)
        if not patiently(publish, stop, begin_again):
            break
        day_done(on, len(events))
    return mark


def _publish_day(  # noqa: PLR0917  bound in one place
    events: list[Event[Any]],
    publisher: Publisher,
    mark: LiveMark,
    state: Path,
    clock: Clock | None,
    own: OwnClock,
    stop: Flag,
) -> bool:
    """The mark's day, from the mark on; False when we are to stop before its end."""
    for index in range(mark.events_of_day, len(events)):
        event = events[index]
        if not _is_due(event, clock, own):
            _settle(publisher, mark, index, state)
            if not _await(event, clock, own, stop):
                return False
        publisher.send(event)
        if index - mark.events_of_day >= _UNSETTLED_MAX:
            _settle(publisher, mark, index + 1, state)
    _settle(publisher, mark, len(events), state)
    return True


def _mark(plan: Plan, state: Path, topic_id: str) -> LiveMark:
    stated = {"customers": plan.customers, "days": plan.days, "seed": plan.seed,
              "until": plan.until.isoformat(), "branches_max": plan.branches_max}  # fmt: skip
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
