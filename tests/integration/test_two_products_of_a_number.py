"""An account that becomes another product of the same number, or has two at once: each alerts."""

import json
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from services.scoring import rehearser, risk_model, risk_plan
from services.scoring.__main__ import SERVICE
from services.scoring.commands import rehearsals, rule_sets
from services.scoring.queries import rule_sets as queries
from shared.events import envelope
from shared.events.bank import AccountClosed, AccountOpened, SourceDescribed
from shared.testing.space import ServiceUnderTest, Space
from tests.integration.scoring_room import HEAD, day, due_now, party, relayed, rows
from tests.risk_live import hand_made, of_products
from tests.rule_sets import stricter
from tests.scoring_bank import FIRST_DAY, SOURCE, ScoredBank

MODEL = of_products(hand_made("CA-P"), "CA-P", "CA-Q")
ALERTS = """
    select cast(at as date), ended_at is null from alerts
     where rule = 'collapse' and valid order by at"""


@pytest.fixture
def scoring(space: Space, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ServiceUnderTest:
    file = tmp_path / "first.json"
    risk_model.save(MODEL, file)
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(file))
    return space.service(SERVICE)


@pytest.fixture
def bank(space: Space) -> Iterator[ScoredBank]:
    found = ScoredBank(space, risk_plan.plan_of(MODEL))
    yield found
    found.shut()


def turned(space: Space, bank: ScoredBank, second: str) -> None:
    """C1's account is CA-P, closed on day 260 and then CA-Q: under its own number, or another."""
    party(space, "P1", "C1")
    _opened(bank, "A-C1", "CA-P", 0)
    for n in range(0, 150, 3):
        bank.book("C1", 100, day(n))
    bank.close_through(day(259))
    gone = AccountClosed(customer_number="C1", account_number="A-C1", product_code="CA-P",
                         currency="CNY", closed_on=day(260))  # fmt: skip
    bank._send(gone, "closed", day(260), b"C1", None)
    _opened(bank, second, "CA-Q", 260)
    for n in range(261, 420, 3):
        bank.book("C1", 100, day(n), account=second, product="CA-Q")
    bank.close_through(day(470), day(260))
    bank.score()


def _opened(bank: ScoredBank, number: str, product: str, n: int) -> None:
    fact = AccountOpened(customer_number="C1", account_number=number, product_code=product,
                         currency="CNY", opened_on=day(n))  # fmt: skip
    bank._send(fact, f"opened-{n}", day(n), b"C1", None)


@pytest.mark.parametrize("second", ["A-C1", "A-C1-new"])
def test_each_has_its_own_alert(
    space: Space, scoring: ServiceUnderTest, bank: ScoredBank, second: str
) -> None:
    turned(space, bank, second)
    scoring.drain()
    found = rows(scoring, ALERTS)
    assert [is_open for _, is_open in found] == [False, True]
    due_now(scoring)
    relayed(scoring)
    told = {e.data.party_id: e.data for e in space.read("score.updates")}
    named = [(r.account_number, r.product_code) for r in told["P1"].risks if r.rule == "collapse"]
    assert named == [(second, "CA-Q")]
    page = scoring.client(HEAD).get("/contribution/parties/P1").text
    assert f'data-key="collapse/C1/{second}/CA-Q"' in page
    assert "/CA-P" not in "".join(line for line in page.splitlines() if "collapse/C1" in line)


def test_two_at_once_both_hold(space: Space, scoring: ServiceUnderTest, bank: ScoredBank) -> None:
    """One alert of the party, and both accounts on its page."""
    party(space, "P1", "C1")
    for product in ("CA-P", "CA-Q"):
        for n in range(0, 60, 3):
            bank.book("C1", 100, day(n), product=product)
    bank.close_through(day(150))
    bank.score()
    scoring.drain()
    assert [is_open for _, is_open in rows(scoring, ALERTS)] == [True]
    page = scoring.client(HEAD).get("/contribution/parties/P1").text
    assert 'data-key="collapse/C1/A-C1/CA-P"' in page
    assert 'data-key="collapse/C1/A-C1/CA-Q"' in page


def test_a_rehearsal_comes_to_its_end(
    space: Space, scoring: ServiceUnderTest, bank: ScoredBank
) -> None:
    _described(space)
    turned(space, bank, "A-C1")
    for number, partition in bank.engine.partitions.items():
        count, sums = partition.totals()
        value = {"partition": number, "position": partition.recovered_to, "count": count,
                 "sum_minor": sums, "watermark": partition.closes.watermark}  # fmt: skip
        space.sender.send("scoring.totals", b"%d" % number, json.dumps(value).encode()).result(10)
    scoring.drain()
    space.clock.bank = datetime.combine(day(471), datetime.min.time(), space.clock.bank.tzinfo)
    with scoring.database.transaction(actor_id="S1") as tx:
        number = rule_sets.propose(tx, stricter(MODEL), "Fewer false alarms, we hope")
        rehearsals.ask(tx, number, day(100))
    with scoring.database.transaction() as tx:
        claimed = rehearsals.claim(tx, "one")
    assert claimed is not None
    rehearser.run(scoring.runtime, threading.Event(), claimed)
    with scoring.database.read() as session:
        last = queries.rehearsals_of(session, number)[0]
        told = queries.rehearsed_signals(session, claimed.id, proposed=False)
    assert (last.state, last.failure) == ("done", None)
    alerts = [on for on, _ in rows(scoring, ALERTS)]
    assert last.result["rules"]["collapse"]["now"]["alerts"] == len(alerts) == 2
    raised = {s.product_code for s in told if s.rule == "collapse" and s.kind == "raised"}
    assert raised == {"CA-P", "CA-Q"}


def _described(space: Space) -> None:
    fact = SourceDescribed(source=SOURCE, closes_days=True, active_from=FIRST_DAY)
    event = envelope.wrap(fact, id="source", source=SOURCE, businessdate=FIRST_DAY,
                          time=space.clock.bank - timedelta(days=1))  # fmt: skip
    key = envelope.key_of(event).encode()
    space.sender.send("bank.reference", key, envelope.encode(event)).result(20)
