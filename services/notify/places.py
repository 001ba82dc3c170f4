"""Where parties, orders and processes are: what their owners say of it, kept for the live stream.

Later facts leave standing what they do not say themselves.
"""

from typing import Any

from sqlalchemy import text

from shared import open_work
from shared.db import Tx
from shared.events.customer import (
    IdentityMerged,
    IdentityUnmerged,
    ManagerChanged,
    PartyFact,
    PartyRecorded,
)
from shared.events.envelope import Event
from shared.events.orders import OrderFact
from shared.events.workflow import ProcessFact

# Facts that say which party a number is, or who answers for it.
PLACING = (PartyRecorded, ManagerChanged, IdentityMerged, IdentityUnmerged)
PARTY = text(
    """
    insert into party_numbers (member, born_as, party_id, home_branch_code)
    values (:member, :party_id, :party_id, :home_branch_code)
    on conflict (member) do update
       set party_id = excluded.party_id,
           home_branch_code = coalesce(excluded.home_branch_code, party_numbers.home_branch_code)
    """
)
MANAGER = text(
    """
    insert into managers (member, effective_on, manager_code, branch_code, share_ppm)
    values (:member, :effective_on, :manager_code, :branch_code, :share_ppm)
    on conflict (member, effective_on, manager_code) do update
       set branch_code = excluded.branch_code, share_ppm = excluded.share_ppm
    """
)
ORDER = text(
    """
    insert into order_places (order_id, party_id, owner_id, org_path, maker_id)
    values (:order_id, :party_id, :owner_id, :org_path, :maker_id)
    on conflict (order_id) do update
       set party_id = coalesce(excluded.party_id, order_places.party_id),
           owner_id = coalesce(excluded.owner_id, order_places.owner_id),
           org_path = coalesce(excluded.org_path, order_places.org_path),
           maker_id = coalesce(excluded.maker_id, order_places.maker_id)
    """
)
PROCESS = text(
    """
    insert into process_places (process_instance_id, order_id, org_path, people)
    values (:process_instance_id, :order_id, :org_path, :people)
    on conflict (process_instance_id) do update
       set order_id = coalesce(excluded.order_id, process_places.order_id),
           org_path = coalesce(excluded.org_path, process_places.org_path),
           people = array(select distinct unnest(process_places.people || excluded.people))
    """
)


def keep(tx: Tx, event: Event[Any]) -> None:
    """Before the hint goes out: a page that waits for a new order is judged by what it says."""
    fact = event.data
    if isinstance(fact, PLACING):
        _keep_party(tx, fact)
    elif isinstance(fact, OrderFact):
        order = {
            "order_id": fact.order_id,
            "party_id": fact.party_id,
            "owner_id": fact.owner_id,
            "org_path": fact.org_path,
            "maker_id": getattr(fact, "maker_id", None),
        }
        tx.bulk(ORDER, order)
    elif isinstance(fact, ProcessFact):
        involved = (getattr(fact, "from_staff_id", None), getattr(fact, "to_staff_id", None))
        process = {
            "process_instance_id": fact.process_instance_id,
            "order_id": fact.order_id,
            "org_path": fact.owner_path,
            "people": sorted({one for one in involved if one}),
        }
        tx.bulk(PROCESS, process)
        on_task = open_work.HANDLERS.get(type(fact))
        if on_task is not None:
            on_task(tx, event)


def _keep_party(tx: Tx, fact: PartyFact) -> None:
    member = fact.number_or_party
    home = fact.home_branch_code if isinstance(fact, PartyRecorded) else None
    tx.bulk(PARTY, {"member": member, "party_id": fact.party_id, "home_branch_code": home})
    if not isinstance(fact, ManagerChanged) or fact.manager_code is None:
        return
    if fact.account_number is None:  # who manages one account does not answer for the customer
        manager = {
            "member": member,
            "effective_on": fact.effective_on,
            "manager_code": fact.manager_code,
            "branch_code": fact.branch_code,
            "share_ppm": fact.share_ppm,
        }
        tx.bulk(MANAGER, manager)
