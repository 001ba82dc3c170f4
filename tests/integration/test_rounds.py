"""A job that works in steps: of what is the log warned when a step fails?"""

import threading
from collections.abc import Callable

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from services.scoring.commands import rounds
from services.scoring.commands.rounds import YIELDS_MAX, in_rounds
from shared.db import Tx
from shared.testing.space import ServiceUnderTest
from tests.integration import scoring_room

scoring = scoring_room.scoring
HOLD = text("lock table closings in access exclusive mode")
PATIENCE = text("set local lock_timeout = '20ms'")
WANT = text("select count(*) from closings")
Step = Callable[[Tx], bool]


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "AFTER_FAILURE_S", 0.01)


def wants(tx: Tx) -> None:
    tx.session.execute(PATIENCE)
    tx.session.execute(WANT)


def levels(scoring: ServiceUnderTest, step: Step, times: int) -> list[str]:
    """What the log says, in order, of so many steps while another holds the table."""
    stop, taken = threading.Event(), 0

    def counted(tx: Tx) -> bool:
        nonlocal taken
        taken += 1
        if taken == times:
            stop.set()
        return step(tx)

    with scoring.database.transaction() as other, capture_logs() as told:
        other.session.execute(HOLD)
        in_rounds(scoring.runtime, stop, counted, 0.01, "not_done")
    assert all(one["event"] == "not_done" for one in told)
    return [one["log_level"] for one in told]


def test_a_step_that_gives_way_warns_nobody_until_it_goes_on(scoring: ServiceUnderTest) -> None:
    def step(tx: Tx) -> bool:
        wants(tx)
        return False

    assert levels(scoring, step, YIELDS_MAX + 2) == ["info"] * YIELDS_MAX + ["warning"] * 2


def test_a_step_that_succeeds_between_begins_the_count_anew(scoring: ServiceUnderTest) -> None:
    steps = 0

    def every_fourth_does_not_want_it(tx: Tx) -> bool:
        nonlocal steps
        steps += 1
        if steps % 4:
            wants(tx)
        return steps % 8 == 0  # once as the last of a round, once not

    assert levels(scoring, every_fourth_does_not_want_it, 4 * YIELDS_MAX) == ["info"] * (
        3 * YIELDS_MAX
    )


@pytest.mark.parametrize("sql", ["select 1 / 0", "select count(*) from nowhere"])
def test_any_other_error_is_a_warning_at_once(scoring: ServiceUnderTest, sql: str) -> None:
    def step(tx: Tx) -> bool:
        tx.session.execute(text(sql))
        return False

    assert levels(scoring, step, 2) == ["warning", "warning"]
