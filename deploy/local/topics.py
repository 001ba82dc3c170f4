"""Creates the topics of deploy/kafka/topics.yaml; a second run finds them there."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml
from kafka.admin import KafkaAdminClient, NewTopic
from kafka.errors import TopicAlreadyExistsError

from deploy.local.places import CHECKOUT, StackError

TOPICS_FILE = CHECKOUT / "deploy" / "kafka" / "topics.yaml"
DAY_MS = 86_400_000


@dataclass(frozen=True)
class Topic:
    """One topic as it is created in one environment (local or production)."""

    name: str
    partitions: int
    replication: int
    settings: dict[str, str]


def topics(environment: str = "local", file: Path = TOPICS_FILE) -> list[Topic]:
    """All topics of the list, in its order."""
    listed = yaml.safe_load(file.read_text())
    defaults = listed["defaults"]
    found = []
    for name, stated in listed["topics"].items():
        entry = defaults | stated
        settings = {
            "message.timestamp.type": entry["timestamp"],
            "min.insync.replicas": str(entry["min_insync"][environment]),
            **_kept(name, entry["keep"]),
        }
        if "whole" in entry:
            settings["min.compaction.lag.ms"] = _ms(name, entry["whole"])
        partitions = entry["partitions"][environment]
        found.append(Topic(name, partitions, entry["replication"][environment], settings))
    return found


def _kept(name: str, keep: str) -> dict[str, str]:
    if keep == "forever":
        return {"cleanup.policy": "delete", "retention.ms": "-1"}
    if keep == "compact":
        return {"cleanup.policy": "compact"}
    return {"cleanup.policy": "delete", "retention.ms": _ms(name, keep)}


def _ms(name: str, time: str) -> str:
    if not (time.endswith("d") and time[:-1].isdigit()):
        raise StackError(
            f"topics.yaml: {name} is kept {time!r}: say forever, compact or a time as 14d"
        )
    return str(int(time[:-1]) * DAY_MS)


def create_topics(
    bootstrap: str,
    prefix: str = "",
    partitions_override: Mapping[str, int] | None = None,
    environment: str = "local",
) -> list[str]:
    """Create what is missing and return its names. An existing topic is never changed.

    `partitions_override` names topics without the prefix. Raises StackError if a topic stands with
    another number of partitions than the list says: adding some would move keys.
    """
    override = partitions_override or {}
    wanted = [
        NewTopic(
            name=prefix + topic.name,
            num_partitions=override.get(topic.name, topic.partitions),
            replication_factor=topic.replication,
            topic_configs=topic.settings,
        )
        for topic in topics(environment)
    ]
    admin = KafkaAdminClient(bootstrap_servers=bootstrap, client_id="guanxi-topics")
    try:
        standing = {t["name"]: len(t["partitions"]) for t in admin.describe_topics()}
        _refuse_other_partitions(wanted, standing)
        missing = [topic for topic in wanted if topic.name not in standing]
        if missing:
            try:
                admin.create_topics(missing, wait_for_metadata=True)
            except TopicAlreadyExistsError:  # another process was as quick
                return create_topics(bootstrap, prefix, partitions_override, environment)
    finally:
        admin.close()
    return [topic.name for topic in missing]


def _refuse_other_partitions(wanted: list[NewTopic], standing: Mapping[str, int]) -> None:
    for topic in wanted:
        count = standing.get(topic.name, topic.num_partitions)
        if count != topic.num_partitions:
            raise StackError(
                f"topic {topic.name} has {count} partitions, the list says {topic.num_partitions}:"
                " drain it and make it anew (local stack: FRESH=1)"
            )


def main() -> int:
    """`python -m deploy.local.topics BOOTSTRAP [production]`, for the container image."""
    bootstrap, *rest = sys.argv[1:]
    for name in create_topics(bootstrap, environment=rest[0] if rest else "local"):
        print(name)
    return 0


if __name__ == "__main__":
    sys.exit(main())
