"""Many rows at once into PostgreSQL: COPY within the transaction that is open."""

from collections.abc import Iterable, Sequence

from sqlalchemy import text

from shared.db import Tx


def copy_rows(tx: Tx, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Appends rows. Names are ours, never from outside."""
    connection = tx.session.connection().connection.driver_connection
    assert connection is not None
    statement = f"copy {table} ({', '.join(columns)}) from stdin"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)


def copy_lines(tx: Tx, table: str, columns: Sequence[str], lines: bytes) -> None:
    """Appends rows that are already written in COPY's text format."""
    connection = tx.session.connection().connection.driver_connection
    assert connection is not None
    statement = f"copy {table} ({', '.join(columns)}) from stdin"
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(lines)


def staged(tx: Tx, table: str, definition: str) -> None:
    """A temporary table of this session, empty at the beginning of each transaction."""
    tx.session.execute(
        text(f"create temp table if not exists {table} ({definition}) on commit delete rows")
    )
