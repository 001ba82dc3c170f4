"""Plans and budgets beside what really came, for a month or a year and a dimension."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from babel.numbers import get_currency_precision
from fastapi import APIRouter, Depends, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from services.scoring.pages import value as values
from services.scoring.pages import words
from services.scoring.pages.contribution import NAME, SUM, figure_url
from services.scoring.pages.months import MonthOrYear, around, is_complete, is_year, month_to_show
from services.scoring.pages.sheets import decimal, percent, plain, sheet
from services.scoring.queries import months, plans
from services.scoring.queries.contribution import Sum
from services.scoring.queries.months import Dimension
from services.scoring.queries.plans import Kind
from services.scoring.rules.execution import Execution, execution
from services.scoring.settings import home_currency
from shared.clock import business_date
from shared.http import Context, requires
from shared.reach import Reach
from shared.web.translations import N_

router = APIRouter()
ViewScores = Annotated[Context, requires("score.view")]
HOME = "/scoring/contribution/plans"
CHARTED = 20
HEADS: dict[Kind, tuple[str, str, str]] = {
    "plan": (N_("Plan"), N_("Actual, posted"), N_("Fulfilled")),
    "budget": (N_("Budget"), N_("Spent, posted"), N_("Used")),
}
NO_PLAN: dict[Kind, str] = {"plan": N_("No plan"), "budget": N_("No budget")}
ACCRUED, DIFFERENCE = N_("Accrued, not posted"), N_("Difference")


@dataclass(frozen=True)
class Asked:
    """Which plans. Without a period: of the last month that the bank has closed. Without a
    dimension: the first that the reader may see."""

    kind: Literal["plan", "budget"] = "plan"
    by: Dimension | None = None
    period: MonthOrYear = None


@dataclass(frozen=True, slots=True)
class Row:
    """Whoever has a plan or an actual. `rest`: how many stand in this one row."""

    code: str
    name: Any
    label: str
    figures: Execution
    rest: int = 0


AskedIn = Annotated[Asked, Depends()]


@router.get("/contribution/plans")
def plans_page(ctx: ViewScores, asked: AskedIn) -> HTMLResponse:
    return ctx.page("plans.html", stale=False, **_shown(ctx, asked))


@router.get("/contribution/plans/figures")
def plans_panel(ctx: ViewScores, asked: AskedIn, at: str | None = None) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("plan_figures.html", stale=stale, **_shown(ctx, asked))


@router.get("/contribution/plans.csv")
def plans_csv(ctx: ViewScores, asked: AskedIn) -> Response:
    """The rows of the page, the sum last."""
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    found = _shown(ctx, asked)
    kind: Kind = found["kind"]
    plan, actual, rate = HEADS[kind]
    heads = [words.PLANNED[found["by"]], NAME, plan, actual, ACCRUED, DIFFERENCE, rate]

    def cells(code: str, name: str, one: Execution) -> tuple[str, ...]:
        planned = one.plan_minor is not None
        return (
            code, name, decimal(one.plan_minor or 0) if planned else texts.gettext(NO_PLAN[kind]),
            decimal(one.actual_minor), decimal(one.accrued_minor),
            decimal(one.difference_minor or 0) if planned else "", percent(one.rate_ppm),
        )  # fmt: skip

    lines = [cells(row.code, plain(row.name, ctx), row.figures) for row in found["rows"]]
    lines.append(cells(texts.gettext(SUM), "", found["whole"]))
    name = f"{kind}-{found['by']}-{found['period']}"
    return sheet(name, [texts.gettext(head) for head in heads], lines)


def _shown(ctx: Context, asked: Asked) -> dict[str, Any]:
    mine = ctx.reach("score.view")
    allowed = months.dimensions(mine)
    by: Dimension = asked.by or allowed[0]
    today = business_date(ctx.clock.bank_now(), ctx.clock.zone)
    with ctx.read() as session:
        closed = months.closed_through(session)
        posted = months.months(session)
        planned = plans.periods(session)
        known = sorted({*posted, *(p for p in planned if not is_year(p)), f"{today:%Y-%m}"})
        period = asked.period or month_to_show(posted, closed, today)
        rows = _rows(ctx, session, mine, asked.kind, by, period)
        complete = is_complete(period, closed)
        to_post = months.to_post(session, mine, period) if complete else months.Unposted()
        left = plans.not_compared(session, asked.kind, period, home_currency())
    whole = Execution()
    for row in rows:
        whole = whole.plus(row.figures)
    rows = _with_rest(rows)
    here = {"kind": asked.kind, "by": by, "period": period}
    return {
        "rows": rows, "whole": whole, "kind": asked.kind, "by": by, "period": period,
        "heads": HEADS[asked.kind], "no_plan": NO_PLAN[asked.kind], "allowed": allowed,
        "ways": words.PLANNED, "closed": closed, "of_year": is_year(period),
        "months": around(known, f"{period}-12" if is_year(period) else period),
        "years": sorted({p for p in planned if is_year(p)} | {p for p in (period,) if is_year(p)}),
        "complete": complete, "to_post": to_post, "not_compared": left if mine.everything else {},
        "currency": home_currency(), "figure_url": figure_url, "chart": _chart(ctx, rows),
        "url": lambda **changes: f"{HOME}?{urlencode({**here, **changes})}",
        "panel_url": f"{HOME}/figures?{urlencode(here)}",
        "csv_url": f"{HOME}.csv?{urlencode(here)}",
    }  # fmt: skip


def _rows(  # noqa: PLR0917 - a reader's question
    ctx: Context, session: Session, mine: Reach, kind: Kind, by: Dimension, period: str
) -> list[Row]:
    """All that the reader may see, the greatest plan first, what has none behind."""
    if by not in months.dimensions(mine):
        return []
    groups = values.Groups(session, ctx.runtime.directory)
    if by == "supervisor":
        return _of_supervisors(groups, _rows(ctx, session, mine, kind, "manager", period))
    actual: dict[str, Sum] = {}
    for code, value in months.actuals(session, mine, kind, by, period).items():
        key = groups.group_of(by, code) if by == "line" else code
        actual[key] = actual.get(key, Sum()).plus(value)
    planned = {
        who: amount
        for who, amount in plans.plans(session, kind, by, period, home_currency()).items()
        if mine.everything
        or who in actual
        or who in (mine.branch_codes if by == "branch" else mine.manager_codes)
    }
    found = []
    for code in {*actual, *planned}:
        came = actual.get(code, Sum())
        figures = execution(planned.get(code), came.posted_minor, came.accrued_minor)
        found.append(Row(code, *groups.described(by, code), figures))
    return sorted(found, key=_order)


def _of_supervisors(groups: values.Groups, managers: list[Row]) -> list[Row]:
    """Nobody sets a supervisor's plan: it is what his managers' plans add up to."""
    found: dict[str, Execution] = {}
    for row in managers:
        code = groups.group_of("supervisor", row.code)
        found[code] = found.get(code, Execution()).plus(row.figures)
    rows = [Row(code, *groups.described("supervisor", code), one) for code, one in found.items()]
    return sorted(rows, key=_order)


def _order(row: Row) -> tuple[bool, int, int, str]:
    one = row.figures
    return one.plan_minor is None, -(one.plan_minor or 0), -one.actual_minor, row.code


def _with_rest(rows: list[Row]) -> list[Row]:
    """All that is beyond the page in one row, so that a table adds up."""
    shown, beyond = rows[: values.ROWS_MAX], rows[values.ROWS_MAX :]
    if not beyond:
        return shown
    rest = Execution()
    for row in beyond:
        rest = rest.plus(row.figures)
    return [*shown, Row(values.REST, values.REST, "", rest, len(beyond))]


def _chart(ctx: Context, rows: list[Row]) -> list[dict[str, Any]]:
    unit = 10 ** get_currency_precision(home_currency())
    return [
        {
            "name": plain(row.name, ctx),
            "plan": None if row.figures.plan_minor is None else row.figures.plan_minor / unit,
            "actual": row.figures.actual_minor / unit,
        }
        for row in rows[:CHARTED]
        if not row.rest
    ]
