"""Abnormal change of turnover on the real store: a day closes, and what left its usual is told."""

import os
import signal
import subprocess
import sys
import threading
import time
from datetime import date
from random import Random

import numpy as np
import pytest
from sqlalchemy import text

from services.scoring.commands import store, turnover
from services.scoring.commands.turnover import Settler
from services.scoring.rules import cusum
from shared import positions
from shared.events import bank
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.ledger_room import manager
from tests.integration.scoring_room import HEAD, day, party, rows
from tests.scoring_bank import ScoredBank

scoring, scored = scoring_room.scoring, scoring_room.scored
CHANGES = """select dimension, code, direction, since_on, on_date from turnover_changes
              order by dimension, on_date, code"""
MEMORIES = "select dimension, code, memory, look_on from turnover_memory order by 1, 2"
STEP = 80
LOUD, GONE, SAME, RARE = "C1", "C2", "C3", "C4"


def closed(scoring: ServiceUnderTest, on: date, ahead: int = 0, but: int | None = None) -> None:
    """The worker tells that the bank has closed a day, and how far it had read."""
    with scoring.database.transaction() as tx:
        for partition, following in positions.stored(tx.session, "bank.events").items():
            tx.session.execute(
                text("""
                    insert into control_totals values (:partition, :position, 0, '{}', :on)
                    on conflict (partition) do update set position = :position, watermark_on = :on
                """),
                {
                    "partition": partition, "position": following - 1 + ahead,
                    "on": None if partition == but else on,
                },
            )  # fmt: skip


def settle(scoring: ServiceUnderTest, settler: Settler | None = None) -> int:
    """Steps of the job until there is nothing to do."""
    settler, steps = settler or Settler(), 0
    while True:
        with scoring.database.transaction() as tx:
            if not settler.step(tx):
                return steps
        steps += 1


def whole(scoring: ServiceUnderTest) -> tuple[list[tuple], list[tuple]]:
    return rows(scoring, CHANGES), rows(scoring, MEMORIES)


def again(scoring: ServiceUnderTest) -> None:
    """As if nothing had ever been settled."""
    with scoring.database.transaction() as tx:
        tx.session.execute(text("truncate turnover_changes, turnover_memory, turnover_settled"))


def live(scored: ScoredBank, first: int, until: int) -> None:
    """One goes loud, one stops, one goes on, one was never often there; each on its own."""
    rng = Random(first)
    for n in range(first, until + 1):
        for number in (LOUD, GONE, SAME):
            amount = rng.randint(40_000, 60_000)
            if n >= STEP:
                amount = {LOUD: 9 * amount, GONE: 0, SAME: amount}[number]
            if amount:
                scored.book(number, amount if n % 2 else -amount, day(n))
        if n % 9 == 0:
            scored.book(RARE, rng.randint(40_000, 60_000), day(n))


@pytest.fixture
def lived(space: Space, scoring: ServiceUnderTest, scored: ScoredBank) -> ServiceUnderTest:
    live(scored, 0, STEP + 9)
    for number in (LOUD, GONE, SAME, RARE):
        party(space, f"P{number[1:]}", number)
    manager(space, LOUD, "RM1", "SH01", date(2025, 1, 1))
    manager(space, GONE, "RM2", "BJ01", date(2025, 1, 1))
    scoring.drain()
    return scoring


def test_a_day_closes_and_what_left_its_usual_is_told(lived: ServiceUnderTest) -> None:
    closed(lived, day(STEP - 1))
    settle(lived)
    assert rows(lived, CHANGES) == []
    closed(lived, day(STEP + 9))
    settle(lived)
    found = rows(lived, CHANGES)
    turned = {row[1]: row[2:] for row in found if row[0] == "customer"}
    assert {number: row[0] for number, row in turned.items()} == {LOUD: "up", GONE: "down"}
    for _, since, on in turned.values():
        assert day(STEP - 5) <= since <= day(STEP) <= on <= day(STEP + 3)
    assert {row[:3] for row in found if row[0] == "branch"} == {
        ("branch", "SH01", "up"), ("branch", "BJ01", "down"),
    }  # fmt: skip
    (loud,) = rows(lived, "select minor, usual_minor from turnover_changes where code = 'C1'")
    assert 2 < loud[0] / loud[1] < 10, "a run may begin some days before the step"
    assert settle(lived) == 0
    counted = turnover.CHANGES.labels("customer", "down")._value.get()
    assert counted >= 1


def test_one_by_one_and_all_at_once_are_the_same(lived: ServiceUnderTest) -> None:
    for n in range(STEP + 10):
        closed(lived, day(n))
        assert settle(lived) == 1
    live_result = whole(lived)
    again(lived)
    settler = Settler()
    assert settle(lived, settler) < STEP / 2, "several days a step"
    assert whole(lived) == live_result
    assert len(live_result[0]) >= 4


def test_it_waits_for_events_then_for_all_partitions_then_for_the_store(
    scoring: ServiceUnderTest, scored: ScoredBank
) -> None:
    """What waited once must go on by itself: it is asked again every second."""
    settler = Settler()
    assert settle(scoring, settler) == 0
    scoring.drain()
    closed(scoring, day(3))
    assert settle(scoring, settler) == 0, "nothing is stored yet"
    live(scored, 0, 5)
    scoring.drain()
    closed(scoring, day(3), but=2)
    assert settle(scoring, settler) == 0
    closed(scoring, day(3), ahead=2)
    assert settle(scoring, settler) == 0, "the worker has read what the store has not"
    scored.close_through(day(1))
    scoring.drain()
    assert settle(scoring, settler) > 0
    assert rows(scoring, "select max(through_on) from turnover_settled") == [(day(3),)]


def test_the_job_begins_with_an_empty_store_and_goes_on_by_itself(
    scoring: ServiceUnderTest, scored: ScoredBank
) -> None:
    stop = threading.Event()
    job = threading.Thread(target=turnover.settle_days, args=(scoring.runtime, stop))
    job.start()
    try:
        closed(scoring, day(2))
        time.sleep(1.5 * turnover.ROUND_S)
        live(scored, 0, 9)
        scoring.drain()
        for n in (2, 5, 9):
            closed(scoring, day(n))
            deadline = time.monotonic() + 120
            while rows(scoring, "select max(through_on) from turnover_settled") != [(day(n),)]:
                assert time.monotonic() < deadline, f"day {n} is not settled"
                time.sleep(0.1)
    finally:
        stop.set()
        job.join(30)


KILLED = """
import os, signal
from services.scoring.__main__ import SERVICE
from services.scoring.commands.turnover import Settler
from shared.db import Database
from shared.process import settings_of
settler = Settler()
for step in range(100):
    with Database(settings_of(SERVICE)).transaction() as tx:
        assert settler.step(tx)
        if step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_killed_within_a_step_it_goes_on_as_if_nothing_had_happened(
    lived: ServiceUnderTest,
) -> None:
    closed(lived, day(STEP + 9))
    settle(lived)
    expected = whole(lived)
    again(lived)
    place = {
        "GUANXI_DATABASE": lived.runtime.settings.database,
        "GUANXI_KAFKA": lived.runtime.settings.kafka,
    }
    died = subprocess.run(
        [sys.executable, "-c", KILLED], env=os.environ | place, timeout=60, check=False
    )
    assert died.returncode == -signal.SIGKILL
    steps = rows(lived, "select count(*) from turnover_settled")
    assert steps == [(2,)], "two steps are kept, of the third nothing"
    settle(lived)
    assert whole(lived) == expected


def test_what_comes_late_counts_on_the_next_day_and_once(
    lived: ServiceUnderTest, scored: ScoredBank
) -> None:
    closed(lived, day(50))
    settle(lived)
    name = scored.book(SAME, 70_000_000, day(40))
    scored.book(SAME, 70_000_000, day(40), event_id=name)
    lived.drain()
    usual = "select memory from turnover_memory where code = 'C3'"
    before = rows(lived, usual)
    closed(lived, day(50))
    assert settle(lived) == 0
    assert rows(lived, usual) == before
    closed(lived, day(51))
    settle(lived)
    late = _usual_minor(rows(lived, usual)) - _usual_minor(before)
    assert late == pytest.approx(70_000_000 / 52, rel=0.02)
    closed(lived, day(52))
    settle(lived)
    assert _usual_minor(rows(lived, usual)) < _usual_minor(before) + late


def _usual_minor(found: list[tuple]) -> int:
    memory = np.frombuffer(found[0][0], cusum.MEMORY)
    return int(memory["usual_minor"][0])


def test_only_what_a_customer_moves_himself_counts_and_only_once(
    scoring: ServiceUnderTest, scored: ScoredBank
) -> None:
    name = scored.book(SAME, -30_000, day(0))
    scored.book(SAME, -30_000, day(0), event_id=name)
    scored.book(SAME, 12_000, day(0))
    scored.book(SAME, 5_000, day(0), by="bank")
    scored.book(SAME, 99_000, day(0), currency="USD")
    scored.book(SAME, 77_000, day(0), product="SA-F", event_id="refused")
    scoring.drain()
    where = "select partition, event_offset from bank_events where event_id = 'refused'"
    with scoring.database.transaction() as tx:
        store.forget_events(tx, rows(scoring, where))
    closed(scoring, day(0))
    settle(scoring)
    found = rows(scoring, "select dimension, code, memory from turnover_memory order by 1")
    assert [row[:2] for row in found] == [("customer", SAME), ("product", "CA-P")]
    assert {_usual_minor([row[2:]]) for row in found} == {42_000}


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_pages_say_it_in_words_to_those_who_may_see_it(
    space: Space, lived: ServiceUnderTest, language: str
) -> None:
    space.publish(
        bank.BranchDescribed(
            branch_code="SH01", region_code="east", names={"zh-CN": "上海分行", "en": "Shanghai"}
        )
    )
    lived.drain()
    head = lived.client(_reader("S011", language, "all"))
    assert {"zh-CN": "尚未日结", "en": "has not closed a day"}[language] in head.get("/risk").text
    closed(lived, day(STEP + 9))
    settle(lived)
    page = head.get("/risk").text
    assert {"zh-CN": "远高于平时", "en": "far above its usual"}[language] in page
    assert {"zh-CN": "远低于平时", "en": "far below its usual"}[language] in page
    assert {"zh-CN": "上海分行", "en": "Shanghai"}[language] in page
    for key in ("customer/C1", "customer/C2", "branch/SH01", "branch/BJ01"):
        assert f'data-key="{key}/' in page
    assert "customer/C3" not in page
    shown = head.get("/contribution/parties/P2/figures").text
    assert {"zh-CN": "交易额异常变化", "en": "Abnormal change of turnover"}[language] in shown
    assert GONE in shown.split('id="turnover-here"')[1].split("</table>")[0]
    assert 'id="turnover-here"' not in head.get("/contribution/parties/P3/figures").text
    own = lived.client(_reader("S-RM1", language, "own")).get("/risk").text
    assert "customer/C1" in own
    assert not [key for key in ("customer/C2", "branch/", "product/") if f'"{key}' in own]


def _reader(staff: str, language: str, scope: str) -> Actor:
    return Actor(
        staff, permissions=HEAD.permissions, language=language,
        scopes=(Scope("score.view", scope), Scope("alert.view", scope)),
    )  # fmt: skip


def test_a_bank_may_turn_it_off(lived: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    closed(lived, day(STEP + 9))
    settle(lived)
    closed(lived, day(STEP + 12))
    client = lived.client(HEAD)
    assert "guanxi_turnover_days_behind 3.0" in client.get("/metrics").text
    monkeypatch.setenv("GUANXI_WATCH_TURNOVER", "false")
    turnover.settle_days(lived.runtime, threading.Event())
    assert rows(lived, "select max(through_on) from turnover_settled") == [(day(STEP + 9),)]
    assert "turnover-customers" not in client.get("/risk").text
    assert "guanxi_turnover_days_behind 3.0" not in client.get("/metrics").text
