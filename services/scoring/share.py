"""What one poll took of a partition, from the position where it began to the next one.

Markers of transactions and records of aborted ones have offsets too, and are for nobody.
"""

from collections.abc import Sequence

from services.scoring.records import Records


class Share(Records):
    """Of one partition. One without records still moves the position."""

    __slots__ = ("begin", "end", "passed")

    def __init__(
        self, records: Records, begin: int, end: int, passed: Sequence[tuple[int, int]] = ()
    ) -> None:
        """`passed`: the first offset and the next one of each batch that is for nobody."""
        super().__init__(records.text, records.places)
        self.begin, self.end, self.passed = begin, end, passed

    def __bool__(self) -> bool:
        return self.begin < self.end

    @property
    def accounted(self) -> int:
        """Offsets of which it is known what stands there."""
        passed = sum(max(end - max(begin, self.begin), 0) for begin, end in self.passed)
        return len(self) + passed

    def since(self, offset: int) -> "Share":
        begin = min(max(self.begin, offset), self.end)
        return Share(super().since(offset), begin, self.end, self.passed)

    def of_records(self) -> "Share":
        """What is behind the last record left out."""
        end = self.offset + 1 if len(self) else self.begin
        return Share(self, self.begin, end, [one for one in self.passed if one[1] <= end])
