"""What a present party holds, who it is related to, and what is open for it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import or_, select, tuple_, union
from sqlalchemy.orm import Session

from services.customer.tables import (
    AccountRow,
    AlertRow,
    ContactRow,
    HolderRow,
    LoanRow,
    ManagerRow,
    OrderRow,
    ProcessRow,
    RelationRow,
    ScoreRow,
    ServiceRequestRow,
    ServiceUseRow,
    TaskRow,
)

ROWS_MAX = 200  # of one panel; more is for export
ACCOUNT_KEY = (
    AccountRow.account_number,
    AccountRow.party_id,
    AccountRow.product_code,
    AccountRow.currency,
)
HELD_KEY = (
    HolderRow.account_number,
    HolderRow.owner_id,
    HolderRow.product_code,
    HolderRow.currency,
)


@dataclass(frozen=True)
class AccountHeld:
    """An account with the party's role and share in it."""

    account: AccountRow
    role: str
    share_ppm: int | None


def accounts_held(session: Session, party_ids: Sequence[str]) -> list[AccountHeld]:
    """Open accounts first. An account known only by its transactions has its owner as holder."""
    held = union(
        select(*ACCOUNT_KEY).where(AccountRow.party_id.in_(party_ids)),
        select(*HELD_KEY).where(HolderRow.party_id.in_(party_ids)),
    )
    rows = session.execute(
        select(AccountRow, HolderRow)
        .outerjoin(
            HolderRow,
            (tuple_(*HELD_KEY) == tuple_(*ACCOUNT_KEY)) & HolderRow.party_id.in_(party_ids),
        )
        .where(tuple_(*ACCOUNT_KEY).in_(held))
        .order_by(AccountRow.closed_on.is_not(None), *ACCOUNT_KEY)
        .limit(ROWS_MAX)
    )
    return [
        AccountHeld(
            account, holder.role if holder else "owner", holder.share_ppm if holder else None
        )
        for account, holder in rows
    ]


def loans_of(session: Session, party_ids: Sequence[str]) -> list[LoanRow]:
    return list(
        session.scalars(
            select(LoanRow)
            .where(LoanRow.party_id.in_(party_ids))
            .order_by(LoanRow.granted_on.desc().nulls_last(), LoanRow.loan_number)
            .limit(ROWS_MAX)
        )
    )


def services_used(session: Session, party_ids: Sequence[str]) -> list[ServiceUseRow]:
    return list(
        session.scalars(
            select(ServiceUseRow)
            .where(ServiceUseRow.party_id.in_(party_ids))
            .order_by(ServiceUseRow.kind, ServiceUseRow.ref)
            .limit(ROWS_MAX)
        )
    )


def managers_of(session: Session, party_ids: Sequence[str]) -> list[ManagerRow]:
    """All assignments, the latest first: who answered when."""
    return list(
        session.scalars(
            select(ManagerRow)
            .where(ManagerRow.party_id.in_(party_ids))
            .order_by(ManagerRow.effective_on.desc(), ManagerRow.account_number)
            .limit(ROWS_MAX)
        )
    )


def relations_of(session: Session, party_ids: Sequence[str], today: date) -> list[RelationRow]:
    """Both directions; those that ended come last."""
    return list(
        session.scalars(
            select(RelationRow)
            .where(
                or_(
                    RelationRow.from_party_id.in_(party_ids),
                    RelationRow.to_party_id.in_(party_ids),
                )
            )
            .order_by(
                (RelationRow.ended_on <= today).nulls_first(), RelationRow.effective_on.desc()
            )
            .limit(ROWS_MAX)
        )
    )


def contacts_of(session: Session, party_ids: Sequence[str], rows: int = 20) -> list[ContactRow]:
    return list(
        session.scalars(
            select(ContactRow)
            .where(ContactRow.party_id.in_(party_ids))
            .order_by(ContactRow.at.desc())
            .limit(rows)
        )
    )


def latest_score(session: Session, root_id: str) -> ScoreRow | None:
    """Of the present party; scoring publishes it under this id."""
    return session.get(ScoreRow, root_id)


def open_alerts(session: Session, party_ids: Sequence[str]) -> list[AlertRow]:
    """Raised and not cleared, by margin at risk. A later raise of the same id opens it again."""
    rows = session.scalars(
        select(AlertRow)
        .where(
            AlertRow.party_id.in_(party_ids),
            AlertRow.raised_as_of != "",
            or_(AlertRow.cleared_at.is_(None), AlertRow.cleared_as_of < AlertRow.raised_as_of),
        )
        .limit(ROWS_MAX)
    )
    return sorted(rows, key=lambda a: -int((a.raised or {}).get("margin_at_risk_minor", 0)))


def closed_alerts(session: Session, party_ids: Sequence[str], rows: int = 20) -> list[AlertRow]:
    return list(
        session.scalars(
            select(AlertRow)
            .where(
                AlertRow.party_id.in_(party_ids),
                AlertRow.cleared_as_of > AlertRow.raised_as_of,
            )
            .order_by(AlertRow.cleared_at.desc())
            .limit(rows)
        )
    )


def processes_of(session: Session, party_ids: Sequence[str]) -> list[ProcessRow]:
    """Open ones first, the newest first."""
    return list(
        session.scalars(
            select(ProcessRow)
            .where(ProcessRow.party_id.in_(party_ids))
            .order_by(ProcessRow.finished_at.is_not(None), ProcessRow.started_at.desc())
            .limit(50)
        )
    )


def tasks_of(session: Session, process_ids: Sequence[str]) -> list[TaskRow]:
    return list(
        session.scalars(
            select(TaskRow)
            .where(TaskRow.process_instance_id.in_(process_ids))
            .order_by(TaskRow.state == "completed", TaskRow.at.desc())
            .limit(ROWS_MAX)
        )
    )


def orders_of(session: Session, party_ids: Sequence[str]) -> list[OrderRow]:
    return list(
        session.scalars(
            select(OrderRow)
            .where(OrderRow.party_id.in_(party_ids))
            .order_by(OrderRow.at.desc())
            .limit(50)
        )
    )


def requests_of(session: Session, party_ids: Sequence[str]) -> list[ServiceRequestRow]:
    return list(
        session.scalars(
            select(ServiceRequestRow)
            .where(ServiceRequestRow.party_id.in_(party_ids))
            .order_by(ServiceRequestRow.requested_at.desc())
            .limit(50)
        )
    )
