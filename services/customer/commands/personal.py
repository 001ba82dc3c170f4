"""Clear reads of personal data: unsealed for one reader, with a reason, on record."""

from typing import Any

from sqlalchemy import insert, select

from services.customer.queries.parties import Party
from services.customer.rules.personal import Keyring
from services.customer.tables import SealedRow, SubjectKeyRow
from shared.db import AuditRow, Tx


def read_clear(
    tx: Tx, keys: Keyring, party: Party, actor_id: str, reason: str
) -> list[dict[str, Any]]:
    """The master data of each record in clear, and the texts of contacts. Writes the audit row
    in the same transaction: no reading without a trace."""
    tx.session.execute(
        insert(AuditRow).values(
            at=tx.wall_now,
            actor_id=actor_id,
            action="personal.read_clear",
            subject=f"party:{party.party_id}",
            detail={"reason": reason, "records": party.ids},
        )
    )
    wrapped = {
        r.party_id: r.wrapped
        for r in tx.session.scalars(
            select(SubjectKeyRow).where(SubjectKeyRow.party_id.in_(party.ids))
        )
    }
    rows = tx.session.scalars(
        select(SealedRow)
        .where(SealedRow.party_id.in_(party.ids))
        .order_by(SealedRow.party_id, SealedRow.kind, SealedRow.at)
    )
    return [
        {
            "party_id": row.party_id,
            "kind": row.kind,
            "ref": row.ref,
            "source": row.source,
            "at": row.at,
            **keys.unseal(bytes(wrapped[row.party_id]), row.party_id, bytes(row.sealed)),
        }
        for row in rows
        if row.party_id in wrapped
    ]
