"""One month of a real bank through the whole system: every haler of the file is accounted for."""

import csv
import gzip
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from sqlalchemy import text

from deploy.bank.berka import events
from shared.events.bank import TransactionBooked
from shared.testing.servers import Servers
from shared.testing.space import Space
from tests.chaos.five import Whole

DATA = Path(__file__).parents[3] / "shared" / "data" / "berka"
FIRST, LAST = date(1993, 6, 1), date(1993, 6, 30)
AFTER = datetime(1993, 7, 1, 8, 0, tzinfo=UTC)

pytestmark = pytest.mark.skipif(
    not (DATA / "trans_partial.csv.gz").exists(),
    reason=f"the Berka data are not at {DATA}: the proof on a real bank does not run",
)


def sums_of_the_file() -> tuple[dict[str, int], int]:
    """Customer -> haler of the month, read from the files themselves, and the rows there are."""
    owners = {row["account_id"]: row["client_id"] for row in rows("disp") if row["type"] == "OWNER"}
    sums: defaultdict[str, int] = defaultdict(int)
    count = 0
    for row in rows("trans_partial"):
        if "A" in row["src"] and FIRST <= date.fromisoformat(row["date"]) <= LAST:
            haler = Decimal(row["amount"]) * 100
            assert haler == int(haler)
            sums[owners[row["account_id"]]] += int(haler) * (1 if row["type"] == "PRIJEM" else -1)
            count += 1
    return dict(sums), count


def rows(name: str) -> Iterator[dict[str, str]]:
    with gzip.open(DATA / f"{name}.csv.gz", "rt", encoding="utf-8") as lines:
        yield from csv.DictReader(lines)


@pytest.fixture(scope="module")
def whole(servers: Servers) -> Iterator[Whole]:
    space = Space(servers)
    found = Whole.of(space, currency="CZK")
    space.clock.bank = AFTER
    found.history += events(DATA, src="A", first=FIRST, last=LAST)
    found.publish(found.history)
    found.drain()
    yield found
    found.close()
    space.close()


def per_customer(whole: Whole, service: str, sql: str) -> dict[str, int]:
    with whole[service].database.read() as session:
        return {row[0]: int(row[1]) for row in session.execute(text(sql))}


def test_the_file_is_published_whole(whole: Whole):
    _, count = sums_of_the_file()
    assert sum(isinstance(e.data, TransactionBooked) for e in whole.history) == count > 1000


def test_the_equation_holds_in_every_service(whole: Whole):
    whole.assert_whole()
    lines = whole.reconciliation()
    readers = [s for (s, topic) in lines if topic == "bank.events"]
    assert set(readers) >= {"customer", "orders", "scoring"}
    published = len(whole.records("bank.events"))
    assert {lines[s, "bank.events"]["acknowledged"] for s in readers} == {published}
    lost = Counter(whole.outcomes())
    assert [lost[k] for k in ("dead", "quarantined", "parked", "refused", "duplicate")] == [0] * 5


def test_customers_sums_equal_the_file_to_the_haler(whole: Whole):
    expected, _ = sums_of_the_file()
    kept = per_customer(
        whole, "customer",
        "select p.customer_number, sum(a.balance_minor) from accounts a"
        " join parties p using (party_id) group by 1",
    )  # fmt: skip
    assert {c: kept.get(c) for c in expected} == expected
    assert sum(kept.values()) == sum(expected.values())


def test_scorings_store_equals_the_file_to_the_haler(whole: Whole):
    expected, count = sums_of_the_file()
    kept = per_customer(
        whole, "scoring",
        "select customer_number, sum(amount_minor) from bank_events"
        " where type = 'bank.transaction_booked.v1' group by 1",
    )  # fmt: skip
    assert kept == expected
    with whole["scoring"].database.read() as session:
        stored = session.execute(
            text("select count(*) from bank_events where amount_minor is not null")
        )
        assert stored.scalar_one() == count


def test_the_workers_figures_equal_the_file_to_the_haler(whole: Whole):
    """The real worker scores the month; its state is folded by the query side."""
    expected, count = sums_of_the_file()
    with whole.scorer():
        whole.scored(count)
    kept = per_customer(
        whole, "scoring",
        "select customer_number, sum(sum_minor) from account_figures"
        " where currency = 'CZK' group by 1",
    )  # fmt: skip
    assert {c: s for c, s in kept.items() if s or c in expected} == expected
    whole.assert_whole()
