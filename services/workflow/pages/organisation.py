"""The organisation: tree, people, roles, limits, absences, and what changed."""

from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Form
from fastapi.responses import HTMLResponse

from services.workflow.commands import alerts
from services.workflow.commands.organisation import record
from services.workflow.pages.words import FIELDS, KINDS, PERMISSIONS, SCOPES, UNSAID, today
from services.workflow.queries import organisation, people
from services.workflow.rules import ALERT_TASKS_PER_DAY, ALERT_TASKS_PER_DAY_MAX
from shared.errors import Invalid
from shared.events.workflow import CapacitySet, LimitSet
from shared.http import Context, requires
from shared.ids import new_id
from shared.money import AmountError, Money

router = APIRouter()


@router.get("/organisation")
def chart(ctx: Annotated[Context, requires("task.view")]) -> HTMLResponse:
    """Who is who; everybody on the staff may look."""
    return ctx.page("organisation.html", **_view(ctx))


@router.get("/organisation/chart")
def chart_panel(
    ctx: Annotated[Context, requires("task.view")], at: str | None = None
) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("organisation_chart.html", **{**_view(ctx), "stale": stale})


@router.get("/organisation/staff/{staff_id}/forms")
def forms(staff_id: str, ctx: Annotated[Context, requires("organisation.edit")]) -> HTMLResponse:
    """What can be set for one person: asked for when it is opened, so the chart stays small."""
    with ctx.read() as session:
        capacity = people.capacity_of(session, staff_id)
    return ctx.page(
        "organisation_forms.html",
        staff_id=staff_id,
        capacity=capacity,
        capacity_max=ALERT_TASKS_PER_DAY_MAX,
        day=today(ctx),
    )


@router.post("/organisation/staff/{staff_id}/limits")
def set_limit(
    staff_id: str,
    ctx: Annotated[Context, requires("organisation.edit")],
    permission: Annotated[str, Form(max_length=100)],
    amount: Annotated[str, Form(max_length=30)],
    from_on: Annotated[date, Form()],
) -> HTMLResponse:
    """A new limit from a day on; the older ones stay as they were."""
    try:
        money = Money.of(amount.replace(",", ""), ctx.settings.currency)
    except AmountError as error:
        raise Invalid("amount", {"zh-CN": "金额不正确", "en": "This is not an amount"}) from error
    fact = LimitSet(
        limit_id=new_id("LI"),
        staff_id=staff_id,
        permission=permission,
        amount_minor=money.minor,
        currency=money.currency,
        from_on=from_on,
    )
    with ctx.transaction() as tx:
        record(tx, ctx.actor.id, fact)
    return ctx.page("organisation_chart.html", **_view(ctx))


@router.post("/organisation/staff/{staff_id}/capacity")
def set_capacity(
    staff_id: str,
    ctx: Annotated[Context, requires("organisation.edit")],
    alerts_per_day: Annotated[int, Form(ge=0, le=ALERT_TASKS_PER_DAY_MAX)],
) -> HTMLResponse:
    """How many new alerts a person gets a day; more gives places at once."""
    with ctx.transaction() as tx:
        fact = CapacitySet(staff_id=staff_id, alerts_per_day=alerts_per_day)
        alerts.set_capacity(tx, ctx.actor.id, fact)
    return ctx.page("organisation_chart.html", **_view(ctx))


def _view(ctx: Context) -> dict[str, Any]:
    day = today(ctx)
    with ctx.read() as session:
        return {
            "chart": organisation.chart(session, day),
            "may_edit": "organisation.edit" in ctx.actor.permissions,
            "scopes": SCOPES,
            "kinds": KINDS,
            "fields": FIELDS,
            "unsaid": UNSAID,
            "permissions_text": PERMISSIONS,
            "usual_capacity": ALERT_TASKS_PER_DAY,
            "stale": False,
        }
