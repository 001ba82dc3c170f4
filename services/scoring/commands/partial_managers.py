"""Assignments for a share of a customer, or for one account: kept to be listed.

Figures have one manager of a customer number at a time (record 27). What the bank tells beyond
that must not go by without a word.
"""

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import insert as upsert

from services.scoring.manager_tables import PartialManagerRow
from shared.db import Tx
from shared.events.customer import ManagerChanged

WHOLE_PPM = 1_000_000
_KEEP = upsert(PartialManagerRow)
KEEP = _KEEP.on_conflict_do_update(
    index_elements=["customer_number", "account_number", "effective_on", "manager_code"],
    set_={"staff_id": _KEEP.excluded.staff_id, "share_ppm": _KEEP.excluded.share_ppm},
)
# What was a share is the whole, by a later word on the same day.
DROP = text(
    """
    delete from partial_managers
     where (customer_number, account_number, effective_on, manager_code)
           = (:customer_number, :account_number, :effective_on, :manager_code)
    """
)


def note(tx: Tx, told: Sequence[ManagerChanged]) -> None:
    """Takes the assignments of a batch, in their order: of two with one key the later stands."""
    kept: dict[str, dict[tuple[object, ...], dict[str, object]]] = {"part": {}, "whole": {}}
    for fact in told:
        row = {
            "customer_number": fact.customer_number,
            "account_number": fact.account_number or "",
            "effective_on": fact.effective_on,
            "manager_code": fact.manager_code or "",
        }
        key = tuple(row.values())
        is_whole = fact.account_number is None and fact.share_ppm >= WHOLE_PPM
        here, there = ("whole", "part") if is_whole else ("part", "whole")
        kept[there].pop(key, None)
        kept[here][key] = row | {"staff_id": fact.staff_id, "share_ppm": fact.share_ppm}
    for statement, rows in ((KEEP, kept["part"]), (DROP, kept["whole"])):
        if rows:
            tx.session.execute(statement, list(rows.values()))
