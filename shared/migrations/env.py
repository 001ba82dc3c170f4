"""Alembic's environment for every service; run by shared.migrations, never by the alembic tool."""

from alembic import context
from sqlalchemy import text

from shared.db import service_engine
from shared.migrations import LOCK_TIMEOUT, STATEMENT_TIMEOUT

settings = context.config.attributes["settings"]
engine = service_engine(settings, pool_size=1)
try:
    with engine.connect() as connection:
        connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
        connection.execute(text(f"set statement_timeout = '{STATEMENT_TIMEOUT}'"))
        connection.commit()
        context.configure(connection=connection, version_table="schema_version")
        with context.begin_transaction():
            context.run_migrations()
finally:
    engine.dispose()
