"""Fixtures that several suites use: the real servers once per run, a fresh space per test."""

import os
from collections.abc import Iterator

import pytest

from shared.testing.servers import Servers
from shared.testing.servers import servers as running_servers
from shared.testing.space import Space

os.environ.setdefault("GUANXI_ENVIRONMENT", "local")  # services may start with the published key


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with running_servers() as found:
        yield found


@pytest.fixture
def space(servers: Servers) -> Iterator[Space]:
    room = Space(servers)
    yield room
    room.close()
