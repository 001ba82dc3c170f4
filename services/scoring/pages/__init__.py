"""Pages of scoring: contribution with its doors down to the events, and early warning."""

from typing import Annotated, Any
from urllib.parse import quote, urlencode

from fastapi import APIRouter, Query
from fastapi.responses import HTMLResponse

from services.scoring.model_card import Card
from services.scoring.pages import assignments, month_report, rule_sets, words
from services.scoring.pages import contribution as value_pages
from services.scoring.pages import plans as plan_pages
from services.scoring.pages import pools as pool_pages
from services.scoring.pages.value import Profit, share_ppm
from services.scoring.queries import (
    alerts,
    contribution,
    cursors,
    events,
    figures,
    months,
    names,
    precision,
    risks,
    turnover,
    worker_letters,
)
from services.scoring.queries import rule_sets as sets_of_rules
from services.scoring.queries import totals as sums
from services.scoring.queries.events import Door
from services.scoring.queries.reach import reach_of_party
from services.scoring.rules.stake import FINDINGS, MILLION, Piece, Whole, whole_of
from services.scoring.settings import ScoringSettings, home_currency
from shared import positions
from shared.clock import business_date
from shared.errors import NotFound
from shared.http import Context, requires

router = APIRouter()
router.include_router(value_pages.router)
router.include_router(assignments.router)
router.include_router(plan_pages.router)
router.include_router(month_report.router)
router.include_router(pool_pages.router)
router.include_router(rule_sets.router)
Code = Annotated[str | None, Query(max_length=100)]
ViewScores = Annotated[Context, requires("score.view")]
ViewAlerts = Annotated[Context, requires("alert.view")]


# Contribution ------------------------------------------------------------------------------


@router.get("/contribution/transactions")
def transactions(
    ctx: ViewScores, after: str | None = None, branch: Code = None, manager: Code = None
) -> HTMLResponse:
    return ctx.page("transactions.html", stale=False, **_ranking(ctx, after, branch, manager))


@router.get("/contribution/totals")
def contribution_totals(ctx: ViewScores, at: str | None = None) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("totals.html", stale=stale, **_totals(ctx))


@router.get("/contribution/ranking")
def contribution_ranking(
    ctx: ViewScores,
    after: str | None = None,
    branch: Code = None,
    manager: Code = None,
    at: str | None = None,
) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("ranking.html", stale=stale, **_ranking(ctx, after, branch, manager))


@router.get("/contribution/parties/{party_id}")
def contribution_of_party(party_id: str, ctx: ViewScores) -> HTMLResponse:
    return ctx.page("party.html", stale=False, **_party(ctx, party_id))


@router.get("/contribution/parties/{party_id}/figures")
def figures_of_party(party_id: str, ctx: ViewScores, at: str | None = None) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("party_figures.html", stale=stale, **_party(ctx, party_id))


@router.get("/contribution/parties/{party_id}/events")
def events_of_account(  # noqa: PLR0917 - parameters of an address
    party_id: str,
    ctx: ViewScores,
    number: Annotated[str, Query(max_length=200)],
    account: Annotated[str, Query(max_length=200)],
    product: Annotated[str, Query(max_length=100)],
    currency: Annotated[str, Query(max_length=3)],
    after: str | None = None,
) -> HTMLResponse:
    """The transactions whose sum a figure is, latest first, and whether they add up to it."""
    place = cursors.day_and_offset(after)
    door = Door(number, account, product, currency)
    with ctx.read() as session:
        mine = reach_of_party(session, ctx.reach("score.view"), ctx.desk(), party_id)
        party = figures.party(session, mine, party_id, home_currency())
        figure = party and next((a for a in party.accounts if _is_door(a, door)), None)
        if party is None or figure is None:
            raise NotFound
        state = next(s for s in party.states if s.customer_number == number)
        reached = positions.stored(session, "bank.events").get(state.partition, 0)
        rows = events.events_of_account(session, door, place)
        stored_minor, stored_count = events.sum_of_account(session, door, state.position)
    last = rows[-1] if len(rows) == events.PAGE_ROWS else None
    cursor = f"{last.businessdate}~{last.event_offset}" if last else None
    return ctx.page(
        "events.html",
        party_id=party_id,
        figure=figure,
        rows=rows,
        behind=reached <= state.position,
        stored_minor=stored_minor,
        stored_count=stored_count,
        kinds=words.KINDS,
        types=words.TYPES,
        here_url=events_url(party_id, figure) + (f"&after={quote(after)}" if after else ""),
        next_url=f"{events_url(party_id, figure)}&{urlencode({'after': cursor})}"
        if cursor
        else None,
        first_url=events_url(party_id, figure) if after else None,
    )


def _is_door(row: Any, door: Door) -> bool:
    return bool(
        (row.customer_number, row.account_number, row.product_code, row.currency)
        == (door.customer_number, door.account_number, door.product_code, door.currency)
    )


def events_url(party_id: str, figure: Any) -> str:
    """The door from an account's figure to its events."""
    query = urlencode(
        {
            "number": figure.customer_number,
            "account": figure.account_number,
            "product": figure.product_code,
            "currency": figure.currency,
        }
    )
    return f"/scoring/contribution/parties/{party_id}/events?{query}"


def _totals(ctx: Context) -> dict[str, Any]:
    mine = ctx.reach("score.view")
    with ctx.read() as session:
        found = sums.totals(session, mine, home_currency())
        control = sums.control_totals(session) if mine.everything else []
    return {
        "totals": found,
        "control": control,
        "currency": home_currency(),
        "greatest": max((abs(p.sum_minor) for p in found.products), default=0),
        "million": MILLION,
    }


def _ranking(
    ctx: Context, after: str | None, branch: str | None, manager: str | None
) -> dict[str, Any]:
    place = cursors.number_and_id(after)
    with ctx.read() as session:
        rows = figures.ranking(
            session,
            ctx.reach("score.view"),
            "transactions",
            home_currency(),
            branch=branch or None,
            manager=manager or None,
            after=place,
        )
    kept = {k: v for k, v in (("branch", branch), ("manager", manager)) if v}
    last = rows[-1] if len(rows) == figures.PAGE_ROWS else None
    following = {**kept, "after": figures.place(last, "transactions")} if last else None
    here = urlencode({**kept, **({"after": after} if after else {})})
    return {
        "rows": rows,
        "currency": home_currency(),
        "branch": branch or "",
        "manager": manager or "",
        "panel_url": "/scoring/contribution/ranking" + (f"?{here}" if here else ""),
        "next_url": f"/scoring/contribution/transactions?{urlencode(following)}"
        if following
        else None,
        "first_url": f"/scoring/contribution/transactions?{urlencode(kept)}" if after else None,
        "million": MILLION,
    }


def _party(ctx: Context, party_id: str) -> dict[str, Any]:
    with ctx.read() as session:
        mine = reach_of_party(session, ctx.reach("score.view"), ctx.desk(), party_id)
        party = figures.party(session, mine, party_id, home_currency())
        if party is None:
            raise NotFound
        known = alerts.alerts_of_party(session, party_id)
        holding = risks.holding(session, [party_id]).get(party_id, [])
        earned = contribution.totals_of_party(session, mine, party_id)
        bank = contribution.bank(session)
        products = names.products(session)
        changes = turnover.of_party(session, party_id)
        through = months.accrued_through(session)
        unbooked = worker_letters.unbooked_of_party(session, party_id, home_currency())
    return {
        "party": party,
        "through": through,
        "unbooked": unbooked,
        "changes": changes,
        "earned": earned,
        "products": products,
        "rate_ppm": share_ppm(earned.whole(), bank),
        "profit": Profit(earned.by_component()),
        "leaves_url": value_pages.leaves_url,
        "components": words.COMPONENTS,
        "alerts": [a for a in known if a.valid],
        "risks": [(one, whole_of(one.rule, one.terms)) for one in holding],
        "pieces": words.PIECES,
        "currency": home_currency(),
        "residual_minor": party.residual_minor(home_currency()),
        "events_url": events_url,
        "rules": words.RULES,
    }


# Early warning -----------------------------------------------------------------------------


@router.get("/risk")
def risk(
    ctx: ViewAlerts,
    state: alerts.State = "open",
    rule: Code = None,
    after: str | None = None,
) -> HTMLResponse:
    found = {**_alerts(ctx, state, rule, after), "model": _model(ctx), "methods": words.METHODS}
    return ctx.page("risk.html", stale=False, turnover=_turnover(ctx), **found)


@router.get("/risk/list")
def risk_list(
    ctx: ViewAlerts,
    state: alerts.State = "open",
    rule: Code = None,
    after: str | None = None,
    at: str | None = None,
) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("risk_list.html", stale=stale, **_alerts(ctx, state, rule, after))


@router.get("/risk/alerts/{alert_id}")
def risk_alert(alert_id: str, ctx: ViewAlerts) -> HTMLResponse:
    return ctx.page("alert.html", stale=False, **_alert(ctx, alert_id))


@router.get("/risk/alerts/{alert_id}/panel")
def risk_alert_panel(alert_id: str, ctx: ViewAlerts, at: str | None = None) -> HTMLResponse:
    stale = ctx.stale(at)
    return ctx.page("alert_panel.html", stale=stale, **_alert(ctx, alert_id))


def _turnover(ctx: Context) -> dict[str, Any]:
    """Whose turnover has left its usual lately."""
    mine = ctx.reach("alert.view")
    with ctx.read() as session:
        return {
            "watched": ScoringSettings().watch_turnover,
            "settled": turnover.settled_through(session),
            "customers": turnover.of_customers(session, mine),
            "segments": turnover.of_segments(session, mine),
            "products": names.products(session),
            "branches": names.branches(session),
        }


def _model(ctx: Context) -> Card | None:
    """The model that warns now."""
    with ctx.read() as session:
        return sets_of_rules.live_card(session)


def _alerts(
    ctx: Context, state: alerts.State, rule: str | None, after: str | None
) -> dict[str, Any]:
    mine, zone = ctx.reach("alert.view"), ctx.clock.zone
    with ctx.read() as session:
        rows = alerts.alerts_of(session, mine, state, zone, rule=rule or None, after=after)
        ranks = alerts.ranks(session, rows, zone)
        count, margin_minor = alerts.open_counts(session, mine)
        by_rule = precision.by_rule(session, zone)
        priced = months.has_contribution(session)
    kept = {"state": state, **({"rule": rule} if rule else {})}
    following = {**kept, "after": alerts.cursor(rows[-1], state)} if rows else None
    more = len(rows) == alerts.PAGE_ROWS
    here = urlencode({**kept, **({"after": after} if after else {})})
    return {
        "rows": rows,
        "ranks": ranks,
        "state": state,
        "rule": rule or "",
        "count": count,
        "margin_minor": margin_minor,
        "currency": home_currency(),
        "precision": by_rule,
        "priced": priced,
        "panel_url": f"/scoring/risk/list?{here}",
        "next_url": f"/scoring/risk?{urlencode(following)}" if more and following else None,
        "first_url": f"/scoring/risk?{urlencode(kept)}" if after else None,
        "whole": lambda alert: _terms_of(ctx, alert),
        **_words(),
    }


def _alert(ctx: Context, alert_id: str) -> dict[str, Any]:
    with ctx.read() as session:
        alert = alerts.alert(session, ctx.reach("alert.view"), ctx.desk(), alert_id)
        if alert is None:
            raise NotFound
        numbers = alerts.numbers_of(session, alert.party_id) or [alert.customer_number]
        moved = alerts.moved_by(session, alert.signal_id)
        ids = [*alert.event_ids, *(one for of_term in moved.values() for one in of_term)]
        behind = events.events_behind(session, alert.rule, numbers, ids, alert.at)
        history = alerts.alerts_of_party(session, alert.party_id)
        ranks = alerts.ranks(session, [alert], ctx.clock.zone) if alert.valid else {}
        by_rule = precision.by_rule(session, ctx.clock.zone)
        priced = months.has_contribution(session)
    return {
        "alert": alert,
        "moved": {code: of_term for code, of_term in moved.items() if of_term},
        "ranks": ranks,
        "behind": behind,
        "history": history,
        "precision": by_rule,
        "priced": priced,
        "model": _model(ctx),
        "methods": words.METHODS,
        "wholes": [w for w in _wholes(ctx, alert) if w],
        "kinds": words.KINDS,
        "types": words.TYPES,
        **_words(),
    }


def _terms_of(ctx: Context, alert: Any) -> Whole | None:
    """The terms that explain it; days are counted to the bank's today while it holds."""
    if alert.ended_at is not None or not alert.valid:
        return whole_of(alert.rule, alert.terms)
    zone = ctx.clock.zone
    today, raised_on = (business_date(at, zone) for at in (ctx.clock.bank_now(), alert.at))
    return whole_of(alert.rule, alert.terms, max((today - raised_on).days, 0))


def _wholes(ctx: Context, alert: Any) -> list[Whole | None]:
    """The terms, and of what there is work for the money."""
    terms = _terms_of(ctx, alert)
    return [terms] if alert.rule in FINDINGS else [terms, _stake(alert)]


def _stake(alert: Any) -> Whole:
    """Margin at risk and the rest are the amount at stake."""
    at_stake, at_risk = int(alert.at_stake_minor), int(alert.margin_at_risk_minor)
    rest = at_stake - at_risk
    share = at_risk * MILLION // at_stake if at_stake else 0
    return Whole(
        "at_stake",
        at_stake,
        "money",
        (
            Piece("at_risk", at_risk, share, "money"),
            Piece("expected_to_stay", rest, MILLION - share if at_stake else 0, "money"),
        ),
    )


def _words() -> dict[str, Any]:
    return {
        "rules": words.RULES,
        "findings": FINDINGS,
        "pieces": words.PIECES,
        "outcomes": words.OUTCOMES,
        "levels": words.LEVELS,
    }
