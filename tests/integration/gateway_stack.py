"""The real gateway, the real issuer and an echoing service as processes on loopback."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import redis

from deploy.local.children import free_port

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
START_TIMEOUT_S = 120.0
REDIS_DATABASE = 9
STAFF = [
    {
        "staff_id": "S001",
        "name": "王芳",
        "language": "zh-CN",
        "post": {"zh-CN": "客户经理", "en": "Relationship manager"},
        "department": {"zh-CN": "城东支行", "en": "East branch"},
    },
    {
        "staff_id": "S002",
        "name": "Li Wei",
        "language": "en",
        "post": {"zh-CN": "审批人", "en": "Approver"},
        "department": {"zh-CN": "总行信贷部", "en": "Credit, head office"},
    },
]


@dataclass
class GatewayStack:
    """Addresses and the processes behind them."""

    gateway: str
    issuer: str
    upstream: str
    folder: Path
    environment: dict[str, str]
    children: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)

    def start(self, name: str, *command: str) -> None:
        log = (self.folder / f"{name}.log").open("ab")
        self.children[name] = subprocess.Popen(
            [sys.executable, *command], cwd=ROOT, env=self.environment, stdout=log, stderr=log
        )

    def start_gateway(self) -> None:
        self.start("gateway", "-m", "deploy.gateway")
        self.wait_for(f"{self.gateway}/health/ready", "gateway")

    def stop_gateway(self) -> None:
        self.children["gateway"].terminate()
        self.children["gateway"].wait(timeout=60)

    def wait_for(self, url: str, name: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            with contextlib.suppress(OSError), urllib.request.urlopen(url) as answer:  # noqa: S310 - loopback
                if answer.status == 200:
                    return
            if self.children[name].poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.folder / f"{name}.log").read_text())
            time.sleep(0.05)

    def stop(self) -> None:
        for child in self.children.values():
            if child.poll() is None:
                child.send_signal(signal.SIGTERM)
        for child in self.children.values():
            try:
                child.wait(timeout=60)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()

    def browser(self) -> "httpx.Client":
        """A browser's own cookies; follows nothing by itself."""
        return httpx.Client(
            trust_env=False, timeout=60.0, headers={"accept": "text/html", "accept-language": "zh"}
        )

    def code_for(self, browser: httpx.Client, staff_id: str, next_path: str = "/") -> str:
        """Signs in up to the way back: the callback's address with its code."""
        begun = browser.get(f"{self.gateway}/sign-in", params={"next": next_path})
        page = browser.get(begun.headers["location"])
        ticket = page.text.split('name="ticket" value="')[1].split('"')[0]
        chosen = browser.post(
            f"{self.issuer}/authorize",
            data={"ticket": ticket, "staff_id": staff_id},
            headers={"origin": self.issuer},
        )
        assert chosen.status_code == 303, chosen.text
        return chosen.headers["location"]

    @contextlib.contextmanager
    def signed_in(self, staff_id: str = "S001") -> Iterator[httpx.Client]:
        with self.browser() as browser:
            answer = browser.get(self.code_for(browser, staff_id))
            assert answer.status_code == 303, answer.text
            yield browser

    def own(self, browser: httpx.Client) -> dict[str, str]:
        """The headers that our own page's script sends with an unsafe method."""
        return {"origin": self.gateway, "x-csrf-token": browser.cookies["guanxi_csrf"]}

    def lose_sessions(self) -> None:
        """As when Redis is wiped: nobody is signed in any more."""
        with redis.Redis.from_url(self.environment["GUANXI_REDIS"]) as client:
            client.flushdb()

    def bank_token(self) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "deploy.local.issuer", "token"],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    def raw(self, request: bytes) -> tuple[int, bytes]:
        """Status and body of a request written by hand."""
        parts = urlsplit(self.gateway)
        connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=60)
        connection.connect()
        connection.sock.sendall(request)
        answer = http.client.HTTPResponse(connection.sock)
        answer.begin()
        body = answer.read()
        connection.close()
        return answer.status, body


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


@contextlib.contextmanager
def gateway_stack(folder: Path, redis_url: str) -> Iterator[GatewayStack]:
    """On a database of Redis of its own, that a test may wipe."""
    ports = [free_port() for _ in range(4)]
    gateway, issuer, upstream, nobody = (f"http://127.0.0.1:{port}" for port in ports)
    staff = folder / "staff.json"
    staff.write_text(json.dumps(STAFF))
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "GUANXI_PUBLIC_URL": gateway,
        "GUANXI_ISSUER": issuer,
        "GUANXI_ISSUER_FOLDER": str(folder / "issuer"),
        "GUANXI_ISSUER_STAFF_FILE": str(staff),
        "GUANXI_REDIS": urlsplit(redis_url)._replace(path=f"/{REDIS_DATABASE}").geturl(),
        "GUANXI_HTTP_PORT": "0",
        **{
            f"GUANXI_UPSTREAM_{name}": upstream
            for name in ("CUSTOMER", "ORDERS", "WORKFLOW", "NOTIFY")
        },
        "GUANXI_UPSTREAM_SCORING": nobody,  # the service that is down
    }
    stack = GatewayStack(gateway, issuer, upstream, folder, environment)
    try:
        stack.start("upstream", "tests/integration/gateway_upstream.py", str(ports[2]))
        stack.start("issuer", "-m", "deploy.local.issuer")
        stack.start("gateway", "-m", "deploy.gateway")
        stack.wait_for(f"{upstream}/open", "upstream")
        stack.wait_for(f"{issuer}/health/live", "issuer")
        stack.wait_for(f"{gateway}/health/ready", "gateway")
        yield stack
    finally:
        stack.stop()
