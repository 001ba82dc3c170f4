"""Child processes that never outlive their parent, whatever kills it."""

import ctypes
import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.places import StackError

_PR_SET_PDEATHSIG = 1
_prctl = ctypes.CDLL(None, use_errno=True).prctl


@dataclass
class Command:
    """How to start one process, and how it wants to be stopped."""

    argv: list[str]
    log: Path
    env: dict[str, str] = field(default_factory=dict)  # added to ours
    cwd: Path | None = None
    user_id: int | None = None  # run as this user (and group) instead of ours
    stop_signal: signal.Signals = signal.SIGTERM
    death_signal: signal.Signals = signal.SIGTERM  # sent by the kernel when the parent is gone
    stop_timeout_s: float = 15.0


class Child:
    """One running process of the stack. Start it from a thread that lives as long as it shall:
    the kernel counts the starting thread as the parent."""

    def __init__(self, name: str, command: Command) -> None:
        self.name = name
        self.command = command
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("ab") as log:
            self.process = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={**os.environ, **command.env},
                cwd=command.cwd,
                user=command.user_id,
                group=command.user_id,
                extra_groups=None if command.user_id is None else [],
                start_new_session=True,  # Ctrl-C reaches the parent only: it stops them in order
                preexec_fn=_die_with_parent(command.death_signal),  # noqa: PLW1509 -- one prctl
            )
        self.started_at = time.monotonic()

    @property
    def pid(self) -> int:
        return self.process.pid

    def running(self) -> bool:
        return self.process.poll() is None

    def ask_to_stop(self) -> None:
        if self.running():
            self.process.send_signal(self.command.stop_signal)

    def stop(self) -> None:
        """Ask, wait, then kill the whole process group."""
        self.ask_to_stop()
        try:
            self.process.wait(self.command.stop_timeout_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        if self.running():
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def last_words(self, lines_max: int = 8) -> str:
        """The end of its log, for the error message."""
        if not self.command.log.exists():
            return ""
        with self.command.log.open("rb") as log:
            log.seek(max(0, self.command.log.stat().st_size - 8192))
            lines = log.read().decode(errors="replace").splitlines()
        return "\n".join(f"    {line}" for line in lines[-lines_max:])


def _die_with_parent(death_signal: signal.Signals) -> Callable[[], None]:
    parent = os.getpid()

    def in_child() -> None:
        # After the change of user: a change of credentials clears the setting.
        _prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
        if os.getppid() != parent:  # it died between fork and here
            os._exit(1)

    return in_child


def wait_until(
    ready: Callable[[], bool], child: Child, timeout_s: float, step_s: float = 0.05
) -> None:
    """Wait for a server's own sign of readiness; raise StackError with its last words."""
    deadline = time.monotonic() + timeout_s
    while not ready():
        if not child.running():
            raise StackError(
                f"{child.name} stopped at start (code {child.process.returncode}); "
                f"the end of {child.command.log}:\n{child.last_words()}"
            )
        if time.monotonic() > deadline:
            raise StackError(
                f"{child.name} is not ready after {timeout_s:.0f} s; "
                f"the end of {child.command.log}:\n{child.last_words()}"
            )
        time.sleep(step_s)


def answers(port: int, *, timeout_s: float = 0.5) -> bool:
    """Does anything accept a connection on this port of the loopback address?"""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=timeout_s):
            return True
    except OSError:
        return False


def free_port() -> int:
    """A port nobody listens on now, below the range that outgoing connections take."""
    for _ in range(200):
        port = 20_000 + int.from_bytes(os.urandom(2), "big") % 11_000
        if bindable(port):
            return port
    raise StackError("no free port between 20000 and 31000")


def bindable(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def refuse_taken_port(port: int, wanted_by: str) -> None:
    """Raise StackError that names the port, where the kernel tells who holds it, what to do."""
    if bindable(port):
        return
    raise StackError(f"port {port} for {wanted_by} is taken by {_holder(port)}")


def _holder(port: int) -> str:
    import psutil  # type: ignore[import-untyped]

    for connection in psutil.net_connections(kind="tcp"):
        if connection.laddr and connection.laddr.port == port and connection.pid:
            pid = connection.pid
            try:
                process = psutil.Process(pid)
                for one in (process, *process.parents()):
                    if "deploy.local" in one.cmdline():  # what that supervisor started is its own
                        return f"the Guanxi of {one.cwd()}: `make down` there, or kill {one.pid}"
                return f"process {pid} ({' '.join(process.cmdline())[:80]}): stop it (kill {pid})"
            except psutil.Error:  # it has just ended, or is another user's
                return f"process {pid}: stop it (kill {pid})"
    return f"a process of another user: `sudo ss -ltnp sport = :{port}` names it"
