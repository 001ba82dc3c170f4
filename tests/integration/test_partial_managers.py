"""Managers for a share of a customer, or for one account: listed, and no figure is split."""

from datetime import timedelta
from typing import Any

from shared.events import customer
from shared.policy import Actor, Scope
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import HEAD, party, rows

scoring = scoring_room.scoring
PAGE = "/contribution/assignments"
NOTE = 'data-partial-managers="{}"'


def assigned(space: Space, number: str, code: str, share_ppm: int, **told: Any) -> None:
    space.publish(
        customer.ManagerChanged(
            party_id="P1", customer_number=number, manager_code=code, share_ppm=share_ppm,
            effective_on=told.pop("on", space.clock.bank.date()), branch_code="SH01", **told,
        ),
        source="guanxi/customer",
    )  # fmt: skip


def manager_of(scoring: ServiceUnderTest) -> str:
    return rows(scoring, "select manager_code from numbers where customer_number = 'C1'")[0][0]


def test_of_two_on_one_day_the_greater_share_has_all_whichever_is_told_last(space, scoring):
    party(space, "P1", "C1")
    assigned(space, "C1", "RM-1", 600_000)
    scoring.drain()
    assigned(space, "C1", "RM-2", 400_000)
    scoring.drain()
    assert manager_of(scoring) == "RM-1"
    assigned(space, "C1", "RM-2", 700_000)
    scoring.drain()
    assert manager_of(scoring) == "RM-2", "the negative control: the share decides"


def test_a_share_and_an_account_are_listed_and_counted(space, scoring):
    party(space, "P1", "C1")
    head = scoring.client(HEAD)
    assigned(space, "C1", "RM-0", 1_000_000)
    scoring.drain()
    assert "data-partial-managers" not in head.get("/contribution").text, "the negative control"
    assert "没有" in head.get(PAGE).text
    later = space.clock.bank.date() - timedelta(days=1)
    assigned(space, "C1", "RM-1", 600_000, on=later)
    assigned(space, "C1", "RM-2", 400_000, on=later)
    assigned(space, "C1", "RM-3", 1_000_000, account_number="A-1")
    scoring.drain()
    assert manager_of(scoring) == "RM-0", "who answers for one account does not for the customer"
    for page in ("/contribution", "/contribution/value?by=manager", PAGE):
        assert NOTE.format(3) in head.get(page).text, page
    page = head.get(PAGE).text
    assert "有 3 条客户经理分配" in page
    assert 'data-share-ppm="600000"' in page
    assert page.index("A-1") < page.index("RM-1") < page.index("RM-2"), "the latest first"
    assert 'guanxi_scoring_rows{what="partial_managers"} 3.0' in head.get("/metrics").text
    assigned(space, "C1", "RM-2", 1_000_000, on=later)
    scoring.drain()
    assert NOTE.format(2) in head.get(PAGE).text, "a later word made it the whole"


def test_each_sees_what_is_told_of_his_customers_and_of_himself(space, scoring):
    party(space, "P1", "C1")
    assigned(space, "C1", "RM-1", 600_000)
    assigned(space, "C1", "RM-2", 400_000)
    scoring.drain()
    for code, found in (("RM-1", 2), ("RM-2", 1), ("RM-9", 0)):
        actor = Actor(
            "S-X", permissions=frozenset({"score.view"}), scopes=(Scope("score.view", "own"),),
            staff_codes=(code,),
        )  # fmt: skip
        assert scoring.client(actor).get(PAGE).text.count("<tr data-row") == found, code


def test_the_list_goes_on_where_a_page_ends(space, scoring):
    party(space, "P1", "C1")
    for n in range(60):
        assigned(space, "C1", f"RM-{n:02}", 10_000)
    scoring.drain()
    head = scoring.client(HEAD)
    first = head.get(PAGE).text
    following = first.split('rel="next" href="/scoring')[1].split('"')[0].replace("&amp;", "&")
    assert first.count("<tr data-row") == 50
    assert head.get(following).text.count("<tr data-row") == 10
    assert head.get(f"{PAGE}?after=x").status_code == 422
