"""The schema that migrations make is the schema that the code speaks of, and they do not block."""

import ast
import importlib
import re
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Column, Engine, Integer, MetaData, text
from sqlalchemy.exc import OperationalError

from shared.db import DeliveryBase, service_engine
from shared.migrations import LOCK_TIMEOUT, STATEMENT_TIMEOUT, config_of, migrate
from shared.testing.space import Space

SERVICES = ("customer", "orders", "workflow", "scoring", "notify")
ROOT = Path(__file__).parents[2]


def metadata_of(service: str) -> MetaData:
    """The service's own tables and the delivery tables that every schema has."""
    together = MetaData()
    importlib.import_module(f"services.{service}.__main__")  # whatever file a model stands in
    own = importlib.import_module(f"services.{service}.tables").Base.metadata
    for metadata in (own, DeliveryBase.metadata):
        for table in metadata.tables.values():
            table.to_metadata(together)
    return together


def catalogue_of(engine: Engine, schema: str) -> list[Any]:
    """All that PostgreSQL knows of a schema: columns, indexes, constraints, with their numbers."""
    queries = (
        "select table_name, column_name, data_type, is_nullable, column_default"
        " from information_schema.columns where table_schema = :schema order by 1, 2",
        "select indexname, indexdef from pg_indexes where schemaname = :schema order by 1",
        "select c.oid, c.relname, c.relkind, c.relfilenode from pg_class c"
        " join pg_namespace n on n.oid = c.relnamespace where n.nspname = :schema order by 1",
        "select conname, pg_get_constraintdef(k.oid) from pg_constraint k"
        " join pg_namespace n on n.oid = k.connamespace where n.nspname = :schema order by 1, 2",
    )
    with engine.connect() as connection:
        return [
            [tuple(row) for row in connection.execute(text(query), {"schema": schema})]
            for query in queries
        ]


def is_of_the_models(
    item: Any, _name: str | None, kind: str, _reflected: bool, _other: Any
) -> bool:
    """Alembic's own table, and the partitions that the code makes by the month, have no model."""
    if kind != "table":
        return True
    return not (item.name == "schema_version" or re.search(r"_(\d{4}_\d\d|rest)$", item.name))


@pytest.mark.parametrize("service", SERVICES)
def test_migrated_schema_equals_the_models(space: Space, service: str) -> None:
    settings = space.settings(service)
    engine = service_engine(settings, pool_size=1)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection,
                opts={"compare_server_default": False, "include_object": is_of_the_models},
            )
            assert compare_metadata(context, metadata_of(service)) == []
        schema = settings.schema_name
        before = catalogue_of(engine, schema)
        assert before[0]
        migrate(settings)
        assert catalogue_of(engine, schema) == before
    finally:
        engine.dispose()


def test_a_model_that_no_migration_made_is_found_out(space: Space) -> None:
    """The negative control: with one column more the comparison must not be empty."""
    settings = space.settings("notify")
    metadata = metadata_of("notify")
    metadata.tables["notices"].append_column(Column("never_migrated", Integer))
    engine = service_engine(settings, pool_size=1)
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(
                connection, opts={"include_object": is_of_the_models}
            )
            found = compare_metadata(context, metadata)
        assert [change[0] for change in found] == ["add_column"]
    finally:
        engine.dispose()


@pytest.mark.parametrize("service", SERVICES)
def test_each_service_has_one_line_of_revisions(space: Space, service: str) -> None:
    script = ScriptDirectory.from_config(config_of(space.settings(service)))
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1
    numbers = [revision.revision for revision in script.walk_revisions()][::-1]
    assert numbers == [f"{n:04}" for n in range(1, len(numbers) + 1)]


@pytest.mark.parametrize("service", SERVICES)
def test_no_migration_lifts_the_limits(service: str) -> None:
    for path in (ROOT / "services" / service / "migrations").glob("0*.py"):
        source = path.read_text()
        assert not re.search(r"lock_timeout|statement_timeout|autocommit_block", source), path
        functions = {n.name for n in ast.walk(ast.parse(source)) if isinstance(n, ast.FunctionDef)}
        assert "upgrade" in functions


def test_a_migration_gives_up_on_a_lock_instead_of_blocking_the_service(space: Space) -> None:
    """While a reader holds the version table, the migration stops within its limit."""
    settings = space.settings("notify")
    seconds = float(LOCK_TIMEOUT.removesuffix("s"))
    assert seconds <= 5
    assert float(STATEMENT_TIMEOUT.removesuffix("s")) <= 60
    engine = service_engine(settings, pool_size=1)
    try:
        with engine.connect() as holder:
            holder.execute(text("lock table schema_version in access exclusive mode"))
            with pytest.raises(OperationalError, match="lock timeout"):
                command.upgrade(config_of(settings), "heads")
            holder.rollback()
    finally:
        engine.dispose()
    command.upgrade(config_of(settings), "heads")
