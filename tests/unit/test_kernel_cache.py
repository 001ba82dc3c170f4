"""Compiled code is kept in the folder that the sources name, whoever imports numba first."""

import subprocess
import sys

import pytest


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
