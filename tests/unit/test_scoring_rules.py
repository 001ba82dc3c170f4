"""Episodes, stakes, wording and scope of the query side: pure functions."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import permutations
from random import Random

import pytest

from services.scoring.rules import episodes, stake
from services.scoring.rules.episodes import Crossing, Episode, Known
from services.scoring.rules.stake import Evidence
from shared.policy import Actor, Scope
from shared.reach import Reach, reach_of

START = datetime(2026, 1, 1, tzinfo=UTC)


def day(n: int) -> datetime:
    return START + timedelta(days=n)


def crossing(number: str, kind: str, on: int, episode: int = 1) -> Crossing:
    return Crossing(f"{number}/{episode}/{kind}", number, kind, day(on), episode)


def spans(found: list[Episode]) -> list[tuple[int, int | None]]:
    return [
        ((e.at - START).days, None if e.ended_at is None else (e.ended_at - START).days)
        for e in found
    ]


def test_one_number_gives_its_own_episodes():
    found = episodes.episodes(
        "silence",
        [
            crossing("A", "raised", 10),
            crossing("A", "cleared", 20),
            crossing("A", "raised", 40, episode=2),
        ],
        {"A": day(0)},
    )
    assert spans(found) == [(10, 20), (40, None)]
    assert [e.ordinal for e in found] == [1, 2]


def test_what_begins_and_ends_in_one_instant_never_was():
    both = [crossing("A", "raised", 10), crossing("A", "cleared", 10)]
    again = crossing("A", "raised", 40, episode=2)
    found = episodes.episodes("outflow", [*both, again], {"A": day(0)})
    assert spans(found) == [(40, None)]
    assert found[0].ordinal == 1
    assert spans(episodes.episodes("outflow", both[:1], {"A": day(0)})) == [(10, None)]


def test_a_party_is_silent_only_while_all_its_numbers_are():
    found = episodes.episodes(
        "silence",
        [
            crossing("A", "raised", 10),
            crossing("B", "raised", 15),
            crossing("A", "cleared", 30),
        ],
        {"A": day(0), "B": day(0)},
    )
    assert spans(found) == [(15, 30)]
    assert found[0].raised_by == ("A/1/raised", "B/1/raised")


def test_a_number_that_was_never_active_does_not_keep_a_party_from_being_silent():
    found = episodes.episodes("silence", [crossing("A", "raised", 10)], {"A": day(0), "B": None})
    assert spans(found) == [(10, None)]


def test_a_number_that_has_left_does_not_keep_a_party_from_being_silent():
    """From its last closing on; and it counts again from when it has an account."""
    silent = [crossing("A", "raised", 10)]
    both = {"A": day(0), "B": day(0)}
    assert episodes.episodes("silence", silent, both) == []
    for back_on, expected in ((None, [(20, None)]), (30, [(20, 30)])):
        away = {"B": (day(20), None if back_on is None else day(back_on))}
        assert spans(episodes.episodes("silence", silent, both, away)) == expected
    gone = {"B": (day(5), None), "C": (day(1), None)}  # one that was never active
    assert spans(episodes.episodes("silence", silent, both, gone)) == [(10, None)]


def test_a_party_whose_last_number_leaves_is_silent_no_more():
    own = [crossing("A", "raised", 10), crossing("A", "cleared", 20)]
    away = {"A": (day(20), None)}
    assert spans(episodes.episodes("silence", own, {"A": day(0)}, away)) == [(10, 20)]
    other = crossing("B", "raised", 15)
    both = {"A": day(0), "B": day(0)}
    assert spans(episodes.episodes("silence", [*own, other], both, away)) == [(15, None)]
    assert spans(episodes.episodes("silence", [*own, other], both)) == [(15, 20)]  # the control


def test_a_number_that_becomes_active_ends_the_silence_of_the_others():
    found = episodes.episodes("silence", [crossing("A", "raised", 10)], {"A": day(0), "B": day(25)})
    assert spans(found) == [(10, 25)]


def test_an_outflow_of_any_number_is_the_partys():
    found = episodes.episodes(
        "outflow",
        [
            crossing("A", "raised", 10),
            crossing("B", "raised", 12),
            crossing("A", "cleared", 20),
            crossing("B", "cleared", 22),
        ],
        {"A": day(0), "B": day(0)},
    )
    assert spans(found) == [(10, 22)]


def test_the_order_in_which_signals_arrive_does_not_matter():
    rng = Random(7)
    crossings = []
    for number in "ABC":
        at = 0
        for episode in range(1, 8):
            at += rng.randrange(1, 9)
            crossings.append(crossing(number, "raised", at, episode))
            at += rng.randrange(1, 9)
            crossings.append(crossing(number, "cleared", at, episode))
    active = {number: day(0) for number in "ABC"}
    for rule in ("silence", "outflow"):
        expected = episodes.episodes(rule, crossings, active)
        assert expected
        for _ in range(20):
            rng.shuffle(crossings)
            assert episodes.episodes(rule, crossings, active) == expected


def test_a_number_that_is_told_late_of_its_end_holds_no_longer():
    """The event that ends it is dated before the one that began it."""
    late = [crossing("A", "raised", 90), crossing("A", "cleared", 88)]
    assert spans(episodes.episodes("silence", late[:1], {"A": day(0)})) == [(90, None)]
    assert episodes.episodes("silence", late, {"A": day(0)}) == []
    after = [*late, crossing("A", "raised", 120, episode=2)]
    assert spans(episodes.episodes("silence", after, {"A": day(0)})) == [(120, None)]


def test_what_begins_again_by_a_late_event_begins_no_earlier_than_the_end_before_it():
    crossings = [
        crossing("A", "raised", 100),
        crossing("A", "cleared", 105),
        crossing("A", "raised", 102, episode=2),
    ]
    found = episodes.episodes("outflow", crossings, {"A": day(0)})
    assert spans(found) == [(100, 105), (105, None)]
    assert found[1].raised_by == ("A/2/raised",)
    other = [crossing("B", "raised", 10), crossing("B", "cleared", 20)]
    both = episodes.episodes("outflow", [*crossings, *other], {"A": day(0), "B": day(0)})
    assert spans(both) == [(10, 20), (100, 105), (105, None)]


def test_episodes_of_one_instant_stay_in_their_order():
    """All of number A's crossings count from the day 100, however they come in."""
    crossings = [crossing("A", "raised", 100), crossing("A", "cleared", 90),
                 crossing("A", "raised", 80, episode=2)]  # fmt: skip
    over = crossing("A", "cleared", 70, episode=2)
    for own in permutations(crossings):
        assert spans(episodes.episodes("outflow", own, {"A": day(0)})) == [(100, None)]
    for own in permutations([*crossings, over]):
        assert episodes.episodes("outflow", own, {"A": day(0)}) == []


def test_a_late_event_of_one_account_or_number_leaves_the_others_where_they_are():
    late = [crossing("A", "raised", 50), crossing("A", "cleared", 40)]
    other = [crossing("B", "raised", 10), crossing("B", "cleared", 20),
             crossing("B", "raised", 60, 2), crossing("B", "cleared", 70, 2)]  # fmt: skip
    found = episodes.episodes("outflow", [*late, *other], {"A": day(0), "B": day(0)})
    assert spans(found) == [(10, 20), (60, 70)]
    accounts = [replace(c, customer_number="A", account_number=c.customer_number)
                for c in (*late, *other)]  # fmt: skip
    assert spans(episodes.episodes("use_falls", accounts, {"A": day(0)})) == [(10, 20), (60, 70)]


def test_signals_of_numbers_that_belong_to_others_are_left_out():
    crossings = [crossing("A", "raised", 10), crossing("X", "raised", 5)]
    assert spans(episodes.episodes("outflow", crossings, {"A": day(0)})) == [(10, None)]


def act(wanted: list[Episode], known: list[Known]) -> list[str]:
    return [a for a, _, _ in episodes.differences("P1", "silence", wanted, known)]


def test_the_difference_is_told_and_nothing_else():
    open_episode, over = Episode(1, day(10), ("s",)), Episode(1, day(10), ("s",), day(20))
    name = episodes.alert_id("P1", "silence", day(10))
    assert act([open_episode], []) == ["raise"]
    assert act([over], []) == ["record"], "what is over is recorded, nobody is sent to work"
    assert act([open_episode], [Known(name, None, True, True)]) == []
    assert act([over], [Known(name, None, True, True)]) == ["clear"]
    assert act([over], [Known(name, day(20), True, True)]) == []
    assert act([over], [Known(name, day(19), True, True)]) == ["shift"]
    assert act([open_episode], [Known(name, day(20), True, True)]) == ["reopen"]
    assert act([], [Known(name, None, True, True)]) == ["take_back"]
    assert act([], [Known(name, None, True, False)]) == []
    assert act([open_episode], [Known(name, None, True, False)]) == ["reopen"]


def test_an_alert_is_named_by_party_rule_and_instant():
    one = episodes.alert_id("P1", "silence", day(10))
    assert one == episodes.alert_id("P1", "silence", day(10).astimezone(tz=None))
    assert one != episodes.alert_id("P2", "silence", day(10))
    assert one != episodes.alert_id("P1", "outflow", day(10))


def test_the_number_that_was_active_last_speaks_for_a_silent_party():
    why = stake.reason(
        "silence",
        [
            Evidence("A", 990_000,
                     {"last_on": "2026-01-01", "silent_days": 40, "mean_gap_milli_days": 4000}),
            Evidence("B", 950_000,
                     {"last_on": "2026-01-10", "silent_days": 41, "mean_gap_milli_days": 9100}),
        ],
        date(2026, 2, 20),
    )  # fmt: skip
    assert why.customer_number == "B"
    assert why.terms == {"silent_days": 41, "mean_gap_milli_days": 9100}
    assert why.risk_ppm == 950_000, "as sure as the least sure number"


def test_who_has_no_account_as_an_alert_begins_is_said_of_a_silence_alone():
    active = {"A": day(0), "B": day(0), "C": None, "D": day(25)}
    away = {"B": (day(20), day(30)), "C": (day(1), None), "D": (day(10), None)}
    gone = [sorted(episodes.away_at(active, away, day(n))) for n in (19, 20, 25, 29, 30)]
    assert gone == [[], ["B"], ["B", "D"], ["B", "D"], ["D"]], "C never was active"
    terms = {"last_on": "2026-01-01", "silent_days": 40, "mean_gap_milli_days": 4000}
    one = Evidence("A", 990_000, terms)
    assert stake.reason("silence", [one], date(2026, 2, 20), 2).left_numbers == 2
    assert stake.reason("outflow", [one], date(2026, 2, 20), 2).left_numbers == 0


@pytest.mark.parametrize(
    ("risk_ppm", "at_stake", "expected"),
    [(500_000, 1_000_001, 500_000), (1_000_000, 7, 7), (0, 100, 0), (900_000, -100, 0)],
)
def test_margin_at_risk_is_risk_times_stake(risk_ppm, at_stake, expected):
    assert stake.margin_at_risk(risk_ppm, at_stake) == expected


@pytest.mark.parametrize(
    ("rule", "terms", "value"),
    [
        ("silence", {"silent_days": 41, "mean_gap_milli_days": 9100}, 41),
        ("silence", {"silent_days": 1, "mean_gap_milli_days": 90_000}, 1),
        ("outflow", {"balance_minor": 100, "mean_minor": 1001}, 1001),
        ("outflow", {"balance_minor": -100, "mean_minor": 1001}, 1001),
    ],
)
def test_the_pieces_of_a_term_add_up_to_it(rule, terms, value):
    whole = stake.whole_of(rule, terms)
    assert whole is not None
    assert whole.value == value
    assert sum(piece.value for piece in whole.pieces) == value
    assert all(piece.value >= 0 and 0 <= piece.share_ppm <= 1_000_000 for piece in whole.pieces)
    later = stake.whole_of(rule, terms, since_days=14)
    assert later is not None
    assert later.value == value + (14 if rule == "silence" else 0), "only a silence grows"
    assert sum(piece.value for piece in later.pieces) == later.value


STAFF = {
    "S1": {"org_path": "/head/SH01/retail", "staff_codes": ["RM-1"]},
    "S2": {"org_path": "/head/SH01/retail", "staff_codes": ["RM-2"]},
    "S3": {"org_path": "/head/BJ01", "staff_codes": ["RM-3"]},
}
DEPARTMENTS = [
    {"org_path": "/head/SH01", "branch_code": "SH01"},
    {"org_path": "/head/BJ01", "branch_code": "BJ01"},
]


def actor(*scopes: Scope) -> Actor:
    return Actor("S1", permissions=frozenset({"score.view"}), scopes=scopes, staff_codes=("RM-1",))


def test_a_scope_reaches_whom_its_staff_and_branches_answer_for():
    def asked(*scopes: Scope) -> Reach:
        return reach_of(actor(*scopes), "score.view", STAFF, DEPARTMENTS)

    assert asked() == Reach()
    assert asked(Scope("alert.view", "all")) == Reach(), "another permission's scope"
    assert asked(Scope("score.view", "all")).everything
    own = asked(Scope("score.view", "own"))
    assert (own.manager_codes, own.staff_ids) == ({"RM-1"}, {"S1"})
    branch = asked(Scope("score.view", "subtree", "/head/SH01"))
    assert branch.manager_codes == {"RM-1", "RM-2"}
    assert branch.branch_codes == {"SH01"}
    team = asked(Scope("score.view", "department", "/head/SH01/retail"))
    assert team.branch_codes == frozenset()
    assert team.staff_ids == {"S1", "S2"}


# Rules of a model ----------------------------------------------------------------------------


def test_a_rule_on_accounts_holds_for_the_party_while_it_holds_for_any_of_them():
    def of(account: str, kind: str, on: int) -> Crossing:
        return Crossing(f"{account}/{kind}", "A", kind, day(on), 1, account)

    found = episodes.episodes(
        "collapse",
        [of("1", "raised", 3), of("2", "raised", 5), of("1", "cleared", 8), of("2", "cleared", 9)],
        {"A": day(0)},
    )
    assert spans(found) == [(3, 9)]


@pytest.mark.parametrize("second", [("1", "CB"), ("2", "CA")], ids=["product", "number"])
def test_two_products_of_a_number_are_two_accounts(second: tuple[str, str]) -> None:
    """Their episodes are counted apart: both have a first one."""

    def of(account: tuple[str, str], kind: str, on: int) -> Crossing:
        return Crossing(f"{account}/{kind}", "A", kind, day(on), 1, *account)

    one = ("1", "CA")
    found = episodes.episodes(
        "collapse",
        [of(one, "raised", 3), of(one, "cleared", 5), of(second, "raised", 8),
         of(second, "cleared", 9)],
        {"A": day(0)},
    )  # fmt: skip
    assert spans(found) == [(3, 5), (8, 9)]
    both = episodes.episodes(
        "collapse",
        [of(one, "raised", 3), of(second, "raised", 5), of(one, "cleared", 8)],
        {"A": day(0)},
    )
    assert spans(both) == [(3, None)]
