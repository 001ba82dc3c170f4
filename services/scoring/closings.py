"""Which account a closing ends, by what was told alone: as the worker finds it (uses.py)."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

Key = TypeVar("Key", bound=tuple[str, ...])


def ended(
    named: Sequence[str | None], before: Iterable[Key], every: Iterable[Key]
) -> Key | None:
    """The one account that is all that the closing names; none in `named`: it does not say. Of
    several told before it, it ends none. Where none was told before it, it waited for its opening.
    """
    for known in (before, every):
        found = {key for key in known if _is(key, named)}
        if found:
            return found.pop() if len(found) == 1 else None
    return None


def _is(key: tuple[str, ...], named: Sequence[str | None]) -> bool:
    return all(name in (None, part) for name, part in zip(named, key, strict=True))
