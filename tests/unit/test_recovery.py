"""What can be recovered: a rule's own outcomes, held near all rules' while they are few."""

from hypothesis import given
from hypothesis import strategies as st

from services.scoring.rules.recovery import Outcomes, chance_of, recoverable_minor

SEEN = st.integers(0, 10_000).flatmap(
    lambda judged: st.builds(Outcomes, st.integers(0, judged), st.just(judged))
)


def test_before_anybody_has_judged_an_alert_the_chance_is_a_half():
    assert chance_of("silence", {}) == 500_000


def test_a_rule_nobody_judged_takes_the_chance_of_all_and_leaves_it_as_it_is_judged():
    judged = {"silence": Outcomes(30, 40), "outflow": Outcomes(1, 20)}
    all_ppm = (31 * 1_000_000 + 20 * 500_000) // 80
    assert chance_of("distress", judged) == all_ppm == 512_500
    assert chance_of("silence", judged) == (30_000_000 + 20 * all_ppm) // 60 == 670_833
    assert chance_of("outflow", judged) == (1_000_000 + 20 * all_ppm) // 40 == 281_250


@given(st.dictionaries(st.sampled_from("abc"), SEEN), st.integers(0, 10**15))
def test_it_is_a_chance_and_one_more_saved_never_lowers_it(judged, margin):
    chance = chance_of("a", judged)
    assert 0 <= chance <= 1_000_000
    assert 0 <= recoverable_minor(margin, chance) <= margin
    seen = judged.get("a", Outcomes())
    saved = {**judged, "a": Outcomes(seen.saved + 1, seen.judged + 1)}
    lost = {**judged, "a": Outcomes(seen.saved, seen.judged + 1)}
    assert chance_of("a", saved) >= chance >= chance_of("a", lost)
