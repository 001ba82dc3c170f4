"""Rules that hold now, each on a customer number or on one of its accounts, with their terms."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

# The last crossing of each rule says whether it holds: by episode, as `rules.episodes.in_order` has
# them. An event that comes late dates an end before the instant of what it ends.
HOLDING = text(
    """
    with last as (
      select distinct on (g.customer_number, g.account_number, g.product_code, g.rule)
             n.party_id, g.customer_number, g.account_number, g.product_code, g.rule, g.kind, g.at,
             g.score_ppm, g.terms, g.model_version
        from numbers n join signals g on g.customer_number = n.customer_number
       where n.party_id = any(:parties) and not g.pending
       order by g.customer_number, g.account_number, g.product_code, g.rule, g.episode desc,
                g.kind)
    select * from last l
     where l.kind = 'raised'
     order by l.score_ppm desc, l.rule, l.customer_number, l.account_number, l.product_code
    """
)


@dataclass(frozen=True, slots=True)
class Risk:
    """A rule that holds since `at`, with risk and terms as they were then. Account and product
    empty: the rule is on the whole customer number."""

    rule: str
    customer_number: str
    account_number: str
    product_code: str
    at: datetime
    risk_ppm: int
    terms: dict[str, int]
    model_version: str


def holding(session: Session, parties: Collection[str]) -> dict[str, list[Risk]]:
    """By party, greatest risk first; a party on which no rule holds is not there."""
    found: dict[str, list[Risk]] = {}
    for row in session.execute(HOLDING, {"parties": sorted(parties)}):
        risk = Risk(
            rule=row.rule,
            customer_number=row.customer_number,
            account_number=row.account_number,
            product_code=row.product_code,
            at=row.at,
            risk_ppm=row.score_ppm,
            terms={code: value for code, value in row.terms.items() if isinstance(value, int)},
            model_version=row.model_version,
        )
        found.setdefault(row.party_id, []).append(risk)
    return found
