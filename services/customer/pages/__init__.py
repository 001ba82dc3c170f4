"""The customer service's pages: search, and the single customer view with its tabs.

Every panel is one fragment with one round of queries; it asks again when the stream hints at its
party, and says so while this service has not yet taken what the hint is about.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Form, Query
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from sqlalchemy.orm import Session

from services.customer.commands.identity import merge_of, merge_parties, unmerge
from services.customer.commands.personal import read_clear
from services.customer.pages.words import ICONS, TABS, TOLD, UNITS, word
from services.customer.queries import holdings
from services.customer.queries.labels import staff_of_codes
from services.customer.queries.parties import (
    Party,
    described,
    open_merges_of,
    party_in_reach,
    sealed_of,
)
from services.customer.queries.search import cursor_of, search
from services.customer.queries.timeline import KINDS, timeline, timeline_cursor_of
from services.customer.settings import keyring
from shared.clock import business_date
from shared.errors import Invalid, NotFound
from shared.http import Context, requires

router = APIRouter()

View = Annotated[Context, requires("customer.view")]
Edit = Annotated[Context, requires("customer.edit")]
Find = Annotated[Context, requires("customer.search")]
At = Annotated[str | None, Query(max_length=200)]
CursorText = Annotated[str | None, Query(max_length=400)]
Reason = Annotated[str, Form(min_length=3, max_length=500)]


@dataclass(frozen=True)
class Cut:
    """Which part of a timeline: its filter, and where the page before ended."""

    kind: str | None = None
    cursor: CursorText = None


CutIn = Annotated[Cut, Depends()]


def _party(ctx: Context, session: Session, party_id: str, permission: str) -> Party:
    """To see is given by a task too; to change, or to read in clear, by the data scope alone."""
    sees = ctx.desk() if permission == "customer.view" else None
    return party_in_reach(session, party_id, ctx.reach(permission), sees)


def _page(ctx: Context, template: str, **values: Any) -> HTMLResponse:
    return ctx.page(template, word=word, icons=ICONS, **values)


# Search --------------------------------------------------------------------------------------


@router.get("/search")
def search_page(
    ctx: Find, q: Annotated[str, Query(max_length=100)] = "", cursor: CursorText = None
) -> HTMLResponse:
    return _page(ctx, "search.html", q=q, cursor=cursor, **_found(ctx, q, cursor))


@router.get("/search/hits")
def search_hits(
    ctx: Find, q: Annotated[str, Query(max_length=100)] = "", cursor: CursorText = None
) -> HTMLResponse:
    """What the page asks for while somebody types."""
    return _page(ctx, "hits.html", q=q, cursor=cursor, **_found(ctx, q, cursor))


def _found(ctx: Context, q: str, cursor: str | None) -> dict[str, Any]:
    try:
        after = cursor_of(cursor)
    except ValueError:
        raise Invalid("cursor") from None
    scope = ctx.reach("customer.search")
    with ctx.read() as session:
        found = search(session, q, scope, keyring(), after)
        branches = {("branch", hit.home_branch_code or "") for hit in found.hits}
        return {
            "found": found,
            "branch_names": described(session, branches),
            "staff_ids": staff_of_codes(ctx.runtime.directory),
        }


# The customer page ---------------------------------------------------------------------------


@router.get("/parties/{party_id}")
def party_page(party_id: str, ctx: View, cut: CutIn, tab: str = "timeline") -> Response:
    """The whole page with one tab open; every tab and filter has its own address."""
    if tab not in TABS:
        raise NotFound({"zh-CN": "没有这个页签。", "en": "There is no such tab."})
    with ctx.read() as session:
        party = _party(ctx, session, party_id, "customer.view")
        if party.party_id != party_id:
            return RedirectResponse(f"/customer/parties/{party.party_id}?tab={tab}", 303)
        values = _head(ctx, session, party) | _panel(ctx, session, party, tab, cut)
        return _page(
            ctx, "party.html", tabs=TABS, tab=tab, kind=cut.kind, party=party, stale=False, **values
        )


@router.get("/parties/{party_id}/head")
def party_head(party_id: str, ctx: View, at: At = None) -> HTMLResponse:
    stale = ctx.stale(at)
    with ctx.read() as session:
        party = _party(ctx, session, party_id, "customer.view")
        values = _head(ctx, session, party)
        return _page(ctx, "head_fragment.html", party=party, stale=stale, **values)


@router.get("/parties/{party_id}/tabs/{tab}")
def party_tab(party_id: str, tab: str, ctx: View, cut: CutIn, at: At = None) -> HTMLResponse:
    if tab not in TABS:
        raise NotFound({"zh-CN": "没有这个页签。", "en": "There is no such tab."})
    stale = ctx.stale(at)
    with ctx.read() as session:
        party = _party(ctx, session, party_id, "customer.view")
        values = _panel(ctx, session, party, tab, cut)
        return _page(
            ctx, f"tab_{tab}.html", tab=tab, kind=cut.kind, party=party, stale=stale, **values
        )


def _head(ctx: Context, session: Session, party: Party) -> dict[str, Any]:
    alerts = holdings.open_alerts(session, party.ids)
    branch = party.home_branch_code
    return {
        "score": holdings.latest_score(session, party.party_id),
        "alerts": alerts,
        "manager_id": staff_of_codes(ctx.runtime.directory).get(party.manager_code or ""),
        "branch_names": described(session, {("branch", branch)}) if branch else {},
    }


def _panel(ctx: Context, session: Session, party: Party, tab: str, cut: Cut) -> dict[str, Any]:
    if tab == "timeline":
        return _timeline_panel(ctx, session, party, cut)
    return PANELS[tab](ctx, session, party)


def _timeline_panel(ctx: Context, session: Session, party: Party, cut: Cut) -> dict[str, Any]:
    if cut.kind is not None and cut.kind not in KINDS:
        raise Invalid("kind", {"zh-CN": "没有这种类别。", "en": "There is no such kind."})
    try:
        after = timeline_cursor_of(cut.cursor)
    except ValueError:
        raise Invalid("cursor") from None
    entries, next_cursor = timeline(session, party.ids, kind=cut.kind, after=after)
    products = {("product", code) for e in entries if (code := (e.facts or {}).get("product"))}
    return {
        "entries": entries,
        "next_cursor": next_cursor,
        "kinds": KINDS,
        "cursor": cut.cursor,
        "told": TOLD,
        "products": described(session, products),
        "roles": ctx.runtime.directory.records("role"),
    }


def _holdings_panel(_ctx: Context, session: Session, party: Party) -> dict[str, Any]:
    accounts = holdings.accounts_held(session, party.ids)
    loans = holdings.loans_of(session, party.ids)
    used = holdings.services_used(session, party.ids)
    codes = {h.account.product_code for h in accounts} | {row.product_code for row in loans}
    codes |= {row.facts.get("product_code") for row in used}
    return {
        "accounts": accounts,
        "loans": loans,
        "services": used,
        "products": described(session, {("product", c) for c in codes if c}),
    }


def _value_panel(_ctx: Context, session: Session, party: Party) -> dict[str, Any]:
    return {"score": holdings.latest_score(session, party.party_id)}


def _risk_panel(_ctx: Context, session: Session, party: Party) -> dict[str, Any]:
    score = holdings.latest_score(session, party.party_id)
    risks = (score.facts.get("risks") or []) if score is not None else []
    codes = {("product", code) for one in risks if (code := one.get("product_code"))}
    return {
        "score": score,
        "products": described(session, codes),
        "units": UNITS,
        "alerts": holdings.open_alerts(session, party.ids),
        "cleared": holdings.closed_alerts(session, party.ids),
    }


def _work_panel(ctx: Context, session: Session, party: Party) -> dict[str, Any]:
    processes = holdings.processes_of(session, party.ids)
    tasks: dict[str, list[Any]] = {}
    for task in holdings.tasks_of(session, [p.process_instance_id for p in processes]):
        tasks.setdefault(task.process_instance_id, []).append(task)
    return {
        "processes": processes,
        "tasks": tasks,
        "roles": ctx.runtime.directory.records("role"),
        "requests": holdings.requests_of(session, party.ids),
        "contacts": holdings.contacts_of(session, party.ids),
    }


def _orders_panel(_ctx: Context, session: Session, party: Party) -> dict[str, Any]:
    return {"orders": holdings.orders_of(session, party.ids)}


def _relations_panel(ctx: Context, session: Session, party: Party) -> dict[str, Any]:
    today = business_date(ctx.clock.bank_now(), ctx.clock.zone)
    managers = holdings.managers_of(session, party.ids)
    return {
        "relations": holdings.relations_of(session, party.ids, today),
        "managers": managers,
        "branch_names": described(session, {("branch", m.branch_code or "") for m in managers}),
        "staff_ids": staff_of_codes(ctx.runtime.directory),
        "today": today,
    }


def _data_panel(_ctx: Context, session: Session, party: Party) -> dict[str, Any]:
    codes: set[tuple[str, str]] = set()
    for one in party.members:
        codes |= {("branch", one.home_branch_code or ""), ("district", one.district_code or "")}
        codes |= {("product", code) for code in one.wanted or ()}
    return {
        "described": described(session, codes),
        "sealed": {row.party_id: row for row in sealed_of(session, party)},
        "merges": open_merges_of(session, party),
    }


PANELS: dict[str, Callable[[Context, Session, Party], dict[str, Any]]] = {
    "holdings": _holdings_panel,
    "value": _value_panel,
    "risk": _risk_panel,
    "work": _work_panel,
    "orders": _orders_panel,
    "relations": _relations_panel,
    "data": _data_panel,
}


# Acts ----------------------------------------------------------------------------------------


@router.post("/parties/{party_id}/clear")
def clear_data(party_id: str, ctx: Edit, reason: Reason) -> HTMLResponse:
    """Personal data in clear, once, into the page; the reading is on record."""
    with ctx.transaction() as tx:
        party = _party(ctx, tx.session, party_id, "customer.edit")
        records = read_clear(tx, keyring(), party, ctx.actor.id, reason)
    return _page(ctx, "clear.html", party_id=party_id, records=records, reason=reason)


@router.post("/parties/{party_id}/merge")
def merge_into(
    party_id: str, ctx: Edit, from_party_id: Annotated[str, Form()], reason: Reason
) -> Response:
    with ctx.transaction() as tx:
        party = _party(ctx, tx.session, party_id, "customer.edit")
        other = _party(ctx, tx.session, from_party_id.strip(), "customer.edit")
        merge_parties(tx, ctx.actor, other.party_id, party.party_id, reason)
    return _to_data(party.party_id)


@router.post("/merges/{merge_id}/undo")
def undo_merge(merge_id: str, ctx: Edit) -> Response:
    with ctx.transaction() as tx:
        row = merge_of(tx, merge_id)
        party = _party(ctx, tx.session, row.into_party_id, "customer.edit")
        unmerge(tx, ctx.actor, merge_id)
    return _to_data(party.party_id)


def _to_data(party_id: str) -> Response:
    """htmx follows this header by itself; a redirect it would swap into the form."""
    return Response(
        status_code=204, headers={"HX-Redirect": f"/customer/parties/{party_id}?tab=data"}
    )
