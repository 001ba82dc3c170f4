"""Quotes: the list, one quote with its versions side by side, and its form."""

from datetime import date, timedelta
from typing import Annotated
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from services.orders import queries
from services.orders.commands import quotes as making
from services.orders.commands.subject import InvalidFields
from services.orders.pages.forms import TypedOrder, blank_order, form_of, read_form, typed_line
from services.orders.pages.texts import WORDS
from services.orders.reading import quote_for_reader
from services.orders.rules.lines import line_totals
from services.orders.tables import QuoteRow
from shared.clock import business_date
from shared.errors import DomainError, NotFound
from shared.http import Context, requires

router = APIRouter()
Form = Annotated[FormData, Depends(form_of)]
VALID_DAYS = 30


@router.get("/quotes")
def listing(
    ctx: Annotated[Context, requires("order.view")],
    party: Annotated[str, Query(max_length=64)] = "",
    after: Annotated[str | None, Query(max_length=64)] = None,
) -> HTMLResponse:
    with ctx.read() as session:
        rows = queries.quotes_page(session, ctx.actor, party or None, after)
        more = len(rows) > queries.PAGE_ROWS
        rows = rows[: queries.PAGE_ROWS]
        newest = {q.quote_id: queries.quote_versions(session, q.quote_id)[0] for q in rows}
    query = urlencode({"party": party, "after": rows[-1].quote_id}) if more else ""
    here = urlencode({k: v for k, v in (("party", party), ("after", after)) if v})
    return ctx.page(
        "quotes.html",
        here_url=f"/orders/quotes?{here}",
        rows=rows,
        newest=newest,
        party=party,
        next_url=f"/orders/quotes?{query}" if more else "",
        **WORDS,
    )


@router.get("/quotes/new")
def new(
    ctx: Annotated[Context, requires("order.edit")],
    party: Annotated[str, Query(max_length=64)] = "",
) -> HTMLResponse:
    typed = blank_order(party_id=party, valid_until_on=_valid_until(ctx))
    with ctx.read() as session:
        return _form_page(ctx, session, typed, quote=None)


@router.get("/quotes/{quote_id}")
def page(quote_id: str, ctx: Annotated[Context, requires("order.view")]) -> HTMLResponse:
    return _quote_page(ctx, quote_id, "quote.html")


@router.get("/quotes/{quote_id}/revise")
def revise(quote_id: str, ctx: Annotated[Context, requires("order.edit")]) -> HTMLResponse:
    with ctx.read() as session:
        quote = quote_for_reader(session, ctx.actor, quote_id)
        version = queries.quote_versions(session, quote_id)[0]
        typed = blank_order(
            party_id=quote.party_id, currency=quote.currency, note=version.note,
            valid_until_on=_valid_until(ctx),
        )  # fmt: skip
        typed.lines = [typed_line(ln, quote.currency) for ln in queries.quote_lines(version)]
        return _form_page(ctx, session, typed, quote=quote)


@router.post("/forms/quotes")
def create(ctx: Annotated[Context, requires("order.edit")], form: Form) -> Response:
    return _save(ctx, form, None)


@router.post("/forms/quotes/{quote_id}")
def save(quote_id: str, ctx: Annotated[Context, requires("order.edit")], form: Form) -> Response:
    return _save(ctx, form, quote_id)


@router.post("/forms/quotes/{quote_id}/offer")
def offer(quote_id: str, ctx: Annotated[Context, requires("order.edit")]) -> Response:
    try:
        with ctx.transaction() as tx:
            making.offer_quote(tx, ctx.actor, quote_id)
    except NotFound:
        raise
    except DomainError as error:
        said = error.text(ctx.actor.language)
        return _quote_page(ctx, quote_id, "quote_panel.html", said=said, status=422)
    return _quote_page(ctx, quote_id, "quote_panel.html")


def _save(ctx: Context, form: FormData, quote_id: str | None) -> Response:
    with ctx.read() as session:
        typed = read_form(form, queries.products_sold(session))
    if not typed.values["valid_until_on"]:
        typed.problems["valid_until_on"] = "required"
    if not typed.problems:
        try:
            quote_id = _written(ctx, typed, quote_id)
        except InvalidFields as error:
            typed.problems |= error.fields
        else:
            target = f"/orders/quotes/{quote_id}"
            return Response(status_code=204, headers={"HX-Redirect": target})
    with ctx.read() as session:
        quote = quote_for_reader(session, ctx.actor, quote_id) if quote_id else None
        return _form_page(ctx, session, typed, quote=quote, template="quote_form.html", status=422)


def _written(ctx: Context, typed: TypedOrder, quote_id: str | None) -> str:
    until, note = date.fromisoformat(typed.values["valid_until_on"]), typed.values["note"]
    with ctx.transaction() as tx:
        if quote_id is None:
            quote = making.make_quote(
                tx, ctx.actor, party_id=typed.values["party_id"],
                currency=typed.values["currency"], lines=typed.rule_lines(),
                valid_until_on=until, note=note,
            )  # fmt: skip
        else:
            quote = making.revise_quote(
                tx, ctx.actor, quote_id, lines=typed.rule_lines(), valid_until_on=until, note=note
            )
        return quote.quote_id


def _form_page(
    ctx: Context,
    session: Session,
    typed: TypedOrder,
    *,
    quote: QuoteRow | None,
    template: str = "quote_form_page.html",
    status: int = 200,
) -> HTMLResponse:
    return ctx.page(
        template,
        status=status,
        typed=typed,
        quote=quote,
        products=queries.products_sold(session),
        errors=typed.errors(ctx.runtime.pages.texts(ctx.actor.language).gettext),
    )


def _quote_page(
    ctx: Context, quote_id: str, template: str, *, said: str = "", status: int = 200
) -> HTMLResponse:
    with ctx.read() as session:
        quote = quote_for_reader(session, ctx.actor, quote_id)
        versions = queries.quote_versions(session, quote_id)
        codes = {line.product_code for v in versions for line in queries.quote_lines(v)}
        names = queries.product_names(session, codes)
    return ctx.page(
        template,
        status=status,
        quote=quote,
        versions=versions,
        quote_lines=queries.quote_lines,
        line_totals=line_totals,
        names=names,
        said=said,
        today=business_date(ctx.clock.bank_now(), ctx.clock.zone),
        **WORDS,
    )


def _valid_until(ctx: Context) -> str:
    today = business_date(ctx.clock.bank_now(), ctx.clock.zone)
    return (today + timedelta(days=VALID_DAYS)).isoformat()
