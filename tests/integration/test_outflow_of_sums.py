"""A party of several numbers loses money only when its sums do, asked at each close."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import text

from services.scoring.commands import outflows as commands
from services.scoring.commands import store
from services.scoring.commands.worker_letters import keep_refusals
from shared.events import customer
from shared.events.scoring import AlertCleared, AlertRaised
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.scoring_room import asked, day, party, relayed, rows
from tests.scoring_bank import ScoredBank

scoring, scored = scoring_room.scoring, scoring_room.scored
GONE = 60  # the day on which the money goes


def outflows(scoring: ServiceUnderTest) -> list[tuple]:
    return rows(
        scoring,
        "select party_id, at, ended_at, valid, told, risk_ppm, terms, customer_number, event_ids,"
        " model_version, alert_id from alerts where rule = 'outflow' and valid order by 1, 2",
    )


def two_numbers(scored: ScoredBank, *, moved: bool = False) -> str:
    """A hundred thousand on each, until nearly all of one goes: where it is moved, to the other."""
    for number in ("C1", "C2"):
        scored.book(number, 10_000_000, day(0))
    if moved:
        scored.book("C2", 9_500_000, day(GONE))
    return scored.book("C1", -9_500_000, day(GONE))


def come_to(scoring: ServiceUnderTest, scored: ScoredBank) -> None:
    scored.score()
    scoring.drain()
    asked(scoring)
    relayed(scoring)


def cleared(space: Space, alert: tuple) -> list[str]:
    """The reasons for which others heard that this alert is over."""
    told = (event.data for event in space.read("score.alerts"))
    return [one.reason_code for one in told
            if isinstance(one, AlertCleared) and one.alert_id == alert[-1]]  # fmt: skip


def joined(space: Space, merge: str = "M1") -> None:
    space.clock.bank += timedelta(seconds=1)
    space.publish(
        *(customer.IdentityMerged(merge_id=merge, party_id="P2", customer_number=n,
                                  former_party_id="P1", customer_numbers=("C1", "C2"))
          for n in ("C1", "C2")),
        source="guanxi/customer",
    )  # fmt: skip


def parted(space: Space) -> None:
    space.clock.bank += timedelta(seconds=1)
    space.publish(
        *(customer.IdentityUnmerged(merge_id="M1", party_id=f"P{n}", customer_number=f"C{n}",
                                    former_party_id="P2", customer_numbers=(f"C{n}",))
          for n in (1, 2)),
        source="guanxi/customer",
    )  # fmt: skip


def test_money_moved_between_two_numbers_of_a_party_is_no_outflow(space, scoring, scored):
    two_numbers(scored, moved=True)
    two_numbers_of_others = ("C3", "C4")
    for number in two_numbers_of_others:
        scored.book(number, 10_000_000, day(0))
    scored.book("C3", -9_500_000, day(GONE))
    scored.book("C4", 9_500_000, day(GONE))
    scored.close_through(day(GONE + 5))
    party(space, "P1", "C1", "C2")
    party(space, "P3", "C3")
    party(space, "P4", "C4")
    come_to(scoring, scored)
    raised = rows(scoring, "select customer_number from signals where rule = 'outflow' order by 1")
    assert raised == [("C1",), ("C3",)], "the negative control: both numbers have lost their money"
    assert [row[0] for row in outflows(scoring)] == ["P3"], "to another party it is gone"
    told = [e.data for e in space.read("score.alerts") if e.data.rule == "outflow"]
    assert {one.party_id for one in told} == {"P3"}
    (figures,) = rows(scoring, "select risk_ppm, margin_at_risk_minor from party_figures"
                               " where party_id = 'P1'")  # fmt: skip
    assert (figures[0]["outflow"], figures[1]) == (0, 0)


@pytest.mark.parametrize("late", [True, False], ids=["mapping late", "mapping first"])
def test_an_outflow_of_the_sums_is_named_once_at_the_close(space, scoring, scored, late):
    taken = two_numbers(scored)
    scored.book("C2", -6_000_000, day(GONE + 1))
    if not late:
        party(space, "P2", "C1", "C2")
        scoring.drain()
    scored.close_through(day(GONE))
    come_to(scoring, scored)
    if not late:
        assert outflows(scoring) == [], "at the first close half of it is there"
    scored.close_through(day(GONE + 5), day(GONE + 1))
    come_to(scoring, scored)
    if late:
        party(space, "P2", "C1", "C2")
        come_to(scoring, scored)
    (found,) = outflows(scoring)
    at = found[1].astimezone(space.clock.zone)
    assert (at.date(), at.hour) == (day(GONE + 2), 0)
    assert found[2:5] == (None, True, True)
    assert found[6]["balance_minor"] == 4_500_000
    assert found[6]["mean_minor"] < 20_000_000
    assert found[5] == 1_000_000 - -(-4_500_000 * 1_000_000 // found[6]["mean_minor"])
    assert found[7] == "C2"
    assert taken not in found[8]
    (raised,) = [e.data for e in space.read("score.alerts")
                 if isinstance(e.data, AlertRaised) and e.data.alert_id == found[-1]]  # fmt: skip
    assert raised.cause.id == found[8][0]
    scored.book("C1", 9_000_000, day(GONE + 8))
    scored.close_through(day(GONE + 8), day(GONE + 6))
    come_to(scoring, scored)
    (ended,) = outflows(scoring)
    assert ended[2].astimezone(space.clock.zone).date() == day(GONE + 9)
    assert cleared(space, found) == ["no_longer_holds"]


def test_a_merge_and_its_undo_leave_what_had_always_been(space, scoring, scored):
    two_numbers(scored, moved=True)
    scored.close_through(day(GONE + 5))
    party(space, "P1", "C1")
    party(space, "P2", "C2")
    come_to(scoring, scored)
    before = outflows(scoring)
    assert [row[0] for row in before] == ["P1"]
    joined(space)
    come_to(scoring, scored)
    assert outflows(scoring) == []
    assert cleared(space, before[0]) == ["recomputed"]
    parted(space)
    come_to(scoring, scored)
    assert outflows(scoring) == before
    assert rows(scoring, "select * from outflows_waiting") == []


def test_a_party_without_a_number_waits_for_no_close(space, scoring, scored):
    two_numbers(scored)
    scored.book("C2", -6_000_000, day(GONE + 1))
    scored.close_through(day(GONE + 5))
    party(space, "P1", "C1", "C2")
    come_to(scoring, scored)
    waiting = "select party_id from outflows_waiting where due_on > '0001-01-01' order by 1"
    assert rows(scoring, waiting) == [("P1",)]
    joined(space)
    come_to(scoring, scored)
    assert rows(scoring, waiting) == [("P1",), ("P2",)], "its day has not come"
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update outflows_waiting set due_on = :on"), {"on": day(GONE + 5)})
    asked(scoring)
    assert rows(scoring, waiting) == [("P2",)]


def test_nobody_is_asked_before_the_store_has_what_the_worker_saw(space, scoring, scored):
    """What came to the other number is not stored yet: it would be an outflow."""
    for number, amount, on in (("C1", 18_000_000, 0), ("C2", 2_000_000, 0),
                               ("C1", -17_500_000, GONE), ("C2", 17_500_000, GONE)):  # fmt: skip
        scored.book(number, amount, day(on))
    scored.close_through(day(GONE + 5))
    party(space, "P1", "C1", "C2")
    scored.score()
    scoring.drain()
    behind = "update positions set next_offset = next_offset - :n where topic = 'bank.events'"
    (own,) = rows(scoring, "select partition, position from customer_state"
                           " where customer_number = 'C2'")  # fmt: skip
    with scoring.database.transaction() as tx:
        found = tx.session.execute(
            store.text("delete from bank_events where partition = :p and event_offset = :at"
                       " returning event_offset"), {"p": own[0], "at": own[1]}
        ).all()  # fmt: skip
        assert found
        tx.session.execute(store.text(behind), {"n": 10_000})
    asked(scoring)
    assert outflows(scoring) == []
    assert rows(scoring, "select party_id from outflows_waiting") == [("P1",)]
    with scoring.database.transaction() as tx:
        tx.session.execute(store.text(behind), {"n": -10_000})
    asked(scoring)
    assert [row[0] for row in outflows(scoring)] == ["P1"], "the control: as if it were all"


def test_a_late_event_is_taken_at_the_next_close(space, scoring, scored):
    two_numbers(scored)
    scored.book("C2", -6_000_000, day(GONE))
    scored.close_through(day(GONE + 5))
    party(space, "P1", "C1", "C2")
    come_to(scoring, scored)
    (found,) = outflows(scoring)
    scored.book("C2", 9_000_000, day(GONE))
    come_to(scoring, scored)
    assert outflows(scoring) == [found]
    scored.close(day(GONE + 6))
    come_to(scoring, scored)
    assert outflows(scoring) == [], "on its day it had come, so there was no outflow"
    assert cleared(space, found) == ["recomputed"]


def test_what_the_worker_refuses_after_all_is_asked_anew(space, scoring, scored):
    two_numbers(scored)
    taken = scored.book("C2", -6_000_000, day(GONE))
    scored.close_through(day(GONE + 5))
    party(space, "P1", "C1", "C2")
    come_to(scoring, scored)
    assert len(outflows(scoring)) == 1
    refused(scoring, taken)
    asked(scoring)
    assert outflows(scoring) == []


def refused(scoring: ServiceUnderTest, event_id: str) -> None:
    """The worker's letter on an event comes."""
    (place,) = rows(scoring, "select partition, event_offset from bank_events"
                             " where event_id = :id", id=event_id)  # fmt: skip
    letter = (
        f'{{"topic":"bank.events","partition":{place[0]},"offset":{place[1]},"kind":"dead",'
        f'"field":"data.amount_minor","reason":"r"}}'
    ).encode()
    with scoring.database.transaction() as tx:
        keep_refusals(tx, [Record("scoring.dead", 0, 0, b"0", letter, 0)])


def meanwhile(monkeypatch: pytest.MonkeyPatch, happens: Callable[[], None]) -> list[int]:
    """This happens once, between the reading of what was booked and the judgement of it."""
    read, calls = commands.queries.moves_of, list[int]()

    def moves_of(session, parties):
        found = read(session, parties)
        calls.append(len(calls))
        if len(calls) == 1:
            happens()
        return found

    monkeypatch.setattr(commands.queries, "moves_of", moves_of)
    return calls


def test_what_is_refused_while_its_party_is_asked_is_not_missed(
    space, scoring, scored, monkeypatch
):
    two_numbers(scored)
    taken = scored.book("C2", -6_000_000, day(GONE))
    scored.close_through(day(GONE + 5))
    party(space, "P1", "C1", "C2")
    scored.score()
    scoring.drain()
    calls = meanwhile(monkeypatch, lambda: refused(scoring, taken))
    asked(scoring)
    relayed(scoring)
    assert len(calls) == 2, "it was read again"
    assert outflows(scoring) == []
    assert [e for e in space.read("score.alerts") if e.data.rule == "outflow"
            and e.data.party_id == "P1" and "C2" in e.data.customer_numbers] == []  # fmt: skip


def test_what_is_folded_while_its_party_is_asked_waits_for_the_next_close(
    space, scoring, scored, monkeypatch
):
    two_numbers(scored)
    scored.book("C2", -6_000_000, day(GONE))
    scored.close_through(day(GONE + 5))
    party(space, "P1", "C1", "C2")
    scored.score()
    scoring.drain()

    def late() -> None:
        scored.book("C2", 9_000_000, day(GONE))
        scored.score()
        scoring.drain()

    calls = meanwhile(monkeypatch, late)
    asked(scoring)
    assert len(calls) == 1
    assert len(outflows(scoring)) == 1, "judged by what was read"
    scored.close(day(GONE + 6))
    come_to(scoring, scored)
    assert outflows(scoring) == []


@pytest.mark.parametrize("other", ["nothing", "a manager", "an account without a transaction"])
def test_a_number_of_which_the_bank_told_no_account_has_none(space, scoring, scored, other):
    scored.book("C1", 4_000_000, day(0))
    scored.book("C1", -4_000_000, day(GONE))
    if other == "a manager":
        scored.assign("C2", day(0))
    elif other != "nothing":
        scored.open("C2", day(0))
    party(space, "P1", "C1", "C2")
    scored.end("C1", day(GONE + 2))
    scored.close_through(day(GONE + 5))
    come_to(scoring, scored)
    assert [row[0] for row in outflows(scoring)] == ["P1"]
    scored.close_through(day(GONE + 90), day(GONE + 6))
    come_to(scoring, scored)
    (ended,) = [e.data for e in space.read("score.alerts") if isinstance(e.data, AlertCleared)]
    assert ended.text["en"] == (
        "The usual balance is small by now" if other.startswith("an account")
        else "The customer has closed all accounts"
    )  # fmt: skip


@pytest.mark.parametrize("all_of_them", [True, False])
def test_an_outflow_that_ends_where_no_number_has_an_account_says_so(
    space, scoring, scored, all_of_them
):
    for number in ("C1", "C2", "C3"):
        scored.book(number, 4_000_000, day(0))
        scored.book(number, -4_000_000, day(GONE))
    party(space, "P1", "C1", "C2")
    party(space, "P3", "C3")
    for number in ("C1", "C2", "C3") if all_of_them else ("C1",):
        scored.end(number, day(GONE + 2))
    scored.close_through(day(GONE + 5))
    come_to(scoring, scored)
    assert [row[0] for row in outflows(scoring)] == ["P1", "P3"]
    scored.close_through(day(GONE + 90), day(GONE + 6))
    come_to(scoring, scored)
    ended = [one.data for one in space.read("score.alerts") if isinstance(one.data, AlertCleared)]
    assert sorted(one.party_id for one in ended) == ["P1", "P3"]
    assert {one.text["en"] for one in ended} == {
        "The customer has closed all accounts" if all_of_them
        else "The usual balance is small by now"
    }  # fmt: skip
