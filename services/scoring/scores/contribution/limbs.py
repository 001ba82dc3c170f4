"""Sums wider than 64 bits in two limbs: value = high * 2**60 + low, 0 <= low < 2**60.

Bound: a balance below 2**61 times a prefix sum below 2**60 stays under 2**121 and needs no more
than 62 bits of `high`; 10**13 minor units at 10**12 ppm of ppm for 30 years need 97 bits in all.
"""

from services.scoring.scores.compiling import compiled

BITS = 60
MASK = (1 << BITS) - 1
_HALF_BITS = 30
_HALF = (1 << _HALF_BITS) - 1
_STEP_BITS = 12  # of one step of the division: a remainder below 2**49 leaves room for it
_STEP = (1 << _STEP_BITS) - 1


@compiled
def product(factor: int, other: int) -> tuple[int, int]:
    """factor * other in two limbs, exact for |factor| < 2**61 and |other| < 2**60."""
    negative = (factor < 0) != (other < 0)
    a, b = abs(factor), abs(other)
    a1, a0 = a >> _HALF_BITS, a & _HALF
    b1, b0 = b >> _HALF_BITS, b & _HALF
    middle = a1 * b0 + a0 * b1
    low = a0 * b0 + ((middle & _HALF) << _HALF_BITS)
    high = a1 * b1 + (middle >> _HALF_BITS) + (low >> BITS)
    low &= MASK
    if negative:
        return negated(high, low)
    return high, low


@compiled
def negated(high: int, low: int) -> tuple[int, int]:
    if low == 0:
        return -high, 0
    return -high - 1, (MASK - low) + 1


@compiled
def plus(high: int, low: int, other_high: int, other_low: int) -> tuple[int, int]:
    both = low + other_low
    return high + other_high + (both >> BITS), both & MASK


@compiled
def rounded(high: int, low: int, unit: int) -> int:
    """The sum divided by `unit` (below 2**49), half to even; exact while the answer has 63 bits."""
    negative = high < 0
    if negative:
        high, low = negated(high, low)
    quotient = high // unit
    left = high - quotient * unit
    shift = BITS - _STEP_BITS
    while shift >= 0:
        left = (left << _STEP_BITS) | ((low >> shift) & _STEP)
        digit = left // unit
        quotient = (quotient << _STEP_BITS) + digit
        left -= digit * unit
        shift -= _STEP_BITS
    if 2 * left > unit or (2 * left == unit and quotient & 1):
        quotient += 1
    return -quotient if negative else quotient
