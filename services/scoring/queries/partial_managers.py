"""Managers' assignments that split no figure: for a share of a customer, or for one account."""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy.orm import Session

from services.scoring.queries import cursors
from services.scoring.queries.reach import by_reach, parameters_of
from shared.errors import Invalid
from shared.reach import Reach

PAGE_ROWS = 50
_MINE = "({mine} or p.manager_code = any(:manager_codes) or p.staff_id = any(:staff_ids))"
COUNT = by_reach(
    f"select count(*) from partial_managers p where {_MINE}",  # noqa: S608 - names are ours
    number="p.customer_number",
)
LATEST = by_reach(
    f"""
    select p.customer_number, p.account_number, p.effective_on, p.manager_code, p.share_ppm,
           n.party_id, n.manager_code as counted_code
      from partial_managers p left join numbers n using (customer_number)
     where {_MINE}
       and (cast(:on as date) is null
            or (-(p.effective_on - date '0001-01-01'), p.customer_number, p.account_number,
                p.manager_code)
               > (-(cast(:on as date) - date '0001-01-01'), :number, :account, :manager))
     order by p.effective_on desc, p.customer_number, p.account_number, p.manager_code
     limit :rows
    """,  # noqa: S608 - names are ours
    number="p.customer_number",
)


def count(session: Session, reach: Reach) -> int:
    """Of all customers that the reader may see, and of his own assignments."""
    return int(session.execute(COUNT[reach.everything], parameters_of(reach)).scalar_one())


def latest(session: Session, reach: Reach, after: str | None) -> list[Any]:
    """The latest first; `after` is the cursor of the last seen. Raises Invalid."""
    on, number, account, manager = _place(after)
    asked = {**parameters_of(reach), "on": on, "number": number, "account": account,
             "manager": manager, "rows": PAGE_ROWS}  # fmt: skip
    return list(session.execute(LATEST[reach.everything], asked))


def cursor(row: Any) -> str:
    key: Sequence[Any] = (row.effective_on, row.customer_number, row.account_number)
    return "~".join(map(str, (*key, row.manager_code)))


def _place(after: str | None) -> tuple[date | None, str, str, str]:
    if not after:
        return None, "", "", ""
    try:
        on, number, account, manager = after.split("~")
        return date.fromisoformat(on), number, account, manager
    except ValueError:
        raise Invalid("after", cursors.WRONG) from None
