"""An account that is closed and opened again is watched again from that day on."""

from typing import Any

import pytest

from services.scoring.scores import turns, watching
from shared.events.bank import AccountClosed, AccountOpened
from tests import made_bank
from tests.risk_live import Live
from tests.unit.test_watching import PLAN, day

CLOSED, OPENED, LAST_BUY, END = 100, 120, 450, 700


def _closing(live: Live, on: int, name: str = "") -> None:
    fact = AccountClosed(customer_number="one", account_number="one", closed_on=day(on))
    live.feed(made_bank.line(fact, f"closed{on}{name}", day(on)), b"one")


def _opening(live: Live, on: int, name: str = "") -> None:
    fact = AccountOpened(customer_number="one", account_number="one", product_code="CARD",
                         currency="CNY", opened_on=day(on))  # fmt: skip
    live.feed(made_bank.line(fact, f"opened{on}{name}", day(on)), b"one")


def _signals(
    told: dict[int, list[tuple[Any, int]]], last_buy: int = LAST_BUY
) -> list[tuple[str, str, int]]:
    """What is raised and cleared, with its day. `told`: on which day what is told, of which."""
    live, found = Live(PLAN), []
    for today in range(END):
        if (today < CLOSED or OPENED < today < last_buy) and today % 3 == 0:
            live.buys(today)
        for tell, on in told.get(today, ()):
            tell(live, on)
        found += live.close(today)
    return [(s.rule, s.kind, (s.on - day(0)).days) for s in found]


@pytest.fixture(scope="module")
def again() -> list[tuple[str, str, int]]:
    return _signals({CLOSED: [(_closing, CLOSED)], OPENED: [(_opening, OPENED)]})


def test_it_falls_silent_as_one_that_was_never_closed(again: list[tuple[str, str, int]]) -> None:
    never = _signals({})
    assert [one for one in again if one[2] > LAST_BUY]
    assert [s for s in again if s[2] > LAST_BUY] == [s for s in never if s[2] > LAST_BUY]


def test_nothing_is_said_of_the_days_on_which_it_was_closed(
    again: list[tuple[str, str, int]],
) -> None:
    closed_only = _signals({CLOSED: [(_closing, CLOSED)]}, last_buy=CLOSED)
    assert [one for one in closed_only if one[1] == "raised" and one[2] >= CLOSED] == []
    assert [one for one in again if CLOSED <= one[2] < LAST_BUY and one[1] == "raised"] == []
    assert ("collapse", "raised", OPENED) in _signals({}), "else it would have been said"


CLOSE, OPEN = (_closing, CLOSED), (_opening, OPENED)
WAYS = {
    "early": {CLOSED - 1: [CLOSE], OPENED: [OPEN]},
    "booked on without an opening": {CLOSED: [CLOSE]},
    "booked on, the closing late": {CLOSED + 3: [CLOSE]},
    "both at once": {CLOSED: [CLOSE, OPEN]},
    "closed twice": {CLOSED: [CLOSE], CLOSED + 5: [(_closing, CLOSED + 5)], OPENED: [OPEN]},
    "a closing late": {CLOSED: [CLOSE], OPENED: [OPEN], OPENED + 4: [(_closing, OPENED - 1)]},
    "opened twice": {CLOSED: [CLOSE], OPENED: [OPEN], OPENED + 9: [(_opening, OPENED + 9)]},
    "an opening early": {
        CLOSED: [CLOSE], OPENED: [OPEN], LAST_BUY - 3: [(_opening, LAST_BUY - 2)],
    },
}  # fmt: skip


@pytest.mark.parametrize("told", WAYS.values(), ids=WAYS)
def test_it_is_the_same_however_it_was_told(
    again: list[tuple[str, str, int]], told: dict[int, list[tuple[Any, int]]]
) -> None:
    assert _signals(told) == again


def test_one_that_is_closed_once_more_is_closed(again: list[tuple[str, str, int]]) -> None:
    """The control."""
    once_more = _signals({
        CLOSED: [(_closing, CLOSED)], OPENED: [(_opening, OPENED)], 455: [(_closing, 455)],
    })  # fmt: skip
    assert [one for one in once_more if one[1] == "raised" and one[2] > 455] == []
    assert once_more != again


def _of_two(*named: str) -> list[tuple[str, str, int]]:
    """What is said of the watched product of two that one number has; each closing names one."""
    live, found = Live(PLAN), []
    for today in range(END):
        if today < CLOSED and today % 3 == 0:
            live.buys(today)
        if today == 1:
            live.feed(made_bank.booked("one", "SAVE", 1, 500, "cash_in", "customer", live.at),
                      b"one")  # fmt: skip
        for product in named if today == CLOSED else ():
            fact = AccountClosed(customer_number="one", account_number="one", product_code=product,
                                 closed_on=day(today))  # fmt: skip
            live.feed(made_bank.line(fact, f"closed-{product}", day(today)), b"one")
        found += live.close(today)
    assert live.replay.result.refused == []
    return [(s.rule, s.kind, (s.on - day(0)).days) for s in found]


def test_a_closing_of_another_product_of_its_number_leaves_it_watched() -> None:
    never = _of_two()
    assert [one for one in never if one[1] == "raised" and one[2] > CLOSED]
    assert _of_two("SAVE") == never
    closed = _of_two("SAVE", "CARD")  # the control
    assert [one for one in closed if one[1] == "raised" and one[2] > CLOSED] == []


def test_a_closing_on_the_day_of_the_opening_counts() -> None:
    live = Live(PLAN)
    for today in range(OPENED + 2):
        if today < CLOSED and today % 3 == 0:
            live.buys(today)
        for tell, on in {CLOSED: [CLOSE], OPENED: [OPEN], OPENED + 1: [(_closing, OPENED)]}.get(
            today, ()
        ):
            tell(live, on)
        live.close(today)
    head = live.replay.engine.partition(0).watched.pool[: watching.HEAD]
    assert turns.closed_on(head[watching.CLOSED_ON]) == day(OPENED).toordinal()
    assert turns.is_closed(head[watching.CLOSED_ON], day(OPENED).toordinal())


def test_trouble_and_movers_are_forgotten_with_the_features() -> None:
    live = Live(PLAN)
    head = live.replay.engine.partition(0).watched
    for today in range(CLOSED):
        live.buys(today)
        live.close(today)
    known = head.pool[: watching.HEAD].copy()
    _closing(live, CLOSED)
    live.close(CLOSED)
    left = head.pool[: watching.HEAD]
    assert known[watching.TROUBLE_ON] > 0, "else there was nothing to forget"
    assert known[watching.MOVED :].any()
    assert left[watching.TROUBLE_ON] == 0
    assert not left[watching.MOVED :].any()


SILENT_FROM = 199


def _ends(closed_on: int, told_on: int, fee_on: int | None = None) -> list[tuple[str, str, int]]:
    """What ends after a silence, of an account whose closing is told before that day's close."""
    live, found = Live(PLAN), []
    for today in range(closed_on + 30):
        if today < SILENT_FROM and today % 3 == 0:
            live.buys(today)
        if today == fee_on:
            live.feed(made_bank.booked("one", "CARD", today, -10, "fee", "bank", 9_999), b"one")
        if today == told_on:
            _closing(live, closed_on)
        found += live.close(today)
    return [(s.rule, s.kind, (s.on - day(0)).days) for s in found if s.on >= day(SILENT_FROM)]


@pytest.mark.parametrize(
    ("closed_on", "told_on", "fee_on"),
    [(285, 284, None), (285, 284, 284), (330, 325, None), (460, 450, None)],
    ids=["nothing between", "a booking between", "a probe between", "a later probe between"],
)
def test_a_closing_told_before_its_day_ends_the_alert_on_its_day(
    closed_on: int, told_on: int, fee_on: int | None
) -> None:
    """Though a look is due between the two."""
    told = _ends(closed_on, told_on, fee_on)
    assert ("collapse", "cleared", closed_on) in told
    assert told == _ends(closed_on, closed_on, fee_on)
