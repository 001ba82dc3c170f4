"""The rules of orders, by tables and by chance: life cycle, totals, content, plan, payments."""

from dataclasses import replace
from datetime import date
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.rules.attributes import Attribute, attribute_values
from services.orders.rules.content import Content, content_hash
from services.orders.rules.lifecycle import (
    IN_EFFECT,
    TRANSITIONS,
    AboveLimit,
    Act,
    ContentChanged,
    NotInThisState,
    SamePerson,
    Status,
    check_approval,
    edit_voids,
    status_after,
)
from services.orders.rules.lines import Line, line_problems, line_totals, totals
from services.orders.rules.plan import (
    bank_day_before,
    bank_days_after,
    is_bank_day,
    opening_of,
    plan_is_done,
    planned_steps,
    remind_on,
)
from services.orders.rules.quotes import QuoteNotValid, check_usable

# Life cycle ------------------------------------------------------------------------------------


def test_the_whole_table_of_states_and_acts():
    """Written again by hand: what is not here must be refused."""
    expected = {
        "draft": {"edit": "draft", "submit": "submitted", "cancel": "cancelled"},
        "submitted": {
            "edit": "voided", "approve": "approved", "refuse": "refused", "cancel": "cancelled",
        },
        "approved": {"edit": "voided", "take_effect": "effective", "cancel": "cancelled"},
        "effective": {"start": "executing"},
        "executing": {"start": "executing", "close": "closed"},
        "closed": {"reopen": "executing"},
        "refused": {"edit": "draft", "cancel": "cancelled"},
        "voided": {"edit": "voided", "submit": "submitted", "cancel": "cancelled"},
        "cancelled": {},
    }  # fmt: skip
    for status in Status:
        for act in Act:
            if act in expected[status]:
                assert status_after(status, act) == expected[status][act]
            else:
                with pytest.raises(NotInThisState):
                    status_after(status, act)


@given(st.lists(st.sampled_from(list(Act)), max_size=30))
def test_nothing_takes_effect_without_an_approval_of_the_last_content(acts):
    status, approved = Status.DRAFT, False
    for act in acts:
        if (status, act) not in TRANSITIONS:
            continue
        status = status_after(status, act)
        approved = act == Act.APPROVE or (approved and act not in (Act.EDIT, Act.SUBMIT))
        assert status not in IN_EFFECT or approved


def test_an_edit_voids_exactly_what_was_asked_or_given():
    assert {s for s in Status if edit_voids(s)} == {Status.SUBMITTED, Status.APPROVED}


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"asked_hash": "b"}, ContentChanged),
        ({"submitted_hash": None}, ContentChanged),
        ({"checker_id": "S1"}, SamePerson),
        ({"checker_id": "S2"}, SamePerson),
        ({"amount_minor": 101}, AboveLimit),
        ({"limit_minor": None}, AboveLimit),
        ({"limit_minor": 0, "amount_minor": 0}, None),
    ],
)
def test_approval(changes, refusal):
    values = {
        "asked_hash": "a", "submitted_hash": "a", "makers": ["S1", "S2"], "checker_id": "S3",
        "amount_minor": 100, "limit_minor": 100, **changes,
    }  # fmt: skip
    if refusal is None:
        check_approval(**values)
    else:
        with pytest.raises(refusal) as refused:
            check_approval(**values)
        assert set(refused.value.message) == {"zh-CN", "en"}


# Lines -----------------------------------------------------------------------------------------

lines = st.builds(
    Line,
    product_code=st.sampled_from(["A", "B"]),
    quantity=st.integers(1, 1_000_000),
    unit_price_minor=st.integers(0, 10**9),
    discount_ppm=st.integers(0, 1_000_000),
)


@pytest.mark.parametrize(
    ("line", "amount"),
    [
        (Line("A", 2, 805_000), 1_610_000),
        (Line("A", 1, 100, 1_000_000), 0),
        (Line("A", 1, 99, 10_000), 99),  # 1 % of 99 is less than a cent: no discount
        (Line("A", 3, 333, 333_333), 667),
        (Line("A", 0, 5), 0),
    ],
)
def test_line_amounts(line, amount):
    assert line_totals(line).amount_minor == amount


@given(st.lists(lines, min_size=1, max_size=20))
def test_totals_add_up_exactly_and_in_any_order(some):
    total = totals(some)
    assert total.gross_minor == total.discount_minor + total.amount_minor
    assert total == totals(list(reversed(some)))
    assert total.amount_minor == sum(line_totals(line).amount_minor for line in some)
    assert 0 <= total.amount_minor <= total.gross_minor


@given(lines)
def test_a_discount_is_never_more_than_its_share(line):
    total = line_totals(line)
    exact = total.gross_minor * line.discount_ppm
    assert total.discount_minor * 1_000_000 <= exact < (total.discount_minor + 1) * 1_000_000


@pytest.mark.parametrize(
    ("some", "problems"),
    [
        ([], {"lines": "empty"}),
        ([Line("A", 1, 1)] * 201, {"lines": "too_many"}),
        ([Line("Z", 1, 1)], {"lines.0.product_code": "unknown_product"}),
        ([Line("A", 0, 1)], {"lines.0.quantity": "out_of_range"}),
        ([Line("A", 1, -1)], {"lines.0.unit_price_minor": "out_of_range"}),
        ([Line("A", 1, 1, 1_000_001)], {"lines.0.discount_ppm": "out_of_range"}),
        ([Line("A", 2, 2**53)], {"lines": "amount_too_large"}),
        ([Line("A", 1, 2**53)], {}),
    ],
)
def test_line_problems(some, problems):
    assert line_problems(some, {"A"}) == problems


# Attributes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "raw", "value"),
    [
        ("integer", "12", 12), ("integer", 12, 12), ("text", " a ", "a"), ("text", "", None),
        ("date", "2026-03-02", "2026-03-02"), ("boolean", "on", True), ("boolean", False, False),
        ("choice", "x", "x"),
    ],
)  # fmt: skip
def test_attribute_values(kind, raw, value):
    attribute = Attribute("a", kind, choices=("x", "y"))
    values, problems = attribute_values([attribute], {"a": raw})
    assert (values.get("a"), problems) == (value, {})


@pytest.mark.parametrize(
    ("kind", "raw", "problem"),
    [
        ("integer", 1.5, "not_an_integer"), ("integer", True, "not_an_integer"),
        ("integer", 2**60, "out_of_range"), ("date", "2026-02-31", "not_a_date"),
        ("boolean", "maybe", "not_yes_or_no"), ("choice", "z", "not_a_choice"),
        ("text", 5, "not_a_text"), ("text", None, "required"),
    ],
)  # fmt: skip
def test_attribute_problems(kind, raw, problem):
    attribute = Attribute("a", kind, required=True, choices=("x", "y"))
    assert attribute_values([attribute], {"a": raw}) == ({}, {"attributes.a": problem})


def test_an_attribute_nobody_defined_is_not_dropped_in_silence():
    assert attribute_values([], {"b": 1}) == ({}, {"attributes.b": "unknown_attribute"})


# Content ---------------------------------------------------------------------------------------

CONTENT = Content(
    order_id="ORD-1", party_id="P1", customer_number="C1", currency="CNY",
    lines=(Line("A", 1, 100), Line("B", 2, 50)), attributes={"a": 1, "b": "x"},
    effective_on=date(2026, 3, 2), deliver_days=1, collect_days=2, receiving_account=None, note="",
)  # fmt: skip


@pytest.mark.parametrize(
    "change",
    [
        {"order_id": "ORD-2"}, {"party_id": "P2"}, {"customer_number": None}, {"currency": "USD"},
        {"lines": (Line("B", 2, 50), Line("A", 1, 100))}, {"lines": (Line("A", 1, 100),)},
        {"lines": (Line("A", 1, 100), Line("B", 2, 50, 1))}, {"attributes": {"a": 1}},
        {"attributes": {"a": "1", "b": "x"}}, {"effective_on": None}, {"deliver_days": 2},
        {"collect_days": 3}, {"receiving_account": "6222"}, {"note": "x"},
        {"lines": (Line("A", 1, 100, 0, "Q", 1), Line("B", 2, 50))},
    ],
)  # fmt: skip
def test_every_part_of_the_content_changes_its_hash(change):
    assert content_hash(replace(CONTENT, **change)) != content_hash(CONTENT)


def test_the_order_of_attributes_does_not():
    turned = replace(CONTENT, attributes={"b": "x", "a": 1})
    assert content_hash(turned) == content_hash(CONTENT)


# Plan ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "count", "expected"),
    [
        ("2026-03-02", 0, "2026-03-02"), ("2026-03-02", 1, "2026-03-03"),
        ("2026-03-06", 1, "2026-03-09"),  # over a weekend
        ("2026-03-07", 0, "2026-03-09"),  # a Saturday is no bank day
        ("2026-09-30", 1, "2026-10-08"),  # National Day
        ("2026-02-13", 1, "2026-02-14"),  # a Saturday made up for Spring Festival
        ("1997-01-03", 1, "1997-01-06"), ("2040-06-01", 1, "2040-06-04"),  # beyond the table
    ],
)  # fmt: skip
def test_bank_days(day, count, expected):
    assert bank_days_after(date.fromisoformat(day), count) == date.fromisoformat(expected)


days = st.dates(date(1993, 1, 1), date(2040, 12, 31))


@given(days, st.integers(0, 60), st.integers(0, 60))
def test_the_plan_is_on_bank_days_in_order_and_reminds_before(day, deliver, collect):
    first, second = planned_steps(day, deliver, collect)
    assert (first.kind, second.kind) == ("deliver", "collect")
    assert day <= first.due_on <= second.due_on
    assert is_bank_day(first.due_on)
    assert is_bank_day(second.due_on)
    assert day <= remind_on(second.due_on, day) <= second.due_on


@given(days)
def test_a_bank_day_before_is_undone_by_one_after(day):
    if is_bank_day(day):
        assert bank_days_after(bank_day_before(day), 1) == day


def test_dues_begin_when_the_counters_open():
    at = opening_of(date(2026, 3, 2), ZoneInfo("Asia/Shanghai"))
    assert at.isoformat() == "2026-03-02T09:00:00+08:00"


@pytest.mark.parametrize(
    ("done", "expected"),
    [({}, False), ({"a": True}, True), ({"a": True, "b": False}, False)],
)
def test_plan_is_done(done, expected):
    assert plan_is_done(done) is expected


# Quotes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "usable"),
    [
        ({}, True),
        ({"status": "ordered"}, True),
        ({"today": date(2026, 3, 10)}, True),
        ({"today": date(2026, 3, 11)}, False),
        ({"offered": False}, False),
        ({"status": "withdrawn"}, False),
    ],
)
def test_a_quote_may_be_taken_while_it_binds(changes, usable):
    values = {
        "status": "offered", "offered": True, "valid_until_on": date(2026, 3, 10),
        "today": date(2026, 3, 2), **changes,
    }  # fmt: skip
    status = values.pop("status")
    if usable:
        check_usable(status, **values)
    else:
        with pytest.raises(QuoteNotValid):
            check_usable(status, **values)
