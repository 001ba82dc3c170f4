"""Each manager's places go by what can be recovered; who waits is seen waiting, with his rank."""

import html
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from services.scoring.rules.recovery import Outcomes, chance_of
from services.workflow.__main__ import SERVICE as WORKFLOW
from services.workflow.commands.seed import seed_organisation
from services.workflow.tables import TaskRow, WaitingPartyRow
from shared.events import customer
from shared.events.bank import WentLive
from shared.events.scoring import AlertRaised
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import scoring_room
from tests.integration.scoring_room import HEAD, day, party, rows
from tests.integration.test_scoring_precision import outcome
from tests.integration.workflow_room import ORGANISATION
from tests.scoring_bank import ZONE

scoring, scored = scoring_room.scoring, scoring_room.scored


@pytest.fixture
def workflow(space: Space) -> Iterator[ServiceUnderTest]:
    service = space.service(WORKFLOW)
    with service.database.transaction() as tx:
        seed_organisation(tx, ORGANISATION)
    service.drain()
    yield service


def of_manager(space: Space, number: int, staff_id: str = "S013") -> None:
    party(space, f"P{number}", f"C{number}")
    space.publish(
        customer.ManagerChanged(
            party_id=f"P{number}", customer_number=f"C{number}", effective_on=date(2025, 1, 1),
            manager_code="RM-SH01-2", staff_id=staff_id, branch_code="SH01",
        ),
        source="guanxi/customer",
    )  # fmt: skip


def all_of(*services: ServiceUnderTest) -> None:
    """Until what each said is heard by the others."""
    for _ in range(3):
        for service in services:
            service.drain()


def waiting(workflow: ServiceUnderTest) -> list[str]:
    with workflow.database.read() as session:
        ranked = select(WaitingPartyRow.party_id).order_by(
            WaitingPartyRow.recoverable_minor.desc(), WaitingPartyRow.party_id
        )
        return list(session.scalars(ranked))


def new_tasks(workflow: ServiceUnderTest) -> dict[date, int]:
    """First tasks of processes by business day."""
    found: dict[date, int] = {}
    with workflow.database.read() as session:
        for task in session.scalars(select(TaskRow).where(TaskRow.step_id == "assess")):
            found[task.assigned_at.date()] = found.get(task.assigned_at.date(), 0) + 1
    return found


def test_the_rank_on_the_page_is_the_order_in_which_workflow_gives_places(
    space, scoring, scored, workflow
):
    for n in range(12):
        scored.days(f"C{n}", day(0), day(60), 5, 100_000 * (n + 1))
        of_manager(space, n)
    space.publish(WentLive(on=day(0)), source="core")
    scored.close_through(day(150))
    scored.score()
    all_of(workflow, scoring)
    assert new_tasks(workflow) == {space.clock.bank.date(): 5}
    client = scoring.client(HEAD)
    queued = client.get("/alerts?state=waiting").json()["items"]
    assert (
        [a["party_id"] for a in queued] == waiting(workflow) == [f"P{n}" for n in range(6, -1, -1)]
    )
    page = client.get("/risk?state=waiting", headers={"accept-language": "zh-CN"}).text
    assert re.findall(r"排队等候:本岗位第 (\d+) 位", page) == list("1234567")
    assert "Waits for a place" not in client.get(f"/risk/alerts/{queued[0]['alert_id']}").text
    shown = client.get(f"/risk/alerts/{queued[2]['alert_id']}").text
    assert "本岗位第 3 位" in shown

    # The second in line comes back before a place is free: it never becomes work.
    scored.book("C5", 100_000, day(151))
    scored.close(day(151))
    scored.score()
    all_of(scoring, workflow)
    assert waiting(workflow) == ["P6", "P4", "P3", "P2", "P1", "P0"]
    for _ in range(2):
        space.clock.bank += timedelta(days=1)
        all_of(workflow, scoring)
    assert set(new_tasks(workflow).values()) == {5, 1}
    assert max(new_tasks(workflow).values()) <= 5
    assert client.get("/alerts?state=waiting").json()["items"] == []
    with workflow.database.read() as session:
        assert "P5" not in set(session.scalars(select(TaskRow.party_id)))


def test_nothing_waits_before_the_bank_is_live(space, scoring, scored, workflow):
    scored.days("C1", day(0), day(60), 5, 100_000)
    of_manager(space, 1)
    scored.close_through(day(150))
    scored.score()
    all_of(workflow, scoring)
    assert scoring.client(HEAD).get("/alerts?state=waiting").json()["items"] == []
    assert len(scoring.client(HEAD).get("/alerts").json()["items"]) == 1


def test_what_was_raised_before_the_bank_was_live_takes_no_place_in_the_line(
    space, scoring, scored
):
    scored.days("C1", day(0), day(60), 5, 900_000)
    scored.days("C2", day(0), day(160), 5, 100_000)
    for n in (1, 2):
        of_manager(space, n)
    scored.close_through(day(300))
    scored.score()
    scoring.drain()
    client = scoring.client(HEAD)
    alerts = {a["party_id"]: a for a in client.get("/alerts").json()["items"]}
    first_on, later_on = (
        datetime.fromisoformat(alerts[p]["at"]).astimezone(ZoneInfo(ZONE)).date()
        for p in ("P1", "P2")
    )
    assert first_on < later_on
    for live_on, queued in (
        (later_on + timedelta(days=1), []), (later_on, ["P2"]),
        (first_on + timedelta(days=1), ["P2"]), (first_on, ["P1", "P2"]),
    ):  # fmt: skip
        space.publish(WentLive(on=live_on), source="core")
        scoring.drain()
        items = client.get("/alerts?state=waiting").json()["items"]
        assert [a["party_id"] for a in items] == queued
        pages = {p: client.get(f"/risk/alerts/{a['alert_id']}").text for p, a in alerts.items()}
        ranks = {p: re.findall(r"本岗位第 (\d+) 位", page) for p, page in pages.items()}
        assert ranks == {
            p: [str(queued.index(p) + 1)] if p in queued else [] for p in ("P1", "P2")
        }  # fmt: skip


def test_what_staff_found_so_far_decides_what_can_be_recovered(space, scoring, scored):
    for n in range(1, 6):
        scored.days(f"C{n}", day(0), day(60), 5, 1_000_000)
        party(space, f"P{n}", f"C{n}")
    scored.days("C9", day(0), day(190), 5, 1_000_000)
    party(space, "P9", "C9")
    scored.close_through(day(150))
    scored.score()
    scoring.drain()
    ids = [r[0] for r in rows(scoring, "select alert_id from alerts order by party_id")]
    assert len(ids) == 5
    assert len(set(rows(scoring, "select recoverable_minor * 2 - margin_at_risk_minor "
                                 "from alerts"))) <= 2  # fmt: skip
    for n, code in enumerate(("lost", "false_alarm", "lost", "kept")):
        outcome(space, f"PI-{n}", (ids[n],), code)
        outcome(space, f"PI-{n}", (ids[n],), code)  # told twice: judged once
    outcome(space, "PI-0b", (ids[0],), "recovering")  # worked on again, and saved at last
    scoring.drain()
    seen = {"silence": Outcomes(2, 4)}
    assert rows(scoring, "select rule, saved, judged from rule_outcomes") == [("silence", 2, 4)]
    scored.close_through(day(300), day(151))
    scored.score()
    scoring.drain()
    while scoring.relay_once():
        pass
    told = [e.data for e in space.read("score.alerts") if isinstance(e.data, AlertRaised)]
    (last,) = [fact for fact in told if fact.party_id == "P9"]
    expected = last.margin_at_risk_minor * chance_of("silence", seen) // 1_000_000
    assert last.recoverable_minor == expected > 0
    first = next(fact for fact in told if fact.party_id == "P1")
    assert first.recoverable_minor == first.margin_at_risk_minor // 2


def test_the_list_of_warnings_is_paged_so_that_a_page_stays_small(space, scoring, scored):
    for n in range(20):
        scored.days(f"C{n}", day(0), day(60), 5, 100_000 * (n + 1))
        of_manager(space, n)
    scored.close_through(day(150))
    scored.score()
    scoring.drain()
    for language in ("zh-CN", "en"):
        client = scoring.client(replace(HEAD, language=language))
        page = client.get("/risk")
        assert page.text.count("data-alert=") == 12
        assert len(page.content) < 60_000
        (following,) = re.findall(r'rel="next" href="/scoring(/[^"]+)"', page.text)
        assert client.get(html.unescape(following)).text.count("data-alert=") == 8
