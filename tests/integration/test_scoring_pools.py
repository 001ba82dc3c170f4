"""Actual costs spread over those who used what they were for: to the unit, once, in all totals."""

from collections import Counter, defaultdict
from datetime import date
from random import Random

import pytest
from sqlalchemy import text

from services.scoring.allocation_sql import shared_out as shared_out_sql
from services.scoring.commands import pools_closing
from services.scoring.commands.copying import copy_rows, staged
from services.scoring.rules.allocating import shared_out
from shared.events import bank
from shared.testing.space import ServiceUnderTest, Space
from tests.integration import ledger_room, pools_room, scoring_room
from tests.integration.pools_room import (
    ENDS,
    FEBRUARY,
    JANUARY,
    NAMES,
    allocated,
    booked,
    charged_as_by,
    close,
    cost,
    driver_rate,
    sheet,
    taken,
    uses,
    work,
)
from tests.integration.scoring_room import rows
from tests.integration.test_scoring_totals import residual
from tests.ledger_bank import Bank
from tests.scored import Scored

scoring, months = scoring_room.scoring, pools_room.months
made, scored = ledger_room.made, ledger_room.scored


def by_hand(pool: int, weights: Counter[tuple[str, str, str]]) -> dict[tuple[str, str, str], int]:
    """First the products, then the accounts of each."""
    products: Counter[str] = Counter()
    for (_, _, product), weight in weights.items():
        products[product] += weight
    found = {}
    for product, amount in shared_out(pool, products).items():
        of_it = {key: w for key, w in weights.items() if key[2] == product}
        found |= shared_out(amount, of_it)
    return {key: share for key, share in found.items() if share}


def borne(
    scoring: ServiceUnderTest, component: str = "overhead"
) -> dict[tuple[str, str, str], int]:
    found: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for key, amount in allocated(scoring).items():
        if key[3] == component:
            found[key[:3]] -= amount
    return {key: amount for key, amount in found.items() if amount}


def test_the_sql_shares_out_as_the_rule_does(scoring: ServiceUnderTest) -> None:
    for seed in range(50):
        told, expected = some_pools(Random(seed))
        statement = shared_out_sql("select part, id, pool_minor, weight from told_weights", "id")
        with scoring.database.transaction() as tx:
            staged(tx, "told_weights", "part text, id text, pool_minor numeric, weight numeric")
            copy_rows(tx, "told_weights", ("part", "id", "pool_minor", "weight"), told)
            found = {
                (row.part, row.id): int(row.share_minor)
                for row in tx.session.execute(text(statement))
            }
        assert found == expected


def some_pools(rng: Random) -> tuple[list[tuple[str, str, int, int]], dict[tuple[str, str], int]]:
    """Parts with their pools and weights, and how the rule shares them out."""
    told, expected = [], {}
    for part in ("p0", "p1", "p2"):
        pool = rng.randrange(-(2**53), 2**53)
        weights = {
            (part, f"{rng.choice('aB中-')}{n}"): rng.randrange(10 ** rng.randrange(1, 25))
            for n in range(rng.randrange(1, 40))
        }
        told += [(*key, pool, weight) for key, weight in weights.items()]
        expected |= shared_out(pool, weights)
    return told, expected


def test_what_the_rates_charged_is_what_the_leaves_charge(
    months: ServiceUnderTest, scored: Scored
) -> None:
    """By counting uses, for idle accounts post their leaves later; all are posted here."""
    charged_as_by(scored, months)


def test_a_pool_is_spread_over_those_who_used_its_driver(
    space: Space, months: ServiceUnderTest, made: Bank
) -> None:
    booked(
        space, cost("c1", "HQ", 1_000_003, "transaction"), cost("c2", "CARDS", 900_001, "card"),
        cost("c3", "LATER", 5, "transaction", FEBRUARY),
    )  # fmt: skip
    months.drain()
    before = rows(months, "select posted_minor from contribution_totals where dimension = 'bank'")
    assert close(months, JANUARY) > 0
    assert residual(months) == 0
    assert borne(months) == by_hand(1_000_003, uses(made, JANUARY))
    pools = sheet(months, JANUARY)
    assert set(pools) == {(JANUARY, "HQ", "transaction"), (JANUARY, "CARDS", "card")}
    actual, charged, earlier, amount, weight = pools[JANUARY, "CARDS", "card"]
    assert (actual, earlier, amount) == (900_001, 0, 900_001 - charged)
    assert charged > 0, "a card payment has a rate"
    assert borne(months, "variance") == by_hand(amount, uses(made, JANUARY, kind="card"))
    assert weight == uses(made, JANUARY, kind="card").total()
    after = rows(months, "select posted_minor from contribution_totals where dimension = 'bank'")
    assert sum(r[0] for r in after) == sum(r[0] for r in before) - 1_000_003 - amount


def test_a_leaf_withheld_shows(space: Space, months: ServiceUnderTest) -> None:
    """The negative control."""
    booked(space, cost("c1", "HQ", 1_000_003, "transaction"))
    months.drain()
    close(months, JANUARY)
    assert residual(months) == 0
    pools_room.forget_leaf(months, "overhead")
    assert residual(months) > 0


def test_a_second_run_changes_nothing(space: Space, months: ServiceUnderTest) -> None:
    booked(space, cost("c1", "HQ", 77_777, "transaction"))
    months.drain()
    close(months, JANUARY)
    first = allocated(months)
    assert sum(first.values()) == -77_777
    assert work(months) == 0
    booked(space, cost("c1", "HQ", 77_777, "transaction"))  # said again, the same
    months.drain()
    assert close(months, FEBRUARY) > 0
    assert allocated(months) == first


def test_a_late_cost_is_the_difference_in_the_open_month_and_names_its_own(
    space: Space, months: ServiceUnderTest, made: Bank
) -> None:
    booked(space, cost("c1", "HQ", 1_000, "transaction"))
    booked(space, cost("c2", "HQ", 100, "transaction"), on=date(2025, 2, 3))
    months.drain()
    close(months, JANUARY)
    assert sum(allocated(months).values()) == -1_000, "booked in February: of February's close"
    january = allocated(months)
    booked(space, cost("c3", "HQ", 10, "transaction"))  # of January, but heard after its close
    months.drain()
    close(months, FEBRUARY)
    assert residual(months) == 0
    late = {k: v for k, v in allocated(months).items() if k not in january}
    assert {key[4:] for key in late} == {(FEBRUARY, JANUARY)}
    assert sum(late.values()) == -110
    assert {k: v for k, v in allocated(months).items() if k in january} == january
    assert sheet(months, FEBRUARY)[JANUARY, "HQ", "transaction"][:4] == (1_110, 0, 1_000, 110)
    weights = uses(made, JANUARY)
    assert {k[:3]: -v for k, v in late.items()} == by_hand(110, weights)


def test_a_cost_that_is_taken_back_comes_back_from_everyone(
    space: Space, months: ServiceUnderTest
) -> None:
    booked(space, cost("c1", "HQ", 12_347, "transaction"), cost("c2", "IT", 999, "transaction"))
    months.drain()
    close(months, JANUARY)
    booked(space, cost("c1", "HQ", 0, "transaction"))  # said anew under its id
    booked(space, cost("c2-back", "IT", -999, "transaction"))  # or by its opposite
    months.drain()
    close(months, FEBRUARY)
    assert residual(months) == 0
    assert sum(allocated(months).values()) == 0
    sums: Counter[tuple[str, ...]] = Counter()
    for key, amount in allocated(months).items():
        sums[key[:4]] += amount
    assert not any(sums.values()), "each gets back what he bore"


def test_the_same_id_of_two_sources_is_two_costs(space: Space, months: ServiceUnderTest) -> None:
    booked(space, cost("c1", "HQ", 100, "transaction"), source="gl")
    booked(space, cost("c1", "HQ", 23, "transaction"), source="payroll")
    booked(space, cost("c1", "HQ", 100, "transaction"), source="gl")
    months.drain()
    close(months, JANUARY)
    assert sum(allocated(months).values()) == -123


def test_without_a_driver_or_a_user_a_pool_is_not_spread(
    space: Space, months: ServiceUnderTest
) -> None:
    booked(
        space, cost("c1", "HQ", 1_000), cost("c2", "VAULT", 500, "vault_visit"),
        cost("c3", "YEAR", 7, "transaction", "2025"),
        cost("c4", "ABROAD", 9, "transaction", currency="USD"),
    )  # fmt: skip
    months.drain()
    close(months, JANUARY)
    assert allocated(months) == {}
    pools = sheet(months, JANUARY)
    assert pools[JANUARY, "HQ", ""] == (1_000, 0, 0, 0, 0)
    assert pools[JANUARY, "VAULT", "vault_visit"] == (500, 0, 0, 0, 0)
    assert len(pools) == 2


def test_the_bank_says_which_driver_spreads_a_pool_also_afterwards(
    space: Space, months: ServiceUnderTest, made: Bank
) -> None:
    def described(driver: str | None, on: date) -> bank.CostPoolDescribed:
        return bank.CostPoolDescribed(
            cost_centre_code="HQ", names=NAMES, driver_code=driver, from_on=on
        )

    space.publish(described("transaction", date(2024, 1, 1)), described(None, date(2025, 2, 1)))
    booked(space, cost("c1", "HQ", 5_000, "account"))  # the description is the later word
    booked(space, cost("c2", "HQ", 600, "account", FEBRUARY))
    months.drain()
    close(months, JANUARY)
    assert borne(months) == by_hand(5_000, uses(made, JANUARY))
    space.publish(described("account", date(2025, 1, 1)))
    months.drain()
    close(months, FEBRUARY)
    assert residual(months) == 0
    pools = sheet(months, FEBRUARY)
    assert pools[JANUARY, "HQ", "transaction"][:4] == (0, 0, 5_000, -5_000)
    assert pools[JANUARY, "HQ", "account"][:4] == (5_000, 0, 0, 5_000)
    assert pools[FEBRUARY, "HQ", ""][3] == 0, "from February on it is not spread"
    accounts = rows(months, """select customer_number, account_number, product_code
        from allocation_shares where driver_code = 'account'""")  # fmt: skip
    assert borne(months) == by_hand(5_000, Counter(dict.fromkeys(accounts, 1)))


def test_account_days_count_from_the_opening_to_the_closing(
    space: Space, months: ServiceUnderTest, made: Bank
) -> None:
    booked(space, cost("c1", "IT", 10**9, "account_day"))
    months.drain()
    close(months, JANUARY)
    opened = {e.data.account_number: e.businessdate for _, e in made.events
              if isinstance(e.data, bank.AccountOpened)}  # fmt: skip
    ended = {e.data.account_number: e.businessdate for _, e in made.events
             if isinstance(e.data, bank.AccountClosed)}  # fmt: skip
    found = dict(rows(months, "select account_number, weight from allocation_shares"))
    first_of_february = date(2025, 2, 1)
    assert {account: int(days) for account, days in found.items()} == {
        account: (min(ended.get(account, first_of_february), first_of_february) - on).days
        for account, on in opened.items()
    }


def test_pools_of_one_driver_divide_what_its_rate_charged(
    space: Space, months: ServiceUnderTest
) -> None:
    booked(space, cost("c1", "A", 100_000, "card"), cost("c2", "B", 200_001, "card"))
    months.drain()
    close(months, JANUARY)
    pools = sheet(months, JANUARY)
    a, b = pools[JANUARY, "A", "card"], pools[JANUARY, "B", "card"]
    charged = a[1] + b[1]
    assert (a[1], b[1]) == tuple(shared_out(charged, {"A": 100_000, "B": 200_001}).values())
    assert a[3] + b[3] == 300_001 - charged


def test_a_month_waits_until_the_query_side_has_read_what_belongs_to_it(
    space: Space, months: ServiceUnderTest, made: Bank
) -> None:
    booked(space, cost("c1", "HQ", 1_000, "transaction"))
    for partition in pools_room.partitions_of(months):
        pools_room.closes(months, partition, ENDS[JANUARY])
    assert work(months) == 0, "the cost stands in the log and is not read yet"
    months.drain()
    assert work(months) > 0
    assert sum(allocated(months).values()) == -1_000


def test_a_close_that_is_killed_goes_on_where_it_stood(
    space: Space, months: ServiceUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    booked(space, cost("c1", "HQ", 1_000_003, "transaction"), cost("c2", "IT", 77, "account_day"))
    months.drain()
    monkeypatch.setattr(pools_closing, "CHUNK", 1)
    for partition in pools_room.partitions_of(months):
        closes_january = ENDS[JANUARY]
        pools_room.closes(months, partition, closes_january)
    died = 0
    for _ in range(30):
        try:
            with months.database.transaction() as tx:
                more = pools_closing.Closer().step(tx)
                if died < 3 and more and died == len(
                    rows(months, "select distinct customer_number from leaves"
                                 " where component = 'overhead'")):  # fmt: skip
                    died += 1
                    raise ConnectionError("killed before the commit")
        except ConnectionError:
            continue
        assert residual(months) == 0, "whole after every step"
        if not more:
            break
    assert died == 3
    assert sum(v for k, v in allocated(months).items() if k[3] == "overhead") == -1_000_003
    assert rows(months, "select posted from closings") == [(True,)]


def test_months_that_were_closed_before_anybody_looked_follow_each_other(
    space: Space, months: ServiceUnderTest
) -> None:
    booked(space, cost("c1", "HQ", 500, "transaction"))
    booked(space, cost("c2", "HQ", 70, "transaction", FEBRUARY), on=ENDS[FEBRUARY])
    months.drain()
    close(months, FEBRUARY)
    found: Counter[tuple[str, str]] = Counter()
    for key, amount in allocated(months).items():
        found[key[4], key[5]] += amount
    assert found == {(JANUARY, JANUARY): -500, (FEBRUARY, FEBRUARY): -70}


@pytest.mark.parametrize("told_in", [FEBRUARY, "2025-03"])
def test_a_transaction_that_comes_late_takes_its_charge_off_the_pool(
    space: Space, months: ServiceUnderTest, made: Bank, told_in: str
) -> None:
    """Of two months behind at the most: the ledger takes none that is later."""
    booked(space, cost("c1", "CARDS", 900_001, "card"))
    months.drain()
    for period in (JANUARY, FEBRUARY)[: 1 if told_in == FEBRUARY else 2]:
        close(months, period)
    _, charged, _, first, _ = sheet(months, JANUARY)[JANUARY, "CARDS", "card"]
    of_a_card = next(e for _, e in made.events if getattr(e.data, "kind", "") == "card"
                     and e.businessdate <= ENDS[JANUARY])  # fmt: skip
    late = bank.TransactionBooked(
        transaction_id="late", customer_number=of_a_card.data.customer_number,
        account_number=of_a_card.data.account_number, product_code=of_a_card.data.product_code,
        amount_minor=-1, currency="CNY", kind="card", initiated_by="customer",
        booked_on=of_a_card.businessdate,
    )  # fmt: skip
    space.publish(late, businessdate=of_a_card.businessdate)
    months.drain()
    close(months, told_in)
    actual, more, before, amount, _ = sheet(months, told_in)[JANUARY, "CARDS", "card"]
    assert more > charged
    assert (actual, before, amount) == (900_001, first, charged - more)
    assert residual(months) == 0


def test_a_rate_of_a_product_is_nearer_than_that_of_all(
    space: Space, scoring: ServiceUnderTest
) -> None:
    """Kind and channel before the kind, the product before all: as the worker prices a use."""
    on = date(2025, 1, 1)
    taken(
        scoring, driver_rate("card", 1, on), driver_rate("card", 10, on, "CA"),
        driver_rate("card/atm", 100, on), driver_rate("card/atm", 1_000, date(2025, 1, 20)),
    )  # fmt: skip
    space.publish(driver_rate("card", 99_999, date(2025, 1, 2)))  # not taken: it came too late
    for n, (product, channel, day) in enumerate(
        [("SA", None, 5), ("CA", None, 5), ("CA", "web", 5), ("CA", "atm", 5), ("SA", "atm", 25)]
    ):
        space.publish(
            bank.TransactionBooked(
                transaction_id=str(n), customer_number="C7", account_number=f"7-{product}",
                product_code=product, amount_minor=-5, currency="CNY", kind="card",
                initiated_by="customer", channel_code=channel, booked_on=date(2025, 1, day),
            ),
            businessdate=date(2025, 1, day),
        )  # fmt: skip
    booked(space, cost("c1", "CARDS", 10_000, "card"), cost("c2", "ATM", 10_000, "card/atm"))
    scoring.drain()
    close(scoring, JANUARY)
    pools = sheet(scoring, JANUARY)
    assert pools[JANUARY, "CARDS", "card"][1] == 1 + 10 + 10
    assert pools[JANUARY, "ATM", "card/atm"][1] == 100 + 1_000
    assert pools[JANUARY, "CARDS", "card"][4] == 3
    assert pools[JANUARY, "ATM", "card/atm"][4] == 2
