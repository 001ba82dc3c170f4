"""Who has closed all his accounts is not silent: none is raised, and an open silence ends with the
day of his last closing, however the closings are told."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import pytest

from services.scoring import absences, reference
from services.scoring.replay import Line, Replay
from shared.events import Event
from shared.events.bank import (
    AccountClosed,
    AccountOpened,
    DayClosed,
    LoanGranted,
    TransactionBooked,
)
from shared.events.envelope import encode
from tests.ledger_bank import FIRST_DAY, Bank, event_of
from tests.scored import MODEL, Scored
from tests.unit.test_contribution_bad_input import LATEST, replay
from tests.unit.test_contribution_rules import Book, rate
from tests.workers import closed, described

LAST_ACT = 60
SILENT = 90  # at least thirty days
DAYS = 320
PRICES = [rate("transfer_price", 365_000), rate("transfer_price", 1, product="LN"),
          rate("cost_driver", 1, product=None, driver="account_day")]  # fmt: skip
Told = dict[int, list[Event[Any]]]


def day(n: int) -> date:
    return FIRST_DAY + timedelta(days=n)


def opening(n: int, account: str, currency: str = "CNY") -> Event[Any]:
    fact = AccountOpened(customer_number="C", account_number=account, product_code="CA",
                         currency=currency, opened_on=day(n))  # fmt: skip
    return event_of(fact, f"opened-{account}-{n}", day(n))


def closing(n: int, account: str = "1") -> Event[Any]:
    fact = AccountClosed(customer_number="C", account_number=account, closed_on=day(n))
    return event_of(fact, f"closed-{account}-{n}", day(n))


def act(n: int, account: str = "1", by: str = "customer") -> Event[Any]:
    fact = TransactionBooked(
        transaction_id=f"{account}-{n}-{by}", account_number=account, customer_number="C",
        product_code="CA", amount_minor=100, currency="CNY", kind="transfer_in",
        initiated_by=by, booked_on=day(n),  # type: ignore[arg-type]
    )  # fmt: skip
    return event_of(fact, f"txn-{account}-{n}-{by}", day(n))


def events(told: Told) -> list[Event[Any]]:
    """He acts every three days for two months; what else is told; and the closes."""
    found: list[Event[Any]] = []
    for n in range(DAYS):
        found += told.get(n, [])
        if n % 3 == 0 and n <= LAST_ACT:
            found.append(act(n))
        found.append(closed(day(n)))
    return found


def live(told: Told, size: int = 1, restart_every: int = 0, rates: Sequence[Any] = ()) -> Scored:
    return Scored(Bank(rates=list(rates))).run(events(told), size, restart_every)


def said(scored: Scored) -> list[tuple[str, int]]:
    """What is told of his silence, in the order of its days."""
    found = [one for one in map(msgspec.json.decode, scored.signals.values())
             if one["rule"] == "silence"]  # fmt: skip
    return sorted(((one["kind"], (date.fromisoformat(one["on"]) - FIRST_DAY).days)
                   for one in found), key=lambda one: one[1])  # fmt: skip


NEVER = [("raised", SILENT)]
ENDED = [("raised", SILENT), ("cleared", 120)]
STORIES: dict[str, tuple[Told, list[tuple[str, int]]]] = {
    "nothing": ({}, NEVER),
    "closes his only account": ({70: [closing(70)]}, []),
    "on the day of his last act": ({LAST_ACT: [act(LAST_ACT, by="bank"), closing(LAST_ACT)]}, []),
    "on the very day": ({SILENT: [closing(SILENT)]}, []),
    "a day later": ({SILENT + 1: [closing(SILENT + 1)]}, [*NEVER, ("cleared", SILENT + 1)]),
    "while he is silent": ({120: [closing(120)]}, ENDED),
    "told ahead": ({70: [closing(72)]}, []),
    "told ahead while he is silent": ({110: [closing(120)]}, ENDED),
    "told ahead before he is silent": ({85: [closing(120)]}, ENDED),
    "told ahead for a day after he would be": ({85: [closing(95)]}, [*NEVER, ("cleared", 95)]),
    "told late": ({80: [closing(70)]}, []),
    "told late while he is silent": ({125: [closing(120)]}, ENDED),
    "told late, of before he was silent": ({125: [closing(80)]}, [("cleared", 80), *NEVER]),
    "one of two": ({1: [opening(1, "2")], 70: [closing(70)]}, NEVER),
    "one of two while he is silent": ({1: [opening(1, "2")], 120: [closing(120)]}, NEVER),
    "both": ({1: [opening(1, "2")], 70: [closing(70)], 75: [closing(75, "2")]}, []),
    "both while he is silent": (
        {1: [opening(1, "2")], 100: [closing(100)], 120: [closing(120, "2")]}, ENDED,
    ),
    "both told ahead": (
        {1: [opening(1, "2")], 95: [closing(120, "2"), closing(100)]}, ENDED,
    ),
    "a foreign one is open": ({1: [opening(1, "2", "USD")], 70: [closing(70)]}, NEVER),
    "the foreign one too": (
        {1: [opening(1, "2", "USD")], 70: [closing(70)], 75: [closing(75, "2")]}, [],
    ),
    "another opened on the day": ({70: [closing(70), opening(70, "2")]}, NEVER),
    "another opened after he was silent": ({70: [closing(70)], 150: [opening(150, "2")]},
                                           [("raised", 180)]),
    "another opened before he would be": ({70: [closing(70)], 80: [opening(80, "2")]},
                                          [("raised", 110)]),
    "told ahead, opened again": ({120: [closing(121), opening(124, "1")]},
                                 [*NEVER, ("cleared", 121), ("raised", 154)]),
    "opened again and closed again": (
        {70: [closing(70)], 150: [opening(150, "1")], 170: [closing(170)]}, [],
    ),
    "the bank books behind the closing": ({70: [closing(70)], 75: [act(75, by="bank")]},
                                          [("raised", 105)]),
    "it books twice behind the closing": (
        {70: [closing(70), act(71, by="bank"), act(72, by="bank")]}, [("raised", 101)],
    ),
    "the closing is told behind its bookings": (
        {70: [act(71, by="bank"), act(72, by="bank"), closing(70)]}, [("raised", 101)],
    ),
    "and these in their turn upside down": (
        {70: [act(72, by="bank"), act(71, by="bank"), closing(70)]}, [("raised", 101)],
    ),
    "he acts behind the closing": ({70: [closing(70)], 150: [act(150)]}, [("raised", 270)]),
    "back with two, of which one is closed": (
        {70: [closing(70)], 150: [opening(150, "2"), opening(150, "3")], 160: [closing(160, "3")]},
        [("raised", 180)],
    ),
    "back, changes the account for another": (
        {70: [closing(70)], 150: [opening(150, "2")], 160: [opening(160, "3"), closing(160, "2")]},
        [("raised", 180)],
    ),
    "back, has another, closes the first": (
        {70: [closing(70)], 150: [opening(150, "2")], 155: [opening(155, "3")],
         160: [closing(160, "2")]},
        [("raised", 180)],
    ),
    "back with the old one, closes it again for another": (
        {70: [closing(70)], 150: [opening(150, "1")], 155: [opening(155, "3")],
         160: [closing(160)]},
        [("raised", 180)],
    ),
    "back, and an account forgets the day": (
        {70: [closing(70)], 150: [opening(150, "1")], 160: [opening(160, "2")],
         165: [closing(165)], 170: [opening(170, "1")], 172: [closing(172, "2")],
         173: [opening(173, "3")], 175: [closing(175)]},
        [("raised", 180)],
    ),
    "silent, left, back with two of which one is closed": (
        {120: [closing(120)], 200: [opening(200, "2"), opening(200, "3")],
         210: [closing(210, "3")]},
        [*ENDED, ("raised", 230)],
    ),
    "back, left again as is told late, and back": (
        {70: [closing(70)], 150: [opening(150, "1")], 157: [opening(157, "2")],
         160: [closing(154)]},
        [("raised", 187)],
    ),
    "back and left again within a day as is told late, and back": (
        {70: [closing(70)], 100: [opening(80, "1"), closing(80, "1"), opening(100, "2")]},
        [("raised", 130)],
    ),
    "a closing of before a booking": ({100: [act(100, by="bank")], 110: [closing(80)]},
                                      [("raised", SILENT)]),
}  # fmt: skip
EACH = pytest.mark.parametrize(("told", "expected"), STORIES.values(), ids=STORIES)
WAYS: dict[str, dict[str, Any]] = {
    "one by one": {"size": 1},
    "restarted after each": {"size": 1, "restart_every": 1},
    "sevens": {"size": 7, "restart_every": 3},
    "at once": {"size": 10**6},
    "with prices": {"size": 1, "rates": PRICES},
    "with prices, restarted": {"size": 5, "restart_every": 1, "rates": PRICES},
}


@EACH
def test_who_has_left_is_not_silent(told: Told, expected: list[tuple[str, int]]) -> None:
    assert said(live(told)) == expected


@EACH
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_it_is_the_same_in_any_split_after_a_kill_and_with_prices(
    told: Told, expected: list[tuple[str, int]], way: dict[str, Any]
) -> None:
    scored = live(told, **way)
    assert not scored.refused
    assert said(scored) == expected


@pytest.mark.parametrize("told", [STORIES["back with two, of which one is closed"][0],
                                  STORIES["another opened after he was silent"][0]])  # fmt: skip
def test_the_alert_of_one_who_came_back_counts_from_that_day(told: Told) -> None:
    (one,) = [s for s in map(msgspec.json.decode, live(told).signals.values())
              if s["rule"] == "silence"]  # fmt: skip
    midnight = datetime(FIRST_DAY.year, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai")) + (
        day(180) - date(FIRST_DAY.year, 1, 1)
    )
    assert datetime.fromisoformat(one["at"]) == midnight
    assert one["terms"]["silent_days"] == 180 - LAST_ACT


@pytest.mark.parametrize("first", [150, 155])
def test_openings_of_open_days_in_any_order_give_the_same_silence(first: int) -> None:
    """He acts before it would be due by the later opening."""
    openings = {150: opening(150, "2"), 155: opening(155, "3")}
    told = [openings.pop(first), *openings.values()]
    found = said(live({70: [closing(70)], 149: told, 183: [act(183, "2")]}))
    assert found[:2] == [("raised", 180), ("cleared", 183)]


def test_who_comes_back_and_acts_is_silent_by_his_new_last_act() -> None:
    back = {70: [closing(70)], 72: [opening(72, "1"), act(72)]}
    ((_, silent),) = said(live({72: [act(72)]}))
    assert silent > SILENT
    assert said(live(back)) == [("raised", silent)]
    again = {**back, silent + 9: [closing(silent + 9)]}
    assert said(live(again)) == [("raised", silent), ("cleared", silent + 9)]


def test_the_signal_says_that_there_is_no_account() -> None:
    told = {s["kind"]: s for s in map(msgspec.json.decode, live({120: [closing(120)]})
                                      .signals.values()) if s["rule"] == "silence"}  # fmt: skip
    assert told["cleared"]["terms"]["open_accounts"] == 0
    assert told["cleared"]["events"] == []
    assert "open_accounts" not in told["raised"]["terms"]
    late = live({125: [closing(120)]}).signals["silence/C/1/cleared"]
    assert msgspec.json.decode(late)["events"] == ["closed-1-120"]
    acts = live({125: [act(125)]}).signals["silence/C/1/cleared"]  # the control
    assert "open_accounts" not in msgspec.json.decode(acts)["terms"]


def test_a_loan_is_no_account() -> None:
    loan = LoanGranted(customer_number="C", loan_number="L", account_number="1", product_code="LN",
                       principal_minor=1_000, currency="CNY", granted_on=day(1))  # fmt: skip
    granted = event_of(loan, "loan-L", day(1))
    assert said(live({1: [granted], 70: [closing(70)]}, rates=PRICES)) == []
    assert said(live({1: [granted]}, rates=PRICES)) == NEVER  # the control


def test_a_closing_that_waited_and_is_replayed_ends_the_silence() -> None:
    book = Book(PRICES)
    for event in events({}):
        if event.businessdate <= day(130):
            book.tell(event)
    assert said(book.scored) == NEVER
    replay(book, closing(120), 0, 1)
    assert said(book.scored) == ENDED


def test_prices_that_come_after_openings_are_taken_still() -> None:
    """Without a price no figure rests on an opening."""
    scored = Scored(Bank())
    feed(scored, 0, opening(0, "1"), closed(day(0)))
    for one in PRICES:
        scored.tell(one)
    feed(scored, 1, act(1), closed(day(1)))
    assert scored.alarms == []
    assert scored.engine.partition(0).books.rates.active
    late = Scored(Bank())  # the control
    feed(late, 0, act(0), closed(day(0)))
    for one in PRICES:
        late.tell(one)
    feed(late, 1, act(1), closed(day(1)))
    assert any("the first price came after the first event" in alarm for alarm in late.alarms)
    assert not late.engine.partition(0).books.rates.active


def test_without_prices_a_closing_that_names_too_little_is_passed_over() -> None:
    """As before: neither refused nor applied."""
    scored = Scored(Bank())
    feed(scored, 0, opening(0, "1"), opening(0, "1", "USD"))
    too_little = [closing(5), closing(5, "unknown")]
    lines = [Line(9 + n, b"C", encode(event)) for n, event in enumerate(too_little)]
    batch = scored.engine.read(0, lines, LATEST)
    assert (batch.columns.ignored.total(), batch.columns.refused) == (2, [])
    named = msgspec.structs.replace(closing(5).data, currency="USD")
    assert len(scored.engine.read(
        0, [Line(9, b"C", encode(event_of(named, "closed", day(5))))], LATEST
    ).columns.rows) == 1  # fmt: skip


ABSENCES: dict[str, tuple[Told, absences.Away | None]] = {
    "none": ({}, None),
    "for good": ({70: [closing(70)]}, (day(70), None)),
    "until he has another": ({70: [closing(70)], 150: [opening(150, "2")]}, (day(70), day(150))),
    "until the bank books": ({70: [closing(70)], 75: [act(75, by="bank")]}, (day(70), day(75))),
    "another on the day": ({70: [closing(70), opening(70, "2")]}, None),
    "one of two": ({1: [opening(1, "2")], 70: [closing(70)]}, None),
    "back, changes the account for another": (
        STORIES["back, changes the account for another"][0], (day(70), day(150)),
    ),
    "back, and has a second one for some days": (
        {70: [closing(70)], 150: [opening(150, "2")], 155: [opening(155, "3")],
         160: [closing(160, "3")]},
        (day(70), day(150)),
    ),
    "back with the old one, closes it again for another": (
        STORIES["back with the old one, closes it again for another"][0], (day(70), day(150)),
    ),
    "back, and an account forgets the day": (
        STORIES["back, and an account forgets the day"][0], (day(70), day(150)),
    ),
    "back, left again as is told late, and back": (
        STORIES["back, left again as is told late, and back"][0], (day(154), day(157)),
    ),
    "back and left again within a day as is told late, and back": (
        STORIES["back and left again within a day as is told late, and back"][0],
        (day(80), day(100)),
    ),
    "and left again": ({70: [closing(70)], 150: [opening(150, "1")], 170: [closing(170)]},
                       (day(170), None)),
}  # fmt: skip


@pytest.mark.parametrize(("told", "expected"), ABSENCES.values(), ids=ABSENCES)
def test_an_absence_is_read_off_the_accounts(
    told: Told, expected: absences.Away | None
) -> None:
    assert absences.away(live(told).customers()["C"]) == expected


@pytest.mark.parametrize(("leaves", "expected"), [(True, [day(SILENT)]), (False, [])])
def test_a_party_of_a_replay_is_silent_without_the_number_that_has_left(
    leaves: bool, expected: list[date]
) -> None:
    """Its other number acts to the end, or closes its account before the silence of the first."""
    one = Replay(MODEL, currency="CNY", zone="Asia/Shanghai", until=day(DAYS),
                 parties={"P": {"C", "D"}})  # fmt: skip
    reference.tell(one.engine, described(from_on=FIRST_DAY))
    other = [msgspec.structs.replace(e.data, customer_number="D", account_number="D")
             for n in range(0, 80 if leaves else DAYS, 3) for e in [act(n, "D")]]  # fmt: skip
    told = events({80: [event_of(msgspec.structs.replace(closing(80).data, customer_number="D",
                                                         account_number="D"), "gone", day(80))]}
                  if leaves else {})  # fmt: skip
    told += [event_of(fact, f"txn-{fact.transaction_id}", fact.booked_on) for fact in other]
    told.sort(key=lambda e: (e.businessdate, isinstance(e.data, DayClosed)))
    one.feed([Line(n, None if isinstance(e.data, DayClosed) else e.subject.encode(), encode(e))
              for n, e in enumerate(told)])  # fmt: skip
    found = [e for e in one.episodes() if e["rule"] == "silence"]
    zone = ZoneInfo("Asia/Shanghai")
    assert [e["at"].astimezone(zone).date() for e in found] == expected


def feed(scored: Scored, begin: int, *told: Event[Any]) -> None:
    lines = [Line(10 * begin + n, None if event.type == "bank.day_closed.v1" else b"C",
                  encode(event)) for n, event in enumerate(told)]  # fmt: skip
    scored.feed(0, lines)
