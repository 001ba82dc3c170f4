"""The query side on real servers: fold, parties, alerts, outcomes."""

import json
import re
from datetime import timedelta

import msgspec
import pytest

from services.scoring import columns
from services.scoring.__main__ import SERVICE
from services.scoring.commands.worker_letters import keep_refusals
from services.scoring.queries import figures, totals
from services.scoring.seen import repeats
from shared import positions
from shared.events import bank, customer, workflow
from shared.events.fact import Cause
from shared.testing.space import ServiceUnderTest, Space
from shared.wire import Record
from tests.integration import scoring_room
from tests.integration.scoring_room import (
    ALL,
    HEAD,
    a_small_bank,
    day,
    folded,
    party,
    rows,
    whole_state,
)
from tests.scoring_bank import SOURCE, ScoredBank

scoring, scored = scoring_room.scoring, scoring_room.scored


def test_the_sums_are_exact_and_the_residual_is_zero_in_every_view(space, scoring, scored):
    a_small_bank(scored, space)
    scored.score()
    scoring.drain()
    assert folded(scoring) == dict(scored.sums)
    with scoring.database.read() as session:
        ways = totals.ways_of_all(session, "CNY")
        kept = totals.totals(session, ALL, "CNY")
        ranked = figures.ranking(session, ALL, "transactions", "CNY")
    home = sum(v for (_, _, _, currency), v in scored.sums.items() if currency == "CNY")
    assert (ways.parties, ways.kept, ways.accounts, ways.customers) == (home,) * 4
    assert ways.residual_minor == 0
    assert ways.without_party == 12_345, "a number that nobody has named is still counted"
    assert kept.sum_minor == home
    of_accounts = "select sum(count), count(*) from account_figures where currency = 'CNY'"
    assert [(kept.transactions, sum(part.accounts for part in kept.products))] == rows(
        scoring, of_accounts
    )
    assert [f.party_id for f in ranked] == ["P2", "P1", "P3"]
    assert all(f.residual_minor == 0 for f in ranked)


def test_a_rewind_and_everything_sent_twice_change_nothing(space, scoring, scored):
    a_small_bank(scored, space)
    written = scored.score()
    scoring.drain()
    before = whole_state(scoring)
    told = len(space.read("score.alerts"))
    scored.write(*written)  # a worker that was killed writes its last batches again
    scoring.drain()
    after = whole_state(scoring)
    for table in before:
        if table == "customer_state":  # the log's own offset is all that may differ
            assert [r[:4] + r[5:] for r in after[table]] == [r[:4] + r[5:] for r in before[table]]
        else:
            assert after[table] == before[table], table
    again = space.service(SERVICE)  # the same schema: offsets of the group are forgotten
    again.drain()
    assert whole_state(again) == after
    assert len(space.read("score.alerts")) == told


def test_an_older_position_never_overwrites_a_newer_one(space, scoring, scored):
    scored.book("C1", 100, day(0))
    old, _ = scored.score()
    scored.book("C1", 50, day(1))
    scored.score()
    scoring.drain()
    scored.write(old, [])  # its place in the log is later, its position is not
    scoring.drain()
    assert folded(scoring) == {("C1", "A-C1", "CA-P", "CNY"): 150}


def test_unreadable_records_are_stored_at_their_place_and_block_nobody(space, scoring, scored):
    scored.book("C1", 100, day(0))
    scored._settle()
    for value in (b"{", b"\xff\xfe", b"", b'{"type":"bank.unheard_of.v1"}'):
        space.sender.send("bank.events", b"C1", value).result(10)
    scored.book("C1", 50, day(1), account="A\\u0000B\t\\N")  # no zero, only its spelling
    scored._settle()
    scoring.drain()
    stored = rows(scoring, "select type, account_number from bank_events order by event_offset")
    assert [s[0] for s in stored] == [
        "bank.transaction_booked.v1", None, None, None, None, "bank.transaction_booked.v1",
    ]  # fmt: skip
    assert stored[-1][1] == "A\\u0000B\t\\N"
    assert rows(scoring, "select count(*) from dead_letters") == [(0,)]


def test_what_the_worker_quarantines_counts_neither_as_seen_nor_behind_a_figure(
    space, scoring, scored
):
    early, late = day(-1), space.clock.bank.date() + timedelta(days=2)
    space.publish(bank.SourceDescribed(source=SOURCE, closes_days=True, active_from=day(0)))
    scoring.drain()
    for name, on in (("early", early), ("first", day(0)), ("late", late), ("early", day(1))):
        scored.book("C1", 100, on, event_id=name)
    records = scored.unread()
    limit = columns.latest_day(space.clock.bank.astimezone(space.clock.zone))
    refused = scored.engine.read(records[0].partition, records, limit).columns.refused
    letters = [
        Record("scoring.dead", 0, n, b"0", msgspec.json.encode(one), 0)
        for n, one in enumerate(refused)
    ]
    with scoring.database.transaction() as tx:
        keep_refusals(tx, letters[:1])  # heard before its event is
    scoring.drain()
    with scoring.database.transaction() as tx:
        keep_refusals(tx, letters[1:])
    stored = rows(scoring, "select event_offset, event_id from bank_events order by 1")
    assert [name for _, name in stored] == [None, "first", None, "early"]
    assert [offset for offset, name in stored if name is None] == [r.offset for r in refused]
    with scoring.database.read() as session:
        anew = columns.Asked(SOURCE, "early", stored[3][0], stored[3][0] - 1)
        again = repeats(session, records[0].partition, [anew])
        (line,) = [r for r in positions.reconcile(session) if r["topic"] == "bank.events"]
    assert again == set(), "the one sent anew with a right date is the first that counts"
    told = {name: line.get(name, 0) for name in ("applied", "refused", "duplicate", "difference")}
    assert told == {"applied": 2, "refused": 2, "duplicate": 0, "difference": 0}


def test_alerts_are_told_with_risk_stake_and_a_sentence(space, scoring, scored):
    a_small_bank(scored, space)
    scored.score()
    scoring.drain()
    told = {e.data.alert_id: e.data for e in space.read("score.alerts")}
    by_party = {(a.party_id, a.rule): a for a in told.values()}
    silence = by_party["P2", "silence"]
    assert silence.risk_ppm > 900_000
    assert silence.customer_number == "C2"
    assert silence.margin_at_risk_minor > 0
    terms = {t.code: t.value for t in silence.terms}
    gap = round(terms["mean_gap_milli_days"] / 1000)
    raised_on = silence.at.astimezone(space.clock.zone).date()
    assert raised_on - timedelta(days=terms["silent_days"]) == day(60)
    assert silence.text["zh-CN"] == (
        f"最后一次自主交易在 {day(60)},平时每 {gap} 天一次,{raised_on} 预警。"
        "客户再交易 1 次即可解除"
    )
    outflow = by_party["P3", "outflow"]
    assert "少了" in outflow.text["zh-CN"]
    assert outflow.at.date() == day(91)
    assert ("P1", "silence") not in by_party


def silent_then_back(scored: ScoredBank, number: str, amount: int) -> None:
    scored.days(number, day(0), day(60), 5, amount)
    scored.days(number, day(140), day(150), 5, amount)


def episodes_of(scoring: ServiceUnderTest) -> list[tuple]:
    return rows(
        scoring,
        "select party_id, rule, at, ended_at, risk_ppm, customer_number from alerts where valid"
        " order by 1, 2, 3",
    )


def figures_of(scoring: ServiceUnderTest) -> list[tuple]:
    return rows(
        scoring,
        "select party_id, numbers, sum_minor, count, mean_minor, last_on from party_figures"
        " where numbers > 0 order by 1",
    )


@pytest.mark.parametrize("late", [True, False], ids=["mapping late", "mapping first"])
def test_a_party_of_two_numbers_is_silent_only_when_both_are(space, scoring, scored, late):
    scored.days("C1", day(0), day(60), 5, 1_000_000)
    scored.days("C2", day(0), day(100), 5, 1_000_000)
    scored.close_through(day(200))
    if not late:
        party(space, "P1", "C1", "C2")
        scoring.drain()
    scored.score()
    scoring.drain()
    if late:
        party(space, "P1", "C1", "C2")
        scoring.drain()
    (found,) = [e for e in episodes_of(scoring) if e[1] == "silence"]
    silent_since = rows(
        scoring, "select customer_number, at from signals where rule = 'silence' order by at"
    )
    assert [s[0] for s in silent_since] == ["C1", "C2"]
    assert found[2] == silent_since[1][1]
    assert found[3] is None
    assert found[5] == "C2"


def test_merge_and_unmerge_leave_everything_as_if_it_had_always_been_so(space, scoring, scored):
    scored.days("C1", day(0), day(60), 5, 1_000_000)
    scored.days("C2", day(0), day(150), 5, 1_000_000)
    silent_then_back(scored, "C3", 500_000)
    scored.close_through(day(151))
    party(space, "P1", "C1")
    party(space, "P2", "C2", "C3")
    scored.score()
    scoring.drain()
    before = episodes_of(scoring), figures_of(scoring)
    assert ("P1", "silence") in {e[:2] for e in before[0]}
    space.clock.bank += timedelta(seconds=1)
    everyone = ("C1", "C2", "C3")
    merged = [
        customer.IdentityMerged(
            merge_id="M1", party_id="P2", customer_number=n, former_party_id="P1",
            customer_numbers=everyone,
        )
        for n in everyone
    ]  # fmt: skip
    space.publish(*merged, source="guanxi/customer")
    scoring.drain()
    assert [f[:2] for f in figures_of(scoring)] == [("P2", 3)]
    assert not [e for e in episodes_of(scoring) if e[1] == "silence" and e[3] is None]
    taken_back = [e.data for e in space.read("score.alerts") if "Cleared" in type(e.data).__name__]
    assert {(a.party_id, a.reason_code) for a in taken_back} >= {("P1", "recomputed")}
    space.clock.bank += timedelta(seconds=1)
    for party_id, numbers in (("P1", ("C1",)), ("P2", ("C2", "C3"))):
        space.publish(
            *(
                customer.IdentityUnmerged(
                    merge_id="M1", party_id=party_id, customer_number=n, former_party_id="P2",
                    customer_numbers=numbers,
                )
                for n in numbers
            ),
            source="guanxi/customer",
        )  # fmt: skip
    scoring.drain()
    assert (episodes_of(scoring), figures_of(scoring)) == before


def test_a_future_manager_waits_for_his_day(space, scoring):
    today = space.clock.bank.date()
    space.publish(
        customer.ManagerChanged(
            party_id="P1", customer_number="C1", effective_on=today, manager_code="RM-1",
            staff_id="S012", branch_code="SH01",
        ),
        customer.ManagerChanged(
            party_id="P1", customer_number="C1", effective_on=today + timedelta(days=3),
            manager_code="RM-2", staff_id="S013", branch_code="SH01",
        ),
        source="guanxi/customer",
    )  # fmt: skip
    scoring.drain()
    manager = "select manager_code from numbers where customer_number = 'C1'"
    assert rows(scoring, manager) == [("RM-1",)]
    space.clock.bank += timedelta(days=3)
    scoring.drain()
    assert rows(scoring, manager) == [("RM-2",)]


def outcome(space: Space, process: str, alert_ids: tuple[str, ...], code: str) -> None:
    space.publish(
        workflow.ProcessStarted(
            process_instance_id=process, party_id="P", alert_ids=alert_ids, definition="retention",
            version=1, cause=Cause(type="scoring.alert_raised.v1", id="x"),
        ),
        workflow.ProcessFinished(
            process_instance_id=process, alert_ids=alert_ids, outcome_code=code,
            text={"zh-CN": "已挽留", "en": "Kept"},
        ),
        source="guanxi/workflow",
    )  # fmt: skip


def test_the_precision_of_a_rule_is_what_staff_found(space, scoring, scored):
    for n in range(1, 5):
        scored.days(f"C{n}", day(0), day(60), 5, 1_000_000)
        party(space, f"P{n}", f"C{n}")
    party(space, "P5", "C5")
    scored.close_through(day(150))
    scored.score()
    scoring.drain()
    untold = scoring.client(HEAD).get("/alerts/precision").json()["items"]
    assert [(one["alerts"], one["lift_ppm"], one["lead_days"]) for one in untold] == [
        (4, None, None)
    ]
    assert "尚无可比" in scoring.client(HEAD).get("/risk").text
    ids = [r[0] for r in rows(scoring, "select alert_id from alerts order by party_id")]
    assert len(ids) == 4
    for n, code in enumerate(("kept", "lost", "false_alarm")):
        outcome(space, f"PI-{n}", (ids[n],), code)
    scoring.drain()
    client = scoring.client(HEAD)
    (told,) = client.get("/alerts/precision").json()["items"]
    days = "select (finished_at at time zone 'Asia/Shanghai')::date - (at at time zone" \
           " 'Asia/Shanghai')::date from processes join"
    leads = rows(scoring, f"{days} process_alerts using (process_instance_id) join alerts using"
                          " (alert_id) where outcome_code <> 'false_alarm'")  # fmt: skip
    assert told == {
        "rule": "silence", "alerts": 4, "open": 4, "confirmed": 2, "false_alarms": 1,
        "precision_ppm": 666_666, "real_customers": 2, "customers": 5,
        "lift_ppm": 2 * 5 * 1_000_000 // (3 * 2), "lead_days": sum(lead for (lead,) in leads) / 2,
    }  # fmt: skip
    found = {a["alert_id"]: a["outcome_code"] for a in client.get("/alerts").json()["items"]}
    assert found == {ids[0]: "kept", ids[1]: "lost", ids[2]: "false_alarm", ids[3]: None}
    page = client.get("/risk").text
    assert "67%" in page
    assert "各规则在全行的效果" in page
    assert "1.7 倍" in page
    assert "已挽留" in page
    assert client.get(f"/risk/alerts/{ids[0]}").status_code == 200


def tell_totals(space, scored, more_transactions=None, more_minor=None):
    """As the worker tells them: a partition's own, with so much more in some."""
    for number, partition in scored.engine.partitions.items():
        count, sums = partition.totals()
        if more_minor and number in more_minor:
            sums = {**sums, "CNY": sums["CNY"] + more_minor[number]}
        value = {
            "partition": number, "position": partition.recovered_to, "sum_minor": sums,
            "count": count + (more_transactions or {}).get(number, 0),
            "watermark": partition.closes.watermark,
        }  # fmt: skip
        space.sender.send("scoring.totals", b"%d" % number, json.dumps(value).encode()).result(10)


def test_the_workers_totals_agree_at_equal_positions(space, scoring, scored):
    a_small_bank(scored, space)
    scored.score()
    tell_totals(space, scored)
    scoring.drain()
    with scoring.database.read() as session:
        control = totals.control_totals(session)
    assert len(control) == len(scored.engine.partitions)
    assert {c.residual_minor for c in control} == {0}
    assert all(c.watermark_on == day(150) for c in control)
    assert 'guanxi_alerts_open{rule="silence"} 2.0' in scoring.client(HEAD).get("/metrics").text


def test_metrics_say_what_of_the_workers_totals_is_not_folded_and_what_differs(
    space, scoring, scored
):
    a_small_bank(scored, space)
    scored.score()
    apart, late, *_ = (n for n, p in scored.engine.partitions.items() if "CNY" in p.totals()[1])

    def said(name):
        found = scoring.client(HEAD).get("/metrics").text
        series = re.findall(rf'^{name}{{partition="(\d+)"}} (.*)$', found, re.MULTILINE)
        return {int(partition): float(value) for partition, value in series}

    tell_totals(space, scored)
    scoring.drain()
    zeros = dict.fromkeys(scored.engine.partitions, 0)
    assert said("guanxi_totals_residual_minor") == said("guanxi_fold_behind") == zeros
    tell_totals(space, scored, {late: 3}, {apart: -100})
    scoring.drain()
    assert said("guanxi_fold_behind") == zeros | {late: 3}
    del zeros[late]  # nothing is compared at two positions
    assert said("guanxi_totals_residual_minor") == zeros | {apart: 100}


def test_the_store_knows_a_repeat_by_its_first_offset(space, scoring, scored):
    for name in ("a", "b", "a", "a"):
        scored.book("C1", 100, day(0), event_id=name)
    scored.score()
    scoring.drain()
    stored = rows(scoring, "select partition, event_id, event_offset from bank_events order by 3")
    partition, offsets = stored[0][0], [r[2] for r in stored]
    asked = [columns.Asked(SOURCE, r[1], r[2], r[2] - 1) for r in stored]
    with scoring.database.read() as session:
        assert repeats(session, partition, asked) == {offsets[2], offsets[3]}
        assert repeats(session, partition + 1, asked) == set()
        (line,) = [r for r in positions.reconcile(session) if r["topic"] == "bank.events"]
    assert (line["applied"], line["duplicate"], line["difference"]) == (2, 2, 0)


def test_asking_the_store_leaves_nothing_behind(scoring):
    """However many are asked at once: a statement written out for each batch would stay."""
    compiled = scoring.database.engine._compiled_cache
    before = None
    for count in (1, 2, 30, 700, 1500):
        asked = [columns.Asked(SOURCE, f"e{n}", n, n - 1) for n in range(count)]
        with scoring.database.read() as session:
            assert repeats(session, 0, asked) == set()
        before = len(compiled) if before is None else before
    assert len(compiled) == before
