"""Lines of quotes and orders: totals in integer minor units."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

PPM = 1_000_000
AMOUNT_MINOR_MAX = 2**53  # beyond it JSON readers lose units
LINES_MAX = 200


@dataclass(frozen=True, slots=True)
class Line:
    """One product on a quote or an order. Price in minor units, discount in ppm."""

    product_code: str
    quantity: int
    unit_price_minor: int
    discount_ppm: int = 0
    quote_id: str | None = None
    quote_version: int | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Minor units. gross = discount + amount, exactly, also summed over lines."""

    gross_minor: int
    discount_minor: int
    amount_minor: int


def line_totals(line: Line) -> Totals:
    """The discount is cut down to whole minor units, so no cent is given away twice."""
    gross = line.quantity * line.unit_price_minor
    discount = gross * line.discount_ppm // PPM
    return Totals(gross, discount, gross - discount)


def totals(lines: Iterable[Line]) -> Totals:
    each = [line_totals(line) for line in lines]
    return Totals(
        sum(t.gross_minor for t in each),
        sum(t.discount_minor for t in each),
        sum(t.amount_minor for t in each),
    )


def line_problems(lines: Sequence[Line], known_codes: Collection[str]) -> dict[str, str]:
    """Field -> code of what is wrong with it; empty when the lines can be priced."""
    problems: dict[str, str] = {}
    if not lines:
        return {"lines": "empty"}
    if len(lines) > LINES_MAX:
        return {"lines": "too_many"}
    for index, line in enumerate(lines):
        at = f"lines.{index}."
        if line.product_code not in known_codes:
            problems[at + "product_code"] = "unknown_product"
        if not 1 <= line.quantity <= 1_000_000:
            problems[at + "quantity"] = "out_of_range"
        if not 0 <= line.unit_price_minor <= AMOUNT_MINOR_MAX:
            problems[at + "unit_price_minor"] = "out_of_range"
        if not 0 <= line.discount_ppm <= PPM:
            problems[at + "discount_ppm"] = "out_of_range"
    if not problems and totals(lines).gross_minor > AMOUNT_MINOR_MAX:
        problems["lines"] = "amount_too_large"
    return problems
