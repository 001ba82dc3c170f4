"""Events that flow at a fixed pace.

Their batches are made before the first is sent, for the client stands for other systems: what it
takes of this machine, they would not. An event counts from when its turn was, so that a broker
that answers late is not spared.
"""

import asyncio
import gc
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, Final

import typer
from aiokafka import AIOKafkaProducer

from shared.testing.servers import Servers

TICK_S: Final = 0.02
Published = tuple[int, bytes | None, bytes]  # partition, key, value
Sent = dict[int, list[float]]  # partition -> when the turn of each of its records was
Tick = list[tuple[int, int, Any]]  # partition, records, their batch


def whole_ticks(rates: int | list[int] | None) -> int | list[int] | None:
    """A pace that is no whole number of events a tick would be another one than is told."""
    every = rates if isinstance(rates, list) else [] if rates is None else [rates]
    ticks = round(1 / TICK_S)
    for rate in every:
        if rate <= 0 or rate % ticks:
            raise typer.BadParameter(
                f"{rate} events/s: they flow in {ticks} ticks a second, so it must be a multiple"
                f" of {ticks}"
            )
    return rates


def producer_of(servers: Servers) -> AIOKafkaProducer:
    """To be started; a tick's events of a partition fit into one batch."""
    return AIOKafkaProducer(bootstrap_servers=servers.kafka, acks="all", max_batch_size=1 << 20)


def ticks_of(producer: AIOKafkaProducer, records: Iterable[Published], rate: int) -> Iterator[Tick]:
    """What is sent together, each partition's as one batch."""
    left = iter(records)
    while tick := list(islice(left, round(rate * TICK_S))):
        by_partition: defaultdict[int, list[tuple[bytes | None, bytes]]] = defaultdict(list)
        for partition, key, value in tick:
            by_partition[partition].append((key, value))
        made = []
        for partition, own in by_partition.items():
            batch = producer.create_batch()
            for key, value in own:
                assert batch.append(key=key, value=value, timestamp=None) is not None, "it is full"
            batch.close()
            made.append((partition, len(own), batch))
        yield made


async def publish_at(
    producer: AIOKafkaProducer, topic: str, ticks: Iterable[Tick], sent: Sent
) -> float:
    """Sends one tick after the other and waits until the broker has all. Returns when the turn of
    the first was: before it lies what is collected of memory."""
    gc.collect()
    gc.freeze()  # a walk through all that was made ahead would hold the events for 0.2 s
    begun, reports = time.perf_counter(), []
    for number, tick in enumerate(ticks):
        turn = begun + number * TICK_S
        await asyncio.sleep(max(turn - time.perf_counter(), 0.0))
        for partition, count, batch in tick:
            sent[partition] += [turn] * count
            reports.append(await producer.send_batch(batch, topic, partition=partition))
    await asyncio.gather(*reports)
    return begun
