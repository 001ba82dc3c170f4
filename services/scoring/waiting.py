"""Events that ops replayed, where the log is stepped anew.

One that was refused because its account or loan was not known stands in the log before what it
waited for. There it is refused again; it is taken, as the worker takes an input, when its customer
number has a record behind which it can be.
"""

from base64 import b64encode
from collections.abc import Collection, Iterator, Sequence

from services.scoring.engine import Batch, Engine
from services.scoring.records import Delivered, Record
from shared.events.envelope import decode, encode, wrap
from shared.events.scoring import EventReplayed


class Waiting:
    """Those of one partition. Whoever asks `again` applies what he is given before the next."""

    def __init__(self, engine: Engine, number: int) -> None:
        self._engine, self._number = engine, number
        self._tries = 0
        self.held: list[Delivered] = []

    def hold(self, batch: Batch) -> None:
        """Keeps the events that this batch has refused."""
        self.held += refused_of(batch)

    def keys(self, batch: Batch) -> set[bytes | None]:
        """Customer numbers of which an event waits, or will when the batch is applied."""
        return {record.key for record in [*self.held, *refused_of(batch)]}

    def again(self, key: bytes | None, latest_day: int) -> Iterator[Batch]:
        """What waited of a customer number and can be taken now, one at a time."""
        for record in [held for held in self.held if held.key == key]:
            told = self._as_input(record)
            batch = self._engine.read_inputs(self._number, [told], latest_day)
            if not batch.columns.refused:
                self.held.remove(record)
                yield batch

    def _as_input(self, record: Delivered) -> Record:
        """The input that carries it. A row takes those of its number in their order: 1, 2, 3 ..."""
        self._tries += 1
        event = decode(record.value or b"")
        fact = EventReplayed(
            customer_number=(record.key or b"").decode(), partition=self._number,
            offset=record.offset, payload=b64encode(record.value or b"").decode(),
        )  # fmt: skip
        told = wrap(fact, id=f"again-{self._tries}", source=event.source, time=event.time,
                    businessdate=event.businessdate, sequence=self._tries)  # fmt: skip
        return Record(record.offset, record.key, encode(told))


def refused_of(batch: Batch) -> list[Delivered]:
    """Its records that were refused for now. What can never be taken is nobody's to wait for."""
    offsets = {one.offset for one in batch.columns.refused if one.kind == "quarantined"}
    return [record for record in batch.records if record.offset in offsets] if offsets else []


def cut_behind(
    records: Sequence[Delivered], keys: Collection[bytes | None]
) -> Iterator[Sequence[Delivered]]:
    """The records in parts that end with a record of one of the customer numbers, or the last."""
    begin = 0
    for end, record in enumerate(records, 1):
        if record.key in keys or end == len(records):
            yield records[begin:end]
            begin = end
