"""The JSON API of orders. A POST with an Idempotency-Key acts once and repeats its answer.

Reads are under /api: /orders itself is the page that staff see.
"""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from services.orders import queries
from services.orders.commands import approval, catalogue, orders, payments, plan, quotes, reminders
from services.orders.commands.answers import KEY_CHARS_MAX, once
from services.orders.commands.subject import order_for
from services.orders.reading import (
    cursor_of,
    cursor_text,
    orders_for,
    quote_for_reader,
    view_for,
)
from services.orders.schemas import (
    ApproveIn,
    AttributeIn,
    EditIn,
    MatchIn,
    OrderOut,
    OrdersOut,
    PlacedOut,
    PlaceIn,
    PriceIn,
    QuoteIn,
    QuoteOut,
    QuoteVersionIn,
    RefuseIn,
    order_out,
    placed_out,
    quote_out,
)
from shared.db import Tx
from shared.errors import Invalid
from shared.http import Context, requires

router = APIRouter()

Key = Annotated[str | None, Header(alias="Idempotency-Key", min_length=1, max_length=KEY_CHARS_MAX)]


def act(
    ctx: Context,
    route: str,
    key: str | None,
    body: BaseModel | None,
    do: Callable[[Tx], BaseModel],
    *,
    status: int = 200,
) -> JSONResponse:
    """One request, one transaction, one answer for each key of a caller."""
    with ctx.transaction() as tx:
        answer = once(
            tx,
            caller_id=ctx.actor.id,
            route=route,
            key=key,
            request=body.model_dump(mode="json") if body is not None else {},
            act=lambda: do(tx).model_dump(mode="json"),
            status=status,
        )
    headers = {"Idempotent-Replayed": "true"} if answer.repeated else None
    return JSONResponse(answer.body, status_code=answer.status, headers=headers)


# Orders ----------------------------------------------------------------------------------------


@router.get("/api/orders")
def list_orders(
    ctx: Annotated[Context, requires("order.view")],
    *,
    status: Annotated[str | None, Query(max_length=20)] = None,
    party: Annotated[str | None, Query(max_length=64)] = None,
    owner: Annotated[str | None, Query(max_length=64)] = None,
    waiting: bool = False,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> OrdersOut:
    wanted = queries.OrderFilter(status or None, party or None, owner or None, waiting)
    with ctx.read() as session:
        rows = orders_for(session, ctx.actor, wanted, cursor_of(after), ctx.desk())
    return OrdersOut(
        orders=[placed_out(row) for row in rows[: queries.PAGE_ROWS]],
        next=cursor_text(rows[queries.PAGE_ROWS - 1]) if len(rows) > queries.PAGE_ROWS else None,
    )


@router.post("/orders", status_code=201, response_model=PlacedOut)
def place(
    body: PlaceIn, ctx: Annotated[Context, requires("order.edit")], key: Key = None
) -> JSONResponse:
    if body.submit:
        ctx.check("order.submit")
    return act(
        ctx, "POST /orders", key, body,
        lambda tx: placed_out(
            orders.place_order(tx, ctx.actor, body.draft(), submit=body.submit)
        ),
        status=201,
    )  # fmt: skip


@router.get("/api/orders/{order_id}")
def show(order_id: str, ctx: Annotated[Context, requires("order.view")]) -> OrderOut:
    with ctx.read() as session:
        return order_out(view_for(session, ctx.actor, order_id, ctx.desk()))


@router.put("/orders/{order_id}")
def edit(order_id: str, body: EditIn, ctx: Annotated[Context, requires("order.edit")]) -> PlacedOut:
    with ctx.transaction() as tx:
        return placed_out(
            orders.edit_order(tx, ctx.actor, order_id, body.draft(), version=body.version)
        )


@router.post("/orders/{order_id}/submit", response_model=PlacedOut)
def submit(
    order_id: str, ctx: Annotated[Context, requires("order.submit")], key: Key = None
) -> JSONResponse:
    return act(
        ctx, f"POST /orders/{order_id}/submit", key, None,
        lambda tx: placed_out(orders.submit_order(tx, ctx.actor, order_id)),
    )  # fmt: skip


@router.post("/orders/{order_id}/approve", response_model=PlacedOut)
def approve(
    order_id: str,
    body: ApproveIn,
    ctx: Annotated[Context, requires("order.approve")],
    key: Key = None,
) -> JSONResponse:
    return act(
        ctx, f"POST /orders/{order_id}/approve", key, body,
        lambda tx: placed_out(
            approval.approve_order(tx, ctx.actor, order_id, body.content_hash)
        ),
    )  # fmt: skip


@router.post("/orders/{order_id}/refuse", response_model=PlacedOut)
def refuse(
    order_id: str,
    body: RefuseIn,
    ctx: Annotated[Context, requires("order.approve")],
    key: Key = None,
) -> JSONResponse:
    return act(
        ctx, f"POST /orders/{order_id}/refuse", key, body,
        lambda tx: placed_out(
            approval.refuse_order(tx, ctx.actor, order_id, body.content_hash, body.reason)
        ),
    )  # fmt: skip


@router.post("/orders/{order_id}/cancel", response_model=PlacedOut)
def cancel(
    order_id: str, ctx: Annotated[Context, requires("order.edit")], key: Key = None
) -> JSONResponse:
    return act(
        ctx, f"POST /orders/{order_id}/cancel", key, None,
        lambda tx: placed_out(orders.cancel_order(tx, ctx.actor, order_id)),
    )  # fmt: skip


@router.post("/orders/{order_id}/deliver", response_model=PlacedOut)
def deliver(
    order_id: str, ctx: Annotated[Context, requires("order.edit")], key: Key = None
) -> JSONResponse:
    return act(
        ctx, f"POST /orders/{order_id}/deliver", key, None,
        lambda tx: placed_out(plan.deliver(tx, ctx.actor, order_id)),
    )  # fmt: skip


@router.post("/orders/{order_id}/remind-again", response_model=PlacedOut)
def remind_again(
    order_id: str, ctx: Annotated[Context, requires("order.collect")], key: Key = None
) -> JSONResponse:
    def do(tx: Tx) -> PlacedOut:
        order = order_for(tx, ctx.actor, "order.collect", order_id)
        reminders.ask_again(tx, order)
        return placed_out(order)

    return act(ctx, f"POST /orders/{order_id}/remind-again", key, None, do)


@router.post("/payments/{transaction_id}/match", response_model=PlacedOut)
def match(
    transaction_id: str, body: MatchIn, ctx: Annotated[Context, requires("order.collect")],
    key: Key = None,
) -> JSONResponse:  # fmt: skip
    def do(tx: Tx) -> PlacedOut:
        order = order_for(tx, ctx.actor, "order.collect", body.order_id)
        payments.match_payment(tx, transaction_id, order)
        return placed_out(order)

    return act(ctx, f"POST /payments/{transaction_id}/match", key, body, do)


# Quotes ----------------------------------------------------------------------------------------


@router.post("/quotes", status_code=201, response_model=QuoteOut)
def make_quote(
    body: QuoteIn, ctx: Annotated[Context, requires("order.edit")], key: Key = None
) -> JSONResponse:
    def do(tx: Tx) -> QuoteOut:
        quote = quotes.make_quote(
            tx, ctx.actor, party_id=body.party_id, currency=body.currency,
            lines=body.rule_lines(), valid_until_on=body.valid_until_on, note=body.note,
        )  # fmt: skip
        return quote_out(quote, queries.quote_versions(tx.session, quote.quote_id))

    return act(ctx, "POST /quotes", key, body, do, status=201)


@router.get("/api/quotes/{quote_id}")
def show_quote(quote_id: str, ctx: Annotated[Context, requires("order.view")]) -> QuoteOut:
    with ctx.read() as session:
        quote = quote_for_reader(session, ctx.actor, quote_id)
        return quote_out(quote, queries.quote_versions(session, quote_id))


@router.post("/quotes/{quote_id}/versions", status_code=201, response_model=QuoteOut)
def revise_quote(
    quote_id: str, body: QuoteVersionIn, ctx: Annotated[Context, requires("order.edit")],
    key: Key = None,
) -> JSONResponse:  # fmt: skip
    def do(tx: Tx) -> QuoteOut:
        quote = quotes.revise_quote(
            tx, ctx.actor, quote_id, lines=body.rule_lines(),
            valid_until_on=body.valid_until_on, note=body.note,
        )  # fmt: skip
        return quote_out(quote, queries.quote_versions(tx.session, quote_id))

    return act(ctx, f"POST /quotes/{quote_id}/versions", key, body, do, status=201)


@router.post("/quotes/{quote_id}/offer", response_model=QuoteOut)
def offer_quote(
    quote_id: str, ctx: Annotated[Context, requires("order.edit")], key: Key = None
) -> JSONResponse:
    def do(tx: Tx) -> QuoteOut:
        quote = quotes.offer_quote(tx, ctx.actor, quote_id)
        return quote_out(quote, queries.quote_versions(tx.session, quote_id))

    return act(ctx, f"POST /quotes/{quote_id}/offer", key, None, do)


# Catalogue -------------------------------------------------------------------------------------


@router.get("/api/products")
def list_products(ctx: Annotated[Context, requires("order.view")]) -> list[dict[str, Any]]:
    with ctx.read() as session:
        return [
            {
                "product_code": p.product_code,
                "names": {"zh-CN": p.name_zh, "en": p.name_en},
                "line_code": p.line_code,
                "unit_price_minor": p.unit_price_minor,
            }
            for p in queries.products_sold(session)
        ]


@router.put("/products/{product_code}", status_code=204)
def price_product(
    product_code: str, body: PriceIn, ctx: Annotated[Context, requires("organisation.edit")]
) -> None:
    with ctx.transaction() as tx:
        catalogue.price_product(tx, product_code, body.unit_price_minor, sold=body.sold)


@router.put("/attributes/{code}", status_code=204)
def define_attribute(
    code: str, body: AttributeIn, ctx: Annotated[Context, requires("organisation.edit")]
) -> None:
    if code != body.code:
        raise Invalid("code", "The code in the body is not the one in the address.")
    with ctx.transaction() as tx:
        catalogue.define_attribute(tx, **body.model_dump())
