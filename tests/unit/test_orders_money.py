"""Payments in any order, and what may stand in the way of a reminder."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.orders.rules.payments import (
    Paid,
    Settlement,
    is_mistyped,
    paid_minor,
    references_of,
    settlement,
)
from services.orders.rules.reminders import (
    LETTERS_MAX,
    Letter,
    fence_passed,
    obstacle_among,
)
from shared.ids import order_reference

# Payments --------------------------------------------------------------------------------------

payments = st.lists(
    st.builds(Paid, st.sampled_from([f"T{n}" for n in range(8)]), st.integers(1, 10**6)),
    max_size=8,
    unique_by=lambda p: p.transaction_id,
)


@given(payments, st.sets(st.sampled_from([f"T{n}" for n in range(8)])), st.randoms())
def test_what_is_paid_depends_on_no_order(some, reversed_ids, random):
    shuffled = list(some)
    random.shuffle(shuffled)
    assert paid_minor(some, reversed_ids) == paid_minor(shuffled, reversed_ids)
    assert paid_minor([*some, *some], reversed_ids) == paid_minor(some, reversed_ids)
    standing = [p.amount_minor for p in some if p.transaction_id not in reversed_ids]
    assert paid_minor(some, reversed_ids) == sum(standing)


@pytest.mark.parametrize(
    ("due", "paid", "expected"),
    [
        (100, 0, Settlement.OPEN), (100, 1, Settlement.PARTIAL), (100, 99, Settlement.PARTIAL),
        (100, 100, Settlement.SETTLED), (100, 101, Settlement.OVERPAID), (0, 0, Settlement.SETTLED),
    ],
)  # fmt: skip
def test_settlement(due, paid, expected):
    assert settlement(due, paid) == expected


@pytest.mark.parametrize(
    ("written", "found"),
    [
        (None, []), ("", []), ("INV-100000014", []), ("ORD-100000015", []),
        ("ORD-100000014", ["ORD-100000014"]), ("ord 100000014", ["ORD-100000014"]),
        ("付ORD-100000014货款", ["ORD-100000014"]),
    ],
)  # fmt: skip
def test_references(written, found):
    good = order_reference(10_000_001)
    written = written and written.replace("100000014", good[4:])
    found = [good] if found else []
    if written == "ORD-100000015":
        assert good != written
    assert references_of(written) == found


@pytest.mark.parametrize(
    ("written", "mistyped"),
    [
        (None, False), ("INV-7", False), ("WORD-100000015", False), ("ORD-1", False),
        ("ORD-100000015", True), ("ＯＲＤ１０００００015", True),
        (order_reference(10_000_001), False),
    ],
)  # fmt: skip
def test_a_mistyped_reference_is_seen_as_one(written, mistyped):
    assert is_mistyped(written) is mistyped


# Reminders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fence", "stored", "passed"),
    [
        ({0: 5, 1: 0}, {0: 5}, True), ({0: 5, 1: 1}, {0: 5}, False), ({0: 5}, {0: 4}, False),
        ({0: 5}, {0: 9, 1: 0}, True), ({}, {}, True),
    ],
)  # fmt: skip
def test_fence(fence, stored, passed):
    assert fence_passed(fence, stored) is passed


def letter(value, kind="dead"):
    payload = value if isinstance(value, bytes | None) else json.dumps(value).encode()
    return Letter(kind, 1, 2, payload)


NAMES = {"ORD-100000014", "6222", "T1"}


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        (None, "unreadable"), (b"", "unreadable"), (b"\xff", "unreadable"), (b"[1]", "unreadable"),
        ({"data": {"payment_reference": "ORD-100000014"}}, "carries_reference"),
        ({"data": {"payment_reference": "x ORD-100000014 y"}}, "carries_reference"),
        ({"data": {"account_number": 6222}}, "carries_reference"),
        ({"data": [{"reverses": "T1"}]}, "carries_reference"),
        ({"data": {"payment_reference": "INV-1", "n": None, "b": True}}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_a_message_stands_in_the_way_when_it_may_be_the_payment(value, cause):
    found = obstacle_among([letter(value)], NAMES)
    assert (found.cause if found else None) == cause


def test_more_messages_than_can_be_judged_stand_in_the_way():
    many = [letter({})] * (LETTERS_MAX + 1)
    assert obstacle_among(many[:-1], NAMES) is None
    assert obstacle_among(many, NAMES).cause == "too_many"
