"""Tax on what customers earn: a function of the leaves and the rates, exact, in all totals."""

from collections import defaultdict
from datetime import date
from fractions import Fraction

from services.scoring.commands.leaves import keep_leaves
from shared.events import bank
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, pools_room, scoring_room
from tests.integration.ledger_room import leaves_of
from tests.integration.pools_room import FEBRUARY, JANUARY, booked, close, cost
from tests.integration.scoring_room import rows
from tests.integration.test_scoring_totals import residual

scoring, months = scoring_room.scoring, pools_room.months
made, scored = ledger_room.made, ledger_room.scored
Key = tuple[str, str, str, str]


def tax_rate(ppm: int, on: date) -> bank.RateSet:
    return bank.RateSet(kind="tax", from_on=on, value=ppm)


def half_even(value: Fraction) -> int:
    return round(value)


def expected(scoring: ServiceUnderTest, rate_of: dict[str, int]) -> dict[tuple[Key, str], int]:
    """Tax by account, product and month of origin, of the other leaves one by one."""
    earned: defaultdict[Key, defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for *key, origin, amount in rows(scoring, """
        select customer_number, account_number, loan_number, product_code, origin_period,
               amount_minor from leaves where component <> 'tax'"""):  # fmt: skip
        earned[key[0], key[1], key[2], key[3]][origin] += amount
    found = {}
    for leaf, by_origin in earned.items():
        exact, before = Fraction(0), 0
        for origin, amount in sorted(by_origin.items()):
            exact += Fraction(amount * rate_of.get(origin, 0), 1_000_000)
            now = half_even(exact)
            if now != before:
                found[leaf, origin] = before - now
            before = now
    return found


def posted(scoring: ServiceUnderTest) -> dict[tuple[Key, str], int]:
    found: defaultdict[tuple[Key, str], int] = defaultdict(int)
    for *key, origin, amount in rows(scoring, """
        select customer_number, account_number, loan_number, product_code, origin_period,
               amount_minor from leaves where component = 'tax'"""):  # fmt: skip
        found[(key[0], key[1], key[2], key[3]), origin] += amount
    return {key: amount for key, amount in found.items() if amount}


def test_tax_is_the_rate_times_what_was_earned_also_below_zero(
    space: Space, months: ServiceUnderTest
) -> None:
    space.publish(tax_rate(250_001, date(2020, 1, 1)), tax_rate(200_000, date(2025, 2, 1)))
    booked(space, cost("c1", "HQ", 1_000_003, "transaction"))
    months.drain()
    close(months, JANUARY)
    assert residual(months) == 0
    found = posted(months)
    assert {origin for _, origin in found} == {JANUARY}
    assert min(found.values()) < 0 < max(found.values()), "a loss is a tax credit"
    close(months, FEBRUARY)
    assert residual(months) == 0
    found = posted(months)
    assert found == expected(months, {JANUARY: 250_001, FEBRUARY: 200_000})
    net, tax = rows(months, """
        select sum(amount_minor) filter (where component <> 'tax'),
               sum(amount_minor) filter (where component = 'tax') from leaves""")[0]  # fmt: skip
    assert net != 0
    assert tax == sum(found.values())
    later = {row[0] for row in rows(
        months, "select customer_number from leaves where period > :p", p=FEBRUARY
    )}  # fmt: skip
    assert {row[0] for row in rows(months, "select customer_number from untaxed")} == later


def test_without_a_rate_there_is_no_tax(space: Space, months: ServiceUnderTest) -> None:
    booked(space, cost("c1", "HQ", 1_000_003, "transaction"))
    months.drain()
    close(months, JANUARY)
    assert posted(months) == {}
    assert rows(months, "select count(*) from untaxed") == [(0,)]


def test_a_rate_of_before_is_the_difference_of_the_month_that_closes(
    space: Space, months: ServiceUnderTest
) -> None:
    space.publish(tax_rate(250_000, date(2025, 1, 1)))
    months.drain()
    close(months, JANUARY)
    before = rows(months, "select * from leaves where period = :p order by 1, 2, 3, 4, 5, 6, 7",
                  p=JANUARY)  # fmt: skip
    assert posted(months) != {}
    space.publish(tax_rate(150_000, date(2025, 1, 1)))
    months.drain()
    close(months, FEBRUARY)
    assert residual(months) == 0
    assert posted(months) == expected(months, {JANUARY: 150_000, FEBRUARY: 150_000})
    after = rows(months, "select * from leaves where period = :p order by 1, 2, 3, 4, 5, 6, 7",
                 p=JANUARY)  # fmt: skip
    assert after == before, "a closed month does not change"
    corrections = rows(months, """select count(*) from leaves where component = 'tax'
        and period = '2025-02' and origin_period = '2025-01'""")  # fmt: skip
    assert corrections[0][0] > 0


def test_leaves_that_come_after_the_close_are_taxed_at_the_next(
    space: Space, scoring: ServiceUnderTest, made, scored
) -> None:
    """Idle accounts post a closed month late."""


    space.publish(tax_rate(250_000, date(2025, 1, 1)))
    pools_room.send(space, made)
    scoring.drain()
    records = leaves_of(scored)
    half = len(records) // 2
    for part, period in ((records[:half], JANUARY), (records[half:], FEBRUARY)):
        with scoring.database.transaction() as tx:
            keep_leaves(tx, part)
        close(scoring, period)
        assert residual(scoring) == 0
    rates = {JANUARY: 250_000, FEBRUARY: 250_000}
    through = {k: v for k, v in expected(scoring, rates).items() if k[1] <= FEBRUARY}
    assert posted(scoring) == through
