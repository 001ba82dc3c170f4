"""The scanner against the catalogue: what it takes at once, the catalogue reads the same."""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scoring import (
    account_rows,
    beginning,
    id_hash,
    interned,
    reading,
    record_batch,
    scanning,
    warm,
)
from services.scoring.records import laid_out
from services.scoring.scanning import HOT
from shared.events.bank import (
    AccountOpened,
    ContactRecorded,
    CustomerPlaced,
    DayClosed,
    TransactionBooked,
)
from shared.events.envelope import encode, wrap
from tests.scanned import AT, DAY, LATEST, both, delivered, engine, envelope, told

TEXTS = st.one_of(
    st.sampled_from(["A1", "CA", "网点", "", "x" * 100, "x" * 101, 'a"b', "a\\b", "é" * 60, "\x7f",
                     "\0", "𠮷", "null"]),
    st.text(max_size=12),
)  # fmt: skip
DATES = st.one_of(
    st.sampled_from(["2025-02-28", "2025-02-29", "2024-02-29", "2025-03-02", "2025-03-03",
                     "1969-12-31", "2025-13-01", "2025-00-10", "2025-3-01", "2025-03-01T00:00:00Z",
                     "0001-01-01", "9999-12-31", "2023-12-31"]),
    st.dates(date(1890, 1, 1), date(2410, 1, 1)).map(date.isoformat),
)  # fmt: skip
TIMES = st.one_of(
    st.sampled_from([
        "2025-03-01T09:30:01Z", "2025-03-01T09:30:01.5+08:00", "2025-03-01T09:30:01",
        "2025-03-01T24:00:00Z", "2025-03-01T23:59:60Z", "2025-03-01t09:30:01z",
        "2025-03-01 09:30:01Z", "2025-03-01T09:30:01.1234567Z", "2025-03-01T09:30:01.Z",
        "2025-03-01T09:30:01-00:00", "2025-03-01T09:30:01+24:00", "2025-02-30T09:30:01Z",
        "2025-03-01T09:30:01+23:59", "2025-03-01T09:30:01+0800", "2025-03-01T09:30Z", "now",
        "2025-03-01T09:30:01.000001-11:30", "2025-03-01T09:60:01Z",
        "0001-01-01T00:00:00+14:00", "1969-12-31T23:59:59Z",
        "9999-12-31T23:59:59-10:00", "2025-03-01T09:30:01+08:60",
    ]),
    st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-(2**60), 2**60),
    st.sampled_from([0, -1, 10**15 - 1, 10**15, 2**53, 2**53 + 1, -(2**53), 1.0, 1.5, 1e3, True]),
)
ANYTHING = st.one_of(TEXTS, DATES, TIMES, NUMBERS, st.none(), st.just({}), st.just([]))
DATA = {
    "customer_number": TEXTS, "transaction_id": TEXTS, "account_number": TEXTS,
    "product_code": TEXTS, "amount_minor": NUMBERS,
    "currency": st.sampled_from(["CNY", "USD", "XXX", "cny", ""]),
    "kind": st.sampled_from(["card", "fee", "cash_in", "interest_paid", "loan_instalment", "x"]),
    "initiated_by": st.sampled_from(["customer", "bank", "nobody"]), "booked_on": DATES,
    "value_on": DATES, "channel_code": st.sampled_from(["app", "网点", "new", "", None]),
    "branch_code": TEXTS, "purpose_code": TEXTS, "loan_number": TEXTS,
    "counterparty": st.one_of(st.just({}), st.none(), st.fixed_dictionaries(
        {}, optional={"bank_code": ANYTHING, "account_number": TEXTS, "name": TEXTS})),
    "payment_reference": TEXTS, "order_in_day": NUMBERS, "reverses": TEXTS, "later_field": ANYTHING,
}  # fmt: skip
ENVELOPE = {
    "type": st.sampled_from(["bank.transaction_booked.v2", "bank.unheard_of.v1", "x", ""]),
    "specversion": st.sampled_from(["1.0", "1.1"]), "id": TEXTS,
    "source": st.sampled_from(["core", "late", "new"]), "subject": TEXTS, "time": TIMES,
    "datacontenttype": st.sampled_from(["application/json", "text/plain"]), "businessdate": DATES,
    "sequence": NUMBERS, "correlationid": TEXTS, "causationid": TEXTS, "rootat": TIMES,
    "later_attribute": ANYTHING,
}  # fmt: skip


@st.composite
def events(draw: st.DrawFn) -> bytes:
    """A transaction with up to three fields changed or left out, in any order and spacing."""
    event = envelope()
    for _ in range(draw(st.integers(0, 3))):
        place, of = draw(st.sampled_from([(event, ENVELOPE), (event["data"], DATA)]))
        name = draw(st.sampled_from(sorted(of)))
        if draw(st.integers(0, 5)) == 0:
            place.pop(name, None)
        else:
            place[name] = draw(st.one_of(of[name], ANYTHING) if draw(st.booleans()) else of[name])
    if draw(st.booleans()):
        event = dict(draw(st.permutations(list(event.items()))))
        event["data"] = dict(draw(st.permutations(list(event["data"].items()))))
    spacing = draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t:\r\n")]))
    text = json.dumps(event, separators=spacing, ensure_ascii=draw(st.booleans()))
    value = bytearray(text.encode(errors="surrogatepass"))
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):  # bytes gone wrong on the way
        at = draw(st.integers(0, len(value) - 1))
        value[at] = draw(st.one_of(st.sampled_from(b'{}[]",:\\ 0-.eE\x80\xc3\xed\xf4'),
                                   st.integers(0, 255)))  # fmt: skip
    return bytes(value[: draw(st.sampled_from([len(value)] * 9 + [len(value) // 2]))])


@settings(max_examples=400, deadline=None)
@given(st.lists(events(), min_size=1, max_size=4), st.booleans())
def test_whatever_comes_is_read_as_the_catalogue_does(values: list[bytes], priced: bool) -> None:
    scanned, plain, _ = both(delivered(*values), priced=priced)
    assert scanned == plain


@pytest.mark.parametrize("priced", [False, True])
def test_what_banks_send_is_taken_at_once(priced: bool) -> None:
    full = envelope(sequence=7, correlationid="c", causationid="d", rootat="2025-03-01T09:30:01Z",
                    time="2025-03-01T17:30:01.250+08:00",
                    data={"value_on": "2025-02-27", "channel_code": "网点", "branch_code": "沪一",
                          "purpose_code": "p", "payment_reference": "r", "order_in_day": 3,
                          "reverses": None,
                          "counterparty": {"bank_code": None, "account_number": "对"}})  # fmt: skip
    fact = TransactionBooked(
        transaction_id="2", account_number="A1", customer_number="C1", product_code="CA",
        amount_minor=5, currency="CNY", kind="card", initiated_by="bank", booked_on=DAY,
        reverses="1",
    )  # fmt: skip
    ours = encode(wrap(fact, id="t", source="core", time=AT, businessdate=DAY, sequence=1))
    spaced = json.dumps(envelope(), indent=2).encode() + b"\n"
    scanned, plain, taken = both(delivered(full, ours, spaced), priced=priced)
    assert scanned == plain
    assert taken == 3


@pytest.mark.parametrize(
    "odd",
    [
        envelope(id="a\\b"), envelope(sequence=1.0), envelope(later=1),
        envelope(data={"loan_number": "L1"}), envelope(data={"product_code": "CB"}),
        envelope(data={"amount_minor": 2**53}),
        envelope(businessdate="2025-03-03"), envelope(source="late"), envelope(source="new"),
        envelope(data={"channel_code": "kiosk"}), envelope(data={"customer_number": "C2"}),
        b"", b"null", b'{"type":', json.dumps(envelope()).encode() + b"}",
        json.dumps(envelope()).encode().replace(b'"id"', b'"id": "x", "id"'),
    ],
)  # fmt: skip
def test_what_it_is_not_sure_of_goes_the_other_way(odd: Any) -> None:
    scanned, plain, taken = both(delivered(envelope(), odd, envelope(id="txn-2")))
    assert scanned == plain
    assert taken == 2


def test_what_an_earlier_event_of_the_batch_says_holds_for_a_later_one() -> None:
    """An account that is opened, and a close of the day, stand between those taken at once."""
    opened = AccountOpened(customer_number="C1", account_number="A7", product_code="CA",
                           currency="CNY", opened_on=DAY)  # fmt: skip
    value = encode(wrap(opened, id="o", source="core", time=AT, businessdate=DAY))
    first = envelope(id="n1", data={"account_number": "A7"})
    scanned, plain, taken = both(
        delivered(envelope(), value, first, envelope(id="n2", data={"account_number": "A7"})),
        priced=True,
    )
    assert scanned == plain
    assert taken == 3


def test_the_far_past_the_future_and_its_own_price_decide_as_always() -> None:
    dates = [DAY + timedelta(days=n) for n in (-20_000, -500, -100, 0, 1, 2)]
    values = [envelope(id=f"d{n}", businessdate=str(on)) for n, on in enumerate(dates)]
    values += [envelope(id=f"v{n}", data={"value_on": str(on)}) for n, on in enumerate(dates)]
    scanned, plain, taken = both(delivered(*values), priced=True)
    assert scanned == plain
    assert 0 < taken < len(values)
    assert scanned["waiting"], "some days have no price"


def test_a_time_after_the_latest_day_is_refused_on_either_way() -> None:
    """The day ends at midnight in the bank's zone, whatever zone a time is told in."""
    last = ["2025-03-02T15:59:59.999999Z", "2025-03-02T23:59:59+08:00", "2025-03-02T04:59:59-11:00"]
    beyond = ["2025-03-02T16:00:00Z", "2025-03-03T00:00:00+08:00", "2025-03-02T05:00:00-11:00",
              "2391-01-01T00:00:00Z", "9998-12-31T23:59:59Z"]  # fmt: skip
    values = [envelope(id=at, time=at) for at in (*last, *beyond)]
    odd = [envelope(id=f"odd {at}", time=at, later=1) for at in (*last, *beyond)]
    scanned, plain, taken = both(delivered(*values, *odd))
    assert scanned == plain
    assert taken == len(last)
    assert [name for _, name, _ in scanned["identities"]] == [*last, *(f"odd {at}" for at in last)]
    assert [(r.kind, r.field) for r in scanned["refused"]] == [("quarantined", "time")] * 10
    assert scanned["refused"][0].reason == (
        "the time 2025-03-02T16:00:00+00:00 lies in the future of the bank"
    )


def test_what_has_no_figure_and_a_close_are_refused_for_a_time_years_ahead_too() -> None:
    """The query side, which keeps where customers lie, has no other judge."""
    opened = AccountOpened(customer_number="C1", account_number="A7", product_code="CA",
                           currency="CNY", opened_on=DAY)  # fmt: skip
    placed = CustomerPlaced(customer_number="C1", home_branch_code="B1")
    facts = [opened, placed, DayClosed(day=DAY)]
    for at, on, field, count in (
        (AT, DAY, "", 0), (AT.replace(year=2125), DAY, "time", 3),
        (AT, date(2125, 1, 1), "businessdate", 2),  # a close has its own day
    ):  # fmt: skip
        values = [encode(wrap(f, id="f", source="core", time=at, businessdate=on)) for f in facts]
        scanned, plain, _ = both(delivered(*values), priced=True)
        assert scanned == plain
        told = [(r.kind, r.field) for r in scanned["refused"]]
        assert told == [("quarantined", field)] * count
        assert len(scanned["closes"]) == (field != "time")
        assert scanned["ignored"].total() == (count == 0)


@pytest.mark.parametrize("priced", [True, False])
def test_what_has_no_figure_is_refused_of_before_its_source_was_active(priced: bool) -> None:
    """The source late is active from the day after DAY: what it says of DAY is not taken. A close
    is left to the watermark, which has it already."""
    facts = [
        TransactionBooked(
            customer_number="C1", transaction_id="T", account_number="A2", product_code="CA",
            amount_minor=-100, currency="CNY", kind="card", initiated_by="customer", booked_on=DAY,
        ),
        ContactRecorded(customer_number="C1", contact_id="7", channel_code="phone",
                        direction="inbound", topic_code="service", outcome_code="answered"),
        CustomerPlaced(customer_number="C1", home_branch_code="B1"),
        AccountOpened(customer_number="C1", account_number="A7", product_code="CA",
                      currency="CNY", opened_on=DAY),
    ]  # fmt: skip
    for name, on, count in (("late", DAY, 4), ("late", DAY + timedelta(days=1), 0),
                            ("core", DAY, 0), ("nobody described it", DAY, 0)):  # fmt: skip
        said = [wrap(f, id=f"f-{n}", source=name, time=AT, businessdate=on)
                for n, f in enumerate([*facts, DayClosed(day=on)])]  # fmt: skip
        scanned, plain, _ = both(delivered(*map(encode, said)), priced=priced)
        assert scanned == plain
        told = [(r.kind, r.field, r.reason) for r in scanned["refused"]]
        reason = f"{DAY} is before late became active"
        assert told == [("quarantined", "businessdate", reason)] * count
        assert len(scanned["closes"]) == 1


def test_a_refused_fact_without_a_figure_stays_refused_when_its_day_has_come() -> None:
    one = engine()
    placed = CustomerPlaced(customer_number="C1", home_branch_code="B1")
    said = wrap(placed, id="f", source="core", time=AT, businessdate=DAY + timedelta(days=9))
    records = delivered(encode(said))
    early = one.read(0, records, LATEST)
    one.apply(early, set())
    again = one.read(0, records, LATEST + 30)
    for batch, reason in ((early, "lies in the future"), (again, "it was refused before")):
        (refused,) = batch.columns.refused
        assert reason in refused.reason


def test_a_batch_of_nothing_is_nothing() -> None:
    assert told(engine().read(0, [], LATEST).columns)["identities"] == []


def test_the_scanners_verdict_is_a_flag_for_each_record() -> None:
    made = engine()
    scanned = reading.Scanned(
        made.partition(0), laid_out(delivered(envelope(), b"x", envelope(id="2")))
    )
    assert np.flatnonzero(scanned.found[:, HOT]).tolist() == [0, 2]


def test_nothing_is_left_to_compile_when_the_worker_is_warm() -> None:
    """Also for a batch of one event: numba takes one row of a column for another type."""
    warm.compile_kernels()
    kernels = [record_batch.locate, interned.find_all, account_rows.of_numbers, scanning.scan,
               id_hash.hashes, beginning.partitions_of, beginning.begin_all]  # fmt: skip
    known = [len(kernel.signatures) for kernel in kernels]  # type: ignore[attr-defined]
    for n in (1, 3):
        values = [envelope(id=f"txn-{i}") for i in range(n)]
        scanned, plain, taken = both(delivered(*values), priced=True)
        assert (scanned, taken) == (plain, n)
    assert [len(kernel.signatures) for kernel in kernels] == known  # type: ignore[attr-defined]
