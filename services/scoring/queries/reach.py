"""The reader's data scope as SQL, and what an open task opens beside it."""

from sqlalchemy import TextClause, text
from sqlalchemy.orm import Session

from shared.open_work import Desk
from shared.reach import Reach

# Parties of which a number is the reader's; each way by its own index. Parameters: parameters_of.
PARTIES_REACHED = """(
  select party_id from numbers where manager_code = any(:manager_codes) and party_id is not null
  union
  select party_id from numbers where manager_staff_id = any(:staff_ids) and party_id is not null
  union
  select party_id from numbers where branch_code = any(:branch_codes) and party_id is not null
  union
  select party_id from numbers where branch_code is null and party_id is not null
     and home_branch_code = any(:branch_codes))"""
# A party is in reach when one of its numbers is; add `and` before it.
IN_REACH = f"(:everything or {{party}} in {PARTIES_REACHED})"

NUMBERS = text(
    "select customer_number from numbers where party_id = :party_id order by customer_number"
)

# The customer numbers that the reader answers for: whose leaves he sees.
NUMBERS_REACHED = """(
  select customer_number from numbers where manager_code = any(:manager_codes)
  union
  select customer_number from numbers where manager_staff_id = any(:staff_ids)
  union
  select customer_number from numbers where branch_code = any(:branch_codes)
  union
  select customer_number from numbers where branch_code is null
     and home_branch_code = any(:branch_codes))"""


def by_reach(sql: str, *, party: str = "", number: str = "") -> dict[bool, TextClause]:
    """A statement for who sees everything (True) and for the others; `{mine}` is what tells them.

    By both: a party's page shows all of its numbers, whoever answers for them. Two statements, for
    the planner makes no join of a condition that stands beside an `or`.
    """
    ways = [f"{party} in {PARTIES_REACHED}"] if party else []
    ways += [f"{number} in {NUMBERS_REACHED}"] if number else []
    mine = f"({' or '.join(ways)})"
    return {
        True: text(sql.replace("{mine}", "true")),
        False: text(sql.replace("{mine}", mine)),
    }


def parameters_of(reach: Reach) -> dict[str, object]:
    return {
        "everything": reach.everything,
        "manager_codes": sorted(reach.manager_codes),
        "staff_ids": sorted(reach.staff_ids),
        "branch_codes": sorted(reach.branch_codes),
    }


def reach_of_party(session: Session, scope: Reach, desk: Desk, party_id: str) -> Reach:
    """The reach for what is of this one party only: all of it while an open task on the desk is
    about the party, else the reader's scope."""
    if scope.everything:
        return scope
    numbers = session.execute(NUMBERS, {"party_id": party_id}).scalars()
    on_desk = desk.has_open(session, parties={party_id}, numbers=numbers)
    return Reach(everything=True) if on_desk else scope
