"""The month's report: there when the month is closed everywhere, and then exactly its leaves."""

import re
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Literal

import pytest
from sqlalchemy import text

from services.scoring.commands.alerts import keep_signals
from services.scoring.leaves import Leaf
from services.scoring.signals import Position, Signal, encode
from shared.policy import Scope
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import ledger_room, scoring_room
from tests.integration.ledger_room import (
    closes,
    figures_of,
    manager,
    partitions_of,
    reference,
    supervisors,
    told,
)
from tests.integration.scoring_room import due_now, party, relayed, rows
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring = scoring_room.scoring
made, scored = ledger_room.made, ledger_room.scored
HEAD = replace(scoring_room.HEAD, language="en")
MONTH, BEFORE = "2025-02", "2025-01"
COSTS = ("abc_txn", "abc_maint", "el", "capital")


@pytest.fixture
def january(space: Space) -> None:
    """The last twelve months are those from 2025-02 on."""
    space.clock.bank = datetime(2026, 1, 15, tzinfo=UTC)


@pytest.fixture
def reported(
    space: Space, scoring: ServiceUnderTest, made: Bank, scored: Scored
) -> ServiceUnderTest:
    reference(space, made)
    manager(space, "C0", "RM1", "SH01", date(2025, 1, 1))
    manager(space, "C1", "RM2", "BJ01", date(2025, 1, 1))
    scoring.drain()
    told(scoring, scored)
    for partition in partitions_of(scoring):
        closes(scoring, partition, date(2025, 2, 28))
    return scoring


def minor(cell: str) -> int:
    return int(Decimal(cell) * 100)


def report(scoring: ServiceUnderTest, actor=HEAD, period: str = MONTH) -> list[list[str]]:
    answer = scoring.client(actor).get("/contribution/month.csv", params={"period": period})
    assert answer.status_code == 200
    return figures_of(answer.text)[1:]


def of(leaves: list[Leaf], period: str) -> list[Leaf]:
    return [leaf for leaf in leaves if leaf.period == period]


def test_the_report_is_the_leaves_of_the_month_by_component_and_product(
    reported: ServiceUnderTest, scored: Scored
) -> None:
    leaves = list(scored.posted.values())
    truth: defaultdict[tuple[str, str], int] = defaultdict(int)
    for leaf in of(leaves, MONTH):
        truth[leaf.component, leaf.product_code] += leaf.amount_minor
    found: dict[tuple[str, str], int] = {}
    sums: dict[str, list[str]] = {}
    component = ""
    for section, code, *figures in report(reported):
        if section == "Component":
            component = code
            sums[code] = figures
        elif section == "Product":
            found[component, code] = minor(figures[1])
        elif section == "Sum":
            sums[code] = figures
    assert {k: v for k, v in found.items() if v} == {k: v for k, v in truth.items() if v}
    for one in {component for component, _ in truth}:
        assert minor(sums[one][1]) == sum(v for (c, _), v in truth.items() if c == one)
    net, before = sum(truth.values()), sum(x.amount_minor for x in of(leaves, BEFORE))
    assert [minor(cell) for cell in sums["net"][1:4]] == [net, before, net - before]
    spent = sum(v for (c, _), v in truth.items() if c in COSTS)
    assert minor(sums["cost"][1]) == spent
    assert minor(sums["income"][1]) == net - spent
    assert sums["cost"][5] == "100.0000"
    shares = [Decimal(sums[one][5]) for one in COSTS if one in sums]
    assert Decimal("99.9997") < sum(shares) <= 100
    with reported.database.read() as session:
        accrued = session.execute(text("select sum(accrued_minor) from numbers")).scalar_one()
    assert minor(sums["net"][4]) == accrued != 0


def test_corrections_of_earlier_months_stand_apart_and_are_in_the_sum(
    reported: ServiceUnderTest, scored: Scored
) -> None:
    late = [x for x in of(list(scored.posted.values()), MONTH) if x.origin_period != MONTH]
    by_origin: defaultdict[str, int] = defaultdict(int)
    for leaf in late:
        by_origin[leaf.origin_period] += leaf.amount_minor
    assert late
    found: defaultdict[str, int] = defaultdict(int)
    entries = 0
    for section, code, _, amount, *_, leaves in report(reported):
        if section == "Corrections of earlier months":
            found[code] += minor(amount)
            entries += int(leaves)
        else:
            assert leaves == ""
    assert found == by_origin
    assert entries == len(late), "of how many leaves, as the page says"


def test_the_ten_who_brought_most_and_least(reported: ServiceUnderTest, scored: Scored) -> None:
    sums: defaultdict[str, int] = defaultdict(int)
    for leaf in of(list(scored.posted.values()), MONTH):
        sums[leaf.customer_number] += leaf.amount_minor
    lines = report(reported)
    top = [(line[1], minor(line[3])) for line in lines if line[0] == "Top ten"]
    assert top == sorted(sums.items(), key=lambda one: (-one[1], one[0]))
    assert [(line[1], minor(line[3])) for line in lines if line[0] == "Bottom ten"] == top[::-1]
    page = reported.client(HEAD).get("/contribution/month", params={"period": MONTH}).text
    assert 'data-label="party:P0"' in page, "names are asked for and masked where they are kept"


def test_supervisors_bring_what_their_managers_bring_and_add_up_to_the_net(
    space: Space, reported: ServiceUnderTest, scored: Scored
) -> None:
    def found() -> dict[str, list[int]]:
        lines = [line for line in report(reported) if line[0] == "Supervisor"]
        return {line[1]: [minor(cell) for cell in line[3:7]] for line in lines}

    truth = Counter[str]()
    for leaf in of(list(scored.posted.values()), MONTH):
        truth[leaf.customer_number] += leaf.amount_minor
    (net,) = [line for line in report(reported) if line[:2] == ["Sum", "net"]]
    assert {code: figures[0] for code, figures in found().items()} == {"": truth.total()}
    supervisors(space, reported, RM1="S1", RM2="S2")
    apart = found()
    assert {code: figures[0] for code, figures in apart.items()} == {
        "S1": truth["C0"], "S2": truth["C1"], "": truth["C2"],
    }  # fmt: skip
    sums = [sum(column) for column in zip(*apart.values(), strict=True)]
    assert sums == [minor(cell) for cell in net[3:7]]
    supervisors(space, reported, RM2="S1")
    assert set(found()) == {"S1", ""}
    page = reported.client(HEAD).get("/contribution/month", params={"period": MONTH}).text
    assert f'data-supervisor="{truth["C0"] + truth["C1"]}"' in page


def test_a_manager_reads_the_month_of_his_own(reported: ServiceUnderTest, scored: Scored) -> None:
    own = replace(HEAD, id="S-RM1", scopes=(Scope("score.view", "own"),), staff_codes=("RM1",))
    mine = sum(x.amount_minor for x in of(list(scored.posted.values()), MONTH)
               if x.customer_number == "C0")  # fmt: skip
    lines = report(reported, own)
    (net,) = [line for line in lines if line[:2] == ["Sum", "net"]]
    assert minor(net[3]) == mine
    assert {line[1] for line in lines if line[0] in {"Top ten", "Bottom ten"}} == {"C0"}
    nothing = report(reported, replace(own, id="S-X", scopes=()))
    assert [line for line in nothing if line[0] != "Provisional"] == []


def test_the_residual_is_0_and_shows_what_is_missing(
    reported: ServiceUnderTest, scored: Scored
) -> None:
    client = reported.client(HEAD)
    page = client.get("/contribution/month", params={"period": MONTH}).text
    net = sum(x.amount_minor for x in of(list(scored.posted.values()), MONTH))
    assert 'data-residual="0"' in page
    assert f'data-net="{net}"' in page
    with reported.database.transaction() as tx:
        tx.session.execute(
            text(
                """
                update customer_months set posted_minor = posted_minor - 13
                 where period = :period and customer_number = 'C0'
                """
            ),
            {"period": MONTH},
        )
    assert 'data-residual="13"' in client.get("/contribution/month?period=" + MONTH).text


def test_before_the_close_the_page_says_how_far_the_bank_is(reported: ServiceUnderTest) -> None:
    client = reported.client(HEAD)
    page = client.get("/contribution/month", params={"period": "2025-03"}).text
    assert 'data-complete="0"' in page
    assert re.search(r"closed its days until.*Feb|closed its days until.*2025-02-28", page)
    assert "data-net" not in page
    assert client.get("/contribution/month.csv", params={"period": "2025-03"}).status_code == 404
    assert f"· {MONTH}" in client.get("/contribution/month").text, "the last complete one"
    panel = client.get("/contribution/month/figures", params={"period": MONTH})
    assert "data-net" in panel.text
    assert "<html" not in panel.text


def test_an_account_that_has_not_posted_the_month_is_counted(reported: ServiceUnderTest) -> None:
    def shown() -> int:
        page = reported.client(HEAD).get("/contribution/month", params={"period": MONTH}).text
        found = re.search(r"Accounts still to post</div>\s*<div[^>]*>(?:<[^>]*>)*(\d+)", page)
        assert found is not None
        return int(found.group(1))

    def provisional() -> list[bool]:
        """On its page, in its CSV, on the page of the plan."""
        client = reported.client(HEAD)
        page = client.get("/contribution/month", params={"period": MONTH}).text
        assert ("A closed month never changes." in page) is not ("data-provisional" in page)
        plan = client.get("/contribution/plans", params={"period": MONTH}).text
        assert ("All days closed" in plan) is not ("Provisional: " in plan)
        in_file = [line[1] for line in report(reported) if line[0] == "Provisional"]
        assert in_file == [str(n) for n in (*([1] if to_spread else []), *([shown()] if shown()
                                                                           else []))]  # fmt: skip
        return ["data-provisional" in page, bool(in_file), "Provisional: " in plan]

    to_spread = True
    before = shown()
    with reported.database.transaction() as tx:
        later = "update open_leaves set settled_on = date '2025-03-01'"
        assert tx.session.execute(text(later)).rowcount > before
    assert shown() == 0
    assert provisional() == [True] * 3, "its costs and its tax are still to come"
    closing = "insert into closings (period, after_number, posted, closed_at) values (:m, '', "
    with reported.database.transaction() as tx:
        tx.session.execute(text(closing + "false, :at)"), {"m": MONTH, "at": tx.bank_now})
    assert provisional() == [True] * 3
    with reported.database.transaction() as tx:
        tx.session.execute(text("update closings set posted = true"))
    to_spread = False
    assert provisional() == [False] * 3
    with reported.database.transaction() as tx:
        one = """update open_leaves set settled_on = date '2025-02-28'
                  where account_number = (select min(account_number) from open_leaves)"""
        tx.session.execute(text(one))
    assert shown() > 0
    assert provisional() == [True] * 3


def test_a_bank_without_any_close_has_no_report(space: Space, scoring: ServiceUnderTest) -> None:
    page = scoring.client(HEAD).get("/contribution/month").text
    assert "The bank has not closed a day yet." in page


def test_what_others_are_told_of_a_party_are_its_leaves(
    space: Space, january: None, reported: ServiceUnderTest, scored: Scored
) -> None:
    party(space, "P0", "C0", "C2")
    party(space, "P1", "C1")
    reported.drain()
    due_now(reported)
    relayed(reported)
    party_of = {"C0": "P0", "C2": "P0", "C1": "P1"}
    truth: defaultdict[str, Counter[str]] = defaultdict(Counter)
    recent: Counter[str] = Counter()
    for leaf in scored.posted.values():
        if mine := party_of.get(leaf.customer_number):
            truth[mine][leaf.component] += leaf.amount_minor
            recent[mine] += leaf.amount_minor if leaf.period >= "2025-02" else 0
    told_last = {event.data.party_id: event.data for event in space.read("score.updates")}
    assert told_last["P2"].customer_numbers == ()
    for fact in (told_last["P0"], told_last["P1"]):
        earned, parts = fact.contribution, truth[fact.party_id]
        assert earned.by_component == dict(parts)
        assert earned.posted_minor == sum(parts.values()) != 0
        assert earned.last_12_months_minor == recent[fact.party_id] != earned.posted_minor


def test_what_an_alert_puts_at_stake_is_the_partys_contribution(
    space: Space, reported: ServiceUnderTest, scored: Scored
) -> None:
    space.clock.bank = datetime(2026, 1, 15, tzinfo=UTC)
    signals_told = [
        Signal(
            id=f"distress/{number}/1/raised", customer_number=number, rule="distress",
            kind="raised", at=datetime(2025, 3, 1, tzinfo=UTC), on=date(2025, 3, 1), episode=1,
            score=600_000, terms={"base": 1, "horizon_days": 90, "silent_days": 28}, events=(),
            model_version="1", position=Position(0, 0),
        )
        for number in ("C0", "C1", "C2")
    ]  # fmt: skip
    with reported.database.transaction() as tx:
        keep_signals(tx, [Record("scoring.signals", 0, n, None, encode(one), 0)
                          for n, one in enumerate(signals_told)])  # fmt: skip
    recent: Counter[str] = Counter()
    for leaf in scored.posted.values():
        if leaf.period >= "2025-02":
            recent["P" + leaf.customer_number[1:]] += leaf.amount_minor
    accrued = dict(rows(reported, "select party_id, accrued_minor from party_figures"))
    found = rows(reported, "select party_id, contribution_minor, at_stake_minor,"
                           " margin_at_risk_minor from alerts order by party_id")  # fmt: skip
    assert [row[0] for row in found] == ["P0", "P1", "P2"]
    for party_id, contribution, at_stake, margin in found:
        assert contribution == recent[party_id] + accrued[party_id]
        assert at_stake == max(contribution, 0)
        assert margin == at_stake * 600_000 // 1_000_000
    assert any(row[1] > 0 for row in found)


def test_the_margin_at_risk_of_an_open_alert_follows_the_contribution(
    space: Space, reported: ServiceUnderTest, scored: Scored
) -> None:
    """And its place in the list; of an alert that has ended it stays."""
    space.clock.bank = datetime(2025, 4, 15, tzinfo=UTC)

    def signal(number: str, kind: Literal["raised", "cleared"], day: int) -> Signal:
        return Signal(
            id=f"distress/{number}/1/{kind}", customer_number=number, rule="distress",
            kind=kind, at=datetime(2025, 3, day, tzinfo=UTC), on=date(2025, 3, day), episode=1,
            score=600_000, terms={"base": 1, "horizon_days": 90, "silent_days": 28}, events=(),
            model_version="1", position=Position(0, 0),
        )  # fmt: skip

    told = [signal("C0", "raised", 1), signal("C1", "raised", 1), signal("C2", "raised", 1),
            signal("C2", "cleared", 9)]  # fmt: skip
    with reported.database.transaction() as tx:
        keep_signals(tx, [Record("scoring.signals", 0, n, None, encode(one), 0)
                          for n, one in enumerate(told)])  # fmt: skip

    def margins() -> dict[str, tuple[int, ...]]:
        asked = "select party_id, contribution_minor, margin_at_risk_minor, recoverable_minor from"
        found = rows(reported, f"{asked} alerts where at_stake_minor ="
                               " greatest(contribution_minor, 0) order by party_id")  # fmt: skip
        return {party_id: tuple(figures) for party_id, *figures in found}

    def listed() -> list[str]:
        return [a["party_id"] for a in reported.client(HEAD).get("/alerts").json()["items"]]

    before = margins()
    assert set(listed()) == {"P0", "P1"}
    last = listed()[-1]
    more = sum(abs(contribution) for contribution, *_ in before.values()) + 1_000
    earned = """update customer_months set posted_minor = posted_minor + :more
                 where customer_number = any(:numbers) and period = '2025-02'"""
    with reported.database.transaction() as tx:
        tx.session.execute(text(earned), {"more": more, "numbers": ["C" + last[1:], "C2"]})
        tx.session.execute(text(
            "insert into scores_waiting (party_id, due_at)"
            " select party_id, now() - interval '1 day' from party_figures"
            " on conflict (party_id) do update set due_at = excluded.due_at"
        ))
    relayed(reported)
    after = margins()
    contribution, margin, recoverable = after[last]
    assert contribution == before[last][0] + more
    assert margin == contribution * 600_000 // 1_000_000
    assert recoverable == before[last][2], "the desks are ranked by what was told"
    assert listed()[0] == last
    assert {p: after[p] for p in after if p != last} == {p: before[p] for p in after if p != last}
    sums = dict(rows(reported, "select party_id, margin_at_risk_minor from party_figures"))
    assert sums == {"P0": 0, "P1": 0, "P2": 0, **{p: after[p][1] for p in ("P0", "P1")}}
    said = {e.data.party_id: e.data for e in space.read("score.updates")}
    assert said[last].figures["margin_at_risk_minor"] == margin
