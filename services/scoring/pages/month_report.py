"""The month's report (月结报告): there once all partitions have closed the month's last day."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, Response
from fastapi.responses import HTMLResponse
from sqlalchemy.orm import Session

from services.scoring.pages import value as values
from services.scoring.pages import words
from services.scoring.pages.contribution import ACCRUED, NAME, POSTED, figure_url
from services.scoring.pages.months import Period, around, first_day, is_complete, month_to_show
from services.scoring.pages.sheets import decimal, percent, plain, sheet
from services.scoring.queries import month_report, months
from services.scoring.queries.month_report import Cell
from services.scoring.queries.months import COSTS
from services.scoring.rules.concentration import MILLION
from services.scoring.settings import home_currency
from shared.clock import business_date
from shared.errors import NotFound
from shared.http import Context, requires
from shared.reach import Reach
from shared.web.translations import N_

router = APIRouter()
ViewScores = Annotated[Context, requires("score.view")]
HOME = "/scoring/contribution/month"
BEFORE, CHANGE, SHARE = N_("Month before"), N_("Change"), N_("Share of costs")
SECTION, CODE, ENTRIES = N_("Section"), N_("Code"), N_("Entries")
TOP, BOTTOM = N_("Top ten"), N_("Bottom ten")
CORRECTION = N_("Corrections of earlier months")
PROVISIONAL, TO_POST = N_("Provisional"), N_("Accounts still to post")
TO_SPREAD = N_("Costs and tax still to be spread")
GROUPS = {"income": N_("Income"), "cost": N_("Costs"), "net": N_("Net")}


Level = Literal["component", "product", "sum", "supervisor"]


@dataclass(frozen=True, slots=True)
class Line:
    """A component, a product of it, a sum of components, or a supervisor."""

    level: Level
    code: str
    name: Any
    posted_minor: int
    before_minor: int
    accrued_minor: int
    share_ppm: int | None = None
    label: str = ""
    component: str = ""  # of which a product's line is

    @property
    def change_minor(self) -> int:
        return self.posted_minor - self.before_minor


@router.get("/contribution/month")
def month_page(ctx: ViewScores, period: Period = None) -> HTMLResponse:
    return ctx.page("month.html", stale=False, **_report(ctx, period))


@router.get("/contribution/month/figures")
def month_panel(ctx: ViewScores, period: Period = None, at: str | None = None) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("month_figures.html", stale=stale, **_report(ctx, period))


@router.get("/contribution/month.csv")
def month_csv(ctx: ViewScores, period: Period = None) -> Response:
    """All sections of the page, one after the other. Raises NotFound before the month's close."""
    found = _report(ctx, period)
    if not found["complete"]:
        raise NotFound
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    columns = (SECTION, CODE, NAME, POSTED, BEFORE, CHANGE, ACCRUED, SHARE, ENTRIES)
    heads = [texts.gettext(column) for column in columns]
    lines = [
        (texts.gettext(words.SECTIONS[one.level]), one.code, plain(one.name, ctx),
         decimal(one.posted_minor), decimal(one.before_minor), decimal(one.change_minor),
         decimal(one.accrued_minor), percent(one.share_ppm), "")
        for one in (*found["lines"], *found["supervisors"])
    ]  # fmt: skip
    lines += [
        (texts.gettext(CORRECTION), row.origin_period, _component(ctx, row.component),
         decimal(int(row.amount_minor)), "", "", "", "", str(row.leaves))
        for row in found["corrections"]
    ]  # fmt: skip
    lines += [
        (texts.gettext(section), row.customer_number, row.party_id or "",
         decimal(int(row.posted_minor)), "", "", "", "", "")
        for section, rows in ((TOP, found["top"]), (BOTTOM, found["bottom"]))
        for row in rows
    ]  # fmt: skip
    left = found["to_post"]
    for count, what in ((left.accounts, TO_POST), (int(left.costs), TO_SPREAD)):
        if count:
            provisional = (texts.gettext(PROVISIONAL), str(count), texts.gettext(what))
            lines.insert(0, (*provisional, "", "", "", "", "", ""))
    return sheet(f"month-{found['period']}", heads, lines)


def _component(ctx: Context, code: str) -> str:
    return plain(words.COMPONENTS.get(code, code), ctx)


def _report(ctx: Context, asked: str | None) -> dict[str, Any]:
    mine = ctx.reach("score.view")
    today = business_date(ctx.clock.bank_now(), ctx.clock.zone)
    with ctx.read() as session:
        closed = months.closed_through(session)
        posted = months.months(session)
        period = asked or month_to_show(posted, closed, today)
        before = f"{first_day(period) - timedelta(days=1):%Y-%m}"
        complete = is_complete(period, closed)
        found = _figures(ctx, session, mine, period, before) if complete else {}
    return {
        "period": period, "before": before, "closed": closed, "complete": complete,
        "months": around(sorted(posted), period), "currency": home_currency(), "home": HOME,
        "components": words.COMPONENTS, "figure_url": figure_url,
        "panel_url": f"{HOME}/figures?{urlencode({'period': period})}",
        "csv_url": f"{HOME}.csv?{urlencode({'period': period})}", **found,
    }  # fmt: skip


def _figures(
    ctx: Context, session: Session, mine: Reach, period: str, before: str
) -> dict[str, Any]:
    groups = values.Groups(session, ctx.runtime.directory)
    cells = month_report.cells(session, mine, period, before)
    lines = _lines(cells, groups)
    managers = month_report.of_managers(session, mine, period, before)
    return {
        "lines": lines,
        "supervisors": _supervisors(managers, groups),
        "sums": {one.code: one for one in lines if one.level == "sum"},
        "corrections": month_report.corrections(session, mine, period),
        "top": month_report.ranked(session, mine, period, top=True),
        "bottom": month_report.ranked(session, mine, period, top=False),
        "to_post": months.to_post(session, mine, period),
        "residual_minor": month_report.residual_minor(session, period),
    }


def _lines(cells: Iterable[Cell], groups: values.Groups) -> list[Line]:
    """Income by component and product, then costs, each with its sum; the net last."""
    cells = list(cells)
    if not cells:
        return []
    taken_off = (*COSTS, "capital", "tax")  # which no budget of costs holds
    costs = [cell for cell in cells if cell.component in taken_off]
    income = [cell for cell in cells if cell.component not in taken_off]
    spent = sum(cell.posted_minor for cell in costs)
    return [
        *_components(income, groups, None), _summed("sum", "income", GROUPS["income"], income),
        *_components(costs, groups, spent), _summed("sum", "cost", GROUPS["cost"], costs, spent),
        _summed("sum", "net", GROUPS["net"], cells),
    ]  # fmt: skip


def _supervisors(managers: list[Cell], groups: values.Groups) -> list[Line]:
    """What their managers brought, the most first."""
    found: dict[str, list[Cell]] = {}
    for one in managers:
        found.setdefault(groups.group_of("supervisor", one.manager_code), []).append(one)
    lines = []
    for code, cells in found.items():
        name, label = groups.described("supervisor", code)
        lines.append(replace(_summed("supervisor", code, name, cells), label=label))
    return sorted(lines, key=lambda one: (-one.posted_minor, one.code))


def _components(cells: list[Cell], groups: values.Groups, spent: int | None) -> list[Line]:
    lines = []
    there = {cell.component for cell in cells}
    for code in sorted(there, key=lambda one: (_place(one), one)):
        of_it = [cell for cell in cells if cell.component == code]
        lines.append(_summed("component", code, groups.described("component", code)[0], of_it,
                             spent))  # fmt: skip
        lines += [
            replace(
                _summed("product", cell.product_code,
                        groups.described("product", cell.product_code)[0], [cell], spent),
                component=code,
            )
            for cell in of_it
        ]  # fmt: skip
    return lines


def _place(component: str) -> int:
    known = list(words.COMPONENTS)
    return known.index(component) if component in known else len(known)


def _summed(
    level: Level, code: str, name: Any, cells: list[Cell],
    spent: int | None = None,
) -> Line:  # fmt: skip
    posted = sum(cell.posted_minor for cell in cells)
    return Line(
        level, code, name, posted, sum(cell.before_minor for cell in cells),
        sum(cell.accrued_minor for cell in cells), posted * MILLION // spent if spent else None,
    )  # fmt: skip
