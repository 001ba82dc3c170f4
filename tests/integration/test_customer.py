"""The customer service on real servers: the view, its order, merges, intake, search, labels."""

from datetime import date, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from shared.events import bank
from shared.policy import Actor
from tests.integration import customer_room
from tests.integration.customer_room import (
    ALL,
    booked,
    manager,
    opened,
    person,
    reader,
)

customer = customer_room.customer


def test_the_view_shows_what_the_bank_said(space, customer):
    space.publish(
        person("C1", "王小明", phones=("138 0013 8000",)),
        opened("C1", "A1", holders=(
            bank.Holder(customer_number="C1", role="owner", share_ppm=600_000),
            bank.Holder(customer_number="C2", role="co_holder", share_ppm=400_000),
        )),
        booked("C1", "A1", 1, 12_300),
        booked("C1", "A1", 2, -300),
        manager("C1", "RM-B01-1", branch_code="B01"),
    )  # fmt: skip
    customer.drain()
    client = customer.client(ALL)
    view = client.get("/api/parties/PC1").json()
    assert view["name"] == "王小明"
    assert view["customer_numbers"] == ["C1"]
    assert view["manager_code"] == "RM-B01-1"
    assert view["accounts"][0]["balance_minor"] == 12_000
    assert view["accounts"][0]["share_ppm"] == 600_000
    masked = {f["kind"]: f["masked"] for m in view["masked"] for f in m["fields"]}
    assert masked["phone"] == "****8000"
    entries = client.get("/api/parties/PC1/timeline").json()["entries"]
    assert sorted(e["code"] for e in entries) == [
        "account_opened", "manager_assigned", "transfer_in", "transfer_out"
    ]  # fmt: skip
    co_holder = client.get("/api/parties/PC2").json()
    assert co_holder["name"] is None
    assert co_holder["accounts"][0]["share_ppm"] == 400_000


def test_it_says_who_and_what_on_customer_events_without_names(space, customer):
    space.publish(person("C1", "王小明"), opened("C1", "A1"), manager("C1", "RM-1"))
    space.publish(person("C1", "王小明", phones=("13800138000",)))
    customer.drain()
    said = space.read("customer.events")
    assert sorted(e.data.TYPE for e in said) == [
        "customer.holding_changed.v1", "customer.manager_changed.v1",
        "customer.party_recorded.v1",
    ]  # fmt: skip
    assert {e.subject for e in said} == {"C1"}
    from shared.events.envelope import encode

    assert all("王小明".encode() not in encode(e) for e in said)


def test_it_says_where_a_party_is_at_home_whichever_is_told_first(space, customer):
    def placed(number: str, branch: str, on: date) -> None:
        # The clock of tests stands: what says which of two is the later one is the sequence.
        space.publish(bank.CustomerPlaced(customer_number=number, home_branch_code=branch),
                      businessdate=on, sequence=on.day)  # fmt: skip
        customer.drain()

    def homes(number: str) -> list[str | None]:
        return [e.data.home_branch_code for e in space.read("customer.events")
                if e.subject == number and e.data.TYPE == "customer.party_recorded.v1"]  # fmt: skip

    space.publish(person("C1", "王小明"), person("C3", "李雷"))
    customer.drain()
    placed("C1", "SH01", date(2026, 1, 5))
    placed("C2", "SH02", date(2026, 1, 5))
    space.publish(person("C2", "韩梅梅"))
    customer.drain()
    assert homes("C1") == [None, "SH01"]
    assert homes("C2") == ["SH02"]
    assert homes("C3") == [None]
    placed("C1", "SH01", date(2026, 1, 6))
    placed("C1", "SH03", date(2026, 1, 7))
    assert homes("C1") == [None, "SH01", "SH03"], "only where he is now, and only when it changes"
    said = [e for e in space.read("customer.events") if e.subject == "C1"][-1]
    assert said.data.customer_numbers == ("C1",)
    assert said.causationid


@pytest.mark.timeout(120)
def test_the_hot_path_is_set_based_and_its_speed_is_printed(space, customer, figure):
    import time

    many = 20_000
    for start in range(0, many, 5_000):
        space.publish(
            *(
                booked(f"C{n % 1000}", f"A{n % 1000}", n, n % 97 - 48)
                for n in range(start, start + 5_000)
            )
        )
    statements = 0

    def count(*_: Any) -> None:
        nonlocal statements
        statements += 1

    from sqlalchemy import event as sql_event

    sql_event.listen(customer.database.engine, "before_cursor_execute", count)
    began = time.perf_counter()
    customer.drain(90)
    took = time.perf_counter() - began
    with customer.database.read() as session:
        total = session.execute(text("select sum(balance_minor) from accounts")).scalar_one()
        noted = session.execute(text("select count(*) from timeline")).scalar_one()
    assert total == sum(n % 97 - 48 for n in range(many))
    assert noted == many
    assert statements < many / 10
    figure(f"customer: {many / took:,.0f} transactions/s, {statements} statements")


def test_events_sent_twice_change_nothing(space, customer):
    for _ in range(2):
        space.publish(booked("C1", "A1", 1, 500), event_id="txn-1")
        space.publish(person("C1", "王小明"), event_id="rec-1")
        space.publish(opened("C1", "A1"), event_id="acc-1")
    customer.drain()
    view = customer.client(ALL).get("/api/parties/PC1").json()
    assert view["accounts"][0]["balance_minor"] == 500
    assert len(space.read("customer.events")) == 2
    entries = customer.client(ALL).get("/api/parties/PC1/timeline").json()["entries"]
    assert len(entries) == 2


def test_an_unknown_number_has_a_placeholder_until_its_master_data_comes(space, customer):
    space.publish(booked("C7", "A7", 1, 500))
    customer.drain()
    client = customer.client(ALL)
    assert client.get("/api/parties/PC7").json()["name"] is None
    assert space.read("customer.events") == []
    space.publish(person("C7", "钱七"))
    customer.drain()
    assert client.get("/api/parties/PC7").json()["name"] == "钱七"
    assert [e.data.customer_numbers for e in space.read("customer.events")] == [("C7",)]


def test_an_assignment_dated_ahead_waits_for_its_day(space, customer):
    today = space.clock.bank.astimezone(space.clock.zone).date()
    space.publish(
        person("C1", "王小明"),
        manager("C1", "RM-1", on=today),
        manager("C1", "RM-2", on=today + timedelta(days=3), branch_code="B09"),
    )
    customer.drain()
    client = customer.client(ALL)
    assert client.get("/api/parties/PC1").json()["manager_code"] == "RM-1"
    space.clock.bank += timedelta(days=3)
    customer.drain()
    assert client.get("/api/parties/PC1").json()["manager_code"] == "RM-2"


def whole_view(client, *ids: str) -> list[Any]:
    return [
        (
            client.get(f"/api/parties/{one}").json(),
            client.get(f"/api/parties/{one}/timeline").json(),
        )
        for one in ids
    ]


def test_a_merge_is_one_party_and_its_undo_is_exact(space, customer):
    for n in (1, 2, 3):
        space.publish(
            person(f"C{n}", f"王{n}号"), opened(f"C{n}", f"A{n}"),
            booked(f"C{n}", f"A{n}", n, n * 100), manager(f"C{n}", f"RM-{n}"),
        )  # fmt: skip
    customer.drain()
    client = customer.client(ALL)
    before = whole_view(client, "PC1", "PC2", "PC3")

    def merge(into: str, other: str) -> str:
        answer = client.post(
            f"/api/parties/{into}/merges", json={"from_party_id": other, "reason": "同一证件"}
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["merge_id"]

    first = merge("PC2", "PC1")
    second = merge("PC3", "PC2")
    merged = client.get("/api/parties/PC1").json()
    assert (merged["party_id"], merged["name"]) == ("PC3", "王3号")
    assert merged["customer_numbers"] == ["C1", "C2", "C3"]
    assert sum(a["balance_minor"] for a in merged["accounts"]) == 600
    assert client.get("/labels?ids=party:PC1").json() == {"party:PC1": "王3号"}
    assert client.get("/parties/PC1", follow_redirects=False).status_code == 303
    again = client.post("/api/parties/PC3/merges", json={"from_party_id": "PC1", "reason": "again"})
    assert (again.status_code, again.json()["code"]) == (409, "parties_already_one")

    assert client.delete(f"/api/merges/{first}").status_code == 200
    assert client.get("/api/parties/PC1").json() == before[0][0]
    assert client.get("/api/parties/PC2").json()["customer_numbers"] == ["C2", "C3"]
    assert client.delete(f"/api/merges/{second}").status_code == 200
    assert whole_view(client, "PC1", "PC2", "PC3") == before
    assert client.delete(f"/api/merges/{second}").status_code == 409
    customer.drain()
    said = [
        (e.data.customer_number, e.data.party_id, e.data.customer_numbers)
        for e in space.read("customer.events")
        if "identity" in e.data.TYPE
    ]
    last = {number: party for number, party, _ in said}
    assert last == {"C1": "PC1", "C2": "PC2", "C3": "PC3"}
    assert ("C1", "PC3", ("C1", "C2", "C3")) in said
    assert len(said) == 2 + 3 + 3 + 2


def test_a_merge_needs_the_permission_and_both_parties_in_scope(space, customer):
    space.publish(person("C1", "甲"), person("C2", "乙"), manager("C1", "RM-1"))
    customer.drain()
    own = customer.client(reader("own", codes=("RM-1",), name="S7"))
    answer = own.post("/api/parties/PC1/merges", json={"from_party_id": "PC2", "reason": "because"})
    assert answer.status_code == 404
    viewer = Actor("S6", permissions=frozenset({"customer.view"}))
    answer = customer.client(viewer).post(
        "/api/parties/PC1/merges", json={"from_party_id": "PC2", "reason": "because"}
    )
    assert answer.status_code == 403


def test_the_sweep_keeps_the_newest_entries_of_each_party(space, customer):
    from services.customer.commands.sweep import sweep_step

    for n in range(12):
        space.publish(booked("C1", "A1", n, n), at=space.clock.bank - timedelta(hours=n))
    space.publish(booked("C2", "A2", 99, 1))
    customer.drain()
    after, swept = sweep_step(customer.database, "", kept=5)
    assert (after, swept) == ("PC2", 7)
    assert sweep_step(customer.database, after, kept=5) == ("", 0)
    entries = customer.client(ALL).get("/api/parties/PC1/timeline").json()["entries"]
    assert [e["amount_minor"] for e in entries] == [0, 1, 2, 3, 4]


def test_the_timeline_is_paged_without_gaps_and_filtered_by_kind(space, customer):
    space.publish(*(booked("C1", "A1", n, n) for n in range(120)), opened("C1", "A1"))
    customer.drain()
    client = customer.client(ALL)
    found, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/api/parties/PC1/timeline?kind=money&cursor={cursor}").json()
        found += [e["amount_minor"] for e in page["entries"]]
        cursor = page["next_cursor"]
    assert sorted(found) == list(range(120))
    assert client.get("/api/parties/PC1/timeline?kind=nothing").status_code == 422
    assert client.get("/api/parties/PC1/timeline?cursor=xx").status_code == 422
    assert client.get("/parties/PC1?tab=nothing").status_code == 404


def test_a_service_request_is_recorded_and_said(space, customer):
    space.publish(person("C1", "王小明"))
    customer.drain()
    answer = customer.client(ALL).post(
        "/api/parties/PC1/service-requests", json={"kind": "complaint", "topic_code": "fee"}
    )
    assert answer.status_code == 201
    customer.drain()
    [said] = [e for e in space.read("customer.events") if "service_requested" in e.data.TYPE]
    assert (said.data.request_id, said.data.kind) == (answer.json()["request_id"], "complaint")
