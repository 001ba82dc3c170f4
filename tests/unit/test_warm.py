"""Who waits for the scorer's rules to be compiled is told so; who need not wait is told nothing."""

from typing import Any

import numba
import pytest
from numba.core import event

from services.scoring import warm


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.setattr(warm, "_TELL_S", 0.0)
    return []


def told(function: Any, said: list[str]) -> None:
    listener = warm.Told(said.append)
    with event.install_listener("numba:compile", listener):
        function(1)
    listener.finish()


def test_it_tells_that_it_compiles_how_far_it_is_and_when_it_is_done(said: list[str]) -> None:
    function = numba.njit(lambda x: x + 1)
    told(function, said)
    assert [line.rstrip("0123456789 s") for line in said] == [
        "the scorer: compiling its rules (about a minute the first time)",
        "the scorer: 1 functions compiled,",
        "the scorer: its rules are compiled,",
    ]
    said.clear()
    told(function, said)
    assert said == [], "nothing was left to compile"
