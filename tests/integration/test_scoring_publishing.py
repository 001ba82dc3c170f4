"""Scores stand in line until they are told: nothing that was written is left untold."""

import json
import threading
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text

from services.scoring.commands import parties, publishing
from services.scoring.commands.publishing import ScoresLine
from shared.db import Tx
from shared.outbox import Telling
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import HEAD, day, due_now, party, relayed, rows
from tests.scoring_bank import ScoredBank

scoring = scoring_room.scoring
scored = scoring_room.scored
LINE = ScoresLine()


@pytest.fixture
def one_party(space: Space, scoring: ServiceUnderTest) -> ServiceUnderTest:
    """P1 is told once, without a figure."""
    party(space, "P1", "C1")
    scoring.drain()
    assert told(space) == [0]
    return scoring


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


def booked(scoring: ServiceUnderTest, minor: int) -> None:
    with scoring.database.transaction() as tx:
        book(tx, minor)


def taken(scoring: ServiceUnderTest) -> list[Telling]:
    due_now(scoring)
    return LINE.take(scoring.database, 10)


def report(scoring: ServiceUnderTest, tellings: list[Telling]) -> None:
    with scoring.database.transaction() as tx:
        LINE.told(tx, tellings)


def told(space: Space) -> list[Any]:
    return [e.data.figures["net_transactions_minor"] for e in space.read("score.updates")]


def in_line(scoring: ServiceUnderTest) -> list[Any]:
    return [party_id for (party_id,) in rows(scoring, "select party_id from scores_waiting")]


def test_what_changes_while_it_is_sent_is_told_again(
    space: Space, one_party: ServiceUnderTest
) -> None:
    booked(one_party, 5)
    sent = taken(one_party)
    booked(one_party, 7)
    report(one_party, sent)
    assert in_line(one_party) == ["P1"]
    assert LINE.take(one_party.database, 10) == [], "at most every 250 ms"
    due_now(one_party)
    relayed(one_party)
    assert told(space) == [0, 12]
    assert in_line(one_party) == []


def test_what_is_being_written_while_it_is_reported_is_told_again(
    space: Space, one_party: ServiceUnderTest
) -> None:
    """The relay asks whether the party has changed, and waits for who is changing it."""
    booked(one_party, 5)
    sent = taken(one_party)
    waiting = threading.Thread(target=report, args=(one_party, sent))
    with one_party.database.transaction() as tx:
        book(tx, 7)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive(), "it has not waited"
    waiting.join()
    assert in_line(one_party) == ["P1"]
    due_now(one_party)
    relayed(one_party)
    assert told(space) == [0, 12]


def test_without_the_version_a_figure_stays_untold(
    space: Space, one_party: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Negative control: he is in line already, so the writer writes nothing there; taken out
    meanwhile, nobody tells what was written."""
    careless = publishing.TOLD.text.replace("w.version = x.version as whole", "true as whole")
    monkeypatch.setattr(publishing, "TOLD", text(careless))
    booked(one_party, 5)
    sent = taken(one_party)
    booked(one_party, 7)
    report(one_party, sent)
    due_now(one_party)
    relayed(one_party)
    assert told(space) == [0]
    assert rows(one_party, "select cast(sum_minor as bigint) from party_figures") == [(12,)]


def test_a_crash_before_the_report_is_kept_sends_the_same_bytes_again(
    space: Space, one_party: ServiceUnderTest
) -> None:
    booked(one_party, 5)
    first = taken(one_party)
    space.clock.bank += timedelta(days=40)  # and whatever else goes by
    assert taken(one_party) == first
    booked(one_party, 7)
    (second,) = taken(one_party)
    assert second.version == first[0].version + 1
    ids = [json.loads(one.payload)["id"] for one in (*first, second)]
    assert ids == [f"score.updates:P1:{one.version}" for one in (*first, second)]


def test_a_party_that_lost_its_numbers_unheard_leaves_the_line(
    space: Space, scoring: ServiceUnderTest
) -> None:
    with scoring.database.transaction() as tx:
        tx.session.execute(text("insert into party_figures (party_id, numbers) values ('P9', 0)"))
        tx.session.execute(text("insert into scores_waiting values ('P9', '-infinity')"))
    relayed(scoring)
    assert in_line(scoring) == []
    assert told(space) == []


def test_a_rule_that_a_late_event_has_ended_no_longer_holds(
    space: Space, scoring: ServiceUnderTest, scored: ScoredBank
) -> None:
    """A late end is dated before what it ends: neither what is told nor the page of the party goes
    by the later instant."""
    stand_on(space, day(0))
    party(space, "P1", "C1")
    party(space, "P2", "C2")
    scored.days("C1", day(0), day(60), 3, 1_000_000)
    scored.days("C2", day(0), day(95), 3, 3_000_000)
    scored.book("C2", -90_000_000, day(97))
    scored.close_through(day(98))
    stand_on(space, day(99))
    scored.score()
    scoring.drain()
    due_now(scoring)
    relayed(scoring)
    assert told_rules(space) == {"P1": ["silence"], "P2": ["outflow"]}
    assert shown_rules(scoring) == {"P1": ["silence"], "P2": ["outflow"]}
    scored.book("C1", 100, day(89))
    scored.book("C2", 80_000_000, day(96))
    scored.score()
    scoring.drain()
    dated = dict(rows(scoring, "select rule || ' ' || kind, at from signals"))
    assert dated["silence cleared"] < dated["silence raised"]
    assert dated["outflow cleared"] < dated["outflow raised"]
    due_now(scoring)
    relayed(scoring)
    assert told_rules(space) == shown_rules(scoring) == {"P1": [], "P2": []}


def stand_on(space: Space, on: date) -> None:
    space.clock.bank = datetime.combine(on, time(9), ZoneInfo("Asia/Shanghai"))


def told_rules(space: Space) -> dict[str, list[str]]:
    """Of each party, as last told."""
    return {e.data.party_id: [risk.rule for risk in e.data.risks]
            for e in space.read("score.updates")}  # fmt: skip


def shown_rules(scoring: ServiceUnderTest) -> dict[str, list[str]]:
    """As the page of each party has them."""
    pages = {one: scoring.client(HEAD).get(f"/contribution/parties/{one}").text
             for one in ("P1", "P2")}  # fmt: skip
    return {one: [rule for rule in ("silence", "outflow") if f'data-key="{rule}/' in page]
            for one, page in pages.items()}  # fmt: skip
