"""A rate that is nearer to a use, or to an account, than another: from its own day on, and no
earlier; live and by `replay`."""

from pathlib import Path
from random import Random
from typing import Any

import pytest

from shared.events import Event
from shared.events.bank import TransactionBooked
from tests.ledger_bank import FIRST_DAY, event_of
from tests.unit.test_contribution_rules import RATES, Book, rate
from tests.unit.test_replay_late_reference import OPENED, Told, day, live, replayed
from tests.workers import closed

UNTIL = 70
CLOSES = [closed(day(n)) for n in range(1, UNTIL + 1)]
FREE = [one for one in RATES if getattr(one.data, "driver_code", None) != "card"]
Place = tuple[str, str | None]  # driver, product
FORMS: list[Place] = [("card/app", None), ("card", "CA"), ("card/app", "CA")]


def card(n: int, on: int, channel: str | None = "app", product: str = "CA") -> Event[Any]:
    fact = TransactionBooked(
        transaction_id=f"{n}", customer_number="C", account_number=f"1-{product}",
        product_code=product, currency="CNY", kind="card", initiated_by="customer",
        channel_code=channel, amount_minor=-5, booked_on=day(on),
    )  # fmt: skip
    return event_of(fact, f"card-{n}", day(on))


def costs(told: Told, component: str) -> int:
    return -sum(amount for key, amount in told[0].items() if key[2] == component)


def both(folder: Path, events: list[Event[Any]]) -> Told:
    found = live(RATES, events)
    assert replayed(folder, RATES, events) == found
    return found


@pytest.mark.parametrize("place", FORMS)
def test_a_nearer_rate_of_a_day_to_come_leaves_the_uses_before_it(
    tmp_path: Path, place: Place
) -> None:
    driver, product = place
    nearer = rate("cost_driver", 9, product=product, driver=driver, on=day(40))
    events = [*CLOSES[:9], nearer, *CLOSES[9:19], card(1, 20), *CLOSES[19:38], card(2, 39),
              CLOSES[38], card(3, 40), *CLOSES[39:]]  # fmt: skip
    found = both(tmp_path, events)
    assert found[1] == []
    assert costs(found, "abc_txn") == 7 + 7 + 9


def test_the_nearest_rate_in_force_is_charged_on_any_day() -> None:
    """Beside a search through all rates for each use."""
    for seed in range(8):
        rng = Random(seed)
        places = [("card", None), *rng.sample(FORMS, rng.randrange(1, 4))]
        dated = {(of, 1 + rng.randrange(60)): rng.randrange(1, 10**6) for of in places * 2}
        dated[places[0], 1] = 3
        rates = [rate("cost_driver", value, product=of[1], driver=of[0], on=day(on))
                 for (of, on), value in dated.items()]  # fmt: skip
        others = [*FREE, rate("transfer_price", 365_000, product="SA")]
        asked = [(rng.randrange(1, 61), rng.choice(("app", "web", None)), rng.choice(("CA", "SA")))
                 for _ in range(60)]  # fmt: skip
        due = 0
        for on, channel, product in asked:
            names = (f"card/{channel}", "card")
            near = [(name, of) for name in names for of in (product, None)]
            in_force = [max((begun, value) for (at, begun), value in dated.items()
                            if at == one and begun <= on)[1]
                        for one in near
                        if any(at == one and begun <= on for at, begun in dated)]  # fmt: skip
            due += in_force[0]
        book = Book([*others, *rates])
        book.tell(*(card(n, *one) for n, one in enumerate(asked)))
        book.close(FIRST_DAY, day(UNTIL))
        assert book.told() == []
        found = -sum(n for key, n in book.leaves().items() if key[1] == "abc_txn")
        assert found == due, seed


def test_a_nearer_rate_of_a_day_behind_is_refused_where_uses_were_charged_by_another() -> None:
    app = rate("cost_driver", 9, product=None, driver="card/app", on=day(40))
    earlier = rate("cost_driver", 8, product=None, driver="card/app", on=day(5))
    book = Book([*RATES, app])
    book.tell(card(1, 6))
    book.close(day(1), day(9))
    book.tell(card(2, 10))
    book.scored.tell(earlier)
    book.close(day(10), day(UNTIL))
    assert ["uses are booked" in alarm for alarm in book.scored.alarms] == [True]
    assert book.leaves()["CA", "abc_txn", "2025-01", "2025-01"] == -14


@pytest.mark.parametrize("less_near", [[], [rate("cost_driver", 7, product=None, driver="card",
                                                 on=day(50))]])  # fmt: skip
def test_a_rate_of_a_day_behind_is_taken_where_its_uses_waited(less_near: list[Event[Any]]) -> None:
    """The other side of the one above: nothing was charged, nor by what begins later."""
    app = rate("cost_driver", 9, product=None, driver="card/app", on=day(40))
    book = Book([*FREE, app, *less_near])
    book.tell(card(1, 6))
    assert [kind for kind, _ in book.told()] == ["quarantined"]
    book.tell(book.booked(5, day(10)))
    book.scored.tell(rate("cost_driver", 8, product=None, driver="card/app", on=day(5)))
    book.tell(card(2, 10))
    book.close(day(1), day(UNTIL))
    assert book.scored.alarms == []
    assert book.leaves()["CA", "abc_txn", "2025-01", "2025-01"] == -8


@pytest.mark.parametrize("told_on", [0, 49])
def test_a_products_first_own_upkeep_begins_on_its_day(tmp_path: Path, told_on: int) -> None:
    own = rate("cost_driver", 2, product="CA", driver="account_day", on=day(60))
    found = both(tmp_path, [OPENED, *CLOSES[:told_on], own, *CLOSES[told_on:]])
    assert found[1] == []
    assert costs(found, "abc_maint") == 59 + 2 * 11


def test_a_products_first_own_upkeep_of_a_day_behind_is_corrected_from_that_day(
    tmp_path: Path,
) -> None:
    own = rate("cost_driver", 2, product="CA", driver="account_day", on=day(40))
    found = both(tmp_path, [OPENED, *CLOSES[:49], own, *CLOSES[49:]])
    assert found[1] == []  # the rate of all begins further back than balances are kept
    assert costs(found, "abc_maint") == 39 + 2 * 31


@pytest.mark.parametrize(
    ("driver", "product", "on", "due"),
    [("card", None, 10, 14), ("card", "CA", 10, 14), ("card", "CA", 12, 16), ("fee", None, 40, 14)],
)  # fmt: skip
def test_what_a_use_costs_is_judged_where_it_was_told(
    tmp_path: Path, driver: str, product: str | None, on: int, due: int
) -> None:
    late = rate("cost_driver", 9, product=product, driver=driver, on=day(on))
    events = [*CLOSES[:9], card(1, 10), late, *CLOSES[9:11], card(2, 12), *CLOSES[11:]]
    found = both(tmp_path, events)
    assert ["uses are booked" in alarm for alarm in found[1]] == ([True] if on == 10 else [])
    assert costs(found, "abc_txn") == due


def test_a_use_before_the_first_rate_of_its_kind_is_the_same_by_replay(tmp_path: Path) -> None:
    """It cost nothing while nobody had said what it costs; a rate of later days leaves that."""
    late = rate("cost_driver", 9, product=None, driver="card", on=day(40))
    events = [*CLOSES[:9], card(1, 10), late, *CLOSES[9:44], card(2, 45), *CLOSES[44:]]
    found = live(FREE, events)
    assert replayed(tmp_path, FREE, events) == found
    assert costs(found, "abc_txn") == 9
