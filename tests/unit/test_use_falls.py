"""Use of a product falls: told by the close of its day, the same by any way, with its paces."""

from datetime import timedelta
from random import Random

import msgspec
import pytest

from services.scoring import risk_plan, use_falls
from services.scoring.replay import Line
from services.scoring.rules import wording, wording_of_use
from services.scoring.rules.stake import additive
from services.scoring.scores import linear
from services.scoring.signals import Signal
from shared.events.bank import DayClosed
from tests import made_bank
from tests.made_bank import BEGIN
from tests.risk_live import Live, hand_made, told

MODEL = msgspec.structs.replace(hand_made("CARD"), scores=(use_falls.score_of(("CARD",)),))
PLAN = risk_plan.plan_of(MODEL)
FALLS = 240  # the day from which the customer comes less often


def days_of(then: int, until: int) -> list[int]:
    """Every third day, and from FALLS on only so often."""
    return [*range(0, FALLS, 3), *range(FALLS, until, then)]


def lived(then: int, until: int = 500) -> dict[int, list[Signal]]:
    live, found = Live(PLAN), {}
    days = set(days_of(then, until))
    for day in range(until):
        if day in days:
            assert live.buys(day) == [], "an event tells nothing: the close of its day does"
        if signals := live.close(day):
            found[day] = signals
    return found


def test_use_that_falls_to_a_third_is_told_and_that_falls_a_little_is_not() -> None:
    assert lived(3) == {}
    assert lived(4) == {}
    found = lived(9)
    day, later = found  # in the end the new pace is the usual one
    (one,), (ended,) = found[day], found[later]
    assert ended.kind == "cleared"
    assert later > day + 60
    assert (one.rule, one.kind, one.account_number) == ("use_falls", "raised", "one")
    assert one.on == BEGIN + timedelta(days=day)
    assert FALLS + 30 < day < FALLS + 75
    parts = additive(one.terms)
    assert set(parts) == {"base", "actions"}
    assert linear.risk_ppm(sum(parts.values())) == one.score >= use_falls.RAISE_PPM
    now, usual = one.terms["pace_milli"], one.terms["usual_pace_milli"]
    assert 4_000 < now < 6_000, "ten a month before, 3.3 since"
    assert 7_500 < usual < 9_500
    text, times = wording.raised_text("use_falls", one.terms, "CNY", one.on), named(one)
    assert text["en"] == f"Used less: about {now / 1000:.1f} times a month, usually " \
        f"{usual / 1000:.1f} ({(usual - now) * 100 // usual}% less). " \
        f"{times} transactions by the customer, one a day, would end it"  # fmt: skip
    assert text["zh-CN"].endswith(f"%。客户每天交易 1 次,连续 {times} 天即可解除")


def named(one: Signal) -> int:
    """What would end it, and that nothing else is named."""
    ((code, times),) = ((c, n) for c, n in one.terms.items() if c.startswith("clear_"))
    assert code == "clear_actions"
    return int(times)


@pytest.mark.parametrize("then", [9, 400], ids=["falls to a third", "stops"])
@pytest.mark.parametrize("amount", [1, 500])
def test_what_it_says_would_end_it_ends_it_on_that_day(then: int, amount: int) -> None:
    live, days = Live(PLAN), days_of(then, 500)
    told: list[Signal] = []
    on = -1
    while not told:
        on += 1
        if on in days:
            live.buys(on)
        told = live.close(on)
    times = named(told[0])
    assert times > 1
    after = {}
    for day in range(on + 1, on + times + 1):
        live.buys(day, amount=amount)
        after[day] = [one.kind for one in live.close(day)]
    assert after.pop(on + times) == ["cleared"]
    assert not any(after.values()), "one less does not do"


def test_who_stops_at_all_is_told_without_an_event_and_comes_back() -> None:
    live = Live(PLAN)
    for day in range(0, FALLS, 3):
        live.buys(day)
    found = live.close_through(0, FALLS + 200)
    (day,) = found
    assert FALLS + 10 < day < FALLS + 40
    after = {}
    for day in range(FALLS + 201, FALLS + 320):
        live.buys(day)
        if signals := live.close(day):
            after[day] = signals
    ((cleared,),) = after.values()
    assert (cleared.kind, cleared.episode) == ("cleared", 1)
    assert wording.cleared_text("use_falls", cleared.terms) == {
        "zh-CN": "使用频率已接近平时", "en": "Use is close to its usual pace again",
    }  # fmt: skip


def test_who_stopped_for_good_is_not_said_to_be_back() -> None:
    live = Live(PLAN)
    for day in range(0, FALLS, 3):
        live.buys(day)
    found = live.close_through(0, FALLS + 900)
    (raised,), (cleared,) = found.values()
    assert (raised.kind, cleared.kind) == ("raised", "cleared")
    assert cleared.terms["usual_pace_milli"] < 1_000, "once in a month is usual by now"
    assert wording.cleared_text("use_falls", cleared.terms) == {
        "zh-CN": "使用一直很少,平时频率也已很低",
        "en": "Use has been low for so long that little is usual by now",
    }


def test_a_new_or_a_rare_user_is_no_question() -> None:
    live = Live(PLAN)
    for day in range(0, 90, 3):  # not known for 120 days when he stops
        live.buys(day)
    for day in range(0, FALLS, 60):
        live.buys(day, "rare")
    assert live.close_through(0, 100) == {}
    # By day 120 he is known, but the fall is not of an account that nobody knew before it.
    told_later = live.close_through(101, FALLS + 300)
    assert all(one.account_number == "one" for found in told_later.values() for one in found)


def fed(size: int, order: int) -> dict[str, bytes]:
    """Twelve customers of other paces, of whom four stop; closes come ten days at a time."""
    lines: list[tuple[bytes, bytes | None]] = []
    for begin in range(0, 420, 10):
        days = range(begin, begin + 10)
        some: list[tuple[bytes, bytes | None]] = [
            (made_bank.booked(f"c{n}", "CARD", day, -500, "card", "customer", day), b"c%d" % n)
            for n in range(12)
            for day in days
            if day % (1 + n % 4) == 0 and (day < FALLS or n % 3 or day % 30 == 0)
        ]
        Random(order).shuffle(some)
        for day in days:
            on = BEGIN + timedelta(days=day)
            some.append((made_bank.line(DayClosed(day=on), f"close-{day}", on), None))
        lines += some
    live = Live(PLAN).replay
    records = [Line(at, key, value) for at, (value, key) in enumerate(lines)]
    for begin in range(0, len(records), size):
        live.feed(records[begin : begin + size])
    return told(live)


def test_any_batch_and_any_order_inside_the_open_days_tell_the_same() -> None:
    found = fed(5000, 0)
    assert {name.split("/")[1] for name in found} == {"c0", "c3", "c6", "c9"}
    assert fed(1, 1) == fed(7, 2) == found


@pytest.mark.parametrize("line", ["liability", "asset", "fee", None, "no such line"])
def test_every_type_of_product_has_advice_in_both_languages(line: str | None) -> None:
    advice = wording_of_use.advice_of(line)
    assert set(advice) == {"zh-CN", "en"}
    known = line in wording_of_use.ADVICE
    assert (advice == wording_of_use.ANY) is not known
