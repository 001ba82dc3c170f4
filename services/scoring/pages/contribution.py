"""Pages of the contribution: totals by any dimension, down to the leaves and to their events."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from babel.numbers import get_currency_precision
from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from services.scoring.leaf_sql import LEAF_KEY
from services.scoring.pages import reported, words
from services.scoring.pages import value as values
from services.scoring.pages.months import MonthOrNone, MonthOrYearOrNone
from services.scoring.pages.sheets import decimal, driver_name, percent, plain, sheet
from services.scoring.queries import (
    contribution,
    cursors,
    earned,
    months,
    partial_managers,
    pools,
    worker_letters,
)
from services.scoring.queries import reported as reported_queries
from services.scoring.queries.contribution import Sum
from services.scoring.rules.concentration import MILLION, TEXTBOOK_PPM
from services.scoring.settings import home_currency
from shared.clock import business_date
from shared.errors import Invalid, NotFound
from shared.http import Context, requires
from shared.reach import Reach
from shared.web.translations import N_

router = APIRouter()
ViewScores = Annotated[Context, requires("score.view")]
Way = Literal["component", "product", "line", "region", "branch", "manager", "supervisor",
              "channel", "month", "manager_now", "branch_now"]  # fmt: skip
Code = Annotated[str, Query(max_length=200)]
HOME = "/scoring/contribution"
SPREAD = ("variance", "overhead")  # these come from pools, not from events
NAME, POSTED, ACCRUED, SHARE = N_("Name"), N_("Posted"), N_("Accrued"), N_("Share")
SUM, CUSTOMER = N_("Sum"), N_("Customer")
OF_ACCOUNT = N_("Product code of the account")  # an overdraft has a product of its own
LEAF_HEADS = (
    N_("Customer number"), N_("Account"), N_("Loan"), N_("Product"), N_("Product code"),
    N_("Component"), N_("Month"), N_("Of month"), N_("Kept under"), CUSTOMER, N_("Manager"),
    N_("Branch"), N_("Region"), N_("Channel"), OF_ACCOUNT, N_("Share, percent"), N_("Amount"),
    N_("Currency"),
)  # fmt: skip


@router.get("/contribution")
def overview(ctx: ViewScores, by: Way = "component", after: str | None = None) -> HTMLResponse:
    return ctx.page("contribution.html", stale=False, **(_value(ctx, by) | _earned(ctx, after)))


@router.get("/contribution/value")
def value_panel(ctx: ViewScores, by: Way = "component", at: str | None = None) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("value.html", stale=stale, **_value(ctx, by))


@router.get("/contribution/value.csv")
def valuesheet(ctx: ViewScores, by: Way = "component") -> Response:
    """The rows of the page, the sum last."""
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    found: values.Value = _value(ctx, by)["value"]
    heads = [texts.gettext(t) for t in (words.WAYS[by], NAME, POSTED, ACCRUED, SHARE)]
    lines = [
        (row.code, _named(row, ctx), *_amounts(row.sum), percent(row.share_ppm))
        for row in found.rows
    ]
    total = (texts.gettext(SUM), "", *_amounts(found.whole), "")
    return sheet(f"contribution-{by}", heads, [*lines, total])


@router.get("/contribution/earned")
def earned_panel(ctx: ViewScores, after: str | None = None, at: str | None = None) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("earned.html", stale=stale, **_earned(ctx, after))


@router.get("/contribution/earned.csv")
def earnedsheet(ctx: ViewScores, after: str | None = None) -> Response:
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    found = _earned(ctx, after)
    heads = [texts.gettext(t) for t in (CUSTOMER, POSTED, ACCRUED, SHARE)]
    rows = [
        (r.party_id, *_amounts(_sum(r)), percent(values.share_ppm(_sum(r), found["bank"])))
        for r in found["parties"]
    ]
    return sheet("contribution-customers", heads, rows)


@dataclass(frozen=True)
class Part:
    """Which leaves are asked for: those of one code of a dimension, from a place on; of what is
    posted all, or those of a month. Of a `figure` of the month's report or of plans (or of what
    a budget measures) those that it counts, in a month or a year, perhaps of one component."""

    by: Literal[Way, "party", "bank"]
    code: Code = ""
    state: Literal["posted", "accrued"] = "posted"
    month: MonthOrYearOrNone = ""
    figure: Literal["", "result", "cost"] = ""
    component: Code = ""
    after: Annotated[str | None, Query(max_length=2000)] = None

    @property
    def url(self) -> str:
        if self.figure:
            return figure_url(self.by, self.code, self.month, self.figure, self.component)
        return leaves_url(self.by, self.code, self.state, self.month)


PartIn = Annotated[Part, Depends()]


@router.get("/contribution/leaves")
def leaves(ctx: ViewScores, part: PartIn) -> HTMLResponse:
    """The leaves that a total is made of."""
    return ctx.page("leaves.html", **_leaves(ctx, part))


@router.get("/contribution/leaves.csv")
def leavessheet(ctx: ViewScores, part: PartIn) -> Response:
    """The entries of the page, in the reader's words; the codes that other systems know stay."""
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    rows = [
        (
            r.customer_number, r.account_number, r.loan_number,
            plain(r.names, ctx) if r.names else r.product_code, r.product_code,
            plain(words.COMPONENTS.get(r.component, r.component), ctx),
            r.period or plain(words.OPEN, ctx), r.origin_period, r.owner_number, r.party_id or "",
            r.manager_code, r.branch_code, r.region_code,
            plain(words.CHANNELS.get(r.channel_code, r.channel_code), ctx),
            r.account_product_code or r.product_code, percent(r.share_ppm),
            decimal(int(r.amount_minor)), home_currency(),
        )
        for r in _leaves(ctx, part)["rows"]
    ]  # fmt: skip
    return sheet(f"contribution-leaves-{part.by}", map(texts.gettext, LEAF_HEADS), rows)


@router.get("/contribution/leaf")
def leaf(  # noqa: PLR0917 - parameters of an address
    ctx: ViewScores,
    customer_number: Code,
    account_number: Code,
    product_code: Code,
    component: Code,
    loan_number: Code = "",
    owner_number: Code = "",
    period: MonthOrNone = "",
    origin_period: MonthOrNone = "",
    account_product_code: Code = "",
    after: str | None = None,
) -> HTMLResponse:
    """One leaf and the events of its account in its months."""
    key = {
        "customer_number": customer_number, "account_number": account_number,
        "loan_number": loan_number, "product_code": product_code, "component": component,
        "period": period, "origin_period": origin_period,
        "account_product_code": account_product_code, "owner_number": owner_number,
    }  # fmt: skip
    place = cursors.day_and_offset(after)
    with ctx.read() as session:
        row = earned.leaf(session, ctx.reach("score.view"), key)
        if row is None:
            raise NotFound
        is_spread = component in SPREAD
        spread = pools.of_leaf(session, row) if is_spread else None
        events = earned.events_of_leaf(session, row, place) if spread is None else []
    last = events[-1] if len(events) == earned.PAGE_ROWS else None
    here = f"{HOME}/leaf?{urlencode(key)}"
    return ctx.page(
        "leaf.html",
        leaf=row,
        rows=events,
        spread=spread,
        driver_name=lambda code: driver_name(ctx, code),
        kinds=words.KINDS,
        types=words.TYPES,
        components=words.COMPONENTS,
        currency=home_currency(),
        next_url=f"{here}&{urlencode({'after': f'{last.businessdate}~{last.event_offset}'})}"
        if last
        else None,
        first_url=here if after else None,
    )


def leaf_url(row: Any) -> str:
    """The door from a leaf to its events."""
    return f"{HOME}/leaf?{urlencode({name: getattr(row, name) for name in LEAF_KEY})}"


def leaves_url(by: str, code: str, state: str = "posted", month: str = "") -> str:
    """The door from a total to its leaves. What is not posted belongs to no month yet."""
    asked = {"by": by, "code": code, "state": state}
    if month and state == "posted":
        asked["month"] = month
    return f"{HOME}/leaves?{urlencode(asked)}"


def figure_url(
    by: str, code: str, month: str, figure: str = "result", component: str = ""
) -> str:
    """The door from a figure of the month's report or of plans to the leaves that it counts."""
    asked = {"by": by, "code": code, "month": month, "figure": figure}
    if component:
        asked["component"] = component
    return f"{HOME}/leaves?{urlencode(asked)}"


def _value(ctx: Context, by: str) -> dict[str, Any]:
    today = business_date(ctx.clock.bank_now(), ctx.clock.zone)
    mine = ctx.reach("score.view")
    with ctx.read() as session:
        found = values.value(session, mine, by, today, ctx.runtime.directory)
        through = months.accrued_through(session)
        unbooked = worker_letters.unbooked(session, mine, home_currency())
        assigned = partial_managers.count(session, mine)
    unit = 10 ** get_currency_precision(home_currency())
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    bars = values.waterfall(found.components, unit)
    for bar in bars:
        bar["name"] = texts.gettext(words.COMPONENTS.get(bar["code"], bar["code"] or SUM))
    return {
        "value": found,
        "through": through,
        "unbooked": unbooked,
        "partial_managers": assigned,
        "by": by,
        "ways": words.WAYS,
        "components": words.COMPONENTS,
        "currency": home_currency(),
        "bars": bars,
        "points": values.points(found.curve),
        "textbook": TEXTBOOK_PPM,
        "million": MILLION,
        "panel_url": f"{HOME}/value?{urlencode({'by': by})}",
        "leaves_url": leaves_url,
        "rest": values.REST,
    }


def _earned(ctx: Context, after: str | None) -> dict[str, Any]:
    place = cursors.number_and_id(after)
    with ctx.read() as session:
        rows = earned.ranking(session, ctx.reach("score.view"), place, limit=earned.RANKING_ROWS)
        bank = contribution.bank(session)
    last = rows[-1] if len(rows) == earned.RANKING_ROWS else None
    cursor = {"after": f"{_sum(last).both_minor}~{last.party_id}"} if last else None
    here = f"?{urlencode({'after': after})}" if after else ""
    return {
        "parties": rows,
        "bank": bank,
        "currency": home_currency(),
        "share_of": lambda row: values.share_ppm(_sum(row), bank),
        "earned_url": f"{HOME}/earned{here}",
        "earned_csv_url": f"{HOME}/earned.csv{here}",
        "earned_next_url": f"{HOME}?{urlencode(cursor)}" if cursor else None,
        "earned_first_url": HOME if after else None,
    }


def _leaves(ctx: Context, part: Part) -> dict[str, Any]:
    place, by, code = _place(part.after), part.by, part.code
    mine = ctx.reach("score.view")
    with ctx.read() as session:
        groups = values.Groups(session, ctx.runtime.directory)
        through = months.accrued_through(session)
        rows, whole = (
            _of_figure(session, mine, part, groups, place)
            if part.figure
            else _of_total(session, mine, part, groups, place)
        )
        filtered = part.state == "posted" and not part.figure and by != "month"
        known = sorted(months.months(session), reverse=True) if filtered else []
    last = rows[-1] if len(rows) == earned.PAGE_ROWS else None
    cursor = "~".join(getattr(last, name) for name in LEAF_KEY) if last else ""
    name, label = (code, f"party:{code}") if by == "party" else groups.described(by, code)
    return {
        "rows": rows, "whole": whole, "through": through, "by": by, "code": code,
        "state": part.state, "name": name, "figure": part.figure, "component": part.component,
        "month": part.month if part.state == "posted" else "", "months": known,
        "partly": part.figure and not mine.everything,
        "label": label, "ways": words.WAYS | words.PLANNED, "components": words.COMPONENTS,
        "currency": home_currency(), "leaf_url": leaf_url, "leaves_url": leaves_url,
        "csv_url": part.url.replace("/leaves?", "/leaves.csv?")
        + (f"&{urlencode({'after': part.after})}" if part.after else ""),
        "next_url": f"{part.url}&{urlencode({'after': cursor})}" if last else None,
        "first_url": part.url if part.after else None,
    }  # fmt: skip


def _of_figure(
    session: Session, mine: Reach, part: Part, groups: values.Groups, place: Sequence[str] | None
) -> tuple[list[Any], Sum]:
    """A page of the leaves of a figure, and the figure. Raises Invalid."""
    cells, whole = reported.cells(session, mine, groups, part)
    return reported_queries.leaves(session, mine, cells, place), whole


def _of_total(
    session: Session, mine: Reach, part: Part, groups: values.Groups, place: Sequence[str] | None
) -> tuple[list[Any], Sum]:
    """A page of the leaves of a total, and the total over all months. Raises Invalid."""
    by, code, posted = part.by, part.code, part.state == "posted"
    if by == "bank" or part.component:
        raise Invalid("figure", reported.UNKNOWN)
    found = (
        contribution.totals_of_party(session, mine, code)
        if by == "party"
        else contribution.totals(session, mine, values.coded(by))
    )
    chosen = replace(
        values.selection(found, by, code, posted, groups), month=part.month if posted else ""
    )
    whole = found.whole() if by == "party" else values.sums_by(found, by, groups).get(code, Sum())
    return earned.leaves(session, mine, chosen, place), whole


def _place(after: str | None) -> Sequence[str] | None:
    """The key of the last leaf that was seen. Raises Invalid."""
    if not after:
        return None
    place = after.split("~")
    if len(place) != len(LEAF_KEY):
        raise Invalid("after", cursors.WRONG)
    return place


def _named(row: values.Row, ctx: Context) -> str:
    if not row.rest:
        return plain(row.name, ctx)
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    return texts.ngettext("%(num)s more", "%(num)s more", row.rest) % {"num": row.rest}


def _sum(row: Any) -> Sum:
    return Sum(int(row.posted_minor), int(row.accrued_minor))


def _amounts(value: Sum) -> tuple[str, str]:
    return decimal(value.posted_minor), decimal(value.accrued_minor)
