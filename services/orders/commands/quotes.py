"""Quotes: made, revised as new versions, offered."""

from datetime import date
from typing import Any

from sqlalchemy import select

from services.orders import queries
from services.orders.commands.subject import InvalidFields, today_of
from services.orders.rules.lines import Line, line_problems, totals
from services.orders.rules.quotes import QuoteNotValid, QuoteStatus, check_usable
from services.orders.tables import QuoteRow, QuoteVersionRow
from shared import outbox
from shared.db import Tx
from shared.errors import NotFound
from shared.events.orders import QuoteOffered
from shared.ids import new_id
from shared.policy import Actor, decide

VALID_DAYS_MAX = 366


def make_quote(
    tx: Tx,
    actor: Actor,
    *,
    party_id: str,
    currency: str,
    lines: tuple[Line, ...],
    valid_until_on: date,
    note: str,
) -> QuoteRow:
    """A new quote with its first version, not yet offered."""
    problems = _problems(tx, lines, valid_until_on)
    if queries.customer_numbers_of(tx.session, party_id) is None:
        problems["party_id"] = "unknown_party"
    if problems:
        raise InvalidFields(problems)
    quote = QuoteRow(
        quote_id=new_id("QUO"), party_id=party_id, currency=currency,
        status=QuoteStatus.DRAFT, version=1, owner_id=actor.id, org_path=actor.org_path,
        created_at=tx.bank_now,
    )  # fmt: skip
    tx.session.add(quote)
    tx.session.flush()
    _add_version(tx, actor, quote, lines, until=valid_until_on, note=note)
    return quote


def revise_quote(
    tx: Tx,
    actor: Actor,
    quote_id: str,
    *,
    lines: tuple[Line, ...],
    valid_until_on: date,
    note: str,
) -> QuoteRow:
    """Another version. What was offered stays readable; the newest counts."""
    quote = quote_for(tx, actor, "order.edit", quote_id)
    problems = _problems(tx, lines, valid_until_on)
    if problems:
        raise InvalidFields(problems)
    quote.version += 1
    quote.status = QuoteStatus.DRAFT
    _add_version(tx, actor, quote, lines, until=valid_until_on, note=note)
    return quote


def offer_quote(tx: Tx, actor: Actor, quote_id: str) -> QuoteRow:
    """The newest version is offered to the customer; it binds until its day."""
    quote = quote_for(tx, actor, "order.edit", quote_id)
    version = tx.session.get_one(QuoteVersionRow, (quote_id, quote.version))
    if version.offered_at is not None:
        return quote
    if version.valid_until_on < today_of(tx):
        raise QuoteNotValid({"zh-CN": "报价有效期已过。", "en": "The quote's validity has ended."})
    version.offered_at = tx.bank_now
    quote.status = QuoteStatus.OFFERED
    outbox.enqueue(
        tx,
        QuoteOffered(
            order_id=quote_id,  # the aggregate of a quote is the quote: no order exists yet
            party_id=quote.party_id,
            owner_id=quote.owner_id,
            org_path=quote.org_path or None,
            quote_id=quote_id,
            amount_minor=version.amount_minor,
            currency=quote.currency,
            maker_id=actor.id,
            valid_until_on=version.valid_until_on,
        ),
    )
    return quote


def quote_for(tx: Tx, actor: Actor, permission: str, quote_id: str) -> QuoteRow:
    """The locked quote in the actor's scope. Raises NotFound."""
    quote = tx.session.get(QuoteRow, quote_id, with_for_update=True, populate_existing=True)
    if (
        quote is None
        or not decide(actor, permission, org_path=quote.org_path, owner_id=quote.owner_id).allowed
    ):
        raise NotFound(
            {"zh-CN": f"没有报价单 {quote_id}。", "en": f"There is no quote {quote_id}."}
        )
    return quote


def take_quotes(
    tx: Tx,
    lines: tuple[Line, ...],
    *,
    party_id: str,
    currency: str,
    kept: tuple[Line, ...] = (),
) -> dict[str, str]:
    """Marks the quotes that an order's lines come from as ordered. Returns problems by field.

    `kept` lines were taken in their time: a validity that has ended since does not undo them.
    """
    fresh = [(i, ln) for i, ln in enumerate(lines) if ln.quote_id and ln not in kept]
    wanted = sorted({ln.quote_id or "" for _, ln in fresh})
    if not wanted:
        return {}
    rows = tx.session.execute(
        select(QuoteRow)
        .where(QuoteRow.quote_id.in_(wanted))
        .order_by(QuoteRow.quote_id)
        .with_for_update()
    ).scalars()
    quotes = {row.quote_id: row for row in rows}
    problems: dict[str, str] = {}
    for index, line in fresh:
        problem = _line_problem(tx, quotes.get(line.quote_id or ""), line, party_id, currency)
        if problem:
            problems[f"lines.{index}.quote_id"] = problem
    if not problems:
        for quote in quotes.values():
            quote.status = QuoteStatus.ORDERED
    return problems


def _line_problem(
    tx: Tx, quote: QuoteRow | None, line: Line, party_id: str, currency: str
) -> str | None:
    if quote is None or quote.party_id != party_id or quote.currency != currency:
        return "unknown_quote"
    version = tx.session.get(QuoteVersionRow, (quote.quote_id, line.quote_version))
    if version is None:
        return "unknown_quote"
    try:
        check_usable(
            quote.status,
            offered=version.offered_at is not None,
            valid_until_on=version.valid_until_on,
            today=today_of(tx),
        )
    except QuoteNotValid:
        return "quote_not_valid"
    quoted = {
        (q.product_code, q.unit_price_minor, q.discount_ppm) for q in queries.quote_lines(version)
    }
    if (line.product_code, line.unit_price_minor, line.discount_ppm) not in quoted:
        return "differs_from_quote"
    return None


def _problems(tx: Tx, lines: tuple[Line, ...], valid_until_on: date) -> dict[str, str]:
    known = queries.known_codes(tx.session, {line.product_code for line in lines})
    problems = line_problems(lines, known)
    days = (valid_until_on - today_of(tx)).days
    if not 0 <= days <= VALID_DAYS_MAX:
        problems["valid_until_on"] = "out_of_range"
    return problems


def _add_version(
    tx: Tx, actor: Actor, quote: QuoteRow, lines: tuple[Line, ...], *, until: date, note: str
) -> None:
    tx.session.add(
        QuoteVersionRow(
            quote_id=quote.quote_id, version=quote.version, lines=[_stored(ln) for ln in lines],
            amount_minor=totals(lines).amount_minor, valid_until_on=until, note=note,
            made_by=actor.id, made_at=tx.bank_now, offered_at=None,
        )
    )  # fmt: skip
    tx.session.flush()


def _stored(line: Line) -> dict[str, Any]:
    return {
        "product_code": line.product_code,
        "quantity": line.quantity,
        "unit_price_minor": line.unit_price_minor,
        "discount_ppm": line.discount_ppm,
    }
