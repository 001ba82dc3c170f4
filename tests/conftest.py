"""Fixtures that several suites use: the real servers once per run, a fresh space per test."""

import os
from collections.abc import Callable, Iterator

import pytest

from shared.db import DeliveryBase
from shared.migrations import prepare_schema
from shared.runtime import Runtime
from shared.testing.servers import Servers
from shared.testing.servers import servers as running_servers
from shared.testing.space import ServiceUnderTest, Space, forget_templates
from tests.ledger import BROKEN, SERVICE, Base

os.environ.setdefault("GUANXI_ENVIRONMENT", "local")  # services may start with the published key


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Says a figure that was measured; all stand at the end of the run, of parallel ones too."""
    return lambda line: record_property("figure", line)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    stats = terminalreporter.stats
    reports = [*stats.get("passed", ()), *stats.get("failed", ())]
    told = [text for r in reports for name, text in r.user_properties if name == "figure"]
    if told:
        terminalreporter.section("figures")
    for text in told:
        terminalreporter.write_line(text)


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    with running_servers() as found:
        yield found
        forget_templates(found)


@pytest.fixture
def space(servers: Servers) -> Iterator[Space]:
    room = Space(servers)
    yield room
    room.close()


@pytest.fixture
def ledger(space: Space) -> ServiceUnderTest:
    """The service of the delivery tests."""
    BROKEN.clear()
    settings = space.settings("ledger", retries_max=2, database=space.database("ledger"))
    prepare_schema(settings)
    runtime = Runtime(SERVICE, settings, space.clock)
    with runtime.database.engine.begin() as connection:
        DeliveryBase.metadata.create_all(connection)
        Base.metadata.create_all(connection)
    under_test = ServiceUnderTest(runtime)
    space._services.append(under_test)
    return under_test
