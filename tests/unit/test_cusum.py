"""Abnormal change of a series: against a loop in floats, in any order, and how often in vain."""

import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring.rules import cusum
from shared.money import MINOR_MAX

KNOWN_RATE = 1 / 465  # of two-sided CUSUM, k 0.5, h 5, of noise whose mean and deviation are known
Found = tuple[int, int, str, int, int, int, int]


@dataclass
class Oracle:
    """One series in plain floats, every day, as the words of the record say it."""

    days: int = 0
    mean: float = 0.0
    variance: float = 0.0
    share: float = 0.0
    usual: float = 0.0
    idle: int = 0
    began: bool = False

    def __post_init__(self) -> None:
        self.sums = {"up": 0.0, "down": 0.0}
        self.since = {"up": 0, "down": 0}

    def take(self, day: int, minor: int) -> tuple[str, int, float] | None:
        self.idle = 0 if minor else self.idle + 1
        if self.idle > 128:
            self.__init__()  # type: ignore[misc]
        self.began = self.began or minor > 0
        if not self.began:
            return None
        apart = math.log1p(minor / 100) - self.mean
        z = max(-4.0, min(4.0, apart / max(math.sqrt(self.variance), 0.1)))
        for name, gain in (("up", z - 0.5), ("down", -z - 0.5)):
            before = self.sums[name]
            counts = self.days >= 60 and self.share >= 0.2 - 5e-5
            self.sums[name] = max(before + gain, 0.0) if counts else 0.0
            self.since[name] = self.since[name] if before else day
        self.days += 1
        weight = 1 / min(self.days, 64)
        self.mean += weight * apart
        self.variance = (1 - weight) * (self.variance + weight * apart * apart)
        self.share += weight * ((minor > 0) - self.share)
        for name, size in self.sums.items():
            if size >= 5:
                found = (name, self.since[name], size)
                self.__init__(idle=self.idle, began=True)  # type: ignore[misc]
                return found
        return None


def settled(turnover: np.ndarray, *, every_day: bool = False, look: bool = True) -> list[Found]:
    """Day by day: who moves money, and whose silence may be a change; or all of them, every day."""
    memory = np.zeros(turnover.shape[1], cusum.MEMORY)
    looks = np.zeros(turnover.shape[1], np.int64)
    found = []
    for day, minor in enumerate(turnover, start=1):
        due = np.flatnonzero((minor > 0) | ((looks > 0) & (looks <= day) & look) | every_day)
        part = memory[due]
        for c in cusum.settle(part, day, minor[due]):
            number = int(due[c.row])
            found.append((c.on, number, c.direction, c.since, c.size_micro, c.minor, c.usual_minor))
        memory[due], looks[due] = part, cusum.look_on(part)
    return sorted(found)


def bank(seed: int, customers: int = 120, days: int = 400) -> np.ndarray:
    """Customers of all kinds: often and seldom; some stop, some grow, some shrink, some return."""
    rng = np.random.default_rng(seed)
    share = rng.choice([0.05, 0.2, 0.35, 0.5, 0.8, 1.0], customers)
    amounts = np.exp(rng.normal(11, 1.0, (days, customers)))
    turnover = (amounts * (rng.random((days, customers)) < share)).astype(np.int64)
    turnover[220:, ::6] = 0
    turnover[220:, 1::6] *= 8
    turnover[220:, 2::6] //= 15
    turnover[100:150, 3::6] = 0
    turnover[100:245, 4::6] = 0
    turnover[:90, 5::6] = 0
    return turnover


@pytest.mark.parametrize("seed", range(4))
def test_it_finds_what_a_loop_in_floats_finds(seed: int) -> None:
    turnover = bank(seed)
    expected = {}
    for number in range(turnover.shape[1]):
        oracle = Oracle()
        for day, minor in enumerate(turnover[:, number].tolist(), start=1):
            change = oracle.take(day, minor)
            if change is not None:
                expected[day, number, change[0], change[1]] = change[2]
    found = {one[:4]: one[4] / 1e6 for one in settled(turnover)}
    assert found.keys() == expected.keys()
    assert len(found) > 60
    assert {direction for _, _, direction, _ in found} == {"up", "down"}
    assert found == pytest.approx(expected, abs=2e-3)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10**6), order=st.randoms(use_true_random=False))
def test_looking_late_and_in_any_order_finds_the_same(seed: int, order: object) -> None:
    turnover = bank(seed, customers=40, days=290)
    alike = settled(turnover)
    assert settled(turnover, every_day=True) == alike
    places = list(range(40))
    order.shuffle(places)  # type: ignore[attr-defined]
    halves = [places[:13], places[13:]]  # as if two partitions, or two steps, had them
    again = [
        (one[0], half[one[1]], *one[2:]) for half in halves for one in settled(turnover[:, half])
    ]
    assert sorted(again) == alike


def test_without_looking_again_silence_is_not_found() -> None:
    """The control of the one above: what falls silent is found by the day of looking alone."""
    turnover = bank(7)
    found, unlooked = set(settled(turnover)), set(settled(turnover, look=False))
    assert unlooked < found
    gone = {one for one in found if one[0] > 220 and one[1] % 6 == 0 and not one[5]}
    assert len(gone) > 5
    assert not gone & unlooked


def test_few_are_looked_at() -> None:
    """Cost follows who moves money: a silent customer is looked at some times, then never."""
    memory = np.zeros(1, cusum.MEMORY)
    for day in range(1, 101):
        cusum.settle(memory, day, np.array([50_000 + day]))
    looks = []
    while (day := int(cusum.look_on(memory)[0])) and len(looks) < 100:
        looks.append(day)
        cusum.settle(memory, day, np.array([0]))
    assert 1 <= len(looks) <= 5
    assert looks[0] == 102, "two days of nothing are the earliest change there can be"


@pytest.mark.parametrize(("idle_days", "anew"), [(127, False), (128, True)])
def test_after_so_many_days_without_turnover_a_series_begins_anew(
    idle_days: int, anew: bool
) -> None:
    assert cusum.IDLE_MAX == 128
    memory = np.zeros(1, cusum.MEMORY)
    for day in range(1, 101):
        cusum.settle(memory, day, np.array([50_000]))
    cusum.settle(memory, 101 + idle_days, np.array([50_000]))
    assert (int(memory["days"][0]) == 1) == anew


@pytest.mark.parametrize(("times", "direction", "within"), [(8, "up", 8), (1 / 8, "down", 8)])
def test_a_step_is_found_soon_and_once(times: float, direction: str, within: int) -> None:
    rng = np.random.default_rng(1)
    turnover = np.exp(rng.normal(11, 1.0, (300, 400)))
    turnover[200:] *= times
    found = settled(turnover.astype(np.int64))
    before = {one[1] for one in found if one[0] <= 200 and one[0] > 140}  # these learn anew
    soon = {n: d for on, n, d, *_ in found if 200 < on <= 200 + within}
    expected = [n for n in range(400) if n not in before]
    right = [n for n in expected if soon.get(n) == direction]
    assert len(right) >= 0.95 * len(expected)
    after = [one for one in found if 200 < one[0] <= 260 and one[1] in right]
    assert len(after) == len(right), "one change is told once, not again and again"


SHARES = [0.05, 0.15, 0.2, 0.25, 0.3, 0.5, 0.7, 1.0]


@pytest.fixture(scope="module")
def in_noise() -> list[Found]:
    """500 series of each share for 500 days, settled side by side: a series knows no neighbour."""
    rng = np.random.default_rng(2)
    amounts, chance = np.exp(rng.normal(11, 1.0, (500, 500))), rng.random((500, 500))
    return settled(np.hstack([(amounts * (chance < share)).astype(np.int64) for share in SHARES]))


@pytest.mark.parametrize("share", SHARES)
def test_noise_is_called_a_change_no_more_often_than_is_known(
    in_noise: list[Found], share: float
) -> None:
    found = [one for one in in_noise if SHARES[one[1] // 500] == share]
    days = 500 * (500 - cusum.HISTORY_DAYS)
    known = days * KNOWN_RATE
    assert len(found) <= known + 3 * math.sqrt(known)
    assert len(found) > 0 or share < cusum.SHARE_MIN / 1e6


def test_amounts_without_end_stay_within_64_bits() -> None:
    turnover = np.full((600, 3), MINOR_MAX)
    turnover[:, 1] *= np.arange(600) % 2  # as far apart as can be, for ever
    turnover[:, 2] = 4 * MINOR_MAX  # a sum beyond what an event may carry counts as the most
    with np.errstate(all="raise"):
        assert settled(turnover) == []
    memory = np.zeros(1, cusum.MEMORY)
    for day in range(1, 2000):
        cusum.settle(memory, day, np.array([MINOR_MAX if day % 2 else 0]))
        assert 0 <= int(memory["variance"][0]) < 1 << 52


def test_the_logarithm_is_right_to_three_millionths() -> None:
    values = [0, 1, 50, 99, 100, 101, 12_345, 10**9, 10**12, MINOR_MAX]
    values += [2**n + d for n in range(2, 53) for d in (-1, 0, 1)]
    found = cusum.ln1p(np.array(values, np.int64)).tolist()
    for value, got in zip(values, found, strict=True):
        assert got == pytest.approx(math.log1p(value / 100) * 1e6, abs=3)
    assert cusum.ln1p(np.arange(100_000)).tolist() == sorted(cusum.ln1p(np.arange(100_000)))
    assert int(cusum.ln1p(np.arange(1, 2_000_000, 7)).sum()) == 2_544_012_647_334
