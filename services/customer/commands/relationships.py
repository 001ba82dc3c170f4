"""Who answers for a party, where it belongs, to whom it is related, what was said."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any

import msgspec
from sqlalchemy import text

from services.customer.commands.identity import numbers_of_parties
from services.customer.commands.parties import PLACEHOLDER
from services.customer.rules.identity import party_of_number
from shared import outbox, timers
from shared.clock import business_date
from shared.db import Tx
from shared.events.customer import PartyRecorded
from shared.timers import Timer

ASSIGN = text(
    """
    insert into managers (party_id, account_number, effective_on, manager_code, share_ppm,
                          branch_code, reason_code, request_id, as_of)
    values (:party_id, :account_number, :effective_on, :manager_code, :share_ppm, :branch_code,
            :reason_code, :request_id, :mark)
    on conflict (party_id, account_number, effective_on, manager_code) do update
       set share_ppm = excluded.share_ppm, branch_code = excluded.branch_code,
           reason_code = excluded.reason_code, request_id = excluded.request_id,
           as_of = excluded.as_of
     where managers.as_of < excluded.as_of
    """
)
LOCK_TO_PLACE = text(
    """
    select party_id, customer_number, root_id, kind, home_branch_code, placed_as_of
      from parties where party_id = any(:parties) order by party_id for update
    """
)
PLACE = text(
    """
    update parties
       set home_branch_code = :home_branch_code, region_code = :region_code,
           district_code = :district_code, segment_code = :segment_code,
           placed_source = :source, placed_at = :at, placed_as_of = :mark
     where party_id = :party_id
    """
)
# The manager of record: the latest assignment that holds on the bank's day, the greatest share
# of that day.
REFRESH = text(
    """
    update parties p
       set manager_code = m.manager_code, manager_since_on = m.effective_on,
           branch_code = coalesce(m.branch_code, p.home_branch_code)
      from (select cast(:party_id as text) as party_id) asked
      left join lateral
           (select manager_code, effective_on, branch_code from managers
             where party_id = :party_id and account_number = '' and effective_on <= :today
             order by effective_on desc, share_ppm desc, manager_code limit 1) m on true
     where p.party_id = asked.party_id
    """
)
RELATE = text(
    """
    insert into relations (from_party_id, to_party_id, kind, loan_number, effective_on,
                           ended_on, share_ppm, amount_minor, currency, as_of)
    values (:from_party_id, :to_party_id, :kind, :loan_number, :effective_on, :ended_on,
            :share_ppm, :amount_minor, :currency, :mark)
    on conflict (from_party_id, to_party_id, kind, loan_number, effective_on) do update
       set ended_on = excluded.ended_on, share_ppm = excluded.share_ppm,
           amount_minor = excluded.amount_minor, currency = excluded.currency,
           as_of = excluded.as_of
     where relations.as_of < excluded.as_of
    """
)
CONTACT = text(
    """
    insert into contacts (contact_id, party_id, at, facts, as_of)
    values (:contact_id, :party_id, :at, cast(:facts as jsonb), :mark)
    on conflict (contact_id) do update
       set party_id = excluded.party_id, at = excluded.at, facts = excluded.facts,
           as_of = excluded.as_of
     where contacts.as_of < excluded.as_of
    """
)

MANAGER_EFFECTIVE = "manager_effective"  # the timer of an assignment dated ahead


def today_of(tx: Tx) -> date:
    return business_date(tx.bank_now, tx.clock.zone)


def assign_manager(
    tx: Tx, customer_number: str, account_number: str | None, effective_on: date, **rest: Any
) -> None:
    """Attribution is by effective date: an assignment dated ahead waits for its day."""
    party_id = party_of_number(customer_number)
    tx.bulk(
        ASSIGN,
        {
            "party_id": party_id,
            "account_number": account_number or "",
            "effective_on": effective_on,
            **rest,
        },
    )
    if account_number is not None:
        return
    tx.bulk(REFRESH, {"party_id": party_id, "today": today_of(tx)})
    if effective_on > today_of(tx):
        due_at = datetime.combine(effective_on, time(0), tx.clock.zone) + timedelta(seconds=1)
        timers.arm(tx, MANAGER_EFFECTIVE, f"{party_id}/{effective_on.isoformat()}", due_at)


def on_manager_effective(tx: Tx, timer: Timer) -> None:
    """The day of an assignment has come: asks again who answers for the party."""
    party_id = timer.key.rpartition("/")[0]
    tx.session.execute(REFRESH, {"party_id": party_id, "today": today_of(tx)})


@dataclass(frozen=True, slots=True)
class Placing:
    """Where a customer belongs, as the bank said it; `mark` orders what was said of one."""

    customer_number: str
    mark: str
    origin: outbox.Origin
    values: dict[str, Any]  # of the party's columns

    @property
    def party_id(self) -> str:
        return party_of_number(self.customer_number)


def place_customers(tx: Tx, told: Sequence[Placing]) -> None:
    """Home branch, region, district, segment: whole, the newest wins. A party that is known is
    said anew when it is at home elsewhere: who has no manager belongs to the home branch."""
    newest: dict[str, Placing] = {}
    for one in told:
        if one.party_id not in newest or newest[one.party_id].mark < one.mark:
            newest[one.party_id] = one
    numbers = [one.customer_number for one in newest.values()]
    tx.session.execute(PLACEHOLDER, {"party_id": list(newest), "customer_number": numbers})
    found = tx.session.execute(LOCK_TO_PLACE, {"parties": list(newest)}).all()
    rows = [row for row in found if row.placed_as_of < newest[row.party_id].mark]
    if not rows:
        return
    placed = [newest[row.party_id] for row in rows]
    tx.session.execute(
        PLACE, [{"party_id": one.party_id, "mark": one.mark, **one.values} for one in placed]
    )
    tx.session.execute(
        REFRESH, [{"party_id": one.party_id, "today": today_of(tx)} for one in placed]
    )
    moved = [
        (row, one)
        for row, one in zip(rows, placed, strict=True)
        if row.kind is not None and row.home_branch_code != one.values["home_branch_code"]
    ]
    numbers_by_party = numbers_of_parties(tx, {row.root_id for row, _ in moved})
    for row, one in moved:
        fact = PartyRecorded(
            party_id=row.root_id,
            customer_number=row.customer_number,
            kind=row.kind,
            customer_numbers=numbers_by_party[row.root_id],
            home_branch_code=one.values["home_branch_code"],
        )
        outbox.enqueue(tx, fact, origin=one.origin)


def relate(tx: Tx, from_party_id: str, to_party_id: str, **relation: Any) -> None:
    tx.bulk(RELATE, {"from_party_id": from_party_id, "to_party_id": to_party_id, **relation})


def record_contact(
    tx: Tx, party_id: str, contact_id: str, *, at: datetime, mark: str, facts: dict[str, Any]
) -> None:
    tx.bulk(
        CONTACT,
        {
            "contact_id": contact_id,
            "party_id": party_id,
            "at": at,
            "mark": mark,
            "facts": msgspec.json.encode(facts).decode(),
        },
    )
