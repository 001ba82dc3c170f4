"""Parties come into being, and get their master data. Personal data is sealed here."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, text, update
from sqlalchemy.dialects.postgresql import insert as upsert

from services.customer.commands.identity import numbers_of
from services.customer.rules.identity import party_of_number
from services.customer.rules.names import fold, parts
from services.customer.rules.personal import masked
from services.customer.settings import keyring
from services.customer.tables import BlindIndexRow, NamePartRow, PartyRow, SealedRow
from shared import outbox
from shared.db import Tx
from shared.events.customer import PartyRecorded
from shared.events.fact import PartyKind

PLACEHOLDER = text(
    """
    insert into parties (party_id, customer_number, root_id)
    select distinct p, n, p
      from unnest(cast(:party_id as text[]), cast(:customer_number as text[])) as x(p, n)
     order by p
    on conflict do nothing
    """
).execution_options(as_arrays=True)
LOCKED = text(
    """
    insert into parties (party_id, customer_number, prospect_id, root_id)
    values (:party_id, :customer_number, :prospect_id, :party_id)
    on conflict (party_id) do update set party_id = excluded.party_id
    returning master_as_of, folded, kind, root_id, home_branch_code
    """
)
SUBJECT_KEY = text(
    """
    insert into subject_keys (party_id, wrapped) values (:party_id, :wrapped)
    on conflict (party_id) do update set party_id = excluded.party_id
    returning wrapped
    """
)
SEAL = upsert(SealedRow)
SEAL = SEAL.on_conflict_do_update(
    index_elements=["party_id", "kind", "ref"],
    set_={name: SEAL.excluded[name] for name in ("sealed", "masks", "source", "at", "as_of")},
    where=SealedRow.as_of < SEAL.excluded.as_of,
)


@dataclass(frozen=True)
class Provenance:
    """Where a fact came from and when; `mark` orders the facts on one thing (rules.marks)."""

    source: str
    at: datetime
    mark: str


@dataclass(frozen=True, kw_only=True)
class Master:
    """Master data as a source recorded it. `personal` holds what must be sealed."""

    party_id: str
    kind: PartyKind | None
    name: str | None
    provenance: Provenance
    customer_number: str | None = None
    prospect_id: str | None = None
    firm: dict[str, Any] | None = None
    wanted: list[str] | None = None
    branch_code: str | None = None
    personal: dict[str, Any] = field(default_factory=dict)


def ensure_party(tx: Tx, customer_number: str) -> str:
    """The birth party of a number; a number heard of before its master data gets a placeholder."""
    party_id = party_of_number(customer_number)
    tx.bulk(PLACEHOLDER, {"party_id": party_id, "customer_number": customer_number})
    return party_id


def record_master(tx: Tx, master: Master) -> None:
    """Writes master data if it is the newest known; says `PartyRecorded` at its first."""
    was = tx.session.execute(
        LOCKED,
        {
            "party_id": master.party_id,
            "customer_number": master.customer_number,
            "prospect_id": master.prospect_id,
        },
    ).one()
    if master.provenance.mark <= was.master_as_of:
        return
    folded = fold(master.name or "")
    tx.session.execute(
        update(PartyRow)
        .where(PartyRow.party_id == master.party_id)
        .values(
            kind=master.kind,
            name=master.name,
            folded=folded,
            firm=master.firm,
            wanted=master.wanted,
            master_source=master.provenance.source,
            master_at=master.provenance.at,
            master_as_of=master.provenance.mark,
            **_place_of_prospect(master),
        )
    )
    if folded != was.folded:
        _index_name(tx, master.party_id, folded, had_name=bool(was.folded))
    _seal_master(tx, master, is_first=not was.master_as_of)
    if master.kind is not None and master.kind != was.kind:
        outbox.enqueue(
            tx,
            PartyRecorded(
                party_id=was.root_id,
                customer_number=master.customer_number,
                kind=master.kind,
                customer_numbers=numbers_of(tx, was.root_id),
                home_branch_code=master.branch_code or was.home_branch_code,
            ),
        )


def _place_of_prospect(master: Master) -> dict[str, str]:
    """Where a prospect was met; a customer's place comes with the bank's events."""
    if master.branch_code is None:
        return {}
    return {"home_branch_code": master.branch_code, "branch_code": master.branch_code}


def _index_name(tx: Tx, party_id: str, folded: str, *, had_name: bool) -> None:
    if had_name:
        tx.session.execute(delete(NamePartRow).where(NamePartRow.party_id == party_id))
    rows = [
        {"inner_part": position > 0, "part": part, "party_id": party_id, "position": position}
        for position, part in parts(folded)
    ]
    if rows:
        tx.session.execute(insert(NamePartRow), rows)


def _seal_master(tx: Tx, master: Master, *, is_first: bool) -> None:
    keys = keyring()
    if not is_first:
        tx.session.execute(delete(BlindIndexRow).where(BlindIndexRow.party_id == master.party_id))
    digests = {
        (keys.blind_index(kind, value), kind)
        for kind, value in _values(master.personal)
        if kind in ("phone", "document")
    }
    if digests:
        tx.session.execute(
            upsert(BlindIndexRow).on_conflict_do_nothing(),
            [
                {"digest": digest, "party_id": master.party_id, "kind": kind}
                for digest, kind in sorted(digests)
            ],
        )
    seal(tx, master.party_id, master.personal, master.provenance, kind="master")


def seal(
    tx: Tx,
    party_id: str,
    plain: dict[str, Any],
    provenance: Provenance,
    *,
    kind: str,
    ref: str = "",
) -> None:
    """Encrypts under the subject's key, made at first use. The newest mark stays."""
    keys = keyring()
    wrapped = tx.session.execute(
        SUBJECT_KEY, {"party_id": party_id, "wrapped": keys.new_subject_key(party_id)}
    ).scalar_one()
    tx.session.execute(
        SEAL,
        {
            "party_id": party_id,
            "kind": kind,
            "ref": ref,
            "masks": [{"kind": k, "masked": masked(k, v)} for k, v in _values(plain)],
            "source": provenance.source,
            "at": provenance.at,
            "as_of": provenance.mark,
            "sealed": keys.seal(bytes(wrapped), party_id, plain),
        },
    )


def record_contact_text(
    tx: Tx, customer_number: str, contact_id: str, words: str, provenance: Provenance
) -> None:
    """The free text of a contact is personal data: sealed, shown on a clear read only."""
    party_id = party_of_number(customer_number)
    tx.bulk(PLACEHOLDER, {"party_id": party_id, "customer_number": customer_number})
    seal(tx, party_id, {"text": words}, provenance, kind="contact_text", ref=contact_id)


def _values(personal: dict[str, Any]) -> list[tuple[str, str]]:
    """(kind, value) of everything sealed that a page can show masked."""
    found: list[tuple[str, str]] = []
    for kind in ("document", "phone", "email", "address", "birth_on", "legal_representative"):
        value = personal.get(kind)
        for one in value if isinstance(value, list) else [value]:
            if isinstance(one, dict):
                found.append((kind, str(one["number"])))
            elif one:
                found.append((kind, str(one)))
    return found
