"""How concentrated the contribution is: the curve as it is, beside the textbook's 80/20."""

from collections.abc import Sequence
from dataclasses import dataclass

MILLION = 1_000_000
TEXTBOOK_PPM = (200_000, 800_000)  # 二八定律: said, not measured


@dataclass(frozen=True, slots=True)
class Slice:
    """Parties of about the same rank, greatest first, and what they earn together."""

    parties: int
    sum_minor: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Points (share of parties, share of the sum of those who earn) in ppm, from (0, 0)."""

    points: tuple[tuple[int, int], ...]
    parties: int
    below_zero: int
    positive_minor: int
    negative_minor: int

    def share_of_first(self, parties_ppm: int) -> int | None:
        """What the first so many of the parties earn; between two points on their line."""
        for (x0, y0), (x1, y1) in zip(self.points, self.points[1:], strict=False):
            if x1 >= parties_ppm:
                return y0 + (y1 - y0) * (parties_ppm - x0) // max(x1 - x0, 1)
        return None


def curve_of(slices: Sequence[Slice]) -> Curve:
    """The slices of all parties, greatest first; above zero and below it are apart."""
    parties = sum(one.parties for one in slices)
    positive = sum(one.sum_minor for one in slices if one.sum_minor > 0)
    negative = sum(one.sum_minor for one in slices if one.sum_minor < 0)
    below = sum(one.parties for one in slices if one.sum_minor < 0)
    points, count, total = [(0, 0)], 0, 0
    for one in slices:
        count += one.parties
        total += one.sum_minor
        if positive > 0 and one.parties:
            points.append((count * MILLION // parties, total * MILLION // positive))
    return Curve(tuple(points), parties, below, positive, negative)
