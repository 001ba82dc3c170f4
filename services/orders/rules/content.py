"""The content that an approval is bound to, and its hash."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Any

from services.orders.rules.lines import Line, line_totals, totals
from shared import ids


@dataclass(frozen=True, slots=True)
class Content:
    """All that an approval is bound to."""

    order_id: str
    party_id: str
    customer_number: str | None
    currency: str
    lines: tuple[Line, ...]
    attributes: Mapping[str, Any]
    effective_on: date | None
    deliver_days: int
    collect_days: int
    receiving_account: str | None
    note: str


def document_of(content: Content) -> dict[str, Any]:
    """The content with its figures, as it is hashed: what was seen is what was approved."""
    return {
        "order_id": content.order_id,
        "party_id": content.party_id,
        "customer_number": content.customer_number,
        "currency": content.currency,
        "lines": [
            {
                "product_code": line.product_code,
                "quantity": line.quantity,
                "unit_price_minor": line.unit_price_minor,
                "discount_ppm": line.discount_ppm,
                "amount_minor": line_totals(line).amount_minor,
                "quote": [line.quote_id, line.quote_version] if line.quote_id else None,
            }
            for line in content.lines
        ],
        "attributes": dict(content.attributes),
        "effective_on": content.effective_on,
        "deliver_days": content.deliver_days,
        "collect_days": content.collect_days,
        "receiving_account": content.receiving_account,
        "note": content.note,
        "amount_minor": totals(content.lines).amount_minor,
    }


def content_hash(content: Content) -> str:
    """SHA-256 (hex) of the canonical content."""
    return ids.content_hash(document_of(content))
