"""Plans and budgets: the later word of a target holds, a repeat changes nothing."""

from datetime import timedelta
from typing import Any

from services.scoring.queries import plans
from shared.events import bank, encode, wrap
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import rows

scoring = scoring_room.scoring
MONTH = "2025-02"


def plan(plan_id: str = "p1", amount: int = 100, **changes: Any) -> bank.PlanSet:
    fields = {"what": "contribution", "who": "SH01", "period": MONTH, "currency": "CNY"}
    return bank.PlanSet(plan_id=plan_id, amount_minor=amount, **{**fields, **changes})


def known(scoring: ServiceUnderTest, dimension: str = "branch") -> dict[str, int]:
    with scoring.database.read() as session:
        return plans.plans(session, "plan", dimension, MONTH, "CNY")


def test_the_later_word_of_a_plan_holds_whatever_order_it_comes_in(
    space: Space, scoring: ServiceUnderTest
) -> None:
    now = space.clock.bank
    space.publish(plan(amount=200), at=now, event_id="second")
    space.publish(plan(amount=100), at=now - timedelta(hours=1), event_id="first")
    scoring.drain()
    assert known(scoring) == {"SH01": 200}
    space.publish(plan(amount=300), at=now, event_id="same instant, later in the log")
    scoring.drain()
    assert known(scoring) == {"SH01": 300}
    space.publish(plan(amount=200), at=now - timedelta(minutes=1), event_id="late again")
    scoring.drain()
    assert known(scoring) == {"SH01": 300}


def test_what_is_sent_again_after_a_crash_changes_nothing(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """A publisher that goes on from its mark sends the tail again: same ids, same order."""
    at = space.clock.bank
    tail = ((plan(amount=1), "a"), (plan(amount=2), "b"), (plan("p2", 3, who="BJ01"), "c"))
    for fact, event_id in (*tail, *tail[1:], *tail):
        space.publish(fact, at=at, event_id=event_id)
        scoring.drain()
    kept = rows(scoring, "select plan_id, amount_minor from plans order by 1")
    assert kept == [("p1", 2), ("p2", 3)]


def test_of_two_ids_for_one_target_the_later_holds_until_the_other_is_set_again(
    space: Space, scoring: ServiceUnderTest
) -> None:
    now = space.clock.bank
    space.publish(plan("p1", 100), at=now - timedelta(hours=2))
    space.publish(plan("p2", 150), at=now - timedelta(hours=1))
    scoring.drain()
    assert known(scoring) == {"SH01": 150}
    space.publish(plan("p2", 150, who="BJ01"), at=now)  # it was meant for another branch
    scoring.drain()
    assert known(scoring) == {"SH01": 100, "BJ01": 150}


def test_each_dimension_figure_and_currency_is_a_target_of_its_own(
    space: Space, scoring: ServiceUnderTest
) -> None:
    space.publish(
        plan("p1", 1),
        plan("p2", 2, dimension="manager"),
        plan("p3", 3, dimension="bank", who="HEAD"),
        plan("p4", 4, what="deposit_growth"),
        plan("p5", 5, currency="USD"),
        plan("p6", 6, period="2025"),
        bank.BudgetSet(budget_id="p1", what="cost", who="SH01", period=MONTH, amount_minor=7,
                       currency="CNY"),
    )  # fmt: skip
    scoring.drain()
    assert known(scoring) == {"SH01": 1}
    assert known(scoring, "manager") == {"SH01": 2}
    assert known(scoring, "bank") == {"": 3}
    with scoring.database.read() as session:
        assert plans.plans(session, "budget", "branch", MONTH, "CNY") == {"SH01": 7}
        left = plans.not_compared(session, "plan", MONTH, "CNY")
        assert left == {"deposit_growth": 1, "contribution": 1}
        assert plans.periods(session) == {MONTH, "2025"}


def test_a_plan_that_is_no_plan_is_a_dead_letter_and_the_next_one_counts(
    space: Space, scoring: ServiceUnderTest
) -> None:
    good = wrap(plan(), id="bad", source="test/bank", time=space.clock.bank,
                businessdate=space.clock.bank.date())  # fmt: skip
    for old, new in ((b'"2025-02"', b'"February"'), (b":100,", b":100.5,"),
                     (b'"amount_minor":100,', b"")):  # fmt: skip
        assert old in encode(good)
        bad = encode(good).replace(old, new)
        space.sender.send("bank.reference", b"p1", bad).result(10)
    space.publish(plan("p2", 9, who="BJ01"))
    scoring.drain()
    letters = rows(scoring, "select kind, field from dead_letters order by field")
    assert letters == [("dead", "data.amount_minor")] * 2 + [("dead", "data.period")]
    assert known(scoring) == {"BJ01": 9}
