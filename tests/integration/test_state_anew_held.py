"""Alerts that stay held after the runbook's *The state anew*: ops see it, and may let them go.
Rehearsals wait as long."""

import re

import pytest
from sqlalchemy import text
from typer.testing import CliRunner

from services.scoring.__main__ import app
from services.scoring.commands import rehearsals
from services.scoring.rule_set_tables import RehearsalRow, RuleSetRow
from shared.db import Tx
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import HEAD, compared, day, party, read_through, rows
from tests.integration.test_state_anew_alerts import ALERTS, HELD, forgotten
from tests.scoring_bank import ScoredBank

scoring, scored = scoring_room.scoring, scoring_room.scored


def waits_for(scoring: ServiceUnderTest) -> dict[str, float]:
    """Of the one partition that is held: for how long."""
    found = scoring.client(HEAD).get("/metrics").text
    series = re.findall(
        r'^guanxi_alerts_held_seconds{partition="\d+",waits_for="(\w+)"} (.*)$', found, re.MULTILINE
    )
    return {name: float(age) for name, age in series}


def a_silent_customer(
    space: Space, scoring: ServiceUnderTest, scored: ScoredBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    party(space, "P1", "C")
    scored.days("C", day(0), day(60), 5, 300_000)
    scored.close_through(day(150))
    scored.score()
    scoring.drain()
    assert [row[:2] for row in rows(scoring, ALERTS)] == [("P1", "silence")]
    forgotten(scoring, monkeypatch)


def test_metrics_say_since_when_alerts_are_held_and_what_they_wait_for(
    space: Space, scoring: ServiceUnderTest, scored: ScoredBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert waits_for(scoring) == {}
    a_silent_customer(space, scoring, scored, monkeypatch)
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update alerts_held set held_at = held_at - interval '2 hours'"))
    ((what, age),) = waits_for(scoring).items()
    assert (what, 7200 <= age < 7500) == ("close", True)
    forgotten(scoring, monkeypatch)
    assert min(waits_for(scoring).values()) >= 7200, "it was held before"
    with scoring.database.transaction() as tx:
        tx.session.execute(text("insert into rolls select partition, through_on from alerts_held"))
    assert waits_for(scoring).keys() == {"total"}
    read_through(scoring)
    assert waits_for(scoring).keys() == {"job"}
    assert compared(scoring) > 0
    assert waits_for(scoring) == {}


def test_ops_let_alerts_go_of_a_partition_that_is_not_where_it_was(
    space: Space, scoring: ServiceUnderTest, scored: ScoredBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_silent_customer(space, scoring, scored, monkeypatch)
    monkeypatch.setenv("GUANXI_DATABASE", scoring.runtime.settings.database)
    assert compared(scoring) == 0
    (held,) = rows(scoring, "select partition from alerts_held")[0]
    for partition, said in (
        (held + 1, f"error: no alerts of partition {held + 1} are held\n"),
        (held, f"alerts of partition {held} are compared now\n"),
    ):
        done = CliRunner().invoke(app, ["let-alerts-go", str(partition)])
        assert (done.exit_code, done.output) == (int(partition != held), said)
    assert compared(scoring) > 0
    assert rows(scoring, HELD) == [(0,)]
    assert rows(scoring, ALERTS) == [], "nothing of now says that he is silent"


def rehearsal(tx: Tx, state: str) -> None:
    """Of a set without content, whose process is alive."""
    rules = RuleSetRow(
        state="proposed", rules="{}", base_number=0, changes={}, reason="why", proposed_by="S1",
        proposed_at=tx.bank_now,
    )  # fmt: skip
    tx.session.add(rules)
    tx.session.flush()
    tx.session.add(RehearsalRow(
        number=rules.number, against=0, from_on=day(0), state=state, step="events",
        asked_by="S1", asked_at=tx.bank_now, beat_at=tx.wall_now,
    ))  # fmt: skip


def test_a_rehearsal_waits_while_it_is_not_known_yet_what_is_refused(
    space: Space, scoring: ServiceUnderTest, scored: ScoredBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    a_silent_customer(space, scoring, scored, monkeypatch)
    with scoring.database.transaction() as tx:
        rehearsal(tx, "waiting")
    with scoring.database.transaction() as tx:
        assert rehearsals.claim(tx, "one") is None
        tx.session.execute(text("delete from alerts_held"))
        assert rehearsals.claim(tx, "one") is not None
