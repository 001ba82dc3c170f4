"""The frame where a person looks: a real browser, the real gateway, a page that changes."""

import re
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from deploy.local.chromium import ARGUMENTS, find
from shared.testing.servers import Servers
from shared.web.assets import PACKAGES
from tests.integration.gateway_stack import GatewayStack, gateway_stack

pytestmark = pytest.mark.browser
AXE = PACKAGES / "axe-core/axe.min.js"
WAIT_MS = 90_000  # a deadline, not a budget: a loaded machine may take long
SAMPLE = "/customer/page/sample"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, servers: Servers) -> Iterator[GatewayStack]:
    folder: Path = tmp_path_factory.mktemp("frame")
    with gateway_stack(folder, servers.redis) as running:
        yield running


expect.set_options(timeout=WAIT_MS)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = find()
    if program is None:
        pytest.skip("no Chromium: `make setup` says how to get one")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(program), args=list(ARGUMENTS))
        yield opened
        opened.close()


@pytest.fixture
def context(chromium: Browser) -> Iterator[BrowserContext]:
    opened = chromium.new_context(locale="zh-CN", viewport={"width": 1280, "height": 860})
    opened.set_default_timeout(WAIT_MS)
    yield opened
    opened.close()


@pytest.fixture
def page(context: BrowserContext, stack: GatewayStack) -> Page:
    """Signed in by hand on the sample page; the stream is open."""
    opened = context.new_page()
    opened.goto(stack.gateway + SAMPLE)
    opened.get_by_role("button", name="王芳").click()
    expect(opened.locator("#gx-live")).to_have_attribute("data-state", "streaming")
    return opened


def hint(stack: GatewayStack, audience: str = "party:P1", offset: int = 77) -> None:
    position = {"topic": "bank.events", "partition": 3, "offset": offset, "type": "t"}
    httpx.post(f"{stack.upstream}/hint", json={"audience": audience, **position}, trust_env=False)


def complaints(page: Page) -> list[str]:
    """What axe finds on the page as it stands."""
    page.evaluate(AXE.read_text())
    found = page.evaluate("async () => (await axe.run(document)).violations")
    return [f"{one['id']}: {[node['target'] for node in one['nodes']]}" for one in found]


def test_panel_follows_a_hint_without_reload_and_glows(stack: GatewayStack, page: Page) -> None:
    before = page.locator("#timeline [data-key]").count()
    page.evaluate("window.mark = 1")
    hint(stack)
    expect(page.locator("#timeline [data-key]")).to_have_count(before + 1)
    asked = page.locator("#timeline .card-body").get_attribute("data-query")
    assert asked == "at=bank.events%3A3%3A77"
    glowing = page.locator(".gx-glow")
    expect(glowing).to_have_count(1)
    expect(glowing).to_have_count(0)  # after two seconds
    assert page.evaluate("window.mark") == 1


def test_a_panel_in_which_somebody_types_waits_until_he_has_done(
    stack: GatewayStack, page: Page
) -> None:
    panel = page.locator("#timeline")
    before = panel.locator("[data-key]").count()
    page.evaluate(
        "document.querySelector('#timeline [data-key]')"
        ".insertAdjacentHTML('beforeend', '<input id=note aria-label=note>')"
    )
    page.fill("#note", "半句话")
    hint(stack, offset=78)
    expect(page.locator("#gx-pill")).to_be_visible()
    expect(page.locator("#note")).to_have_value("半句话")
    assert panel.locator("[data-key]").count() == before
    page.fill("#note", "")
    page.locator("#note").blur()
    expect(panel.locator("[data-key]")).not_to_have_count(before)
    expect(page.locator("#gx-pill")).to_be_hidden()


def test_the_banks_date_moves_while_the_page_is_open(stack: GatewayStack, page: Page) -> None:
    shown = page.locator(".gx-day time")
    expect(shown).to_have_text("2026-11-24")
    page.evaluate("window.mark = 1")
    ping = {"bank_now": "2026-11-26T23:59:00+08:00", "factor": 60.0}
    httpx.post(f"{stack.upstream}/hint", json=ping, trust_env=False)
    expect(shown).to_have_text("2026-11-26")
    expect(shown).to_have_text("2026-11-27")  # a minute of the bank later, by the page itself
    expect(shown).to_have_attribute("title", re.compile("11月27日"))
    assert page.evaluate("window.mark") == 1


def test_hint_for_others_changes_nothing(stack: GatewayStack, page: Page) -> None:
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    with page.expect_response("**/notify/count*"):
        hint(stack, "party:P2", 80)
        hint(stack, "staff:S001", 81)  # ours: the count; it comes after the other on one stream
    assert not any("/customer/page/panel" in url for url in asked)


def test_names_come_once_per_panel(
    stack: GatewayStack, context: BrowserContext, page: Page
) -> None:
    asked: list[str] = []
    page.on("request", lambda r: asked.append(r.url) if "/labels" in r.url else None)
    page.reload()
    expect(page.locator("[data-label='staff:S003']")).to_have_text("名称 S003")
    expect(page.locator("[data-label='party:P0']")).to_have_text("名称 P0")
    assert sorted(url.split("?")[0].removeprefix(stack.gateway) for url in asked) == [
        "/customer/labels",
        "/workflow/labels",
    ]


def test_refusal_and_a_dead_service_are_told_with_a_number(page: Page) -> None:
    page.click("#refused")
    expect(page.locator(".gx-toast").first).to_contain_text("订单已被他人处理")
    expect(page.locator(".gx-toast").first).to_contain_text("abc12345")
    page.click("#down")
    expect(page.locator(".gx-toast").nth(1)).to_contain_text("该功能暂时没有响应")


def test_keyboard_alone_is_enough(page: Page) -> None:
    page.keyboard.press("/")
    expect(page.locator("#gx-search")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("j")
    page.keyboard.press("j")
    expect(page.get_by_role("link", name="账户 1")).to_be_focused()
    page.keyboard.press("Shift+?")
    expect(page.locator("#gx-help")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#gx-help")).to_be_hidden()
    page.keyboard.press("k")
    page.keyboard.press("Enter")
    page.wait_for_url("**?row=0")


def test_gateway_restart_is_survived_by_an_open_page(stack: GatewayStack, page: Page) -> None:
    stack.stop_gateway()
    expect(page.locator("#gx-live")).not_to_have_attribute("data-state", "streaming")
    stack.start_gateway()
    expect(page.locator("#gx-live")).to_have_attribute("data-state", "streaming")
    before = page.locator("#timeline [data-key]").count()
    hint(stack, offset=90)
    expect(page.locator("#timeline [data-key]")).not_to_have_count(before)


def test_language_and_sign_out(stack: GatewayStack, page: Page) -> None:
    page.get_by_role("link", name="EN", exact=True).click()
    expect(page.locator(".gx-menu")).to_contain_text("Early warning")
    assert page.url == stack.gateway + SAMPLE
    page.click(".gx-who summary")
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/signed-out")
    page.goto(stack.gateway + SAMPLE)
    assert page.url.startswith(stack.issuer)


def test_session_that_ended_loses_nothing_typed(context: BrowserContext, page: Page) -> None:
    context.clear_cookies(name="guanxi_session")
    page.fill("#gx-search", "华东")
    page.click("#refused")
    expect(page.locator(".gx-toast")).to_contain_text("您的登录已结束")
    expect(page.locator("#gx-search")).to_have_value("华东")


@pytest.mark.parametrize("by", ["itself", "focus"])
def test_a_page_says_that_its_session_was_lost_and_goes_on_after_the_sign_in(
    stack: GatewayStack, context: BrowserContext, page: Page, by: str
) -> None:
    page.fill("#gx-search", "华东")
    page.evaluate("window.mark = 1")
    stack.lose_sessions()
    expect(page.locator("#gx-live")).to_have_attribute("data-state", "ended", timeout=8_000)
    box = page.locator("#gx-offline")
    expect(box).to_contain_text("您的登录已结束")
    expect(box).to_contain_text("当前内容截至")
    with context.expect_page() as opened:
        box.get_by_role("link", name="重新登录").click()
    again = opened.value
    again.get_by_role("button", name="王芳").click()
    again.wait_for_url(f"{stack.gateway}/**")
    if by == "itself":
        again.goto(stack.gateway + SAMPLE)  # any page that streams, as the desk does
    else:
        assert page.locator("#gx-live").get_attribute("data-state") == "ended"
        page.evaluate("dispatchEvent(new Event('focus'))")  # a headless page is never out of focus
    expect(page.locator("#gx-live")).to_have_attribute("data-state", "streaming")
    expect(box).to_be_hidden()
    expect(page.locator("#gx-search")).to_have_value("华东")
    assert page.evaluate("window.mark") == 1
    before = page.locator("#timeline [data-key]").count()
    hint(stack, offset=95)
    expect(page.locator("#timeline [data-key]")).not_to_have_count(before)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_and_no_policy_is_broken(
    stack: GatewayStack, chromium: Browser, scheme: str, width: int
) -> None:
    errors: list[str] = []
    look = {"locale": "zh-CN", "color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    with chromium.new_context(**look) as context:  # type: ignore[arg-type]
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("console", lambda m: errors.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.goto(stack.gateway + SAMPLE)
        assert complaints(page) == []  # the issuer's page
        page.get_by_role("button", name="王芳").click()
        expect(page.locator("#gx-live")).to_have_attribute("data-state", "streaming")
        expect(page.locator("#gx-inbox-count")).to_have_text("3")
        assert complaints(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert errors == []
