"""What a partition had told of itself, against what its recovered rows say.

A total is told after the rows it counts are written, and rows never count less later. Those that do
were overwritten by older ones, or let go: nobody would ever see it in the log of `scoring.state`.
"""

from collections.abc import Iterable

import msgspec
from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from services.scoring.state import UnreadableState
from shared.settings import Settings

TOPIC = "scoring.totals"
_POLL_MS = 50


class Totals(msgspec.Struct, frozen=True):
    """`scoring.totals`: what a partition's rows add up to at a position."""

    partition: int
    position: int
    count: int
    sum_minor: dict[str, int]  # by currency
    watermark: int


_json = msgspec.json.Decoder(Totals)


async def last_totals(settings: Settings, partitions: Iterable[int]) -> dict[int, Totals]:
    """The last total of each; none of a partition that never told one."""
    places = [TopicPartition(settings.topic(TOPIC), number) for number in partitions]
    if not places:
        return {}
    found = {}
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka.split(","), enable_auto_commit=False,
        auto_offset_reset="earliest",
    )  # fmt: skip
    await consumer.start()
    try:
        ends = await consumer.end_offsets(places)
        left = [place for place in places if ends[place] > 0]
        consumer.assign(left)
        for place in left:
            consumer.seek(place, ends[place] - 1)
        while left:
            for place, records in (await consumer.getmany(*left, timeout_ms=_POLL_MS)).items():
                for record in records:
                    found[place.partition] = _json.decode(record.value)
            left = [place for place in left if await consumer.position(place) < ends[place]]
    finally:
        await consumer.stop()
    return found


def refuse_less(told: Totals | None, count: int) -> None:
    """Raises UnreadableState where rows count less than was told. Totals are made anew with the
    state, so those that stand were told of these very rows, or of what they were before."""
    if told is not None and count < told.count:
        raise UnreadableState(
            f"partition {told.partition}: its rows count {count} transactions, and {told.count}"
            f" were told at {told.position}: older rows stand in the place of later ones, or rows"
            " are lost; see the runbook, The state anew"
        )
