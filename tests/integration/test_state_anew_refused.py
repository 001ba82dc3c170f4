"""The runbook's *The state anew*: a step that was left out is said, and nothing is taken back."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import text
from typer.testing import CliRunner, Result

from services.scoring.__main__ import SERVICE, app
from shared.db import Database
from tests.integration import worker_room
from tests.integration.test_rebuild import of_the_room
from tests.integration.test_state_anew import (
    close_scoring,
    day,
    delete_group,
    delete_topics,
    make_topics,
    patiently,
    stop_workers,
)
from tests.integration.test_state_anew_held import rehearsal
from tests.integration.test_state_anew_letters import published
from tests.integration.worker_room import Room
from tests.unit.test_contribution_rules import RATES, Book
from tests.workers import closed

room = worker_room.room
KEPT = (
    "select * from open_leaves order by customer_number, account_number",
    "select * from customer_state order by 1",
    "select * from worker_letters order by 1",
    "select * from control_totals order by 1",
    "select topic, partition, next_offset from positions order by 1, 2",
)


@pytest.fixture
def kept(room: Room) -> Iterator[Callable[[], list[Any]]]:
    """What the command takes back."""
    database = Database(room.scoring.runtime.settings)

    def read() -> list[Any]:
        with database.read() as session:
            return [[tuple(row) for row in session.execute(text(sql))] for sql in KEPT]

    yield read
    database.close()


def forget_state() -> Result:
    return CliRunner().invoke(app, ["forget-state"])


def test_each_step_that_was_left_out_is_said_and_nothing_is_taken_back(
    room: Room, kept: Callable[[], list[Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    book = Book()
    room.workers.describe(*RATES)
    published(room, book, book.booked(7_000_000, day(10), transaction_id="w", product_code="SA",
                                      account_number="2"))  # fmt: skip
    room.workers.publish([closed(day(16))])
    room.settle()
    (letter,) = room.letters()
    assert room.discard(letter) == 200
    of_the_room(room, monkeypatch)
    before = kept()
    assert all(before)

    def refused(words: str) -> None:
        told = forget_state()
        assert (told.exit_code, told.output.count("\n")) == (1, 1), told.output
        assert told.output.startswith("error: ")
        assert words in told.output
        assert kept() == before

    with room.scoring.database.transaction() as tx:
        rehearsal(tx, "running")
    refused("a rehearsal runs")
    with room.scoring.database.transaction() as tx:
        tx.session.execute(text("update rehearsals set beat_at = beat_at - interval '1 minute'"))
    refused("1 of group scoring run")
    close_scoring(room)
    refused("1 of group scoring-worker run")
    stop_workers(room)
    patiently(lambda: refused("group scoring-worker still has its places"))
    delete_group(room)
    refused("topic scoring.dead is not empty")
    delete_topics(room)
    refused("no such topic; make the topics first")
    make_topics(room)
    for _ in range(2):  # one that ended half way has told the workers what was given up
        done = forget_state()
        assert done.exit_code == 0, done.output
    assert room.workers.read("scoring.state")
    assert kept() != before
    room.scoring = room.space.service(SERVICE)
