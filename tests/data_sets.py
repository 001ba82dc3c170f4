"""The public data sets of the tests: beside the project, never in it."""

import csv
import gzip
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "shared" / "data"
needs_data = pytest.mark.skipif(
    not (FOLDER / "berka").is_dir(),
    reason=f"NOT TESTED AGAINST PUBLIC TRUTH: no data sets in {FOLDER}",
)


def table(name: str) -> list[dict[str, str]]:
    """Rows of a compressed CSV file of the data sets."""
    with gzip.open(FOLDER / f"{name}.csv.gz", "rt", encoding="utf-8") as file:
        return list(csv.DictReader(file))
