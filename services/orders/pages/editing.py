"""Forms: a new order, an edited one, and their lines with totals computed by the server."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session
from starlette.datastructures import FormData

from services.orders import queries
from services.orders.commands import orders as making
from services.orders.commands.answers import once
from services.orders.commands.subject import ChangedMeanwhile, InvalidFields, order_for
from services.orders.pages.forms import (
    TypedLine,
    TypedOrder,
    blank_order,
    form_of,
    read_form,
    typed_from_order,
    typed_line,
)
from services.orders.reading import quote_for_reader, view_for
from services.orders.rules.lifecycle import Act, edit_voids, status_after
from services.orders.tables import OrderRow
from shared.errors import DomainError, NotFound
from shared.http import Context, requires
from shared.ids import new_id

router = APIRouter()
Form = Annotated[FormData, Depends(form_of)]


@router.get("/orders/new")
def new(
    ctx: Annotated[Context, requires("order.edit")],
    party: Annotated[str, Query(max_length=64)] = "",
    quote: Annotated[list[str] | None, Query(max_length=20)] = None,
) -> HTMLResponse:
    """A new order for a customer; lines may come from one quote or several."""
    typed = blank_order(party_id=party, key=new_id("form"))
    with ctx.read() as session:
        for quote_id in quote or ():
            _add_quoted(session, ctx, typed, quote_id)
        return _form_page(ctx, session, typed, order=None)


@router.get("/orders/{order_id}/edit")
def edit(order_id: str, ctx: Annotated[Context, requires("order.edit")]) -> HTMLResponse:
    """Says before anything happens that a change voids what was asked or given."""
    with ctx.read() as session:
        view = view_for(session, ctx.actor, order_id)
        status_after(view.order.status, Act.EDIT)
        attributes = queries.attributes_defined(session)
        typed = typed_from_order(view.order, view.lines, attributes)
        return _form_page(ctx, session, typed, order=view.order)


@router.post("/forms/lines")
def lines(ctx: Annotated[Context, requires("order.edit")], form: Form) -> HTMLResponse:
    """The lines again: with one more, or without one, nothing typed lost."""
    with ctx.read() as session:
        products = queries.products_sold(session)
    typed = read_form(form, products)
    typed.problems.pop("lines", None)
    removed = str(form.get("remove", ""))
    if removed.isdecimal() and int(removed) < len(typed.lines):
        del typed.lines[int(removed)]
        typed.problems = {k: v for k, v in typed.problems.items() if not k.startswith("lines.")}
    else:
        typed.lines.append(TypedLine())
    return ctx.page("form_lines.html", typed=typed, products=products, errors=_errors(ctx, typed))


@router.post("/forms/totals")
def live_totals(ctx: Annotated[Context, requires("order.edit")], form: Form) -> HTMLResponse:
    """What the lines come to, while they are typed."""
    with ctx.read() as session:
        products = queries.products_sold(session)
    return ctx.page("form_totals.html", typed=read_form(form, products))


@router.post("/forms/orders")
def create(ctx: Annotated[Context, requires("order.edit")], form: Form) -> Response:
    """Placed once, however often the button is pressed; `then=submit` asks for approval too."""
    with ctx.read() as session:
        typed = read_form(form, queries.products_sold(session))
    submit = form.get("then") == "submit"
    if submit:
        ctx.check("order.submit")
    if not typed.problems:
        try:
            with ctx.transaction() as tx:
                answer = once(
                    tx,
                    caller_id=ctx.actor.id,
                    route="form orders",
                    key=typed.values["key"] or None,
                    request={"key": typed.values["key"]},
                    act=lambda: {
                        "order_id": making.place_order(
                            tx, ctx.actor, typed.draft(), submit=submit
                        ).order_id
                    },
                )
            return _to(answer.body["order_id"])
        except InvalidFields as error:
            typed.problems |= error.fields
    with ctx.read() as session:
        return _form_page(ctx, session, typed, order=None, template="order_form.html", status=422)


@router.post("/forms/orders/{order_id}")
def save(order_id: str, ctx: Annotated[Context, requires("order.edit")], form: Form) -> Response:
    """Saves an edit; what someone else saved meanwhile is not written over."""
    with ctx.read() as session:
        typed = read_form(form, queries.products_sold(session))
    said = ""
    if not typed.problems:
        try:
            with ctx.transaction() as tx:
                given = typed.values["version"]
                version = int(given) if given.isdecimal() else 0
                making.edit_order(tx, ctx.actor, order_id, typed.draft(), version=version)
                if form.get("then") == "submit":
                    ctx.check("order.submit")
                    making.submit_order(tx, ctx.actor, order_id)
            return _to(order_id)
        except InvalidFields as error:
            typed.problems |= error.fields
        except NotFound:
            raise
        except ChangedMeanwhile as error:
            said = error.text(ctx.actor.language)
            typed.values["version"] = str(_version_now(ctx, order_id))
        except DomainError as error:
            said = error.text(ctx.actor.language)
    with ctx.read() as session:
        order = view_for(session, ctx.actor, order_id).order
        return _form_page(
            ctx, session, typed, order=order, said=said, template="order_form.html", status=422
        )


def _version_now(ctx: Context, order_id: str) -> int:
    """The reader was told of the other change; sending again is a decision to go over it."""
    with ctx.transaction() as tx:
        return order_for(tx, ctx.actor, "order.edit", order_id).version


def _form_page(
    ctx: Context,
    session: Session,
    typed: TypedOrder,
    *,
    order: OrderRow | None,
    said: str = "",
    template: str = "order_form_page.html",
    status: int = 200,
) -> HTMLResponse:
    party_id = typed.values["party_id"]
    return ctx.page(
        template,
        status=status,
        typed=typed,
        order=order,
        said=said,
        products=queries.products_sold(session),
        attributes=queries.attribute_rows(session),
        numbers=queries.customer_numbers_of(session, party_id) or [],
        errors=_errors(ctx, typed),
        edit_voids=order is not None and edit_voids(order.status),
    )


def _errors(ctx: Context, typed: TypedOrder) -> dict[str, str]:
    return typed.errors(ctx.runtime.pages.texts(ctx.actor.language).gettext)


def _add_quoted(session: Session, ctx: Context, typed: TypedOrder, quote_id: str) -> None:
    """The lines of a quote's newest version, below what is there."""
    quote = quote_for_reader(session, ctx.actor, quote_id)
    typed.values["party_id"] = quote.party_id
    typed.values["currency"] = quote.currency
    version: Any = queries.quote_versions(session, quote_id)[0]
    quoted = [typed_line(line, quote.currency) for line in queries.quote_lines(version)]
    typed.lines = [one for one in typed.lines if not one.blank] + quoted


def _to(order_id: str) -> Response:
    return Response(status_code=204, headers={"HX-Redirect": f"/orders/orders/{order_id}"})
