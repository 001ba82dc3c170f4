"""A number of a party that closes all its accounts, or has one again: the close of its day decides
whether the party is silent. What is told is what a replay of the same events says in the end."""

from collections.abc import Iterator
from datetime import date, datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from services.scoring import model
from services.scoring.queries import rehearsals
from services.scoring.replay import Line, Replay
from services.scoring.watermark import Source
from shared.events import envelope
from shared.events.bank import AccountClosed, AccountOpened, DayClosed
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import day, party, rows
from tests.scoring_bank import FIRST_DAY, SOURCE, ZONE, ScoredBank

scoring = scoring_room.scoring
LEFT: Final = 120
P1: Final = {"P1": {"C", "D"}}


class ReplayedBank(ScoredBank):
    """Keeps what it sends, once for all partitions."""

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self.lines: list[Line] = []

    def _send(self, fact: Any, name: str, on: date, key: bytes, partition: int | None) -> None:
        super()._send(fact, name, on, key, partition)
        closes = isinstance(fact, DayClosed)
        if not partition:
            at = datetime(on.year, on.month, on.day, 10, tzinfo=ZoneInfo(ZONE))
            event = envelope.wrap(fact, id=name, source=SOURCE, time=at, businessdate=on)
            place = len(self.lines)
            self.lines.append(Line(place, None if closes else key, envelope.encode(event)))

    def open(self, number: str, account: str, on: date) -> None:
        fact = AccountOpened(customer_number=number, account_number=account,
                             product_code="CA-P", currency="CNY", opened_on=on)  # fmt: skip
        self._send(fact, f"opened-{account}-{on}", on, number.encode(), None)

    def replayed(self) -> list[tuple[datetime, datetime | None]]:
        one = Replay(model.load(), currency="CNY", zone=ZONE, until=day(3000), parties=P1)
        one.engine.describe(SOURCE, Source(True, FIRST_DAY.toordinal()))
        one.feed(self.lines)
        one.finish()
        return [(e["at"], e["ended_at"]) for e in one.episodes() if e["rule"] == "silence"]


@pytest.fixture
def bank(space: Space) -> Iterator[ReplayedBank]:
    """Of two numbers of one party D has long been silent, and C is not."""
    space.clock.bank = midnight(0)
    found = ReplayedBank(space)
    party(space, "P1", "C", "D")
    found.days("D", day(0), day(60), 3, 1_000_000)
    found.days("C", day(0), day(LEFT - 2), 3, 1_000_000)
    found.close_through(day(LEFT - 2))
    yield found
    found.shut()


def taken(space: Space, scoring: ServiceUnderTest, bank: ReplayedBank, n: int, hour: int) -> None:
    """At this hour of the bank's clock all that was sent by now is scored and folded."""
    on = day(n)
    space.clock.bank = datetime(on.year, on.month, on.day, hour, tzinfo=space.clock.zone)
    bank.score()
    scoring.drain()


def silences(scoring: ServiceUnderTest) -> list[tuple]:
    return rows(scoring, "select at, ended_at from alerts where rule = 'silence' and valid"
                         " order by at")  # fmt: skip


def midnight(n: int) -> datetime:
    return datetime(*day(n).timetuple()[:3], tzinfo=ZoneInfo(ZONE))


def told(space: Space) -> list[tuple[str, str]]:
    return [(type(e.data).__name__, e.data.text["en"]) for e in space.read("score.alerts")]


@pytest.mark.parametrize("told_on", [LEFT, LEFT - 1], ids=["on its day", "the evening before"])
@pytest.mark.parametrize("others", [0, 8], ids=["alone", "among others"])
def test_the_close_of_the_day_on_which_a_number_leaves_tells_of_the_silence_of_the_rest(
    space: Space, scoring: ServiceUnderTest, bank: ReplayedBank, told_on: int, others: int
) -> None:
    """Whether or not the poll with the close has anything else."""
    bank.close_through(day(told_on - 1), day(LEFT - 1))
    bank.end("C", day(LEFT))
    taken(space, scoring, bank, told_on, 20)
    bank.close_through(day(LEFT - 1), day(told_on))
    taken(space, scoring, bank, LEFT, 21)
    assert silences(scoring) == [] == bank.replayed(), "the day may still tell of another account"
    for n in range(others):
        bank.book(f"X{n}", 100, day(LEFT))
    bank.close(day(LEFT))
    taken(space, scoring, bank, LEFT + 1, 1)
    assert silences(scoring) == [(midnight(LEFT), None)] == bank.replayed()
    ((name, said),) = told(space)
    assert name == "AlertRaised"
    assert said.startswith(
        "1 customer number with all accounts closed; last own transaction of the rest on"
        f" {day(60)}, usually every 3 days; raised on {day(LEFT)}"
    ), "he who left acted two days before"
    (raised,) = space.read("score.alerts")
    closing = f"closed-C-{day(LEFT)}"
    assert (raised.data.cause.type, raised.data.cause.id) == (AccountClosed.TYPE, closing)
    assert raised.correlationid == closing


def test_a_closing_of_an_earlier_day_that_is_told_later_is_not_why_a_number_has_left(
    space: Space, scoring: ServiceUnderTest, bank: ReplayedBank
) -> None:
    bank.open("C", "A2-C", day(30))
    bank.close(day(LEFT - 1))
    bank.end("C", day(LEFT))
    taken(space, scoring, bank, LEFT, 20)
    bank.end("C", day(LEFT - 10), "A2-C")
    taken(space, scoring, bank, LEFT, 21)
    assert told(space) == []
    bank.close(day(LEFT))
    taken(space, scoring, bank, LEFT + 1, 1)
    assert silences(scoring) == [(midnight(LEFT), None)] == bank.replayed()
    (raised,) = space.read("score.alerts")
    assert raised.data.cause.id == f"closed-C-{day(LEFT)}"


def test_an_account_that_is_changed_for_another_on_one_day_is_no_leaving(
    space: Space, scoring: ServiceUnderTest, bank: ReplayedBank
) -> None:
    bank.close(day(LEFT - 1))
    bank.end("C", day(LEFT))
    taken(space, scoring, bank, LEFT, 14)
    bank.open("C", "A2-C", day(LEFT))
    taken(space, scoring, bank, LEFT, 15)
    bank.close_through(day(LEFT + 5), day(LEFT))
    taken(space, scoring, bank, LEFT + 6, 1)
    assert silences(scoring) == [] == bank.replayed()
    assert told(space) == []


def test_a_leaving_that_is_told_after_the_close_of_its_day_counts_at_once(
    space: Space, scoring: ServiceUnderTest, bank: ReplayedBank
) -> None:
    """No signal and no close comes with it."""
    bank.close_through(day(LEFT + 5), day(LEFT - 1))
    taken(space, scoring, bank, LEFT + 6, 1)
    assert silences(scoring) == []
    bank.end("C", day(LEFT))
    taken(space, scoring, bank, LEFT + 6, 2)
    assert silences(scoring) == [(midnight(LEFT), None)] == bank.replayed()
    (known,) = rehearsals.parties(scoring.database.read, 0, midnight(0))
    assert known.away == {"C": (day(LEFT), None)}, "what a rehearsal knows of it"


def test_the_close_of_the_day_on_which_a_number_is_back_ends_the_silence_of_the_rest(
    space: Space, scoring: ServiceUnderTest, bank: ReplayedBank
) -> None:
    """Also when its account was told of the evening before."""
    bank.end("C", day(LEFT))
    bank.close_through(day(LEFT + 9), day(LEFT - 1))
    bank.open("C", "A2-C", day(LEFT + 11))
    taken(space, scoring, bank, LEFT + 10, 20)
    assert silences(scoring) == [(midnight(LEFT), None)] == bank.replayed()
    bank.close_through(day(LEFT + 11), day(LEFT + 10))
    taken(space, scoring, bank, LEFT + 12, 1)
    assert silences(scoring) == [(midnight(LEFT), midnight(LEFT + 11))] == bank.replayed()
    assert told(space)[-1] == ("AlertCleared", "The customer has an account again")
