"""Questions to the broker about consumer groups and topics: of commands that must run alone, and
of readers that begin."""

import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from kafka import KafkaAdminClient, TopicPartition
from kafka.admin import OffsetSpec
from kafka.errors import CoordinatorNotAvailableError, GroupIdNotFoundError

from shared.settings import Settings

TRIES = 20  # a broker that has had no group yet makes its coordinator first
PAUSE_S = 0.5


class Groups:
    """An admin's questions. Names are those of the services, without the prefix."""

    def __init__(self, settings: Settings, admin: Any) -> None:
        self._settings, self._admin = settings, admin

    def members(self, group: str) -> int:
        """How many are in it, by the broker: one that died stays until its session has ended."""
        return len(self._asked(self._admin.describe_groups, group).get("members", ()))

    def has_places(self, group: str) -> bool:
        """Has it committed anything?"""
        return bool(self._asked(self._admin.list_group_offsets, group))

    def topics(self) -> set[str]:
        """Those that stand."""
        named = (topic["name"] for topic in self._admin.describe_topics())
        return {self._settings.plain_topic(name) for name in named}

    def _asked(self, ask: Any, group: str) -> Any:
        name = self._settings.topic_prefix + group
        for left in range(TRIES - 1, -1, -1):
            try:
                return ask([name])[name]
            except GroupIdNotFoundError:
                break
            except CoordinatorNotAvailableError:
                if not left:
                    raise
                time.sleep(PAUSE_S)
        return {}


@contextmanager
def groups(settings: Settings) -> Iterator[Groups]:
    with _admin(settings) as admin:
        yield Groups(settings, admin)


def topic_ids(settings: Settings, names: Iterable[str]) -> dict[str, str]:
    """Broker topic name -> id. A topic that was deleted and made again has another id."""
    with _admin(settings) as admin:
        return _ids(admin, names)


def ids_and_ends(
    settings: Settings, places: Collection[TopicPartition]
) -> tuple[dict[str, str], dict[TopicPartition, int]]:
    """Of topics their ids, of partitions where their logs end: behind what is not committed too. A
    reader of a release before, which did not read committed records only, may stand there."""
    with _admin(settings) as admin:
        ids = _ids(admin, {tp.topic for tp in places})
        ends = admin.list_partition_offsets(dict.fromkeys(places, OffsetSpec.LATEST))
        return ids, {tp: end.offset for tp, end in ends.items()}


def _ids(admin: Any, names: Iterable[str]) -> dict[str, str]:
    return {t["name"]: str(t["topic_id"]) for t in admin.describe_topics(sorted(names))}


@contextmanager
def _admin(settings: Settings) -> Iterator[Any]:
    admin = KafkaAdminClient(bootstrap_servers=settings.kafka.split(","))
    try:
        yield admin
    finally:
        admin.close()
