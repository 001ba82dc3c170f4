"""The customer pages in both languages, and personal data in clear only on record."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from services.customer.__main__ import SERVICE
from shared.events import bank, orders, scoring, workflow
from shared.policy import Actor
from shared.testing.space import Space
from tests.integration import customer_room
from tests.integration.customer_room import (
    ALL,
    booked,
    manager,
    opened,
    person,
)

customer = customer_room.customer


TABS = ("timeline", "holdings", "value", "risk", "work", "orders", "relations", "data")


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_page_renders_what_was_heard(space, customer, language):
    say_everything(space)
    customer.drain()
    client = customer.client(Actor(**{**_fields(ALL), "language": language}))
    for tab in TABS:
        page = client.get(f"/parties/PC1?tab={tab}")
        assert page.status_code == 200, page.text
        assert "王小明" in page.text
        fragment = client.get(f"/parties/PC1/tabs/{tab}?at=score.alerts:0:0")
        assert fragment.status_code == 200, fragment.text
        assert "<html" not in fragment.text
        assert "13800138000" not in page.text
    assert client.get("/parties/PC1/head").status_code == 200
    risk = client.get("/parties/PC1?tab=risk").text
    assert 'data-key="collapse/A7/CA-P"' in risk
    assert {"zh-CN": "谈一谈代发", "en": "Talk about payroll"}[language] in risk
    assert {"zh-CN": "平时每月次数", "en": "Times a month as usual"}[language] in risk
    assert {"zh-CN": "活跃度将下降", "en": "Collapse of activity ahead"}[language] in risk
    assert {"zh-CN": "没有动静的天数 +1.25", "en": "Days without activity +1.25"}[language] in risk
    timeline = client.get("/parties/PC1?tab=timeline").text
    codes = ("salary", "loan_question", "inbound", "mobile", "relationship_manager", "login")
    assert [code for code in codes if f"· {code}<" in timeline] == []
    assert ("工资" if language == "zh-CN" else "Salary") in timeline
    found = client.get("/search?q=小明")
    assert "/customer/parties/PC1" in found.text
    assert client.get("/search/hits?q=没有的人").status_code == 200
    empty = client.get("/parties/PC3?tab=timeline")
    assert empty.status_code == 200


def _fields(actor: Actor) -> dict[str, Any]:
    return {name: getattr(actor, name) for name in Actor.__dataclass_fields__}


TEXT = {"zh-CN": "41 天没有交易,平时间隔 9 天", "en": "No transaction for 41 days, usually every 9"}


def say_everything(space: Space) -> None:
    """One of everything that the service hears, about party PC1."""
    say_what_the_bank_says(space)
    say_what_we_say(space)


def say_what_the_bank_says(space: Space) -> None:
    day = date(2026, 3, 2)
    space.publish(
        person("C1", "王小明", phones=("13800138000",), birth_on=date(1980, 5, 1), sex="m",
               documents=(bank.Document(kind="id_card", number="310101198005011234"),),
               address=bank.Address(line="上海市浦东新区世纪大道100号")),
        bank.CustomerRecorded(customer_number="C3", kind="firm", name="上海明远科技有限公司",
                              industry_code="I65", registered_capital_minor=1_000_000_00,
                              currency="CNY"),
        bank.ProspectRecorded(prospect_id="L1", source="web", name="李潜", branch_code="B01",
                              wanted_product_codes=("CA",), phones=("13900139000",)),
        bank.ContactTextRecorded(contact_id="K1", customer_number="C1", text="客户想提前还款"),
        bank.ProductDescribed(product_code="CA", names={"zh-CN": "活期存款", "en": "Current"},
                              line_code="liability"),
        bank.BranchDescribed(branch_code="B01", names={"zh-CN": "浦东支行", "en": "Pudong"}),
        opened("C1", "A1"),
        booked("C1", "A1", 1, 12_300, purpose_code="salary", channel_code="mobile"),
        booked("C1", "A1", 2, -300, reverses="T1", payment_reference="ORD-000000017"),
        bank.LoanGranted(customer_number="C1", loan_number="L1", product_code="LN",
                         principal_minor=5_000_000, currency="CNY", granted_on=day, months=24),
        bank.LoanStatusChanged(customer_number="C1", loan_number="L1", status="running"),
        bank.LoanOverdue(customer_number="C1", loan_number="L1", overdue_minor=100_000,
                         currency="CNY", since_on=day),
        bank.CardIssued(customer_number="C1", card_id="D1", account_number="A1", issued_on=day),
        bank.StandingOrderSet(customer_number="C1", standing_order_id="S1", account_number="A1",
                              amount_minor=-20_000, currency="CNY"),
        bank.ProductUsed(customer_number="C1", product_code="CA", feature_code="login",
                         channel_code="mobile"),
        bank.ContactRecorded(customer_number="C1", contact_id="K1", channel_code="phone",
                             direction="inbound", topic_code="loan_question", satisfaction=8,
                             outcome_code="answered", complaint=True),
        manager("C1", "RM-B01-1", branch_code="B01", reason_code="first_assignment"),
        manager("C1", "RM-B01-9", on=date(2026, 6, 1)),
        bank.CustomerPlaced(customer_number="C1", region_code="east", home_branch_code="B01"),
        bank.RelationRecorded(customer_number="C1", to_customer_number="C3", kind="owns",
                              effective_on=day, share_ppm=300_000),
        bank.CollateralRecorded(customer_number="C1", collateral_id="G1", what="flat"),
        bank.StatementFiled(customer_number="C1", statement_id="F1", what="income", due_on=day),
        bank.CreditAnswerReceived(customer_number="C1", answer_id="Q1", what="bureau", grade="A"),
    )  # fmt: skip


def say_what_we_say(space: Space) -> None:
    at, day = space.clock.bank, date(2026, 3, 2)
    contribution = scoring.Contribution(
        currency="CNY", posted_minor=123_400, by_component={"fee": 200_000, "abc_txn": -76_600},
        last_12_months_minor=123_400,
    )  # fmt: skip
    alert = {"alert_id": "AL1", "party_id": "PC1", "rule": "silence", "episode": 1, "at": at}
    money = {"contribution_minor": 123_400, "margin_at_risk_minor": 98_000, "currency": "CNY"}
    work = {"process_instance_id": "PI-1", "party_id": "PC1"}
    task = {**work, "task_id": "TK-1", "step": "assess"}
    order = {"order_id": "ORD-000000017", "party_id": "PC1", "customer_number": "C1"}
    amount = {"amount_minor": 500_000, "currency": "CNY"}
    from shared.events.fact import Cause
    from shared.events.notify import NoticeSent

    space.publish(
        scoring.ScoreUpdated(party_id="PC1", customer_numbers=("C1",), model_version="m1",
                             contribution=contribution, risk_ppm={"silence": 640_000},
                             risks=(scoring.Risk(
                                 rule="collapse", customer_number="C1", account_number="A7",
                                 product_code="CA-P", at=at, risk_ppm=310_000, model_version="m1",
                                 terms=(scoring.Term(code="silence", value=1_250_000),
                                        scoring.Term(code="clear_actions", value=2))),),
                             figures={"balance_minor": 12_000, "transactions": 2},
                             value_class="A", life_cycle_stage="mature"),
        scoring.AlertRaised(**alert, **money, risk_ppm=800_000, text=TEXT,
                            terms=(scoring.Term(code="days_silent", value=41, event_ids=("e1",)),)),
        scoring.AlertRaised(**{**alert, "alert_id": "AL2", "rule": "use_falls"},
                            **{**money, "margin_at_risk_minor": 0}, risk_ppm=500_000,
                            text={"zh-CN": "使用变少", "en": "Used less"}, opens_work=False,
                            advice={"zh-CN": "谈一谈代发", "en": "Talk about payroll"},
                            terms=(scoring.Term(code="usual_pace_milli", value=9_500),)),
        workflow.ProcessStarted(**work, definition="retention", version=1, text=TEXT,
                                cause=Cause(type="scoring.alert_raised.v1", id="x")),
        workflow.TaskAssigned(**task, to_staff_id="S001", due_at=at + timedelta(days=2)),
        workflow.TaskClaimed(**task, to_staff_id="S001"),
        workflow.ReassignmentRequested(**work, request_id="RQ1", customer_numbers=("C1",),
                                       to_manager_code="RM-B01-2", effective_on=day, reason="x"),
        orders.QuoteOffered(**order, **amount, quote_id="Q1", maker_id="S001"),
        orders.OrderSubmitted(**order, **amount, content_hash="h", maker_id="S001"),
        orders.OrderApproved(**order, content_hash="h", checker_id="S002"),
        orders.PaymentApplied(**order, **amount, transaction_id="T2", open_minor=0),
        NoticeSent(receiver_id="S001", party_id="PC1", notice_id="N1", channel="inbox",
                   cause=Cause(type="x.y.v1", id="1")),
        source="guanxi/test",
    )  # fmt: skip


def test_personal_data_in_clear_leaves_a_trace_and_is_nowhere_else(space, customer):
    say_everything(space)
    customer.drain()
    client = customer.client(ALL)
    assert client.post("/api/parties/PC1/personal", json={"reason": ""}).status_code == 422
    records = client.post("/api/parties/PC1/personal", json={"reason": "客户来电核对"}).json()
    master = next(r for r in records if r["kind"] == "master")
    assert master["phone"] == ["13800138000"]
    assert next(r for r in records if r["kind"] == "contact_text")["text"] == "客户想提前还款"
    page = client.post("/parties/PC1/clear", data={"reason": "客户来电核对"})
    assert "310101198005011234" in page.text
    with customer.database.read() as session:
        trail = session.execute(text("select actor_id, subject, detail from audit")).all()
        dump = "".join(
            str(session.execute(text(f"select string_agg(t::text, '') from {table} t")).scalar())  # noqa: S608
            for table in SERVICE.metadata.tables
        )
    assert [(t.actor_id, t.subject, t.detail["reason"]) for t in trail] == [
        ("S001", "party:PC1", "客户来电核对")
    ] * 2
    for secret in ("13800138000", "310101198005011234", "世纪大道", "1980-05-01", "提前还款"):
        assert secret not in dump
