"""The watermark of one partition: the earliest day closed there by all sources that hold it.

Pure. A close says *published*, not *applied*. Days are day numbers (`date.toordinal`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from services.scoring.state import PartitionState, SourceCloses

Verdict = Literal["applied", "duplicate", "held", "not_holding", "too_late"]


@dataclass(frozen=True, slots=True)
class Source:
    """A system of the bank as `bank.source_described` says; `active_until` 0: open."""

    closes_days: bool
    active_from: int
    active_until: int = 0


def fresh(partition: int) -> PartitionState:
    """A partition that has seen no close."""
    return PartitionState(partition=partition, offset=-1, watermark=0, sources={})


def close(state: PartitionState, sources: Mapping[str, Source], source: str, day: int) -> Verdict:
    """Takes one close of a source; the watermark moves when all that hold it have moved."""
    described = sources.get(source)
    if described is None or not described.closes_days:
        return "not_holding"
    closes = state.sources.get(source)
    if closes is None:
        if not admissible(described, state.watermark):
            return "too_late"
        closes = state.sources[source] = SourceCloses(closed=described.active_from - 1)
    if day <= closes.closed or day in closes.held:
        return "duplicate"
    if day > closes.closed + 1:
        closes.held.append(day)
        closes.held.sort()
        return "held"
    closes.closed = day
    while closes.held and closes.held[0] <= closes.closed + 1:
        closes.closed = max(closes.closed, closes.held.pop(0))
    state.watermark = max(state.watermark, earliest(state, sources))
    return "applied"


def earliest(state: PartitionState, sources: Mapping[str, Source]) -> int:
    """The earliest closed day of all sources that hold the watermark; 0 when none does."""
    days = _holding(state, sources)
    if days:
        return min(days.values())
    ended = [closes.closed for name, closes in state.sources.items() if name in sources]
    return max(ended, default=0)


def _holding(state: PartitionState, sources: Mapping[str, Source]) -> dict[str, int]:
    """The last day closed of each source that holds the watermark."""
    days = {}
    for name, source in sources.items():
        if not source.closes_days:
            continue
        closes = state.sources.get(name)
        if closes is None and not admissible(source, state.watermark):
            continue  # described when its days were closed already: it cannot hold them
        closed = closes.closed if closes else source.active_from - 1
        if source.active_until and closed >= source.active_until:
            continue  # it has closed its last day
        days[name] = closed
    return days


def admissible(source: Source, watermark: int) -> bool:
    """May this source begin to hold the watermark? Its first day must lie after it."""
    return source.active_from > watermark


def stalled(
    state: PartitionState, sources: Mapping[str, Source], yesterday: int
) -> dict[str, int]:
    """How many days that are over each source has not closed, of those that hold the watermark."""
    return {name: max(yesterday - day, 0) for name, day in _holding(state, sources).items()}


def held(state: PartitionState, sources: Mapping[str, Source]) -> dict[str, int]:
    """How many closes wait for a day before them, of each source that holds the watermark: of one
    that was given up no other will come, and none is waited for."""
    holding = _holding(state, sources)
    return {name: len(closes.held) for name, closes in state.sources.items() if name in holding}
