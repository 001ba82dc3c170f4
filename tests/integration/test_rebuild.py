"""The state built anew from the log is the live one; as of a past day it is what it was then."""

import csv
import json
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import pytest
from typer.testing import CliRunner

from services.scoring import rebuild, rebuilding, risk_model, state
from services.scoring.__main__ import app
from services.scoring.canonical import Digest
from services.scoring.leaves import Leaf, encode
from services.scoring.rebuild import Rebuild, Rebuilt, Stepped
from services.scoring.rows import KIND_CUSTOMER
from services.scoring.waiting import Waiting
from shared.events.bank import LoanGranted, TransactionBooked
from shared.wire import Record
from tests.golden import day_by_day
from tests.integration import worker_room
from tests.integration.worker_room import Room
from tests.ledger_bank import FIRST_DAY, plain, random_bank, restatements, stream
from tests.risk_live import hand_made
from tests.rule_sets import PRODUCT, day
from tests.workers import opened_long_ago, small_bank

room = worker_room.room
FIRST, LAST = 40, 70


def whole(parts: Iterator[Stepped]) -> Digest:
    found = Digest()
    for part in parts:
        found = found.plus(part.rebuilt().digest)
    return found


def of_the_room(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    """The settings of the command."""
    settings = room.scoring.runtime.settings
    monkeypatch.setenv("GUANXI_KAFKA", settings.kafka)
    monkeypatch.setenv("GUANXI_DATABASE", settings.database)
    monkeypatch.setenv("GUANXI_TOPIC_PREFIX", settings.topic_prefix)


def test_the_rebuilt_state_is_the_live_one_now_and_as_of_a_past_day(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "first.json"
    risk_model.save(hand_made(PRODUCT), file)
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(file))
    building = Rebuild(room.scoring.runtime.settings, room.scoring.database)
    bank = small_bank(customers=40, days=LAST + 1, per_day=20)
    bank.events[:0] = opened_long_ago(bank)
    cut = next(n for n, e in enumerate(bank.events) if e.id == f"close-core-{day(FIRST)}") + 1
    room.stand_at(day(LAST))
    room.workers.publish(bank.events[:cut])
    store_off = {"GUANXI_WORKER_EVENT_STORE": "0"}
    worker = room.start(**store_off)
    room.settle()
    then = {part.number: part.rebuilt() for part in building.live()}
    assert {part.closed_on for part in then.values()} == {day(FIRST)}

    room.workers.publish(bank.events[cut:])
    room.settle()
    worker.kill()  # and what the next one writes by other batches is the same
    room.start(GUANXI_WORKER_RECORDS_MAX="90", **store_off)
    room.settle()
    now, rebuilt = whole(building.live()), whole(building.from_log())
    assert now.customers == len(bank.counts)
    assert rebuilt == now
    assert {p.number: p.rebuilt() for p in building.from_log(day(FIRST))} == then
    assert whole(building.from_log(day(FIRST))) != now

    of_the_room(room, monkeypatch)
    said = CliRunner().invoke(app, ["rebuild"])
    assert said.exit_code == 0, said.output
    assert said.output.count(now.text) == 2

    # The negative control: one event of the log is missing.
    monkeypatch.setattr(rebuild.queries, "refused", lambda session, number: {30 + number})
    monkeypatch.setattr(rebuild, "TRIES", 2)
    lacking = whole(building.from_log())
    assert (lacking.customers, lacking.hash != now.hash) == (now.customers, True)
    said = CliRunner().invoke(app, ["rebuild"])
    assert said.exit_code == 1
    assert "is not what the log makes, in partitions [" in said.output


def test_a_state_between_two_records_of_a_batch_is_read_again(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a batch that the worker is writing, one customer's record is not there yet."""
    bank = small_bank(customers=20, days=10, per_day=20)
    room.stand_at(day(10))
    room.workers.publish(bank.events)
    room.start(GUANXI_WORKER_EVENT_STORE="0")
    room.settle()
    building = Rebuild(room.scoring.runtime.settings, room.scoring.database)
    monkeypatch.setattr(rebuild, "PAUSE_S", 0)
    monkeypatch.setattr(rebuild, "TRIES", 2)
    whole_log, reads = building._records, Counter[int]()
    torn = 1  # so many reads of each partition's state lack a record

    def records(topic: str, number: int, begin: int = 0) -> Iterator[list[Record]]:
        if topic != rebuild.STATE:
            yield from whole_log(topic, number, begin)
            return
        found = [r for batch in whole_log(topic, number, begin) for r in batch]
        reads[number] += 1
        if reads[number] <= torn:
            found.remove(_not_the_furthest(found))
        yield found

    monkeypatch.setattr(building, "_records", records)
    assert all(made == live for made, live in building.compared())
    assert set(reads.values()) == {2}, "each was read again"

    reads.clear()  # The negative control: what never comes is a difference.
    torn = 2
    assert not any(made == live for made, live in building.compared())
    assert set(reads.values()) == {2}


def _not_the_furthest(found: list[Record]) -> Record:
    """The last record of a customer whose row others are ahead of."""
    newest = {r.key: r for r in found
              if r.value and state.kind_of(r.value) == KIND_CUSTOMER}  # fmt: skip
    return min(newest.values(), key=lambda r: state.place_of(r.value or b""))


def test_ledgers_and_leaves_are_compared_at_one_place_of_the_log(
    room: Room, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate for closed days comes, a worker is killed, and the bank goes on while it is asked."""
    bank = random_bank(11)
    told = stream(bank, Random(11), repeats=0)
    third, late = len(told) // 3, restatements(4, bank, many=1)[0][1]
    room.stand_at(FIRST_DAY + timedelta(days=bank.days))
    room.workers.describe(*bank.rates)
    room.workers.publish(told[:third])
    worker = room.start(GUANXI_WORKER_RECORDS_MAX="40")
    room.settle()
    worker.kill()
    room.start()
    room.workers.describe(late)
    room.workers.publish(told[third : 2 * third])
    room.settle()

    building = Rebuild(room.scoring.runtime.settings, room.scoring.database)
    written, old = building._written, dict[int, Rebuilt]()

    def while_the_bank_goes_on(number: int) -> Stepped:
        one = written(number)
        if not old and one.rebuilt().digest.customers:
            room.workers.publish(told[2 * third :])
            old[number] = one.rebuilt()
        return one

    monkeypatch.setattr(building, "_written", while_the_bank_goes_on)
    monkeypatch.setattr(rebuild, "TRIES", 1)
    compared = {made.partition: (made, live) for made, live in building.compared()}
    room.settle()
    now, rebuilt = whole(building.live()), whole(building.from_log())
    assert now == rebuilt
    ((number, before),) = old.items()
    assert compared[number] == (before, before)
    assert before not in [one.rebuilt() for one in building.live()], "nothing went on: no proof"

    # The negative control: a cent more in one leaf, or a leaf less.
    leaf = msgspec.json.decode(room.workers.read("scoring.leaves")[0][2] or b"", type=Leaf)
    forged = msgspec.structs.replace(leaf, period="2031-01", amount_minor=1)
    number = room.workers.read("scoring.leaves")[0][0]
    room.workers.send([(number, leaf.customer_number.encode(), encode(forged))],
                      topic="scoring.leaves")  # fmt: skip
    assert whole(building.live()) != now
    assert whole(building.from_log()) == now


def test_what_waited_for_its_loan_and_was_replayed_is_in_what_the_log_makes(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The teller's system told of an instalment before that of the loans told of the loan."""
    bank = random_bank(13)
    told = stream(bank, Random(13), repeats=0)
    granted = {e.data.loan_number: n for n, e in enumerate(told) if type(e.data) is LoanGranted}
    paid = {e.data.loan_number: e for e in told
            if type(e.data) is TransactionBooked and e.data.kind == "loan_instalment"}  # fmt: skip
    waiting = [paid[loan] for loan in granted if loan in paid]
    through = max(granted.values()) + 1
    room.stand_at(FIRST_DAY + timedelta(days=bank.days))
    room.workers.describe(*bank.rates)
    room.start()
    for part in (waiting, [e for e in told[:through] if e not in waiting]):
        room.workers.publish(part)
        room.settle()
    letters = room.letters()
    assert len(letters) == len(waiting) > 0
    assert all("is not known" in letter["reason"] for letter in letters)
    monkeypatch.setattr(rebuild, "read_span", partial(rebuild.read_span, records_max=1))
    building = Rebuild(room.scoring.runtime.settings, room.scoring.database)
    assert whole(building.from_log()) == whole(building.live()), "refused, it has no figure"
    assert [room.replay(letter) for letter in letters] == [202] * len(letters)
    room.settle()
    assert not room.letters()
    room.workers.publish([e for e in told[through:] if e not in waiting])
    room.settle()
    of_the_room(room, monkeypatch)
    said = CliRunner().invoke(app, ["rebuild"])
    assert said.exit_code == 0, said.output
    assert "left out" not in said.output

    outside = FIRST_DAY + timedelta(days=bank.days + 400)
    before = FIRST_DAY - timedelta(days=1)
    for command, words in (
        (["--as-of", outside.isoformat()], f"not {outside}"),
        (["--as-of", before.isoformat()], f"nothing was closed by {before}: the first day that"
                                          f" the log has closed is {FIRST_DAY}"),
        (["--out", str(tmp_path / "none" / "x.csv")], "cannot be written: No such file"),
    ):
        refused = CliRunner().invoke(app, ["rebuild", *command])
        assert (refused.exit_code > 0, words in " ".join(refused.output.split())) == (True, True)
        assert not refused.stdout, "no head of a table that does not come"

    # The negative control: they are stepped at their own places only.
    monkeypatch.setattr(Waiting, "again", lambda *_: iter(()))
    monkeypatch.setattr(rebuild, "TRIES", 1)
    said = CliRunner().invoke(app, ["rebuild"])
    assert said.exit_code == 1
    assert said.output.count("events that were replayed are left out") >= 1


def test_the_customers_of_a_past_day_with_their_figures_and_contribution(
    room: Room, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the rates of now: one of them was told after the day."""
    bank = random_bank(12)
    told = stream(bank, Random(12), repeats=0)
    on, late = FIRST_DAY + timedelta(days=40), restatements(5, bank, many=1)[0][1]
    through = next(n for n, e in enumerate(told) if getattr(e.data, "day", None) == on) + 1
    room.stand_at(FIRST_DAY + timedelta(days=bank.days))
    room.workers.describe(*bank.rates, late)
    room.workers.publish(told)  # no worker runs: the log is all that is asked
    room.scoring.drain()
    of_the_room(room, monkeypatch)
    sheet, lines = tmp_path / "then.csv", tmp_path / "then.jsonl"
    for file in (sheet, lines):
        command = ["rebuild", "--as-of", on.isoformat(), "--out", str(file)]
        assert CliRunner().invoke(app, command).exit_code == 0
    with sheet.open() as read:
        rows = {row["customer_number"]: row for row in csv.DictReader(read)}
    told_by_line = [json.loads(line) for line in lines.read_text().splitlines()]
    assert {row["closed_on"] for row in rows.values()} == {on.isoformat()}
    for row in told_by_line:
        told_in_csv = rows[row["customer_number"]]
        assert {name: told_in_csv[name] for name in row} == {k: str(v) for k, v in row.items()}

    leaves = day_by_day.leaves(plain([*bank.rates, late]), plain(told[:through]), on)
    assert len(leaves) > 10
    owner = {f"{10 * n + m}": f"C{n}" for n in range(3) for m in range(2)}
    owner |= {f"LC{n}": f"C{n}" for n in range(2)}
    truth: Counter[tuple[str, str]] = Counter()
    for (account, _, component), amount in leaves.items():
        truth[owner[account], component] += amount
        truth[owner[account], "contribution_minor"] += amount
    assert {(number, name): int(row[name]) for number, row in rows.items()
            for name in ("contribution_minor", *rebuilding.NAMES) if int(row[name])} == {
        key: amount for key, amount in truth.items() if amount}  # fmt: skip
    for number, row in rows.items():
        own = [e.data for e in told[:through] if isinstance(e.data, TransactionBooked)
               and e.data.customer_number == number]  # fmt: skip
        assert (int(row["count"]), int(row["balance_minor"])) == (
            len(own), sum(fact.amount_minor for fact in own)
        )  # fmt: skip

    shown = CliRunner().invoke(app, ["rebuild", "--as-of", on.isoformat()])
    assert all(f" {number} " in shown.stdout for number in rows)
    assert CliRunner().invoke(app, ["rebuild", "--out", str(tmp_path / "x.xls")]).exit_code == 2
