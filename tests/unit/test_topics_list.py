"""deploy/kafka/topics.yaml against the catalogue of events and the promises of the contract."""

from pathlib import Path

import pytest

from deploy.local.places import StackError
from deploy.local.topics import topics
from shared.events import CATALOGUE
from shared.testing.space import OF_SCORING
from shared.testing.space import TOPICS as PUBLIC

TOPICS_OF_TESTS = {**PUBLIC, **OF_SCORING}
LISTED = {topic.name: topic for topic in topics()}
PRIVATE_TO_SCORING = {name for name in LISTED if name.startswith("scoring.")}
DAY_MS = 86_400_000


def test_every_topic_of_the_catalogue_is_listed_and_no_other():
    said = {fact.TOPIC for fact in CATALOGUE.values()}
    assert set(LISTED) - PRIVATE_TO_SCORING == said - PRIVATE_TO_SCORING
    assert said <= set(LISTED)


def test_the_broker_stamps_every_record():
    for environment in ("local", "production"):
        stamps = {t.settings["message.timestamp.type"] for t in topics(environment)}
        assert stamps == {"LogAppendTime"}


def test_facts_are_kept_for_ever_and_personal_data_are_not():
    for name in ("bank.events", "customer.events", "order.lifecycle", "task.handoffs",
                 "score.alerts", "notice.deliveries", "scoring.leaves"):  # fmt: skip
        assert LISTED[name].settings["retention.ms"] == "-1", name
        assert LISTED[name].settings["cleanup.policy"] == "delete", name
    assert LISTED["bank.customers"].settings["retention.ms"] == str(14 * DAY_MS)
    assert LISTED["notice.requests"].settings["retention.ms"] == str(14 * DAY_MS)
    assert LISTED["scoring.dead"].settings["retention.ms"] == str(90 * DAY_MS)


def test_topics_of_whole_records_are_compacted():
    compacted = {n for n, t in LISTED.items() if t.settings["cleanup.policy"] == "compact"}
    assert compacted == {"bank.reference", "staff.directory", "score.updates", "scoring.state",
                         "scoring.rules"}  # fmt: skip


def test_of_reference_data_every_word_is_kept_until_a_bad_one_was_corrected():
    whole = {n: t.settings["min.compaction.lag.ms"] for n, t in LISTED.items()
             if "min.compaction.lag.ms" in t.settings}  # fmt: skip
    assert whole == {"bank.reference": str(90 * DAY_MS)}


def test_what_is_keyed_by_customer_number_lies_beside_the_banks_events():
    for environment in ("local", "production"):
        counts = {t.name: t.partitions for t in topics(environment)}
        beside = ("bank.customers", "customer.events", "scoring.state", "scoring.leaves",
                  "scoring.signals", "scoring.inputs")  # fmt: skip
        assert {counts[name] for name in beside} == {counts["bank.events"]}
        assert {counts[n] for n in ("bank.reference", "staff.directory", "scoring.dead")} == {1}


def test_production_survives_the_loss_of_a_broker():
    assert {(t.replication, t.settings["min.insync.replicas"]) for t in topics("production")} == {
        (3, "2")
    }


def test_tests_make_the_same_topics_as_everybody():
    assert set(TOPICS_OF_TESTS) == set(LISTED)


def test_a_time_to_keep_that_nobody_understands_is_refused(tmp_path: Path):
    file = tmp_path / "topics.yaml"
    file.write_text(
        "defaults: {partitions: {local: 1}, replication: {local: 1}, min_insync: {local: 1},"
        " timestamp: LogAppendTime}\ntopics: {a.b: {keep: a while}}\n"
    )
    with pytest.raises(StackError, match=r"a\.b is kept 'a while'"):
        topics(file=file)
