"""Real servers for the tests: addresses of the environment, else embedded, else by Docker."""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from deploy.local.children import free_port
from deploy.local.places import data_folder, make_own
from deploy.local.servers import Ports, ServerSet

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:18-alpine"
REDIS_IMAGE = "redis:8-alpine"
DOCKER_START_TIMEOUT_S = 120
MEMORY = Path("/dev/shm")  # noqa: S108 - make_own checks the owner
ROOM_BYTES = 6 << 30  # three times what six processes of tests take


@dataclass(frozen=True)
class Servers:
    """Addresses, and the lane they come from. Embedded ones can be killed and watched."""

    kafka: str
    database: str  # of an account that may create roles and databases
    redis: str
    lane: str
    stack: ServerSet | None = None
    templates: dict[str, str] = field(default_factory=dict, compare=False)  # of `Space`, by service


@contextmanager
def servers(
    say: Callable[[str], None] = print, *, short_run: bool = True, buffers_mb: int = 128
) -> Iterator[Servers]:
    """The servers of this run. Says which lane was taken; leaves no process and no data."""
    if os.environ.get("LANE") == "docker":
        with docker_servers() as found:
            say(f"servers: {found.lane}")
            yield found
        return
    with embedded_servers(short_run=short_run, buffers_mb=buffers_mb) as found:
        say(f"servers: {found.lane}")
        yield found


@contextmanager
def embedded_servers(
    *, heap_mb: int = 256, buffers_mb: int = 128, short_run: bool = True
) -> Iterator[Servers]:
    """A set of its own on free ports, except what the environment gives; `short_run`: cheaper to
    start and careless at power loss, so never for what is measured."""
    folder = run_folder(in_memory=short_run)
    stack = ServerSet(
        folder,
        ports=Ports.free(),
        heap_mb=heap_mb,
        buffers_mb=buffers_mb,
        connections_max=300,
        short_run=short_run,
    )
    try:
        stack.start()
        addresses = stack.environment()
        yield Servers(
            kafka=addresses["GUANXI_KAFKA"],
            database=addresses["GUANXI_DATABASE"],
            redis=addresses["GUANXI_REDIS"],
            lane=_lane_of(stack),
            stack=stack,
        )
    finally:
        stack.stop()
        shutil.rmtree(folder, ignore_errors=True)


def run_folder(*, in_memory: bool = True) -> Path:
    """An empty folder of this run. Those of runs that were killed are removed.

    In memory where there is much of it, unless GUANXI_DATA says where: a topic or a database of a
    test costs half as much as on a disk. What is measured is on a disk.
    """
    folder = data_folder()
    if in_memory and "GUANXI_DATA" not in os.environ and _has_room(MEMORY):
        folder = MEMORY / f"guanxi-{os.geteuid()}"
    runs = make_own(make_own(folder) / "runs")
    for old in runs.iterdir():
        pid = old.name.partition("-")[0]
        if not (Path("/proc") / pid).exists():
            shutil.rmtree(old, ignore_errors=True)
    return make_own(runs / f"{os.getpid()}-{uuid.uuid4().hex[:6]}")


def _has_room(folder: Path) -> bool:
    return folder.is_dir() and shutil.disk_usage(folder).free > ROOM_BYTES


def _lane_of(stack: ServerSet) -> str:
    started = [server.name for server in stack.servers.values()]
    given = [name.removeprefix("GUANXI_").lower() for name in stack.given]
    parts = [f"embedded {', '.join(started)}"] if started else []
    return "; ".join([*parts, f"from the environment {', '.join(given)}"] if given else parts)


@contextmanager
def docker_servers() -> Iterator[Servers]:
    """The same three by testcontainers; skips loudly where no engine answers."""
    import docker
    from docker.errors import DockerException
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    try:
        docker.from_env().ping()
    except DockerException as error:
        pytest.skip(f"LANE=docker, but no container engine answers: {error}")

    def ready(text: str, times: int = 1) -> LogMessageWaitStrategy:
        waiting = LogMessageWaitStrategy(text, times=times)
        return waiting.with_startup_timeout(DOCKER_START_TIMEOUT_S)

    with ExitStack() as running:
        port = free_port()
        kafka = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, port)
        for name, value in kafka_container_environment(port).items():
            kafka = kafka.with_env(name, value)
        postgres = (
            DockerContainer(POSTGRES_IMAGE)
            .with_env("POSTGRES_USER", "guanxi")
            .with_env("POSTGRES_DB", "guanxi")
            .with_env("POSTGRES_HOST_AUTH_METHOD", "trust")
            .with_command("postgres -c max_connections=300")
            .with_exposed_ports(5432)
        )
        redis = DockerContainer(REDIS_IMAGE).with_exposed_ports(6379)
        running.enter_context(kafka.waiting_for(ready("Kafka Server started")))
        # The image starts once to initialise and once for real.
        running.enter_context(postgres.waiting_for(ready("ready to accept connections", times=2)))
        running.enter_context(redis.waiting_for(ready("Ready to accept connections")))
        host = postgres.get_container_host_ip()
        yield Servers(
            kafka=f"{host}:{port}",
            database=f"postgresql+psycopg://guanxi@{host}:{postgres.get_exposed_port(5432)}/guanxi",
            redis=f"redis://{redis.get_container_host_ip()}:{redis.get_exposed_port(6379)}/0",
            lane="Docker containers",
        )


def kafka_container_environment(port: int) -> dict[str, str]:
    """One KRaft node that tells its clients the port it is published on."""
    return {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://:9092,CONTROLLER://:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{port}",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@localhost:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
    }
