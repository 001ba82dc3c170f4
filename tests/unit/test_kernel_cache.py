"""Compiled code is kept in the folder that the sources name, whoever imports numba first."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize("first", ["numba", "services.scoring.scores.compiling"])
def test_machine_code_is_never_kept_beside_the_sources(first: str) -> None:
    told = f"""
import {first}
from services.scoring.scores.compiling import CACHE
from services.scoring.scores.contribution.months import month_of
print(month_of._cache.cache_path.startswith(str(CACHE)))
"""
    done = subprocess.run(
        [sys.executable, "-c", told], check=True, capture_output=True, text=True
    )  # fmt: skip
    assert done.stdout.split() == ["True"]


COMPILED = """
from services.scoring.scores.contribution.months import month_of
month_of(20_000)
print(month_of.stats.cache_hits.total(), month_of.stats.cache_misses.total())
"""


def test_another_checkout_of_the_same_sources_finds_it_compiled(tmp_path: Path) -> None:
    def hits_and_misses(checkout: Path) -> list[str]:
        own = {**os.environ, "GUANXI_KERNEL_CACHE": str(tmp_path / "kept")}
        own.pop("NUMBA_CACHE_DIR", None)
        done = subprocess.run(
            [sys.executable, "-c", COMPILED], cwd=checkout, check=True, capture_output=True,
            text=True, env=own,
        )  # fmt: skip
        return done.stdout.split()

    other = tmp_path / "other"
    for package in ("services", "shared"):
        shutil.copytree(CHECKOUT / package, other / package)
    assert hits_and_misses(CHECKOUT) == ["0", "1"]
    assert hits_and_misses(other) == ["1", "0"]
    with (other / "services/scoring/scores/contribution/months.py").open("a") as source:
        source.write("\n# changed\n")
    assert hits_and_misses(other) == ["0", "1"]
