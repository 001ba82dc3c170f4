"""A role that runs alone: its process is asked for its health and its metrics like any other."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.children import free_port
from shared.health import PUBLIC
from shared.migrations import migrate
from shared.testing.space import Space
from tests.processes import Forked

PROGRAM = "from services.orders.__main__ import SERVICE, main; main(SERVICE)"


@pytest.fixture(params=["listen", "relay"])
def alone(space: Space, tmp_path: Path, request) -> Iterator[tuple[Forked, httpx.Client]]:
    settings = space.settings("orders")
    migrate(settings)
    port = free_port()
    environment = os.environ | {
        "GUANXI_KAFKA": settings.kafka,
        "GUANXI_DATABASE": settings.database,
        "GUANXI_REDIS": settings.redis,
        "GUANXI_TOPIC_PREFIX": settings.topic_prefix,
        "GUANXI_DB_SCHEMA": settings.schema_name,
        "GUANXI_HTTP_PORT": str(port),
    }
    log = tmp_path / "orders.log"
    process = Forked(("-c", PROGRAM, request.param), environment, log)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
        deadline = time.monotonic() + 90
        while not answers(client):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield process, client
    process.kill()
    process.wait(10)


def answers(client: httpx.Client) -> bool:
    try:
        return client.get("/health/ready").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def test_a_role_alone_serves_health_and_metrics_and_nothing_else(alone):
    process, client = alone
    for path in PUBLIC:
        assert client.get(path).status_code == httpx.codes.OK, path
    assert 'guanxi_outbox_depth{service="orders"} 0.0' in client.get("/metrics").text
    for path in ("/", "/orders", "/orders/orders", "/ops/state", "/openapi.json"):
        assert client.get(path).status_code == httpx.codes.NOT_FOUND, path
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0
