"""Roles and their processes: what one answers that runs alone, and when none may start."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.local.children import free_port
from shared.health import PUBLIC
from shared.settings import LOCAL_KEY
from shared.testing.space import Space
from tests.processes import Forked

PROGRAM = "from services.orders.__main__ import SERVICE, main; main(SERVICE)"


@pytest.fixture(params=["listen", "relay"])
def alone(space: Space, tmp_path: Path, request) -> Iterator[tuple[Forked, httpx.Client]]:
    settings = space.settings("orders")
    port = free_port()
    environment = os.environ | {
        "GUANXI_KAFKA": settings.kafka,
        "GUANXI_DATABASE": settings.database,
        "GUANXI_REDIS": settings.redis,
        "GUANXI_TOPIC_PREFIX": settings.topic_prefix,
        "GUANXI_HTTP_PORT": str(port),
    }
    log = tmp_path / "orders.log"
    process = Forked(("-c", PROGRAM, request.param), environment, log)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
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
    assert process.wait(90) == 0


PRODUCTION = {"GUANXI_ENVIRONMENT": "production"}


@pytest.mark.parametrize(
    ("role", "said"),
    [
        *((role, {}) for role in ("all", "api", "listen", "relay", "migrate")),
        ("all", PRODUCTION),
        ("all", PRODUCTION | {"GUANXI_PERSONAL_KEY": LOCAL_KEY}),
        ("all", PRODUCTION | {"GUANXI_PERSONAL_KEY": "c2hvcnQ="}),
    ],
)
def test_no_role_starts_without_a_key_of_the_banks_own(tmp_path: Path, role: str, said):
    log = tmp_path / "customer.log"
    quiet = {n: v for n, v in os.environ.items() if not n.startswith("GUANXI_")}
    program = PROGRAM.replace("orders", "customer")
    process = Forked(("-c", program, role), quiet | said, log)
    assert process.wait(90) == 1
    (sentence,) = log.read_text().splitlines()
    assert sentence.startswith("error: GUANXI_PERSONAL_KEY is not ")
