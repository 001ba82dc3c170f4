"""What ops do where a partition does not come again to where it was: its alerts are held no longer.

They are compared with the signals of now, however far the worker is; what it has still to tell may
move them once more.
"""

from sqlalchemy import text

from shared.db import Database

LET_GO = text(
    """
    update alerts_held set through_on = null, position = -1 where partition = :partition
    returning partition
    """
)


class NotHeld(Exception):
    """There is nothing to let go of."""


def let_go(database: Database, partition: int) -> None:
    """From now on it waits for nothing but its turn. Raises NotHeld."""
    with database.transaction() as tx:
        if tx.session.execute(LET_GO, {"partition": partition}).first() is None:
            raise NotHeld(f"no alerts of partition {partition} are held")
