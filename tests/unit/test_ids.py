"""Ids sort by age, references survive typing, equal content has an equal hash."""

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import ids
from shared.errors import DomainError, Invalid, NotAllowed, NotFound
from shared.events import Cause
from shared.ids import (
    content_hash,
    is_order_reference,
    new_id,
    order_reference,
    order_references_in,
)

NUMBERS = st.integers(1, 10**18 - 1)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


def test_ids_of_a_process_grow_also_from_many_threads() -> None:
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: [new_id("T") for _ in range(500)], range(8)))
    assert all(batch == sorted(batch) for batch in batches)
    assert len({one for batch in batches for one in batch}) == 4000
    assert len(new_id()) == 26
    assert new_id("ORDER").startswith("ORDER-0")


def test_ids_grow_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    before = new_id()
    monkeypatch.setattr(ids.time, "time_ns", lambda: 0)
    assert new_id() > before


@given(NUMBERS)
def test_a_reference_is_found_in_what_people_write_around_it(number: int) -> None:
    reference = order_reference(number)
    assert is_order_reference(reference)
    digits = reference.removeprefix("ORD-")
    for text in (
        reference,
        f"货款{reference}，谢谢",
        f"pay {reference.lower()}.",
        f"ORD{digits}",
        f"ORD {digits}",
        f"ORD–{digits}",
        "ＯＲＤ－" + "".join(chr(ord(d) + 0xFEE0) for d in digits),
        f"{reference} 12.30 CNY {reference}",
    ):
        assert order_references_in(text) == [reference], text


@given(NUMBERS, st.data())
def test_one_wrong_digit_is_no_reference(number: int, data: st.DataObject) -> None:
    digits = order_reference(number).removeprefix("ORD-")
    at = data.draw(st.integers(0, len(digits) - 1))
    wrong = data.draw(st.sampled_from([d for d in "0123456789" if d != digits[at]]))
    assert order_references_in(f"ORD-{digits[:at]}{wrong}{digits[at + 1 :]}") == []


@given(NUMBERS, st.data())
def test_two_swapped_digits_are_no_reference(number: int, data: st.DataObject) -> None:
    digits = order_reference(number).removeprefix("ORD-")
    at = data.draw(st.integers(0, len(digits) - 2))
    swapped = digits[:at] + digits[at + 1] + digits[at] + digits[at + 2 :]
    assert order_references_in(f"ORD-{swapped}") == ([] if swapped != digits else [f"ORD-{digits}"])


@given(NUMBERS)
def test_a_zero_too_many_is_no_reference(number: int) -> None:
    digits = order_reference(number).removeprefix("ORD-")
    assert order_references_in(f"ORD-{digits}0") == []
    assert order_references_in(f"ORD-0{digits}") == []


def test_what_only_looks_like_a_reference_is_none() -> None:
    reference = order_reference(1)
    for text in ("", "ORD-", "ORD-1", f"X{reference}", f"{reference}0", f"W{reference[3:]}"):
        assert order_references_in(text) == []
    assert not is_order_reference(reference.lower())
    assert not is_order_reference(f" {reference}")


def test_several_references_are_found_once_each_in_order() -> None:
    one, other = order_reference(2), order_reference(1)
    assert order_references_in(f"{one};{other};{one}") == [one, other]


@pytest.mark.parametrize("number", [0, -1, 10**18])
def test_an_order_number_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match="digits"):
        order_reference(number)


@settings(max_examples=40)
@given(PLAIN)
def test_the_order_of_keys_does_not_change_the_hash(value: Any) -> None:
    def turned(item: Any) -> Any:
        if isinstance(item, dict):
            return {key: turned(item[key]) for key in reversed(list(item))}
        return tuple(map(turned, item)) if isinstance(item, list) else item

    assert content_hash(turned(value)) == content_hash(value)


@settings(max_examples=40)
@given(PLAIN, PLAIN)
def test_other_content_has_another_hash(one: Any, other: Any) -> None:
    same = repr(one) == repr(other) or content_hash([one]) == content_hash([other])
    assert (content_hash(one) == content_hash(other)) == same


def test_the_hash_is_of_canonical_json() -> None:
    assert content_hash({"b": 1, "a": [None, True, "é"]}) == (
        "58064a6eabcd16ba44b3a10dfbde7bf110a282642edc772eb730c7cc044d08ce"
    )


def test_structs_dataclasses_and_instants_have_a_canonical_form() -> None:
    @dataclasses.dataclass
    class Line:
        product: str
        on: date

    day = date(2026, 3, 2)
    assert content_hash(Line("CA", day)) == content_hash({"on": "2026-03-02", "product": "CA"})
    noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    shanghai = noon.astimezone(timezone(timedelta(hours=8)))
    assert content_hash([noon]) == content_hash([shanghai])
    assert content_hash(Cause(type="a", id="b")) == content_hash(
        {"type": "a", "id": "b", "at": None, "text": None}
    )


@pytest.mark.parametrize("value", [1.5, b"x", {1: 2}, {"a": {1.0}}, datetime(2026, 1, 1)])  # noqa: DTZ001
def test_what_has_no_canonical_form_is_refused(value: Any) -> None:
    with pytest.raises(TypeError):
        content_hash(value)


def test_a_refusal_has_a_code_a_status_and_a_sentence_in_both_languages() -> None:
    class OrderNotWaiting(DomainError):
        pass

    refusal = OrderNotWaiting({"zh-CN": "订单不在待审批状态", "en": "The order is not waiting"})
    assert (refusal.code, refusal.status) == ("order_not_waiting", 409)
    assert (refusal.text(), refusal.text("en")) == (
        "订单不在待审批状态",
        "The order is not waiting",
    )
    assert str(OrderNotWaiting()) == "order not waiting"
    assert (NotFound().status, NotAllowed().status) == (404, 403)
    assert (Invalid("lines[0].quantity").status, Invalid("a").field) == (422, "a")
