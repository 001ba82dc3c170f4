"""What the rule on the sums of a party asks for: what its numbers booked by day, and the sets."""

from collections import defaultdict
from collections.abc import Collection, Iterable
from datetime import date
from functools import lru_cache
from typing import Any

import msgspec
from sqlalchemy import text
from sqlalchemy.orm import Session

from services.scoring import rule_set
from services.scoring.queries import rule_sets
from services.scoring.queries.events import BOOKED, FIRST
from services.scoring.rule_set import RuleSet
from services.scoring.rules import outflows
from services.scoring.rules.outflows import Limits
from services.scoring.settings import home_currency, model_version

MOVES = text(
    f"""
    select n.party_id, e.businessdate, sum(e.amount_minor) as minor
      from numbers n join bank_events e on e.customer_number = n.customer_number
     where n.party_id = any(:parties) and e.type = '{BOOKED}'
       and e.currency = :currency and {FIRST}
     group by n.party_id, e.businessdate having sum(e.amount_minor) <> 0
    """  # noqa: S608 - names are ours
)
# What was taken out most of a day; of a day on which nothing was, the least that came.
GREATEST = text(
    f"""
    select e.customer_number, e.event_id, e.partition, e.event_offset
      from numbers n join bank_events e on e.customer_number = n.customer_number
     where n.party_id = :party_id and e.type = '{BOOKED}' and e.currency = :currency
       and e.businessdate = :on and {FIRST}
     order by e.amount_minor, e.partition, e.event_offset limit 1
    """  # noqa: S608 - names are ours
)
# With an open account a number may have no transaction, and so no state that is folded.
SERVED = text(
    """
    select n from unnest(cast(:numbers as text[])) as n
     where exists (select 1 from bank_events e where e.customer_number = n
                      and (e.account_number is not null or e.product_code is not null))
    """
)
Moves = list[tuple[date, int]]


class _Model(msgspec.Struct):
    balance_day_factor: int


@lru_cache(maxsize=1)
def factors() -> tuple[int, ...]:
    """How a mean balance decays: no set of rules changes it."""
    file = rule_set.FIRST_FILE.read_bytes()
    return outflows.factors(msgspec.json.decode(file, type=_Model).balance_day_factor)


def moves_of(session: Session, parties: Collection[str]) -> dict[str, Moves]:
    """By party the days on which its numbers booked something, and what that came to."""
    asked = {"parties": sorted(parties), "currency": home_currency()}
    found: defaultdict[str, Moves] = defaultdict(list)
    for row in session.execute(MOVES, asked):
        found[row.party_id].append((row.businessdate, int(row.minor)))
    return found


def greatest(session: Session, party_id: str, on: date) -> Any:
    """The event of this day that made the party's sum fall most."""
    asked = {"party_id": party_id, "on": on, "currency": home_currency()}
    return session.execute(GREATEST, asked).one()


def served(session: Session, numbers: Iterable[str]) -> set[str]:
    """Those of which the bank told an account or a loan: the others have none."""
    return set(session.execute(SERVED, {"numbers": sorted(numbers)}).scalars())


def limits(session: Session) -> list[Limits]:
    """Of all sets that judge, or will, in their order."""
    accepted = []
    for row in rule_sets.accepted(session):
        assert row.effective_on is not None
        accepted.append((row.number, row.effective_on, rule_set.decoded(row.rules)))
    return limits_of(accepted)


def limits_of(sets: Iterable[tuple[int, date, RuleSet]]) -> list[Limits]:
    """Of a line of sets by number and first day, after those with which the system began."""
    first = Limits(0, model_version(), rule_set.first_thresholds())
    return [first, *(Limits(on.toordinal(), f"set-{n}", one.thresholds) for n, on, one in sets)]
