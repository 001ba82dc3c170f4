"""The list of orders, and the page of one order with what may be done to it."""

from collections.abc import Callable
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse
from starlette.datastructures import FormData

from services.orders import queries
from services.orders.commands import approval, payments, plan, reminders
from services.orders.commands import orders as making
from services.orders.commands.subject import order_for
from services.orders.pages.forms import form_of
from services.orders.pages.texts import WORDS
from services.orders.reading import cursor_of, cursor_text, orders_for, view_for
from services.orders.rules.content import content_hash
from services.orders.rules.lifecycle import Act, allows, edit_voids
from services.orders.rules.lines import line_totals, totals
from shared.db import Tx
from shared.errors import DomainError, NotFound
from shared.http import Context, requires
from shared.policy import decide

router = APIRouter()
Form = Annotated[FormData, Depends(form_of)]


@router.get("/orders")
def listing(
    ctx: Annotated[Context, requires("order.view")],
    *,
    status: Annotated[str, Query(max_length=20)] = "",
    party: Annotated[str, Query(max_length=64)] = "",
    owner: Annotated[str, Query(max_length=64)] = "",
    waiting: bool = False,
    after: Annotated[str | None, Query(max_length=100)] = None,
) -> HTMLResponse:
    """Filters live in the address; pages follow a key, not a number."""
    wanted = queries.OrderFilter(status or None, party or None, owner or None, waiting)
    with ctx.read() as session:
        rows = orders_for(session, ctx.actor, wanted, cursor_of(after), ctx.desk())
        mine = queries.waiting_count(session, ctx.actor)
        unmatched = (
            queries.unmatched_payments(session) if "order.collect" in ctx.actor.permissions else []
        )
    more = len(rows) > queries.PAGE_ROWS
    rows = rows[: queries.PAGE_ROWS]
    given = {"status": status, "party": party, "owner": owner, "waiting": waiting and "true"}
    address = urlencode({k: v for k, v in given.items() if v})
    here = urlencode({k: v for k, v in {**given, "after": after}.items() if v})
    following = "&".join(
        p for p in (address, urlencode({"after": cursor_text(rows[-1])}) if more else "") if p
    )
    return ctx.page(
        "orders.html",
        rows=rows,
        wanted=given,
        mine=mine,
        unmatched=unmatched,
        here_url=f"/orders/orders?{here}",
        next_url=f"/orders/orders?{following}" if more else "",
        first_url=f"/orders/orders?{address}" if after else "",
        **WORDS,
    )


@router.get("/orders/{order_id}")
def page(order_id: str, ctx: Annotated[Context, requires("order.view")]) -> HTMLResponse:
    return ctx.page("order.html", stale=False, problem="", **order_values(ctx, order_id))


@router.get("/orders/{order_id}/panel")
def panel(
    order_id: str, ctx: Annotated[Context, requires("order.view")], at: str | None = None
) -> HTMLResponse:
    """The live part. Orders owns its facts, and is behind only in what it hears."""
    stale = ctx.stale(at)
    return ctx.page("order_panel.html", stale=stale, problem="", **order_values(ctx, order_id))


def order_values(ctx: Context, order_id: str) -> dict[str, Any]:
    """All that the page of an order shows, in one round."""
    with ctx.read() as session:
        view = view_for(session, ctx.actor, order_id, ctx.desk())
        names = queries.product_names(session, {line.product_code for line in view.lines})
        attributes = queries.attribute_rows(session)
    order = view.order
    return {
        "view": view,
        "order": order,
        "names": names,
        "attributes": attributes,
        "line_totals": line_totals,
        "totals": totals(view.lines),
        "hash_now": content_hash(queries.content_of(order, view.lines)),
        "may": what_may_be_done(ctx, view),
        "edit_voids": edit_voids(order.status),
        **WORDS,
    }


def what_may_be_done(ctx: Context, view: queries.OrderView) -> dict[str, Any]:
    """The buttons. The command asks all of it again."""
    order, actor = view.order, ctx.actor

    def reaches(permission: str) -> bool:
        return decide(actor, permission, org_path=order.org_path, owner_id=order.owner_id).allowed

    def may(permission: str, act: Act) -> bool:
        return allows(order.status, act) and reaches(permission)

    approve = may("order.approve", Act.APPROVE)
    why_not = ""
    if approve and actor.id in order.makers:
        why_not = "same_person"
    elif approve and order.amount_minor > actor.limits.get("order.approve", -1):
        why_not = "above_limit"
    delivered = all(s.state == "done" for s in view.steps if s.kind == "deliver")
    failed = view.reminder is not None and view.reminder.state == "failed"
    return {
        "edit": may("order.edit", Act.EDIT),
        "cancel": may("order.edit", Act.CANCEL),
        "submit": may("order.submit", Act.SUBMIT),
        "approve": approve and not why_not,
        "refuse": approve and why_not != "same_person",
        "why_not": why_not,
        "deliver": may("order.edit", Act.START) and not delivered,
        "remind_again": failed and reaches("order.collect"),
    }


# What may be done ------------------------------------------------------------------------------


@router.post("/forms/orders/{order_id}/submit")
def submit(order_id: str, ctx: Annotated[Context, requires("order.submit")]) -> Response:
    return acted(ctx, order_id, lambda tx: making.submit_order(tx, ctx.actor, order_id))


@router.post("/forms/orders/{order_id}/approve")
def approve(
    order_id: str, ctx: Annotated[Context, requires("order.approve")], form: Form
) -> Response:
    seen = str(form.get("content_hash", ""))
    return acted(ctx, order_id, lambda tx: approval.approve_order(tx, ctx.actor, order_id, seen))


@router.post("/forms/orders/{order_id}/refuse")
def refuse(
    order_id: str, ctx: Annotated[Context, requires("order.approve")], form: Form
) -> Response:
    seen, reason = str(form.get("content_hash", "")), str(form.get("reason", "")).strip()
    return acted(
        ctx, order_id, lambda tx: approval.refuse_order(tx, ctx.actor, order_id, seen, reason)
    )


@router.post("/forms/orders/{order_id}/cancel")
def cancel(order_id: str, ctx: Annotated[Context, requires("order.edit")]) -> Response:
    return acted(ctx, order_id, lambda tx: making.cancel_order(tx, ctx.actor, order_id))


@router.post("/forms/orders/{order_id}/deliver")
def deliver(order_id: str, ctx: Annotated[Context, requires("order.edit")]) -> Response:
    return acted(ctx, order_id, lambda tx: plan.deliver(tx, ctx.actor, order_id))


@router.post("/forms/orders/{order_id}/remind-again")
def remind_again(order_id: str, ctx: Annotated[Context, requires("order.collect")]) -> Response:
    def do(tx: Tx) -> None:
        reminders.ask_again(tx, order_for(tx, ctx.actor, "order.collect", order_id))

    return acted(ctx, order_id, do)


@router.post("/forms/payments/{transaction_id}/match")
def match(
    transaction_id: str, ctx: Annotated[Context, requires("order.collect")], form: Form
) -> Response:
    order_id = str(form.get("order_id", "")).strip().upper()
    with ctx.transaction() as tx:
        order = order_for(tx, ctx.actor, "order.collect", order_id)
        payments.match_payment(tx, transaction_id, order)
    return Response(status_code=204, headers={"HX-Redirect": f"/orders/orders/{order_id}"})


def acted(ctx: Context, order_id: str, do: Callable[[Tx], object]) -> Response:
    """The order as it is after the act; a refusal is said above it, and nothing has changed."""
    problem = ""
    try:
        with ctx.transaction() as tx:
            do(tx)
    except NotFound:
        raise
    except DomainError as error:
        problem = error.text(ctx.actor.language)
    return ctx.page(
        "order_panel.html",
        status=422 if problem else 200,
        stale=False,
        problem=problem,
        **order_values(ctx, order_id),
    )
