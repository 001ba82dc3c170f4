"""The state made anew has nothing of a customer, or of one of his accounts: their events are
refused now. Then the tables have nothing of them either."""

import pytest
from sqlalchemy import text

from services.scoring.commands import alerts_anew
from services.scoring.commands.left_over import LeftOver
from services.scoring.roller import Log
from shared.ids import partition_of
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.scoring_room import (
    HEAD,
    KEPT_APART,
    compared,
    day,
    party,
    read_through,
    rows,
)
from tests.integration.test_state_anew_alerts import HELD, RefusingBank, forgotten, scored_in_two

scoring = scoring_room.scoring
FOLDED = "select customer_number, count from customer_state order by 1"
ACCOUNTS = "select account_number, count from account_figures order by 1"
PARTIES = "select party_id, count from party_figures order by 1"
OF_BEFORE = "select count(*) from figures_of_before"
BEGUN = "select after_number from alerts_held where partition = 0"


def taken_back(scoring: ServiceUnderTest) -> int:
    """In how many steps; none: it is not known yet who is left over."""
    return stepped(LeftOver(scoring.runtime))


def stepped(job: LeftOver) -> int:
    for n in range(100):
        if not job.step():
            return n
    raise AssertionError("figures are taken back for ever")


def hide_what_was(scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here the topics stay: the job reads as if the state's were another one."""
    begin = scoring.runtime.end_offsets("scoring.state")

    class OfNow(Log):
        def _take(self, records: list[Record], folded: int) -> None:
            super()._take([r for r in records if r.offset >= begin[r.partition]], folded)

    monkeypatch.setattr(alerts_anew, "Log", OfNow)


def a_bank(space: Space, scoring: ServiceUnderTest) -> RefusingBank:
    """Of C one of two accounts, of D the only one, of E all but that he has one."""
    for name in "CDE":
        party(space, f"P{name}", name)
    bank = RefusingBank(space)
    bank.waits = False
    bank.book("C", 1000, day(0))
    bank.book("C", 500, day(0), account="SV-C", product="SV-P")
    bank.book("D", 700, day(0), account="SV-CD", product="SV-P")
    bank.open("E", "A-E", day(0))
    bank.book("E", 300, day(1), account="SV-CE", product="SV-P")
    bank.book("C", 2000, day(1))
    bank.close_through(day(1))
    bank.score()
    scoring.drain()
    assert rows(scoring, FOLDED) == [("C", 3), ("D", 1), ("E", 1)]
    return bank


def test_who_has_no_record_any_more_and_whose_account_has_nothing_lose_their_figures(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    bank = a_bank(space, scoring)
    bank.shut()
    forgotten(scoring, monkeypatch)
    hide_what_was(scoring, monkeypatch)
    anew = RefusingBank(space)
    anew.score()
    scoring.drain()
    ends = {p: end - 1 for p, end in scoring.runtime.end_offsets("bank.events").items()}
    read_through(scoring, {p: end - 1 for p, end in ends.items()})
    assert taken_back(scoring) == 0, "alerts are held"
    assert compared(scoring) > 0
    assert rows(scoring, HELD) == [(0,)]
    job = LeftOver(scoring.runtime)
    assert stepped(job) == 0, "the worker has not read all"
    assert ("D", 1) in rows(scoring, FOLDED)
    read_through(scoring, ends)
    job._state = dict.fromkeys(ends, 1000)
    assert stepped(job) == 0, "what it wrote is not folded"
    assert taken_back(scoring) > 0
    assert rows(scoring, OF_BEFORE) == [(0,)]
    told = scoring.client(HEAD).get("/metrics").text
    assert 'guanxi_scoring_rows{what="figures_of_before"} 0.0' in told
    assert rows(scoring, FOLDED) == [("C", 2)]
    assert rows(scoring, ACCOUNTS) == [("A-C", 2)]
    assert rows(scoring, PARTIES) == [("PC", 2), ("PD", 0), ("PE", 0)]
    assert rows(scoring, KEPT_APART) == []
    anew.shut()


def test_who_is_told_of_again_meanwhile_keeps_his_figures(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also who stands in a partition that was made anew a second time."""
    bank = a_bank(space, scoring)
    before = [rows(scoring, sql) for sql in (FOLDED, ACCOUNTS, PARTIES)]
    bank.shut()
    forgotten(scoring, monkeypatch)
    with scoring.database.transaction() as tx:
        tx.session.execute(text("update figures_of_before set after_number = 'Z'"))
    forgotten(scoring, monkeypatch)
    assert not rows(scoring, "select 1 from figures_of_before where after_number <> ''")
    anew = RefusingBank(space)
    anew.waits = False
    anew.score()
    scoring.drain()
    read_through(scoring)
    assert compared(scoring) > 0
    assert taken_back(scoring) > 0
    assert [rows(scoring, sql) for sql in (FOLDED, ACCOUNTS, PARTIES)] == before
    assert rows(scoring, KEPT_APART) == []
    anew.shut()


def test_a_record_that_was_folded_after_the_job_had_read_the_log_is_not_lost(
    space: Space, scoring: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It seemed older than what was there before, so the fold refused it."""
    first, last = sorted([n for i in range(99) if partition_of(n := f"N{i}", 4) == 0][:2])
    for number in (first, last):
        party(space, f"P{number}", number)
    bank = RefusingBank(space)
    bank.waits = False
    for number in (first, last):
        bank.book(number, 1000, day(0))
    bank.close_through(day(1))
    bank.book(first, 7, day(2), account="SV-CA", product="SV-P")
    bank.book(last, 30, day(2))
    bank.book(last, 5, day(2), account="SV-CB", product="SV-P")
    bank.score()
    scoring.drain()
    bank.shut()
    forgotten(scoring, monkeypatch)
    hide_what_was(scoring, monkeypatch)
    monkeypatch.setattr(alerts_anew, "NUMBERS", 1)
    anew = RefusingBank(space)
    job = alerts_anew.AlertsAnew(scoring.runtime)
    for is_late, ends in enumerate(scored_in_two(anew, day(2))):
        scoring.drain()
        if not is_late:
            read_through(scoring, ends)
            while rows(scoring, BEGUN) == [("",)]:
                assert job.step()
    while job.step():
        pass
    anew.shut()
    assert rows(scoring, FOLDED) == [(first, 1), (last, 2)]
