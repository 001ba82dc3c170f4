"""A set of rules is rehearsed, accepted by a second person, and then lives exactly as rehearsed."""

import threading
import time
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import text

from services.scoring import rehearser, risk_model
from services.scoring.commands import rehearsals, rule_sets
from services.scoring.queries import rule_sets as queries
from services.scoring.rebuild import Rebuild
from services.scoring.rule_set import RuleSet
from shared.errors import DomainError, Invalid
from shared.events import customer
from shared.events.scoring import RuleSetAccepted
from shared.testing.space import Space
from tests.integration import scoring_room, worker_room
from tests.integration.worker_room import Room
from tests.risk_live import hand_made
from tests.rule_sets import PRODUCT, day, looser, stricter
from tests.workers import Stream, opened_long_ago, small_bank

room = worker_room.room
MAKER, CHECKER = "S031", "S032"
NO_STORE = {"GUANXI_WORKER_EVENT_STORE": "0"}  # no late event comes twice here
BEGUN, LIVE_ON, END = 70, 74, 129

# By the manager of a party's first number: alerts that a set of rules gave when it lived.
BY_MANAGER = """
    select m.manager_code, count(*)
      from alerts a cross join lateral (
        select n.manager_code from numbers n where n.party_id = a.party_id
         order by n.customer_number limit 1) m
     where a.valid and a.model_version like 'set-%' group by m.manager_code"""


class Killed(BaseException):
    """No error of the run, which would end it for good."""


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What workers and query side begin with."""
    file = tmp_path / "first.json"
    risk_model.save(hand_made(PRODUCT), file)
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(file))
    return file


@pytest.fixture
def bank() -> Stream:
    stream = small_bank(customers=60, days=END + 1, per_day=25)
    stream.events[:0] = opened_long_ago(stream)
    return stream


def until(bank: Stream, last: date, after: date = date.min) -> list[Any]:
    """In the bank's order: what was published until a day was closed."""
    found, on = [], date.min
    for event in bank.events:
        on = max(on, event.businessdate)
        if after < on <= last:
            found.append(event)
    return found


def propose(room: Room, rules: RuleSet, by: str = MAKER) -> int:
    with room.scoring.database.transaction(actor_id=by) as tx:
        return rule_sets.propose(tx, rules, "Fewer false alarms, we hope")


def ask(room: Room, number: int, from_on: date) -> int:
    with room.scoring.database.transaction(actor_id=MAKER) as tx:
        return rehearsals.ask(tx, number, from_on)


def accept(room: Room, number: int, on: date, by: str = CHECKER) -> None:
    with room.scoring.database.transaction(actor_id=by) as tx:
        rule_sets.accept(tx, number, on)


def rehearse(room: Room, runner: str = "one") -> None:
    with room.scoring.database.transaction() as tx:
        claimed = rehearsals.claim(tx, runner)
    assert claimed is not None
    rehearser.run(room.scoring.runtime, threading.Event(), claimed)


def last(room: Room, number: int) -> Any:
    with room.scoring.database.read() as session:
        return queries.rehearsals_of(session, number)[0]


def proposed_alerts(room: Room, number: int, by: str) -> dict[str, int]:
    """How many alerts of the proposed set stand under each rule, or manager."""
    counted = last(room, number).result[by]
    return {c: n for c, found in counted.items() if (n := found["proposed"]["alerts"])}


def said(room: Room, rehearsal: int, *, proposed: bool = True) -> dict[str, tuple[Any, ...]]:
    """What a side judged from the day on, by id."""
    with room.scoring.database.read() as session:
        rows = queries.rehearsed_signals(session, rehearsal, proposed=proposed)
    return {
        r.id: (r.rule, r.kind, r.at, r.on_date, r.score_ppm, r.model_version)
        for r in rows
        if not r.carried
    }


def lived(room: Room) -> dict[str, tuple[Any, ...]]:
    rows = room.rows("select id, rule, kind, at, on_date, score_ppm, model_version from signals")
    return {row[0]: row[1:] for row in rows}


def parties(room: Room, space: Space) -> None:
    """A party to each number, some with two; managers answer for them."""
    numbers = sorted({n for (n,) in room.rows("select customer_number from customer_state")})
    for n, number in enumerate(numbers):
        party = f"P{n // 2}" if n < 20 else f"P{n}"
        together = tuple(numbers[n - n % 2 : n - n % 2 + 2]) if n < 20 else (number,)
        space.clock.bank += timedelta(milliseconds=1)
        space.publish(
            customer.PartyRecorded(party_id=party, customer_number=number, kind="person",
                                   customer_numbers=together),
            customer.ManagerChanged(party_id=party, customer_number=number, staff_id=f"S{n % 3}",
                                    manager_code=f"RM-{n % 3}", branch_code="SH01",
                                    effective_on=date(2024, 1, 1)),
            source="guanxi/customer",
        )  # fmt: skip
    room.scoring.drain()


@pytest.fixture
def begun(room: Room, model: Path, bank: Stream, space: Space) -> Iterator[Room]:
    """A bank that lives by its first rules until a day."""
    room.stand_at(day(BEGUN))
    room.workers.publish(until(bank, day(BEGUN)))
    room.start(**NO_STORE)
    room.settle()
    parties(room, space)
    return room


def _until_told(room: Room) -> None:
    """The worker tells the days that it closed once a second, after the rounds themselves."""
    deadline = time.monotonic() + 120
    while True:
        room.scoring.drain()
        with room.scoring.database.read() as session:
            if queries.live_row(session) is not None:
                return
        assert time.monotonic() < deadline, "the days that all partitions closed were never told"
        time.sleep(0.1)


def test_what_was_rehearsed_is_what_lives_from_that_day_on(begun: Room, bank: Stream) -> None:
    room = begun
    number = propose(room, stricter())
    ask(room, number, day(20))
    rehearse(room)
    assert last(room, number).state == "done"
    accept(room, number, day(LIVE_ON))
    while room.scoring.relay_once():
        pass
    (told,) = [e.data for e in room.space.read("scoring.rules")]
    assert isinstance(told, RuleSetAccepted)
    assert (told.number, told.effective_on) == (number, day(LIVE_ON))
    assert (told.proposed_by, told.accepted_by) == (MAKER, CHECKER)
    room.workers.workers[-1].kill()
    before = lived(room)

    room.stand_at(day(END))  # the bank goes on; no worker has seen what comes now
    room.workers.publish(until(bank, day(END), day(BEGUN)))
    room.scoring.drain()
    assert lived(room) == before
    rehearsal = ask(room, number, day(LIVE_ON))
    rehearse(room)
    rehearsed = said(room, rehearsal)
    otherwise = said(room, rehearsal, proposed=False)
    assert rehearsed != otherwise
    assert len(rehearsed) > 30

    doomed = room.begin("a", GUANXI_FAILPOINT="worker.after_signals:2",
                        GUANXI_WORKER_RECORDS_MAX="300", **NO_STORE)  # fmt: skip
    assert doomed.wait_dead() == -9
    room.start("a", GUANXI_WORKER_RECORDS_MAX="170", **NO_STORE)
    room.settle()
    after = {i: s for i, s in lived(room).items() if i not in before}
    by_new = {i for i, s in after.items() if s[5] == f"set-{number}"}
    assert {i: after[i] for i in by_new} == rehearsed
    assert {s[5] for i, s in after.items() if i not in by_new} <= {"v1", "hand-made-1"}
    assert {i: after.get(i) for i in otherwise} != otherwise, "the negative control"

    scoring_room.asked(room.scoring)
    of_sums = room.rows("select count(*) from alerts a join party_figures using (party_id)"
                        " where valid and rule = 'outflow' and numbers > 1")  # fmt: skip
    assert of_sums > [(0,)], "parties of two numbers are counted by their sums"
    alerts = dict(room.rows("select rule, count(*) from alerts where valid and model_version like"
                            " 'set-%' group by rule"))  # fmt: skip
    assert proposed_alerts(room, number, "rules") == alerts
    managers = dict(room.rows(BY_MANAGER))
    assert proposed_alerts(room, number, "managers") == managers
    assert len(managers) == 3
    _until_told(room)
    with room.scoring.database.read() as session:
        from_days = queries.live_from(session, number)
        assert {(r.partition, r.first_on) for r in from_days} == {
            (p, day(LIVE_ON)) for p in range(worker_room.PARTITIONS)
        }
        assert queries.live_row(session).number == number
    built = Rebuild(room.scoring.runtime.settings, room.scoring.database)
    assert all(made == live for made, live in built.compared())
    audit = room.rows("select actor_id, action, detail from audit where subject like 'set-%'"
                      " order by id")  # fmt: skip
    assert [row[:2] for row in audit] == [
        (MAKER, "rule_set.propose"), (MAKER, "rehearsal.ask"), (CHECKER, "rule_set.accept"),
        (MAKER, "rehearsal.ask"),
    ]  # fmt: skip
    accepted = audit[2][2]
    assert accepted["effective_on"] == day(LIVE_ON).isoformat()
    assert accepted["changes"]["outflow_ppm"] == [500_000, 700_000]
    assert msgspec.json.decode(accepted["rules_before"])["thresholds"]["outflow_ppm"] == 500_000
    assert accepted["rules_after"] == stricter().encoded()


def test_a_running_worker_takes_an_accepted_set_at_the_close(begun: Room, bank: Stream) -> None:
    """Nobody restarts it: it reads what was accepted before it takes a close."""
    room = begun
    number = propose(room, stricter())
    ask(room, number, day(20))
    rehearse(room)
    accept(room, number, day(LIVE_ON))
    while room.scoring.relay_once():
        pass
    room.stand_at(day(END))
    room.workers.publish(until(bank, day(END), day(BEGUN)))
    room.settle()
    _until_told(room)
    with room.scoring.database.read() as session:
        assert {(r.partition, r.first_on) for r in queries.live_from(session, number)} == {
            (p, day(LIVE_ON)) for p in range(worker_room.PARTITIONS)
        }
    assert f"set-{number}" in {signal[5] for signal in lived(room).values()}


def test_a_rehearsal_that_was_killed_goes_on_where_it_stood(
    begun: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = begun
    number = propose(room, stricter())
    whole_id = ask(room, number, day(20))
    rehearse(room)
    whole = last(room, number)
    stepped: list[int] = []
    read = rehearser.read_span

    def counts(settings: Any, topic: str, partition: int, end: int) -> Any:
        if topic == "bank.events":
            stepped.append(partition)
        return read(settings, topic, partition, end)

    def dies(point: str) -> None:
        if point == "rehearsal.partition_kept" and len(stepped) == 2:
            raise Killed

    monkeypatch.setattr(rehearser, "read_span", counts)
    monkeypatch.setattr(rehearser, "reach", dies)
    rehearsal = ask(room, number, day(20))
    with pytest.raises(Killed):
        rehearse(room)
    assert last(room, number).state == "running"
    with room.scoring.database.transaction() as tx:
        assert rehearsals.claim(tx, "two") is None, "its runner was alive a moment ago"
        tx.session.execute(text("update rehearsals set beat_at = beat_at - interval '1 minute'"))
    monkeypatch.setattr(rehearser, "reach", lambda point: None)
    rehearse(room, "two")
    assert stepped == [0, 1, 2, 3]
    assert last(room, number).result == whole.result
    assert said(room, rehearsal) == said(room, whole_id)
    assert whole.result["rules"]["collapse"]["proposed"]["alerts"] > 0
    assert set(whole.result["managers"]) == {"RM-0", "RM-1", "RM-2"}
    for side in ("now", "proposed"):
        assert sum(m[side]["alerts"] for m in whole.result["managers"].values()) == sum(
            r[side]["alerts"] for r in whole.result["rules"].values()
        )


def test_a_cancelled_rehearsal_stops_and_a_failed_one_says_why(
    begun: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    room = begun
    number = propose(room, stricter())
    rehearsal = ask(room, number, day(20))
    with pytest.raises(DomainError):
        ask(room, number, day(30))

    def cancels(point: str) -> None:
        with room.scoring.database.transaction(actor_id=MAKER) as tx:
            rehearsals.cancel(tx, rehearsal)
        monkeypatch.setattr(rehearser, "reach", lambda point: None)

    monkeypatch.setattr(rehearser, "reach", cancels)
    monkeypatch.setattr(rehearser, "BEAT_S", 0.0)
    rehearse(room)
    found = last(room, number)
    assert (found.state, found.result) == ("cancelled", None)
    with pytest.raises(DomainError):
        accept(room, number, day(LIVE_ON))

    def fails(*_: object) -> None:
        raise KeyError("use_falls")

    ask(room, number, day(20))
    monkeypatch.setattr(rehearser, "judge", fails)
    rehearse(room)  # it would fail again: who asked is told, and nobody takes it up anew
    found = last(room, number)
    assert (found.state, found.result) == ("failed", None)
    assert "KeyError: 'use_falls'" in found.failure


def test_who_may_decide_on_what_and_when(begun: Room) -> None:
    room = begun
    with room.scoring.database.read() as session:
        running = queries.last_rules(session)[1]
    with pytest.raises(rule_sets.SameRules):
        propose(room, running)
    with pytest.raises(rule_sets.SetNotRunnable, match="OTHER"):
        propose(room, stricter(hand_made("OTHER")))
    first = propose(room, stricter())
    with pytest.raises(rule_sets.SetNotRehearsed):
        accept(room, first, day(LIVE_ON))
    ask(room, first, day(20))
    rehearse(room)
    with pytest.raises(rule_sets.OwnProposal):
        accept(room, first, day(LIVE_ON), by=MAKER)
    with pytest.raises(Invalid):
        accept(room, first, day(BEGUN))
    accept(room, first, day(LIVE_ON))
    with pytest.raises(rule_sets.SetNotProposed):
        accept(room, first, day(LIVE_ON + 1))
    second = propose(room, looser())
    ask(room, second, day(20))
    rehearse(room)
    with pytest.raises(Invalid):  # of the day of a set that was accepted before
        accept(room, second, day(LIVE_ON))
    with room.scoring.database.transaction(actor_id=CHECKER) as tx:
        rule_sets.reject(tx, second, "Too many would be missed")
    states = room.rows("select number, state, decided_by from rule_sets order by number")
    assert states == [(first, "accepted", CHECKER), (second, "rejected", CHECKER)]
