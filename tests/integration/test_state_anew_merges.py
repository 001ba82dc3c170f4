"""The runbook's *The state anew*: numbers that change their party while alerts are held."""

from collections.abc import Mapping

import pytest
from sqlalchemy import text

from services.scoring import model
from services.scoring.commands import alerts_anew, holding_alerts
from services.scoring.replay import Replay
from services.scoring.watermark import Source
from shared.ids import partition_of
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import asked, compared, day, party, read_through, relayed, rows
from tests.integration.test_scoring_absences import ReplayedBank
from tests.integration.test_state_anew_alerts import ALERTS, forgotten, scored_in_two
from tests.scoring_bank import FIRST_DAY, SOURCE, ZONE

scoring = scoring_room.scoring
# Its partition is there already, and no other one.
LET_GO_OF = text(
    """
    delete from alerts_held h using customer_state s
     where s.customer_number = :number and h.partition = s.partition
       and not exists (select 1 from customer_state o
                        where o.partition = h.partition and o.customer_number <> :number)
    """
)
FAR = text("update alerts_held set position = 1000000 where partition = 1")  # it is not there yet
NEAR = text("update alerts_held set position = -1 where partition = 1")
LAST = {"C": 60, "G": 30, "E": 45}  # day of its last booking: all of them are silent


def told(space: Space, scoring: ServiceUnderTest) -> list[tuple[str, str]]:
    relayed(scoring)
    return [(type(e.data).__name__, e.data.alert_id) for e in space.read("score.alerts")]


def episodes(bank: ReplayedBank, parties: Mapping[str, set[str]]) -> list[tuple]:
    one = Replay(model.load(), currency="CNY", zone=ZONE, until=day(3000), parties=dict(parties))
    one.engine.describe(SOURCE, Source(True, FIRST_DAY.toordinal()))
    one.feed(bank.lines)
    one.finish()
    return [(e["party_id"], e["rule"], e["at"], e["ended_at"]) for e in one.episodes()]


def held_bank(
    space: Space, scoring: ServiceUnderTest, parties: Mapping[str, set[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> ReplayedBank:  # fmt: skip
    """Its state is to be made anew: nothing of it is told yet."""
    for party_id, numbers in parties.items():
        party(space, party_id, *sorted(numbers))
    bank = ReplayedBank(space)
    for number, until in LAST.items():
        bank.days(number, day(0), day(until), 3, 1_000_000)
    bank.close_through(day(250))
    bank.score()
    scoring.drain()
    bank.shut()
    assert rows(scoring, ALERTS) == episodes(bank, parties) != []
    forgotten(scoring, monkeypatch)
    monkeypatch.setattr(alerts_anew, "NUMBERS", 1)
    return bank


def scored_anew(space: Space, scoring: ServiceUnderTest) -> None:
    anew = ReplayedBank(space)
    anew.score()
    scoring.drain()
    anew.shut()
    read_through(scoring)
    scoring.drain()


def made_anew(space: Space, scoring: ServiceUnderTest) -> None:
    scored_anew(space, scoring)
    assert compared(scoring) > 0
    assert rows(scoring, "select * from alerts_held") == []
    assert rows(scoring, "select * from alerts_held_along") == []


@pytest.mark.parametrize("left", ["", "E"], ids=["its only number", "one of two"])
def test_the_alert_of_a_number_that_changes_its_party_goes_when_the_other_comes(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch, left: str
) -> None:
    rest = {} if left else {"P3": {"E"}}
    bank = held_bank(space, scoring, {"P2": {"G"}, **rest, "P1": {"C", *left}}, monkeypatch)
    with scoring.database.transaction() as tx:
        freed = tx.session.execute(LET_GO_OF, {"number": left}).rowcount
    assert freed == bool(left)
    before, said = rows(scoring, ALERTS), told(space, scoring)
    party(space, "P2", "C", "G")
    scoring.drain()
    assert (rows(scoring, ALERTS), told(space, scoring)) == (before, said), "they stand still"
    made_anew(space, scoring)
    after = {"P2": {"C", "G"}, **rest, **({"P1": {left}} if left else {})}
    assert rows(scoring, ALERTS) == episodes(bank, after) != before
    news = [alert_id for _, alert_id in told(space, scoring)[len(said) :]]
    assert len(news) == len(set(news)) > 0, "one was told on the way and taken back"


def test_nobody_hears_of_a_number_that_left_its_party_and_came_back(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_bank(space, scoring, {"P1": {"C"}, "P2": {"G"}, "P3": {"E"}}, monkeypatch)
    before, said = rows(scoring, ALERTS), told(space, scoring)
    for into in ("P2", "P3", "P1"):
        party(space, into, "C")
        scoring.drain()
    made_anew(space, scoring)
    assert (rows(scoring, ALERTS), told(space, scoring)) == (before, said)


def test_an_alert_does_not_go_before_the_third_party_gets_it_in_a_later_poll(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_0, of_1 = ([n for i in range(99) if partition_of(n := f"N{i}", 4) == p] for p in (0, 1))
    c, g, e = *of_0[:2], of_1[0]
    monkeypatch.setitem(globals(), "LAST", {c: 60, g: 30, e: 45})
    bank = held_bank(space, scoring, {"P1": {c}, "P2": {g}, "P3": {e}}, monkeypatch)
    before, said = rows(scoring, ALERTS), told(space, scoring)
    for party_id, rest in (("P2", g), ("P3", e)):
        party(space, party_id, c, rest)
        scoring.drain()
    scored_anew(space, scoring)
    with scoring.database.transaction() as tx:
        tx.session.execute(FAR)
    assert compared(scoring) > 0
    assert (rows(scoring, ALERTS), told(space, scoring)) == (before, said), "the last one is held"
    with scoring.database.transaction() as tx:
        tx.session.execute(NEAR)
    compared(scoring)
    assert rows(scoring, ALERTS) == episodes(bank, {"P1": set(), "P2": {g}, "P3": {c, e}})


def test_parties_wait_for_a_number_that_went_on_to_a_third(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of each two that gave each other numbers, in one poll or before."""
    held_bank(space, scoring, {"P1": {"C"}, "P2": {"G"}, "P3": {"E"}, "P4": {"F"}}, monkeypatch)
    with scoring.database.transaction() as tx:
        holding_alerts.hold_along(tx, {("P2", "P1"), ("P4", "P3"), ("P3", "P2")})
    along = "select party_id from alerts_held_along where customer_number = 'C' order by 1"
    assert rows(scoring, along) == [("P1",), ("P2",), ("P3",), ("P4",)]
    with scoring.database.transaction() as tx:
        holding_alerts.hold_along(tx, {("P4", "P5")})
    assert rows(scoring, along)[-1] == ("P5",)
    with scoring.database.transaction() as tx:
        assert holding_alerts.not_held(tx, {"P5", "P6"}) == {"P6"}


def test_a_merge_while_held_is_asked_for_its_outflow_at_once_though_one_books_today(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fold puts them off to the next close."""
    party(space, "P1", "H")
    party(space, "P2", "I")
    bank = ReplayedBank(space)
    for number, amount, n in (("H", 10**7, 0), ("I", 10**7, 0), ("H", -9_500_000, 60),
                              ("I", -6_000_000, 61)):  # fmt: skip
        bank.book(number, amount, day(n))
    bank.close_through(day(100))
    bank.score()
    scoring.drain()
    asked(scoring)
    bank.shut()
    forgotten(scoring, monkeypatch)
    bank.book("H", 100, day(101))
    bank._settle()
    party(space, "P1", "H", "I")
    scoring.drain()
    anew = ReplayedBank(space)
    for _ in scored_in_two(anew, day(101)):
        scoring.drain()
        asked(scoring)
    read_through(scoring)
    compared(scoring)
    asked(scoring)
    anew.shut()
    assert rows(scoring, ALERTS) == episodes(bank, {"P1": {"H", "I"}}) != []
