"""Several accounts of one number: on pages, in searches, and those of before they stood apart."""

from datetime import date
from typing import Any

from alembic import command
from sqlalchemy import text

from services.customer.__main__ import SERVICE
from services.customer.commands import accounts
from shared.db import Database
from shared.events import bank
from shared.migrations import config_of, prepare_schema
from tests.integration import customer_room
from tests.integration.customer_room import ALL, booked, manager, opened, person, reader

customer = customer_room.customer


def held(client: Any, party: str) -> list[tuple[Any, ...]]:
    return [
        (a["account_number"], a["product_code"], a["currency"], a["balance_minor"], a["role"])
        for a in client.get(f"/api/parties/{party}").json()["accounts"]
    ]


def test_each_account_of_a_number_is_shown_to_its_own_holders(space, customer):
    co_holder = bank.Holder(customer_number="C3", role="co_holder", share_ppm=400_000)
    space.publish(
        person("C1", "王小明"), person("C2", "李雷"), person("C3", "韩梅梅"),
        opened("C1", "A1", currency="USD"),
        opened("C1", "A1", holders=(co_holder,)),
        opened("C2", "A1", product_code="SA"),
        booked("C1", "A1", 1, 100_00), booked("C1", "A1", 2, 70_00, currency="USD"),
        booked("C2", "A1", 3, 5_00, product_code="SA"),
    )  # fmt: skip
    customer.drain()
    client = customer.client(ALL)
    assert held(client, "PC1") == [
        ("A1", "CA", "CNY", 100_00, "owner"), ("A1", "CA", "USD", 70_00, "owner")
    ]  # fmt: skip
    assert held(client, "PC2") == [("A1", "SA", "CNY", 5_00, "owner")]
    assert held(client, "PC3") == [("A1", "CA", "CNY", 100_00, "co_holder")]
    page = client.get("/parties/PC1?tab=holdings").text
    assert page.count('data-key="A1/PC1/CA/') == 2
    assert "100.00" in page
    assert "70.00" in page
    assert "170.00" not in page


def test_a_number_finds_each_of_its_owners_once(space, customer):
    space.publish(
        person("C1", "王小明"), person("C2", "李雷"), manager("C2", "RM-2"),
        opened("C1", "A1"), opened("C1", "A1", currency="USD"), opened("C2", "A1"),
        bank.AccountClosed(customer_number="C1", account_number="A9", closed_on=date(2026, 1, 9)),
    )  # fmt: skip
    customer.drain()
    client = customer.client(ALL)
    hits = client.get("/api/search?q=A1").json()["hits"]
    assert [hit["party_id"] for hit in hits] == ["PC1", "PC2"]
    # Only its closing was told: it is found, and shown without a product.
    assert [hit["party_id"] for hit in client.get("/api/search?q=A9").json()["hits"]] == ["PC1"]
    assert ("A9", None, None, 0, "owner") in held(client, "PC1")
    space.publish(booked("C1", "A9", 9, 3_00))
    customer.drain()
    assert [row for row in held(client, "PC1") if row[0] == "A9"] == [
        ("A9", "CA", "CNY", 3_00, "owner")
    ]
    own = customer.client(reader("own", codes=("RM-2",)))
    assert own.get("/labels?ids=account:A1").json() == {"account:A1": "李雷"}


# Revision 0005: one account of a number, and no turns. A1 is open and joint, A2 closed; A3 is known
# by its transactions, A4 by its closing.
OLD_ACCOUNTS = """
insert into accounts (account_number, party_id, product_code, currency, opened_on, opened_as_of,
                      closed_on, closed_as_of, balance_minor, booked_at)
values ('A1', 'PC1', 'CA', 'CNY', '2026-01-03', 'm1', null, '', 170, '2026-02-01'),
       ('A2', 'PC1', 'CA', 'CNY', '2026-01-03', 'm2', '2026-01-09', 'm3', 5, '2026-01-04'),
       ('A3', 'PC2', 'SA', 'USD', null, '', '2026-01-09', 'm4', 7, '2026-01-05'),
       ('A4', 'PC2', null, null, null, '', '2026-01-09', 'm5', 0, null)
"""
OLD_HOLDERS = """
insert into holders (account_number, party_id, role, share_ppm, as_of)
values ('A1', 'PC1', 'owner', 600000, 'm1'), ('A1', 'PC3', 'co_holder', 400000, 'm1'),
       ('A1', 'PC4', 'owner', 1000000, 'm7'), ('A2', 'PC1', 'owner', 1000000, 'm2')
"""
# Revision 0006: what was told since. A1 was opened again while it was open, and beside it.
OLD_TURNS = """
insert into account_turns (account_number, as_of, party_id, opened, on_day, product_code, currency)
values ('A1', 'm6', 'PC1', true, '2026-01-12', 'CA', 'CNY'),
       ('A1', 'm7', 'PC4', true, '2026-01-13', 'SA', 'CNY'),
       ('A1', 'm8', 'PC4', false, '2026-01-20', null, null)
"""
STANDS = """
select account_number, party_id, product_code, currency, opened_on, closed_on, balance_minor
  from accounts order by 1, 2, 3, 4
"""
HELD = """
select account_number, owner_id, product_code, party_id, share_ppm from holders order by 1, 2, 4
"""


def test_accounts_of_before_they_stood_apart_keep_what_they_know(space):
    settings = space.settings(SERVICE.name)
    database = Database(settings)
    try:
        with database.transaction() as tx:
            tx.session.execute(text(f'drop schema "{settings.schema_name}" cascade'))
        prepare_schema(settings)
        for revision, told in (
            ("0005", (OLD_ACCOUNTS, OLD_HOLDERS)), ("0006", (OLD_TURNS,)), ("heads", ())
        ):  # fmt: skip
            command.upgrade(config_of(settings), revision)
            with database.transaction() as tx:
                for statement in told:
                    tx.session.execute(text(statement))
        with database.read() as session:
            stands = [tuple(row) for row in session.execute(text(STANDS))]
            holders = [tuple(row) for row in session.execute(text(HELD))]
        third, ninth = date(2026, 1, 3), date(2026, 1, 9)
        assert stands == [
            ("A1", "PC1", "CA", "CNY", third, None, 170),
            ("A1", "PC4", "SA", "CNY", date(2026, 1, 13), date(2026, 1, 20), 0),
            ("A2", "PC1", "CA", "CNY", third, ninth, 5),
            ("A3", "PC2", "SA", "USD", None, ninth, 7), ("A4", "PC2", "", "", None, ninth, 0),
        ]  # fmt: skip
        assert holders == [
            ("A1", "PC1", "CA", "PC1", 600_000), ("A1", "PC1", "CA", "PC3", 400_000),
            ("A1", "PC4", "SA", "PC4", 1_000_000), ("A2", "PC1", "CA", "PC1", 1_000_000),
        ]  # fmt: skip
        # What is told next finds them as they are.
        with database.transaction() as tx:
            numbers = {"numbers": ["A1", "A2", "A3", "A4"]}
            for statement in (accounts.LIVES, accounts.NAMED_SINCE):
                tx.session.execute(statement, numbers)
            assert [tuple(row) for row in tx.session.execute(text(STANDS))] == stands
    finally:
        database.engine.dispose()
