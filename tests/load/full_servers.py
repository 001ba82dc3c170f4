"""The servers that are measured: set as in production, and each bench says how they are set."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import psutil
import typer
from sqlalchemy import create_engine, make_url, text

from shared.testing.servers import Servers, servers

BUFFERS_MB: Final = 2048  # as the runbook asks for a bank of a million customers
SAFE: Final = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}


@contextmanager
def full_servers() -> Iterator[Servers]:
    """Never those of a short run: their broker is not compiled to the end, and their PostgreSQL
    does not wait for its disk."""
    # A topic that was made just now has no leader for an instant: the producer tries again, with a
    # line for each batch. What it gives up is raised.
    logging.getLogger("aiokafka.producer.sender").setLevel(logging.ERROR)
    with servers(
        lambda line: typer.echo(line, err=True), short_run=False, buffers_mb=BUFFERS_MB
    ) as found:
        held = _settings_of(found)
        typer.echo(json.dumps({"what": "servers", "lane": found.lane} | held))
        assert {name: held[name] for name in SAFE} == SAFE, "PostgreSQL may lose what it committed"
        assert "TieredStopAtLevel" not in held["broker_jvm"], "the broker is slower than it is"
        yield found


def broker_pid(address: str) -> int | None:
    """The process that listens there, where it runs on this machine."""
    port = int(address.split(",", maxsplit=1)[0].rpartition(":")[2])
    for connection in psutil.net_connections("tcp"):
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
            return connection.pid
    return None


def _settings_of(found: Servers) -> dict[str, str]:
    engine = create_engine(make_url(found.database))
    with engine.connect() as connection:
        asked = text("select name, current_setting(name) as held from pg_settings"
                     " where name = any(:names)")  # fmt: skip
        names = [*SAFE, "shared_buffers"]
        held = {row.name: row.held for row in connection.execute(asked, {"names": names})}
    engine.dispose()
    broker = broker_pid(found.kafka)
    options = psutil.Process(broker).cmdline() if broker else []
    flags = [one for one in options if one.startswith(("-X", "-XX"))]
    return held | {"broker_jvm": " ".join(flags) if broker else "not on this machine"}
