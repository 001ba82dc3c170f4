"""Present parties: who they are, and whether a reader may see them."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from sqlalchemy import ColumnElement, false, or_, select, true
from sqlalchemy.orm import Session

from services.customer.queries.work import parties_on_desk
from services.customer.tables import DescribedRow, MergeRow, PartyRow, SealedRow
from shared.errors import NotFound
from shared.open_work import Desk
from shared.reach import Reach


@dataclass(frozen=True)
class Party:
    """A present party: the head of the single customer view and all birth records behind it."""

    head: PartyRow
    members: tuple[PartyRow, ...]

    @property
    def party_id(self) -> str:
        return self.head.party_id

    @property
    def ids(self) -> list[str]:
        """The birth ids under which everything is kept."""
        return [m.party_id for m in self.members]

    @property
    def numbers(self) -> list[str]:
        return [m.customer_number for m in self.members if m.customer_number]

    @property
    def name(self) -> str | None:
        """Of the head, else of the first member that has one."""
        return self.head.name or next((m.name for m in self.members if m.name), None)

    @property
    def kind(self) -> str | None:
        return self.head.kind or next((m.kind for m in self.members if m.kind), None)

    def _placed(self, column: str) -> Any:
        found = [getattr(m, column) for m in (self.head, *self.members)]
        return next((value for value in found if value is not None), None)

    @property
    def manager_code(self) -> str | None:
        return self._placed("manager_code")  # type: ignore[no-any-return]

    @property
    def manager_since_on(self) -> date | None:
        return self._placed("manager_since_on")  # type: ignore[no-any-return]

    @property
    def home_branch_code(self) -> str | None:
        return self._placed("home_branch_code")  # type: ignore[no-any-return]

    @property
    def region_code(self) -> str | None:
        return self._placed("region_code")  # type: ignore[no-any-return]


def no_party(party_id: str) -> NotFound:
    """The same answer for a party that is not there and one outside the reader's scope."""
    return NotFound(
        {
            "zh-CN": f"没有当事人 {party_id},或不在您的数据权限内。",
            "en": f"There is no party {party_id}, or it is outside your data scope.",
        }
    )


def party_in_reach(
    session: Session, party_id: str, reach: Reach, desk: Desk | None = None
) -> Party:
    """The present party behind an id, if any of its records is in reach, or an open task on the
    desk is about it. Raises NotFound."""
    root_id = session.scalar(select(PartyRow.root_id).where(PartyRow.party_id == party_id))
    if root_id is None:
        raise no_party(party_id)
    members = session.scalars(
        select(PartyRow).where(PartyRow.root_id == root_id).order_by(PartyRow.party_id)
    ).all()
    in_scope = any(reach.covers(m.manager_code, m.branch_code) for m in members)
    if not in_scope and not (desk and parties_on_desk(session, {root_id}, desk)):
        raise no_party(party_id)
    head = next(m for m in members if m.party_id == root_id)
    return Party(head, tuple(members))


def in_reach(reach: Reach) -> ColumnElement[bool]:
    """The data scope as a condition on `parties`."""
    if reach.everything:
        return true()
    if not reach.manager_codes and not reach.branch_codes:
        return false()
    return or_(
        PartyRow.manager_code.in_(sorted(reach.manager_codes)),
        PartyRow.branch_code.in_(sorted(reach.branch_codes)),
    )


def sealed_of(session: Session, party: Party) -> list[SealedRow]:
    """Master data of each record, sealed, with its masks."""
    return list(
        session.scalars(
            select(SealedRow)
            .where(SealedRow.party_id.in_(party.ids), SealedRow.kind == "master")
            .order_by(SealedRow.party_id)
        )
    )


def open_merges_of(session: Session, party: Party) -> list[MergeRow]:
    return list(
        session.scalars(
            select(MergeRow)
            .where(MergeRow.from_party_id.in_(party.ids), MergeRow.unmerged_at.is_(None))
            .order_by(MergeRow.merged_at)
        )
    )


Coded = tuple[str, str]  # kind and code


def described(session: Session, codes: set[Coded]) -> dict[Coded, dict[str, str]]:
    """(kind, code) -> names in both languages, for products and branches."""
    wanted = sorted({code for _, code in codes})
    rows = session.scalars(select(DescribedRow).where(DescribedRow.code.in_(wanted)))
    return {(r.kind, r.code): r.names for r in rows if (r.kind, r.code) in codes}
