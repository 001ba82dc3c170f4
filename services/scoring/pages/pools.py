"""The allocation sheet (费用分解表): pool, driver, products, customers; every level adds up."""

from dataclasses import dataclass, replace
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import HTMLResponse

from services.scoring.pages import words
from services.scoring.pages.contribution import NAME, SUM
from services.scoring.pages.months import Period, around, month_to_show
from services.scoring.pages.sheets import decimal, driver_name, percent, plain, sheet
from services.scoring.queries import cursors, months, names, pools
from services.scoring.queries.pools import Part, Pool
from services.scoring.rules.concentration import MILLION
from services.scoring.settings import home_currency
from shared.clock import business_date
from shared.errors import Invalid, NotFound
from shared.http import Context, requires
from shared.web.translations import N_

router = APIRouter()
ViewScores = Annotated[Context, requires("score.view")]
HOME = "/scoring/contribution/allocation"
Code = Annotated[str, Query(max_length=200)]
Month = Annotated[str, Query(pattern=r"^[12]\d{3}-(0[1-9]|1[0-2])$")]
ORIGIN, CENTRE, DRIVER, PRODUCT = (
    N_("Month of the cost"), N_("Cost centre"), N_("Driver"), N_("Product"),
)  # fmt: skip
ACTUAL, CHARGED, BEFORE = N_("Actual cost"), N_("Charged by rates"), N_("Spread before")
SPREAD, LEFT = N_("Spread now"), N_("Not spread")
WEIGHT, SHARE = N_("Weight"), N_("Share")
NUMBER, CUSTOMER, ACCOUNT = N_("Customer number"), N_("Customer"), N_("Account")


@router.get("/contribution/allocation")
def allocation_page(ctx: ViewScores, period: Period = None) -> HTMLResponse:
    return ctx.page("allocation.html", stale=False, **_sheet(ctx, period))


@router.get("/contribution/allocation/figures")
def allocation_panel(ctx: ViewScores, period: Period = None, at: str | None = None) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("allocation_figures.html", stale=stale, **_sheet(ctx, period))


@router.get("/contribution/allocation.csv")
def allocation_csv(ctx: ViewScores, period: Period = None) -> Response:
    """A line for each pool, then one for each of its products; the sum last."""
    found = _sheet(ctx, period)
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    heads = (ORIGIN, CENTRE, NAME, DRIVER, PRODUCT, NAME, ACTUAL, CHARGED, BEFORE, SPREAD, LEFT,
             WEIGHT, SHARE)  # fmt: skip
    lines: list[tuple[str, ...]] = []
    for pool in found["pools"]:
        of = (pool.origin_period, pool.cost_centre_code, plain(pool.names or "", ctx))
        lines.append((*of, driver_name(ctx, pool.driver_code), "", "", *_amounts(pool),
                      str(pool.weight), percent(MILLION)))  # fmt: skip
        lines += [
            (*of, driver_name(ctx, pool.driver_code), part.product_code,
             plain(found["product_name"](part.product_code), ctx), "", "", "",
             decimal(part.amount_minor), "", str(part.weight), percent(share_ppm(part, pool)))
            for part in pool.parts
        ]  # fmt: skip
    if found["pools"]:
        blank = ("",) * 5
        lines.append((texts.gettext(SUM), *blank, *_amounts(found["whole"]), "", ""))
    return sheet(f"allocation-{found['period']}", [texts.gettext(h) for h in heads], lines)


@dataclass(frozen=True)
class Asked:
    """One product's part of a pool."""

    period: Month
    origin_period: Month
    cost_centre_code: Code
    driver_code: Code
    product_code: Code = ""
    after: Annotated[str | None, Query(max_length=500)] = None

    @property
    def key(self) -> dict[str, str]:
        return {name: value for name, value in vars(self).items() if name != "after"}


AskedIn = Annotated[Asked, Depends()]


@router.get("/contribution/allocation/shares")
def shares_page(ctx: ViewScores, asked: AskedIn) -> HTMLResponse:
    """Who bears a product's part of a pool."""
    return ctx.page("allocation_shares.html", **_shares(ctx, asked))


@router.get("/contribution/allocation/shares.csv")
def shares_csv(ctx: ViewScores, asked: AskedIn) -> Response:
    found = _shares(ctx, asked)
    texts = ctx.runtime.pages.texts(ctx.actor.language)
    lines = [
        (row.customer_number, row.party_id or "", row.account_number, str(int(row.weight)),
         decimal(int(row.amount_minor)))
        for row in found["rows"]
    ]  # fmt: skip
    heads = [texts.gettext(head) for head in (NUMBER, CUSTOMER, ACCOUNT, WEIGHT, SPREAD)]
    return sheet(f"allocation-shares-{asked.period}", heads, lines)


def share_ppm(part: Part, pool: Pool) -> int | None:
    return part.weight * MILLION // pool.weight if pool.weight else None


def _amounts(pool: Pool) -> tuple[str, ...]:
    if pool.actual_minor is None:
        return "", "", "", decimal(pool.amount_minor), ""
    return (
        decimal(pool.actual_minor), decimal(pool.charged_minor), decimal(pool.before_minor),
        decimal(pool.amount_minor), decimal(pool.left_minor),
    )  # fmt: skip


def _sheet(ctx: Context, asked: str | None) -> dict[str, Any]:
    mine = ctx.reach("score.view")
    today = business_date(ctx.clock.bank_now(), ctx.clock.zone)
    with ctx.read() as session:
        closings = pools.closings(session)
        closed = months.closed_through(session)
        period = asked or month_to_show(set(closings), closed, today)
        rows = pools.sheet(session, mine, period)
        posted = pools.posted_minor(session, period) if mine.everything else None
        waiting = pools.waiting(session, home_currency()) if mine.everything else []
        not_spread = pools.not_spread(session, home_currency()) if mine.everything else []
        without_rate = pools.contacts_without_rate(session, period) if mine.everything else 0
        products = names.products(session)
    whole = _sum(rows, everything=mine.everything)
    apart = max((pool.residual_minor for pool in rows), default=0)
    if posted is not None and closings.get(period):
        apart = max(apart, abs(whole.amount_minor + posted))
    return {
        "pools": rows, "whole": whole, "period": period, "closed": closed,
        "is_closed": period in closings, "is_posted": closings.get(period, False),
        "months": around(sorted(closings), period), "residual_minor": apart,
        "waiting": waiting, "not_spread": not_spread, "without_rate": without_rate,
        "everything": mine.everything, "currency": home_currency(), "home": HOME,
        "product_name": lambda code: products[code].names if code in products
        else code or words.NOWHERE["product"],
        "driver_name": lambda code: driver_name(ctx, code), "share_ppm": share_ppm,
        "shares_url": lambda pool, part: shares_url(period, pool, part.product_code),
        "components": words.COMPONENTS,
        "panel_url": f"{HOME}/figures?{urlencode({'period': period})}",
        "csv_url": f"{HOME}.csv?{urlencode({'period': period})}",
    }  # fmt: skip


def _sum(rows: list[Pool], *, everything: bool) -> Pool:
    whole = Pool("", "", "", "", None, 0, 0, 0 if everything else None)
    for pool in rows:
        whole = replace(
            whole, amount_minor=whole.amount_minor + pool.amount_minor,
            actual_minor=None if whole.actual_minor is None
            else whole.actual_minor + (pool.actual_minor or 0),
            charged_minor=whole.charged_minor + pool.charged_minor,
            before_minor=whole.before_minor + pool.before_minor,
        )  # fmt: skip
    return whole


def shares_url(period: str, pool: Pool, product: str) -> str:
    key = dict(zip(pools.POOL_KEY, pool.key, strict=True))
    return f"{HOME}/shares?{urlencode({'period': period, **key, 'product_code': product})}"


def _shares(ctx: Context, asked: Asked) -> dict[str, Any]:
    mine = ctx.reach("score.view")
    place: tuple[str, str] | None = None
    if asked.after:
        number, found, account = asked.after.partition("~")
        if not found:
            raise Invalid("after", cursors.WRONG)
        place = number, account
    with ctx.read() as session:
        pool = next((p for p in pools.sheet(session, mine, asked.period)
                     if p.key == (asked.origin_period, asked.cost_centre_code,
                                  asked.driver_code)), None)  # fmt: skip
        parts = pool.parts if pool else []
        part = next((p for p in parts if p.product_code == asked.product_code), None)
        if pool is None or part is None:
            raise NotFound
        rows = pools.shares(session, mine, asked.key, place)
        products = names.products(session)
    last = rows[-1] if len(rows) == pools.PAGE_ROWS else None
    here = f"{HOME}/shares?{urlencode(asked.key)}"
    cursor = urlencode({"after": f"{last.customer_number}~{last.account_number}"}) if last else ""
    code = asked.product_code
    return {
        "rows": rows, "pool": pool, "part": part, "period": asked.period,
        "product": products[code].names if code in products else code or words.NOWHERE["product"],
        "residual_minor": part.amount_minor - part.shared_minor,
        "driver": driver_name(ctx, asked.driver_code), "currency": home_currency(),
        "home": HOME, "csv_url": here.replace("/shares?", "/shares.csv?")
        + (f"&{urlencode({'after': asked.after})}" if asked.after else ""),
        "next_url": f"{here}&{cursor}" if last else None,
        "first_url": here if asked.after else None,
        "components": words.COMPONENTS, "is_turnover": asked.driver_code == "turnover",
    }  # fmt: skip
