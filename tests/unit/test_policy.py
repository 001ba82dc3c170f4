"""The decision point: permission AND data scope AND limit, each edge of each."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.policy import Actor, Scope, decide, widest, within

VIEW, APPROVE = "customer.view", "order.approve"
SH, SH_RETAIL, SH_RETAIL_VIP = "/head/SH01", "/head/SH01/retail", "/head/SH01/retail/vip"
BJ, SH010 = "/head/BJ01", "/head/SH010"

ALL_PLACES = ("/head", SH, SH_RETAIL, SH_RETAIL_VIP, BJ, SH010)
# scope -> the departments whose records it reaches, when they belong to someone else
REACHED = {
    ("own", SH_RETAIL): set(),
    ("department", SH_RETAIL): {SH_RETAIL},
    ("department", "/head"): {"/head"},
    ("subtree", SH): {SH, SH_RETAIL, SH_RETAIL_VIP},
    ("subtree", SH_RETAIL): {SH_RETAIL, SH_RETAIL_VIP},
    ("subtree", "/head"): set(ALL_PLACES),
    ("all", ""): set(ALL_PLACES),
    ("all", BJ): set(ALL_PLACES),
}


def actor(*scopes: Scope, permissions: tuple[str, ...] = (VIEW,), **limits: int) -> Actor:
    named = {name.replace("_", "."): amount for name, amount in limits.items()}
    return Actor("S012", permissions=frozenset(permissions), scopes=scopes, limits=named)


@pytest.mark.parametrize("place", ALL_PLACES)
@pytest.mark.parametrize(("kind", "path"), REACHED)
def test_a_scope_reaches_exactly_its_departments(kind, path, place):
    someone = actor(Scope(VIEW, kind, path))
    decision = decide(someone, VIEW, org_path=place, owner_id="S999")
    assert decision.allowed is (place in REACHED[kind, path])
    assert decision.allowed or "outside the scope" in decision.reason


@pytest.mark.parametrize("kind", ["own", "department", "subtree", "all"])
@pytest.mark.parametrize(
    ("owner_id", "of_own"), [("S012", True), ("S013", False), ("", False), (None, False)]
)
def test_only_one_s_own_record_is_own(kind, owner_id, of_own):
    decision = decide(actor(Scope(VIEW, kind, SH_RETAIL)), VIEW, org_path=BJ, owner_id=owner_id)
    assert decision.allowed is (kind == "all" or (kind == "own" and of_own))


def test_an_owner_without_a_department_is_enough_for_own_and_for_nothing_else():
    for kind, allowed in {"own": True, "department": False, "subtree": False, "all": True}.items():
        assert decide(actor(Scope(VIEW, kind, SH)), VIEW, owner_id="S012").allowed is allowed


def test_a_scope_of_another_permission_reaches_nothing():
    someone = actor(Scope(APPROVE, "all"), permissions=(VIEW, APPROVE))
    assert not decide(someone, VIEW, org_path=SH).allowed
    assert decide(someone, APPROVE, org_path=SH).allowed


def test_a_scope_without_its_permission_allows_nothing():
    someone = actor(Scope(VIEW, "all"), permissions=())
    assert not decide(someone, VIEW).allowed
    assert not decide(someone, VIEW, org_path=SH).allowed
    assert widest(someone, VIEW) == []


def test_a_record_without_a_place_needs_the_permission_only():
    assert decide(actor(), VIEW).allowed


def test_a_record_with_a_place_and_an_actor_without_scope_is_denied():
    assert not decide(actor(), VIEW, org_path=SH).allowed
    assert not decide(actor(), VIEW, owner_id="S012").allowed


@pytest.mark.parametrize("kind", ["own", "department", "subtree"])
@pytest.mark.parametrize("place", [*ALL_PLACES, ""])
def test_a_scope_without_a_place_reaches_no_department(kind, place):
    assert not decide(actor(Scope(VIEW, kind, "")), VIEW, org_path=place, owner_id="S999").allowed
    assert not within(place, "")


def test_two_scopes_reach_what_either_reaches():
    someone = actor(Scope(VIEW, "own", SH_RETAIL), Scope(VIEW, "department", BJ))
    assert decide(someone, VIEW, org_path=SH_RETAIL, owner_id="S012").allowed
    assert decide(someone, VIEW, org_path=BJ, owner_id="S022").allowed
    assert not decide(someone, VIEW, org_path=SH_RETAIL, owner_id="S013").allowed


@pytest.mark.parametrize(
    ("limit", "amount", "allowed"),
    [
        (50_000_000, 49_999_999, True),
        (50_000_000, 50_000_000, True),
        (50_000_000, 50_000_001, False),
        (0, 0, True),
        (0, 1, False),
        (2**53, 2**53, True),
        (2**53, 2**53 + 1, False),
        (None, 0, False),
        (None, 1, False),
    ],
)
def test_an_amount_is_allowed_up_to_the_limit_and_not_one_fen_above(limit, amount, allowed):
    limits = {} if limit is None else {"order_approve": limit}
    someone = actor(Scope(APPROVE, "subtree", SH), permissions=(APPROVE,), **limits)
    decision = decide(someone, APPROVE, org_path=SH_RETAIL, owner_id="S013", amount_minor=amount)
    assert decision.allowed is allowed
    assert not decide(someone, APPROVE, org_path=BJ, amount_minor=amount).allowed


def test_a_limit_of_another_permission_is_none():
    someone = actor(Scope(APPROVE, "all"), permissions=(APPROVE,), order_view=100)
    assert not decide(someone, APPROVE, amount_minor=1).allowed


def test_nothing_is_allowed_by_default():
    assert not decide(Actor("S012"), VIEW).allowed


# Trees of departments ---------------------------------------------------------------------------

names = st.text(alphabet="ab", min_size=1, max_size=3)
paths = st.lists(names, min_size=1, max_size=5).map(lambda parts: "/" + "/".join(parts))


def parts_of(path: str) -> list[str]:
    return path.strip("/").split("/")


@given(paths, paths)
def test_within_compares_whole_parts_of_a_path(path, root):
    assert within(path, root) is (parts_of(path)[: len(parts_of(root))] == parts_of(root))


@given(paths, paths, st.sampled_from(["own", "department", "subtree"]))
def test_wider_scopes_reach_no_less(path, root, kind):
    order = ["own", "department", "subtree", "all"]
    wider = order[order.index(kind) + 1]

    def reaches(scope_kind: str) -> bool:
        someone = actor(Scope(VIEW, scope_kind, root))
        return decide(someone, VIEW, org_path=path, owner_id="S999").allowed

    assert reaches(wider) >= reaches(kind)


@given(st.lists(paths, min_size=1, max_size=4), paths)
def test_a_subtree_is_closed_downwards_and_never_reaches_up_or_aside(roots, path):
    someone = actor(*(Scope(VIEW, "subtree", root) for root in roots))
    allowed = decide(someone, VIEW, org_path=path).allowed
    above = {"/" + "/".join(parts_of(path)[:n]) for n in range(1, len(parts_of(path)) + 1)}
    assert allowed is bool(above & set(roots))
    if allowed:
        assert decide(someone, VIEW, org_path=path + "/below").allowed


@given(st.integers(0, 2**60), st.integers(0, 2**60))
def test_a_smaller_amount_is_never_refused_where_a_greater_one_is_allowed(limit, amount):
    someone = actor(Scope(APPROVE, "all"), permissions=(APPROVE,), order_approve=limit)
    assert decide(someone, APPROVE, amount_minor=amount).allowed is (amount <= limit)
