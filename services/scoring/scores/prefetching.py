"""Memory that a loop will need, asked for some rounds ahead.

Of a million customers no cache holds the rows: one row lies in two dozen columns, and to wait for
one after the other takes longer than the rules do. Asked for ahead, the waits pass side by side.
It changes no figure, and to ask for a place that does not exist is no fault.
"""

from typing import Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.core.errors import TypingError
from numba.extending import intrinsic

from services.scoring.scores.compiling import inlined

AHEAD: Final = 8  # rounds: so many misses are under way at once as a core can keep
LINE: Final = 64  # bytes that come together
_READ, _KEEP, _DATA = 0, 3, 1  # as LLVM takes them


@intrinsic  # type: ignore[untyped-decorator]
def _ask_for(typing: Any, column: Any, row: Any, line: Any) -> Any:
    if not isinstance(column, types.Array):
        raise TypingError("only of a column")

    def generate(context: Any, builder: Any, signature: Any, given: Any) -> Any:
        array = context.make_array(signature.args[0])(context, builder, given[0])
        stride = cgutils.unpack_tuple(builder, array.strides, signature.args[0].ndim)[0]
        at = builder.add(builder.mul(given[1], stride), builder.mul(given[2], given[2].type(LINE)))
        place = builder.gep(builder.bitcast(array.data, cgutils.voidptr_t), [at])
        number = ir.IntType(32)
        ask = builder.module.declare_intrinsic(
            "llvm.prefetch", [cgutils.voidptr_t],
            ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, number, number, number]),
        )  # fmt: skip
        builder.call(ask, [place, number(_READ), number(_KEEP), number(_DATA)])
        return context.get_dummy_value()

    return types.void(column, types.int64, types.int64), generate


@inlined
def ask_for(column: Any, row: int, lines: int) -> None:
    """The lines of a column in which a row begins, and those behind it."""
    for line in range(lines):
        _ask_for(column, row, line)
