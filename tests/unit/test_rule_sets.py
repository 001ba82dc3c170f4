"""Sets of rules that go live on a day: the same signals at any batch size and after any crash."""

from datetime import date
from typing import Any

import msgspec
import pytest
from starlette.datastructures import FormData

from services.scoring import live_sets, rule_set, state
from services.scoring.live_sets import LiveSets
from services.scoring.pages import rule_forms
from services.scoring.partition import Partition
from services.scoring.risk_plan import ModelRefused
from services.scoring.rule_set import RuleSet
from tests.risk_live import hand_made
from tests.rule_sets import PRODUCT, Scorer, day, lived, looser, parted, stricter
from tests.workers import Stream, closed, opened_long_ago, small_bank, transaction

SETS = ((1, day(85), stricter()), (2, day(108), looser()))


@pytest.fixture(scope="module")
def bank() -> Stream:
    stream = small_bank(customers=60, days=130, per_day=25)
    stream.events[:0] = opened_long_ago(stream)
    return stream


@pytest.fixture(scope="module")
def straight(bank: Stream) -> Scorer:
    return lived(bank.events, SETS)


def by_version(scorer: Scorer) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for said in scorer.signals.values():
        signal = msgspec.json.decode(said)
        found.setdefault(signal["model_version"], []).append(signal)
    return found


def test_each_set_judges_from_its_day_on(bank: Stream, straight: Scorer) -> None:
    told = by_version(straight)
    assert set(told) == {"v1", "hand-made-1", "set-1", "set-2"}
    small = {v: sum(not s.get("account_number") for s in found) for v, found in told.items()}
    assert min(small[v] for v in ("v1", "set-1", "set-2")) > 3, small
    assert min(len(told[v]) - small[v] for v in ("hand-made-1", "set-1", "set-2")) > 30
    assert max(s["on"] for s in told["v1"]) <= day(85).isoformat()
    assert min(s["at"] for s in told["set-2"] if s["kind"] == "raised") >= day(107).isoformat()
    closes = straight.engine.partition(0).closes
    assert closes.sets == [(1, day(85).toordinal()), (2, day(108).toordinal())]
    assert straight.alarms == []
    without = lived(bank.events, ()).signals
    before = {i for i, s in without.items() if msgspec.json.decode(s)["on"] < day(85).isoformat()}
    assert all(straight.signals[i] == without[i] for i in before)
    assert straight.signals != without


@pytest.mark.parametrize(("partitions", "batch"), [(1, 1), (3, 7), (3, 5000), (16, 200)])
def test_any_batch_size_and_partition_count_gives_the_same_signals(
    bank: Stream, straight: Scorer, partitions: int, batch: int
) -> None:
    found = lived(bank.events, SETS, partitions=partitions, batch=batch)
    assert found.signals == straight.signals


@pytest.mark.parametrize("batch", [10, 61, 400])
def test_a_death_after_every_batch_changes_nothing(
    bank: Stream, straight: Scorer, batch: int
) -> None:
    found = lived(bank.events, SETS, batch=batch, dies=True)
    assert found.signals == straight.signals


def test_a_recovery_that_asks_the_rules_of_now_alone_gives_other_signals(
    bank: Stream, straight: Scorer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The negative control: the looks before a set was live were made by the rules of then."""

    def forgets(self: Partition, through: int) -> None:
        if through == self.closes.watermark:
            arm_anew(self, through)

    arm_anew = Partition.arm_anew
    monkeypatch.setattr(Partition, "arm_anew", forgets)
    try:
        found = lived(bank.events, SETS, batch=10, dies=True).signals
    except AssertionError:
        return  # the same id, another signal
    assert found != straight.signals


def test_a_set_that_is_heard_too_late_judges_from_the_next_close_and_says_so(bank: Stream) -> None:
    scorer = Scorer(1, ())
    records = parted(bank.events, 1)[0]
    closed = [n for n, r in enumerate(records) if r.key is None]
    scorer.step(0, records[: closed[60] + 1])
    scorer.engine.sets.take(1, day(40).toordinal(), stricter())
    scorer.sets = ((1, day(40), stricter()),)
    scorer.step(0, records[closed[60] + 1 : closed[61] + 1])
    assert scorer.alarms == [
        f"late_rules set 1 judges from day {day(61).toordinal()}, not from {day(40).toordinal()}"
    ]
    scorer.die()
    scorer.step(0, records[closed[61] + 1 :])
    assert scorer.engine.partition(0).closes.sets == [(1, day(61).toordinal())]
    assert len(scorer.alarms) == 1


def test_a_state_is_not_carried_on_by_another_first_set_or_without_its_sets(bank: Stream) -> None:
    scorer = lived(bank.events, SETS, batch=500)
    scorer.sets = SETS[:1]
    with pytest.raises(state.UnreadableState, match="set 2 of rules is not on scoring"):
        scorer.die()
    scorer.sets = SETS
    scorer.die()
    closes = scorer.engine.partition(0).closes
    closes.seed = "another"
    scorer.log[0][state.PARTITION_KEY + b"0"] = state.pack_partition(closes)
    with pytest.raises(state.UnreadableState, match="GUANXI_RISK_MODEL"):
        scorer.die()


@pytest.mark.parametrize(
    ("number", "on", "rules", "why"),
    [
        (2, day(85), looser(), "begins on a day of set 1"),
        (2, day(99), RuleSet(looser().thresholds, None), "leaves out collapse of CA-P"),
        (2, day(99), stricter(hand_made("OTHER")), "product OTHER is not watched"),
        (2, day(99), RuleSet(looser().thresholds, {"version": "x"}), "missing required field"),
    ],
)
def test_what_no_worker_can_go_over_to_is_refused(
    number: int, on: date, rules: RuleSet, why: str
) -> None:
    sets: LiveSets = Scorer(1, SETS[:1]).engine.sets
    with pytest.raises((ModelRefused, msgspec.ValidationError), match=why):
        sets.take(number, on.toordinal(), rules)
    assert sets.due(1, day(4000).toordinal()) is None


def test_a_set_published_again_is_known_and_the_one_whose_day_came_last_is_due() -> None:
    sets = Scorer(1, SETS).engine.sets
    assert not sets.take(2, day(108).toordinal(), looser())
    due = [sets.due(0, day(n).toordinal()) for n in (84, 85, 107, 108)]
    assert [d and d.number for d in due] == [None, 1, 1, 2]


@pytest.mark.parametrize(
    "change",
    [{"outflow_clear_ppm": 400_000}, {"silence_days_max": 20}, {"outflow_ppm": 0},
     {"silence_gaps_milli": 1}, {"outflow_mean_min_minor": -1}],
)  # fmt: skip
def test_thresholds_out_of_bounds_or_against_each_other_are_refused(change: dict) -> None:
    known = msgspec.structs.asdict(rule_set.first_thresholds())
    with pytest.raises(msgspec.ValidationError):
        rule_set.decoded(msgspec.json.encode({"thresholds": {**known, **change}}))


def test_the_first_set_and_what_another_changes() -> None:
    first = RuleSet(rule_set.first_thresholds(), msgspec.to_builtins(hand_made(PRODUCT)))
    assert rule_set.differences(first, first) == {}
    changed = rule_set.differences(first, stricter())
    assert changed["outflow_ppm"] == (500_000, 700_000)
    assert changed["model"] == ("hand-made-1", "stricter")
    assert changed[f"collapse/{PRODUCT}/raise_ppm"] == (500_000, 350_000)
    live = live_sets.compiled(4, 1, rule_set.decoded(stricter().encoded()),
                              Scorer(1, ()).engine.sets.first.model)  # fmt: skip
    assert live.rules.encoded() == stricter().encoded()


def regular_then_silent() -> list[Any]:
    """Every five days until day 45; then nothing but closes."""
    found: list[Any] = []
    for n in range(200):
        if n % 5 == 0 and n <= 45:
            found.append(transaction(n, "C1", "A1", 100, day(n)))
        found.append(closed(day(n)))
    return found


@pytest.mark.parametrize(
    ("changed", "on", "told_on"),
    [({"silence_gaps_milli": 20_000}, 1, 0),
     ({"silence_gaps_milli": 3_000, "silence_days_min": 10}, 0, 1)],
)  # fmt: skip
def test_a_timer_set_by_other_limits_is_asked_by_those_of_now(
    changed: dict[str, int], on: int, told_on: int
) -> None:
    """Later: the timer is put there. Earlier: told when the old one fires, as of its own day."""
    rules = RuleSet(
        msgspec.structs.replace(rule_set.first_thresholds(), **changed),
        msgspec.to_builtins(hand_made(PRODUCT)),
    )
    events = regular_then_silent()

    def silences(sets: Any) -> list[tuple[str, int]]:
        scorer, told = Scorer(1, sets), []
        for record in parted(events, 1)[0]:
            known = set(scorer.signals)
            scorer.step(0, [record])
            mark = scorer.engine.partition(0).closes.watermark
            told += [(msgspec.json.decode(scorer.signals[i]), mark)
                     for i in scorer.signals.keys() - known if i.startswith("silence")]  # fmt: skip
        return [(signal["on"], mark) for signal, mark in told]

    ((first_on, first_mark),) = silences(())
    ((from_begin, _),) = silences(((1, day(1), rules),))
    ((found_on, found_mark),) = silences(((1, day(50), rules),))
    assert found_on == from_begin != first_on
    assert (found_on > first_on) == bool(on)
    assert (found_mark == first_mark) == bool(told_on)


@pytest.mark.parametrize(
    "changed",
    [{"silence_gaps_milli": 11_000}, {"silence_count_min": 40}, {"silence_tenure_days_min": 400}],
    ids=lambda changed: next(iter(changed)),
)
def test_an_action_ends_a_silence_also_by_a_set_that_asks_for_more(changed: dict[str, int]) -> None:
    """A pace that is known no longer cannot hold an alert open; one of before it, told late, ends
    nothing."""
    rules = RuleSet(
        msgspec.structs.replace(rule_set.first_thresholds(), **changed),
        msgspec.to_builtins(hand_made(PRODUCT)),
    )

    def silences(back_on: int, late_on: int = 1_000) -> list[tuple[str, str]]:
        events: list[Any] = []
        for n in range(160):
            if n % 5 == 0 and (n <= 45 or n >= back_on):
                events.append(transaction(n, "C1", "A1", 100, day(n)))
            if n == late_on:
                events.append(transaction(n, "C1", "A1", 100, day(42)))
            events.append(closed(day(n)))
        signals = lived(events, ((1, day(110), rules),)).signals.items()
        return [(said["kind"], said["on"]) for name, said in
                ((name, msgspec.json.decode(s)) for name, s in signals)
                if name.startswith("silence")]  # fmt: skip

    (raised,) = silences(back_on=1_000)
    assert raised < ("raised", day(110).isoformat()), "and nothing ends it where nobody comes"
    assert silences(back_on=120) == [raised, ("cleared", day(120).isoformat())]
    assert silences(back_on=1_000, late_on=131) == [raised], "he has not come back"


@pytest.mark.parametrize(("base", "kept"), [(85, True), (8, False)])
def test_a_typed_line_of_a_model_is_none_of_a_model_that_was_trained_anew(
    base: int, kept: bool
) -> None:
    """It has the same goals for the same products, so its lines have the same names."""

    def rules(version: str, percent: int) -> RuleSet:
        model = msgspec.structs.replace(hand_made(PRODUCT), version=version)
        risk = msgspec.to_builtins(model)
        for score in risk["scores"]:
            score["threshold"]["raise_ppm"] = percent * 10_000
        return RuleSet(rule_set.first_thresholds(), risk)

    before, now = rules("1", 50), rules("1" if kept else "2", base)
    form = {**rule_forms.blank(before).values, "score.0.raise_ppm": "45", "silence_days_min": "11"}
    typed = rule_forms.rebased(FormData(form), before, now).values
    assert typed["silence_days_min"] == "11"
    assert typed["score.0.raise_ppm"] == ("45" if kept else "8")
    assert typed["score.1.raise_ppm"] == str(base)
