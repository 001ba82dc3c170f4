"""A model of risk in the scorer: the same risks as in training, instants, terms, restarts."""

from datetime import datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from services.scoring import risk_plan, state
from services.scoring.replay import Line, Replay
from services.scoring.restoring import restore
from services.scoring.risk_model import Linear, NoPurchase, RiskModel
from services.scoring.risk_plan import Plan
from services.scoring.scores import no_purchase, watching
from services.scoring.training import run, snapshots
from services.scoring.training.history import History
from tests import made_bank
from tests.made_bank import BEGIN
from tests.risk_live import ASKED, Live, applied, by_method, of_model, replayed, told


def test_the_scorer_says_the_risks_of_training_to_the_millionth(
    whole: Replay, known: History, plan: Plan
) -> None:
    found = {(one["on"], rule, one["customer_number"]): risk for one in whole.result.scores
             for rule, risk in one["scores"].items()}  # fmt: skip
    compared = 0
    for rule in plan.rules:
        accounts = [a for a in known.accounts if a.product_code in rule.score.product_codes]
        for on in ASKED:
            if rule.code == "no_purchase":
                table = snapshots.of_purchases(accounts, [on.toordinal()], 1)
            else:
                table = snapshots.of_bookings(accounts, [on.toordinal()], 1)
            risks = run.risks_ppm(rule.method, table, rule.score.horizon_days)
            for place, risk in zip(table.accounts.tolist(), risks.tolist(), strict=True):
                assert (
                    found[on.isoformat(), f"{rule.code}_risk_ppm", accounts[place].number] == risk
                )
                compared += 1
    assert compared > 2_000


# Instants ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["bg_nbd", "mbg_nbd"])
@pytest.mark.parametrize("days", [(0,), (0, 3, 9), (0, 1, 2, 30, 31, 64)])
def test_the_instant_of_a_process_is_its_t_star_told_by_the_first_watermark_behind_it(
    learned: RiskModel, method: str, days: tuple[int, ...]
) -> None:
    theta = 0.9
    plan = by_method(learned, method, raise_ppm=900_000, clear_ppm=700_000)
    process = plan.rules[0].method
    assert isinstance(process, NoPurchase)
    x, tx, horizon = len(days) - 1, days[-1], plan.rules[0].score.horizon_days
    live, told = Live(plan), {}
    for day in range(days[-1] + 1):
        if day in days:
            assert live.buys(day) == [], "an event raises nothing"
        told[day] = live.close(day)
    told |= live.close_through(days[-1] + 1, 2_000)
    told = {day: found for day, found in told.items() if found}

    def below(age_s: float) -> bool:
        return no_purchase.probability(process.process, x, tx, age_s / 86_400, horizon) < theta

    if method == "bg_nbd" and x == 0:  # nobody has left who bought once; he may be slow only
        assert not told or below(86_400 * 30)
    (found,) = (one for signals in told.values() for one in signals)
    begin = datetime.combine(BEGIN, time(), ZoneInfo("Asia/Shanghai"))
    second = (found.at - begin).total_seconds()
    assert below(second - 1)
    assert not below(second + 1)
    assert list(told) == [int(second) // 86_400], "told by the close of its own day"
    assert found.on == BEGIN + timedelta(days=int(second) // 86_400)


def test_an_idle_account_is_looked_at_when_it_crosses_and_at_no_day_before(plan: Plan) -> None:
    live = Live(plan)
    for day in range(0, 60, 4):
        live.buys(day)
        live.close_through(day, day + 3)
    pool = live.replay.engine.partition(0).watched
    looks, crossed = [], {}
    for day in range(60, 500):
        looks.append(int(pool.looks[0]))
        if told := live.close(day):
            crossed[day] = told
    (day,) = crossed
    assert [one.kind for one in crossed[day]] == ["raised"]
    # Bought last on day 56: probes at fixed lengths of the silence, the crossing between two.
    probes = [56 + silence for silence in (4, 8, 16, 32, 64, 128, 256, 512)]
    assert {look - BEGIN.toordinal() for look in looks} == {*probes, day}
    assert day not in probes


def test_closes_that_come_late_and_all_at_once_tell_what_each_would_have_told(plan: Plan) -> None:
    """The watermark then moves over the days of many looks in one step."""

    def fed(days: list[int]) -> Live:
        live = Live(plan)
        live.close_through(0, 59)
        for n in range(40):
            for day in range(60, 100 + n, 2 + n // 2):
                live.buys(day, f"c{n}")
        live.replay.result.signals.clear()
        for day in days:
            live.close(day)
        return live

    each = fed(list(range(60, 900)))
    at_once = fed([*range(61, 900), 60])
    assert told(at_once.replay) == told(each.replay)
    assert len(told(each.replay)) >= 40
    assert features(at_once.replay) == features(each.replay)
    assert told(fed([*range(61, 900)]).replay) == {}, "the first day held all of them"


def test_no_earlier_day_of_the_silence_stood_at_the_line(
    whole: Replay, known: History, plan: Plan
) -> None:
    """By a look at every day since the last purchase, from the whole history."""
    rule = plan.rules[0]
    assert isinstance(rule.method, Linear)
    line_micro = plan.methods.raises[0]
    accounts = {account.number: account for account in known.accounts}
    checked = 0
    for one in of_model(whole.result.signals):
        if (one.rule, one.kind) != ("no_purchase", "raised"):
            continue
        account, on = accounts[one.account_number], one.on.toordinal()
        bought = account.days[account.days <= on]
        every = list(range(int(bought[-1]), on + 1))
        table = snapshots.of_purchases([account], every, 1)
        logits = [rule.method.base_micro + int(rule.method.terms(row).sum())
                  for row in table.features]  # fmt: skip
        assert len(logits) == len(every)
        assert logits[-1] >= line_micro > max(logits[:-1], default=-(10**9)), one.id
        checked += len(every)
    assert checked > 3_000


# The same whatever the way -----------------------------------------------------------------------


def shuffled(lines: list[bytes], rng: Random, open_days: int) -> list[bytes]:
    """The order inside the open days is another one, with repeats: the closes come late."""
    bookings: list[bytes] = []
    closes: list[bytes] = []
    found = []
    for one in lines:
        if b"day_closed" not in one:
            bookings.append(one)
            continue
        closes.append(one)
        if len(closes) == open_days:
            again = rng.sample(bookings, len(bookings) // 9)
            mixed = [*bookings, *again]
            rng.shuffle(mixed)
            found += mixed + closes
            bookings, closes = [], []
    return found + bookings + closes


@pytest.mark.parametrize("seed", [1, 2])
def test_the_order_inside_the_open_days_and_repeats_change_no_signal(
    published: Path, plan: Plan, whole: Replay, tmp_path: Path, seed: int
) -> None:
    file = tmp_path / "other.jsonl"
    lines = published.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"".join(shuffled(lines, Random(seed), 1 + 2 * seed)))
    other = replayed(file, plan)
    assert told(other) == told(whole)
    assert len(told(whole)) > 1_000
    assert features(other) == features(whole)
    assert other.result.counts["duplicate"] > 1_000
    # The control: what comes behind its close is another story.
    file.write_bytes(b"".join([*lines[:9_000], *lines[9_100:12_000], *lines[9_000:9_100],
                               *lines[12_000:]]))  # fmt: skip
    assert told(replayed(file, plan)) != told(whole)


def fed(plan: Plan, lines: list[Line], size: int, before: Replay | None = None) -> Replay:
    one = before or Live(plan).replay
    for begin in range(0, len(lines), size):
        one.feed(lines[begin : begin + size])
    return one


@pytest.mark.parametrize("kept", [0, 40, 10**9])
def test_a_crash_anywhere_in_the_state_rows_changes_no_signal_and_no_feature(
    records: list[Line], plan: Plan, kept: int
) -> None:
    whole = fed(plan, records, 900)
    cut = 2 * len(records) // 3
    doomed = Live(plan).replay
    log: list[Any] = []
    for begin in range(0, cut, 700):
        log += applied(doomed, records[begin : min(begin + 700, cut)]).records
    closes = state.pack_partition(doomed.engine.partition(0).closes)
    lost = applied(doomed, records[cut : cut + 900])
    after = Live(plan).replay
    after._seen = doomed._seen  # the event store survives a worker
    after.result.signals += doomed.result.signals + lost.signals
    partition = after.engine.partition(0)
    restore(partition, [*log, (state.PARTITION_KEY + b"0", closes), *lost.records[:kept]])
    partition.recovered()
    fed(plan, records[cut - 300 :], 500, after)
    assert told(after) == told(whole)
    assert features(after) == features(whole)


def features(one: Replay) -> dict[str, list[int]]:
    """Of every account, settled through the watermark; without the offsets of what moved them."""
    partition = one.engine.partition(0)
    watch = partition.watched.watch()
    found = {}
    for account in range(len(partition.account_keys)):
        begin, of_set, _ = partition.watched.places[account].tolist()
        watching.settle(watch, account, partition.closes.watermark)
        row = watch.pool[begin : begin + watching.WORDS[partition.watched.plan.kind_of(of_set)]]
        kept = np.delete(row, range(watching.MOVED, watching.HEAD))
        found[partition.key_of(account)[1]] = kept.tolist()
    return found


def test_a_refit_sweeps_nothing_and_arms_anew_when_a_timer_fires(learned: RiskModel) -> None:
    """The old model's instant comes: the new one says that it is not time yet, and when it is."""
    old = by_method(learned, "mbg_nbd", raise_ppm=800_000, clear_ppm=500_000)
    new = by_method(learned, "mbg_nbd", raise_ppm=950_000, clear_ppm=500_000)
    first = Live(old)
    log = []
    for n, day in enumerate(range(0, 20, 5)):
        value = made_bank.booked("one", "CARD", day, -500, "card", "customer", n)
        log += applied(first.replay, [Line(first.at, b"one", value)]).records
        first.at += 1
    first.close_through(0, 19)
    due = int(first.replay.engine.partition(0).watched.looks[0]) - BEGIN.toordinal()
    closes = state.pack_partition(first.replay.engine.partition(0).closes)
    log += first.replay.engine.partition(0).records(np.array([0]))

    def at(plan: Plan) -> list[int]:
        live = Live(plan)
        partition = live.replay.engine.partition(0)
        restore(partition, [*log, (state.PARTITION_KEY + b"0", closes)])
        partition.recovered()
        live.at = first.at
        assert int(partition.watched.looks[0]) - BEGIN.toordinal() == due, "nothing was swept"
        return list(live.close_through(20, 1_500))

    assert at(old) == [due]
    (later,) = at(new)
    assert later > due
    straight = Live(new)
    for day in range(0, 20, 5):
        straight.buys(day)
    assert list(straight.close_through(0, 1_500)) == [later]


def test_a_state_that_lacks_the_past_of_a_product_is_refused(plan: Plan) -> None:
    bare = Live(risk_plan.NO_PLAN).replay
    value = made_bank.booked("one", "CARD", 0, -500, "card", "customer", 1)
    log = applied(bare, [Line(0, b"one", value)]).records
    with pytest.raises(state.UnreadableState, match=r"one: .*rebuild the state from bank\.events"):
        restore(Live(plan).replay.engine.partition(0), log)
    kept = applied(Live(plan).replay, [Line(0, b"one", value)]).records
    restore(Live(risk_plan.NO_PLAN).replay.engine.partition(0), kept)  # no longer asked for
