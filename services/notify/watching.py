"""Who may watch what live. Deny by default: a hint that a party, an order or a process moved goes
only to those whom its owner would show it.

A place is judged when a hint comes, not when the stream opens: a page may be open before its order
is said for the first time, and a right may end while a page stays open.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.notify.tables import OrderPlaceRow, ProcessPlaceRow
from shared.clock import Clock, business_date
from shared.db import Database
from shared.directory import Directory
from shared.errors import NotAllowed
from shared.open_work import Desk, desk_of
from shared.policy import Actor, decide
from shared.reach import reach

# What one may watch needs what one must hold to see it.
WATCHING = {
    "party": "customer.view", "order": "order.view", "process": "process.view",
    "queue": "task.view", "scores": "score.view", "processes": "process.view",
    "orders": "order.view", "organisation": "process.view", "ops": "ops.view",
}  # fmt: skip
VERDICT_S = 60.0  # how long a yes holds; a no is asked again with the next hint

# All numbers of the present party behind an id, with who answers for each: as customer judges.
MEMBERS = text(
    """
    select n.member, n.born_as, n.party_id, m.manager_code,
           coalesce(m.branch_code, n.home_branch_code) as branch_code
      from party_numbers n
      left join lateral
           (select manager_code, branch_code from managers
             where member = n.member and effective_on <= :today
             order by effective_on desc, share_ppm desc, manager_code limit 1) m on true
     where n.party_id in (select party_id from party_numbers
                           where party_id = :party_id or born_as = :party_id)
    """
)


@dataclass(frozen=True, slots=True)
class Reader:
    """Who watches, with what he may see and do at this moment."""

    session: Session
    directory: Directory
    actor: Actor
    desk: Desk
    clock: Clock

    def sees_party(self, party_id: str) -> bool:
        scope = reach(self.directory, self.actor, WATCHING["party"])
        today = business_date(self.clock.bank_now(), self.clock.zone)
        rows = self.session.execute(MEMBERS, {"party_id": party_id, "today": today}).all()
        if scope.everything or any(scope.covers(m.manager_code, m.branch_code) for m in rows):
            return True
        ids = {party_id, *(m.born_as for m in rows), *(m.party_id for m in rows)}
        numbers = {m.member for m in rows}
        return self.desk.has_open(self.session, parties=ids, numbers=numbers)

    def sees_order(self, order_id: str) -> bool:
        place = self.session.get(OrderPlaceRow, order_id) or OrderPlaceRow()
        in_scope = decide(
            self.actor,
            WATCHING["order"],
            org_path=place.org_path or "",  # nowhere is in nobody's scope but the whole bank's
            owner_id=place.owner_id or "",
        )
        parties = {place.party_id} if place.party_id else set()
        return in_scope.allowed or self.desk.has_open(
            self.session, orders={order_id}, parties=parties
        )

    def sees_process(self, instance_id: str) -> bool:
        place = self.session.get(ProcessPlaceRow, instance_id) or ProcessPlaceRow(people=[])
        order = self.session.get(OrderPlaceRow, place.order_id) if place.order_id else None
        involved = {*place.people, order.maker_id if order else None}
        return (
            decide(self.actor, WATCHING["process"], org_path=place.org_path or "").allowed
            or not involved.isdisjoint(self.desk.staff_ids)
            or self.desk.has_open(self.session, processes={instance_id})
        )


PLACED: Mapping[str, Callable[[Reader, str], bool]] = {
    "party": Reader.sees_party,
    "order": Reader.sees_order,
    "process": Reader.sees_process,
}


class Watch:
    """What one stream lets through, by the rights its reader has when the hint comes."""

    def __init__(self, database: Database, directory: Directory, actor_id: str) -> None:
        self._database = database
        self._directory = directory
        self._actor_id = actor_id
        self._until: dict[str, float] = {}

    def lets_through(self, audience: str) -> bool:
        kind, _, name = audience.partition(":")
        if kind not in PLACED or self._until.get(audience, 0.0) > time.monotonic():
            return True
        clock = self._database.clock
        now = clock.bank_now()
        actor = self._directory.actor(self._actor_id, now)
        if actor is None or WATCHING[kind] not in actor.permissions:
            return False
        with self._database.read() as session:
            desk = desk_of(self._directory, actor, now)
            seen = PLACED[kind](Reader(session, self._directory, actor, desk, clock), name)
        if seen:
            self._until[audience] = time.monotonic() + VERDICT_S
        return seen


def check_audience(directory: Directory, actor: Actor, clock: Clock, audience: str) -> None:
    """Raises NotAllowed unless a page of the reader's may ask for it; the place of what it names
    is judged with each hint.

    His own desk and inbox always; as a deputy also the desk of whom he stands in for. A queue is
    watched by those who work on it: its role held at its department, or above it with a scope that
    reaches down.
    """
    kind, _, name = audience.partition(":")
    desk = desk_of(directory, actor, clock.bank_now())
    if kind == "staff":
        allowed = name in desk.staff_ids
    elif kind == "queue":
        role, _, org_path = name.partition(":")
        allowed = WATCHING[kind] in actor.permissions and desk.has(None, role, org_path)
    else:
        allowed = kind in WATCHING and WATCHING[kind] in actor.permissions
    if not allowed:
        raise NotAllowed(f"audience {audience} is not yours to watch")
