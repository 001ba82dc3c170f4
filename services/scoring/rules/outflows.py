"""Outflow of a party of several numbers: the rule on its sums, asked at each close.

What a customer moves between two numbers of his own changes no sum, so it is no outflow. The rule
is that of one number (scores.outflow), with the same thresholds, over the sum of the balances and
the sum of their decayed means. A mean is linear in the balance, so the mean of the sums is the sum
of the means, but for a minor unit by rounding. Here without compiled code: the query side has none.

Only what was booked by its day is asked for, so the order in which it came changes nothing, and
neither does the day of a merge.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from zoneinfo import ZoneInfo

from services.scoring.rule_set import Thresholds
from services.scoring.rules.episodes import Episode
from shared.clock import day_begins

RULE = "outflow"
MILLION = 1_000_000
BITS = 30
ONE = 1 << BITS
DAYS = 4096  # past it nothing is left: the factor is 0
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Limits:
    """The thresholds of a set of rules, which judges the close of `from_day` and what follows."""

    from_day: int
    version: str
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Fall:
    """The close of `closed_on` showed an outflow; on `ended_on` it no longer held (none: it still
    does). `lacked_minor`: what the balance lacked even then, as the mean was too small to matter.
    """

    closed_on: date
    balance_minor: int
    mean_minor: int
    limits: Limits
    ended_on: date | None = None
    lacked_minor: int = 0

    @property
    def risk_ppm(self) -> int:
        """The share of the mean that is gone."""
        if self.mean_minor < max(self.limits.thresholds.outflow_mean_min_minor, 1):
            return 0
        gone = self.mean_minor - self.balance_minor
        return min(max(gone * MILLION // self.mean_minor, 0), MILLION)

    def terms(self) -> dict[str, int]:
        limits = self.limits.thresholds
        return {
            "balance_minor": self.balance_minor,
            "mean_minor": self.mean_minor,
            "clear_deposit_minor": _lacks(self.balance_minor, self.mean_minor, limits),
        }

    def terms_of_end(self) -> dict[str, int]:
        return {"clear_deposit_minor": self.lacked_minor} if self.lacked_minor else {}

    def episode(self, ordinal: int, zone: ZoneInfo) -> Episode:
        """It begins with the close, which is the first instant of the day that follows."""
        ended_at = None if self.ended_on is None else day_begins(self.ended_on, zone)
        return Episode(ordinal, day_begins(self.closed_on + DAY, zone), (), ended_at)


@dataclass(frozen=True, slots=True)
class Judged:
    """All falls of a party, and the next close at which something can change by what is known."""

    falls: list[Fall]
    next_on: date | None


def factors(day_factor: int) -> tuple[int, ...]:
    """What is left of 1 (30 bits) after 0, 1, 2 ... days; `day_factor` is that of one day at 60."""
    found, exact = [], 1 << 60
    for _ in range(DAYS):
        found.append(exact >> BITS)
        exact = exact * day_factor >> 60
    return tuple(found)


def _lacks(balance_minor: int, mean_minor: int, limits: Thresholds) -> int:
    """What the balance lacks of the share of its mean at which it is over."""
    return max(mean_minor * limits.outflow_clear_ppm // MILLION - balance_minor, 0)


class _Sums:
    """The party's balance at the end of a day, and its mean at the beginning of it."""

    def __init__(self, left: Sequence[int]) -> None:
        self._left = left
        self.balance = self.mean = self.day = 0

    def mean_on(self, day: int) -> int:
        days = day - self.day
        left = self._left[days] if days < DAYS else 0
        return self.balance + ((self.mean - self.balance) * left >> BITS)

    def move(self, day: int, change: int) -> None:
        self.mean, self.day = self.mean_on(day), day
        self.balance += change

    def holds(self, day: int, ppm: int, mean_min: int) -> bool:
        mean = self.mean_on(day)
        return mean >= mean_min and self.balance < mean * ppm // MILLION

    def begins(self, limits: Thresholds) -> bool:
        """It holds at the close, and has not gone by again with the day that begins."""
        least = limits.outflow_mean_min_minor
        return self.holds(self.day, limits.outflow_ppm, least) and self.holds(
            self.day + 1, limits.outflow_clear_ppm, least
        )

    def recovers(self, limits: Thresholds) -> int:
        """The first day on which it no longer holds while the balance stands still: the mean only
        sinks towards it."""
        ppm, least = limits.outflow_clear_ppm, limits.outflow_mean_min_minor
        days = range(1, DAYS)
        return self.day + 1 + bisect_left(
            days, True, key=lambda n: not self.holds(self.day + n, ppm, least)
        )  # fmt: skip


def judge(
    moves: Iterable[tuple[date, int]], sets: Sequence[Limits], left: Sequence[int], through: date
) -> Judged:
    """Of what the numbers of a party booked, by day; `through`: the last day that all of them have
    closed. `sets`: those that are accepted, in their order, the first one for ever before them.

    It begins with what is booked, and ends as soon as it is over at the beginning of a day. As for
    one number, another set changes nothing by itself: it is asked by what is booked from its day
    on, and where an outflow would be over by the set before.
    """
    ordered = sorted((on.toordinal(), change) for on, change in moves)
    at = bisect_right(ordered, through.toordinal(), key=lambda move: move[0])
    sums, found = _Sums(left), list[Fall]()
    for day, change in ordered[:at]:
        _recover(found, sums, sets, day)
        sums.move(day, change)
        limits = _of(sets, day)
        if not _is_open(found) and sums.begins(limits.thresholds):
            found.append(Fall(date.fromordinal(day), sums.balance, sums.mean, limits))
    over_on = _recover(found, sums, sets, through.toordinal() + 1)
    following = [ordered[at][0]] if at < len(ordered) else []
    if over_on is not None:
        following.append(over_on - 1)
    return Judged(found, date.fromordinal(min(following)) if following else None)


def _of(sets: Sequence[Limits], day: int) -> Limits:
    return sets[bisect_right(sets, day, key=lambda one: one.from_day) - 1]


def _is_open(found: Sequence[Fall]) -> bool:
    return bool(found) and found[-1].ended_on is None


def _end(found: list[Fall], day: int, lacked_minor: int) -> None:
    found[-1] = replace(found[-1], ended_on=date.fromordinal(day), lacked_minor=lacked_minor)
    if day <= found[-1].closed_on.toordinal() + 1:
        found.pop()  # it began and ended in the same instant: it never was


def _recover(
    found: list[Fall], sums: _Sums, sets: Sequence[Limits], until: int
) -> int | None:
    """Ends what is over when this day begins, by the set that judges the close before. Returns the
    day after it on which it may be over, if one is open still."""
    if not _is_open(found):
        return None
    day = sums.recovers(_of(sets, sums.day).thresholds)
    while day <= until:
        limits = _of(sets, day - 1).thresholds
        asked = sums.recovers(limits)
        if asked <= day:
            _end(found, asked, _lacks(sums.balance, sums.mean_on(asked), limits))
            return None
        day = asked
    return day
