"""E[M]: the mean amount of a purchase to expect of a customer. For the query side.

Inputs: amounts of the repeat purchases, one per customer-day.
State: x (their number) and their sum.
Terms: x, the customer's own mean m, the mean of all; the result lies between the two.
Formula: Gamma-Gamma, Fader & Hardie 2013: p (v + x m) / (p x + q - 1).
"""

from typing import NamedTuple


class Spend(NamedTuple):
    """Amounts of one customer ~ Gamma(p, nu), nu ~ Gamma(q, v). `v` is in the unit of amounts."""

    p: float
    q: float
    v: float


def expected(spend: Spend, x: int, total: float) -> float:
    """E[M] of who made x repeat purchases of this total; of all customers when x is 0."""
    return spend.p * (spend.v + total) / (spend.p * x + spend.q - 1)


def expected_minor(spend: Spend, x: int, total_minor: int) -> int:
    """E[M] in whole minor units, half to even; `v` in minor units."""
    return round(expected(spend, x, total_minor))
