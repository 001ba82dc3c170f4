"""Kafka, PostgreSQL and Redis as one set: started side by side, watched, stopped together."""

import fcntl
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, Self

from deploy.local.children import Child, Command, free_port, refuse_taken_port, wait_until
from deploy.local.kafka_server import KafkaServer
from deploy.local.places import (
    StackError,
    make_own,
    refuse_other_platforms,
    save,
    without_password,
)
from deploy.local.postgres_server import PostgresServer
from deploy.local.redis_server import RedisServer

START_TIMEOUT_S = 60.0
RESTARTS_MAX = 3  # of one server within RESTARTS_WITHIN_S; then the set gives up with an error
RESTARTS_WITHIN_S = 60.0


class Server(Protocol):
    """What the set asks of each of the three."""

    name: str
    ports: dict[str, int]

    @property
    def address(self) -> str: ...
    def prepare(self) -> None: ...
    def command(self) -> Command: ...
    def ready(self) -> bool: ...
    def finish(self) -> None: ...


@dataclass(frozen=True)
class Ports:
    """Where the set listens. The defaults are those of the local stack."""

    kafka: int = 9192
    postgres: int = 5532
    redis: int = 6479
    kafka_controller: int = 9193

    @classmethod
    def free(cls) -> "Ports":
        """Four ports that nobody uses now, for tests."""
        found: set[int] = set()
        while len(found) < 4:
            found.add(free_port())
        return cls(*found)


class AlreadyRunning(StackError):
    """The folder is in use by another process."""


class ServerSet:
    """The embedded servers over one data folder. Start and stop it from the same thread.

    Servers whose address is in the environment (GUANXI_KAFKA, GUANXI_DATABASE, GUANXI_REDIS) are
    taken from there and not started.
    """

    def __init__(
        self,
        folder: Path,
        *,
        ports: Ports | None = None,
        heap_mb: int = 256,
        connections_max: int = 200,
        buffers_mb: int = 128,
        short_run: bool = False,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        ports = ports or Ports()
        every: dict[str, Server] = {
            "GUANXI_KAFKA": KafkaServer(
                folder,
                port=ports.kafka,
                controller_port=ports.kafka_controller,
                heap_mb=heap_mb,
                short_run=short_run,
            ),
            "GUANXI_DATABASE": PostgresServer(
                folder,
                port=ports.postgres,
                connections_max=connections_max,
                buffers_mb=buffers_mb,
                fast=short_run,
            ),
            "GUANXI_REDIS": RedisServer(folder, port=ports.redis),
        }
        self.folder = folder
        self.say = say
        self.servers = {name: s for name, s in every.items() if not os.environ.get(name)}
        self.given = {name: os.environ[name] for name in every if name not in self.servers}
        self.children: dict[str, Child] = {}
        self.restarts: dict[str, list[float]] = {}
        self._lock: IO[str] | None = None

    def environment(self) -> dict[str, str]:
        """Addresses for the processes that use the servers."""
        return self.given | {name: server.address for name, server in self.servers.items()}

    def claim(self) -> None:
        """Make the folder ours: locked, nothing of a killed run left, our ports free.

        Before this nothing in the folder may be read or written: it may be another's.
        """
        make_own(self.folder)
        self._lock = take_lock(self.folder)
        try:
            state = read_state(self.folder)
            end_leftovers(state["processes"] if state else {}, self.say)
            for server in self.servers.values():
                for what, port in server.ports.items():
                    refuse_taken_port(port, what)
        except BaseException:
            self.stop()
            raise

    def start(self) -> None:
        """Start all that is not given; raise StackError and leave nothing if one cannot."""
        refuse_other_platforms()
        for name, address in self.given.items():
            self.say(f"{name} from the environment: {without_password(address)}")
        if not self.servers:
            return
        if self._lock is None:
            self.claim()
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda server: server.prepare(), self.servers.values()))
                for name, server in self.servers.items():  # from this thread: see Child
                    self.children[name] = Child(server.name, server.command())
                self._remember("starting")
                list(pool.map(self._wait, self.servers))
        except BaseException:
            if self.children:
                self.say("stopping")
            self.stop()
            raise
        self._remember("ready")

    def _wait(self, name: str) -> None:
        server = self.servers[name]
        wait_until(server.ready, self.children[name], START_TIMEOUT_S)
        server.finish()
        self.say(f"{server.name} at {without_password(server.address)}")

    def watch(self) -> None:
        """Start again what died. Call it every second or so, from the starting thread."""
        for name, child in list(self.children.items()):
            if child.running():
                continue
            server = self.servers[name]
            now = time.monotonic()
            recent = [at for at in self.restarts.get(name, []) if now - at < RESTARTS_WITHIN_S]
            if len(recent) >= RESTARTS_MAX:
                raise StackError(
                    f"{server.name} died {RESTARTS_MAX + 1} times in a minute; the "
                    f"end of {child.command.log}:\n{child.last_words()}"
                )
            self.restarts[name] = [*recent, now]
            self.say(f"{server.name} died (code {child.process.returncode}): started again")
            server.prepare()
            self.children[name] = Child(server.name, server.command())
            self._remember("starting")
            try:
                self._wait(name)
            except StackError as error:
                if self.children[name].running():
                    raise
                self.say(str(error))  # the next round tries again, up to the limit
            self._remember("ready")

    def stop(self) -> None:
        """Stop all; returns when no process is left. Safe to call twice."""
        for child in self.children.values():
            child.ask_to_stop()
        for child in self.children.values():
            child.stop()
        self.children.clear()
        if self._lock is not None:
            forget_state(self.folder, "servers")
            self._lock.truncate(0)  # we live on, but hold the folder no longer
            self._lock.close()
            self._lock = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _remember(self, phase: str) -> None:
        state = {
            "phase": phase,
            "supervisor": os.getpid(),
            "began": began_at(os.getpid()),
            "environment": self.environment(),
            "processes": identities(self.children),
        }
        save(state_file(self.folder, "servers"), state)


def end_leftovers(processes: Mapping[str, list[int]], say: Callable[[str], None]) -> None:
    """Children of a killed supervisor are already stopping: wait for them, then insist."""
    alive = {pid: began for pid, began in processes.values() if runs(pid, began)}
    if alive:
        say("waiting for what is left of a killed run to stop")
    deadline = time.monotonic() + 20
    while alive:
        if time.monotonic() > deadline:
            for pid in alive:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            deadline += 5
        time.sleep(0.1)
        alive = {pid: began for pid, began in alive.items() if runs(pid, began)}


def take_lock(folder: Path) -> IO[str]:
    """Held while the file is open. The kernel drops it with its process, so it is never stale.

    The file names who holds it, as `owner` reads.
    """
    lock = (folder / "lock").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        held = owner(folder)
        who = f"by process {held[0]}" if held else "by another process"
        raise AlreadyRunning(
            f"the data folder {folder} is in use {who}: `make down` stops it"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()} {began_at(os.getpid())}")
    lock.flush()
    return lock


def owner(folder: Path) -> tuple[int, int] | None:
    """The living process that works in this folder: its pid, and when it began."""
    try:
        pid, began = (int(part) for part in (folder / "lock").read_text().split())
    except (FileNotFoundError, ValueError):  # nobody yet, or one who is writing his name just now
        return None
    return (pid, began) if runs(pid, began) else None


def forget_data(folder: Path) -> None:
    """Remove the data folder. Raises AlreadyRunning while it is in use."""
    if not folder.exists():
        return
    make_own(folder)
    with take_lock(folder):
        shutil.rmtree(folder)


def empty_data(folder: Path) -> None:
    """Remove the data and keep the lock, for him who holds it. Running tests keep their data."""
    for path in folder.iterdir():
        if path.is_dir() and path.name != "runs":
            shutil.rmtree(path)
        elif path.is_file() and path.name != "lock":
            path.unlink()


def identities(children: Mapping[str, Child]) -> dict[str, list[int]]:
    """Name -> pid and when it began: tells a process from a later one with the same pid."""
    return {child.name: [child.pid, began_at(child.pid)] for child in children.values()}


def state_file(folder: Path, of: str) -> Path:
    """What runs of the servers, or of the system."""
    return folder / f"{of}.json"


def read_state(folder: Path, of: str = "servers") -> dict[str, Any] | None:
    """What the last supervisor wrote, whether it still lives or not; None if it stopped well."""
    try:
        found: dict[str, Any] = json.loads(state_file(folder, of).read_text())
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return found


def forget_state(folder: Path, of: str) -> None:
    """Our own only: that of a killed run names what may still be stopping."""
    state = read_state(folder, of)
    if state is not None and state["supervisor"] == os.getpid():
        state_file(folder, of).unlink()


def began_at(pid: int) -> int:
    """Clock ticks since boot when the process began; with the pid it names it for ever. 0: gone."""
    try:
        stat = (Path("/proc") / str(pid) / "stat").read_text()
    except OSError:
        return 0
    fields = stat.rpartition(")")[2].split()
    return 0 if fields[0] == "Z" else int(fields[19])


def runs(pid: int, began: int) -> bool:
    return began != 0 and began_at(pid) == began
