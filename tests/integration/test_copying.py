"""What is copied into PostgreSQL arrives as it was, whatever stands in a text."""

from datetime import UTC, date, datetime

import numpy as np
import pytest
from sqlalchemy import text

from services.scoring.commands.copying import Texts, copy_columns, copy_rows, staged
from shared.testing.space import ServiceUnderTest
from tests.integration import scoring_room

scoring = scoring_room.scoring
ROWS = [
    ("", 0, None, None, None, True),
    ("\\N", -(2**63), date(1970, 1, 1), datetime(2026, 3, 2, 1, 2, 3, 456789, UTC), b"", False),
    ("\\.", 2**63 - 1, date(9999, 12, 31), datetime(1970, 1, 1, tzinfo=UTC), b"\x00\\\n\xff", None),
    ("a tab\t, a line\n, a return\r, a backslash \\ and \\t", 1, None, None, b"\\N", None),
    ("关系 'quoted' \"twice\"", 7, date(2026, 2, 28), None, None, None),
    (None, None, None, None, None, None),
]


def test_rows_arrive_as_they_were(scoring: ServiceUnderTest) -> None:
    with scoring.database.transaction() as tx:
        staged(tx, "copied", "place int, t text, n bigint, d date, at timestamptz, b bytea, y bool")
        copy_rows(
            tx, "copied", ("place", "t", "n", "d", "at", "b", "y"),
            [(place, *row) for place, row in enumerate(ROWS)],
        )  # fmt: skip
        found = tx.session.execute(text("select t, n, d, at, b, y from copied order by place"))
        assert [tuple(row) for row in found] == ROWS


def test_columns_arrive_as_they_were_whatever_the_lengths_of_their_texts(
    scoring: ServiceUnderTest,
) -> None:
    words = ["", "关系", "a\tb", "\\N", "x" * 300]
    pairs = [(a, b) for a in words for b in words] * 3
    columns = [[pair[n].encode() for pair in pairs] for n in range(2)]
    numbers = np.array([(n, (-1) ** n * (2**63 - 1 - n)) for n in range(len(pairs))], np.int64)
    with scoring.database.transaction() as tx:
        staged(tx, "copied_columns", "a text, b text, n bigint, big bigint")
        texts = [Texts.of(column) for column in columns]
        copy_columns(tx, "copied_columns", ("a", "b", "n", "big"), texts, numbers)
        found = tx.session.execute(text("select a, b, n, big from copied_columns order by n"))
        assert [tuple(row) for row in found] == [
            (*pair, *row) for pair, row in zip(pairs, numbers.tolist(), strict=True)
        ]


def test_a_type_that_nobody_has_thought_of_is_refused(scoring: ServiceUnderTest) -> None:
    with scoring.database.transaction() as tx:
        staged(tx, "copied", "t text")
        with pytest.raises(KeyError):
            copy_rows(tx, "copied", ("t",), [(1.5,)])
        tx.session.rollback()
