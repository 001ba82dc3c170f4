"""The query side on real servers: what is published and what pages show."""

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest

from services.scoring.commands import checking
from shared.events import bank, customer, workflow
from shared.policy import Actor, Scope
from shared.testing.space import Space
from tests.integration import scoring_room
from tests.integration.scoring_room import (
    HEAD,
    a_small_bank,
    day,
    party,
    relayed,
)

scoring, scored = scoring_room.scoring, scoring_room.scored


def test_scores_are_published_once_per_change_and_slowly_while_history_loads(
    space, scoring, scored
):
    a_small_bank(scored, space)
    scored.score()
    scoring.drain()
    relayed(scoring)

    def told() -> int:
        return len(space.read("score.updates"))

    assert told() == 3
    (one,) = [e.data for e in space.read("score.updates") if e.data.party_id == "P2"]
    assert one.contribution.posted_minor == 0, "a balance is no contribution"
    assert one.figures["net_transactions_minor"] == 13_000_000
    assert one.customer_numbers == ("C2",)
    assert one.risk_ppm["silence"] > 900_000
    scored.book("C2", 5, day(151))
    scored.score()
    scoring.drain()
    assert told() == 3, "its day is long past: at most every 15 s"
    today = datetime.now(UTC).date()
    space.clock.bank = datetime.combine(today, datetime.min.time(), UTC) + timedelta(hours=6)
    scored.book("C2", 5, today)
    scored.score()
    scoring.drain()
    assert told() == 4, "a party in the present is told at once"


def manager_of(space: Space, number: str, staff_id: str, branch: str) -> None:
    space.publish(
        customer.ManagerChanged(
            party_id="P" + number[1:], customer_number=number, staff_id=staff_id,
            manager_code=f"RM-{staff_id}", branch_code=branch, effective_on=date(2025, 1, 1),
        ),
        source="guanxi/customer",
    )  # fmt: skip


def test_pages_and_api_show_only_what_is_in_reach(space, scoring, scored):
    a_small_bank(scored, space)
    manager_of(space, "C1", "S012", "SH01")
    manager_of(space, "C2", "S013", "SH01")
    manager_of(space, "C3", "S022", "BJ01")
    space.publish(
        bank.ProductDescribed(
            product_code="CA-P", names={"zh-CN": "个人活期", "en": "Current account"},
            line_code="liability",
        ),
        workflow.DepartmentDescribed(
            department_id="SH01", names={"zh-CN": "上海", "en": "Shanghai"},
            org_path="/head/SH01", branch_code="SH01",
        ),
    )  # fmt: skip
    scored.score()
    scoring.drain()
    own = Actor(
        "S012", permissions=HEAD.permissions,
        scopes=(Scope("score.view", "own"), Scope("alert.view", "own")),
    )  # fmt: skip
    branch = Actor(
        "S014", permissions=HEAD.permissions,
        scopes=(Scope("score.view", "subtree", "/head/SH01"),
                Scope("alert.view", "subtree", "/head/SH01")),
    )  # fmt: skip
    reached = defaultdict(list)
    for actor in (HEAD, own, branch):
        for item in scoring.client(actor).get("/ranking?by=transactions").json()["items"]:
            reached[actor.id].append(item["party_id"])
    assert reached == {"S011": ["P2", "P1", "P3"], "S012": ["P1"], "S014": ["P2", "P1"]}
    mine = scoring.client(own)
    assert mine.get("/parties/P1/score").json()["residual_minor"] == 0
    assert mine.get("/parties/P2/score").status_code == 404
    assert mine.get("/contribution/parties/P2").status_code == 404
    assert mine.get("/alerts").json()["items"] == []
    (alert,) = scoring.client(branch).get("/alerts?rule=silence").json()["items"]
    assert mine.get(f"/risk/alerts/{alert['alert_id']}").status_code == 404
    parts = ("/contribution", "/contribution/totals", "/contribution/ranking")
    page = "".join(mine.get(part).text for part in parts)
    assert 'data-label="party:P1"' in page
    assert "party:P2" not in page
    assert "个人活期" in page
    assert "交易净额" in page


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_page_opens_down_to_the_events(space, scoring, scored, language):
    a_small_bank(scored, space)
    scored.score()
    scoring.drain()
    client = scoring.client(
        Actor("S011", permissions=HEAD.permissions, scopes=HEAD.scopes, language=language)
    )
    alerts = client.get("/alerts").json()["items"]
    with scoring.database.transaction() as tx:
        checking.check(tx)
    pages = [
        "/contribution/value", "/contribution/transactions", "/contribution/totals",
        "/contribution/ranking?branch=SH01",
        "/contribution/parties/P1", "/contribution/parties/P1/figures", "/risk",
        "/risk?state=ended", "/risk/list?rule=outflow", "/risk/list?state=ended&rule=silence",
        "/contribution/parties/P1/events?number=C1&account=A-C1&product=CA-P&currency=CNY",
        *(f"/risk/alerts/{a['alert_id']}" for a in alerts),
        *(f"/risk/alerts/{a['alert_id']}/panel" for a in alerts),
    ]  # fmt: skip
    no_sums = ("/contribution/transactions", "/contribution/ranking?branch=SH01")
    for path in pages:
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text[:500])
        assert len(answer.content) < 60_000, path
        if "alerts" not in path and "risk" not in path and path not in no_sums:
            assert 'data-residual="0"' in answer.text, path
    events = client.get(next(p for p in pages if "events?" in p)).text
    assert events.count("data-row") == 32, "the event that was sent twice is shown once"
    assert client.get("/ranking?after=nonsense").status_code == 422
    assert client.get("/contribution/parties/nobody").status_code == 404


def test_the_ranking_goes_on_by_keyset(space, scoring, scored):
    for n in range(7):
        scored.book(f"C{n}", 1000 * (n // 2), day(0))
        party(space, f"P{n}", f"C{n}")
    scored.score()
    scoring.drain()
    client, seen, after = scoring.client(HEAD), [], ""
    while True:
        page = client.get(f"/ranking?by=transactions&limit=3{after}").json()
        seen += [item["party_id"] for item in page["items"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert seen == ["P6", "P5", "P4", "P3", "P2", "P1", "P0"]
