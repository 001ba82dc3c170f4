"""Threads that meet a version of Kafka's messages at once get one class of it."""

import gc
import threading
import time
from types import SimpleNamespace

import pytest
from kafka.protocol.admin.cluster import DescribeClusterResponse
from kafka.protocol.api_header import ResponseClassRegistry
from kafka.protocol.api_message import VersionSubscriptable

from shared import classes, wire

ASKED = SimpleNamespace(request_api_key=DescribeClusterResponse.API_KEY, request_api_version=0)


def met_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that is first takes longer: its class is kept, and the other one is registered."""
    stock, waits = VersionSubscriptable.__init__, [0.0, 0.3]

    def slow(cls: type, *args: object, **how: object) -> None:
        stock(cls, *args, **how)
        time.sleep(waits.pop() if waits else 0.0)

    monkeypatch.setattr(VersionSubscriptable, "__init__", slow)
    monkeypatch.setattr(DescribeClusterResponse, "_VERSIONS", {})
    threads = [threading.Thread(target=lambda: DescribeClusterResponse[0]) for _ in range(2)]
    for thread in threads:
        thread.start()
        time.sleep(0.1)
    for thread in threads:
        thread.join()
    gc.collect()


def test_an_answer_is_read_though_two_threads_met_its_version_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert wire.KafkaConsumer, "whoever reads has imported it"
    met_at_once(monkeypatch)
    assert ResponseClassRegistry.get_response_class(ASKED).__name__.startswith("DescribeCluster")


def test_the_negative_control_as_the_library_has_it_the_class_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(VersionSubscriptable, "__getitem__", classes._made)
    met_at_once(monkeypatch)
    with pytest.raises(ReferenceError):
        ResponseClassRegistry.get_response_class(ASKED)
    ResponseClassRegistry.register_response_class(DescribeClusterResponse)
