"""What the other services are told of an alert: that it was raised, and that it was cleared."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

import structlog

from services.scoring.commands import causes
from services.scoring.commands.causes import Mover
from services.scoring.queries import alerts as queries
from services.scoring.rules import stake
from services.scoring.rules.wording import Text
from services.scoring.tables import AlertRow
from shared import outbox
from shared.db import Tx
from shared.events.scoring import AlertCleared, AlertRaised, Term
from shared.money import MINOR_MAX

log = structlog.get_logger()


def tell_raised(
    tx: Tx, alert: AlertRow, numbers: Collection[str], moved_by: Mover | None
) -> None:
    """It began, or begins again; `numbers`: those of its party."""
    cause, origin = causes.behind(tx, moved_by)
    outbox.enqueue(
        tx,
        AlertRaised(
            **_names(alert, numbers),
            at=alert.at,
            risk_ppm=alert.risk_ppm,
            contribution_minor=_tellable(alert.contribution_minor),
            margin_at_risk_minor=_tellable(alert.margin_at_risk_minor),
            recoverable_minor=_tellable(alert.recoverable_minor),
            currency=alert.currency,
            terms=_terms(tx, alert),
            text=alert.text,
            advice=alert.advice,
            opens_work=alert.rule not in stake.FINDINGS,
            cause=cause,
        ),
        origin=origin,
    )


def tell_cleared(  # noqa: PLR0917 - the parts of one fact
    tx: Tx, alert: AlertRow, numbers: Collection[str], at: datetime | None, said: Text,
    last: Mover | None,
) -> None:  # fmt: skip
    """It ended, or never was; `last`: what moved its rule last."""
    if not alert.told:
        return  # nobody knows of it
    _, origin = causes.behind(tx, last)
    outbox.enqueue(
        tx,
        AlertCleared(
            **_names(alert, numbers),
            at=at or tx.bank_now,
            reason_code=alert.reason_code or "no_longer_holds",
            risk_ppm=alert.risk_ppm,
            margin_at_risk_minor=_tellable(alert.margin_at_risk_minor),
            currency=alert.currency,
            text=said,
        ),
        origin=origin,
    )


def _names(alert: AlertRow, numbers: Collection[str]) -> dict[str, Any]:
    return {
        "alert_id": alert.alert_id,
        "party_id": alert.party_id,
        "rule": alert.rule,
        "episode": alert.episode,
        "customer_number": alert.customer_number,
        "customer_numbers": tuple(sorted(numbers)) or (alert.customer_number,),
    }


def _terms(tx: Tx, alert: AlertRow) -> tuple[Term, ...]:
    """An event that the store has not come to yet is not named; a page finds it later."""
    moved = queries.moved_by(tx.session, alert.signal_id)
    return tuple(
        Term(
            code=code,
            value=_tellable(value),
            event_ids=moved.get(code, tuple(alert.event_ids)),
        )
        for code, value in alert.terms.items()
    )


def _tellable(minor: int) -> int:
    """Within what an event may carry (2**53); more is no bank's figure, and is said in the log."""
    if abs(minor) > MINOR_MAX:
        log.error("figure_beyond_range", minor=minor)
        return MINOR_MAX if minor > 0 else -MINOR_MAX
    return minor
