"""Workers on a real broker, accounts that stay idle for weeks: the pages say what `replay` says."""

import csv
import io
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from random import Random

from services.scoring import replay
from services.scoring.roller import Roller
from shared.events import Event
from shared.events.bank import RateSet
from shared.events.envelope import encode
from tests.golden import berka_g1, day_by_day
from tests.integration import worker_room
from tests.integration.rolls_room import (
    LAST,
    added,
    after_the_close,
    all_sums,
    idle_bank,
    through,
)
from tests.integration.scoring_room import HEAD, party
from tests.integration.test_scoring_totals import residual
from tests.integration.test_worker_contribution import described_g1, of_g1
from tests.integration.worker_room import Room
from tests.ledger_bank import CURRENCY, FIRST_DAY, event_of, plain, stream
from tests.scored import MODEL, Sums
from tests.workers import closed, described

room = worker_room.room
NEXT = LAST + timedelta(days=1)


def roll(room: Room) -> None:
    one = Roller(room.scoring.runtime)
    while one.step():
        pass


def replayed(events: Iterable[Event], rates: Iterable[Event], folder: Path) -> Sums:
    """What the scorer's own code makes of the same events and closes, from files."""
    file, of_rates = folder / "events.jsonl", folder / "rates.jsonl"
    for path, told in ((file, [described(from_on=FIRST_DAY), *events]), (of_rates, rates)):
        path.write_bytes(b"".join(encode(event) + b"\n" for event in told))
    one = replay.Replay(MODEL, currency=CURRENCY, zone="Asia/Shanghai", until=NEXT)
    replay.run(one, file, of_rates, [])
    assert not one.result.refused
    return added(*({key[:3]: amount} for key, amount in one.result.leaves.items()))


def by(sums: Sums, of: Callable[[tuple[str, str, str]], str]) -> dict[str, int]:
    found: Counter[str] = Counter()
    for key, amount in sums.items():
        found[of(key)] += amount
    return {code: amount for code, amount in found.items() if amount}


def shown(room: Room, path: str) -> dict[str, int]:
    """Posted and accrued of each row of a CSV of the contribution's page."""
    body = room.scoring.client(HEAD).get(f"/contribution/{path}").text.removeprefix("\ufeff")
    lines = list(csv.reader(io.StringIO(body)))[1:]
    at = 2 if path.startswith("value") else 1
    found = {line[0]: sum(int(Decimal(cell) * 100) for cell in line[at : at + 2]) for line in lines}
    return {code: amount for code, amount in found.items() if amount}


def as_replayed(room: Room, truth: Sums) -> None:
    """Bank, products and customers on the pages, to the minor unit."""
    assert all_sums(room.scoring) == truth
    products = shown(room, "value.csv?by=product")
    assert products.pop("合计") == sum(truth.values())
    assert products == by(truth, lambda key: key[1])
    customers = shown(room, "earned.csv")
    assert customers == by(truth, lambda key: f"P{int(key[0]) // 10}")
    assert residual(room.scoring) == 0


def test_the_pages_say_at_each_close_what_a_replay_to_it_says(room: Room, tmp_path: Path) -> None:
    bank = idle_bank(8)
    told = stream(bank, Random(8), repeats=0)
    for n in range(3):
        party(room.space, f"P{n}", f"C{n}")
    room.stand_at(NEXT)
    room.workers.describe(*bank.rates)
    room.workers.publish(told)
    room.start(GUANXI_CURRENCY=CURRENCY)
    room.settle()
    truth = replayed(told, bank.rates, tmp_path)
    assert truth == day_by_day.leaves(plain(bank.rates), plain([e for _, e in bank.events]), LAST)
    assert all_sums(room.scoring) != truth, "no account was idle: the test proves nothing"
    roll(room)
    as_replayed(room, truth)
    assert {row[1:3] for row in through(room.scoring)} == {(LAST, LAST)}
    page = room.scoring.client(HEAD).get("/contribution", params={"lang": "en"}).text
    assert "已计提至" in page

    # A price for days that are closed, then an event and one more close.
    late = RateSet(kind="transfer_price", product_code="CA", from_on=LAST - timedelta(days=9),
                   value=77_000)  # fmt: skip
    rate = event_of(late, "late-rate", NEXT)
    more = [*(after_the_close(f"C{n}", f"{10 * n}", n) for n in range(2)), closed(NEXT)]
    room.workers.describe(rate)
    room.stand_at(NEXT + timedelta(days=1))
    room.workers.publish(more)
    room.settle()
    roll(room)
    as_replayed(room, replayed([*told, rate, *more], bank.rates, tmp_path))
    assert {row[1:3] for row in through(room.scoring)} == {(NEXT, NEXT)}


@of_g1
def test_the_golden_sums_stand_on_the_query_side(room: Room) -> None:
    """Nobody settles anything: the tables say it."""
    room.stand_at(berka_g1.LAST + timedelta(days=1))
    events = described_g1(room.workers)
    room.workers.publish(events)
    room.start(GUANXI_CURRENCY=berka_g1.CURRENCY)
    room.settle()
    assert sum(all_sums(room.scoring).values()) != berka_g1.TOTAL, "the rolls change nothing"
    roll(room)
    berka_g1.check(all_sums(room.scoring))
    assert {row[2] for row in through(room.scoring)} == {berka_g1.LAST}
