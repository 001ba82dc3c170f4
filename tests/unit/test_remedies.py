"""What ends an alert: what it names itself, which ends it sooner than if nothing happened, and what
staff are told that ended it."""

from datetime import timedelta

import msgspec
import pytest

from services.scoring import risk_plan, use_falls
from services.scoring.risk_model import Goal, Linear
from services.scoring.rules.stake import additive
from services.scoring.rules.wording import cleared_text, raised_text
from services.scoring.signals import Signal
from shared.events.bank import AccountClosed
from tests import made_bank
from tests.made_bank import BEGIN
from tests.risk_live import Live, hand_made

RAISED = 130
BEFORE = ((0, 3_000_000, "transfer_in"), (RAISED, -700_000, "transfer_out"))
SCALE = 1_542_984  # what then is left of the money that came in, as it has decayed


class Alerted:
    """The one alert of a rule of so much weight on each feature, and what comes after it."""

    def __init__(self, goal: Goal, base: int, *, closes_on: int = 0, **weights: int) -> None:
        model = hand_made("CA")
        (score,) = (one for one in model.scores if one.goal == goal)
        linear = score.methods["linear"]
        assert isinstance(linear, Linear)
        of_each = tuple(weights.get(name, 0) for name in linear.names)
        linear = msgspec.structs.replace(linear, weights_micro=of_each, base_micro=base)
        score = msgspec.structs.replace(score, methods={"linear": linear})
        self.live = Live(risk_plan.plan_of(msgspec.structs.replace(model, scores=(score,))))
        for day, amount, kind in BEFORE:
            self.books(day, amount, kind, "bank")
        if closes_on:
            self.closes_account(closes_on)
        ((self.raised,),) = self.live.close_through(0, RAISED).values()
        self.named = {code: value for code, value in self.raised.terms.items()
                      if code.startswith("clear_")}  # fmt: skip

    def books(self, day: int, amount: int, kind: str, by: str = "customer") -> None:
        self.live.feed(made_bank.booked("one", "CA", day, amount, kind, by, self.live.at), b"one")

    def closes_account(self, on: int) -> None:
        day = BEGIN + timedelta(days=on)
        fact = AccountClosed(customer_number="one", account_number="one", closed_on=day)
        self.live.feed(made_bank.line(fact, "closed-one", day), b"one")

    def text(self) -> str:
        return raised_text(self.raised.rule, self.raised.terms, "CNY", self.raised.on)["en"]


def of_money_that_went(closes_on: int = 0) -> Alerted:
    """A warning of what has gone out of late: it goes by with the days."""
    return Alerted("distress", -13_000_000, money_out_short=1_000_000, closes_on=closes_on)


@pytest.mark.parametrize("pays", [False, True])
def test_an_alert_that_ends_by_itself_names_that_day_and_no_change_that_delays_it(
    *, pays: bool
) -> None:
    alert = of_money_that_went()
    (days,) = alert.named.values()
    assert list(alert.named) == ["clear_alone_days"]
    on = BEGIN + timedelta(days=RAISED + days)
    assert alert.text().endswith(f". Ends by itself on {on} if nothing happens")
    ended: dict[int, list[Signal]] = {}
    for day in range(RAISED + 1, RAISED + 65):
        if pays:
            alert.books(day, -10_000, "card")
        if found := alert.live.close(day):
            ended[day] = found
    assert list(ended) == ([] if pays else [RAISED + days]), "payments only delay it"


def test_a_closing_that_is_told_ahead_changes_nothing_of_what_an_alert_says() -> None:
    """One source may tell it before the others have come to the day of the alert."""
    known = of_money_that_went(closes_on=RAISED + 2)
    assert known.raised.terms == of_money_that_went().raised.terms
    assert known.live.close_through(RAISED + 1, RAISED + 60).keys() == {RAISED + 2}


@pytest.mark.parametrize(("base", "ends_sooner"), [(-26_500_000, True), (-26_000_000, False)])
def test_payments_are_named_only_where_the_alert_would_outlast_them(
    base: int, *, ends_sooner: bool
) -> None:
    def after(payments: int) -> int:
        alert = Alerted("distress", base, balance=-1_000_000, money_out_short=3_000_000,
                        cash_short=-300_000)  # fmt: skip
        named.update(alert.named)
        for day in range(RAISED + 1, RAISED + 65):
            if day <= RAISED + payments:
                alert.books(day, -10_000, "card")
            if alert.live.close(day):
                return day - RAISED
        raise AssertionError("it lasts")

    named: dict[str, int] = {}
    alone, most = after(0), after(64)
    assert most <= alone
    if ends_sooner:
        assert named == {"clear_payments": most, "clear_payment_max_minor": 10_000}
        assert most < alone
    else:
        assert named == {"clear_alone_days": alone}
        assert most == alone, "the payments change nothing"


def test_a_deposit_that_does_in_cash_alone_is_named_in_cash() -> None:
    """A transfer in speaks for this risk."""

    def after(amount: int, kind: str) -> tuple[Alerted, list[Signal]]:
        alert = Alerted("distress", 13_000_000, balance=-1_000_000, money_out_short=100_000,
                        transfers_in_short=100_000)  # fmt: skip
        alert.books(RAISED + 1, amount, kind)
        return alert, alert.live.close(RAISED + 1)

    alert, _ = after(1, "cash_in")
    (code, named), = alert.named.items()
    assert code == "clear_cash_deposit_minor"
    assert alert.text().endswith(f". A deposit of ¥{named // 100:,} in cash would end it")
    ended = [bool(after(*way)[1]) for way in (
        (named, "cash_in"), (named - 10_000, "cash_in"), (named, "transfer_in"),
    )]  # fmt: skip
    assert ended == [True, False, False]


@pytest.mark.parametrize(("base", "scales"), [(13_850_000, 4.9), (13_950_000, 5.6)])
def test_no_deposit_beyond_five_times_what_the_account_deals_in_is_named(
    base: int, scales: float
) -> None:
    alert = Alerted("distress", base, balance=-1_000_000, money_out_short=100_000)
    if scales > 5:
        assert alert.named == {}
        assert alert.text().endswith(". No simple change would end it")
    else:
        assert alert.named["clear_deposit_minor"] == pytest.approx(scales * SCALE, rel=0.01)
    alert.books(RAISED + 1, int(1.01 * scales * SCALE), "cash_in")
    assert [one.kind for one in alert.live.close(RAISED + 1)] == ["cleared"]


CLOSED = {"zh-CN": "账户已销户", "en": "The account was closed"}


@pytest.mark.parametrize("told_on", [RAISED + 1, RAISED + 5], ids=["ahead", "on its day"])
def test_an_alert_that_ends_with_its_account_says_so(told_on: int) -> None:
    alert, closes_on = of_money_that_went(), RAISED + 5
    assert alert.live.close_through(RAISED + 1, told_on - 1) == {}
    alert.closes_account(closes_on)
    found = alert.live.close_through(told_on, closes_on + 60)
    assert [*found] == [closes_on]
    ((ended,),) = found.values()
    assert (ended.kind, ended.on) == ("cleared", BEGIN + timedelta(days=closes_on))
    assert "account_closed" not in additive(ended.terms), "no term of the score"
    for rule in (ended.rule, use_falls.RULE):
        assert cleared_text(rule, ended.terms) == CLOSED


def test_an_alert_that_ends_before_its_account_is_closed_does_not() -> None:
    alert = of_money_that_went()
    days = alert.named["clear_alone_days"]
    alert.closes_account(RAISED + days + 1)
    ((ended,),) = alert.live.close_through(RAISED + 1, RAISED + days + 60).values()
    assert (ended.kind, ended.on) == ("cleared", BEGIN + timedelta(days=RAISED + days))
    assert cleared_text(ended.rule, ended.terms)["en"] == (
        "The risk is below the line of the warning again"
    )
