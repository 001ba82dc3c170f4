"""The simulated bank: the same plan gives the same bytes, and its truth is what its events say."""

from collections import Counter, defaultdict
from datetime import date, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import pytest

from deploy.bank import business_days, numbers
from deploy.bank.simulation import Bank, Plan
from shared.events import CATALOGUE, Event, decode, encode, key_of
from shared.events.bank import (
    AccountOpened,
    BudgetSet,
    CostBooked,
    CostPoolDescribed,
    CustomerRecorded,
    DayClosed,
    LoanOverdue,
    PlanSet,
    RelationRecorded,
    SourceDescribed,
    TransactionBooked,
    WentLive,
)

PLAN = Plan(customers=120, days=100, seed=11, until=date(2025, 8, 31))


@lru_cache(maxsize=1)
def history() -> tuple[list[bytes], list[Event[Any]], dict[str, Any]]:
    """Lines, the same decoded, and the truth as read from its file."""
    bank = Bank(PLAN)
    lines = [encode(event) for events in bank.history() for event in events]
    truth = msgspec.json.decode(bank.truth.encode())
    return lines, [decode(line) for line in lines], truth


def transactions() -> list[Event[TransactionBooked]]:
    return [e for e in history()[1] if isinstance(e.data, TransactionBooked)]


def test_same_seed_gives_the_same_bytes_and_another_seed_does_not() -> None:
    lines, _, truth = history()
    again = Bank(PLAN)
    assert [encode(e) for events in again.history() for e in events] == lines
    assert msgspec.json.decode(again.truth.encode()) == truth
    other = Bank(Plan(PLAN.customers, PLAN.days, seed=12, until=PLAN.until))
    assert [encode(e) for events in other.history() for e in events] != lines


def test_no_event_is_dated_before_its_source_is_active() -> None:
    events = history()[1]
    (described,) = [e.data for e in events if isinstance(e.data, SourceDescribed)]
    assert {e.source for e in events} == {described.source}
    assert min(e.businessdate for e in events) == described.active_from == PLAN.first_on


def test_live_goes_on_exactly_where_history_ends() -> None:
    """Days after the history do not depend on whether somebody listened to the days before."""
    lines, events, _ = history()
    endless = [e for _, (_, day) in zip(range(PLAN.days), Bank(PLAN).days(), strict=False)
               for e in day]  # fmt: skip
    assert [encode(e) for e in endless] == lines[:-1]
    assert isinstance(events[-1].data, WentLive)
    runs = []
    for _ in range(2):
        days = Bank(PLAN).days()
        for _ in range(PLAN.days):
            next(days)
        runs.append([encode(e) for _ in range(3) for e in next(days)[1]])
    assert runs[0] == runs[1]
    ids = [e.id for e in events] + [decode(line).id for line in runs[0]]
    assert len(set(ids)) == len(ids)


def test_every_line_is_an_event_of_the_catalogue_under_its_key() -> None:
    _, events, truth = history()
    assert {e.type for e in events} <= set(CATALOGUE)
    assert all(e.subject == key_of(e) for e in events)
    assert all(e.source == "core-banking" for e in events)
    assert truth["event_count"] == len(events)
    assert truth["events"] == dict(Counter(e.type for e in events))


def test_ids_are_unique_and_transactions_are_numbered_without_a_gap() -> None:
    _, events, _ = history()
    assert len({e.id for e in events}) == len(events)
    assert [e.id for e in transactions()] == [f"txn-{n + 1}" for n in range(len(transactions()))]


def test_reference_comes_first_then_master_data_then_the_days_in_order() -> None:
    _, events, _ = history()
    topics = [type(e.data).TOPIC for e in events]
    first_customer, first_event = topics.index("bank.customers"), topics.index("bank.events")
    assert set(topics[:first_customer]) == {"bank.reference"}
    assert "bank.events" not in topics[:first_event]
    assert [e.time for e in events] == sorted(e.time for e in events)
    assert [e.businessdate for e in events] == sorted(e.businessdate for e in events)


@pytest.mark.parametrize("kind", [PlanSet, BudgetSet])
def test_each_month_is_planned_once_and_adds_up_whichever_way(kind: type) -> None:
    sums: defaultdict[tuple[str, str], int] = defaultdict(int)
    targets = Counter()
    for event in history()[1]:
        if isinstance(event.data, kind):
            plan = event.data
            sums[plan.period, plan.dimension] += plan.amount_minor
            targets[plan.period, plan.dimension, plan.who] += 1
    assert set(targets.values()) == {1}
    assert {period for period, _ in sums} == {f"2025-{n:02d}" for n in range(5, 13)}
    for period, _ in sums:
        ways = {sums[period, dimension] for dimension in ("bank", "branch", "manager", "line")}
        assert len(ways) == 1
        assert ways != {0}


def test_an_account_is_opened_before_it_moves_and_its_owner_never_changes() -> None:
    _, events, truth = history()
    known: set[str] = set()
    owners: dict[str, str] = {}
    for event in events:
        fact = event.data
        if isinstance(fact, CustomerRecorded):
            known.add(fact.customer_number)
        elif isinstance(fact, AccountOpened):
            assert fact.customer_number in known
            assert fact.account_number not in owners
            owners[fact.account_number] = fact.customer_number
            assert sum(h.share_ppm for h in fact.holders) in {0, 1_000_000}
            assert {h.customer_number for h in fact.holders} <= known
        elif isinstance(fact, TransactionBooked):
            assert owners[fact.account_number] == fact.customer_number
        elif isinstance(fact, RelationRecorded):
            assert {fact.customer_number, fact.to_customer_number} <= known
    assert owners == truth["owners"]


def test_every_calendar_day_is_closed_once_after_its_events() -> None:
    _, events, _ = history()
    closed: list[date] = []
    for event in events:
        if isinstance(event.data, DayClosed):
            closed.append(event.data.day)
        elif not isinstance(event.data, WentLive):
            assert event.businessdate not in closed
    assert closed == [PLAN.first_on + timedelta(days=n) for n in range(PLAN.days)]


def test_sums_and_counts_of_the_truth_are_those_of_the_events() -> None:
    _, _, truth = history()
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for event in transactions():
        for name in (event.data.customer_number, event.data.account_number):
            sums[name][0] += 1
            sums[name][1] += event.data.amount_minor
    told = {**truth["by_customer"], **truth["by_account"]}
    assert {k: [v["count"], v["sum_minor"]] for k, v in told.items()} == dict(sums)


def test_leavers_are_silent_from_their_date_and_were_not_before() -> None:
    _, _, truth = history()
    assert truth["leavers"], "the plan of this test has leavers"
    acts: defaultdict[str, list[date]] = defaultdict(list)
    for event in transactions():
        if event.data.initiated_by == "customer":
            acts[event.data.customer_number].append(event.businessdate)
    for leaver in truth["leavers"]:
        silent_on = date.fromisoformat(leaver["silent_on"])
        days = acts[leaver["customer_number"]]
        assert max(days) < silent_on
        assert str(max(days)) == leaver["active_last_on"]


def test_an_outflow_leaves_less_than_half_of_the_current_account() -> None:
    _, _, truth = history()
    assert truth["outflows"]
    by_day = defaultdict(int)
    for event in transactions():
        if event.data.purpose_code == "to_other_bank":
            by_day[event.data.customer_number, str(event.businessdate)] -= event.data.amount_minor
    for outflow in truth["outflows"]:
        left = by_day[outflow["customer_number"], outflow["on"]]
        assert left == outflow["amount_minor"]
        assert left * 2 >= outflow["balance_before_minor"]


def test_only_customers_in_distress_are_overdrawn() -> None:
    _, _, truth = history()
    in_distress = {d["customer_number"] for d in truth["distress"]}
    balances: defaultdict[str, int] = defaultdict(int)
    for event in transactions():
        balances[event.data.account_number] += event.data.amount_minor
        if balances[event.data.account_number] < 0:
            assert event.data.customer_number in in_distress


def test_distress_shows_as_an_overdue_loan_or_an_overdraft() -> None:
    bank = Bank(Plan(customers=400, days=200, seed=5))
    overdue = {e.data.customer_number for day in bank.history() for e in day
               if isinstance(e.data, LoanOverdue)}  # fmt: skip
    old = [d for d in bank.truth.distress.values()
           if d["from_on"] < bank.plan.until - timedelta(days=90)]  # fmt: skip
    assert old
    shown = [d for d in old if "overdrawn_on" in d or d["customer_number"] in overdue]
    assert len(shown) * 2 >= len(old)


def test_a_watcher_sees_outflows_within_the_first_live_day() -> None:
    bank = Bank(PLAN)
    for on, events in bank.days():
        if on < PLAN.live_on:
            continue
        leaving = [e for e in events if isinstance(e.data, TransactionBooked)
                   and e.data.purpose_code == "to_other_bank"]  # fmt: skip
        break
    assert len({e.data.customer_number for e in leaving}) >= 1
    assert min(e.time for e in leaving) - events[-1].time < -timedelta(hours=15)


def test_the_default_demo_stays_within_two_hundred_thousand_events() -> None:
    per_customer_day = len(history()[0]) / (PLAN.customers * PLAN.days)
    assert 60_000 <= per_customer_day * 1500 * 240 <= 200_000


@pytest.mark.parametrize("code", ["91350100M000100Y43", "91110000802100433B"])
def test_credit_codes_of_real_firms_have_our_check_digit(code: str) -> None:
    assert numbers.credit_code_check(code[:17]) == code[17]


def test_firms_carry_valid_credit_codes_and_persons_valid_identity_numbers() -> None:
    _, events, _ = history()
    facts = [e.data for e in events if isinstance(e.data, CustomerRecorded)]
    firms = [f for f in facts if f.kind == "firm"]
    persons = [f for f in facts if f.kind == "person"]
    assert firms
    assert persons
    for firm in firms:
        code = firm.credit_code or ""
        assert numbers.credit_code_check(code[:17]) == code[17]
        assert numbers.organisation_check(code[8:16]) == code[16]
    for person in persons:
        number = person.documents[0].number
        assert numbers.resident_check(number[:17]) == number[17]
        assert number[14] == "9"  # nobody's
        assert all(phone[3:7] == "0000" for phone in person.phones)


def test_pay_days_on_a_holiday_move_to_the_working_day_before() -> None:
    assert not business_days.is_working_day(date(2025, 10, 1))
    assert business_days.is_working_day(date(2025, 9, 28))  # a make-up Sunday
    assert business_days.working_day_at_or_before(date(2025, 10, 5)) == date(2025, 9, 30)
    assert not business_days.is_working_day(date(2031, 10, 1))  # beyond the known calendar


def test_each_month_books_what_the_cost_centres_cost_and_some_bills_come_late() -> None:
    costs = [event for event in history()[1] if isinstance(event.data, CostBooked)]
    described = {e.data.cost_centre_code for e in history()[1]
                 if isinstance(e.data, CostPoolDescribed)}  # fmt: skip
    assert {cost.data.cost_centre_code for cost in costs} == described
    months = Counter(cost.data.period for cost in costs)
    late = [cost for cost in costs if f"{cost.businessdate:%Y-%m}" != cost.data.period]
    assert set(months) == {"2025-05", "2025-06", "2025-07", "2025-08"}
    assert {cost.data.period for cost in late} == {"2025-05", "2025-06", "2025-07"}
    assert min(cost.data.amount_minor for cost in costs) > 0
    assert len({cost.data.cost_id for cost in costs}) == len(costs)
