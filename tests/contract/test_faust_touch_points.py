"""What the batch transport touches of Faust and aiokafka, pinned: an upgrade fails here, loudly."""

import importlib
import inspect
import re
from importlib.metadata import version

import aiokafka.consumer.fetcher as fetching
import pytest

from services.scoring import fetched, transport


def _found(path: str) -> object:
    parts = path.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        try:
            found: object = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for name in parts[cut:]:
            found = getattr(found, name)
        return found
    raise AssertionError(path)


def test_the_versions_are_those_that_were_proven() -> None:
    assert version("faust-streaming") == "0.15.3"
    assert version("aiokafka") == "0.14.0"
    assert version("mode-streaming") == "0.7.1"


@pytest.mark.parametrize(
    "path",
    [p for p in transport.TOUCH_POINTS if not p.endswith(("_max_wait_ms", "_isolation_level"))],
)
def test_every_touch_point_is_there(path: str) -> None:
    found = _found(path)
    assert callable(found) or isinstance(found, property)


@pytest.mark.parametrize(
    ("path", "parameters"),
    [
        ("faust.transport.consumer.Consumer._drain_messages", ["self", "fetcher"]),
        ("faust.transport.consumer.Consumer._wait_next_records", ["self", "timeout"]),
        ("faust.transport.consumer.Consumer._new_offset", ["self", "tp"]),
        ("faust.transport.consumer.Consumer.ack", ["self", "message"]),
        ("faust.transport.consumer.Consumer.perform_seek", ["self"]),
        ("faust.transport.consumer.Consumer.stop_flow", ["self"]),
        ("faust.transport.consumer.Consumer.resume_flow", ["self"]),
        ("faust.transport.consumer.Consumer.on_partitions_revoked", ["self", "revoked"]),
        ("faust.transport.consumer.Consumer._commit", ["self", "offsets"]),
        ("aiokafka.consumer.fetcher.PartitionRecords._consumer_record", ["self", "tp", "record"]),
        ("aiokafka.consumer.fetcher.FetchResult.getall", ["self", "max_records"]),
        ("aiokafka.consumer.fetcher.FetchResult.check_assignment", ["self", "tp"]),
        ("faust.transport.drivers.aiokafka.Producer._settings_extra", ["self"]),
    ],
)
def test_signatures_are_those_that_are_overridden(path: str, parameters: list[str]) -> None:
    assert list(inspect.signature(_found(path)).parameters) == parameters  # type: ignore[arg-type]


def test_the_code_that_the_overrides_rely_on_still_says_so() -> None:
    thread = inspect.getsource(
        _found("faust.transport.drivers.aiokafka.AIOKafkaConsumerThread._create_worker_consumer")  # type: ignore[arg-type]
    )
    assert "fetch_max_wait_ms=1500" in thread, "the parked fetch may be gone: look again"
    start = inspect.getsource(_found("aiokafka.AIOKafkaConsumer.start"))  # type: ignore[arg-type]
    assert "fetch_max_wait_ms=self._fetch_max_wait_ms" in start
    assert "isolation_level=self._isolation_level" in start
    source = inspect.getsource(importlib.import_module("aiokafka.consumer.fetcher"))
    for made in ("records = MemoryRecords(", "= PartitionRecords(", "= FetchResult("):
        assert made in source, "the classes are looked up by name"
    polled = inspect.getsource(_found("aiokafka.consumer.fetcher.Fetcher.fetched_records"))  # type: ignore[arg-type]
    assert "records = res_or_error.getall(max_records)" in polled
    assert "max_records -= len(drained[tp])" in polled, "a poll's records are counted"
    recovery = inspect.getsource(importlib.import_module("faust.tables.recovery"))
    completed = recovery[recovery.index("async def on_recovery_completed") :]
    seek, resume = completed.index("perform_seek()"), completed.index("consumer.resume_flow()")
    assert seek < completed.index("flow_control.resume()") < resume, "the gate opens after the seek"
    assert "recovery_buffer_size == 1" in recovery
    wait = inspect.getsource(_found("faust.transport.consumer.Consumer._wait_next_records"))  # type: ignore[arg-type]
    assert "sleep(1)" in wait, "the back-pressure sleep may be gone: look again"
    extra = inspect.getsource(_found("faust.transport.drivers.aiokafka.Producer._settings_extra"))  # type: ignore[arg-type]
    assert "in_transaction" in extra, "idempotence may be the default now"


def test_a_batch_that_is_sent_is_asked_for_nothing_else() -> None:
    """`produced.Batch` stands for aiokafka's builder; `append` is of one that is still open."""
    batch = inspect.getsource(_found("aiokafka.producer.message_accumulator.MessageBatch"))  # type: ignore[arg-type]
    assert set(re.findall(r"self\._builder\.(\w+)", batch)) == {
        "append", "record_count", "closed", "_set_producer_state", "_build",
    }  # fmt: skip


def test_an_empty_set_of_partitions_still_means_all_to_aiokafka() -> None:
    source = inspect.getsource(_found("aiokafka.consumer.fetcher.Fetcher.fetched_records"))  # type: ignore[arg-type]
    assert "if partitions and tp not in partitions" in source


def test_faust_makes_our_transport_and_nothing_else() -> None:
    from services.scoring.risk_plan import NO_PLAN
    from services.scoring.worker import create_app
    from services.scoring.worker_settings import WorkerSettings

    app = create_app(WorkerSettings(worker_event_store=False), 3, NO_PLAN)
    assert type(app._new_transport()) is transport.Transport
    assert type(app._new_producer_transport()) is transport.Transport
    assert fetching.MemoryRecords is fetched.Fetched
    assert fetching.PartitionRecords is fetched.PartitionRecords
    assert fetching.FetchResult is fetched.FetchResult
    assert app.conf.topic_disable_leader
    assert app.conf.broker_session_timeout <= 10
    assert app.conf.table_standby_replicas == 0
    assert not app.conf.topic_allow_declare
    assert app.conf.consumer_group_instance_id in str(app.conf.canonical_url)
