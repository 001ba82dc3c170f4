"""Names of products and branches, from the bank's reference data."""

from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

PRODUCTS = text("select product_code, names, line_code from products")
BRANCHES = text(
    """
    select distinct on (branch_code) branch_code, names from branches
     where names is not null order by branch_code, from_on desc
    """
)


def products(session: Session) -> dict[str, Any]:
    return {row.product_code: row for row in session.execute(PRODUCTS)}


def branches(session: Session) -> dict[str, dict[str, str]]:
    return {row.branch_code: row.names for row in session.execute(BRANCHES)}
