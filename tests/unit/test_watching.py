"""The ends of what a model's rules say of an account: where one begins, ends, and is asked."""

from datetime import date, timedelta

import numpy as np
import pytest

from services.scoring import risk_plan
from services.scoring.risk_model import NoPurchase, RiskModel, Score, Threshold
from services.scoring.scores import account_features as af
from services.scoring.scores import no_purchase, watching
from services.scoring.scores.watching import HEAD, OPENS, TROUBLE_ON
from services.scoring.signals import Signal
from shared.events.bank import AccountClosed
from tests import made_bank
from tests.made_bank import BEGIN
from tests.risk_live import Live, hand_made

PLAN = risk_plan.plan_of(hand_made("CARD"))
SILENT_FROM = 150


def day(n: int) -> date:
    return BEGIN + timedelta(days=n)


# Of a closed account -------------------------------------------------------------------------


def closed_on(n: int, told_on: int) -> list[tuple[str, int]]:
    """He comes every third day and then no more; the account is closed. What the closes said of a
    collapse, each with its day."""
    live = Live(PLAN)
    found: list[Signal] = []
    for today in range(300):
        if today < SILENT_FROM and today % 3 == 0:
            live.buys(today)
        if today == told_on:
            fact = AccountClosed(customer_number="one", account_number="one", closed_on=day(n))
            live.feed(made_bank.line(fact, "closed", day(n)), b"one")
        found += live.close(today)
    return [(one.kind, (one.on - BEGIN).days) for one in found if one.rule == "collapse"]


def test_a_rule_on_an_account_ends_on_the_day_of_its_closing_and_begins_no_more() -> None:
    never = closed_on(299, told_on=299)
    assert [kind for kind, _ in never] == ["raised", "cleared"], "the control"
    (_, began), _ = never
    assert SILENT_FROM < began < 250
    assert closed_on(began + 20, told_on=began + 20) == [("raised", began), ("cleared", began + 20)]
    assert closed_on(began, told_on=began) == []
    assert closed_on(began - 1, told_on=began - 1) == []


def test_a_closing_that_is_told_late_ends_it_at_the_close_that_follows() -> None:
    (_, began), _ = closed_on(299, told_on=299)
    assert closed_on(began - 2, told_on=began + 20) == [("raised", began), ("cleared", began + 20)]
    booked_behind = closed_on(began - 9, told_on=began + 20)
    assert booked_behind == [("raised", began)], "it is open again"


# Episodes ------------------------------------------------------------------------------------


def test_each_time_a_rule_holds_is_an_episode_of_its_own() -> None:
    live, found = Live(PLAN), list[Signal]()
    for today in range(500):
        if today < SILENT_FROM or 260 <= today < 400:
            found += live.buys(today) if today % 3 == 0 else []
        found += live.close(today)
    of_rule = [(one.kind, one.episode) for one in found if one.rule == "collapse"]
    assert of_rule == [("raised", 1), ("cleared", 1), ("raised", 2)]


def test_an_alert_says_how_long_nothing_came() -> None:
    live = Live(PLAN)
    for today in range(0, SILENT_FROM, 3):
        live.buys(today)
    (raised,) = (one for told in live.close_through(0, 250).values() for one in told
                 if one.rule == "collapse")  # fmt: skip
    last = max(range(0, SILENT_FROM, 3))
    assert raised.terms["silent_days"] == (raised.on - day(last)).days > 1


def test_a_line_that_ends_what_it_begins_is_no_threshold() -> None:
    Threshold(raise_ppm=500_001, clear_ppm=500_000, rows=0, came_true=0)
    with pytest.raises(ValueError, match="clear_ppm must be below raise_ppm"):
        Threshold(raise_ppm=500_000, clear_ppm=500_000, rows=0, came_true=0)


# Trouble -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "in_trouble_until"), [(-500, 9), (500, 0)])
def test_a_balance_below_zero_is_trouble_through_the_day_before_the_next_booking(
    first: int, in_trouble_until: int
) -> None:
    """On that day itself it may be above zero again: its own end says so."""
    row = np.zeros(watching.WORDS[watching.ACCOUNTS], np.int64)
    head, state = row[:HEAD], row[HEAD:]
    for on, amount in ((4, first), (10, 10_000), (30, 1)):
        watching.take(state, head, PLAN.methods.factors, watching.ACCOUNTS, on, amount, 0, 0)
    assert head[TROUBLE_ON] == in_trouble_until


def test_an_account_is_as_old_as_the_earliest_day_that_is_told_of_it() -> None:
    live = Live(PLAN)
    live.buys(40)
    live.close_through(0, 40)
    watch = live.replay.engine.partition(0).watched.watch()

    def opened_on() -> int:
        return int(watch.pool[HEAD + af.OPENED_ON]) - BEGIN.toordinal()

    assert opened_on() == 40
    for told, expected in ((20, 20), (30, 20)):
        flags = OPENS | day(told).toordinal() << watching.OPENED_SHIFT
        watching.on_booking(watch, 0, 0, day(41).toordinal(), 0, flags, 0, day(40).toordinal())
        assert opened_on() == expected


# A process -----------------------------------------------------------------------------------

PROCESS = NoPurchase(at_once=True, r_micro=800_000, alpha_micro_days=12_000_000,
                     a_micro=600_000, b_micro=3_000_000)  # fmt: skip
HORIZON = 30
BOUGHT = (0, 5, 9, 12)
BACK = 200  # he comes once more, long after the alert


def of_process(raise_ppm: int, clear_ppm: int) -> RiskModel:
    whole = hand_made("CARD")
    score = Score("silence", ("CARD",), HORIZON, "mbg_nbd", {"mbg_nbd": PROCESS}, (), {},
                  Threshold(raise_ppm, clear_ppm, 0, 0))  # fmt: skip
    return RiskModel(2, "by hand", (score,), whole.record)


def after_coming_back() -> int:
    """P_H at the beginning of the day on which he came back, that purchase counted."""
    x, tx = len(BOUGHT), BACK - BOUGHT[0]
    return int(no_purchase.risk_ppm(PROCESS.process, x, tx, tx, HORIZON))


@pytest.mark.parametrize(("above", "ends"), [(1, True), (0, False)])
def test_a_purchase_ends_a_silence_if_it_brings_p_h_below_the_line_that_clears(
    above: int, ends: bool
) -> None:
    """To the millionth, and by the line of the end: that of the beginning lies far above."""
    line = after_coming_back() + above
    raise_ppm = (1_000_000 + line) // 2
    live, found = Live(risk_plan.plan_of(of_process(raise_ppm, line))), list[tuple[str, int]]()
    for today in range(BACK + 1):
        if today in (*BOUGHT, BACK):
            live.buys(today)
        found += [(one.kind, today) for one in live.close(today)]
    (kind, began), *later = found
    assert kind == "raised"
    assert BOUGHT[-1] < began < BACK
    assert later == ([("cleared", BACK)] if ends else [])
