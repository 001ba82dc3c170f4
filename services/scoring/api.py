"""Scoring's JSON API: one party's score, the ranking, alerts, read only with the scope in the SQL;
and what ops decide on the messages that the worker refused."""

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query

from services.scoring.commands import worker_letters
from services.scoring.queries import alerts, cursors, figures, precision
from services.scoring.queries.reach import reach_of_party
from services.scoring.schemas import (
    AccountOut,
    AlertOut,
    AlertsOut,
    PrecisionOut,
    PrecisionsOut,
    ProductOut,
    RankedOut,
    RankingOut,
    ScoreOut,
    WorkerLetterOut,
)
from services.scoring.settings import home_currency
from shared.errors import NotFound
from shared.http import Context, requires

router = APIRouter()
Limit = Annotated[int, Query(ge=1, le=200)]
RANKED_BY = (
    "contribution: the sum of the leaves posted in the last twelve months, this one included "
    "(last_12_months_minor, as score.updates tells it); risk: margin at risk, where there is any; "
    "transactions: the net sum of all transactions, which is no contribution"
)


@router.get("/parties/{party_id}/score")
def score(party_id: str, ctx: Annotated[Context, requires("score.view")]) -> ScoreOut:
    with ctx.read() as session:
        mine = reach_of_party(session, ctx.reach("score.view"), ctx.desk(), party_id)
        found = figures.party(session, mine, party_id, home_currency())
    if found is None:
        raise NotFound
    return ScoreOut(
        party_id=found.party_id,
        customer_numbers=found.customer_numbers,
        currency=home_currency(),
        net_transactions_minor=found.sum_minor,
        transactions=found.transactions,
        customer_transactions=found.customer_count,
        mean_balance_minor=found.mean_minor,
        last_on=found.last_on,
        risk_ppm=found.risk_ppm,
        margin_at_risk_minor=found.margin_at_risk_minor,
        residual_minor=found.residual_minor(home_currency()),
        accounts=[
            AccountOut(**{name: getattr(a, name) for name in AccountOut.model_fields})
            for a in found.accounts
        ],
    )


@router.get("/ranking")
def ranking(
    ctx: Annotated[Context, requires("score.view")],
    by: Annotated[figures.By, Query(description=RANKED_BY)] = "contribution",
    after: str | None = None,
    limit: Limit = figures.PAGE_ROWS,
) -> RankingOut:
    """Customers in reach, greatest first. Those with the same figure stand by their party's id."""
    mine = ctx.reach("score.view")
    place = cursors.number_and_id(after)
    with ctx.read() as session:
        rows = figures.ranking(session, mine, by, home_currency(), after=place, limit=limit)
    last = rows[-1] if len(rows) == limit else None
    return RankingOut(
        by=by,
        currency=home_currency(),
        items=[_ranked(row) for row in rows],
        next=figures.place(last, by) if last else None,
    )


def _ranked(row: figures.Figure) -> RankedOut:
    return RankedOut(
        party_id=row.party_id,
        last_12_months_minor=row.last_12_months_minor,
        posted_minor=row.posted_minor,
        accrued_minor=row.accrued_minor,
        net_transactions_minor=row.sum_minor,
        transactions=row.transactions,
        mean_balance_minor=row.mean_minor,
        risk_ppm=row.risk_ppm,
        margin_at_risk_minor=row.margin_at_risk_minor,
        manager_staff_id=row.manager_staff_id,
        products=[
            ProductOut(**{name: getattr(part, name) for name in ProductOut.model_fields})
            for part in row.products
        ],
    )


@router.get("/alerts")
def list_alerts(
    ctx: Annotated[Context, requires("alert.view")],
    state: alerts.State = "open",
    rule: Annotated[str | None, Query(max_length=100)] = None,
    after: str | None = None,
    limit: Limit = alerts.PAGE_ROWS,
) -> AlertsOut:
    mine = ctx.reach("alert.view")
    with ctx.read() as session:
        rows = alerts.alerts_of(
            session, mine, state, ctx.clock.zone, rule=rule, after=after, limit=limit
        )
    more = len(rows) == limit
    return AlertsOut(
        items=[_alert(row) for row in rows],
        next=alerts.cursor(rows[-1], state) if more else None,
    )


def _alert(row: Any) -> AlertOut:
    return AlertOut(**{name: getattr(row, name) for name in AlertOut.model_fields})


@router.get("/alerts/precision")
def alerts_precision(ctx: Annotated[Context, requires("alert.view")]) -> PrecisionsOut:
    """Precision, lift and lead of each rule, over the whole bank."""
    with ctx.read() as session:
        found = precision.by_rule(session, ctx.clock.zone)
    return PrecisionsOut(
        items=[
            PrecisionOut(
                rule=one.rule,
                alerts=one.alerts,
                open=one.open,
                confirmed=one.confirmed,
                false_alarms=one.false_alarms,
                precision_ppm=one.ppm,
                real_customers=one.real_customers,
                customers=one.customers,
                lift_ppm=one.lift_ppm,
                lead_days=one.lead_days,
            )
            for one in found.values()
        ]
    )


@router.post("/ops/worker-letters/{letter_id}/replay", status_code=202)
def replay_worker_letter(
    letter_id: int, ctx: Annotated[Context, requires("ops.act")]
) -> WorkerLetterOut:
    """Sends the event to the worker again; refused anew, it is listed again with the reason."""
    with ctx.transaction() as tx:
        worker_letters.replay_letter(tx, letter_id)
    return WorkerLetterOut(id=letter_id, state="replayed")


@router.post("/ops/worker-letters/{letter_id}/discard")
def discard_worker_letter(
    letter_id: int,
    reason: Annotated[str, Form(min_length=3, max_length=500)],
    ctx: Annotated[Context, requires("ops.act")],
) -> WorkerLetterOut:
    """Gives the event up, with a reason that stays in the audit."""
    with ctx.transaction() as tx:
        worker_letters.discard_letter(tx, letter_id, reason)
    return WorkerLetterOut(id=letter_id, state="discarded")
