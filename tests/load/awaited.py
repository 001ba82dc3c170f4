"""Events that were sent and have not come to a place yet: each is awaited, none is left out."""

from collections import defaultdict, deque
from dataclasses import dataclass, field
from typing import Final

import typer

from tests.load.pace import Sent
from tests.load.stage import spread

ENOUGH: Final = 1000  # a 99th percentile of fewer is a matter of ten events


def some_after(rate: int, seconds: float, warm_up_s: float) -> None:
    """Of fewer events after the warm-up nothing could be said."""
    if rate * (seconds - warm_up_s) <= ENOUGH:
        raise typer.BadParameter(
            f"{rate} events/s for {seconds:g} s are too few: after {warm_up_s:g} s of warm-up"
            f" there must be more than {ENOUGH:,}"
        )


@dataclass
class Awaited:
    """Events sent that have not come to a place yet, by customer, and how long others took."""

    sent: Sent
    offsets: defaultdict[tuple[int, str], deque[int]] = field(  # by partition and customer
        default_factory=lambda: defaultdict(deque)
    )
    took: list[tuple[float, float]] = field(default_factory=list)  # when sent, seconds

    def expect(self, partition: int, number: str, offset: int) -> None:
        self.offsets[partition, number].append(offset)

    def come(self, partition: int, number: str, position: int, now: float) -> None:
        """All of this customer up to this place in `bank.events`."""
        waiting, at = self.offsets[partition, number], self.sent[partition]
        while waiting and waiting[0] <= position:
            sent_at = at[waiting.popleft()]
            self.took.append((sent_at, now - sent_at))

    def left(self) -> int:
        return sum(map(len, self.offsets.values()))

    def spread(self, begun: float, warm_up_s: float) -> dict[str, float]:
        """Of those sent after the warm-up of the pace that began then."""
        took = [seconds for at, seconds in self.took if at > begun + warm_up_s]
        assert len(took) > ENOUGH, "too few to say anything"
        return spread(took)
