"""A rate as the worker takes it from `bank.reference` and keeps it in its state."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec
from xxhash import xxh3_64_intdigest

Kind = Literal[
    "transfer_price", "customer_rate", "margin", "cost_driver", "pd", "lgd", "risk_weight",
    "capital_ratio", "hurdle_rate", "overdraft",
]  # fmt: skip
PRICES = ("transfer_price", "margin")
CAPITAL = ("risk_weight", "capital_ratio", "hurdle_rate")  # a year's charge is their product
OF_GRADES = ("pd", "lgd")
# What a component is a product of; only that of the first knows grades.
_NEEDS = (("expected loss (el)", OF_GRADES), ("charge for capital", CAPITAL))
PPM = 1_000_000
BASIS_POINT = 100  # ppm: the product of the three is a whole number of ppm of ppm, and so exact
CONTACT = "contact"  # the driver of contacts: the query side prices them, no ledger has them
USE_MAX = 10**9  # minor units of one use
# The product of the greatest of capital is 1.6 times that of PD and LGD: the bound of prefix sums.
_BOUNDS = {
    "cost_driver": (0, USE_MAX), "pd": (0, PPM), "lgd": (0, PPM),
    "risk_weight": (0, 12_500_000), "capital_ratio": (0, 250_000), "hurdle_rate": (0, 500_000),
}  # fmt: skip
DAY_MIN = 693_596  # 1900-01-01: keeps every prefix sum below 2**60


class Rate(msgspec.Struct, frozen=True, array_like=True):
    """One dated figure, or to which product a negative balance belongs (`overdraft`)."""

    key: str  # of `bank.reference`
    kind: Kind
    product: str  # "": all
    driver: str
    from_day: int
    value: int = 0
    overdraft: str = ""
    restatement: int = 0  # the number of that which brought it; 0: nothing was booked by it yet
    before: int | None = None  # the value of that day until then; None: there was none
    grade: str = ""  # of PD and LGD; "": of all that have no rate of their own grade

    @property
    def place(self) -> tuple[str, str, str]:
        """What its value holds for, from its day on: kind, product, driver or grade."""
        return self.kind, self.product, self.grade if self.kind in OF_GRADES else self.driver

    @property
    def dated(self) -> tuple[str, str, str, int]:
        """What it is the value of: of several rates of one place and day the last word holds."""
        return *self.place, self.from_day

    def says(self) -> tuple[int, str]:
        """What may differ between two of one key."""
        return self.value, self.overdraft

    def corrected(self, by: "Rate") -> "Rate":
        """What takes its place and restates nothing: the number of the last restatement does not
        fall."""
        return msgspec.structs.replace(by, restatement=self.restatement, before=self.before)

    def fault(self) -> str | None:
        """Why no exact figure can be made with it."""
        low, high = _BOUNDS.get(self.kind, (-PPM, PPM))
        if not low <= self.value <= high:
            return f"{self.value} is not within {low} and {high}"
        if self.kind in CAPITAL and self.value % BASIS_POINT:
            return f"{self.value} is no whole number of basis points ({BASIS_POINT} ppm)"
        if self.grade and self.kind not in OF_GRADES:
            return f"a {self.kind} is not of a grade"
        if not self.product and self.kind in (*OF_GRADES, *CAPITAL):
            return f"a {self.kind} is of a product"
        if self.kind != "overdraft" and self.from_day < DAY_MIN:
            return "it is dated before 1900"
        return None


def grade_number(code: str) -> int:
    """How ledgers know a grade: 63 bits of its hash, the same after every restart."""
    return xxh3_64_intdigest(code.encode()) >> 1


def lacking(rates: Iterable[Rate]) -> Iterator[str]:
    """Products, and grades of them, with some of the rates that a component is a product of, and
    not all. Where a grade has no rate of its own the product's holds for it."""
    known: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
    for rate in rates:
        if rate.fault() is None:
            known[rate.product, rate.grade].add(rate.kind)
    graded = {product for product, grade in known if grade}
    for (product, grade), kinds in sorted(known.items()):
        found = kinds | known.get((product, ""), set())
        for component, needed in _NEEDS[: 1 if grade else None]:
            has = [kind for kind in needed if kind in found]
            lacks = [kind for kind in needed if kind not in found]
            if has and lacks:
                beside = product in graded and needed is OF_GRADES
                others = " of other grades or none" if beside else ""
                of = f" of grade {grade}" if grade else others
                yield (f"{product}{of}: no {component} is computed: its {' and '.join(has)} came"
                       f" without {' and '.join(lacks)}")  # fmt: skip
