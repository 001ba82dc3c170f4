"""Event published -> visible in the browser: a real Chromium that watches its own page change.

The instant is taken in the page, in the frame after the change was put into the document; the
clock is the machine's, the same for the publisher and the browser. Nothing is reloaded.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from deploy.local.chromium import find
from services.customer.commands.timeline import entry_id_of
from tests.load.stage import ZONE, Bench, Customer, spread

RATE_PER_S = 500
SAMPLES = 200
ALERTS_PER_DAY = 50
SPARE = 10  # places of a desk for alerts that come of the bank's own events
DESKS = 6
LEAST_MINOR = 2_000_000  # a mean of which the loss is told
KNOWN_DAYS = 14
VISIBLE_S = 15.0
ON_A_DESK_S = 45.0  # an alert passes five processes: on a busy machine it is late, not lost
MEASURE_S = 60.0  # of each measurement: a slow machine takes fewer samples
SAMPLES_LEAST = 10
# Notes when each match of the pattern is first seen in the panel: on every change, at the frame.
OBSERVE = """([selector, pattern]) => {
  window.firstSeen = {};
  window.notReloaded = true;
  const look = () => {
    const panel = document.querySelector(selector);
    for (const key of (panel ? panel.innerHTML.match(new RegExp(pattern, "g")) : null) || [])
      window.firstSeen[key] ??= Date.now();
  };
  new MutationObserver(() => requestAnimationFrame(look)).observe(
    document.body, {childList: true, subtree: true, attributes: true});
  look();
}"""


@contextmanager
def browser() -> Iterator[Browser]:
    path = find()
    if path is None:
        raise RuntimeError("no Chromium: `make setup` says how to get one")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=str(path), args=["--no-sandbox"])
        yield opened
        opened.close()


class Watched:
    """A page of one member of staff; `first_seen` says when each key appeared in its panel."""

    def __init__(
        self, bench: Bench, opened: Browser, staff_id: str, path: str, selector: str, pattern: str
    ) -> None:
        self._context = opened.new_context(locale="zh-CN")
        self.page: Page = self._context.new_page()
        self.page.goto(bench.system.url + path)
        self.page.get_by_text(staff_id, exact=True).click()
        self.page.wait_for_url(f"{bench.system.url}/**")
        self.page.wait_for_selector("#gx-live[data-state=streaming]", state="attached")
        self.page.evaluate(OBSERVE, [selector, pattern])

    def first_seen(self) -> dict[str, float]:
        """key -> seconds since 1970."""
        seen: dict[str, int] = self.page.evaluate("window.firstSeen")
        return {key: at / 1000 for key, at in seen.items()}

    def never_reloaded(self) -> bool:
        return bool(self.page.evaluate("window.notReloaded === true"))

    def close(self) -> None:
        self._context.close()


def wait_seen(
    pages: list[Watched], key: str, most_s: float = VISIBLE_S
) -> tuple[int, float] | None:
    """Which page showed it first, and when; None when none did within the time."""
    deadline = time.monotonic() + most_s
    while time.monotonic() < deadline:
        for number, one in enumerate(pages):
            at = one.first_seen().get(key)
            if at is not None:
                return number, at
        pages[0].page.wait_for_timeout(20)
    return None


def turns(most: int) -> Iterator[int]:
    """So many, but no longer than a measurement may take."""
    until = time.monotonic() + MEASURE_S
    for n in range(most):
        if time.monotonic() > until:
            return
        yield n


def told(took: list[float]) -> dict[str, Any]:
    if len(took) < SAMPLES_LEAST:
        raise RuntimeError(f"{len(took)} samples in {MEASURE_S:.0f} s say nothing")
    return spread(took)


def measure_timeline(bench: Bench, opened: Browser, samples: int) -> dict[str, Any]:
    """A bank event -> its line on the customer's page."""
    customer = next(c for c in bench.customers if c.manager_code.startswith("RM-SH01"))
    party = _party_of(bench, customer)
    page = Watched(
        bench, opened, "S011", f"/customer/parties/{party}?tab=timeline", "#party-tab",
        'data-key="[0-9a-f-]{36}"',
    )  # fmt: skip
    took = []
    stamp = time.time_ns()
    for n in turns(samples):
        name = f"seen-{stamp}-{n}"
        sent = time.time()
        bench.publish(bench.booked(customer, 100 + n, name))
        seen = wait_seen([page], f'data-key="{entry_id_of("bench", name)}"')
        if seen is None:
            raise RuntimeError(f"event {n} never became visible")
        took.append(seen[1] - sent)
        page.page.wait_for_timeout(30)
    assert page.never_reloaded()
    page.close()
    return told(took)


CHECKERS = ("S015", "S011")  # who of the branch may approve; the less busy one gets the task


def measure_approval(bench: Bench, opened: Browser, samples: int) -> dict[str, Any]:
    """An order submitted through the API -> its task on the checker's desk; then approved."""
    customer = next(c for c in bench.customers if c.manager_code == "RM-SH01-1")
    party = _party_of(bench, customer)
    pages = [
        Watched(bench, opened, staff, "/workflow/desk", "#desk-approvals", "ORD-[0-9]+")
        for staff in CHECKERS
    ]
    took = []
    with httpx.Client(base_url=bench.system.url, timeout=20) as http:
        for n in turns(samples):
            # Dearer than what else may wait there: a desk shows the greatest stakes first.
            line = {"product_code": "GOLD-BAR-10G", "quantity": 90, "unit_price_minor": 80_000 + n}
            sent = time.time()
            answer = http.post(
                "/orders/orders", headers=bench.headers("S012"),
                json={"party_id": party, "lines": [line], "submit": True},
            )  # fmt: skip
            answer.raise_for_status()
            order = answer.json()
            seen = wait_seen(pages, order["order_id"])
            if seen is None:
                raise RuntimeError(f"the task of {order['order_id']} never became visible")
            took.append(seen[1] - sent)
            http.post(
                f"/orders/orders/{order['order_id']}/approve",
                headers=bench.headers(CHECKERS[seen[0]]),
                json={"content_hash": order["content_hash"]},
            ).raise_for_status()
    for page in pages:
        assert page.never_reloaded()
        page.close()
    return told(took)


@dataclass(frozen=True)
class Leaver:
    """A customer who will take nearly all his money away."""

    customer: Customer
    party_id: str
    balance_minor: int


# An outflow of a party of several numbers is told at the close, not at the event; one that is under
# way tells nothing, below this mean none is told, and who came today has no mean of days before.
READY = """
    select customer_number, party_id, manager_staff_id, c.sum_minor as balance_minor
      from numbers n join customer_state c using (customer_number)
                     join party_figures p using (party_id)
     where p.numbers = 1 and not c.outflow and c.first_on <= :since
       and c.mean_minor >= :least and c.sum_minor >= c.mean_minor
"""
# Alerts of a party in work attach to the open process: no new task.
IN_WORK = """
    select party_id from instances where definition_key = 'retention' and finished_at is null
     union select party_id from waiting_parties
"""


def measure_alert(bench: Bench, opened: Browser, samples: int) -> dict[str, Any]:
    """A customer takes nearly all money away -> alert -> the retention task on the manager's desk.

    Only of customers whose alert must open a process at once, and as many of a desk as have places
    in a day: whatever does not come is an error, and the run ends there.
    """
    desks = _desks(bench)
    with httpx.Client(base_url=bench.system.url, timeout=20) as http:
        for staff in desks:
            http.post(
                f"/workflow/api/staff/{staff}/capacity", headers=bench.headers("S002"),
                json={"alerts_per_day": ALERTS_PER_DAY},
            ).raise_for_status()  # fmt: skip
    pages = {
        staff: Watched(bench, opened, staff, "/workflow/desk", "#desk", "party:[A-Za-z0-9-]+")
        for staff in desks
    }
    took: list[float] = []
    for turn in turns(max(map(len, desks.values()))):
        if len(took) >= samples:
            break
        sent = {}
        for staff, leavers in desks.items():
            for one in leavers[turn : turn + 1]:
                name = f"leave-{time.time_ns()}"
                sent[staff] = (f"party:{one.party_id}", time.time())
                bench.publish(bench.booked(one.customer, -one.balance_minor * 97 // 100, name))
        for staff, (key, at) in sent.items():
            seen = wait_seen([pages[staff]], key, ON_A_DESK_S)
            if seen is None:
                party = key.removeprefix("party:")
                raise RuntimeError(
                    f"party {party} is on no desk {ON_A_DESK_S:.0f} s after he took his money away,"
                    f" {len(took)} others are: {_how_far(bench, party)}"
                )
            assert seen[1] > at, f"{key} was there before"
            took.append(seen[1] - at)
    for page in pages.values():
        assert page.never_reloaded()
        page.close()
    return told(took)


def _desks(bench: Bench) -> dict[str, list[Leaver]]:
    """Staff -> customers whose leaving becomes a task of theirs, richest first; fullest desks."""
    since = bench.system.time.now().astimezone(ZONE).date() - timedelta(days=KNOWN_DAYS)
    asked = {"least": LEAST_MINOR, "since": since}
    ready = {row.customer_number: row for row in bench.rows("scoring", READY, **asked)}
    in_work = {row.party_id for row in bench.rows("workflow", IN_WORK)}
    found: dict[str, list[Leaver]] = defaultdict(list)
    for customer in bench.customers:
        row = ready.get(customer.number)
        if row and row.manager_staff_id and row.party_id not in in_work:
            found[row.manager_staff_id].append(Leaver(customer, row.party_id, row.balance_minor))
    fullest = sorted(found.items(), key=lambda one: -len(one[1]))[:DESKS]
    if not fullest:
        raise RuntimeError("the bank has no customer whose leaving becomes a task: take more")
    return {staff: leavers[: ALERTS_PER_DAY - SPARE] for staff, leavers in fullest}


def _how_far(bench: Bench, party_id: str) -> str:
    """Where the alert stayed."""
    told = bench.rows(
        "scoring", "select rule, told from alerts where party_id = :p and valid", p=party_id
    )
    got = bench.rows("workflow", "select rule, state from alerts where party_id = :p", p=party_id)
    return (
        f"scoring has {[(r.rule, 'told' if r.told else 'not told') for r in told]},"
        f" workflow {[(r.rule, r.state) for r in got]}, {bench.lag():,} messages are behind"
    )


def _party_of(bench: Bench, customer: Customer) -> str:
    sql = "select party_id from parties where customer_number = :n"
    return str(bench.rows("customer", sql, n=customer.number)[0].party_id)


def run(bench: Bench, *, quick: bool) -> dict[str, Any]:
    """All three while 500 events/s flow."""
    samples = 20 if quick else SAMPLES
    found: dict[str, Any] = {"events_per_s_meanwhile": RATE_PER_S}
    with browser() as opened, bench.flowing(RATE_PER_S):
        for name, measure in (
            ("event_to_timeline", measure_timeline),
            ("order_to_approval_task", measure_approval),
            ("event_to_alert_task", measure_alert),
        ):
            bench.say(f"  {name}, {samples} times")
            found[name] = measure(bench, opened, samples)
            bench.say(f"  {name}: {found[name]}")
    bench.wait(lambda: bench.lag() == 0, "all services have applied everything", 300)
    found["difference"] = bench.difference()
    assert found["difference"] == 0
    return found
