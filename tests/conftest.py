"""Fixtures that several suites use: the real servers once per run, a fresh space per test."""

import os
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from shared.testing.space import Space


@pytest.fixture(scope="session")
def servers() -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(
        kafka=os.environ["GUANXI_KAFKA"],
        database=os.environ["GUANXI_DATABASE"],
        redis=os.environ["GUANXI_REDIS"],
    )


@pytest.fixture
def space(servers: SimpleNamespace) -> Iterator[Space]:
    room = Space(servers)
    yield room
    room.close()
