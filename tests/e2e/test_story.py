"""The story of the whole bank in real browsers: an alert, a hand-off, an order, a payment."""

import json
import math
import re
import time
from importlib import import_module
from pathlib import Path

import httpx
import pytest
import yaml
from playwright.sync_api import Page, expect

from deploy.local import prometheus
from deploy.local.system import SERVICES
from tests.e2e import bank_side, ops_side, page_checks
from tests.e2e.conftest import signed_in
from tests.e2e.prometheus_server import CONFIG, alarms, answers, scraping

pytestmark = pytest.mark.browser

FAST_MS = 90_000
DASHBOARD = Path(__file__).parents[2] / "deploy" / "grafana" / "guanxi.json"


def mark(page: Page) -> None:
    """What a reload would wipe out."""
    page.evaluate("window.notReloaded = true")


def never_reloaded(page: Page) -> bool:
    return page.evaluate("window.notReloaded === true")


def step_at(page: Page, step: str, token: str):
    """The shape of a step in the drawing, if the token of it stands so."""
    return page.locator(f"#process-diagram [data-element-id={step}].token-{token}")


@pytest.fixture(scope="module")
def leaver(system):
    """A customer of 王磊 (S012) who takes nearly everything away."""
    return bank_side.rich_customer_of(system, "RM-SH01-1", "RM-SH01-4")


def test_every_alarm_watches_what_the_running_system_exports(system):
    jobs = yaml.safe_load(CONFIG.read_text())["scrape_configs"]
    exported = {"up"}
    for target in jobs[0]["static_configs"][0]["targets"]:
        port = int(target.rpartition(":")[2]) + system.options.port_shift
        page = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30)
        exported |= set(re.findall(r"^(\w+)", page.text, re.MULTILINE))
    watched = {name for rule in alarms() for name in re.findall(r"guanxi_\w+|\bup\b", rule["expr"])}
    assert watched - exported == set()


def test_a_healthy_system_raises_no_alarm(system, tmp_path):
    """One that fires at once is never true, one that waits is false at some moment before it."""
    server = prometheus.find("prometheus")
    if server is None:
        pytest.skip(prometheus.MISSING)
    rules = {rule["alert"]: rule for rule in alarms()}
    waiting = {name for name in rules if "for" in rules[name]}
    assert waiting < set(rules)
    with scraping(server, tmp_path, system.options.port_shift) as url:
        deadline = time.monotonic() + 120
        while answers(url, "sum(up) and sum(guanxi_listener_up)") != [len(SERVICES) + 2]:
            assert time.monotonic() < deadline, "not all of the system is scraped"
            time.sleep(0.2)
        deadline = time.monotonic() + 10  # the shortest wait of an alarm
        while time.monotonic() < deadline:
            true = {name for name in rules if answers(url, rules[name]["expr"])}
            assert {name for name in true if "for" not in rules[name]} == set()
            waiting &= true
            time.sleep(1)
    assert not waiting, {name: rules[name]["expr"] for name in waiting}


def test_an_alert_becomes_work_and_the_work_is_handed_on(system, desk, leaver):
    number, account, balance = leaver
    manager = desk("S012")
    colleague = desk("S013")
    expect(manager.locator("#gx-live")).to_have_attribute("data-state", "streaming")
    mark(manager)
    mark(colleague)
    before = manager.locator("#desk-mine [data-task]").count()

    leaving = bank_side.outgoing(
        system, number, account, balance * 95 // 100, f"leave-{bank_side.stamp()}"
    )
    bank_side.send(system, leaving)

    line = manager.locator("#desk-mine [data-task]").filter(has_text=re.compile("余额|资金|流出"))
    expect(line.first).to_be_visible(timeout=FAST_MS)
    assert manager.locator("#desk-mine [data-task]").count() == before + 1
    assert never_reloaded(manager)

    line.first.get_by_text("转交", exact=False).first.click()
    line.first.locator("select[name=to_staff_id]").select_option("S013")
    line.first.locator("input[name=reason]").fill("请您跟进")
    # As a person who drags a field's corner: the answer to the form has the same field.
    line.first.locator("input[name=reason]").evaluate("one => { one.style.width = '20rem' }")
    line.first.locator("form button").click()

    arrived = colleague.locator("#desk-mine [data-task]")
    expect(arrived.first).to_be_visible(timeout=FAST_MS)
    assert never_reloaded(colleague)
    expect(colleague.locator("#gx-inbox-count")).to_contain_text(re.compile(r"\d"))

    expect(arrived.first.locator(f"[data-label='party:P{number}']")).not_to_contain_text(number)
    expect(manager.locator("#desk-handed")).to_contain_text("转", timeout=FAST_MS)

    arrived.first.locator("a.btn-primary").click()
    colleague.wait_for_url("**/workflow/processes/*")
    manager.goto(colleague.url)
    expect(step_at(manager, "assess", "here")).to_be_visible()
    mark(manager)
    page_checks.choose_while_an_answer_is_on_its_way(colleague, "属实,需要联系")
    colleague.get_by_role("button", name="办结本步").click()
    expect(step_at(manager, "contact", "here")).to_be_visible(timeout=FAST_MS)
    expect(step_at(manager, "assess", "done")).to_be_visible()
    assert never_reloaded(manager)

    colleague.locator(f"a [data-label='party:P{number}']").click()  # the task is still his
    expect(colleague.locator("#party-head h1")).to_be_visible()

    colleague.goto(f"{system.url}/notify/inbox")
    colleague.locator("#inbox details summary").first.click()
    if not colleague.locator("#inbox details[open]").count():  # it was written anew under the click
        colleague.locator("#inbox details summary").first.click()
    expect(colleague.locator("#inbox details[open]").first).to_contain_text("触发预警")
    unread = colleague.locator("#inbox [data-row]").filter(has_text="未读")
    for _ in range(unread.count()):
        before = unread.count()
        unread.first.locator("select").select_option(label="明早")
        unread.first.locator("form button").click()
        expect(unread).to_have_count(before - 1)
    expect(colleague.locator("#gx-inbox-count")).to_have_text("", timeout=FAST_MS)


def test_an_order_needs_a_second_person_and_a_payment_ends_it(system, desk, leaver):
    number, _, _ = leaver
    maker, checker = desk("S012"), desk("S011")
    mark(checker)
    party = maker.request.get(f"{system.url}/customer/labels?ids=number:{number}")
    assert party.ok, party.text()
    maker.goto(f"{system.url}/customer/search?q={number}")
    maker.locator("a[href*='/customer/parties/']").first.click()
    party_id = maker.url.rsplit("/", 1)[1].partition("?")[0]

    maker.goto(f"{system.url}/orders/orders/new?party={party_id}")
    maker.locator("#line-0-product").select_option("SAFE-BOX-YEAR")
    maker.locator("#line-0-quantity").fill("1")
    maker.locator("button[name=then][value=submit]").click()
    maker.wait_for_url(re.compile(r"/orders/orders/ORD-"))
    order_id = maker.url.rsplit("/", 1)[1]
    mark(maker)
    expect(maker.locator("#approval .btn-success")).to_have_count(0)  # never one's own

    expect(checker.locator("#desk-approvals")).to_contain_text(order_id, timeout=FAST_MS)
    assert never_reloaded(checker)
    checker.goto(f"{system.url}/orders/orders/{order_id}")
    checker.locator("#approval .btn-success").click()

    expect(maker.locator("#plan [data-key=step-1]")).to_be_visible(timeout=FAST_MS)
    assert never_reloaded(maker)
    maker.get_by_role("button", name="已交付").or_(
        maker.locator("button[hx-post$='/deliver']")
    ).first.click()

    amount = maker.locator("#receivable .gx-metric .h2").first.inner_text()
    exact = re.sub(r"[^0-9.]", "", amount)
    bank_side.pay(system, order_id, exact, number)
    expect(maker.locator("#receivable [data-key^=payment-]")).to_be_visible(timeout=FAST_MS)
    expect(maker.locator("#reminder")).to_have_attribute(
        "data-key", re.compile("withdrawn"), timeout=FAST_MS
    )
    expect(maker.locator("h1 + .status")).to_contain_text("已完成", timeout=FAST_MS)
    assert never_reloaded(maker)


def test_totals_move_in_a_second_of_an_event_and_open_down_to_it(system, desk, leaver, figure):
    number, account, _ = leaver
    head = desk("S011", "/scoring/contribution?by=manager")
    figures = head.locator("#value [data-accrued]")
    expect(figures).to_be_visible(timeout=FAST_MS)
    expect(head.locator("#gx-live")).to_have_attribute("data-state", "streaming")
    mark(head)
    paid = []

    def pay() -> None:
        paid.append(bank_side.outgoing(system, number, account, 100, f"s-{bank_side.stamp()}"))
        bank_side.send(system, paid[-1])

    usual_s = page_checks.usual_wait(figures, "data-accrued", pay, FAST_MS)
    figure(f"page: totals move {usual_s:.2f} s after an event, on an idle machine")
    assert usual_s < page_checks.A_SECOND
    assert never_reloaded(head)
    expect(head.locator("#value [data-residual]")).to_have_attribute("data-residual", "0")
    row = head.locator("#value tr[data-row][data-both]").first
    code = row.get_attribute("data-key")
    row.locator("a").click()
    head.wait_for_url(re.compile(rf"/scoring/contribution/leaves\?by=manager&code={code}\b"))
    expect(head.locator("#value")).to_have_count(0)
    expect(head.locator("tr[data-row] a[href*='/contribution/leaf']").first).to_be_visible()
    head.goto(f"{system.url}/scoring/contribution/leaves?by=party&code=P{number}&state=accrued")
    head.locator("tr[data-row]").filter(has_text="交易作业成本").locator("a").first.click()
    expect(head.get_by_text(paid[-1]["id"])).to_be_visible()


def test_the_sheet_of_a_closed_month_adds_up_down_to_who_bears_it(system, desk):
    head = desk("S011", "/scoring/contribution")
    head.get_by_role("link", name="费用分解表").click()
    figures = head.locator("#allocation [data-spread]")
    expect(figures).to_be_visible(timeout=FAST_MS)
    expect(head.locator("#allocation [data-residual]")).to_have_attribute("data-residual", "0")
    expect(head.locator("[data-pool=CC-HQ]").first).to_be_visible()
    expect(head.locator("[data-pool=CC-LEGAL]")).to_have_count(0)  # nobody bears it: no driver
    amounts = {
        kind: [int(row.get_attribute(kind)) for row in head.locator(f"[{kind}]").all()]
        for kind in ("data-amount", "data-part")
    }
    spread = int(figures.get_attribute("data-spread"))
    assert sum(amounts["data-amount"]) == sum(amounts["data-part"]) == spread != 0
    head.locator("tr[data-row][data-part] a").first.focus()
    head.keyboard.press("Enter")
    expect(head.locator("tr[data-share]").first).to_be_visible(timeout=FAST_MS)
    expect(head.locator("[data-residual]")).to_have_attribute("data-residual", "0")


def test_the_report_of_a_closed_month_adds_up(desk):
    page_checks.a_closed_month(desk("S011", "/scoring/contribution/allocation"))


def test_a_rehearsal_is_run_and_accepted_from_the_page(system, desk):
    maker = desk("S004", "/scoring/rules")
    maker.locator("#silence_gaps_milli").fill("3")
    maker.locator("#silence_days_min").fill("10")
    maker.locator("#reason").fill("希望更早提示沉默的客户，间隔减为三倍")
    maker.locator("#rule-form button[type=submit]").click()
    maker.wait_for_url(re.compile(r"/scoring/rules/\d+$"))
    maker.locator("form[hx-post$='/rehearse'] button").click()
    counted = {}
    for side in ("now", "proposed"):
        row = maker.locator(f"tr[data-key='silence/{side}']")
        expect(row).to_be_visible(timeout=2 * FAST_MS)
        counted[side] = int(row.get_attribute("data-alerts"))
    assert counted["proposed"] > counted["now"]
    expect(maker.locator("[data-chart=months] canvas")).to_be_visible()
    expect(maker.locator("[data-own]")).to_be_visible()
    assert maker.locator("form[hx-post$='/accept']").count() == 0
    checker = desk("S005", maker.url.removeprefix(system.url))
    checker.locator("form[hx-post$='/accept'] button").click()
    expect(checker.locator("[data-state=accepted]")).to_be_visible(timeout=FAST_MS)


@pytest.fixture(scope="module")
def records(system, browser) -> dict[str, str]:
    """One of each: a customer, the alert and the process about him, a quote, an order of it."""
    number, account, balance = bank_side.rich_customer_of(system, "RM-SH01-3")
    leaving = bank_side.outgoing(
        system, number, account, balance * 95 // 100, f"leave-{bank_side.stamp()}"
    )
    bank_side.send(system, leaving)
    with signed_in(browser, system, "S014") as manager:
        task = manager.locator("#desk-mine [data-task] a.btn-primary")
        expect(task.first).to_be_visible(timeout=FAST_MS)
        process = task.first.get_attribute("href")
        manager.goto(system.url + process)
        alert = manager.locator("#process-alerts a").first.get_attribute("href")
        manager.goto(f"{system.url}/orders/quotes/new?party=P{number}")
        manager.locator("#line-0-product").select_option("SAFE-BOX-YEAR")
        manager.locator("#form button[type=submit]").click()
        manager.locator("button[hx-post$='/offer']").click()
        quote = f"/orders/quotes/{manager.url.rsplit('/', 1)[1]}"
        manager.locator("a[href*='/orders/orders/new?quote=']").click()
        manager.locator("button[name=then]").first.click()
        manager.wait_for_url(re.compile(r"/orders/orders/ORD-"))
        order = f"/orders/orders/{manager.url.rsplit('/', 1)[1]}"
        manager.goto(f"{system.url}/scoring/contribution/leaves?by=party&code=P{number}")
        leaf = manager.locator("tr[data-row] a").first.get_attribute("href")
    return {"party": f"P{number}", "process": process, "alert": alert, "quote": quote,
            "order": order, "leaf": leaf, "leaving": leaving["id"]}  # fmt: skip


HEAD_SEES = (
    "/workflow/desk", "/customer/search?q=C2", "/orders/orders", "/orders/quotes",
    "/scoring/contribution", "/scoring/risk", "/workflow/processes", "/notify/inbox",
    "/workflow/organisation", "{process}", "{alert}", "{quote}", "{quote}/revise", "{order}",
    "{order}/edit", "/orders/orders/new?party={party}", "/orders/quotes/new?party={party}",
    "/scoring/contribution/parties/{party}", "/scoring/contribution?by=manager_now",
    "/scoring/contribution/transactions", "/scoring/contribution?by=region",
    "/scoring/contribution/plans", "/scoring/contribution/plans?by=supervisor&period=2025",
    "/scoring/contribution/plans?kind=budget&by=manager&period=2025",
    "/scoring/contribution/month", "/scoring/contribution/month?period=2025-08",
    "/scoring/contribution/allocation", "/scoring/contribution/allocation?period=2025-08",
    "/scoring/contribution/leaves?by=component&code=fee&month=2025-08", "{leaf}",
    "/scoring/contribution/leaves?by=party&code={party}&state=accrued",
    *(f"/customer/parties/{{party}}?tab={tab}" for tab in (
        "timeline", "holdings", "value", "risk", "work", "orders", "relations", "data")),
)  # fmt: skip
PAGES = {
    "S011": HEAD_SEES,
    "S003": ("/workflow/ops", "/workflow/processes"),
    "S002": ("/workflow/organisation",),
    "S004": ("/scoring/rules", "/scoring/rules/1"),
}


def test_an_alert_is_explained_in_both_languages_with_what_moved_it(system, desk, records):
    page_checks.explained(desk("S011"), system.url, records["alert"], records["leaving"])


@pytest.mark.parametrize("staff_id", PAGES)
@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_every_page_is_whole_at_every_width_in_both_languages(
    system, browser, records, staff_id, language
):
    names = bank_side.names(system)
    wrong = {}
    with signed_in(browser, system, staff_id) as page:
        page.goto(f"{system.url}/language?to={language}&next=/workflow/desk")
        said = []
        page.on("console", lambda m: said.append(m.text) if m.type == "error" else None)
        page.on("pageerror", lambda error: said.append(str(error)))
        for template in PAGES[staff_id]:
            path = template.format(**records)
            answer = page.goto(system.url + path)
            assert answer.status == 200, path
            found = page_checks.complaints(page, language, names) + said
            said.clear()
            if found:
                wrong[path] = found
    assert wrong == {}


def test_ops_see_the_equation_of_every_service(system, desk):
    page = desk("S003", "/workflow/ops")
    for name in ("customer", "orders", "workflow", "scoring", "notify"):
        service = import_module(f"services.{name}.__main__").SERVICE
        panel = page.locator(f"#ops-{name}")
        expect(panel).to_be_visible(timeout=FAST_MS)
        rows = {
            row.locator("td").first.inner_text(): row.locator("td.text-end").all_inner_texts()
            for row in panel.locator("tr[data-key]").all()
        }
        assert rows.keys() == service.topics()
        assert {topic: cells[0] for topic, cells in rows.items() if cells[0] != "0"} == {}
        assert sum(int(cells[3].replace(",", "")) for cells in rows.values()) > 0


def test_ops_give_up_a_message_that_no_service_takes(system, desk, leaver):
    """An event dated in the future is put aside by each of its readers, until a person decides."""
    number, account, _ = leaver
    early = bank_side.outgoing(system, number, account, 100, f"early-{bank_side.stamp()}")
    early["businessdate"] = early["data"]["booked_on"] = "2099-01-04"
    bank_side.send(system, early)
    page = desk("S003", "/workflow/ops")
    letter = page.locator("#ops-customer [data-key^=letter-]").filter(has_text=number)
    expect(letter).to_be_visible(timeout=FAST_MS)
    mark(page)
    letter.evaluate("one => { one.dataset.before = 'replay' }")
    letter.locator("button[hx-post$='/replay']").click()
    again = page.locator("#ops-customer [data-key^=letter-]:not([data-before])")
    expect(again.locator("button[hx-post$='/replay']")).to_be_visible(timeout=FAST_MS)
    letter.locator("input[name=reason]").fill("测试数据,不入账")
    letter.locator("input[name=reason]").press("Enter")
    expect(letter).to_have_count(0, timeout=FAST_MS)
    assert never_reloaded(page)


@pytest.mark.parametrize(("language", "amount"), [("zh-CN", 31_307), ("en", 31_309)])
def test_ops_replay_what_was_parked_when_its_cause_is_mended(
    system, desk, leaver, language, amount
):
    number, account, _ = leaver
    page = desk("S003")
    page.goto(f"{system.url}/language?to={language}&next=/workflow/ops")
    mark(page)
    ops_side.park_and_replay(system, page, language, number, account, amount)
    assert never_reloaded(page)


def test_every_query_of_the_dashboard_returns_data(system, desk, leaver, tmp_path):
    server = prometheus.find("prometheus")
    if server is None:
        pytest.skip(prometheus.MISSING)
    panels = json.loads(DASHBOARD.read_text())["panels"]
    waiting = {target["expr"] for panel in panels for target in panel["targets"]}
    number, account, _ = leaver
    page = desk("S012")
    deadline = time.monotonic() + 120
    with scraping(server, tmp_path, system.options.port_shift) as url:
        while waiting and time.monotonic() < deadline:
            paid = bank_side.outgoing(system, number, account, 100, f"fee-{bank_side.stamp()}")
            bank_side.send(system, paid)
            page.request.get(f"{system.url}/orders/orders")
            waiting = {q for q in waiting if not any(map(math.isfinite, answers(url, q)))}
    assert waiting == set()
