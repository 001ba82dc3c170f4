"""Of records that are states of their key, only the last of a key is done: so a poll may bring more
of them, and the further behind a listener is, the less a record costs.
"""

from collections.abc import Callable, Collection
from typing import Final, Protocol, TypeVar

BEHIND: Final = 1000  # records: a fetch that brings so many is taken together with the next one
MOST: Final = 4  # times as many records as a poll of others may have: they are all in memory
MOST_BYTES: Final = 128 << 20
SOON_S: Final = 0.05  # how long the next fetch is waited for


class _Keyed(Protocol):
    @property
    def topic(self) -> str: ...

    @property
    def key(self) -> bytes | None: ...

    @property
    def value(self) -> bytes | None: ...


R = TypeVar("R", bound=_Keyed)
Fetch = Callable[[float, int], tuple[list[R], bool]]
"""Waits so many seconds for at most so many records. False: what comes next is of elsewhere."""


def gathered(
    fetch: Fetch[R], states: Collection[str], timeout_s: float, records_max: int
) -> list[R]:
    """Records of one fetch or, where topics in `states` are among them, of several, so that there
    is no more to do than for `records_max`: a state counts once for each key."""
    new, goes_on = fetch(timeout_s, records_max)
    found, keys, others, size = list(new), set[bytes | None](), 0, 0
    while states and goes_on and len(new) >= BEHIND:
        size += sum(len(record.value or b"") for record in new)
        of_states = [record.key for record in new if record.topic in states]
        keys.update(of_states)
        others += len(new) - len(of_states)
        room = min(records_max - len(keys) - others, MOST * records_max - len(found))
        if room <= 0 or size >= MOST_BYTES:
            break
        new, goes_on = fetch(SOON_S, room)
        found += new
    return found
