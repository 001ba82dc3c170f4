"""`make demo`: what it refuses in one sentence, and that a refusal touches nothing of another's."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Event
from typing import Any

import psutil
import pytest

from deploy.local import __main__ as command_line
from deploy.local.bank_run import BankRun
from deploy.local.bank_time import BankTime
from deploy.local.children import Child, answers
from deploy.local.places import CHECKOUT, MODEL, StackError
from deploy.local.servers import AlreadyRunning, Ports, owner, take_lock
from deploy.local.system import GATEWAY_PORT, Options, free_shift, up
from shared.testing.servers import run_folder

WAIT_S = 180  # a start takes 30 s where nothing else runs
LEFT_ALONE = ("clock.json", "system.json", "servers.json", "bank.json", "lock")
DEMO = """
import contextlib, json, sys
from pathlib import Path
from deploy.local.__main__ import Stopped, say, stop_on_signals
from deploy.local.servers import Ports
from deploy.local.system import Options, up
folder, shift, ports = json.loads(sys.argv[1])
asked_to_stop = stop_on_signals()
with contextlib.suppress(Stopped):
    up(Options(customers=5, days=3, factor=60.0, folder=Path(folder), port_shift=shift,
               ports=Ports(*ports)), say, asked_to_stop)
"""


@pytest.fixture(autouse=True)
def no_addresses_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GUANXI_KAFKA", "GUANXI_DATABASE", "GUANXI_REDIS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def folder() -> Iterator[Path]:
    made = run_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def options_in(folder: Path, **more: Any) -> Options:
    shift = free_shift()
    return Options(folder=folder, ports=Ports.free(), port_shift=shift, **more)


def wait_for(fact: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not fact():
        assert time.monotonic() < deadline, f"{what} not seen within {WAIT_S} s"
        time.sleep(0.05)


# --- beside a demo that runs ------------------------------------------------------------------


@dataclass
class Demo:
    """A demo of a bank of five customers as a process of its own, on ports of its own."""

    folder: Path
    shift: int = field(default_factory=free_shift)
    ports: Ports = field(default_factory=Ports.free)
    spoke_too_soon: bool = False

    def start(self) -> None:
        self.launch()
        wait_for(self.is_live, "a live bank")

    def launch(self) -> None:
        four = (self.ports.kafka, self.ports.postgres, self.ports.redis)
        asked = [str(self.folder), self.shift, [*four, self.ports.kafka_controller]]
        environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        for name in ("GUANXI_KAFKA", "GUANXI_DATABASE", "GUANXI_REDIS"):
            environment.pop(name, None)
        with (self.folder / "said").open("wb") as said:
            self.process = subprocess.Popen(
                [sys.executable, "-c", DEMO, json.dumps(asked)],
                cwd=CHECKOUT, env=environment, stdout=said, stderr=said,
            )  # fmt: skip

    def is_live_while_held(self, service: str) -> bool:
        """Says it that it is live, while one service cannot apply what was published?"""
        wait_for(lambda: "pages at" in self.said(), "pages")
        pid = self.read("system.json")["processes"][service][0]
        os.kill(pid, signal.SIGSTOP)
        try:
            wait_for(lambda: "history is published" in self.said(), "a published history")
            time.sleep(3)
            return self.is_live()
        finally:
            os.kill(pid, signal.SIGCONT)

    def is_live(self) -> bool:
        assert self.process.poll() is None, self.said()
        return "live after" in self.said()

    def said(self) -> str:
        return (self.folder / "said").read_text()

    def read(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / name).read_text())
        return found

    def banks_time(self) -> datetime:
        return datetime.fromisoformat(self.read("clock.json")["saved"])

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            self.process.wait(WAIT_S)


@pytest.fixture(scope="module")
def demo() -> Iterator[Demo]:
    made = Demo(run_folder())
    try:
        made.launch()
        made.spoke_too_soon = made.is_live_while_held("notify")
        wait_for(made.is_live, "a live bank")
        yield made
    finally:
        made.end()
        shutil.rmtree(made.folder, ignore_errors=True)


def test_it_says_live_only_when_every_service_has_applied_the_history(demo: Demo) -> None:
    assert not demo.spoke_too_soon


def test_what_scores_in_the_demo_runs_its_model_of_risk(demo: Demo) -> None:
    assert (demo.folder / "model.json").read_bytes() == MODEL.read_bytes()
    running = demo.read("system.json")["processes"]
    for name in ("worker", "scoring", "rehearser"):
        given = psutil.Process(running[name][0]).environ()["GUANXI_RISK_MODEL"]
        assert given == str(demo.folder / "model.json")


def second_start(demo: Demo, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", "up", *arguments],
        cwd=CHECKOUT, env={**os.environ, "GUANXI_DATA": str(demo.folder)},
        capture_output=True, text=True, check=False, timeout=WAIT_S,
    )  # fmt: skip


@pytest.mark.parametrize("arguments", [(), ("--fresh",), ("--customers", "7")], ids=str)
def test_a_refused_second_start_leaves_the_running_demo_alone(
    demo: Demo, arguments: tuple[str, ...]
) -> None:
    demo.process.send_signal(signal.SIGSTOP)  # else it saves its own clock between the two looks
    before = {name: (demo.folder / name).read_bytes() for name in LEFT_ALONE}
    refused = second_start(demo, *arguments)
    after = {name: (demo.folder / name).read_bytes() for name in LEFT_ALONE}
    demo.process.send_signal(signal.SIGCONT)
    assert after == before
    assert refused.returncode == command_line.ALREADY_RUNNING
    assert refused.stdout == ""
    assert refused.stderr == (
        f"error: the data folder {demo.folder} is in use by process {demo.process.pid}: "
        "`make down` stops it\n"
    )
    clock = json.loads(before["clock.json"])
    saved = datetime.fromisoformat(clock["saved"])
    wait_for(lambda: demo.banks_time() > saved, "a clock that goes on")
    assert demo.read("clock.json")["factor"] == clock["factor"] == 60.0
    assert answers(GATEWAY_PORT + demo.shift)


def test_a_killed_demo_is_healed_by_the_next_start(demo: Demo) -> None:
    demo.process.kill()
    demo.process.wait()
    saved = demo.banks_time()
    left = demo.read("system.json")
    assert left["supervisor"] == demo.process.pid  # stale: nobody was there to remove it
    processes = {pid for state in (left, demo.read("servers.json"))
                 for pid, _ in state["processes"].values()}  # fmt: skip
    assert len(processes) > 8
    assert owner(demo.folder) is None
    demo.start()
    assert demo.read("system.json")["supervisor"] == demo.process.pid
    assert owner(demo.folder) is not None
    assert not [pid for pid in processes if psutil.pid_exists(pid)]
    assert timedelta(0) <= demo.banks_time() - saved < timedelta(hours=2)
    demo.process.terminate()
    assert demo.process.wait(WAIT_S) == 0
    assert demo.said().endswith("stopping\n")
    assert not (demo.folder / "system.json").exists()
    assert demo.read("clock.json")["factor"] == 0.0


# --- refused before anything starts -----------------------------------------------------------


def refusal_of(options: Options) -> str:
    """The one sentence; a refusal says nothing of stopping, for nothing was started."""

    def say(text: str) -> None:
        pytest.fail(f"not refused at once, but: {text}")

    with pytest.raises(StackError) as refused:
        up(options, say, Event())
    assert "\n" not in str(refused.value)
    return str(refused.value)


@pytest.mark.parametrize("name", ["customer", "Kafka"])
def test_a_taken_port_is_named_and_costs_no_data(folder: Path, name: str) -> None:
    (folder / "history.jsonl").write_text("a day\n")
    asked = options_in(folder, fresh=True)
    port = asked.ports.kafka if name == "Kafka" else 8801 + asked.port_shift
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        refusal = refusal_of(asked)
    assert refusal.startswith(f"port {port} for {name} is taken by process {os.getpid()} (")
    assert refusal.endswith(f": stop it (kill {os.getpid()})")
    assert (folder / "history.jsonl").read_text() == "a day\n"


def test_a_port_of_another_checkouts_demo_is_told_as_such(folder: Path, tmp_path: Path) -> None:
    asked = options_in(folder)
    port = GATEWAY_PORT + asked.port_shift
    listening = f"import socket; s = socket.create_server(('127.0.0.1', {port})); input()"
    with subprocess.Popen(
        [sys.executable, "-c", listening, "deploy.local"], cwd=tmp_path, stdin=subprocess.PIPE
    ) as other:  # it ends with its input
        wait_for(lambda: answers(port), "a listener")
        refusal = refusal_of(asked)
    assert f"by the Guanxi of {tmp_path}: `make down` there, or kill {other.pid}" in refusal


def test_a_folder_in_use_is_refused_before_its_ports(folder: Path) -> None:
    with take_lock(folder), pytest.raises(AlreadyRunning, match=f"by process {os.getpid()}"):
        up(options_in(folder), print, Event())


@pytest.mark.parametrize(
    ("half", "refusal"),
    [
        ("bank.json", r"bank\.json is damaged: FRESH=1 starts over with empty data"),
        ("kafka/data/log", r"kafka/data is incomplete \(no meta\.properties\): FRESH=1"),
        ("postgres/data/base", r"postgres/data is incomplete \(no PG_VERSION\): FRESH=1"),
    ],
)
def test_a_half_written_folder_is_refused_with_what_to_do(
    folder: Path, half: str, refusal: str
) -> None:
    (folder / half).parent.mkdir(parents=True, exist_ok=True)
    (folder / half).write_text('{"customers": 10')
    with pytest.raises(StackError, match=refusal):
        raise StackError(refusal_of(options_in(folder)))


def test_a_damaged_clock_is_refused_and_never_becomes_the_walls(tmp_path: Path) -> None:
    clock = BankTime(tmp_path / "clock.json")
    clock.path.write_text("")
    with pytest.raises(StackError, match=r"clock\.json is damaged: FRESH=1"):
        clock.start(datetime(2025, 9, 1, tzinfo=UTC), factor=1.0)
    assert clock.path.read_text() == ""
    with pytest.raises(AssertionError):
        clock.stop()


def test_another_bank_in_the_folder_is_told_in_words(folder: Path) -> None:
    kept = {"customers": 5, "days": 3, "seed": 7, "data": None, "published": True}
    (folder / "bank.json").write_text(json.dumps(kept))
    refusal = refusal_of(options_in(folder, customers=9))
    assert "holds another bank (5 customers, 3 days): leave out N and DATA to go on" in refusal


def test_a_bank_keeps_the_model_of_risk_that_it_began_with(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def begun(**more: Any) -> BankRun:
        run = BankRun(options_in(folder, **more), folder, BankTime(folder / "clock.json"), Child)
        run.remember()
        return run

    assert begun().model == folder / "model.json"
    assert (folder / "model.json").read_bytes() == MODEL.read_bytes()
    other = tmp_path / "other.json"
    other.write_bytes(MODEL.read_bytes())
    monkeypatch.setenv("GUANXI_RISK_MODEL", str(other))
    assert begun().model == folder / "model.json", "it is the same model"
    other.write_text("{}")
    assert "began with another model of risk" in refusal_of(options_in(folder))
    assert (folder / "model.json").read_bytes() == MODEL.read_bytes()
    (folder / "bank.json").unlink()  # a new bank takes the one that is given
    assert begun().model == folder / "model.json"
    assert (folder / "model.json").read_text() == "{}"
    other.unlink()
    assert refusal_of(options_in(folder, fresh=True)) == f"GUANXI_RISK_MODEL={other} is no file"
    assert (folder / "bank.json").exists(), "a refusal costs no data"


@pytest.mark.parametrize(
    ("arguments", "refusal"),
    [
        (["--customers", "abc"], "N (--customers) is a whole number from 1 to 2000000, not 'abc'"),
        (["--customers", "0"], "N (--customers) is a whole number from 1 to 2000000, not '0'"),
        (["--data", "/nowhere"], "DATA=/nowhere is no folder"),
        (["--data", "deploy"], "DATA=deploy is not the Berka data set: it has no trans_partial"),
        (["--folder", "/proc/guanxi"], "the data folder /proc/guanxi cannot be made (No such file"),
        (["--folder", __file__], f"the data folder {__file__} cannot be made (File exists)"),
    ],
)
def test_a_wrong_word_is_refused_in_one_sentence(
    arguments: list[str],
    refusal: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(command_line, "stop_on_signals", Event)  # the test run keeps its own
    monkeypatch.setattr(sys, "argv", ["deploy.local", "up", *arguments])
    monkeypatch.chdir(CHECKOUT)
    with pytest.raises(SystemExit) as ended:
        command_line.main()
    told = capsys.readouterr()
    assert ended.value.code == 1
    assert told.out == ""
    assert told.err.startswith(f"error: {refusal}")
    assert told.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "address", "shown"),
    [
        ("GUANXI_KAFKA", "127.0.0.1:1", "127.0.0.1:1"),
        ("GUANXI_DATABASE", "postgresql+psycopg://me:secret@127.0.0.1:1/x",
         "postgresql+psycopg://me@127.0.0.1:1/x"),
        ("GUANXI_DATABASE", "nonsense", "nonsense"),
        ("GUANXI_REDIS", "redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0"),
    ],
)  # fmt: skip
def test_a_given_server_that_does_not_answer_is_told_before_anything_starts(
    tmp_path: Path, name: str, address: str, shown: str
) -> None:
    began = time.monotonic()
    ended = subprocess.run(
        [sys.executable, "-m", "deploy.local", "up", "--folder", str(tmp_path / "data")],
        cwd=CHECKOUT, env={**os.environ, name: address}, capture_output=True, text=True,
        check=False, timeout=WAIT_S,
    )  # fmt: skip
    assert ended.returncode == 1
    assert ended.stdout == ""
    assert ended.stderr.startswith(f"error: {name} from the environment, {shown}, does not answer")
    assert ended.stderr.count("\n") == 1
    assert "secret" not in ended.stderr
    assert time.monotonic() - began < 100, "as long as a start may take"
    assert not (tmp_path / "data").exists()
