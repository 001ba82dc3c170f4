"""Names of products and branches for the pages, from the bank's reference data."""

from sqlalchemy.dialects.postgresql import insert

from services.customer.tables import DescribedRow
from shared.db import Tx

DESCRIBE = insert(DescribedRow)
DESCRIBE = DESCRIBE.on_conflict_do_update(
    index_elements=["kind", "code"],
    set_={"names": DESCRIBE.excluded.names, "position": DESCRIBE.excluded.position},
    where=DescribedRow.position < DESCRIBE.excluded.position,
)


def describe(tx: Tx, kind: str, code: str, names: dict[str, str] | None) -> None:
    """The topic is compacted: the greatest position wins."""
    assert tx.message is not None
    if names:
        tx.session.execute(
            DESCRIBE,
            {"kind": kind, "code": code, "names": names, "position": tx.message.offset},
        )
