"""A party's score is made when it is sent: its figures have a version, by which it is known.

Ids of scores went by the counter of the outbox: the versions go on from there. Scores that still
stand in the outbox are told from the line.
"""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "party_figures",
        sa.Column("version", sa.BigInteger, nullable=False, server_default=sa.text("0")),
    )
    op.add_column("party_figures", sa.Column("figures_at", sa.DateTime(timezone=True)))
    changed = sa.text(
        """
        update party_figures f
           set figures_at = coalesce(f.published_at, :now),
               version = coalesce((select c.last from counters c
                                    where c.topic = 'score.updates' and c.key = f.party_id), 0)
        """
    )
    op.execute(changed.bindparams(now=datetime.now(UTC)))
    op.execute("delete from counters where topic = 'score.updates'")
    op.execute(
        """
        insert into scores_waiting (party_id, due_at)
        select key, '-infinity' from outbox where topic = 'score.updates'
        on conflict do nothing
        """
    )
    op.execute("delete from outbox where topic = 'score.updates'")
