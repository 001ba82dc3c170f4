"""What the figures are measured with: effective-dated rates as prefix sums over days.

S(t) is the sum of the rate over all days before t. Between two dates it is a line, so a product
keeps one row per date and a rate set for the future touches no account. Pure; one per partition:
a rate that restates closed days is applied by each partition for itself, at its own watermark.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.rate import CAPITAL, OF_GRADES, PPM, PRICES, Rate, grade_number
from services.scoring.scores.compiling import compiled

Ints = NDArray[np.int64]
Dated = dict[int, int]  # from day -> value
Place = tuple[str, str, str]  # `Rate.place`
Places = dict[Place, Dated]
Way = tuple[Place, ...]  # the rates that a use may cost, the nearest first
ACCOUNT_DAY = "account_day"  # the driver of keeping an account for a day
MARGINS, LOSSES, CAPITALS, UPKEEPS = range(4)  # the series of a product
SERIES = 4
NEVER = 1 << 40  # a day that no event has


class Use(NamedTuple):
    """What a kind of transaction on a product costs, and from which day it can be booked."""

    driver: int  # the number of its way; -1: nobody says what it costs
    covered_from: int


class Tables(NamedTuple):
    """The rates as the kernel takes them."""

    below: Ints  # product -> the product of a negative balance
    grades: Ints  # those that a product has rates for: their numbers; each has a series of losses
    of_product: Ints  # product -> begin and end in `grades`
    spans: Ints  # (product, series) -> begin and end in `steps`
    drivers: Ints  # way -> begin and end in `steps`
    steps: Ints  # day, rate, sum of the rate over all days before it


class Restatement(NamedTuple):
    """What changes with the rates of one restatement."""

    number: int
    before: Tables  # by which the days behind are accrued already
    difference: Tables  # those of now less those before
    from_days: Ints  # product -> the first day on which one of its series differs; NEVER: none


class Rates:
    """All rates that one partition has taken."""

    def __init__(self) -> None:
        self.taken: dict[str, Rate] = {}
        self.products: dict[str, int] = {}
        self.overdraft: dict[str, str] = {}
        self._dated: Places = {}
        self._uses: dict[tuple[str, str, str | None], Use] = {}
        self._ways: dict[Way, int] = {}
        self._tables: Tables | None = None

    @property
    def active(self) -> bool:
        """Is there a price for anything? Without one there is no contribution."""
        return any(kind in PRICES for kind, _, _ in self._dated)

    def take(self, rate: Rate) -> None:
        self.taken[rate.key] = rate
        if rate.product:
            self.index(rate.product)
        if rate.kind == "overdraft":
            self.overdraft[rate.product] = rate.overdraft
            self.index(rate.overdraft)
        else:
            dated = self._dated.setdefault(rate.place, {})
            dated[rate.from_day] = rate.value
        self._uses.clear()
        self._tables = None

    def index(self, product: str) -> int:
        """The product's number; unknown ones get one, and no rates."""
        known = self.products.get(product)
        if known is None:
            known = self.products[product] = len(self.products)
            self._tables = None
        return known

    def covered_from(self, product: str) -> int:
        """The first day on which the product, and what its negative balance belongs to, has a
        price."""
        below = self.overdraft.get(product, product)
        return max(self._priced_from(product), self._priced_from(below))

    def _priced_from(self, product: str) -> int:
        days = [day for kind in PRICES for day in self._dated.get((kind, product, ""), ())]
        return min(days, default=NEVER)

    def is_new_ground(self, rate: Rate) -> bool:
        """Was nothing booked that the rate could change? What it would have covered still waits."""
        known = self._dated.get(rate.place, {})
        earlier = bool(known) and rate.from_day < min(known)
        if rate.kind == "cost_driver":
            return earlier and rate.driver != ACCOUNT_DAY and not self._is_charged(rate, min(known))
        priced_from = self._priced_from(rate.product)
        if priced_from == NEVER:
            return True
        others = (kind for kind in PRICES if kind != rate.kind)
        alone = not any((kind, rate.product, "") in self._dated for kind in others)
        return rate.kind in PRICES and earlier and alone

    def use(self, product: str, kind: str, channel: str | None) -> Use:
        """The nearest of the rates in force on its day, as one series: found once, not by day."""
        found = self._uses.get((product, kind, channel))
        if found is None:
            self.tables()
            way = self._way(product, f"{kind}/{channel}" if channel else kind)
            first = min((day for place in way for day in self._dated[place]), default=0)
            covered = max(self.covered_from(product), first)
            found = self._uses[product, kind, channel] = Use(self._ways.get(way, -1), covered)
        return found

    def _way(self, product: str, driver: str) -> Way:
        """Of kind and channel before the kind alone, of the product before all."""
        kind = driver.partition("/")[0]
        places = (("cost_driver", of, name) for name in (driver, kind) for of in (product, ""))
        return tuple(place for place in dict.fromkeys(places) if place in self._dated)

    def _all_ways(self) -> list[Way]:
        """Of uses by any kind, channel and product; names without a rate of their own add none."""
        priced = [place for place in self._dated if place[0] == "cost_driver"]
        products = {"", *(product for _, product, _ in priced)}
        ways = {self._way(of, driver) for _, _, driver in priced for of in products}
        return sorted(ways - {()})

    def _is_charged(self, rate: Rate, until: int) -> bool:
        """Was a use before this day, that the rate would cover, charged by one less near?"""
        ways = (way[way.index(rate.place) + 1 :] for way in self._all_ways() if rate.place in way)
        return any(day < until for way in ways for place in way for day in self._dated[place])

    def tables(self) -> Tables:
        """The arrays, made anew when something was taken."""
        if self._tables is None:
            ways = self._all_ways()
            self._ways = {way: number for number, way in enumerate(ways)}
            self._tables = self._made(
                self._series(self._dated), [_nearest(self._dated, way) for way in ways]
            )
        return self._tables

    def _series(self, dated: Places) -> list[Dated]:
        """Of all products, then the losses of each product's grades."""
        found = [one for p in self.products for one in _series_of(dated, p)]
        return found + [_losses(dated, p, grade) for p, grade in self._graded()]

    def _graded(self) -> list[tuple[str, str]]:
        """Products with the grades that they have a rate for, in the order of the products."""
        known = {(p, name) for kind, p, name in self._dated if kind in OF_GRADES and name}
        return sorted(known, key=lambda one: (self.products[one[0]], one[1]))

    def _made(self, series: list[Dated], drivers: list[Dated]) -> Tables:
        steps: list[tuple[int, int, int]] = []
        spans = [_span(steps, one) for one in series]
        of_drivers = [_span(steps, one) for one in drivers]
        below = [self.products[self.overdraft.get(p, p)] for p in self.products]
        graded = self._graded()
        products = [self.products[product] for product, _ in graded]
        begins = np.searchsorted(products, np.arange(len(below) + 1))
        return Tables(
            np.array(below, np.int64), np.array([grade_number(g) for _, g in graded], np.int64),
            np.stack((begins[:-1], begins[1:]), 1), _rows(spans, 2), _rows(of_drivers, 2),
            _rows(steps, 3),
        )  # fmt: skip

    # Restatements ---------------------------------------------------------------------------

    def last_restatement(self) -> int:
        return max((rate.restatement for rate in self.taken.values()), default=0)

    def keys_of(self, number: int) -> list[str]:
        """Of the rates that a restatement brought."""
        return sorted(rate.key for rate in self.taken.values() if rate.restatement == number)

    def value_of(self, rate: Rate) -> int | None:
        """What holds in the place of this rate."""
        return self._dated.get(rate.place, {}).get(rate.from_day)

    def restatement(self, number: int) -> Restatement:
        """What it changed of the rates: the last one, for of each date one value before is kept."""
        dated = {place: dict(values) for place, values in self._dated.items()}
        for rate in self.taken.values():
            if rate.restatement == number:
                values = dated[rate.place]
                if rate.before is None:
                    del values[rate.from_day]
                else:
                    values[rate.from_day] = rate.before
        dated = {place: values for place, values in dated.items() if values}
        old, new = self._series(dated), self._series(self._dated)
        difference = [{d: _latest(b, d) - _latest(a, d) for d in {*a, *b}}
                      for a, b in zip(old, new, strict=True)]  # fmt: skip
        firsts = [min((d for d, by in one.items() if by), default=NEVER) for one in difference]
        own = len(self.products) * SERIES
        from_days = np.array(firsts[:own], np.int64).reshape(-1, SERIES).min(axis=1)
        for (product, _), first in zip(self._graded(), firsts[own:], strict=True):
            at = self.products[product]
            from_days[at] = min(from_days[at], first)
        return Restatement(number, self._made(old, []), self._made(difference, []), from_days)


def _series_of(dated: Places, product: str) -> tuple[Dated, Dated, Dated, Dated]:
    """Margin, loss, charge for capital and upkeep of a product, from each day on which one of
    their parts moves."""
    price, paid, margin, weight, capital, hurdle = (
        dated.get((kind, product, ""), {})
        for kind in ("transfer_price", "customer_rate", "margin", *CAPITAL)
    )
    of_own, of_all = (("cost_driver", of, ACCOUNT_DAY) for of in (product, ""))
    return (
        {d: _latest(price, d) - _latest(paid, d) - _latest(margin, d)
         for d in {*price, *paid, *margin}},
        _losses(dated, product, ""),
        # Whole: each of the three is a number of basis points.
        {d: _latest(weight, d) * _latest(capital, d) * _latest(hurdle, d) // PPM
         for d in {*weight, *capital, *hurdle}},
        _nearest(dated, (of_own, of_all)),
    )  # fmt: skip


def _losses(dated: Places, product: str, grade: str) -> Dated:
    """PD times LGD. Until a grade has a rate of its own, that of the product holds for it."""
    pd, lgd = (
        _replaced(dated.get((kind, product, ""), {}), dated.get((kind, product, grade), {}))
        for kind in OF_GRADES
    )
    return {d: _latest(pd, d) * _latest(lgd, d) for d in {*pd, *lgd}}


def _nearest(dated: Places, way: Way) -> Dated:
    """Of each day the nearest rate that is in force: a nearer one begins on its own first day."""
    found: Dated = {}
    for place in reversed(way):
        found = _replaced(found, dated.get(place, {}))
    return found


def _replaced(values: Dated, by: Dated) -> Dated:
    first = min(by, default=NEVER)
    return {day: value for day, value in values.items() if day < first} | by


def _latest(values: Dated, day: int) -> int:
    days = [known for known in values if known <= day]
    return values[max(days)] if days else 0


def _span(steps: list[tuple[int, int, int]], dated: Dated) -> tuple[int, int]:
    begin, total, before, rate = len(steps), 0, 0, 0
    for day, value in sorted(dated.items()):
        total += rate * (day - before)
        steps.append((day, value, total))
        before, rate = day, value
    return begin, len(steps)


def _rows(rows: list[Any], width: int) -> Ints:
    return np.array(rows, np.int64).reshape(-1, width)


@compiled
def _place(steps: Ints, begin: int, end: int, day: int) -> int:
    """The step that holds on a day; begin - 1: none yet."""
    low, high = begin, end
    while low < high:
        middle = (low + high) // 2
        if steps[middle, 0] <= day:
            low = middle + 1
        else:
            high = middle
    return low - 1


@compiled
def between(spans: Ints, steps: Ints, series: int, begin: int, end: int) -> int:
    """Sum of a series' rate over the days begin <= d < end."""
    first, last = spans[series, 0], spans[series, 1]
    total = 0
    at = _place(steps, first, last, end)
    if at >= first:
        total += steps[at, 2] + steps[at, 1] * (end - steps[at, 0])
    at = _place(steps, first, last, begin)
    if at >= first:
        total -= steps[at, 2] + steps[at, 1] * (begin - steps[at, 0])
    return total


@compiled
def loss_of(rates: Tables, product: int, grade: int) -> int:
    """The series of losses of a product for a grade; of one that has no rate the product's own."""
    for at in range(rates.of_product[product, 0], rates.of_product[product, 1]):
        if rates.grades[at] == grade:
            return rates.below.shape[0] * SERIES + at  # type: ignore[no-any-return]
    return product * SERIES + LOSSES


@compiled
def on_day(spans: Ints, steps: Ints, series: int, day: int) -> int:
    """A series' rate on one day; 0 before its first."""
    at = _place(steps, spans[series, 0], spans[series, 1], day)
    return steps[at, 1] if at >= spans[series, 0] else 0
