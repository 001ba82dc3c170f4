"""A month's leaves added up by where they belong, as plans and the month's report need them.

A leaf is counted under who answered at the end of its origin month, and whoever reads a row reads
all of it: a plan's fulfilment is the same for the manager, his head and the bank.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring.queries.contribution import Sum
from services.scoring.queries.plans import WHAT, Kind
from services.scoring.queries.reach import parameters_of
from shared.reach import Reach

Dimension = Literal["bank", "branch", "supervisor", "manager", "line"]
COSTS: Final = ("abc_txn", "abc_maint", "contact", "el", "variance", "overhead")
_CODE: Final[dict[Dimension, str]] = {
    "bank": "''", "branch": "branch_code", "supervisor": "manager_code",
    "manager": "manager_code", "line": "product_code",
}  # fmt: skip
_OF_MANAGERS: Final = """(:everything or manager_code = any(:manager_codes)
                       or branch_code = any(:branch_codes))"""
# The bank's plan and a line's are held against all of the bank, so only who sees all sees them.
MINE: Final[dict[Dimension, str]] = {
    "bank": ":everything",
    "branch": "(:everything or branch_code = any(:branch_codes))",
    "supervisor": _OF_MANAGERS,
    "manager": _OF_MANAGERS,
    "line": ":everything",
}
# Posted leaves have a month, open ones have none; what is not posted belongs to no month yet.
CELLS = {
    dimension: text(
        f"""
        select {code} as code, sum(posted_minor) as posted_minor,
               sum(accrued_minor) as accrued_minor
          from month_totals
         where (period between :first and :last or period = '')
           and (not :costs_only or component = any(:costs))
           and (cast(:only as text) is null or {code} = :only)
           and {MINE[dimension]}
         group by 1 having sum(posted_minor) <> 0 or sum(accrued_minor) <> 0
        """  # noqa: S608 - names are ours
    )
    for dimension, code in _CODE.items()
}
MONTHS = text("select distinct code from contribution_totals where dimension = 'month'")
OF_PARTIES = text(
    """
    select n.party_id, sum(m.posted_minor) as minor
      from numbers n join customer_months m
        on m.customer_number = n.customer_number and m.period = any(:periods)
     where n.party_id = any(:parties) group by n.party_id
    """
)
PRICED = text("select exists (select 1 from contribution_totals where dimension = 'bank')")
# Every partition that has events must have told its watermark; a close goes to all of them.
CLOSED_THROUGH = text(
    """
    select case when count(*) = count(t.watermark_on) then min(t.watermark_on) end
      from (select partition from control_totals
            union select partition from positions where topic = 'bank.events') p
      left join control_totals t on t.partition = p.partition
    """
)


# The accounts that have still to post a month whose next one begins on a day.
TO_POST = text(
    f"""
    select count(*) from open_leaves
     where settled_month < :next_month and {MINE["manager"]}
       and (owner_number = '' or not :everything)
    """  # noqa: S608 - names are ours
)
# A month that is closed gets its spread costs, its contacts and its tax last; before the first
# closing none was ever due.
TO_SPREAD = text(
    """
    select not exists (select 1 from closings where period = :month and posted)
           and :month >= coalesce((select min(period) from closings), '')
    """
)
ACCRUED_THROUGH = text(
    """
    select case when count(*) = count(r.through_on) then min(r.through_on) end
      from (select partition from control_totals
            union select partition from positions where topic = 'bank.events') p
      left join rolls r on r.partition = p.partition
    """
)


def dimensions(reach: Reach) -> tuple[Dimension, ...]:
    """Whose plans a reader may see."""
    if reach.everything:
        return ("branch", "supervisor", "manager", "line", "bank")
    of_managers: tuple[Dimension, ...] = ("supervisor", "manager")
    return ("branch", *of_managers) if reach.branch_codes else of_managers[::-1]


def actuals(
    session: Session, reach: Reach, kind: Kind, dimension: Dimension, period: str,
    *, only: str | None = None,
) -> dict[str, Sum]:  # fmt: skip
    """Posted in the month, or in the months of the year so far, and accrued since, by code; costs
    are positive. Of a line: by product; of a supervisor: by manager. `only`: of one code."""
    costs_only = WHAT[kind] == "cost"
    first, last = (f"{period}-01", f"{period}-12") if len(period) == 4 else (period, period)
    asked = {
        **parameters_of(reach), "first": first, "last": last, "costs_only": costs_only,
        "costs": list(COSTS), "only": only,
    }  # fmt: skip
    sign = -1 if costs_only else 1
    return {
        row.code: Sum(sign * int(row.posted_minor), sign * int(row.accrued_minor))
        for row in session.execute(CELLS[dimension], asked)
    }


def months(session: Session) -> set[str]:
    """Months that something is posted in."""
    return {code for code in session.execute(MONTHS).scalars() if code}


def last_twelve(today: date) -> list[str]:
    """The last twelve months, the one of this day included."""
    last = 12 * today.year + today.month - 1
    return [f"{month // 12:04d}-{month % 12 + 1:02d}" for month in range(last - 11, last + 1)]


def posted_lately(session: Session, parties: Collection[str], today: date) -> dict[str, int]:
    """What the leaves of the last twelve months add up to; none: no leaf."""
    asked = {"parties": sorted(parties), "periods": last_twelve(today)}
    return {row.party_id: int(row.minor) for row in session.execute(OF_PARTIES, asked)}


def has_contribution(session: Session) -> bool:
    """Has anything earned or cost something yet? Not in a bank that tells no prices."""
    return bool(session.execute(PRICED).scalar_one())


def closed_through(session: Session) -> date | None:
    """The last day that all partitions have closed; None before the first."""
    found: date | None = session.execute(CLOSED_THROUGH).scalar_one()
    return found


def accrued_through(session: Session) -> date | None:
    """The last day that is in what is open of every account; None: not all days of all are."""
    found: date | None = session.execute(ACCRUED_THROUGH).scalar_one()
    return found


@dataclass(frozen=True, slots=True)
class Unposted:
    """What a closed month still lacks: then its figures are provisional."""

    accounts: int = 0
    costs: bool = False  # those that are spread over customers, and tax

    def __bool__(self) -> bool:
        return self.accounts > 0 or self.costs


def to_post(session: Session, reach: Reach, period: str) -> Unposted:
    """What the month, or the last one of the year, that is closed has still to post."""
    year, month = (int(period), 12) if len(period) == 4 else map(int, period.split("-"))
    following = date(year + month // 12, month % 12 + 1, 1)
    asked = {**parameters_of(reach), "next_month": following}
    costs = session.execute(TO_SPREAD, {"month": f"{year:04d}-{month:02d}"}).scalar_one()
    return Unposted(int(session.execute(TO_POST, asked).scalar_one()), bool(costs))
