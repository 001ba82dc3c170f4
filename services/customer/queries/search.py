"""Search: any part of a name, the start of a number, an exact phone or document.

A reader who may see everything is served by one range of the suffix index, already in page
order. A reader with a scope is served from his scope: his customers are few enough to be looked
at one by one (measured in tests/load/bench_search.py), where the suffix index would have to skip
everyone else's.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Row, text
from sqlalchemy.orm import Session

from services.customer.rules.names import PART_CHARS_MAX, after_all_with_prefix, fold
from services.customer.rules.personal import Keyring, looks_like_phone
from shared.reach import Reach

PAGE_ROWS = 20
# The index may name a party once per occurrence in its name; this many are read to fill a page.
PARTS_READ = 4 * PAGE_ROWS

# Two limits: the inner one bounds the index range, whatever the planner thinks of the join. The
# range has one lower bound, the row: beside a second one (part >= ...) PostgreSQL 18 starts its
# scan at the wrong one and reads all that lies before (measured: 500 ms at 3 M parts).
BY_PART = text(
    """
    select p.party_id, p.root_id, p.customer_number, p.name, p.kind, p.manager_code,
           p.home_branch_code, n.part, strpos(p.folded, :query) = n.position + 1 as is_hit
      from (select part, party_id, position from name_parts
             where inner_part = :inner_part
               and (part, party_id) > (:after_part, :after_party) and part < :beyond
             order by part, party_id
             limit :rows) n
      join parties p on p.party_id = n.party_id
     order by n.part, n.party_id
    """
)
# Two index-only walks, each bounded by its own limit: a branch's customers lie side by side in
# the index, but all over the table.
BY_PART_IN_REACH = text(
    """
    select p.party_id, p.root_id, p.customer_number, p.name, p.kind, p.manager_code,
           p.home_branch_code, p.folded
      from (
          (select folded as folded, party_id from parties
            where manager_code = any(:managers) and strpos(folded, :query) > 0
              and (folded, party_id) > (:after_part, :after_party)
            order by folded, party_id limit :rows)
          union
          (select folded, party_id from parties
            where branch_code = any(:branches) and strpos(folded, :query) > 0
              and (folded, party_id) > (:after_part, :after_party)
            order by folded, party_id limit :rows)
      ) found
      join parties p on p.party_id = found.party_id
     order by p.folded, p.party_id
     limit :rows
    """
)
BY_NUMBER = text(
    """
    select p.party_id, p.root_id, p.customer_number, p.name, p.kind, p.manager_code,
           p.home_branch_code
      from parties p
     where p.customer_number ~>=~ :prefix and p.customer_number ~<~ :beyond
       and (:everything or p.manager_code = any(:managers) or p.branch_code = any(:branches))
     order by p.customer_number using ~<~
     limit :rows
    """
)
BY_ACCOUNT = text(
    """
    select p.party_id, p.root_id, p.customer_number, p.name, p.kind, p.manager_code,
           p.home_branch_code
      from parties p
     where p.party_id in (select a.party_id from accounts a where a.account_number = :number)
       and (:everything or p.manager_code = any(:managers) or p.branch_code = any(:branches))
     order by p.party_id
    """
)
BY_DIGEST = text(
    """
    select p.party_id, p.root_id, p.customer_number, p.name, p.kind, p.manager_code,
           p.home_branch_code
      from blind_indexes b join parties p on p.party_id = b.party_id
     where b.digest = :digest
       and (:everything or p.manager_code = any(:managers) or p.branch_code = any(:branches))
     order by p.party_id
     limit :rows
    """
)


@dataclass(frozen=True)
class Hit:
    """A found party, and by what: number, account, phone, document or name."""

    party_id: str  # the present party
    customer_number: str | None
    name: str | None
    kind: str | None
    manager_code: str | None
    home_branch_code: str | None
    by: str


@dataclass(frozen=True)
class Found:
    hits: list[Hit]
    next_cursor: str | None


class Cursor(msgspec.Struct, frozen=True, array_like=True):
    """Where a page of name hits ended: the phase of the index and its last key."""

    inner_part: bool = False
    part: str = ""
    party_id: str = ""

    def text(self) -> str:
        return urlsafe_b64encode(msgspec.json.encode(self)).decode().rstrip("=")


def cursor_of(given: str | None) -> Cursor | None:
    """Raises ValueError for a cursor that was not ours."""
    if not given:
        return None
    raw = urlsafe_b64decode(given + "=" * (-len(given) % 4))
    return msgspec.json.decode(raw, type=Cursor)


def search(
    session: Session, query: str, reach: Reach, keys: Keyring, cursor: Cursor | None = None
) -> Found:
    """Exact finds first, on the first page only; then names that begin with the query, then
    names that hold it further in."""
    query = query.strip()
    if not query or not (reach.everything or reach.manager_codes or reach.branch_codes):
        return Found([], None)
    hits = [] if cursor else _exact(session, query, reach, keys)
    folded = fold(query)
    following: Cursor | None = None
    if folded:
        by_name = _everywhere if reach.everything else _in_reach
        named, following = by_name(session, folded, reach, cursor or Cursor())
        hits += named
    seen: set[str] = set()
    distinct = [h for h in hits if not (h.party_id in seen or seen.add(h.party_id))]  # type: ignore[func-returns-value]
    return Found(distinct, following.text() if following else None)


def _exact(session: Session, query: str, reach: Reach, keys: Keyring) -> list[Hit]:
    scope = {**_scope(reach), "rows": PAGE_ROWS}
    hits: list[Hit] = []
    if query.isascii() and 2 <= len(query) <= 64:
        span = {"prefix": query, "beyond": after_all_with_prefix(query)}
        hits += [_hit(r, "number") for r in session.execute(BY_NUMBER, {**scope, **span})]
        account = session.execute(BY_ACCOUNT, {**_scope(reach), "number": query})
        hits += [_hit(r, "account") for r in account]
    kinds = ["phone"] if looks_like_phone(query) else []
    if query.isascii() and len(query) >= 8:
        kinds.append("document")
    for kind in kinds:
        rows = session.execute(BY_DIGEST, {**scope, "digest": keys.blind_index(kind, query)})
        hits += [_hit(r, kind) for r in rows]
    return hits


def _everywhere(
    session: Session, folded: str, _reach: Reach, cursor: Cursor
) -> tuple[list[Hit], Cursor | None]:
    """Reads the index range in page order until the page is full or both phases are through."""
    hits: list[Hit] = []
    at = cursor
    while True:
        rows = _parts(session, folded, at)
        for row in rows:
            at = Cursor(at.inner_part, row.part, row.party_id)
            if row.is_hit:
                hits.append(_hit(row, "name"))
            if len(hits) == PAGE_ROWS:
                return hits, at
        if len(rows) == PARTS_READ:
            continue
        if at.inner_part:
            return hits, None
        at = Cursor(inner_part=True)


def _parts(session: Session, folded: str, at: Cursor) -> list[Row[Any]]:
    prefix = folded[:PART_CHARS_MAX]
    return list(
        session.execute(
            BY_PART,
            {
                "inner_part": at.inner_part,
                "query": folded,
                "beyond": after_all_with_prefix(prefix),
                "after_part": at.part or prefix,
                "after_party": at.party_id,
                "rows": PARTS_READ,
            },
        )
    )


def _in_reach(
    session: Session, folded: str, reach: Reach, cursor: Cursor
) -> tuple[list[Hit], Cursor | None]:
    rows = list(
        session.execute(
            BY_PART_IN_REACH,
            {
                **_scope(reach),
                "query": folded,
                "after_part": cursor.part,
                "after_party": cursor.party_id,
                "rows": PAGE_ROWS + 1,
            },
        )
    )
    hits = [_hit(row, "name") for row in rows[:PAGE_ROWS]]
    if len(rows) <= PAGE_ROWS:
        return hits, None
    last = rows[PAGE_ROWS - 1]
    return hits, Cursor(True, last.folded, last.party_id)


def _scope(reach: Reach) -> dict[str, Any]:
    return {
        "everything": reach.everything,
        "managers": sorted(reach.manager_codes),
        "branches": sorted(reach.branch_codes),
    }


def _hit(row: Row[Any], by: str) -> Hit:
    return Hit(
        party_id=row.root_id,
        customer_number=row.customer_number,
        name=row.name,
        kind=row.kind,
        manager_code=row.manager_code,
        home_branch_code=row.home_branch_code,
        by=by,
    )
