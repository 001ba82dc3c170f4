"""The customer service's API: the view, search, labels, merges, the intake of bank events."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, HTTPException, Query, Request
from fastapi.responses import JSONResponse, Response

from services.customer.commands import identity, intake, requests
from services.customer.commands.personal import read_clear
from services.customer.queries import holdings
from services.customer.queries.labels import LABELS_MAX, labels, staff_of_codes
from services.customer.queries.parties import Party, party_in_reach, sealed_of
from services.customer.queries.search import cursor_of, search
from services.customer.queries.timeline import KINDS, timeline, timeline_cursor_of
from services.customer.rules.intake import BODY_BYTES_MAX, BadBatch, BadEvent, read_events
from services.customer.schemas import (
    AccountOut,
    AlertOut,
    ClearReadIn,
    EntryOut,
    FoundOut,
    HitOut,
    LoanOut,
    MergeIn,
    MergeOut,
    PartyOut,
    ServiceRequestIn,
    ServiceRequestOut,
    TakenOut,
    TimelineOut,
)
from services.customer.settings import keyring
from shared.db import Tx
from shared.errors import Invalid
from shared.http import Context, requires

router = APIRouter()

QueryText = Annotated[str, Query(max_length=100)]
CursorText = Annotated[str | None, Query(max_length=400)]


def _party(ctx: Context, session: Any, party_id: str, permission: str) -> Party:
    """To see is given by a task too; to change, or to read in clear, by the data scope alone."""
    sees = ctx.desk() if permission == "customer.view" else None
    return party_in_reach(session, party_id, ctx.reach(permission), sees)


# The view ------------------------------------------------------------------------------------


@router.get("/api/parties/{party_id}")
def party_view(party_id: str, ctx: Annotated[Context, requires("customer.view")]) -> PartyOut:
    """The single customer view of the present party behind an id."""
    with ctx.read() as session:
        party = _party(ctx, session, party_id, "customer.view")
        return PartyOut.of(
            party,
            manager_staff_id=staff_of_codes(ctx.runtime.directory).get(party.manager_code or ""),
            masked=[
                {"party_id": s.party_id, "source": s.source, "at": s.at, "fields": s.masks}
                for s in sealed_of(session, party)
            ],
            accounts=[
                AccountOut.of(h.account, h.role, h.share_ppm)
                for h in holdings.accounts_held(session, party.ids)
            ],
            loans=[LoanOut.of(row) for row in holdings.loans_of(session, party.ids)],
            open_alerts=[AlertOut.of(row) for row in holdings.open_alerts(session, party.ids)],
            score=holdings.latest_score(session, party.party_id),
        )


@router.get("/api/parties/{party_id}/timeline")
def party_timeline(
    party_id: str,
    ctx: Annotated[Context, requires("customer.view")],
    kind: str | None = None,
    cursor: CursorText = None,
) -> TimelineOut:
    """Newest first; `kind` is one of the filters of the page."""
    if kind is not None and kind not in KINDS:
        raise Invalid("kind", {"zh-CN": "没有这种类别。", "en": "There is no such kind."})
    try:
        after = timeline_cursor_of(cursor)
    except ValueError:
        raise Invalid("cursor") from None
    with ctx.read() as session:
        party = _party(ctx, session, party_id, "customer.view")
        entries, next_cursor = timeline(session, party.ids, kind=kind, after=after)
        return TimelineOut(entries=[EntryOut.of(e) for e in entries], next_cursor=next_cursor)


@router.post("/api/parties/{party_id}/personal")
def personal_data(
    party_id: str, body: ClearReadIn, ctx: Annotated[Context, requires("customer.edit")]
) -> list[dict[str, Any]]:
    """Personal data in clear. A reason is asked for and kept with who read what, and when."""
    with ctx.transaction() as tx:
        party = _party(ctx, tx.session, party_id, "customer.edit")
        return read_clear(tx, keyring(), party, ctx.actor.id, body.reason)


@router.get("/api/search")
def find(
    ctx: Annotated[Context, requires("customer.search")],
    q: QueryText = "",
    cursor: CursorText = None,
) -> FoundOut:
    """Any part of a name, the start of a number, an exact account, phone or document."""
    try:
        after = cursor_of(cursor)
    except ValueError:
        raise Invalid("cursor") from None
    scope = ctx.reach("customer.search")
    with ctx.read() as session:
        found = search(session, q, scope, keyring(), after)
    return FoundOut(hits=[HitOut.of(h) for h in found.hits], next_cursor=found.next_cursor)


@router.get("/labels")
def names(
    ctx: Annotated[Context, requires("customer.view")],
    ids: Annotated[str, Query(max_length=20_000)] = "",
) -> dict[str, str]:
    """Names for `party:`, `number:` and `account:` ids, comma separated; unknown ones and those
    out of the reader's sight are left out."""
    asked = [one for one in ids.split(",") if one]
    if len(asked) > LABELS_MAX:
        raise Invalid("ids", f"at most {LABELS_MAX} ids at once")
    scope = ctx.reach("customer.view")
    with ctx.read() as session:
        return labels(session, asked, scope, ctx.desk())


# Acts ----------------------------------------------------------------------------------------


@router.post("/api/parties/{party_id}/merges", status_code=201)
def merge(
    party_id: str, body: MergeIn, ctx: Annotated[Context, requires("customer.edit")]
) -> MergeOut:
    """Makes another party part of this one. Both must be in the actor's scope."""
    with ctx.transaction() as tx:
        for one in (party_id, body.from_party_id):
            _party(ctx, tx.session, one, "customer.edit")
        row = identity.merge_parties(tx, ctx.actor, body.from_party_id, party_id, body.reason)
        return MergeOut.of(row)


@router.delete("/api/merges/{merge_id}")
def unmerge(merge_id: str, ctx: Annotated[Context, requires("customer.edit")]) -> MergeOut:
    """Takes a merge back exactly."""
    with ctx.transaction() as tx:
        _check_merge_in_scope(ctx, tx, merge_id)
        return MergeOut.of(identity.unmerge(tx, ctx.actor, merge_id))


def _check_merge_in_scope(ctx: Context, tx: Tx, merge_id: str) -> None:
    row = identity.merge_of(tx, merge_id)
    _party(ctx, tx.session, row.into_party_id, "customer.edit")


@router.post("/api/parties/{party_id}/service-requests", status_code=201)
def request_service(
    party_id: str, body: ServiceRequestIn, ctx: Annotated[Context, requires("customer.edit")]
) -> ServiceRequestOut:
    if body.due_at is not None and body.due_at.tzinfo is None:
        raise Invalid("due_at", {"zh-CN": "时间须带时区。", "en": "The instant needs a time zone."})
    with ctx.transaction() as tx:
        party = _party(ctx, tx.session, party_id, "customer.edit")
        row = requests.request_service(
            tx,
            ctx.actor,
            party.party_id,
            body.kind,
            topic_code=body.topic_code,
            channel_code=body.channel_code,
            due_at=body.due_at,
        )
        return ServiceRequestOut(request_id=row.request_id)


# Intake --------------------------------------------------------------------------------------


# One dependency for both, so that the token is checked once, and before the body is read.
Publish = Annotated[Context, requires("bank_events.publish")]


async def bounded_body(request: Request, _ctx: Publish) -> bytes:
    """The body, never more than the limit in memory; asked for after the permission."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > BODY_BYTES_MAX:
            raise HTTPException(413, f"The body is larger than {BODY_BYTES_MAX} bytes.")
    return bytes(body)


@router.post("/bank-events", status_code=202, response_model=TakenOut)
def take_bank_events(
    ctx: Publish,
    body: Annotated[bytes, Depends(bounded_body)],
) -> TakenOut | Response:
    """One CloudEvent or a list of them. 202: durable. Otherwise nothing of it was taken."""
    try:
        events = read_events(body)
    except BadBatch as refused:
        return _refused(ctx, 422, "bad_event", *refused.bad)
    try:
        with ctx.transaction() as tx:
            result = intake.take_bank_events(
                tx, events, lambda: len(ctx.runtime.broker.partitions("bank.events"))
            )
    except intake.IdentityConflict as conflict:
        return _refused(
            ctx, 409, conflict.code, BadEvent(conflict.index, "id", conflict.text("en"))
        )
    return TakenOut(taken=result.taken, repeated=result.repeated)


def _refused(ctx: Context, status: int, code: str, first: BadEvent, *others: BadEvent) -> Response:
    return JSONResponse(
        {
            "code": code,
            "message": str(first),
            "index": first.index,
            "fields": [{"field": first.field, "reason": first.reason}],
            "errors": [
                {"index": bad.index, "field": bad.field, "reason": bad.reason}
                for bad in (first, *others)
            ],
            "correlation_id": ctx.correlation_id,
        },
        status_code=status,
        media_type="application/problem+json",
    )
