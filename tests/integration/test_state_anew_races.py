"""The runbook's *The state anew*: who comes in between while alerts are let go, and what fails."""

import contextlib

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from services.scoring.commands import alerts, alerts_anew, holding_alerts
from services.scoring.commands.alerts_anew import AlertsAnew
from services.scoring.roller import Log
from shared.db import Tx
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import compared, rows
from tests.integration.test_state_anew_merges import held_bank, scored_anew

scoring = scoring_room.scoring
PARTIES = {"P1": {"C"}, "P2": {"G"}, "P3": {"E"}, "PA": {"A"}}
OF = "select party_id, at from alerts where valid and party_id = any(:parties) order by 1"
# A begins as C did; it stands before C, where the job has been.
BEGINS = (
    text(
        """
        insert into customer_state
        select (jsonb_populate_record(s, '{"customer_number": "A"}')).* from customer_state s
         where customer_number = 'C'
        """
    ),
    text(
        """
        insert into signals
        select (jsonb_populate_record(g, jsonb_build_object('customer_number', 'A',
                                                            'id', 'A/' || id))).*
          from signals g where customer_number = 'C'
        """
    ),
)


def test_a_number_that_begins_in_the_instant_in_which_alerts_are_let_go_gets_its_alerts(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_bank(space, scoring, PARTIES, monkeypatch)
    scored_anew(space, scoring)
    job = AlertsAnew(scoring.runtime)
    with scoring.database.transaction() as tx:
        for statement in BEGINS:
            tx.session.execute(statement)
        alerts.refresh(tx, {"PA"})  # as a fold does; it is held yet
        with contextlib.suppress(DBAPIError):  # the job gives way
            while job.step():
                pass
    assert [name for name, _ in rows(scoring, OF, parties=["P1", "PA"])] == ["P1"]
    compared(scoring)
    (_, at), (_, begun) = rows(scoring, OF, parties=["P1", "PA"])
    assert at == begun
    assert rows(scoring, "select * from alerts_held") == []


def test_a_partition_that_fails_does_not_hold_up_the_others(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_bank(space, scoring, PARTIES, monkeypatch)
    scored_anew(space, scoring)
    held = rows(scoring, "select partition from alerts_held order by 1")
    compare = AlertsAnew._compare

    def failing(job: AlertsAnew, tx: Tx, partition: int) -> bool:
        if partition == held[0][0]:
            raise ValueError("this one fails")
        return compare(job, tx, partition)

    monkeypatch.setattr(AlertsAnew, "_compare", failing)
    for _ in range(2):  # it is told in each round
        with pytest.raises(ValueError, match="this one fails"):
            compared(scoring)
    assert rows(scoring, "select partition from alerts_held") == held[:1] != held
    monkeypatch.undo()
    assert compared(scoring) > 0
    assert rows(scoring, "select partition from alerts_held") == []


def test_alerts_are_held_however_long_it_takes_to_read_all_signals(
    scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "insert into alerts_held (partition, position) select 3, 7 from pg_sleep(0.3)"
    monkeypatch.setattr(holding_alerts, "HOLD", text(slow))
    with scoring.database.transaction() as tx:
        tx.session.execute(text("set local statement_timeout = '100ms'"))
        holding_alerts.hold(tx)
    assert rows(scoring, "select partition, position from alerts_held") == [(3, 7)]


def test_whoever_folds_does_not_wait_while_the_job_reads_the_log(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_bank(space, scoring, PARTIES, monkeypatch)
    scored_anew(space, scoring)
    read, calls = Log.read_on, list[Log]()

    def at_once(log: Log) -> None:
        if not calls:  # of the second time it reads what came since
            with scoring.database.transaction() as tx:
                tx.session.execute(text("set local lock_timeout = '100ms'"))
                tx.session.execute(holding_alerts.HOLDS)
        calls.append(log)
        read(log)

    monkeypatch.setattr(Log, "read_on", at_once)
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update customer_state set state_offset = -1"))
    job = AlertsAnew(scoring.runtime)
    monkeypatch.setattr(alerts_anew, "fold_state", lambda *_: None)
    assert job.step()
    assert len(calls) == 2
