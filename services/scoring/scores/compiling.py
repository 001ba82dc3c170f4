"""Compiles the functions of the state path.

numba looks for changes only in a function's own file, so its cache folder is named by a hash of
all files whose code ends up in a kernel: stale machine code can never run. A function is kept there
by its place in the checkout: another checkout of the same sources finds it compiled.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])

_HERE = Path(__file__).resolve().parent
_CHECKOUT = _HERE.parents[2]
_SOURCES = (
    *sorted(_HERE.rglob("*.py")),
    *(_HERE.parent / f"{name}.py" for name in (
        "account_rows", "ahead", "applied_ids", "arming", "beginning", "firing", "id_hash",
        "interned", "json_text", "kernel", "leaving", "packing", "record_batch", "records", "rows",
        "scanning", "signal_rows", "unpacking",
    )),
)


def sources_hash() -> str:
    """Names the compiled code: changes with any file that a kernel is made of."""
    digest = hashlib.sha256()
    for source in _SOURCES:
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


def cache_folder() -> Path:
    """Where compiled kernels are kept; GUANXI_KERNEL_CACHE overrides the machine's temporary one.

    The temporary folder is the user's own, so that nobody else can leave code in it.
    """
    given = os.environ.get("GUANXI_KERNEL_CACHE")
    if given:
        return Path(given) / sources_hash()
    home = os.environ.get("XDG_CACHE_HOME")
    base = Path(home) if home else Path.home() / ".cache"
    if not os.access(base if base.exists() else base.parent, os.W_OK):
        base = Path(tempfile.mkdtemp(prefix="guanxi-kernel-"))
    return base / "guanxi-kernel" / sources_hash()


CACHE = Path(os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_folder())))

import numba  # noqa: E402 - reads the folder when it is imported
from numba.core.caching import UserProvidedCacheLocator  # noqa: E402


class PlaceInCheckout(UserProvidedCacheLocator):  # type: ignore[misc]
    """Where in the cache folder a function is kept."""

    @classmethod
    def get_suitable_cache_subpath(cls, py_file: str) -> str:
        folder = Path(py_file).resolve().parent
        if folder.is_relative_to(_CHECKOUT):
            return "_".join(folder.relative_to(_CHECKOUT).parts)
        return str(super().get_suitable_cache_subpath(py_file))


# Who imported it before had it keep machine code beside the sources, where stale code runs.
numba.config.CACHE_DIR = str(CACHE)
numba.config.CACHE_LOCATOR_CLASSES = f"{__name__}.{PlaceInCheckout.__name__}"

# Without numba's counting of references to arrays: one atomic step for each of the two dozen of a
# book or a watch, at every call within a kernel, took more than the rules. Whoever calls from
# Python holds the arrays meanwhile. What is compiled so can make no array (numba refuses it), and
# must be given none: it would stay for ever.
_compile = numba.njit(cache=True, nogil=True, _nrt=False)
_inline = numba.njit(cache=True, nogil=True, forceinline=True, _nrt=False)
_count = numba.njit(cache=True, nogil=True, _nrt=True)


def compiled(function: F) -> F:
    """The function, compiled at its first call for each set of types."""
    return cast(F, _compile(function))


def inlined(function: F) -> F:
    """The same, within whatever calls it. For the steps of one event: a book or a watch is a
    hundred words to hand over, which LLVM does not see when it decides by size alone."""
    return cast(F, _inline(function))


def allocating(function: F) -> F:
    """The same, for what makes arrays or is given one by a function that does. To what is
    `compiled` it returns numbers only."""
    return cast(F, _count(function))
