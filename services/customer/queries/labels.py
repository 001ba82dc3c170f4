"""Names for ids that other services' pages show: only what the reader may see.

One query; a second one where an id lies outside his scope: he may have a task about it.
"""

from collections.abc import Iterable

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.customer.queries.work import parties_on_desk
from services.customer.rules.identity import party_of_number
from shared.directory import Directory
from shared.open_work import Desk
from shared.reach import Reach

LABELS_MAX = 200

LABELS = text(
    """
    select asked.id, born.root_id, coalesce(root.name, born.name) as name,
           :everything
           or exists (select 1 from parties m
                       where m.root_id = born.root_id
                         and (m.manager_code = any(:managers)
                              or m.branch_code = any(:branches))) as in_scope
      from unnest(cast(:ids as text[]), cast(:kinds as text[]), cast(:values as text[]))
           as asked(id, kind, value)
      left join lateral (select distinct party_id from accounts
                          where asked.kind = 'account' and account_number = asked.value) a on true
      join parties born
        on born.party_id = case when asked.kind = 'account' then a.party_id else asked.value end
      join parties root on root.party_id = born.root_id
     where coalesce(root.name, born.name) is not null
     order by born.party_id
    """
)


def labels(session: Session, ids: Iterable[str], reach: Reach, desk: Desk) -> dict[str, str]:
    """`party:P1`, `number:C1`, `account:A1` -> name; ids unknown or out of reach are left out."""
    asked: list[tuple[str, str, str]] = []
    for given in dict.fromkeys(ids):
        kind, _, value = given.partition(":")
        if kind == "number":
            asked.append((given, "party", party_of_number(value)))
        elif kind in ("party", "account") and value:
            asked.append((given, kind, value))
    if not asked:
        return {}
    rows = session.execute(
        LABELS,
        {
            "ids": [one[0] for one in asked],
            "kinds": [one[1] for one in asked],
            "values": [one[2] for one in asked],
            "everything": reach.everything,
            "managers": sorted(reach.manager_codes),
            "branches": sorted(reach.branch_codes),
        },
    ).all()
    beyond = {row.root_id for row in rows if not row.in_scope}
    on_desk = parties_on_desk(session, beyond, desk)
    return {row.id: row.name for row in rows if row.in_scope or row.root_id in on_desk}


def staff_of_codes(directory: Directory) -> dict[str, str]:
    """The bank's staff code -> staff id."""
    return {
        code: staff_id
        for staff_id, record in directory.records("staff").items()
        if not record.get("left_on")
        for code in record.get("staff_codes") or ()
    }
