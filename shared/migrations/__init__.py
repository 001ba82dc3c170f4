"""Migrations: Alembic per service, one version table per schema, short lock and statement limits.

`migrate` makes the role and the schema (as the address's own user), then runs the service's
revisions as the service's role, so every table belongs to it.
"""

from importlib import resources
from pathlib import Path

from alembic import command, op
from alembic.config import Config
from sqlalchemy import Boolean, Column, Integer, Text, create_engine, make_url, text

from shared.db import DeliveryBase, role_of
from shared.settings import Settings

LOCK_TIMEOUT = "5s"
STATEMENT_TIMEOUT = "60s"


DELIVERY_TABLES_V1 = (
    "audit", "counters", "dead_letters", "directory", "inbox", "outbox", "positions", "tallies",
    "timers",
)  # fmt: skip


def delivery_tables_v1() -> None:
    """The delivery tables, first version. Called by each service's first revision."""
    _create(*DELIVERY_TABLES_V1)


def delivery_tables_v2() -> None:
    """Since when each source of events is active."""
    _create("sources")


def open_tasks_v1() -> None:
    """Whose desk a task is on (`shared.open_work`), in the services that judge by it."""
    op.create_table(
        "open_tasks",
        Column("task_id", Text, primary_key=True),
        Column("process_instance_id", Text, nullable=False, index=True),
        Column("party_id", Text),
        Column("customer_number", Text),
        Column("order_id", Text),
        Column("staff_id", Text),
        Column("role", Text),
        Column("org_path", Text),
        Column("is_open", Boolean, nullable=False),
        Column("sequence", Integer, nullable=False),
    )
    for name, column in (
        ("party", "party_id"), ("customer", "customer_number"), ("order", "order_id"),
    ):  # fmt: skip
        op.create_index(
            f"open_tasks_of_{name}", "open_tasks", [column], postgresql_where=text("is_open")
        )


def _create(*names: str) -> None:
    tables = [DeliveryBase.metadata.tables[name] for name in names]
    DeliveryBase.metadata.create_all(op.get_bind(), tables=tables, checkfirst=False)


def config_of(settings: Settings) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    folder = resources.files(f"services.{settings.service}") / "migrations"
    config.set_main_option("version_locations", str(folder))
    config.set_main_option("path_separator", "os")
    config.attributes["settings"] = settings
    return config


def prepare_schema(settings: Settings) -> None:
    """Role and schema, made when missing. Needs an address whose user may create them."""
    role, schema = role_of(settings), settings.schema_name
    engine = create_engine(make_url(settings.database), isolation_level="AUTOCOMMIT")
    password = settings.database_password
    try:
        with engine.connect() as connection:
            quote = connection.dialect.identifier_preparer.quote
            known = connection.execute(
                text("select 1 from pg_roles where rolname = :role"), {"role": role}
            ).scalar()
            if not known:
                connection.execute(text(_create_role(quote(role))))
            if password:
                literal = password.get_secret_value().replace("'", "''")
                connection.execute(text(f"alter role {quote(role)} password '{literal}'"))
            for limit in (
                "statement_timeout = '10s'",
                "lock_timeout = '5s'",
                "idle_in_transaction_session_timeout = '15s'",
            ):
                connection.execute(text(f"alter role {quote(role)} set {limit}"))
            connection.execute(
                text(f"create schema if not exists {quote(schema)} authorization {quote(role)}")
            )
    finally:
        engine.dispose()


def _create_role(quoted_role: str) -> str:
    # Tests of one run make the same role side by side: the second is not an error.
    return (
        "do $$ begin create role " + quoted_role + " login nosuperuser nocreatedb nocreaterole;"
        " exception when duplicate_object or unique_violation then null; end $$"
    )


def migrate(settings: Settings) -> None:
    """Brings the service's schema to its newest revision. Idempotent."""
    prepare_schema(settings)
    command.upgrade(config_of(settings), "heads")
