"""A pool shared out in whole minor units: by the largest remainder, so that nothing is left."""

from collections.abc import Mapping
from typing import TypeVar

Id = TypeVar("Id", str, tuple[str, ...])


def shared_out(pool: int, weights: Mapping[Id, int]) -> dict[Id, int]:
    """Each one's share by its weight; their sum is the pool. The units that remain after rounding
    down go to the largest remainders, of equal ones to the smaller id.

    A pool below zero is shared as its opposite: what is taken back is what was given. Empty when
    nobody has a weight: then there is nobody to share it.
    """
    if any(weight < 0 for weight in weights.values()):
        raise ValueError("a weight below zero")
    whole = sum(weights.values())
    if not whole:
        return {}
    sign, amount = (-1, -pool) if pool < 0 else (1, pool)
    found = {one: amount * weight // whole for one, weight in weights.items()}
    left = amount - sum(found.values())
    by_remainder = sorted(weights, key=lambda one: (-(amount * weights[one] % whole), one))
    for one in by_remainder[:left]:
        found[one] += 1
    return {one: sign * share for one, share in found.items()}
