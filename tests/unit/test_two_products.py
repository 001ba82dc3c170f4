"""One number with two watched products is two accounts: to signals, to alerts, to hindsight."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any, Final
from zoneinfo import ZoneInfo

import pytest

from services.scoring import party_episodes, risk_plan
from services.scoring.hindsight import Asked, Booking, Given, Tally, judge, lives
from services.scoring.rehearsal import _holder
from services.scoring.rehearser import _given
from services.scoring.signals import Signal
from shared.events.bank import AccountClosed, AccountOpened, TransactionBooked
from tests import made_bank
from tests.made_bank import BEGIN
from tests.risk_live import Live, hand_made, of_products

PLAN: Final = risk_plan.plan_of(of_products(hand_made("CA1"), "CA1", "CA2"))
CLOSED, SILENT_FROM, END = 260, 420, 520


def _bank(second: str) -> list[Signal]:
    """A number is closed and begins anew, as another product or as another number; each of the two
    accounts is used for a while. What is said of falling activity."""
    live, found = Live(PLAN), []
    one, other = ("1", "CA1"), (second, "CA2")

    def opened(number: str, product: str, on: int) -> None:
        fact = AccountOpened(customer_number="one", account_number=number, product_code=product,
                             currency="CNY", opened_on=BEGIN + timedelta(days=on))  # fmt: skip
        live.feed(made_bank.line(fact, f"opened-{on}", fact.opened_on), b"one")

    opened(*one, 0)
    for today in range(END):
        on = BEGIN + timedelta(days=today)
        if today == CLOSED:
            gone = AccountClosed(customer_number="one", account_number="1", product_code="CA1",
                                 closed_on=on)  # fmt: skip
            live.feed(made_bank.line(gone, "closed", on), b"one")
            opened(*other, CLOSED)
        account = one if today < 150 else other if CLOSED < today < SILENT_FROM else None
        if account and today % 3 == 0:
            fact = TransactionBooked(
                transaction_id=f"t{today}", account_number=account[0], customer_number="one",
                product_code=account[1], amount_minor=100, currency="CNY", kind="card",
                initiated_by="customer", booked_on=on,
            )  # fmt: skip
            live.feed(made_bank.line(fact, f"t{today}", on), b"one")
        found += live.close(today)
    assert live.replay.result.refused == []
    return [s for s in found if s.rule == "collapse"]


def _said(signals: list[Signal]) -> list[tuple[str, int]]:
    return [(s.kind, (s.on - BEGIN).days) for s in signals]


def _episodes(signals: list[Signal]) -> list[tuple[Any, Any]]:
    found = party_episodes.final(
        {"P": {"one"}}, signals, {"one": BEGIN}, {}, {}, ZoneInfo("Asia/Shanghai")
    )
    return [(one["at"], one["ended_at"]) for one in found]


def test_the_second_product_of_a_number_is_told_as_a_second_number_is() -> None:
    same, apart = _bank("1"), _bank("2")
    assert [kind for kind, _ in _said(same)] == ["raised", "cleared", "raised"]
    assert _said(same) == _said(apart)
    assert len({s.id for s in same}) == len(same)
    assert [s.product_code for s in same] == ["CA1", "CA1", "CA2"]
    assert same[0].id == "collapse/one/1/CA1/1/raised"
    assert same[2].id == "collapse/one/1/CA2/1/raised"
    assert len(_episodes(same)) == 2
    assert _episodes(same) == _episodes(apart)


def test_a_rehearsal_keeps_the_two_apart() -> None:
    first, _, second = _bank("1")
    assert first.episode == second.episode, "else they could not be mistaken"
    assert _holder(first) != _holder(second)

    def row(product: str, kind: str, on: int) -> Any:
        return SimpleNamespace(
            proposed=True, customer_number="one", account_number="1", product_code=product,
            rule="collapse", episode=1, kind=kind, on_date=BEGIN + timedelta(days=on),
            carried=False,
        )  # fmt: skip

    rows = [row("CA1", "raised", 10), row("CA2", "raised", 30), row("CA1", "cleared", 20)]
    (found,) = _given(rows).values()
    day = BEGIN.toordinal()
    assert [(g.product_code, g.on - day, g.until and g.until - day) for g in found] == [
        ("CA1", 10, 20), ("CA2", 30, 0),
    ]  # fmt: skip


LAST: Final = 400


def _on(n: int) -> int:
    return (BEGIN + timedelta(days=n)).toordinal()


def _turn(kind: type, product: str, n: int) -> Booking:
    return Booking(kind.TYPE, "1", product, _on(n), 0, "", "")  # type: ignore[attr-defined]


def _acts(product: str, *days: int) -> list[Booking]:
    return [Booking(TransactionBooked.TYPE, "1", product, _on(n), -100, "card", "customer")
            for n in days]  # fmt: skip


BOTH: Final = [_turn(AccountOpened, "CA", 0), *_acts("CA", 10, 300)]
OTHER: Final = [_turn(AccountOpened, "SA", 50), *_acts("SA", 60)]


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        ([*BOTH, *OTHER], (LAST, LAST)),
        ([*BOTH, *OTHER, _turn(AccountClosed, "CA", 350)], (349, LAST)),
        ([*BOTH, *OTHER, _turn(AccountClosed, "SA", 350)], (LAST, 349)),
        ([*BOTH, *OTHER, _turn(AccountClosed, "", 350)], (LAST, LAST)),
        ([*BOTH, _turn(AccountClosed, "", 350), *OTHER], (349, LAST)),
    ],
    ids=["none", "of the first", "of the second", "names neither", "before the second"],
)
def test_to_hindsight_a_closing_ends_the_one_that_it_can_only_mean(
    events: list[Booking], ends: tuple[int, int]
) -> None:
    accounts, whole = lives(events, _on(LAST))
    both = [one for product in ("CA", "SA") for one in accounts["1", product]]
    assert [one.until - _on(0) for one in both] == list(ends)
    assert [one.opened_on - _on(0) for one in both] == [0, 50]
    assert [one.actions.tolist() for one in both] == [
        [_on(10), _on(300)], [_on(60)],
    ]  # fmt: skip
    assert whole is not None
    assert len(whole.actions) == 3, "the customer has both"


def test_a_warning_is_judged_by_the_product_that_it_is_on() -> None:
    asked = Asked(BEGIN + timedelta(days=130), BEGIN + timedelta(days=LAST),
                  {"CA": {"no_purchase": 90}, "SA": {"no_purchase": 90}})  # fmt: skip
    for product, hits in (("CA", 0), ("SA", 1)):  # something is done with CA on day 300
        tallies: dict[str, Tally] = {}
        given = Given("no_purchase", "1", product, _on(250), 0, False)
        judge(asked, [*BOTH, *OTHER], [given], tallies)
        one = tallies["no_purchase"]
        assert (one.judged, one.hits, one.wrong) == (1, hits, 1 - hits)
