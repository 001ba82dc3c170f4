"""The stage of the chaos tests: orders as a real process, staff in the directory, real tokens."""

import http.server
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from deploy.local.children import free_port
from shared.events import bank, customer, workflow
from shared.testing.space import KEY, Space, token_for
from tests.processes import Forked

TEXT = {"zh-CN": "x", "en": "x"}
READY_S = 180.0


def plain_client(port: int, **settings: Any) -> httpx.Client:
    """One for all requests to a service: each made anew loads the machine's certificates, 20 ms.
    It keeps no connection, as the service may be another one at the next request."""
    alone = httpx.Limits(max_keepalive_connections=0)
    return httpx.Client(
        base_url=f"http://127.0.0.1:{port}", limits=alone, trust_env=False, **settings
    )


@contextmanager
def key_server() -> Iterator[str]:
    """The issuer's public key over HTTP, as services ask for it."""

    class Keys(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keys)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/keys"
    server.shutdown()


class OrdersProcess:
    """`python -m services.orders all`; killed by itself at a failpoint, or by the test."""

    def __init__(self, space: Space, jwks_url: str, *, code: str = "") -> None:
        self._space = space
        self.port = free_port()
        settings = space.settings("orders")
        self._env = {
            **os.environ,
            "GUANXI_KAFKA": settings.kafka,
            "GUANXI_DATABASE": settings.database,
            "GUANXI_REDIS": settings.redis,
            "GUANXI_TOPIC_PREFIX": settings.topic_prefix,
            "GUANXI_ISSUER": settings.issuer,
            "GUANXI_JWKS_URL": jwks_url,
            "GUANXI_HTTP_PORT": str(self.port),
            "GUANXI_POLL_TIMEOUT_S": "0.05",
            "GUANXI_SESSION_TIMEOUT_S": "3",
        }
        self._code = code or "from services.orders.__main__ import SERVICE, main; main(SERVICE)"
        self.process: Forked | None = None
        self.deaths = 0
        self._http = plain_client(self.port, timeout=1)
        self._folder = tempfile.TemporaryDirectory()
        self._log = Path(self._folder.name) / "orders.log"

    def start(self, failpoint: str = "", *, wait: bool = True) -> None:
        environment = {**self._env, "GUANXI_FAILPOINT": failpoint}
        self.process = Forked(("-c", self._code, "all"), environment, self._log)
        if wait:
            self.wait_ready()

    def wait_ready(self) -> None:
        deadline = time.monotonic() + READY_S
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                return  # it died before it was ready: the failpoint was early
            try:
                answer = self._http.get("/health/ready")
                if answer.status_code == 200 and answer.json()["directory"]:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.05)
        self.process.tell_where_it_is()
        said = self._log.read_text(errors="replace")[-9000:]
        raise AssertionError(f"orders is not ready; it said:\n{said}")

    def died(self) -> bool:
        return self.process.poll() is not None

    def revive(self) -> bool:
        """Starts it again, without its failpoint, if it has died; counts the death."""
        if not self.died():
            return False
        self.deaths += 1
        self.start()
        return True

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


class Maker:
    """A member of staff who places orders and does not take no answer for an answer."""

    def __init__(self, port: int, staff_id: str = "S1") -> None:
        headers = {"authorization": f"Bearer {token_for(staff_id)}"}
        self._http = plain_client(port, headers=headers, timeout=5)
        self.last = ""

    def place(self, number: int, *, deadline_s: float = 120.0) -> str:
        """Places order `number` until an answer comes; the same key makes it one order."""
        body = {
            "party_id": "P1", "customer_number": "C1", "submit": True,
            "lines": [{"product_code": PRODUCT, "quantity": 1, "unit_price_minor": 1000 + number}],
        }  # fmt: skip
        deadline = time.monotonic() + deadline_s
        while time.monotonic() < deadline:
            try:
                answer = self._http.post(
                    "/orders", json=body, headers={"Idempotency-Key": f"order-{number}"}
                )
            except httpx.HTTPError:
                time.sleep(0.05)
                continue
            if answer.status_code in (200, 201):
                return answer.json()["order_id"]
            assert answer.status_code in (404, 409, 503), answer.text
            self.last = answer.text
            time.sleep(0.1)
        raise AssertionError(f"order {number} has no answer: {self.last}")

    def act(self, path: str, body: dict | None = None) -> httpx.Response:
        return self._http.post(path, json=body)


PRODUCT = "CASH-MGMT-SETUP"


def seat_staff(space: Space) -> None:
    """A maker and a checker, and the party the orders are for."""
    permissions = ("order.view", "order.edit", "order.submit", "order.collect", "order.approve",
                   "ops.view", "ops.act")  # fmt: skip
    space.publish(
        workflow.RoleDescribed(role="desk", names=TEXT, permissions=permissions, scope="all"),
        *[
            workflow.StaffDescribed(staff_id=s, org_path="/head", name=s) for s in ("S1", "S2")
        ],
        *[
            workflow.RoleGranted(grant_id=s, staff_id=s, role="desk") for s in ("S1", "S2")
        ],
        workflow.LimitSet(
            limit_id="L2", staff_id="S2", permission="order.approve",
            amount_minor=10**12, currency="CNY",
        ),
        source="guanxi/workflow",
    )  # fmt: skip
    space.publish(
        customer.PartyRecorded(
            party_id="P1", customer_number="C1", kind="person", customer_numbers=("C1",)
        ),
        source="guanxi/customer",
    )


def payment(number: int | str, order_id: str, amount_minor: int) -> bank.TransactionBooked:
    from datetime import date

    return bank.TransactionBooked(
        transaction_id=f"T{number}", account_number="A1", customer_number="C1",
        product_code="CA-P", amount_minor=amount_minor, currency="CNY", kind="transfer_in",
        initiated_by="customer", booked_on=date(2026, 3, 2), channel_code="web",
        branch_code="SH01", payment_reference=order_id,
    )  # fmt: skip
