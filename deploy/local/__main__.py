"""python -m deploy.local: the embedded servers, and the whole system in one command."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from deploy.local.places import CHECKOUT, StackError, data_folder
from deploy.local.servers import (
    AlreadyRunning,
    Ports,
    ServerSet,
    forget_data,
    owner,
    read_state,
    runs,
)

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
servers = typer.Typer(no_args_is_help=True, help="Kafka, PostgreSQL and Redis alone.")
app.add_typer(servers, name="servers")

Folder = Annotated[
    Path | None, typer.Option(help="of the data; none: GUANXI_DATA, else this checkout's own")
]
Heap = Annotated[int, typer.Option(help="Kafka's heap in MB")]
Connections = Annotated[int, typer.Option(help="PostgreSQL's max_connections")]
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CUSTOMERS_MAX = 2_000_000  # as of the simulator
ALREADY_RUNNING = 2  # exit codes
NOTHING_RUNS = 3
_DEFAULT = Ports()
KafkaPort = Annotated[int, typer.Option()]
PostgresPort = Annotated[int, typer.Option()]
RedisPort = Annotated[int, typer.Option()]


class Stopped(Exception):
    """SIGINT or SIGTERM arrived."""


def stop_on_signals() -> threading.Event:
    """Ctrl-C, SIGTERM and a closed terminal all end the run in order: by Stopped, and the event.

    Python drops an exception that a signal raises inside a hook of a fork or a finalizer; the
    event stays set, for the loop to see.
    """
    asked = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        for each in STOP_SIGNALS:  # stopping is under way: once is enough
            signal.signal(each, signal.SIG_IGN)
        asked.set()
        raise Stopped

    for number in STOP_SIGNALS:
        signal.signal(number, on_signal)
    return asked


def say(text: str) -> None:
    typer.echo(text)
    sys.stdout.flush()


@servers.command("run")
def run_servers(  # noqa: PLR0917 -- given by name on the command line
    folder: Folder = None,
    kafka_port: KafkaPort = _DEFAULT.kafka,
    postgres_port: PostgresPort = _DEFAULT.postgres,
    redis_port: RedisPort = _DEFAULT.redis,
    heap_mb: Heap = 256,
    connections_max: Connections = 200,
) -> None:
    """Run the servers here until Ctrl-C."""
    asked_to_stop = stop_on_signals()
    ports = Ports(kafka_port, postgres_port, redis_port, kafka_port + 1)
    stack = ServerSet(
        folder or data_folder(),
        ports=ports,
        heap_mb=heap_mb,
        connections_max=connections_max,
        say=say,
    )
    try:
        stack.start()
        while not asked_to_stop.wait(0.5):
            stack.watch()
    except Stopped:
        pass
    finally:
        if stack.children:
            say("stopping")
        stack.stop()


@servers.command("up")
def start_servers(  # noqa: PLR0917 -- the same options
    folder: Folder = None,
    kafka_port: KafkaPort = _DEFAULT.kafka,
    postgres_port: PostgresPort = _DEFAULT.postgres,
    redis_port: RedisPort = _DEFAULT.redis,
    heap_mb: Heap = 256,
    connections_max: Connections = 200,
) -> None:
    """Start the servers in the background and print their addresses."""
    folder = folder or data_folder()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    log = folder / "logs" / "servers.log"
    argv = [
        sys.executable,
        "-m",
        "deploy.local",
        "servers",
        "run",
        "--folder",
        str(folder),
        "--kafka-port",
        str(kafka_port),
        "--postgres-port",
        str(postgres_port),
        "--redis-port",
        str(redis_port),
        "--heap-mb",
        str(heap_mb),
        "--connections-max",
        str(connections_max),
    ]
    with log.open("wb") as out:
        supervisor = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            cwd=CHECKOUT,
            start_new_session=True,
        )
    while supervisor.poll() is None:
        state = read_state(folder)
        if state and state["supervisor"] == supervisor.pid and state["phase"] == "ready":
            break
        time.sleep(0.05)
    said = log.read_text().strip()
    if supervisor.poll() is not None:
        if supervisor.returncode == ALREADY_RUNNING and owner(folder):
            show_servers(folder)
            return
        raise StackError(said.removeprefix("error: "))
    say(said)


@servers.command("down")
def stop_servers(folder: Folder = None) -> None:
    """Stop the servers and wait until they are gone."""
    stop_owner(folder or data_folder())


def stop_owner(folder: Path) -> None:
    held = owner(folder)
    if held is None:
        say(f"nothing runs in {folder}")
        return
    pid, began = held
    say(f"stopping process {pid}")
    os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 60
    while runs(pid, began):
        if time.monotonic() > deadline:
            raise StackError(f"process {pid} does not stop; see {folder / 'logs'}")
        time.sleep(0.05)
    say("stopped")


@servers.command("status")
def show_servers(folder: Folder = None) -> None:
    """Say what runs, where, and how much memory it takes."""
    say_what_runs(folder or data_folder(), "servers")


def say_what_runs(folder: Path, *parts: str) -> None:
    from deploy.local.report import lines

    if owner(folder) is None:
        say(f"nothing runs in {folder}: `make demo` starts the demo")
        raise typer.Exit(NOTHING_RUNS)
    for part in parts:
        for line in lines(read_state(folder, part) or {}):
            say(line)


def customers_of(text: str) -> int:
    if text.isascii() and text.isdigit() and 1 <= int(text) <= CUSTOMERS_MAX:
        return int(text)
    raise StackError(f"N (--customers) is a whole number from 1 to {CUSTOMERS_MAX}, not {text!r}")


@app.command()
def up(
    customers: Annotated[
        int | None,
        typer.Option(
            parser=customers_of, metavar="N", help="of the simulated bank [default: 1000]"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="play the Berka data set in DIR, not the simulated bank"),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="remove the data of the last run")] = False,
    folder: Folder = None,
) -> None:
    """Run the demo here until Ctrl-C: servers, services, sign-in, pages, and a bank that lives.

    Goes on with the bank of the last run, at the hour when it stopped, unless --fresh is given.
    The pages are on port 8800. `make demo` calls this with its N, DATA and FRESH.
    """
    from deploy.local import system

    asked_to_stop = stop_on_signals()
    asked: dict[str, Any] = {"data": data, "fresh": fresh, "folder": folder}
    if customers is not None:
        asked["customers"] = customers
    with contextlib.suppress(Stopped):
        system.up(system.Options(**asked), say, asked_to_stop)


@app.command()
def down(folder: Folder = None) -> None:
    """Stop the demo that runs in another terminal, and wait until it is gone. Its data stay."""
    stop_owner(folder or data_folder())


@app.command()
def status(folder: Folder = None) -> None:
    """Say where the demo's pages are, what runs, and how much memory it takes."""
    say_what_runs(folder or data_folder(), "system", "servers")


@app.command()
def forget(folder: Folder = None) -> None:
    """Remove the data; refused while the demo or its servers run."""
    forget_data(folder or data_folder())


@app.command()
def topics(
    kafka: Annotated[str, typer.Option(envvar="GUANXI_KAFKA")] = f"127.0.0.1:{_DEFAULT.kafka}",
    environment: Annotated[str, typer.Option(help="local or production")] = "local",
) -> None:
    """Create the topics of deploy/kafka/topics.yaml that are missing."""
    from deploy.local.topics import create_topics

    for name in create_topics(kafka, environment=environment):
        say(name)


def main() -> None:
    try:
        app(standalone_mode=True)
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(ALREADY_RUNNING if isinstance(error, AlreadyRunning) else 1)


if __name__ == "__main__":
    main()
