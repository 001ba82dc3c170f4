"""Publishes what parties' figures have become, conflated: `scoring.score_updated`.

When a party's turn comes is said by `parties.WAIT_FOR_TURN`; what is at stake with its open alerts
is brought up to then. The row locks make two publishers take turns.
"""

import threading
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import structlog
from sqlalchemy import text

from services.scoring.commands import stakes
from services.scoring.commands.rounds import in_rounds
from services.scoring.queries import months
from services.scoring.queries.risks import Risk as Holding
from services.scoring.queries.risks import holding
from services.scoring.queries.rule_sets import live_version
from services.scoring.settings import home_currency
from shared import outbox
from shared.clock import business_date
from shared.db import Tx
from shared.events.scoring import Contribution, Risk, ScoreUpdated, Term
from shared.money import MINOR_MAX
from shared.runtime import Runtime

log = structlog.get_logger()

BATCH_MAX = 2000
ROUND_S = 0.05

# Whoever writes a party's figures holds its row until he has put it in line: so what is taken here
# has all figures for which it stood in line, and what comes later stands in line anew.
TAKE = text(
    """
    select party_id from scores_waiting w join party_figures f using (party_id)
     where w.due_at <= :wall_now order by w.due_at limit :limit
       for update of w, f skip locked
    """
)
FIGURES = text(
    """
    select party_id, sum_minor, count as transactions, customer_count, mean_minor, risk_ppm,
           margin_at_risk_minor, posted_minor, accrued_minor
      from party_figures
     where party_id = any(:parties) and (numbers > 0 or published_at is not null)
     order by published_at nulls first
    """
)
POSITIONS = text(
    """
    select n.party_id, n.customer_number, s.position
      from numbers n left join customer_state s on s.customer_number = n.customer_number
     where n.party_id = any(:parties) order by n.customer_number
    """
)
COMPONENTS = text(
    """
    select n.party_id, l.component, sum(l.amount_minor) as minor
      from numbers n join leaves l using (customer_number)
     where n.party_id = any(:parties) group by n.party_id, l.component order by l.component
    """
)
TOLD = text(
    """
    with gone as (delete from scores_waiting where party_id = any(:parties))
    update party_figures set published_at = :wall_now
     where party_id = any(:parties) and (numbers > 0 or published_at is not null)
    """
)


def publish_scores(runtime: Runtime, stop: threading.Event) -> None:
    """The job: until told to stop, publishes what waits."""
    in_rounds(
        runtime, stop, lambda tx: publish_waiting(tx) >= BATCH_MAX, ROUND_S, "scores_not_published"
    )


def publish_waiting(tx: Tx) -> int:
    """One batch of parties whose figures changed and whose turn it is. Returns how many were told:
    one that lost its numbers before anybody heard of it is not."""
    asked = {"wall_now": tx.wall_now, "limit": BATCH_MAX}
    parties = list(tx.session.execute(TAKE, asked).scalars())
    if not parties:
        return 0
    stakes.follow(tx, parties)
    rows = tx.session.execute(FIGURES, {"parties": parties}).all()
    version = live_version(tx.session)
    numbers: dict[str, dict[str, int | None]] = {party: {} for party in parties}
    for party_id, number, position in tx.session.execute(POSITIONS, {"parties": parties}):
        numbers[party_id][number] = position
    risks = holding(tx.session, parties)
    earned = _contributions(tx, rows)
    for row in rows:
        fact = score_of(
            row, earned[row.party_id], numbers[row.party_id], risks.get(row.party_id, []), version
        )
        if fact is not None:
            outbox.enqueue(tx, fact)
    tx.session.execute(TOLD, {"parties": parties, "wall_now": tx.wall_now})
    return len(rows)


def _contributions(tx: Tx, rows: Sequence[Any]) -> dict[str, Contribution]:
    """Sums of the parties' leaves; the twelve months are those up to the bank's today."""
    parties = [row.party_id for row in rows]
    parts: defaultdict[str, dict[str, int]] = defaultdict(dict)
    for party_id, component, minor in tx.session.execute(COMPONENTS, {"parties": parties}):
        parts[party_id][component] = int(minor)
    today = business_date(tx.bank_now, tx.clock.zone)
    lately = months.posted_lately(tx.session, parties, today)
    return {
        row.party_id: Contribution(
            currency=home_currency(),
            posted_minor=int(row.posted_minor),
            accrued_minor=int(row.accrued_minor),
            by_component=parts[row.party_id],
            last_12_months_minor=lately.get(row.party_id, 0),
        )
        for row in rows
    }


def score_of(
    row: Any, earned: Contribution, positions: dict[str, int | None], risks: Sequence[Holding],
    version: str,
) -> ScoreUpdated | None:  # fmt: skip
    """The fact of one party; none for sums that no event may carry (2**53), with an alarm."""
    sum_minor, mean_minor = int(row.sum_minor), int(row.mean_minor)
    margin = int(row.margin_at_risk_minor)
    sums = (sum_minor, mean_minor, margin, earned.posted_minor, earned.accrued_minor,
            earned.last_12_months_minor or 0, *earned.by_component.values())  # fmt: skip
    if max(map(abs, sums)) > MINOR_MAX:
        log.error("score_beyond_range", party_id=row.party_id)
        return None
    return ScoreUpdated(
        party_id=row.party_id,
        customer_numbers=tuple(positions),
        contribution=earned,
        model_version="+".join(sorted({version, *(one.model_version for one in risks)})),
        risk_ppm=row.risk_ppm,
        risks=tuple(_told(one) for one in risks),
        figures={
            "net_transactions_minor": sum_minor,
            "transactions": row.transactions,
            "customer_transactions": row.customer_count,
            "mean_balance_minor": mean_minor,
            "margin_at_risk_minor": margin,
        },
        positions={n: at for n, at in positions.items() if at is not None and at >= 0},
    )


def _told(one: Holding) -> Risk:
    return Risk(
        rule=one.rule,
        customer_number=one.customer_number,
        account_number=one.account_number or None,
        product_code=one.product_code,
        at=one.at,
        risk_ppm=one.risk_ppm,
        terms=tuple(Term(code=code, value=value) for code, value in one.terms.items()),
        model_version=one.model_version,
    )
