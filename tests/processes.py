"""Real processes that start at once: forked from a server that has imported the services already.

An import costs two seconds of CPU, and the suite starts more than a hundred processes. What runs in
them, and how they die, is the same as with `python -m`.
"""

import faulthandler
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from multiprocessing.connection import wait
from pathlib import Path

from shared import failpoints

_forkserver = multiprocessing.get_context("forkserver")
_forkserver.set_forkserver_preload(["tests.preloaded"])


class Forked:
    """One such process, with the interface of `subprocess.Popen` as far as tests need it."""

    def __init__(self, argv: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        """`argv` is a module and its arguments, or `-c`, a program and its arguments."""
        self._process = _forkserver.Process(
            target=_become, args=(list(argv), dict(environment), str(log)), daemon=True
        )
        self._process.start()

    @property
    def pid(self) -> int:
        assert self._process.pid is not None
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        code = self._process.exitcode
        if code is None:
            raise subprocess.TimeoutExpired("forked", timeout or 0.0)
        return code

    def send_signal(self, number: signal.Signals) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def tell_where_it_is(self) -> None:
        """Writes the stacks of all its threads into its log."""
        self.send_signal(signal.SIGUSR1)
        time.sleep(0.5)


def _become(argv: list[str], environment: dict[str, str], log: str) -> None:
    """Runs in the child: what the interpreter does between its start and `__main__`."""
    threading.Thread(target=_end_with_the_tests, daemon=True).start()
    written = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(written, 1)
    os.dup2(written, 2)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    faulthandler.register(signal.SIGUSR1)
    failpoints.arm(environment.get("GUANXI_FAILPOINT", ""))
    if argv[0] == "-c":
        sys.argv = ["-c", *argv[2:]]
        exec(compile(argv[1], "<program>", "exec"), {"__name__": "__main__"})  # noqa: S102 - a test's
    else:
        sys.argv = list(argv)
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def _end_with_the_tests() -> None:
    """Who kills the tests kills this process too: its parent is the server, which lives on."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait([parent.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)
