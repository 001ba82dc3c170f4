"""Scores stand in line until they are told: nothing that was written is left untold."""

from typing import Any

from sqlalchemy import text

from services.scoring.commands import parties
from services.scoring.commands.publishing import publish_waiting
from shared.db import Tx
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import party, rows

scoring = scoring_room.scoring


def due_now(scoring: ServiceUnderTest) -> None:
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update scores_waiting set due_at = '-infinity'"))


def published(scoring: ServiceUnderTest) -> int:
    with scoring.database.transaction() as tx:
        return publish_waiting(tx)


def book(tx: Tx, minor: int) -> None:
    """As a fold does it: the party is held from before its figures change until the commit."""
    parties.lock_parties(tx, {"P1"})
    tx.session.execute(
        text(
            """insert into customer_state as s
               select 'C1', 0, 0, 0, 0, 1, 1, :minor, 0, null, null, null, 0, null, false, 0, null,
                      false, 0, null
               on conflict (customer_number) do update set sum_minor = s.sum_minor + :minor"""
        ),
        {"minor": minor},
    )
    parties.recompute(tx, {"P1"})


def told(space: Space) -> list[Any]:
    return [e.data.figures["net_transactions_minor"] for e in space.read("score.updates")]


def test_a_score_is_not_told_while_its_figures_are_written_and_then_it_is(
    space: Space, scoring: ServiceUnderTest
) -> None:
    party(space, "P1", "C1")
    scoring.drain()
    assert published(scoring) == 1
    for minor in (5, 7):  # at first he is not in line, then he is already
        with scoring.database.transaction() as tx:
            book(tx, minor)
            due_now(scoring)
            assert published(scoring) == 0
        due_now(scoring)
        if minor == 5:
            with scoring.database.transaction() as tx:
                book(tx, 1)  # in line, and not told yet
    due_now(scoring)
    assert published(scoring) == 1
    assert published(scoring) == 0
    scoring.drain()
    assert told(space) == [0, 13]
    assert rows(scoring, "select * from scores_waiting") == []


def test_without_the_hold_a_figure_stays_untold(space: Space, scoring: ServiceUnderTest) -> None:
    """Negative control: he is in line already, so the writer writes nothing there; taken out
    meanwhile, nobody tells what was written."""
    party(space, "P1", "C1")
    scoring.drain()
    assert published(scoring) == 1
    with scoring.database.transaction() as tx:
        book(tx, 5)
    due_now(scoring)
    with scoring.database.transaction() as tx:
        in_line = text(parties.WAIT_FOR_TURN.replace("from updated u", "from party_figures u"))
        tx.session.execute(in_line, parties.turn_of(tx))  # without lock_parties
        assert published(scoring) == 1
        tx.session.execute(text("update party_figures set sum_minor = 99"))
    due_now(scoring)
    assert published(scoring) == 0
    scoring.drain()
    assert told(space) == [0, 5]
    assert rows(scoring, "select cast(sum_minor as bigint) from party_figures") == [(99,)]
