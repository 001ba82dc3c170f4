"""The whole system once for all stories, and browsers in which staff sign in."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from deploy.local.chromium import ARGUMENTS, find
from deploy.local.servers import Ports
from deploy.local.system import Options, System, free_shift, running
from shared.testing.servers import run_folder

LIVE_S = 120.0
POLICY = "Content Security Policy"  # as a browser says that it refused something


@pytest.fixture(scope="module")
def system(monkeypatch_module) -> Iterator[System]:
    """A small bank, its history loaded; after it the tests publish what happens."""
    for name in ("GUANXI_KAFKA", "GUANXI_DATABASE", "GUANXI_REDIS"):
        monkeypatch_module.delenv(name, raising=False)
    options = Options(
        customers=150, days=100, live=False, factor=30.0, ports=Ports.free(),
        port_shift=free_shift(), folder=run_folder(),
    )  # fmt: skip
    with running(options, print) as found:
        deadline = time.monotonic() + LIVE_S
        while not found.bank.is_live:
            assert time.monotonic() < deadline, "the history was not published in time"
            found.watch()
            time.sleep(0.2)
        yield found


@pytest.fixture(scope="module")
def monkeypatch_module() -> Iterator[pytest.MonkeyPatch]:
    with pytest.MonkeyPatch.context() as patch:
        yield patch


@pytest.fixture(scope="module")  # its event loop must be gone when other suites run theirs
def browser() -> Iterator[Browser]:
    path = find()
    if path is None:
        pytest.skip("no Chromium: `make setup` says how to get one")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(path), args=list(ARGUMENTS))
        yield opened
        opened.close()


@contextmanager
def signed_in(
    browser: Browser, system: System, staff_id: str, path: str = "/workflow/desk"
) -> Iterator[Page]:
    """A browser of its own in which this member of staff has signed in. Whatever is pressed in it,
    no script fails and nothing breaks the policy of the gateway."""
    wrong: list[str] = []
    with browser.new_context(viewport={"width": 1280, "height": 900}, locale="zh-CN") as context:
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda m: wrong.append(m.text) if POLICY in m.text else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.goto(system.url + path)
        page.get_by_text(staff_id, exact=True).click()
        page.wait_for_url(f"{system.url}/**")
        yield page
    assert wrong == []


@pytest.fixture
def desk(system: System, browser: Browser):
    """`desk("S012")`: a page of its own in which this member of staff has signed in."""
    with ExitStack() as opened:
        yield lambda *asked: opened.enter_context(signed_in(browser, system, *asked))
