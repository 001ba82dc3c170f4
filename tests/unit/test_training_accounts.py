"""What training takes for an account: what the scorer watches as one."""

from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

import pytest
from typer.testing import CliRunner

from services.scoring import risk_plan
from services.scoring.__main__ import app
from services.scoring.training import history
from services.scoring.training.history import Account
from shared.events import decode
from shared.events.bank import AccountClosed, AccountOpened, DayClosed, TransactionBooked
from tests import made_bank
from tests.made_bank import BEGIN, Line
from tests.risk_live import Live, hand_made, of_products

LAST: Final = 400


def _on(n: int) -> date:
    return BEGIN + timedelta(days=n)


def _booked(
    n: int, number: str = "1", product: str = "CA", currency: str = "CNY", amount: int = 1000,
    customer: str = "one",
) -> Line:  # fmt: skip
    name = f"{n}-{number}-{product}-{currency}-{customer}"
    fact = TransactionBooked(
        transaction_id=name, account_number=number, customer_number=customer, product_code=product,
        amount_minor=amount, currency=currency, kind="card", initiated_by="customer",
        booked_on=_on(n),
    )  # fmt: skip
    return made_bank.line(fact, name, _on(n))


def _opened(n: int, product: str = "CA", told_on: int | None = None) -> Line:
    fact = AccountOpened(customer_number="one", account_number="1", product_code=product,
                         currency="CNY", opened_on=_on(n))  # fmt: skip
    return made_bank.line(fact, f"opened-{n}-{product}", _on(n if told_on is None else told_on))


def _closed(
    n: int, product: str | None = None, currency: str | None = None, told_on: int | None = None
) -> Line:
    fact = AccountClosed(customer_number="one", account_number="1", closed_on=_on(n),
                         product_code=product, currency=currency)  # fmt: skip
    return made_bank.line(fact, f"closed-{n}-{product}", _on(n if told_on is None else told_on))


def _read(file: Path, lines: Sequence[Line], currency: str = "CNY") -> tuple[Account, ...]:
    closed = made_bank.line(DayClosed(day=_on(LAST)), "close", _on(LAST))
    file.write_bytes(b"".join((*lines, closed)))
    return history.read(file, currency).accounts


def _sums(accounts: Sequence[Account]) -> list[tuple[str, str, int, int]]:
    return [(a.number, a.product_code, len(a.days), int(a.amounts.sum())) for a in accounts]


DAYS: Final = range(0, 300, 5)
MIXED: Final = [
    *(_booked(n) for n in DAYS),
    *(_booked(n, currency="USD", amount=10**8) for n in range(2, 300, 50)),
    *(_booked(n, product="SA", amount=7) for n in DAYS),
    *(_booked(n, customer="two", amount=3) for n in DAYS),
    *(_booked(n, number="2", currency="USD") for n in DAYS),
]


def test_accounts_are_those_that_the_scorer_watches(tmp_path: Path) -> None:
    found = _read(tmp_path / "bank.jsonl", MIXED)
    assert sorted(_sums(found)) == [
        ("1", "CA", 60, 180), ("1", "CA", 60, 60_000), ("1", "SA", 60, 420),
    ]  # fmt: skip
    live = Live(risk_plan.plan_of(of_products(hand_made("CA"), "CA", "SA")))
    for line in MIXED:
        live.feed(line, decode(line).subject.encode())
    scorer = live.replay.engine.partition(0)
    keys = [scorer.key_of(n) for n in range(len(scorer.account_keys))]
    assert len(keys) == 5
    watched = [key[1:3] for n, key in enumerate(keys) if scorer.watched.places[n, 0] >= 0]
    assert sorted(watched) == sorted((a.number, a.product_code) for a in found)


def test_another_banks_currency_is_asked_for(tmp_path: Path) -> None:
    found = _read(tmp_path / "bank.jsonl", MIXED, "USD")
    assert _sums(found) == [("1", "CA", 6, 6 * 10**8), ("2", "CA", 60, 60_000)]


def test_a_file_of_another_currency_teaches_nothing(tmp_path: Path) -> None:
    file, out = tmp_path / "bank.jsonl", tmp_path / "model.json"
    file.write_bytes(b"".join(_booked(n, currency="USD") for n in (0, 5)))

    def says(*more: str) -> str:
        done = CliRunner().invoke(app, ["train", str(file), "--out", str(out), *more])
        assert done.exit_code == 1
        return done.output

    assert "has no transaction (bank.transaction_booked.v1) in CNY" in says()
    assert "too short" in says("--currency", "USD"), "it was read"
    assert "XXX" in says("--currency", "XXX")


BOTH: Final = [_opened(0), *(_booked(n) for n in (10, 300)),
               _opened(5, "SA"), *(_booked(n, product="SA") for n in (10, 300))]  # fmt: skip


@pytest.mark.parametrize(
    ("lines", "ends"),
    [
        (BOTH, (None, None)),
        ([*BOTH, _closed(350, "CA")], (350, None)),
        ([*BOTH, _closed(350, "SA")], (None, 350)),
        ([*BOTH, _closed(350)], (None, None)),
        ([*BOTH[:3], _closed(350), *BOTH[3:]], (350, None)),
        ([*BOTH[:3], _booked(1, currency="USD"), _closed(350), *BOTH[3:]], (None, None)),
        ([*BOTH[:3], _booked(1, currency="USD"), _closed(350, None, "CNY"), *BOTH[3:]],
         (350, None)),
    ],
    ids=["none", "the first", "the second", "names neither", "before the second",
         "of another currency as well", "names the currency"],
)  # fmt: skip
def test_a_closing_ends_the_one_that_it_can_only_mean(
    lines: list[Line], ends: tuple[int | None, int | None], tmp_path: Path
) -> None:
    """As in the worker, which refuses one that fits several."""
    accounts = {a.product_code: a for a in _read(tmp_path / "bank.jsonl", lines)}
    assert [accounts[p].closed_on for p in ("CA", "SA")] == [
        n if n is None else _on(n).toordinal() for n in ends
    ]
    assert [accounts[p].opened_on for p in ("CA", "SA")] == [
        _on(n).toordinal() for n in (0, 5)
    ]


@pytest.mark.parametrize(
    ("lines", "lives"),
    [
        ([_opened(0), _closed(100), _opened(120), *(_booked(n) for n in (10, 119, 120, 300))],
         [("CA", 0, 100, [10, 119]), ("CA", 120, None, [120, 300])]),
        ([_opened(0), _closed(100), _closed(150), *(_booked(n) for n in (10, 40))],
         [("CA", 0, 100, [10, 40])]),
        ([_opened(20), *(_booked(n) for n in (10, 40))],
         [("CA", 10, None, [10, 40])]),
        ([_opened(5, told_on=20), *(_booked(n) for n in (10, 40))],
         [("CA", 5, None, [10, 40])]),
        ([_opened(0), _closed(40, told_on=100), *(_booked(n) for n in (10, 60))],
         [("CA", 0, 100, [10, 60])]),
        ([_opened(0), _booked(10), _closed(100), _opened(120, "SA"), _booked(130, product="SA")],
         [("CA", 0, 100, [10]), ("SA", 120, None, [130])]),
    ],
    ids=["a booking of the day of the opening", "closed twice", "booked before it was opened",
         "opened before it was told", "closed before it was told", "turned into another product"],
)  # fmt: skip
def test_each_life_is_an_account(
    lines: list[Line], lives: list[tuple[str, int, int | None, list[int]]], tmp_path: Path
) -> None:
    begin = BEGIN.toordinal()
    assert [
        (a.product_code, a.opened_on - begin, a.closed_on and a.closed_on - begin,
         [day - begin for day in a.days.tolist()])
        for a in _read(tmp_path / "bank.jsonl", lines)
    ] == lives  # fmt: skip
