"""Quotes: versions, validity, and what an order may take from them."""

from datetime import date
from enum import StrEnum

from shared.errors import DomainError


class QuoteStatus(StrEnum):
    """`ordered`: at least one order took it; it may be taken again while valid."""

    DRAFT = "draft"
    OFFERED = "offered"
    ORDERED = "ordered"
    WITHDRAWN = "withdrawn"


class QuoteNotValid(DomainError):
    """The quote was not offered, was withdrawn, or its validity has ended."""

    code = "quote_not_valid"


def check_usable(status: str, *, offered: bool, valid_until_on: date, today: date) -> None:
    """Raises QuoteNotValid unless an order may be made from this version on this date."""
    if QuoteStatus(status) is QuoteStatus.WITHDRAWN:
        raise QuoteNotValid("the quote was withdrawn")
    if not offered:
        raise QuoteNotValid("the quote was not offered yet")
    if today > valid_until_on:
        raise QuoteNotValid(f"the quote was valid until {valid_until_on}")
