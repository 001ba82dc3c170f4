"""Customers and accounts that come in a batch: as if their events had been read one by one."""

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring import beginning
from services.scoring.records import laid_out
from shared.events.bank import AccountClosed
from shared.events.envelope import encode, wrap
from shared.ids import partition_of
from tests.scanned import AT, DAY, Delivered, both, delivered, envelope, written


def test_an_account_that_comes_is_not_known_to_an_event_before_it() -> None:
    """Its closing waits; the one behind it is booked."""
    closes = [
        encode(wrap(AccountClosed(customer_number="C1", account_number="A7", closed_on=DAY),
                    id=name, source="core", time=AT, businessdate=DAY)) for name in ("c1", "c2")
    ]  # fmt: skip
    first = envelope(id="n1", data={"account_number": "A7"})
    scanned, plain, taken = both(delivered(closes[0], first, closes[1]), priced=True)
    assert scanned == plain
    assert taken == 1
    assert [refused.offset for refused in scanned["refused"]] == [100]
    assert len(scanned["arrays"][0]) == 2


FACTS = st.tuples(
    st.sampled_from(["C1", "C7", "C8", "客9", "x" * 100]),
    st.sampled_from(["A1", "A7", "账8", "a" * 99]),
    st.sampled_from(["CA", "CA", "CB"]), st.sampled_from(["CNY", "USD", "EUR"]),
    st.sampled_from([{}, {}, {"later": 1}, {"businessdate": "2999-01-01"}]),
    st.sampled_from([None, None, None, "C1"]),
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(
    st.lists(FACTS, min_size=1, max_size=25), st.sampled_from([1, 1, 3]), st.booleans(),
    st.booleans(),
)  # fmt: skip
def test_what_is_new_begins_in_the_order_of_its_events(
    facts: list[Any], partitions: int, priced: bool, watched: bool
) -> None:
    """Whether taken at once or not, with keys and partitions that may be those of others."""
    records = []
    for n, (number, account, product, currency, changes, key) in enumerate(facts):
        event = envelope(id=f"n{n}", subject=number, **changes, data={
            "customer_number": number, "account_number": account, "product_code": product,
            "currency": currency,
        })  # fmt: skip
        records.append(Delivered(100 + n, (key or number).encode(), written(event)))
    scanned, plain, _ = both(records, priced=priced, watched=watched, partitions=partitions)
    assert scanned == plain


def test_new_customers_and_accounts_are_taken_at_once() -> None:
    values = [envelope(id=f"n{n}", subject=f"N{n % 7_000}", data={
        "customer_number": f"N{n % 7_000}", "account_number": f"B{n % 9_000}",
    }) for n in range(10_000)]  # fmt: skip
    records = [
        Delivered(100 + n, value["subject"].encode(), written(value))
        for n, value in enumerate(values)
    ]
    scanned, plain, taken = both(records, priced=True)
    assert scanned == plain
    assert taken == len(values)


@given(st.lists(st.binary(max_size=40), min_size=1, max_size=20), st.integers(1, 64))
def test_a_key_belongs_in_kafkas_own_partition(keys: list[bytes], partitions: int) -> None:
    records = laid_out([Delivered(n, key, b"") for n, key in enumerate(keys)])
    found = np.empty(len(keys), np.int64)
    beginning.partitions_of(
        records.letters(), records.places, np.arange(len(keys)), partitions, found
    )
    assert found.tolist() == [partition_of(key, partitions) for key in keys]
