"""The whole system in one command: servers, topics, schemas, services, sign-in, a bank that runs.

One supervisor owns everything it starts; nothing outlives it. Data stay in the stack's folder,
so a second start goes on with the same bank at the same hour; `fresh` starts over.
"""

import json
import os
import secrets
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from zoneinfo import ZoneInfo

import yaml

from deploy.local.applied import Applied
from deploy.local.bank_run import ZONE, BankRun, refuse_missing_model, refuse_other_data
from deploy.local.bank_time import BankTime
from deploy.local.children import Child, Command, answers, bindable, refuse_taken_port
from deploy.local.given import refuse_unreachable
from deploy.local.places import CHECKOUT, StackError, data_folder, save
from deploy.local.servers import (
    Ports,
    ServerSet,
    began_at,
    empty_data,
    end_leftovers,
    forget_state,
    identities,
    read_state,
    state_file,
)
from deploy.local.topics import create_topics
from shared.migrations import migrate
from shared.settings import Settings

SERVICES = {"customer": 8801, "orders": 8802, "workflow": 8803, "scoring": 8804, "notify": 8805}
WORKER_PORT, ISSUER_PORT, REHEARSER_PORT, GATEWAY_PORT = 8806, 8807, 8808, 8800
_PORTS = (*SERVICES.values(), WORKER_PORT, ISSUER_PORT, REHEARSER_PORT, GATEWAY_PORT)
START_TIMEOUT_S = 120.0
RESTART_PAUSE_S = 2.0

ORGANISATION = CHECKOUT / "deploy" / "demo_organisation.yaml"

# Ours is kept beside that of the packages, which pip has compiled: it halves nine starts.
BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}

Say = Callable[[str], None]


def write_staff_file(path: Path) -> None:
    """The demo's staff as the local issuer reads them: id, name, post and department."""
    listed = yaml.safe_load(ORGANISATION.read_text())
    posts = {post["post_id"]: post["names"] for post in listed["posts"]}
    departments = {one["department_id"]: one["names"] for one in listed["departments"]}
    staff = [
        {
            "staff_id": one["staff_id"],
            "name": one["name"],
            "language": one.get("language", "zh-CN"),
            "post": posts.get(one.get("post_id"), {}),
            "department": departments.get(one.get("department_id"), {}),
        }
        for one in listed["staff"]
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(staff, ensure_ascii=False))


@dataclass(frozen=True)
class Options:
    """What `make demo` was asked for."""

    customers: int = 1000
    days: int = 200
    seed: int = 7
    branches_max: int = 5  # those of the organisation: no customer without anybody
    data: Path | None = None  # a data set's folder (berka) in place of the simulated bank
    fresh: bool = False
    factor: float = 720.0  # bank seconds per second: a business day in two minutes
    ports: Ports = field(default_factory=Ports)
    port_shift: int = 0  # moves every port of ours, for tests
    folder: Path | None = None
    live: bool = True  # false: the bank publishes nothing after its history


def free_shift() -> int:
    """Moves all ports of ours to a block that nobody listens in now, apart from single ports."""
    for _ in range(200):
        shift = 10_000 + secrets.randbelow(600) * 16 - GATEWAY_PORT
        if all(bindable(port + shift) for port in _PORTS):
            return shift
    raise StackError("no free block of ports between 10000 and 19600")


class System:
    """Starts, watches and stops all processes of the local stack. Use from one thread."""

    def __init__(self, options: Options, say: Say) -> None:
        self.options = options
        self.say = say
        self.folder = options.folder or data_folder()
        self.children: dict[str, Child] = {}
        self._due: dict[str, float] = {}  # name -> when to start it again
        self._stack: ServerSet | None = None
        self.time = BankTime(self.folder / "clock.json")
        self.environment: dict[str, str] = {}
        self.applied: Applied | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{GATEWAY_PORT + self.options.port_shift}"

    @property
    def zone(self) -> ZoneInfo:
        return ZONE

    # Start -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Everything up to usable pages; the bank's history is loaded while they are used."""
        began = time.monotonic()
        stack = ServerSet(self.folder, ports=self.options.ports, say=self.say)
        self._claim(stack)
        if self.options.fresh:
            empty_data(self.folder)
            self.say("the data of the last run are removed")
        bank = BankRun(self.options, self.folder, self.time, self._start_child)
        bank.remember()
        stack.start()
        self.time.start(bank.history_end, factor=0.0)
        self.environment = {**stack.environment(), **self._settings(bank.model)}
        made = create_topics(self.environment["GUANXI_KAFKA"])
        if made:
            self.say(f"{len(made)} topics made")
        for service in SERVICES:
            migrate(Settings(service=service, database=self.environment["GUANXI_DATABASE"]))
        self.say("schemas are up to date")
        self._start_processes()
        self._wait_ready(began)
        self.bank = bank
        self.applied = Applied(self.environment, SERVICES)
        bank.begin(self.applied, self.say)

    def _claim(self, stack: ServerSet) -> None:
        """All that can be refused, before anything of an earlier run is changed or removed."""
        if self.options.data is not None:
            refuse_other_data(self.options.data)
        refuse_missing_model()
        refuse_unreachable(stack.given)
        stack.claim()
        self._stack = stack
        left = read_state(self.folder, "system")
        end_leftovers(left["processes"] if left else {}, self.say)
        for name, port in self._ports().items():
            refuse_taken_port(port, name)

    def _ports(self) -> dict[str, int]:
        shift = self.options.port_shift
        return {
            "the gateway": GATEWAY_PORT + shift,
            **{name: port + shift for name, port in SERVICES.items()},
            "the scoring worker": WORKER_PORT + shift,
            "the issuer": ISSUER_PORT + shift,
            "the process that rehearses": REHEARSER_PORT + shift,
        }

    def _settings(self, model: Path | None) -> dict[str, str]:
        shift = self.options.port_shift
        return {
            "GUANXI_ENVIRONMENT": "local",
            "GUANXI_CLOCK_FILE": str(self.time.path),
            "GUANXI_PUBLIC_URL": self.url,
            "GUANXI_ISSUER": f"http://127.0.0.1:{ISSUER_PORT + shift}",
            "GUANXI_ISSUER_FOLDER": str(self.folder / "issuer"),
            "GUANXI_CURRENCY": "CZK" if self.options.data else "CNY",
            **({"GUANXI_RISK_MODEL": str(model)} if model else {}),
            **{
                f"GUANXI_UPSTREAM_{name.upper()}": f"http://127.0.0.1:{port + shift}"
                for name, port in SERVICES.items()
            },
        }

    def _start_processes(self) -> None:
        shift = self.options.port_shift
        self._start_child("issuer", ["deploy.local.issuer", "serve"])
        for name, port in SERVICES.items():
            more = {"GUANXI_HTTP_PORT": str(port + shift)}
            self._start_child(name, [f"services.{name}", "all"], more)
        self._seed()
        self._start_child(
            "worker",
            ["services.scoring", "worker"],
            {"GUANXI_HTTP_PORT": str(WORKER_PORT + shift)},
        )
        self._start_child(
            "rehearser",
            ["services.scoring", "rehearse"],
            {"GUANXI_HTTP_PORT": str(REHEARSER_PORT + shift)},
        )
        self._start_child("gateway", ["deploy.gateway"])

    def _seed(self) -> None:
        """The organisation with its first administrator, and whom the sign-in page offers."""
        child = self._start_child("seed", ["services.workflow", "seed", str(ORGANISATION)])
        if child.process.wait(60) != 0:
            raise StackError(f"the organisation cannot be seeded:\n{child.last_words()}")
        del self.children["seed"]
        write_staff_file(self.folder / "issuer" / "staff.json")

    def _start_child(
        self, name: str, arguments: list[str], more: dict[str, str] | None = None
    ) -> Child:
        command = Command(
            argv=[sys.executable, "-m", *arguments],
            log=self.folder / "logs" / f"{name}.log",
            env={**self.environment, **(more or {}), "PYTHONUNBUFFERED": "1", **BYTECODE},
            cwd=CHECKOUT,
            stop_timeout_s=20.0,
        )
        self.children[name] = child = Child(name, command)
        self._remember()
        return child

    def _remember(self) -> None:
        """For `status`, and for the next start if this one is killed."""
        state = {
            "supervisor": os.getpid(),
            "began": began_at(os.getpid()),
            "url": self.url,
            "processes": identities({n: c for n, c in self.children.items() if c.running()}),
        }
        save(state_file(self.folder, "system"), state)

    def _wait_ready(self, began: float) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        shift = self.options.port_shift
        waiting = {name: f"http://127.0.0.1:{port + shift}/health/ready" for name, port in
                   SERVICES.items()}
        while waiting or not answers(GATEWAY_PORT + shift):
            for name in [n for n, url in waiting.items() if _ok(url)]:
                del waiting[name]
            for name, child in self.children.items():
                if not child.running():
                    raise StackError(f"{name} stopped at start:\n{child.last_words()}")
            if time.monotonic() > deadline:
                raise StackError(f"not ready after {START_TIMEOUT_S:.0f} s: {sorted(waiting)}")
            time.sleep(0.1)
        self.say(f"pages at {self.url} after {time.monotonic() - began:.1f} s")

    # Run and stop ------------------------------------------------------------------------------

    def watch(self) -> None:
        """One round of the supervisor: the clock is saved, what died is started again."""
        assert self._stack is not None
        self.time.save()
        self._stack.watch()
        self.bank.watch(self.say)
        now = time.monotonic()
        for name, child in list(self.children.items()):
            if child.running() or name in self.bank.ended:
                continue
            due = self._due.setdefault(name, now + RESTART_PAUSE_S)
            if now >= due:
                del self._due[name]
                self.say(f"{name} died (code {child.process.returncode}): started again")
                self.children[name] = Child(name, child.command)
                self._remember()

    def stop(self) -> None:
        """The bank first, then the pages, then the services, last the servers."""
        order = ["bank", "publish", "gateway", "issuer", "worker", *SERVICES]
        for names in (order[:2], order[2:5], order[5:]):
            group = [self.children[n] for n in names if n in self.children]
            for child in group:
                child.ask_to_stop()
            for child in group:
                child.stop()
        for child in self.children.values():
            child.stop()
        self.children.clear()
        if self.applied is not None:
            self.applied.close()
        if self.time.started:
            self.time.stop()
        if self._stack is not None:  # else the folder was never ours
            forget_state(self.folder, "system")
            self._stack.stop()

    @property
    def started(self) -> bool:
        """Did anything start that must be stopped?"""
        return bool(self.children) or bool(self._stack and self._stack.children)


def _ok(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=1) as answer:  # noqa: S310 - loopback
            return bool(answer.status == 200)
    except OSError:
        return False


@contextmanager
def running(options: Options, say: Say) -> Iterator[System]:
    """The whole system for the length of a block; everything has stopped after it."""
    system = System(options, say)
    try:
        system.start()
        yield system
    finally:
        system.stop()


def up(options: Options, say: Say, asked_to_stop: threading.Event) -> None:
    """Runs until asked to stop: by the event, or sooner by an exception of the signal handler."""
    system = System(options, say)
    try:
        system.start()
        while not asked_to_stop.wait(1.0):
            system.watch()
    finally:
        if system.started:
            say("stopping")
        system.stop()
