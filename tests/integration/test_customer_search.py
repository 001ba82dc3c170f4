"""Search: Chinese parts, numbers, phones, pages without gaps, scopes, and the plan it runs by."""

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, text

from services.customer.__main__ import SERVICE
from services.customer.queries import search as queries
from services.customer.queries.search import cursor_of, search
from services.customer.rules.names import fold, parts
from services.customer.settings import keyring
from services.customer.tables import NamePartRow, PartyRow
from shared.events import bank
from shared.policy import Actor, Scope
from shared.reach import Reach
from shared.testing.space import ServiceUnderTest, Space

EVERYTHING = Reach(everything=True)
B01 = Reach(False, frozenset(), frozenset({"B01"}))
RM1 = Reach(False, frozenset({"RM-1"}), frozenset())


@pytest.fixture
def customer(space: Space) -> ServiceUnderTest:
    return space.service(SERVICE)


def fill(customer: ServiceUnderTest, names: list[str]) -> None:
    """Parties straight into the tables, every tenth in branch B01, every hundredth with RM-1."""
    rows, index = [], []
    for n, name in enumerate(names):
        party_id = f"P{n:07d}"
        rows.append({
            "party_id": party_id, "customer_number": f"{n:07d}", "root_id": party_id,
            "name": name, "folded": fold(name), "kind": "person",
            "branch_code": "B01" if n % 10 == 0 else "B02",
            "manager_code": "RM-1" if n % 100 == 0 else "RM-2",
        })  # fmt: skip
        index += [
            {"inner_part": at > 0, "part": part, "party_id": party_id, "position": at}
            for at, part in parts(fold(name))
        ]
    with customer.database.transaction() as tx:
        tx.session.execute(insert(PartyRow), rows)
        tx.session.execute(insert(NamePartRow), index)
        tx.session.execute(text("analyze parties"))
        tx.session.execute(text("analyze name_parts"))


def all_found(customer: ServiceUnderTest, query: str, reach: Reach = EVERYTHING) -> list[str]:
    found: list[str] = []
    cursor = None
    with customer.database.read() as session:
        while True:
            page = search(session, query, reach, keyring(), cursor_of(cursor))
            found += [hit.party_id for hit in page.hits]
            cursor = page.next_cursor
            if cursor is None:
                return found


def test_every_part_of_every_name_is_found_once_and_nothing_else(customer):
    rng = random.Random(7)
    letters = "王李张明明小华国上海ab"
    names = ["".join(rng.choices(letters, k=rng.randint(1, 6))) for _ in range(400)]
    fill(customer, names)
    queries_tried = {name[a:b] for name in names[:60] for a in range(6) for b in range(a + 1, 7)}
    for query in sorted(q for q in queries_tried if q):
        for reach, every in ((EVERYTHING, 1), (B01, 10), (RM1, 100)):
            expected = {
                f"P{n:07d}" for n, name in enumerate(names) if query in name and n % every == 0
            }
            found = all_found(customer, query, reach)
            found_by_name = [p for p in found if query in names[int(p[1:])]]
            assert sorted(found_by_name) == sorted(expected), query
            assert len(set(found)) == len(found)


def test_names_that_begin_with_the_query_come_first(customer):
    fill(customer, ["小王明", "王明", "大明王", "明"])
    assert all_found(customer, "明")[0] == "P0000003"
    assert all_found(customer, "王")[0] == "P0000001"


def test_numbers_phones_documents_and_accounts_are_found(space, customer):
    space.publish(
        bank.CustomerRecorded(
            customer_number="C0042", kind="person", name="Zoë Müller",
            phones=("+86 138-0013-8000",),
            documents=(bank.Document(kind="id_card", number="31010119800501123x"),),
        ),
        bank.CustomerRecorded(customer_number="C0043", kind="person", name="李四",
                              phones=("13900139000",)),
    )  # fmt: skip
    space.publish(
        bank.AccountOpened(customer_number="C0042", account_number="6222 0001", currency="CNY",
                           product_code="CA", opened_on=space.clock.bank.date()),
    )  # fmt: skip
    customer.drain()
    for query in ("C0042", "13800138000", "138 0013 8000", "31010119800501123X", "6222 0001",
                  "zoë", "MÜLLER", "ëm"):  # fmt: skip
        assert all_found(customer, query) == ["PC0042"], query
    assert all_found(customer, "C00") == ["PC0042", "PC0043"]
    assert all_found(customer, "1380013800") == []  # a phone is found whole or not at all
    assert all_found(customer, "%") == []
    assert all_found(customer, "C00__") == []


def test_a_changed_name_is_found_by_the_new_one_only(space, customer):
    for name in ("王小明", "赵大海"):
        space.publish(bank.CustomerRecorded(customer_number="C1", kind="person", name=name))
        space.clock.bank += timedelta(seconds=1)
    customer.drain()
    assert all_found(customer, "小明") == []
    assert all_found(customer, "大海") == ["PC1"]


def test_search_runs_by_its_index_for_one_character_and_for_many(customer):
    rng = random.Random(11)
    fill(
        customer,
        ["".join(rng.choices("王李张刘陈杨黄赵周吴徐孙马朱胡", k=3)) for _ in range(20_000)],
    )
    values: dict[str, Any] = {"after_part": "", "after_party": "", "rows": 80}
    with customer.database.read() as session:
        # Pages of 8 KB: an index range that begins at the wrong end reads hundreds of them.
        for query, inner, most in (
            ("王", False, 400), ("王", True, 400), ("李张", True, 400), ("李张刘", False, 400),
            ("龘龘", True, 12), ("龘", False, 12), ("一一", True, 12),
        ):  # fmt: skip
            rows = session.scalars(
                text(f"explain (analyze, buffers, format json) {queries.BY_PART.text}"),
                {**values, "query": query, "after_part": query, "inner_part": inner,
                 "beyond": queries.after_all_with_prefix(query)},
            ).one()  # fmt: skip
            plan = str(rows[0]["Plan"])
            assert "name_parts_pkey" in plan, plan
            assert "Seq Scan" not in plan, plan
            top = rows[0]["Plan"]
            assert top["Shared Hit Blocks"] + top["Shared Read Blocks"] <= most, query
        scope = {"managers": ["RM-1"], "branches": ["B01"]}
        plan = "\n".join(
            session.scalars(
                text(f"explain {queries.BY_PART_IN_REACH.text}"),
                {**values, **scope, "query": "王"},
            )
        )
        assert "parties_manager" in plan, plan
        assert "parties_branch" in plan, plan
        plan = "\n".join(
            session.scalars(
                text(f"explain {queries.BY_NUMBER.text}"),
                {**scope, "everything": True, "rows": 20, "prefix": "00012", "beyond": "00013"},
            )
        )
        assert "Index" in plan, plan
        assert "Seq Scan" not in plan, plan


def test_a_reader_finds_only_what_his_scope_reaches(space, customer):
    for number, branch in (("C1", "B01"), ("C2", "B02")):
        space.publish(
            bank.CustomerRecorded(customer_number=number, kind="person", name="王小明"),
            bank.ManagerAssigned(customer_number=number, manager_code=f"RM-{branch}-1",
                                 branch_code=branch, effective_on=space.clock.bank.date()),
        )  # fmt: skip
    customer.drain()
    permissions = frozenset({"customer.search", "customer.view"})
    own = Actor("S9", permissions=permissions, staff_codes=("RM-B02-1",),
                scopes=tuple(Scope(p, "own") for p in permissions))  # fmt: skip
    client = customer.client(own)
    found = client.get("/api/search?q=小").json()["hits"]
    assert [hit["party_id"] for hit in found] == ["PC2"]
    assert client.get("/api/parties/PC2").status_code == 200
    for path in ("/api/parties/PC1", "/api/parties/PC1/timeline", "/api/parties/nobody"):
        assert client.get(path).status_code == 404
    labels = client.get("/labels?ids=party:PC1,party:PC2,number:C2,number:C1,account:A9,x").json()
    assert labels == {"party:PC2": "王小明", "number:C2": "王小明"}
    nobody = customer.client(Actor("S8", permissions=frozenset()))
    for path in ("/labels?ids=party:PC1", "/api/search?q=小", "/api/parties/PC1", "/search"):
        assert nobody.get(path).status_code == 403
