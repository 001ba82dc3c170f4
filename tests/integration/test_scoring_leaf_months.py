"""The leaves of a total, of one month: the same leaves as without, on the page and in its CSV."""

import html
import re
from collections import defaultdict
from datetime import date

import pytest

from shared.policy import Actor
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, scoring_room
from tests.integration.ledger_room import figures_of, manager, reference, told
from tests.integration.scoring_room import HEAD
from tests.integration.test_scoring_totals import all_leaves
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored
PERIOD = 6  # its column in the CSV


@pytest.fixture
def known(space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored) -> ServiceUnderTest:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    scoring.drain()
    told(scoring, scored)
    return scoring


def test_the_months_of_a_total_are_its_leaves(known: ServiceUnderTest) -> None:
    client = known.client(HEAD)
    for by, code in (
        ("component", "fee"), ("line", "asset"), ("region", "east"), ("manager", "RM1"),
        ("manager_now", "RM1"), ("party", "P0"), ("supervisor", ""),
    ):  # fmt: skip
        whole, by_month = {"by": by, "code": code}, defaultdict[str, list[list[str]]](list)
        for row in all_leaves(client, whole):
            by_month[row[PERIOD]].append(row)
        assert len(by_month) > 1, by
        for month, leaves in by_month.items():
            assert all_leaves(client, {**whole, "month": month}) == leaves, (by, month)
        assert all_leaves(client, {**whole, "month": "1999-01"}) == [], by


@pytest.mark.parametrize(("language", "words"), [("zh-CN", "全部月份"), ("en", "All months")])
def test_the_page_shows_what_its_csv_holds(
    known: ServiceUnderTest, scored: Scored, language: str, words: str
) -> None:
    reader = Actor("S011", permissions=HEAD.permissions, scopes=HEAD.scopes, language=language)
    client = known.client(reader)
    month = max(leaf.period for leaf in scored.posted.values() if leaf.component == "fee")
    asked = {"by": "component", "code": "fee", "month": month}
    page = client.get("/contribution/leaves", params=asked).text
    assert f"<option selected>{month}</option>" in page
    assert page.count(words) == 2, "the choice, and what the sum above is of"
    (link,) = re.findall(r'href="/scoring(/contribution/leaves\.csv[^"]*)"', page)
    _, *lines = figures_of(client.get(html.unescape(link)).text)
    assert lines
    assert {line[PERIOD] for line in lines} == {month}
    assert page.count("<tr data-row") == len(lines)
    accrued = client.get("/contribution/leaves", params={**asked, "state": "accrued"}).text
    assert 'name="month"' not in accrued, "what is not posted belongs to no month yet"
    open_leaves = all_leaves(client, {**asked, "state": "accrued"})
    assert open_leaves == all_leaves(client, {"by": "component", "code": "fee",
                                              "state": "accrued"})  # fmt: skip
    of_month = client.get("/contribution/leaves", params={"by": "month", "code": month}).text
    assert 'name="month"' not in of_month


@pytest.mark.parametrize(("language", "said"), [
    ("zh-CN", "有些内容填写有误。"), ("en", "Some fields are not valid."),
])  # fmt: skip
def test_what_is_no_month_is_refused_in_the_readers_language(
    scoring: ServiceUnderTest, language: str, said: str
) -> None:
    client = scoring.client(HEAD)
    client.headers["x-guanxi-language"] = language
    for month in ("May", "2025-99", "2025-00"):
        answer = client.get(f"/contribution/leaves?by=component&code=fee&month={month}")
        assert (answer.status_code, answer.json()["message"]) == (422, said)
