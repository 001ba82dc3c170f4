"""Every alert names the bank's event that moved it, and the broker's time of that event."""

from datetime import UTC, datetime, timedelta

from tests.integration import scoring_room
from tests.integration.scoring_room import day, party, rows

scoring, scored = scoring_room.scoring, scoring_room.scored


def raised(space):
    told = [e for e in space.read("score.alerts") if e.type == "scoring.alert_raised.v1"]
    return {(e.data.party_id, e.data.rule): e for e in told}


def test_an_alert_names_the_event_that_moved_it_and_silence_the_close(space, scoring, scored):
    began = datetime.now(UTC) - timedelta(seconds=1)
    party(space, "P2", "C2")
    party(space, "P3", "C3")
    scoring.drain()
    scored.days("C2", day(0), day(60), 5, 1_000_000)
    scored.days("C3", day(0), day(90), 6, 2_000_000)
    left = scored.book("C3", -28_000_000, day(91))
    scored.close_through(day(150))
    scored.score()
    scoring.drain()

    outflow = raised(space)["P3", "outflow"]
    assert outflow.causationid == outflow.correlationid == left
    assert (outflow.data.cause.type, outflow.data.cause.id) == (
        "bank.transaction_booked.v1", left,
    )  # fmt: skip
    assert outflow.data.cause.at.date() == day(91)
    assert began <= outflow.rootat <= datetime.now(UTC)

    silence = raised(space)["P2", "silence"]
    assert silence.data.cause.type == "bank.day_closed.v1"
    assert silence.causationid == silence.data.cause.id
    assert silence.causationid.startswith("close-core-")
    assert silence.data.cause.at.date() in (
        silence.data.at.date(), silence.data.at.date() + timedelta(days=1),
    )  # fmt: skip
    assert began <= silence.rootat <= datetime.now(UTC)


def test_a_cleared_alert_names_what_brought_the_customer_back(space, scoring, scored):
    party(space, "P2", "C2")
    scoring.drain()
    scored.days("C2", day(0), day(60), 5, 1_000_000)
    scored.close_through(day(150))
    scored.score()
    scoring.drain()
    back = scored.book("C2", 1_000_000, day(151))
    scored.score()
    scoring.drain()
    cleared = [e for e in space.read("score.alerts") if e.type == "scoring.alert_cleared.v1"]
    assert [(e.data.rule, e.causationid) for e in cleared] == [("silence", back)]


def test_an_event_that_comes_late_takes_back_the_alert_that_it_ends(space, scoring, scored):
    """It is dated before the close that raised the alert, and is told after it."""
    party(space, "P1", "C1")
    party(space, "P2", "C2")
    for number in ("C1", "C2"):
        scored.days(number, day(0), day(60), 5, 1_000_000)
    scored.close_through(day(115))
    scored.score()
    scoring.drain()
    late = scored.book("C1", -500, day(85))
    scored.close_through(day(116), day(116))
    scored.score()
    scoring.drain()
    asked = "select party_id, valid and ended_at is null from alerts where rule = 'silence'"
    assert sorted(rows(scoring, asked)) == [("P1", False), ("P2", True)]
    assert rows(scoring, "select customer_number from customer_state where silence") == [("C2",)]
    told = [e for e in space.read("score.alerts") if e.data.party_id == "P1"]
    assert [(e.type, e.causationid) for e in told[1:]] == [("scoring.alert_cleared.v1", late)]


def test_an_alert_that_a_joining_of_numbers_raises_belongs_to_that_story(space, scoring, scored):
    scored.days("C3", day(0), day(90), 6, 2_000_000)
    left = scored.book("C3", -28_000_000, day(91))
    scored.close_through(day(95))
    scored.score()
    scoring.drain()
    party(space, "P3", "C3")
    scoring.drain()
    outflow = raised(space)["P3", "outflow"]
    (joined,) = [e for e in space.read("customer.events") if e.subject == "C3"]
    assert outflow.causationid == joined.id
    assert outflow.data.cause.id == left
