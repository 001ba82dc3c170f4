"""Configuration G1: the Czech bank to 1994-03-30, its rates in `rates_g1.jsonl`, and what must
come out to the haler. The truth was computed outside this repository."""

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

from deploy.bank import berka
from shared.events import Event, encode

DATA = Path(__file__).parents[3] / "shared" / "data" / "berka"
RATES = Path(__file__).parent / "rates_g1.jsonl"
LAST = date(1994, 3, 30)
CURRENCY, ZONE = berka.CURRENCY, "Europe/Prague"

TOTAL, LEAVES = 55_373_225, 5_828
SHA256 = "ef3fbf51a8f0b6ad8fdd66fcd2e466491470ed5f319a8ed0ae2e59f0f70ffc7a"
COMPONENTS = {
    "ftp": 209_770_715, "interest_paid": -109_821_230, "interest_recv": 37_840, "fee": 7_809_980,
    "abc_txn": -36_307_950, "abc_maint": -12_570_040, "el": -3_546_090,
}  # fmt: skip
PRODUCTS = {"CA": 53_725_226, "LN": 1_660_160, "OD": -12_161}
REGIONS = {
    "Prague": 6_788_605, "central Bohemia": 7_277_597, "east Bohemia": 6_835_541,
    "north Bohemia": 5_782_000, "north Moravia": 9_951_411, "south Bohemia": 3_980_063,
    "south Moravia": 9_288_973, "west Bohemia": 5_469_035,
}  # fmt: skip
CUSTOMERS, MANAGERS, BELOW_ZERO = 1_229, 230, 76
TOP, LOWEST = ("13539", 328_085), ("11497", -131_090)
ACCOUNT_576 = {
    "ftp": 186_578, "interest_paid": -90_130, "fee": 14_600, "abc_txn": -29_700,
    "abc_maint": -18_160,
}  # fmt: skip


def events() -> list[Event[Any]]:
    """All events of the configuration, reference data of the bank first."""
    return list(berka.events(DATA, src="A", last=LAST))


def write_events(file: Path) -> Path:
    """The events as JSON Lines."""
    file.write_bytes(b"".join(encode(event) + b"\n" for event in events()))
    return file


def plain(file: Path) -> list[dict[str, Any]]:
    """The lines of a file as plain JSON."""
    with file.open() as lines:
        return [json.loads(line) for line in lines]


def digest(sums: Mapping[tuple[str, str, str], int]) -> str:
    """SHA-256 of `account|product|component|minor`, sorted, summed over periods."""
    lines = [f"{account}|{product}|{component}|{amount}"
             for (account, product, component), amount in
             sorted(sums.items(), key=lambda item: (int(item[0][0]), *item[0][1:]))]  # fmt: skip
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def by(sums: Mapping[tuple[str, str, str], int], place: int) -> dict[str, int]:
    """Sums by account (0), product (1) or component (2)."""
    found: dict[str, int] = {}
    for key, amount in sums.items():
        found[key[place]] = found.get(key[place], 0) + amount
    return found


def check(sums: Mapping[tuple[str, str, str], int]) -> None:
    """Every row of the table, and the digest. Raises AssertionError."""
    assert sum(sums.values()) == TOTAL
    assert len(sums) == LEAVES
    assert by(sums, 2) == COMPONENTS
    assert by(sums, 1) == PRODUCTS
    of_576 = {component: amount for (account, _, component), amount in sums.items()
              if account == "576"}  # fmt: skip
    assert of_576 == ACCOUNT_576
    assert digest(sums) == SHA256
