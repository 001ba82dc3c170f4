"""Golden G1 by the independent loop: the truth that the scorer is held against."""

from collections import defaultdict

import pytest

from deploy.bank.tables import table
from shared.events.bank import AccountOpened, CustomerPlaced, ManagerAssigned
from tests.golden import berka_g1, day_by_day

pytestmark = pytest.mark.skipif(
    not berka_g1.DATA.is_dir(), reason=f"the data set is not at {berka_g1.DATA}"
)


@pytest.fixture(scope="module")
def sums(tmp_path_factory) -> dict[tuple[str, str, str], int]:
    file = berka_g1.write_events(tmp_path_factory.mktemp("g1") / "events.jsonl")
    events = berka_g1.plain(file)
    described = [e for e in events if e["type"].startswith("bank.product_described")]
    rates = berka_g1.plain(berka_g1.RATES)
    return day_by_day.leaves([*described, *rates], events, berka_g1.LAST)


def test_the_day_by_day_loop_gives_every_row_of_the_table_and_the_digest(sums) -> None:
    berka_g1.check(sums)
    owners = {r["account_id"]: r["client_id"] for r in table(berka_g1.DATA, "disp")
              if r["type"] == "OWNER"}  # fmt: skip
    clients = {owners[account]: amount for account, amount in berka_g1.by(sums, 0).items()}
    assert len(clients) == berka_g1.CUSTOMERS
    assert max(clients.items(), key=lambda c: c[1]) == berka_g1.TOP
    assert min(clients.items(), key=lambda c: c[1]) == berka_g1.LOWEST
    assert sum(amount < 0 for amount in clients.values()) == berka_g1.BELOW_ZERO


def test_the_regions_and_the_managers_of_the_events_add_up_to_the_same_total(sums) -> None:
    events = berka_g1.events()
    account_of = {e.data.customer_number: e.data.account_number for e in events
                  if isinstance(e.data, AccountOpened)}  # fmt: skip
    region_of = {account_of[e.data.customer_number]: e.data.region_code for e in events
                 if isinstance(e.data, CustomerPlaced)}  # fmt: skip
    manager_of = {account_of[e.data.customer_number]: e.data.manager_code for e in events
                  if isinstance(e.data, ManagerAssigned)}  # fmt: skip
    regions: defaultdict[str | None, int] = defaultdict(int)
    managers: defaultdict[str, int] = defaultdict(int)
    for account, amount in berka_g1.by(sums, 0).items():
        regions[region_of[account]] += amount
        managers[manager_of[account]] += amount
    assert regions == berka_g1.REGIONS
    assert len(managers) == berka_g1.MANAGERS
    assert sum(managers.values()) == berka_g1.TOTAL


def test_replay_gives_every_row_of_the_table_and_the_digest(tmp_path) -> None:
    from services.scoring import model, replay

    one = replay.Replay(model.load(), currency=berka_g1.CURRENCY, zone=berka_g1.ZONE,
                        until=berka_g1.LAST)  # fmt: skip
    replay.run(one, berka_g1.write_events(tmp_path / "events.jsonl"), berka_g1.RATES, [])
    assert not one.result.refused
    assert not one.result.alarms
    sums: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for (account, product, component, _, _), amount in one.result.leaves.items():
        sums[account, product, component] += amount
    berka_g1.check({key: amount for key, amount in sums.items() if amount})
