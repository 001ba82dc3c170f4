"""The customer view does not depend on the order, or the batches, in which its facts arrive."""

from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text

from services.customer.__main__ import SERVICE
from services.customer.handlers import HANDLERS
from services.customer.tables import AccountRow, Base
from shared.db import Message
from shared.events import bank, orders, scoring, workflow
from shared.events.envelope import Event, Fact, key_of, wrap
from shared.events.fact import Cause
from shared.testing.space import START, ServiceUnderTest, Space

DAY = date(2026, 3, 2)
WORDS = {"zh-CN": "说明", "en": "Words"}
SECRET = {"subject_keys": {"wrapped"}, "sealed": {"sealed"}}  # random by design


@pytest.fixture
def customer(space: Space) -> ServiceUnderTest:
    return space.service(SERVICE)


def booked(
    n: int, minor: int, account: str = "A1", product: str = "CA", currency: str = "CNY",
    customer: str = "C1",
) -> bank.TransactionBooked:  # fmt: skip
    return bank.TransactionBooked(
        customer_number=customer, account_number=account, transaction_id=f"T{n}",
        amount_minor=minor, product_code=product, currency=currency, kind="fee",
        initiated_by="bank", booked_on=DAY,
    )  # fmt: skip


def opened_again(
    days_ago: int, account: str = "A2", product: str = "CA", currency: str = "CNY"
) -> bank.AccountOpened:
    return bank.AccountOpened(customer_number="C1", account_number=account, product_code=product,
                              currency=currency,
                              opened_on=DAY - timedelta(days=days_ago))  # fmt: skip


def closed(
    days_ago: int, account: str = "A2", customer: str = "C1", **named: str
) -> bank.AccountClosed:
    return bank.AccountClosed(customer_number=customer, account_number=account,
                              closed_on=DAY - timedelta(days=days_ago), **named)  # fmt: skip


def turns() -> list[Fact]:
    """Openings and closings."""
    return [
        opened_again(20), closed(9), opened_again(5),
        # Turns of one day: closed, then opened again; opened, then closed.
        opened_again(20, "A3"), closed(9, "A3"), opened_again(9, "A3"),
        opened_again(9, "A4"), closed(9, "A4"), closed(12, "A4"),
        # Several accounts of one number, and who may close them.
        opened_again(9, "A5"), closed(3, "A5", "C2"),
        opened_again(9, "B1"), opened_again(8, "B1", "SA"), closed(3, "B1", product_code="CA"),
        opened_again(9, "B2"), opened_again(8, "B2", "SA"), closed(3, "B2", product_code="SA"),
        opened_again(9, "B3"), opened_again(8, "B3", "SA"), closed(3, "B3"),
        opened_again(9, "B4"), opened_again(8, "B4", "CA", "USD"), closed(3, "B4", currency="CNY"),
        opened_again(9, "B5"), closed(8, "B5"), opened_again(8, "B5", "SA"),
        opened_again(9, "B6"), closed(3, "B6", product_code="CA"),
        closed(8, "B6", product_code="SA"),
        closed(3, "B7"), closed(2, "B7"),
        opened_again(9, "B8"), closed(3, "B8", product_code="SA"),
        opened_again(9, "B9"), closed(3, "B9", currency="USD"),
        # Told again: what is open is opened, what is closed is closed.
        opened_again(9, "D1"), opened_again(3, "D1"),
        opened_again(12, "D2"), closed(3, "D2"), opened_again(5, "D2"), closed(2, "D2"),
        opened_again(12, "D3"), closed(9, "D3"), opened_again(5, "D3"), opened_again(2, "D3"),
        # Known by their transactions: what a closing ends had begun before it.
        booked(11, 1, "E1"), closed(3, "E1", product_code="SA"),
        booked(12, 1, "E2"), closed(3, "E2"), booked(13, 2, "E2"),
        booked(14, 1, "E3"), booked(15, 2, "E3", "SA"), closed(3, "E3"),
        closed(3, "E4"), booked(16, 1, "E4"),
        booked(17, 1, "E5"), closed(3, "E5"), booked(18, 2, "E5", "SA"),
        # Each account of a number has its own money.
        booked(21, 100, "F1"), opened_again(9, "F1"), booked(22, 70, "F1", "CA", "USD"),
        booked(23, 5, "F1", "SA"), booked(24, 3, "F1", customer="C2"), booked(25, 20, "F1"),
    ]  # fmt: skip


def history() -> list[Fact]:
    """What happened to C1 and its world, in the order in which it did."""
    alert: dict[str, Any] = {
        "alert_id": "AL1", "party_id": "PC1", "rule": "silence", "episode": 1, "at": START,
    }  # fmt: skip
    raised = scoring.AlertRaised(
        **alert, risk_ppm=1, contribution_minor=2, margin_at_risk_minor=3, currency="CNY",
        terms=(), text=WORDS,
    )  # fmt: skip
    process: dict[str, Any] = {"process_instance_id": "PI1", "party_id": "PC1"}
    task: dict[str, Any] = {**process, "task_id": "TK1", "step": "assess"}
    order: dict[str, Any] = {"order_id": "ORD-1", "customer_number": "C1"}
    amount: dict[str, Any] = {"currency": "CNY", "maker_id": "S1", "content_hash": "h"}
    return [
        bank.AccountOpened(customer_number="C1", account_number="A1", product_code="CA",
                           currency="CNY", opened_on=DAY, branch_code="B01",
                           holders=(bank.Holder(customer_number="C2", role="co_holder",
                                                share_ppm=400_000),)),
        bank.CustomerRecorded(customer_number="C1", kind="person", name="王小明",
                              phones=("13800138000",)),
        bank.CustomerRecorded(customer_number="C1", kind="person", name="王晓明",
                              phones=("13900139000",)),
        bank.ContactTextRecorded(contact_id="K1", customer_number="C1", text="一"),
        bank.ContactTextRecorded(contact_id="K1", customer_number="C1", text="二"),
        bank.CustomerPlaced(customer_number="C1", home_branch_code="B01", region_code="east"),
        bank.CustomerPlaced(customer_number="C1", home_branch_code="B02"),
        bank.ManagerAssigned(customer_number="C1", manager_code="M1", effective_on=DAY),
        bank.ManagerAssigned(customer_number="C1", manager_code="M2", branch_code="B03",
                             effective_on=DAY - timedelta(days=9)),
        bank.ManagerAssigned(customer_number="C1", manager_code="M3", account_number="A1",
                             effective_on=DAY),
        booked(1, 100), booked(2, -30), booked(3, 7),
        bank.LoanGranted(customer_number="C1", loan_number="L1", product_code="LN",
                         principal_minor=9, currency="CNY", granted_on=DAY),
        bank.LoanStatusChanged(customer_number="C1", loan_number="L1", status="running"),
        bank.LoanStatusChanged(customer_number="C1", loan_number="L1", status="finished"),
        bank.LoanOverdue(customer_number="C1", loan_number="L1", overdue_minor=5,
                         currency="CNY", since_on=DAY),
        bank.LoanOverdue(customer_number="C1", loan_number="L1", overdue_minor=0,
                         currency="CNY", since_on=DAY),
        bank.RelationRecorded(customer_number="C1", to_customer_number="C2", kind="household",
                              effective_on=DAY),
        bank.RelationRecorded(customer_number="C1", to_customer_number="C2", kind="household",
                              effective_on=DAY, ended_on=DAY),
        bank.CardIssued(customer_number="C1", card_id="D1", account_number="A1", issued_on=DAY),
        bank.ContactRecorded(customer_number="C1", contact_id="K1", channel_code="phone",
                             direction="inbound"),
        bank.AccountClosed(customer_number="C1", account_number="A1", closed_on=DAY),
        *turns(),
        raised, scoring.AlertCleared(**alert, reason_code="over"), raised,
        scoring.ScoreUpdated(party_id="PC1", customer_numbers=("C1",), model_version="1",
                             contribution=scoring.Contribution(currency="CNY", posted_minor=1)),
        scoring.ScoreUpdated(party_id="PC1", customer_numbers=("C1",), model_version="2",
                             contribution=scoring.Contribution(currency="CNY", posted_minor=2)),
        workflow.ProcessStarted(**process, definition="retention", version=1,
                                cause=Cause(type="x", id="1")),
        workflow.TaskAssigned(**task, to_staff_id="S1", due_at=START),
        workflow.TaskHandedOff(**task, from_staff_id="S1", to_staff_id="S2", due_at=START),
        workflow.TaskCompleted(**task, from_staff_id="S2", due_at=START, outcome_code="kept"),
        workflow.ProcessFinished(**process, outcome_code="kept"),
        orders.QuoteOffered(**order, quote_id="Q1", amount_minor=5, currency="CNY",
                            maker_id="S1"),
        orders.OrderSubmitted(**order, **amount, amount_minor=6),
        orders.OrderApproved(**order, content_hash="h", checker_id="S2"),
        orders.OrderClosed(**order, outcome_code="paid"),
    ]  # fmt: skip


def messages() -> list[Message]:
    """The history in envelopes: every key counts its own sequence, every topic its offsets."""
    made = []
    sequences: dict[tuple[str, str], int] = {}
    for n, fact in enumerate(history()):
        ours = not fact.TOPIC.startswith("bank.")
        event: Event[Any] = wrap(
            fact, id=f"e{n}", source="test", time=START + timedelta(seconds=n), businessdate=DAY
        )
        place = (fact.TOPIC, key_of(event))
        sequences[place] = sequences.get(place, 0) + 1
        if ours:
            event = wrap(
                fact, id=f"e{n}", source="test", time=event.time, businessdate=DAY,
                sequence=sequences[place],
            )  # fmt: skip
        made.append(Message(fact.TOPIC, 0, n, place[1], 0, event))
    return made


MESSAGES = messages()


def apply(customer: ServiceUnderTest, batches: list[list[Message]]) -> dict[str, list[Any]]:
    with customer.database.transaction() as tx:
        tables = ", ".join(f'"{name}"' for name in Base.metadata.tables)
        tx.session.execute(text(f"truncate {tables}, outbox, counters, timers"))
    for batch in batches:
        with customer.database.transaction() as tx:
            for message in batch:
                tx.message = message
                HANDLERS[type(message.event.data)](tx, message.event)
            tx.message = None
    with customer.database.read() as session:
        view = {}
        for name, table in Base.metadata.tables.items():
            columns = [c for c in table.columns if c.name not in SECRET.get(name, ())]
            view[name] = sorted(repr(tuple(row)) for row in session.execute(select(*columns)))
    return view


def cut(order: list[Message], marks: list[bool]) -> list[list[Message]]:
    """Consecutive batches: a mark ends one."""
    batches: list[list[Message]] = [[]]
    for message, mark in zip(order, marks, strict=True):
        batches[-1].append(message)
        if mark:
            batches.append([])
    return [b for b in batches if b]


def test_any_order_and_any_batches_give_the_same_view(customer):
    expected = apply(customer, [[m] for m in MESSAGES])
    filled = {name for name, rows in expected.items() if rows}
    assert filled >= set(Base.metadata.tables) - {
        "merges", "service_requests", "intake", "described"
    }  # fmt: skip

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.permutations(MESSAGES),
        st.lists(st.booleans(), min_size=len(MESSAGES), max_size=len(MESSAGES)),
    )
    def check(order: list[Message], marks: list[bool]) -> None:
        found = apply(customer, cut(order, marks))
        for name, rows in expected.items():
            assert found[name] == rows, name

    check()


def test_the_last_word_is_the_newest_not_the_latest_to_arrive(customer):
    apply(customer, [list(reversed(MESSAGES))])
    with customer.database.read() as session:
        party = session.execute(text("select * from parties where party_id = 'PC1'")).one()
        account, again, on_one_day, shut = session.execute(
            text("select * from accounts where account_number < 'A5' order by account_number")
        )
        loan = session.execute(text("select * from loans")).one()
        task = session.execute(text("select * from tasks")).one()
        order = session.execute(text("select * from orders")).one()
        parts = session.scalars(
            text("select part from name_parts where party_id = 'PC1' order by position")
        ).all()
        digests = session.scalars(text("select count(*) from blind_indexes")).one()
    assert (party.name, party.home_branch_code, party.region_code) == ("王晓明", "B02", None)
    assert (party.manager_code, party.branch_code) == ("M1", "B02")
    assert (account.balance_minor, account.closed_on) == (77, DAY)
    assert (again.opened_on, again.closed_on) == (DAY - timedelta(days=5), None)
    assert (on_one_day.opened_on, on_one_day.closed_on) == (DAY - timedelta(days=9), None)
    assert (shut.opened_on, shut.closed_on) == (DAY - timedelta(days=9), DAY - timedelta(days=9))
    assert (loan.status, loan.overdue_minor) == ("finished", 0)
    assert (task.state, task.staff_id) == ("completed", "S2")
    assert (order.state, order.amount_minor) == ("closed", 6)
    assert parts == ["王晓明", "晓明", "明"]
    assert digests == 1


def shown(customer: ServiceUnderTest, column: str, beyond: str) -> dict[str, dict[str, Any]]:
    """By number and account; of C1 and in CNY is what its name leaves out."""
    found: dict[str, dict[str, Any]] = {}
    with customer.database.read() as session:
        rows = session.execute(select(AccountRow).where(AccountRow.account_number >= beyond))
        for (row,) in rows:
            name = "/".join((row.party_id, row.product_code, row.currency))
            name = name.removeprefix("PC1/").removesuffix("/CNY")
            found.setdefault(row.account_number, {})[name] = getattr(row, column)
    return found


def test_a_closing_ends_the_account_of_its_owner_product_and_currency(customer):
    """Where it fits several it ends none."""
    apply(customer, [MESSAGES])
    ended, before = DAY - timedelta(days=3), DAY - timedelta(days=8)
    found = shown(customer, "closed_on", "A5")
    assert {n: a for n, a in found.items() if n < "D"} == {
        "A5": {"CA": None}, "B1": {"CA": ended, "SA": None}, "B2": {"CA": None, "SA": ended},
        "B3": {"CA": None, "SA": None}, "B4": {"CA": ended, "CA/USD": None},
        "B5": {"CA": before, "SA": None}, "B6": {"CA": ended}, "B7": {"/": ended},
        "B8": {"CA": None}, "B9": {"CA": None},
    }  # fmt: skip


def test_a_closing_ends_what_is_known_by_its_transactions_if_it_names_that(customer):
    apply(customer, [MESSAGES])
    ended = DAY - timedelta(days=3)
    found = shown(customer, "closed_on", "E")
    assert {n: a for n, a in found.items() if n < "F"} == {
        "E1": {"CA": None}, "E2": {"CA": ended}, "E3": {"CA": None, "SA": None},
        "E4": {"CA": None}, "E5": {"CA": ended, "SA": None},
    }  # fmt: skip


def test_what_is_told_again_changes_no_day(customer):
    apply(customer, [MESSAGES])
    opened, closed = shown(customer, "opened_on", "D"), shown(customer, "closed_on", "D")
    days = {n: (opened[n]["CA"], closed[n]["CA"]) for n in ("D1", "D2", "D3")}
    assert days == {
        "D1": (DAY - timedelta(days=9), None),
        "D2": (DAY - timedelta(days=12), DAY - timedelta(days=3)),
        "D3": (DAY - timedelta(days=5), None),
    }


def test_each_account_of_a_number_has_its_own_balance(customer):
    apply(customer, [MESSAGES])
    assert shown(customer, "balance_minor", "F") == {
        "F1": {"CA": 120, "CA/USD": 70, "SA": 5, "PC2/CA": 3}
    }
