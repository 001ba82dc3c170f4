"""The timeline: one row per event and party concerned, written set-based with its transaction."""

from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import text
from xxhash import xxh3_128_intdigest

from shared.db import Tx
from shared.events.envelope import Event

NOTE = text(
    """
    insert into timeline
           (party_id, at, entry_id, kind, code, amount_minor, currency, ref, facts)
    select * from unnest(
        cast(:party_id as text[]), cast(:at as timestamptz[]), cast(:entry_id as uuid[]),
        cast(:kind as text[]), cast(:code as text[]), cast(:amount_minor as bigint[]),
        cast(:currency as text[]), cast(:ref as text[]), cast(:facts as jsonb[]))
    on conflict do nothing
    """
).execution_options(as_arrays=True)


def entry_id_of(source: str, event_id: str) -> UUID:
    """The same event gives the same entry, whenever and however often it comes."""
    return UUID(int=xxh3_128_intdigest(f"{source}\x00{event_id}".encode()))


def note(
    tx: Tx,
    event: Event[Any],
    party_id: str,
    kind: str,
    code: str,
    *,
    amount_minor: int | None = None,
    currency: str | None = None,
    ref: str | None = None,
    facts: dict[str, Any] | None = None,
) -> None:
    """Queues an entry; `kind` is the filter of the page, `code` what its sentence is made of."""
    tx.bulk(
        NOTE,
        {
            "party_id": party_id,
            "at": event.time,
            "entry_id": entry_id_of(event.source, event.id),
            "kind": kind,
            "code": code,
            "amount_minor": amount_minor,
            "currency": currency,
            "ref": ref,
            "facts": msgspec.json.encode(facts).decode() if facts else None,
        },
    )
