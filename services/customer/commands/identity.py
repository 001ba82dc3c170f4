"""Merging and unmerging parties by hand, with an exact undo."""

from collections.abc import Collection

from sqlalchemy import func, select, text, update

from services.customer.rules import identity
from services.customer.tables import MergeRow, PartyRow
from shared import outbox
from shared.db import Tx
from shared.errors import NotFound
from shared.events.customer import IdentityMerged, IdentityUnmerged
from shared.ids import new_id
from shared.policy import Actor

MERGE_LOCK = text("select pg_advisory_xact_lock(hashtextextended('customer.merges', 0))")
EDGES = "open_merges"  # of this transaction, in session.info


def open_merges(tx: Tx) -> dict[str, str]:
    """From party -> into party of all merges that hold; read once a transaction."""
    found: dict[str, str] | None = tx.session.info.get(EDGES)
    if found is None:
        rows = tx.session.execute(
            select(MergeRow.from_party_id, MergeRow.into_party_id).where(
                MergeRow.unmerged_at.is_(None)
            )
        )
        found = tx.session.info[EDGES] = {r.from_party_id: r.into_party_id for r in rows}
    return found


def present_party(tx: Tx, party_id: str) -> str:
    """The party that a birth party is now."""
    return identity.root_of(party_id, open_merges(tx))


def merge_parties(
    tx: Tx, actor: Actor, from_party_id: str, into_party_id: str, reason: str
) -> MergeRow:
    """Makes two present parties one. Says so once for each number of the party that remains."""
    tx.session.execute(MERGE_LOCK)  # few and by hand: one at a time keeps circles out
    tx.session.info.pop(EDGES, None)
    roots = {p: _locked_root(tx, p) for p in (from_party_id, into_party_id)}
    identity.check_merge(from_party_id, into_party_id, roots)
    former, remaining = roots[from_party_id], roots[into_party_id]
    row = MergeRow(
        merge_id=new_id("MRG"),
        from_party_id=former,
        into_party_id=remaining,
        reason=reason,
        merged_by=actor.id,
        merged_at=tx.bank_now,
    )
    tx.session.add(row)
    tx.session.execute(update(PartyRow).where(PartyRow.root_id == former).values(root_id=remaining))
    tx.session.flush()
    tx.session.info.pop(EDGES, None)
    _say(tx, IdentityMerged, row.merge_id, remaining, former)
    return row


def merge_of(tx: Tx, merge_id: str) -> MergeRow:
    """Raises NotFound."""
    row = tx.session.get(MergeRow, merge_id)
    if row is None:
        raise NotFound({"zh-CN": f"没有合并记录 {merge_id}。", "en": f"No merge {merge_id}."})
    return row


def unmerge(tx: Tx, actor: Actor, merge_id: str) -> MergeRow:
    """Takes one merge back, whatever was merged before or after: its edge goes, the rest stays."""
    tx.session.execute(MERGE_LOCK)
    tx.session.info.pop(EDGES, None)
    row = merge_of(tx, merge_id)
    tx.session.refresh(row)  # as the lock's last holder left it
    if row.unmerged_at is not None:
        raise identity.MergeNotOpen(
            {"zh-CN": "该合并已撤销。", "en": "This merge was undone already."}
        )
    was = present_party(tx, row.from_party_id)
    row.unmerged_at, row.unmerged_by = tx.bank_now, actor.id
    tx.session.flush()
    tx.session.info.pop(EDGES, None)
    edges = open_merges(tx)
    members = tx.session.scalars(
        select(PartyRow)
        .where(PartyRow.root_id == was)
        .order_by(PartyRow.party_id)
        .with_for_update()
    ).all()
    for member in members:
        member.root_id = identity.root_of(member.party_id, edges)
    tx.session.flush()
    for party_id in sorted({m.root_id for m in members}):
        _say(tx, IdentityUnmerged, merge_id, party_id, was)
    return row


def numbers_of(tx: Tx, root_id: str) -> tuple[str, ...]:
    """All customer numbers of a present party, sorted."""
    return numbers_of_parties(tx, [root_id]).get(root_id, ())


def numbers_of_parties(tx: Tx, roots: Collection[str]) -> dict[str, tuple[str, ...]]:
    """All customer numbers of present parties, sorted; a party without any is not there."""
    found: dict[str, tuple[str, ...]] = {}
    rows = tx.session.execute(
        select(PartyRow.root_id, PartyRow.customer_number)
        .where(PartyRow.root_id.in_(roots), PartyRow.customer_number.is_not(None))
        .order_by(func.convert_to(PartyRow.customer_number, "UTF8"))
    )
    for root_id, number in rows:
        found[root_id] = (*found.get(root_id, ()), str(number))
    return found


def _locked_root(tx: Tx, party_id: str) -> str:
    row = tx.session.get(PartyRow, party_id, with_for_update=True)
    if row is None:
        raise NotFound({"zh-CN": f"没有当事人 {party_id}。", "en": f"No party {party_id}."})
    return row.root_id


def _say(
    tx: Tx,
    fact: type[IdentityMerged] | type[IdentityUnmerged],
    merge_id: str,
    party_id: str,
    former_party_id: str,
) -> None:
    numbers = numbers_of(tx, party_id)
    for number in numbers or (None,):
        outbox.enqueue(
            tx,
            fact(
                party_id=party_id,
                customer_number=number,
                merge_id=merge_id,
                former_party_id=former_party_id,
                customer_numbers=numbers,
            ),
        )
