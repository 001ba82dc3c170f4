"""How far the services are: what is on the topics against what they say they have applied."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from kafka import KafkaConsumer, TopicPartition
from sqlalchemy import create_engine, text


class Applied:
    """Reads ends of topics and stored positions; one per system. Close it after use."""

    def __init__(self, environment: Mapping[str, str], services: Iterable[str]) -> None:
        self._environment = environment
        self._services = tuple(services)

    def lag(self) -> int:
        """Messages that some service or the scorer's worker has still to apply, over all.

        A service that was not given its partitions yet counts as one behind.
        """
        stored = {service: self.positions(service) for service in self._services}
        applied = [at for positions in stored.values() for at in positions.items()]
        not_begun = sum(not positions for positions in stored.values())
        return not_begun + sum(
            max(end - at.get(partition, 0), 0)
            for topic, at in [*applied, ("bank.events", self.worker_positions())]
            for partition, end in self.ends(topic).items()
        )

    def rows(self, service: str, sql: str, **values: Any) -> list[Any]:
        """Rows of a query in the schema of this service."""
        with self._engine.begin() as connection:
            connection.execute(text(f'set local search_path to "{service}"'))
            return list(connection.execute(text(sql), values))

    def positions(self, service: str) -> dict[str, dict[int, int]]:
        """topic -> partition -> next offset that the service will apply."""
        found: dict[str, dict[int, int]] = defaultdict(dict)
        for row in self.rows(service, "select topic, partition, next_offset from positions"):
            found[row.topic][row.partition] = row.next_offset
        return found

    def worker_positions(self) -> dict[int, int]:
        """Partition of `bank.events` -> next offset of the worker, as its totals tell."""
        found = self.rows("scoring", "select partition, position from control_totals")
        return {row.partition: row.position + 1 for row in found}

    def ends(self, topic: str) -> dict[int, int]:
        """Partition -> offset of the next message that is published there."""
        parts = sorted(self.consumer.partitions_for_topic(topic) or ())
        ends = self.consumer.end_offsets([TopicPartition(topic, p) for p in parts])
        return {tp.partition: offset for tp, offset in ends.items()}

    def close(self) -> None:
        """Lets connections go that were made."""
        if "consumer" in self.__dict__:
            self.consumer.close()
        if "_engine" in self.__dict__:
            self._engine.dispose()

    @cached_property
    def consumer(self) -> KafkaConsumer:
        """Member of no group; for offsets, and to read a topic."""
        return KafkaConsumer(
            bootstrap_servers=self._environment["GUANXI_KAFKA"], enable_auto_commit=False
        )

    @cached_property
    def _engine(self) -> Any:
        return create_engine(self._environment["GUANXI_DATABASE"])
