"""What came true after a warning, and what came without one, by hand-made accounts."""

from datetime import date, timedelta

import pytest

from services.scoring import risk_plan
from services.scoring.hindsight import Asked, Booking, Given, Tally, judge
from shared.events.bank import AccountClosed, AccountOpened, TransactionBooked

BEGIN = date(2025, 1, 1)
LAST = 400
ASKED = Asked(
    BEGIN + timedelta(days=130), BEGIN + timedelta(days=LAST),
    {"CA": {"outflow_ahead": 90, "distress": 90, "collapse": 90}, "CARD": {"no_purchase": 60}},
)  # fmt: skip


def on(n: int) -> int:
    return (BEGIN + timedelta(days=n)).toordinal()


def booked(
    n: int, amount: int, *, product: str = "CA", kind: str = "transfer_in", by: str = "customer"
) -> Booking:
    return Booking(TransactionBooked.TYPE, "A", product, on(n), amount, kind, by)


def opened(product: str = "CA") -> Booking:
    return Booking(AccountOpened.TYPE, "A", product, on(0), 0, "", "")


def drained(n: int) -> list[Booking]:
    """Twenty thousand from the first day, all but a tenth of it gone on a day."""
    return [opened(), booked(0, 2_000_000), booked(n, -1_800_000, kind="transfer_out")]


def given(
    rule: str, n: int, *, until: int = 0, carried: bool = False, product: str = "CA"
) -> Given:
    return Given(rule, "A", product, on(n), until and on(until), carried)


def of_all(rule: str, n: int) -> Given:
    """By a small rule: it is on the customer's accounts together."""
    return Given(rule, "", "", on(n), 0, False)


def told(events: list[Booking], *warnings: Given) -> dict[str, Tally]:
    tallies: dict[str, Tally] = {}
    judge(ASKED, events, warnings, tallies)
    return tallies


def test_a_warning_before_an_outflow_is_a_hit_with_its_lead() -> None:
    found = told(drained(200), given("outflow_ahead", 180))["outflow_ahead"]
    assert (found.judged, found.hits, found.wrong, found.misses) == (1, 1, 0, 0)
    assert found.figures()["lead_days"] == 20
    assert (found.figures()["precision_ppm"], found.figures()["recall_ppm"]) == (10**6, 10**6)


def test_the_same_warning_without_an_outflow_is_wrong() -> None:
    found = told(drained(399), given("outflow_ahead", 180))["outflow_ahead"]
    assert (found.judged, found.hits, found.wrong, found.misses) == (1, 0, 1, 0)
    assert found.figures()["lead_days"] is None
    assert found.figures()["recall_ppm"] is None


@pytest.mark.parametrize(
    ("warning", "misses"),
    [
        ((), 1),
        ((given("outflow_ahead", 30, until=60),), 1),  # long over before it came
        ((given("outflow_ahead", 60),), 0),  # it holds still
        ((given("outflow_ahead", 190),), 0),
        ((given("collapse", 190),), 1),  # of something else
    ],
)
def test_an_outflow_that_nobody_warned_of_is_missed_once(
    warning: tuple[Given, ...], misses: int
) -> None:
    assert told(drained(200), *warning)["outflow_ahead"].misses == misses


def test_what_is_not_over_or_was_no_question_is_not_judged() -> None:
    late = told(drained(200), given("outflow_ahead", LAST - 89))["outflow_ahead"]
    under_way = told(drained(200), given("outflow_ahead", 205))["outflow_ahead"]
    before = told(drained(200), given("outflow_ahead", 180, carried=True))["outflow_ahead"]
    assert [one.judged for one in (late, under_way, before)] == [0, 0, 0]


def test_trouble_leads_by_its_first_day() -> None:
    events = [opened(), booked(0, 50_000), booked(220, -60_000, kind="card")]
    found = told(events, given("distress", 200))["distress"]
    assert (found.hits, found.figures()["lead_days"]) == (1, 20)


@pytest.mark.parametrize("rule", [code for codes in risk_plan.RULES for code in codes])
def test_every_rule_of_a_model_can_be_judged(rule: str) -> None:
    """Else the first account that is old enough ends every rehearsal."""
    asked = Asked(ASKED.from_on, ASKED.through_on, {"CA": {rule: 90}})
    tallies: dict[str, Tally] = {}
    actions = [booked(n, 10_000) for n in range(0, 180, 5)]
    judge(asked, [*drained(200), *actions], [given(rule, 180)], tallies)
    assert tallies[rule].judged == 1


def test_use_that_fell_for_good_is_a_hit() -> None:
    fell = [opened(), *(booked(n, -100, kind="card") for n in range(0, 180, 5))]
    goes_on = [opened(), *(booked(n, -100, kind="card") for n in range(0, 400, 5))]
    asked = Asked(ASKED.from_on, ASKED.through_on, {"CA": {"use_falls": 90}})
    for events, hits in ((fell, 1), (goes_on, 0)):
        tallies: dict[str, Tally] = {}
        judge(asked, events, [given("use_falls", 185)], tallies)
        one = tallies["use_falls"]
        assert (one.judged, one.hits, one.wrong) == (1, hits, 1 - hits)


def test_no_purchase_is_judged_over_its_own_horizon() -> None:
    buys = [booked(n, -500, product="CARD", kind="card") for n in (*range(0, 200, 10), 300)]
    events = [opened("CARD"), *buys]
    hit = told(events, given("no_purchase", 200, product="CARD"))["no_purchase"]
    wrong = told(events, given("no_purchase", 250, product="CARD"))["no_purchase"]
    assert (hit.hits, hit.wrong) == (1, 0)
    assert (wrong.hits, wrong.wrong) == (0, 1)
    assert told(events)["no_purchase"].misses == 1


def test_the_small_rules_are_judged_by_all_accounts_of_the_customer() -> None:
    acts = [booked(n, 100) for n in range(0, 200, 5)]
    by_bank = [booked(n, 1, by="bank") for n in range(200, 380, 10)]
    silent = told([opened(), *acts, *by_bank], of_all("silence", 210))["silence"]
    assert (silent.hits, silent.wrong) == (1, 0)
    came = [booked(n, 100) for n in (250, 251)]
    back = told([opened(), *acts, *came], of_all("silence", 210))["silence"]
    assert (back.hits, back.wrong) == (0, 1)
    gone = told(drained(200), of_all("outflow", 200))["outflow"]
    assert (gone.hits, gone.misses) == (1, 0)
    other = booked(150, 5_000_000)._replace(account_number="B")
    assert told([*drained(200), other], of_all("outflow", 200))["outflow"].wrong == 1


def closing(n: int, account: str = "A") -> Booking:
    return Booking(AccountClosed.TYPE, account, "CA", on(n), 0, "", "")


OTHER = opened()._replace(account_number="B", on=on(40))
BUSY_AGAIN = tuple(booked(n, 100) for n in range(320, 400, 5))


def back(n: int) -> Booking:
    return opened()._replace(on=on(n))


def back_with_other(n: int) -> Booking:
    return OTHER._replace(on=on(n))


@pytest.mark.parametrize(
    ("later", "misses"),
    [
        ((), 1),
        ((closing(203),), 0),
        ((closing(211 + 90),), 0),  # a month ends on 211, the last that asks of him on 242
        ((closing(211 + 91),), 1),
        ((closing(203), booked(204, -1, by="bank")), 1),
        ((closing(203), booked(203, -1, by="bank")), 0),
        ((OTHER, closing(203)), 1),
        ((OTHER, closing(203), closing(199, "B")), 0),
        ((closing(203), back(242)), 1),
        ((closing(203), back(243)), 0),
        ((closing(203), back_with_other(242)), 1),
        ((closing(203), back_with_other(243)), 0),
        ((closing(203), back(320), *BUSY_AGAIN), 0),
        ((closing(203), back(203)), 1),
        ((closing(203), back_with_other(203)), 1),  # changed for another on one day
    ],
)  # fmt: skip
def test_who_has_left_is_no_silence_that_nobody_warned_of(
    later: tuple[Booking, ...], misses: int
) -> None:
    """He acts every five days until day 195, and never again with the account."""
    acts = [booked(n, 100) for n in range(0, 200, 5)]
    assert told([opened(), *acts, *later])["silence"].misses == misses


@pytest.mark.parametrize(("left", "judged"), [(300, 0), (301, 1)])
def test_a_warning_of_silence_is_judged_by_who_stays_for_its_whole_horizon(
    left: int, judged: int
) -> None:
    acts = [booked(n, 100) for n in range(0, 200, 5)]
    events = [opened(), *acts, closing(left)]
    assert told(events, of_all("silence", 210))["silence"].judged == judged


def test_an_outflow_of_who_then_leaves_was_one() -> None:
    found = told([*drained(200), closing(230)], of_all("outflow", 200))["outflow"]
    assert (found.hits, found.wrong, found.misses) == (1, 0, 0)


def test_nothing_is_asked_of_a_closed_account() -> None:
    closed = Booking(AccountClosed.TYPE, "A", "CA", on(230), 0, "", "")
    found = told([*drained(200), closed], given("outflow_ahead", 180))["outflow_ahead"]
    assert (found.judged, found.misses) == (0, 0)


@pytest.mark.parametrize(("days_left", "judged"), [(60, 1), (59, 0)])
def test_a_warning_is_judged_once_the_last_day_of_its_horizon_is_known(
    days_left: int, judged: int
) -> None:
    buys = [booked(n, -500, product="CARD", kind="card") for n in range(0, 200, 10)]
    warning = given("no_purchase", LAST - days_left, product="CARD")
    assert told([opened("CARD"), *buys], warning)["no_purchase"].judged == judged


@pytest.mark.parametrize(("before", "misses"), [(90, 1), (89, 0)])
def test_a_warning_of_a_whole_horizon_before_the_end_of_the_month_was_of_something_else(
    before: int, misses: int
) -> None:
    """It was over by then, and what it warned of had to come before that month ended."""
    end = (date(2025, 6, 30) - BEGIN).days  # of the only month that asks of this outflow
    warning = given("outflow_ahead", end - before, until=end - before + 3)
    assert told(drained(200), warning)["outflow_ahead"].misses == misses
