"""What is kept of net transactions is checked row by row; pages and metrics say what was found."""

from datetime import timedelta

from sqlalchemy import text

from services.scoring.commands import checking
from shared.clock import wall_now
from tests.integration import scoring_room
from tests.integration.scoring_room import HEAD, a_small_bank, rows

scoring, scored = scoring_room.scoring, scoring_room.scored
RESIDUAL = "guanxi_transactions_residual_minor"
TOOK = "guanxi_sums_check_took_seconds"


def test_a_sum_that_is_not_its_rows_is_found_by_the_next_check(space, scoring, scored):
    a_small_bank(scored, space)
    scored.score()
    scoring.drain()
    client = scoring.client(HEAD)
    page = client.get("/contribution/totals").text
    assert "data-residual" not in page, "nothing was checked yet"
    assert f"\n{RESIDUAL} " not in client.get("/metrics").text
    assert f"\n{TOOK} " not in client.get("/metrics").text
    assert "同步中" in page

    def due() -> None:
        with scoring.database.transaction() as tx:
            assert not checking.check_when_due(tx)

    due()
    page = client.get("/contribution/totals").text
    assert 'data-residual="0"' in page
    assert f"\n{RESIDUAL} 0.0" in client.get("/metrics").text
    assert 'guanxi_scoring_rows{what="customers"} 4.0' in client.get("/metrics").text
    took_ms = rows(scoring, "select took_ms from sums_checked")[0][0]
    assert f"\n{TOOK} {took_ms / 1_000}" in client.get("/metrics").text
    with scoring.database.transaction() as tx:
        wrong = "update account_figures set sum_minor = sum_minor + 13 where account_number = :a"
        assert tx.session.execute(text(wrong), {"a": "A-C1"}).rowcount == 1
    due()
    assert 'data-residual="0"' in client.get("/contribution/totals").text, "it was checked just now"
    space.clock.wall = wall_now() + checking.PAUSE + timedelta(minutes=1)
    due()
    assert 'data-residual="13"' in client.get("/contribution/totals").text
    assert f"\n{RESIDUAL} 13.0" in client.get("/metrics").text
    assert rows(scoring, "select count(*) from sums_checked") == [(1,)]
