"""Rules of the customer service: names, identity, personal data, scope, intake."""

import json
from base64 import b64encode
from datetime import UTC, date, datetime

import pytest
from cryptography.exceptions import InvalidTag
from hypothesis import given
from hypothesis import strategies as st

from services.customer.rules import identity
from services.customer.rules.intake import BadBatch, close_copies, read_events
from services.customer.rules.names import after_all_with_prefix, fold, parts
from services.customer.rules.personal import Keyring, looks_like_phone, masked, normal_form
from shared.events import bank, envelope, scoring
from shared.policy import Actor, Scope
from shared.reach import Reach, reach_of

KEYS = Keyring(b64encode(bytes(range(32))).decode())
AT = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)

# Names ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "folded"),
    [
        ("王 小明", "王小明"),
        ("ＡＢＣ（上海）Ltd.", "abc上海ltd"),
        ("Renée O'Neil", "renéeoneil"),
        ("", ""),
    ],
)
def test_a_name_is_compared_without_width_case_and_marks(written, folded):
    assert fold(written) == folded


@given(st.text(max_size=40), st.integers(0, 39), st.integers(1, 24))
def test_any_part_of_a_name_is_the_prefix_of_one_of_its_parts(name, start, length):
    folded = fold(name)
    wanted = folded[start : start + length]
    if wanted:
        assert any(part.startswith(wanted) for _, part in parts(folded))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
)
def test_the_range_of_a_prefix_holds_exactly_what_begins_with_it(prefix, other):
    beyond = after_all_with_prefix(prefix)
    assert prefix <= prefix + other < beyond
    assert (prefix <= other < beyond) == other.startswith(prefix)


# Identity ------------------------------------------------------------------------------------


@given(st.permutations(range(6)))
def test_undoing_a_merge_leaves_what_would_have_been_without_it(order):
    edges = {f"P{n}": f"P{n + 1}" for n in range(6)}
    for n in order:
        del edges[f"P{n}"]
        for party in range(7):
            end = party
            while f"P{end}" in edges:
                end += 1
            assert identity.root_of(f"P{party}", edges) == f"P{end}"


def test_a_circle_of_merges_is_an_error_not_a_loop():
    with pytest.raises(ValueError, match="circle"):
        identity.root_of("P1", {"P1": "P2", "P2": "P1"})


def test_one_party_cannot_be_merged_with_itself():
    with pytest.raises(identity.PartiesAlreadyOne):
        identity.check_merge("P1", "P2", {"P1": "P3", "P2": "P3"})


def test_a_party_id_is_made_from_its_number_and_back():
    assert identity.number_of_party(identity.party_of_number("C1")) == "C1"
    assert identity.number_of_party(identity.party_of_prospect("C1")) is None


# Personal data -------------------------------------------------------------------------------


def test_sealed_data_opens_for_its_subject_only():
    key = KEYS.new_subject_key("PC1")
    sealed = KEYS.seal(key, "PC1", {"phone": ["13800138000"]})
    assert b"13800138000" not in sealed
    assert KEYS.unseal(key, "PC1", sealed) == {"phone": ["13800138000"]}
    with pytest.raises(InvalidTag):
        KEYS.unseal(key, "PC2", sealed)
    with pytest.raises(InvalidTag):
        KEYS.unseal(key, "PC1", sealed[:-1] + bytes([sealed[-1] ^ 1]))
    with pytest.raises(InvalidTag):
        KEYS.unseal(KEYS.new_subject_key("PC1"), "PC1", sealed)


def test_the_same_plain_data_never_looks_the_same():
    key = KEYS.new_subject_key("PC1")
    assert KEYS.seal(key, "PC1", {"a": 1}) != KEYS.seal(key, "PC1", {"a": 1})


@pytest.mark.parametrize("written", ["138 0013 8000", "+86 13800138000", "138-0013-8000"])
def test_a_phone_is_found_however_it_is_written(written):
    assert looks_like_phone(written)
    assert KEYS.blind_index("phone", written) == KEYS.blind_index("phone", "13800138000")
    assert KEYS.blind_index("phone", written) != KEYS.blind_index("document", "13800138000")


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        ("phone", "13800138000", "****8000"),
        ("document", "31010119800501123x", "****123X"),
        ("phone", "123", "****"),
        ("email", "wang@bank.cn", "w***@bank.cn"),
        ("address", "上海市浦东新区世纪大道", "上海市浦东新…"),
    ],
)
def test_a_mask_shows_no_more_than_the_tail(kind, value, shown):
    assert masked(kind, value) == shown
    assert normal_form(kind, value) != masked(kind, value)


# Scope ---------------------------------------------------------------------------------------

STAFF = {
    "S2": {"org_path": "/head/b01/retail", "staff_codes": ["RM-B01-1"]},
    "S3": {"org_path": "/head/b01", "staff_codes": ["RM-B01-2"]},
    "S4": {"org_path": "/head/b010", "staff_codes": ["RM-B010-1"]},
}
DEPARTMENTS = [
    {"org_path": "/head", "branch_code": "HQ"},
    {"org_path": "/head/b01", "branch_code": "B01"},
    {"org_path": "/head/b010", "branch_code": "B010"},
    {"org_path": "/head/b01/old", "branch_code": "B01X", "closed_on": "2020-01-01"},
]


def reached(managers: set[str], branches: set[str], staff_ids: set[str]) -> Reach:
    return Reach(False, frozenset(managers), frozenset(branches), frozenset(staff_ids))


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope("p", "all"), Reach(everything=True)),
        (Scope("p", "own"), reached({"RM-ME"}, set(), {"S1"})),
        (
            Scope("p", "subtree", "/head/b01"),
            reached({"RM-B01-1", "RM-B01-2"}, {"B01"}, {"S2", "S3"}),
        ),
        (
            Scope("p", "department", "/head/b01"),
            reached({"RM-B01-2"}, {"B01"}, {"S3"}),
        ),
        (Scope("other", "all"), Reach()),
        (Scope("p", "subtree", ""), Reach()),
    ],
)
def test_a_scope_reaches_the_codes_below_it_and_no_sibling(scope, expected):
    actor = Actor("S1", permissions=frozenset({"p"}), scopes=(scope,), staff_codes=("RM-ME",))
    assert reach_of(actor, "p", STAFF, DEPARTMENTS) == expected


def test_without_the_permission_a_scope_reaches_nothing():
    actor = Actor("S1", permissions=frozenset(), scopes=(Scope("p", "all"),))
    assert reach_of(actor, "p", STAFF, DEPARTMENTS) == Reach()
    assert not Reach().covers(None, None)


# Intake --------------------------------------------------------------------------------------


def event(fact, **changes):
    values = {"id": "e-1", "source": "bank/core", "time": AT, "businessdate": date(2026, 3, 2)}
    return json.loads(envelope.encode(envelope.wrap(fact, **{**values, **changes})))


GOOD = event(bank.CustomerPlaced(customer_number="C1"))


def bad(**changes):
    made = json.loads(json.dumps(GOOD))
    for path, value in changes.items():
        place, _, name = path.rpartition("__")
        target = made[place] if place else made
        if value is None:
            target.pop(name)
        else:
            target[name] = value
    return made


@pytest.mark.parametrize(
    ("body", "index", "field"),
    [
        (b"not json", 0, ""),
        (b"[]", 0, ""),
        (b"[1]", 0, ""),
        ([GOOD, bad(id=None)], 1, "id"),
        (bad(data__customer_number=None), 0, "data.customer_number"),
        (bad(data__customer_number=7), 0, "data.customer_number"),
        (bad(type="bank.customer_placed.v9"), 0, "type"),
        (bad(type="bank.customer_invented.v1"), 0, "type"),
        (bad(subject="C2"), 0, "subject"),
        (bad(source="guanxi/customer"), 0, "source"),
        (bad(time="2026-03-02T00:00:00"), 0, "time"),
        (
            event(bank.DayClosed(day=date(2026, 3, 2), partition=1)),
            0,
            "data.partition",
        ),
        (
            event(
                scoring.AlertCleared(
                    alert_id="A", party_id="P", rule="r", episode=1, at=AT, reason_code="x"
                )
            ),
            0,
            "type",
        ),
    ],
)
def test_a_bad_event_is_named_by_index_and_field(body, index, field):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(BadBatch) as found:
        read_events(raw)
    assert [(one.index, one.field) for one in found.value.bad] == [(index, field)]


def test_a_float_is_no_amount():
    made = event(
        bank.TransactionBooked(
            customer_number="C1", transaction_id="T", account_number="A", product_code="CA",
            amount_minor=1, currency="CNY", kind="fee", initiated_by="bank",
            booked_on=date(2026, 3, 2),
        )
    )  # fmt: skip
    made["data"]["amount_minor"] = 1.5
    with pytest.raises(BadBatch) as found:
        read_events(json.dumps(made).encode())
    assert [one.field for one in found.value.bad] == ["data.amount_minor"]


def test_all_bad_events_of_a_batch_are_named_but_not_more_than_helps():
    batch = [bad(id=None), bad(), bad(subject="C2")]
    with pytest.raises(BadBatch) as found:
        read_events(json.dumps(batch).encode())
    assert [(one.index, one.field) for one in found.value.bad] == [(0, "id"), (2, "subject")]
    with pytest.raises(BadBatch) as found:
        read_events(json.dumps([1] * 1000).encode())
    assert len(found.value.bad) == 100


def test_a_close_has_one_copy_for_each_partition():
    close = read_events(json.dumps(event(bank.DayClosed(day=date(2026, 3, 2)))).encode())[0]
    copies = list(close_copies(close.event, 3))
    assert [c.id for c in copies] == [f"close-bank/core-2026-03-02-{p}" for p in range(3)]
    assert [c.data.partition for c in copies] == [0, 1, 2]
