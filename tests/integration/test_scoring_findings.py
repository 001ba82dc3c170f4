"""A finding has advice and makes no work: it goes to the process there is, or to the next."""

from collections.abc import Iterator
from datetime import date

import msgspec
import pytest
from sqlalchemy import text

from services.scoring import risk_plan, use_falls
from services.scoring.rules.wording_of_use import ADVICE, ANY
from services.workflow.__main__ import SERVICE as WORKFLOW
from services.workflow.commands.seed import seed_organisation
from shared.events import customer
from shared.events.bank import ProductDescribed, WentLive
from shared.events.scoring import AlertRaised
from shared.policy import Actor
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import HEAD, day, party, rows
from tests.integration.test_scoring_capacity import all_of
from tests.integration.workflow_room import ORGANISATION
from tests.risk_live import hand_made
from tests.scoring_bank import ScoredBank

scoring = scoring_room.scoring
MODEL = msgspec.structs.replace(hand_made("CA-P"), scores=(use_falls.score_of(("CA-P", "CARD-X")),))


@pytest.fixture
def used(space: Space) -> Iterator[ScoredBank]:
    found = ScoredBank(space, risk_plan.plan_of(MODEL))
    yield found
    found.shut()


@pytest.fixture
def workflow(space: Space) -> Iterator[ServiceUnderTest]:
    service = space.service(WORKFLOW)
    with service.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    service.drain()
    yield service


def a_bank_used_less(used: ScoredBank, space: Space) -> None:
    """C1 goes on as ever; C2 uses a current account less, C3 a card that nobody has described."""
    used.days("C1", day(0), day(260), 3, 50_000)
    for number, product in (("C2", "CA-P"), ("C3", "CARD-X")):
        for n in range(0, 180, 3):
            used.book(number, 50_000, day(n), product=product)
        for n in range(180, 260, 12):
            used.book(number, 50_000, day(n), product=product)
    used.close_through(day(260))
    for n in (1, 2, 3):
        party(space, f"P{n}", f"C{n}")
        space.publish(
            customer.ManagerChanged(
                party_id=f"P{n}", customer_number=f"C{n}", effective_on=date(2025, 1, 1),
                manager_code="RM-SH01-2", staff_id="S013", branch_code="SH01",
            ),
            source="guanxi/customer",
        )  # fmt: skip
    space.publish(
        ProductDescribed(
            product_code="CA-P", names={"zh-CN": "活期", "en": "Current account"},
            line_code="liability", demand_or_fixed="demand", purchase_like=False,
        ),
        WentLive(on=day(0)),
        source="core",
    )  # fmt: skip


def test_a_finding_opens_no_process_and_goes_to_the_one_that_a_warning_opens(
    space, scoring, used, workflow
):
    a_bank_used_less(used, space)
    used.score()
    all_of(workflow, scoring)
    told = {e.data.party_id: e.data for e in space.read("score.alerts")}
    assert {p for p, fact in told.items() if fact.rule == "use_falls"} == {"P2", "P3"}
    found = told["P2"]
    assert isinstance(found, AlertRaised)
    assert (found.opens_work, found.margin_at_risk_minor, found.recoverable_minor) == (False, 0, 0)
    assert found.advice == ADVICE["liability"]
    assert told["P3"].advice == ANY
    assert space.read("task.handoffs") == []

    # Then C2 falls silent for good: that is work, and it takes the finding in.
    used.close_through(day(340), day(261))
    used.score()
    all_of(workflow, scoring, workflow)
    started = [e.data for e in space.read("task.handoffs") if "process_started" in e.type]
    of_p2 = next(fact for fact in started if fact.party_id == "P2")
    kinds = "select kind, text from entries where instance_id = :one order by id"
    with workflow.database.read() as session:
        entries = session.execute(text(kinds), {"one": of_p2.process_instance_id}).all()
    (attached,) = [e.text for e in entries if e.kind == "alert_attached"]
    assert attached["en"].endswith(ADVICE["liability"]["en"])
    assert attached["zh-CN"].startswith("使用变少")
    with workflow.database.read() as session:
        states = session.execute(
            text("select rule, state from alerts where party_id = 'P2' order by rule")
        ).all()
    assert [tuple(row) for row in states] == [("silence", "attached"), ("use_falls", "attached")]


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_findings_have_their_own_list_and_their_advice_on_every_page(
    space, scoring, used, language
):
    a_bank_used_less(used, space)
    used.score()
    scoring.drain()
    client = scoring.client(
        Actor("S011", permissions=HEAD.permissions, scopes=HEAD.scopes, language=language)
    )
    items = client.get("/alerts?state=findings").json()["items"]
    assert {item["party_id"] for item in items} == {"P2", "P3"}
    assert client.get("/alerts").json()["items"] == []
    page = client.get("/risk?state=findings").text
    advice = ADVICE["liability"][language]
    assert advice in page
    assert advice not in client.get("/risk").text
    assert {"zh-CN": "使用下降", "en": "Use falls"}[language] in page
    one = next(item for item in items if item["party_id"] == "P2")
    shown = client.get(f"/risk/alerts/{one['alert_id']}").text
    assert advice in shown
    assert {"zh-CN": "风险贡献额", "en": "Margin at risk"}[language] not in shown.split("<table")[0]
    assert advice in client.get("/contribution/parties/P2").text
    margins = rows(scoring, "select distinct margin_at_risk_minor from party_figures")
    assert margins == [(0,)]
    assert client.get("/risk?state=findings&rule=use_falls").status_code == 200
