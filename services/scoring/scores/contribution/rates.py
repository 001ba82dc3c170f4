"""What the figures are measured with: effective-dated rates as prefix sums over days.

S(t) is the sum of the rate over all days before t. Between two dates it is a line, so a product
keeps one row per date and a rate set for the future touches no account. Pure; one per partition:
a rate that would restate closed days is refused by each partition for itself.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from services.scoring.rate import PRICES, Rate
from services.scoring.scores.compiling import compiled

Ints = NDArray[np.int64]
Dated = dict[int, int]  # from day -> value
ACCOUNT_DAY = "account_day"  # the driver of keeping an account for a day
MARGINS, LOSSES, UPKEEPS = range(3)  # the series of a product
SERIES = 3
NEVER = 1 << 40  # a day that no event has


class Use(NamedTuple):
    """What a kind of transaction on a product costs, and from which day it can be booked."""

    driver: int  # -1: nobody says what it costs
    covered_from: int


class Tables(NamedTuple):
    """The rates as the kernel takes them."""

    below: Ints  # product -> the product of a negative balance
    spans: Ints  # (product, series) -> begin and end in `steps`
    drivers: Ints  # driver -> begin and end in `steps`
    steps: Ints  # day, rate, sum of the rate over all days before it


class Rates:
    """All rates that one partition has taken."""

    def __init__(self) -> None:
        self.taken: dict[str, Rate] = {}
        self.products: dict[str, int] = {}
        self.overdraft: dict[str, str] = {}
        self._dated: dict[tuple[str, str, str], Dated] = {}  # kind, product, driver
        self._uses: dict[tuple[str, str, str | None], Use] = {}
        self._drivers: dict[tuple[str, str, str], int] = {}
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
            dated = self._dated.setdefault((rate.kind, rate.product, rate.driver), {})
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
        """The first day on which the product has a price."""
        days = [day for kind in PRICES for day in self._dated.get((kind, product, ""), ())]
        return min(days, default=NEVER)

    def use(self, product: str, kind: str, channel: str | None) -> Use:
        """The nearest driver: of kind and channel or of the kind, of the product or of all."""
        found = self._uses.get((product, kind, channel))
        if found is None:
            self.tables()
            names = [f"{kind}/{channel}", kind] if channel else [kind]
            places = [("cost_driver", of, name) for name in names for of in (product, "")]
            driver = next((place for place in places if place in self._drivers), None)
            covered = self.covered_from(product)
            if driver is not None:
                covered = max(covered, min(self._dated[driver]))
            number = -1 if driver is None else self._drivers[driver]
            found = self._uses[product, kind, channel] = Use(number, covered)
        return found

    def tables(self) -> Tables:
        """The arrays, made anew when something was taken."""
        if self._tables is None:
            steps: list[tuple[int, int, int]] = []
            spans = [_span(steps, series) for product in self.products
                     for series in self._series_of(product)]  # fmt: skip
            drivers = sorted(place for place in self._dated if place[0] == "cost_driver")
            self._drivers = {place: number for number, place in enumerate(drivers)}
            self._tables = Tables(
                np.array([self.products[self.overdraft.get(p, p)] for p in self.products],
                         np.int64),
                _rows(spans, 2),
                _rows([_span(steps, self._dated[place]) for place in drivers], 2),
                _rows(steps, 3),
            )  # fmt: skip
        return self._tables

    def _series_of(self, product: str) -> tuple[Dated, Dated, Dated]:
        """Margin, loss and upkeep of a product, from each day on which one of their parts moves."""
        price, paid, margin, pd, lgd = (
            self._dated.get((kind, product, ""), {})
            for kind in ("transfer_price", "customer_rate", "margin", "pd", "lgd")
        )
        upkeep = self._dated.get(("cost_driver", product, ACCOUNT_DAY))
        if upkeep is None:
            upkeep = self._dated.get(("cost_driver", "", ACCOUNT_DAY), {})
        return (
            {d: _latest(price, d) - _latest(paid, d) - _latest(margin, d)
             for d in {*price, *paid, *margin}},
            {d: _latest(pd, d) * _latest(lgd, d) for d in {*pd, *lgd}},
            upkeep,
        )  # fmt: skip


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
def on_day(spans: Ints, steps: Ints, series: int, day: int) -> int:
    """A series' rate on one day; 0 before its first."""
    at = _place(steps, spans[series, 0], spans[series, 1], day)
    return steps[at, 1] if at >= spans[series, 0] else 0
