"""Kernels count no references to arrays, and let go of each array that one of them makes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import numba
import numpy as np
import pytest
from numba.core.errors import NumbaError
from numba.core.runtime import _nrt_python, rtsys

from services.scoring import risk_plan, warm
from services.scoring.scores import looking, watching
from services.scoring.scores.compiling import allocating, compiled
from tests.risk_live import hand_made
from tests.unit.test_looking import account_of

COUNTING = "NRT_incref"  # what numba calls for each array that is handed on


def _each(rows: np.ndarray, n: int) -> int:
    found = 0
    for i in range(n):
        one = rows[i]
        if one[0] > found:
            found = _first(one)
    return found


@compiled
def _first(one: np.ndarray) -> int:
    return int(one[0])


@allocating
def _fresh(n: int) -> np.ndarray:
    return np.zeros(n, np.int64)


def _asks(n: int) -> int:
    return len(_fresh(n))


def _makes(n: int) -> int:
    return len(np.zeros(n, np.int64))


def uncached(compile_: Callable[[Any], Any], function: Callable[..., int]) -> Any:
    """Compiled anew: what is kept is kept by name, whichever way it was compiled."""
    options = compile_(function).targetoptions
    return numba.jit(**options)(function)


def test_what_is_compiled_counts_no_references() -> None:
    rows = np.arange(6, dtype=np.int64).reshape(3, 2)
    texts = []
    for compile_ in (compiled, allocating):
        function = uncached(compile_, _each)
        assert function(rows, 3) == 4
        texts.append("".join(function.inspect_llvm().values()))
    counts_not, counts = texts
    assert COUNTING not in counts_not
    assert COUNTING in counts, "the control: numba counts where it is let"


@contextmanager
def kept() -> Iterator[list[int]]:
    """How many arrays that kernels made are left when the block ends."""
    found: list[int] = []
    _nrt_python.memsys_enable_stats()
    before = rtsys.get_allocation_stats()
    yield found
    after = rtsys.get_allocation_stats()
    _nrt_python.memsys_disable_stats()
    found += [after.alloc - before.alloc, after.alloc - before.alloc - after.free + before.free]


def test_no_kernel_of_the_worker_keeps_an_array() -> None:
    plan = risk_plan.plan_of(hand_made("warm"))
    with kept() as found:
        warm.compile_kernels(plan)  # every kernel, and what explains alerts
    made, left = found
    assert made > 0
    assert left == 0


def test_the_features_of_a_look_are_let_go_of() -> None:
    watch, last = account_of(Random(3))
    watch.pool[watching.HEAD + 1] = last - 400  # old enough to be asked
    with kept() as found:
        for _ in range(10):
            looking.next_look(watch, 0, last, last)
    made, left = found
    assert made >= 10
    assert left == 0


def test_a_kernel_that_is_given_an_array_keeps_it_for_ever() -> None:
    """The control: numba lets it pass, so that the tests above must see it."""
    for compile_, left in ((allocating, 0), (compiled, 1)):
        function = uncached(compile_, _asks)
        assert function(3) == 3
        with kept() as found:
            function(3)
        assert found == [1, left]


def test_a_kernel_can_make_no_array() -> None:
    assert uncached(allocating, _makes)(3) == 3
    with pytest.raises(NumbaError):
        uncached(compiled, _makes)(3)
