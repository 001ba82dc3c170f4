"""Abnormal change of turnover without labels: a two-sided CUSUM on each series of days.

A day counts by z = (ln(1 + turnover) less its decayed mean) / its decayed deviation, as both stood
before the day. All figures are integers, so a series gives the same changes in whatever batches,
order of its neighbours or machine it is settled. Days without turnover count too, but are folded
only when the series is looked at again: `look_on` is the earliest day at which silence alone could
be a change, so a series that nothing happens to costs nothing until then.
"""

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from shared.money import MINOR_MAX

MICRO: Final = 1_000_000
SLACK: Final = MICRO // 2  # k: half a deviation a day is no change
LIMIT: Final = 5 * MICRO  # h: of noise with known mean and deviation, 1 change in 465 days
Z_MAX: Final = 4 * MICRO  # one day alone is never a change
MEMORY_DAYS: Final = 64
HISTORY_DAYS: Final = 60  # before them no day counts
# A fifth of the days before, whatever rounding took: who moves money less often has no usual day.
SHARE_MIN: Final = MICRO // 5 - MEMORY_DAYS
DEVIATION_MIN: Final = MICRO // 10  # a tenth more or less is usual even if it never happened
IDLE_MAX: Final = 128  # days without turnover after which a series begins anew
UNIT_MINOR: Final = 100  # what is below is next to nothing
_RUN_MAX: Final = 1 << 61
_LN2: Final = round(math.log(2) * MICRO * 1024)  # ten more bits: it is added up to 52 times
_LN_UNIT: Final = round(math.log(UNIT_MINOR) * MICRO)
_LN: Final = np.array([round(math.log1p(i / 1024) * MICRO) for i in range(1025)], np.int64)

Direction = Literal["up", "down"]
# What is kept of a series; `through` and `active`: the last day folded, and with turnover; a `run`
# is the days since a sum left zero: the first, their turnover, and the usual of a day before them.
_PLACES: Final = ("through", "active")
_LEARNT: Final = (
    "days", "mean", "variance", "share", "usual_minor",
    "up", "up_since", "up_minor", "up_usual_minor",
    "down", "down_since", "down_minor", "down_usual_minor",
)  # fmt: skip
MEMORY: Final = np.dtype([(name, "<i8") for name in (*_PLACES, *_LEARNT)])
Memory = NDArray[Any]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Change:
    """A sum reached its limit on day `on` by the figures of the days from `since` on.

    `row`: of which series. Turnover is that of a day, on average of these days and as usual.
    """

    row: int
    direction: Direction
    since: int
    on: int
    size_micro: int
    minor: int
    usual_minor: int


def settle(memory: Memory, day: int, turnover_minor: Ints) -> list[Change]:
    """Folds days into these series, in place, until all stand at `day` with this turnover."""
    idle_too_long = day - memory["active"] > IDLE_MAX
    memory[idle_too_long] = np.zeros((), MEMORY)
    changes: list[Change] = []
    while True:
        behind = np.flatnonzero((memory["through"] > 0) & (memory["through"] < day - 1))
        if not behind.size:
            break
        changes += _fold(memory, behind, memory["through"][behind] + 1, np.zeros_like(behind))
    open_rows = np.flatnonzero((memory["through"] > 0) | (turnover_minor > 0))
    days = np.full(len(open_rows), day)
    changes += _fold(memory, open_rows, days, np.minimum(turnover_minor[open_rows], MINOR_MAX))
    return changes


def look_on(memory: Memory) -> Ints:
    """The earliest day at which silence alone could be a change; 0: never.

    While nothing happens the distance to the mean shrinks faster than the deviation, so no later
    day adds more to the sum than the next one does.
    """
    deviation = np.maximum(_deviation(memory), DEVIATION_MIN)
    rounding = MICRO // 1000
    gain = np.minimum(memory["mean"] * MICRO // deviation + rounding, Z_MAX) - SLACK
    steps = -((memory["down"] - LIMIT) // np.maximum(gain, 1))
    due = memory["through"] + np.maximum(HISTORY_DAYS - memory["days"], 0) + steps
    never = (gain <= 0) | (memory["share"] < SHARE_MIN) | (due - memory["active"] > IDLE_MAX)
    found: Ints = np.where(never, 0, due)
    return found


def ln1p(minor: Ints) -> Ints:
    """ln(1 + turnover) in millionths, by a table: the same on every machine."""
    mantissa, exponent = np.frexp((minor + UNIT_MINOR).astype(np.float64))  # 1/2 <= mantissa < 1
    at, rest = np.divmod(np.ldexp(mantissa, 31).astype(np.int64) - (1 << 30), 1 << 20)
    between = (_LN[at + 1] - _LN[at]) * rest >> 20
    doublings = (exponent.astype(np.int64) - 1) * _LN2 >> 10
    found: Ints = np.maximum(doublings + _LN[at] + between - _LN_UNIT, 0)
    return found


def _fold(memory: Memory, rows: Ints, days: Ints, turnover_minor: Ints) -> list[Change]:
    """One day of each of these series."""
    part = memory[rows]
    part["through"] = days
    counts = (part["days"] >= HISTORY_DAYS) & (part["share"] >= SHARE_MIN)
    apart = ln1p(turnover_minor) - part["mean"]
    z = apart * MICRO // np.maximum(_deviation(part), DEVIATION_MIN)
    z = np.where(counts, np.clip(z, -Z_MAX, Z_MAX), 0)
    _run(part, "up", counts, z, turnover_minor)
    _run(part, "down", counts, -z, turnover_minor)
    _learn(part, apart, turnover_minor)
    changes = []
    for direction in ("up", "down"):
        for n in np.flatnonzero(part[direction] >= LIMIT):
            changes.append(_change(int(rows[n]), direction, part[n]))
    changed = (part["up"] >= LIMIT) | (part["down"] >= LIMIT)
    for name in _LEARNT:  # what is usual from now on is learned anew
        part[name][changed] = 0
    memory[rows] = part
    return changes


def _run(part: Memory, name: str, counts: NDArray[np.bool_], z: Ints, minor: Ints) -> None:
    """The sum of one direction and the days that made it."""
    before = part[name].copy()
    after = np.where(counts, np.maximum(before + z - SLACK, 0), 0)
    begins = before == 0
    part[name] = after
    part[f"{name}_since"] = np.where(begins, part["through"], part[f"{name}_since"])
    usual = f"{name}_usual_minor"
    part[usual] = np.where(begins, part["usual_minor"], part[usual])
    sums = np.where(begins, 0, part[f"{name}_minor"]) + minor
    part[f"{name}_minor"] = np.minimum(sums, _RUN_MAX)


def _learn(part: Memory, apart: Ints, turnover_minor: Ints) -> None:
    """The day becomes part of what is usual. Young memories are plain means."""
    weight = np.minimum(part["days"] + 1, MEMORY_DAYS)
    active = turnover_minor > 0
    part["mean"] += _rounded(apart, weight)
    part["variance"] = (part["variance"] + apart * apart // weight) * (weight - 1) // weight
    part["share"] += _rounded(active * MICRO - part["share"], weight)
    part["usual_minor"] += _rounded(turnover_minor - part["usual_minor"], weight)
    part["days"] += 1
    part["active"] = np.where(active, part["through"], part["active"])


def _change(row: int, direction: Direction, one: Any) -> Change:
    since, on = int(one[f"{direction}_since"]), int(one["through"])
    return Change(
        row=row,
        direction=direction,
        since=since,
        on=on,
        size_micro=int(one[direction]),
        minor=int(one[f"{direction}_minor"]) // (on - since + 1),
        usual_minor=int(one[f"{direction}_usual_minor"]),
    )


def _deviation(memory: Memory) -> Ints:
    """The root of the variance, rounded down: exact, as a variance stays below 2**52."""
    root: Ints = np.sqrt(memory["variance"].astype(np.float64)).astype(np.int64)
    return root


def _rounded(value: Ints, by: Ints) -> Ints:
    half_up: Ints = (value + by // 2) // by
    return half_up
