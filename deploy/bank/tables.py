"""Reading the data sets' CSV files, plain or gzip, and money from decimal text."""

import csv
import gzip
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from shared.money import Money


def rows(path: Path) -> Iterator[dict[str, str]]:
    """The rows of a CSV file with a header. Raises FileNotFoundError with the name it sought."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)
    else:
        with path.open(encoding="utf-8", newline="") as file:
            yield from csv.DictReader(file)


def path_of(folder: Path, name: str) -> Path:
    """`name`.csv.gz, else `name`.csv, of a folder."""
    packed = folder / f"{name}.csv.gz"
    return packed if packed.exists() else folder / f"{name}.csv"


def table(folder: Path, name: str) -> Iterator[dict[str, str]]:
    return rows(path_of(folder, name))


def minor(text: str, currency: str) -> int:
    """Minor units of a decimal text, exactly. Raises AmountError for a digit too many."""
    return Money.of(text, currency).minor


def instant(day: date, zone: ZoneInfo, second: int = 0) -> datetime:
    """The n-th second of a local day, in UTC."""
    local = datetime(day.year, day.month, day.day, tzinfo=zone)
    return local.astimezone(UTC) + timedelta(seconds=second)


def dates(first: date, last: date) -> Iterator[date]:
    """Every calendar date from the first to the last, weekends too."""
    day = first
    while day <= last:
        yield day
        day += timedelta(days=1)
