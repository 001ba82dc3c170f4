"""What must hold of every page: no error, no scroll to the side, the reader's language, axe."""

import re
import statistics
import time
from collections.abc import Callable

from playwright.sync_api import Locator, Page, Route, expect

from shared.web.assets import PACKAGES

AXE = (PACKAGES / "axe-core/axe.min.js").read_text()
WIDTHS = (1280, 390)
LOADED_MS = 60_000

# What a person reads or hears, without what is nobody's language: code, keys, and names asked for.
TEXTS = """() => {
  const out = [], skip = "script, style, svg, code, kbd, [data-label], [lang]:not(html), " +
    ".avatar, .bjs-powered-by";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const { parentElement: at, textContent } = walker.currentNode;
    if (textContent.trim() && !at.closest(skip)) out.push(textContent.trim());
  }
  for (const one of document.body.querySelectorAll("[title], [aria-label], [placeholder]"))
    if (!one.closest(skip)) for (const name of ["title", "aria-label", "placeholder"])
      if (one.getAttribute(name)) out.push(one.getAttribute(name));
  return out;
}"""
A_SECOND, TRIES, ROUNDS = 1.0, 5, 3
SPIN_S = 0.2  # of CPU: longer than what a process that has slept may take before others
# When an attribute changes, by the browser: whoever asks from outside asks at 0.35 s, then at 0.85.
WATCH = """name => {
  const value = () => document.querySelector(`[${name}]`)?.getAttribute(name);
  const before = value();
  const seen = new MutationObserver(() => {
    if (!value() || value() === before) return;
    window.changedAt = Date.now();
    seen.disconnect();
  });
  seen.observe(document.body, {subtree: true, childList: true, attributes: true});
}"""
BEYOND = "document.documentElement.scrollWidth - window.innerWidth"
SETTLED_S = 10
CHINESE = re.compile(r"[\u4e00-\u9fff]+")
WORD = re.compile(r"[A-Za-z]{3,}")
MEASURE = re.compile(r"\b(AUC|Brier)\b")  # names of measures, the same in each language
# What an outflow is explained by: the sentence, what of it is the reason, what would end it.
EXPLAINED = {
    "zh-CN": r"余额只剩 [\d.,]+ (万|亿)?元,平时 [\d.,]+ (万|亿)?元,少了 \d+%。"
             r"存入 [\d.,]+ .*元即可解除",
    "en": r"Balance down to ¥[\d.,]+; usually ¥[\d.,]+ \(\d+% less\)\. "
          r"A deposit of ¥[\d.,]+ would end it",
}  # fmt: skip
CODE = re.compile(r"\S*[\d._:/@=*-]\S*")  # an id, a topic, a path, a masked address


def complaints(page: Page, language: str, names: re.Pattern[str]) -> list[str]:
    """What is wrong with the page that stands; `names` are data, the same in each language."""
    expect(page.locator("main h1, main h2").first).to_be_visible(timeout=LOADED_MS)
    expect(page.locator("[hx-trigger^=load] .gx-skeleton")).to_have_count(0, timeout=LOADED_MS)
    found = [f"says {box.inner_text()}" for box in page.locator(".alert-danger[role=alert]").all()]
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 900})
        deadline = time.monotonic() + SETTLED_S  # a chart draws itself anew a moment later
        while (beyond := page.evaluate(BEYOND)) > 1 and time.monotonic() < deadline:
            page.wait_for_timeout(50)
        if beyond > 1:
            found.append(f"is {beyond} px too wide at {width}")
    found += [f"leaves {one!r} in another language" for one in leftovers(page, language, names)]
    return found + (broken_rules(page) if language == "en" else [])


def broken_rules(page: Page) -> list[str]:
    """What axe finds at the width that stands. It sees the same in each language: asked once."""
    page.evaluate(AXE)
    found = page.evaluate("async () => (await axe.run({resultTypes: ['violations']})).violations")
    return [f"axe {one['id']}: {[node['target'] for node in one['nodes']]}" for one in found]


def leftovers(page: Page, language: str, names: re.Pattern[str]) -> list[str]:
    """Words in a language that the reader did not choose."""
    words = CHINESE if language == "en" else WORD
    told = {
        text: CODE.sub(" ", MEASURE.sub(" ", names.sub(" ", text))) for text in page.evaluate(TEXTS)
    }
    return sorted(text for text, rest in told.items() if words.search(rest))


def choose_while_an_answer_is_on_its_way(page: Page, label: str) -> None:
    """What somebody has begun to fill in is not taken from under him by the page's own answer."""
    on_their_way: list[Route] = []
    page.route("**/panel*", lambda route: on_their_way.append(route))  # noqa: PLW0108 - it must be a function
    hint = f"guanxi:process:{page.url.rpartition('/')[2]}"
    page.evaluate(
        "type => document.body.dispatchEvent(new CustomEvent(type, {detail: {offset: -1}}))", hint
    )
    deadline = time.monotonic() + 60
    while not on_their_way:
        assert time.monotonic() < deadline, "the panel did not ask"
        page.wait_for_timeout(50)
    page.get_by_label(label).check()
    for route in on_their_way:
        route.continue_()
    expect(page.locator("#gx-pill")).to_be_visible()
    expect(page.get_by_label(label)).to_be_checked()
    page.unroute("**/panel*")


def explained(page: Page, url: str, alert: str, event_id: str) -> None:
    """An outflow is told in the reader's language, with the event that moved it; no other words."""
    sentence = page.locator("#alert .card-body .h3").first
    for language, says in EXPLAINED.items():
        page.goto(f"{url}/language?to={language}&next={alert}")
        expect(sentence).to_contain_text(re.compile(says))
        (other,) = EXPLAINED.keys() - {language}
        expect(sentence).not_to_contain_text(re.compile(EXPLAINED[other]))
        behind = page.locator("#alert tr[data-row]")
        expect(behind.get_by_text(event_id, exact=True)).to_be_visible()


def a_closed_month(page: Page) -> None:
    """From the allocation sheet to the report of the same month: both are of what is closed."""
    page.get_by_role("link", name="月结报告").click()
    page.wait_for_url(re.compile(r"/scoring/contribution/month\b"))
    expect(page.locator("#month [data-complete='1'][data-to-post='0']")).to_be_visible()
    expect(page.locator("#month [data-residual]")).to_have_attribute("data-residual", "0")
    net = int(page.locator("#month [data-net]").get_attribute("data-net") or 0)

    def posted(rows: str, name: str) -> int:
        found = page.locator(f"#month {rows}").all()
        return sum(int(row.get_attribute(name) or 0) for row in found)

    assert posted("[data-level=component]", "data-posted") == net != 0
    assert posted("[data-level=product]", "data-posted") == net
    assert posted("[data-supervisor]", "data-supervisor") == net


def usual_wait(shown: Locator, name: str, act: Callable[[], None], most_ms: int) -> float:
    """Seconds from an act until the page shows another value, as a machine would take that has
    nothing else to do: the median of some tries, so that one that is fast by luck says nothing.
    Where it is slow it is asked again."""
    medians: list[float] = []
    while len(medians) < ROUNDS and min(medians, default=A_SECOND) >= A_SECOND:
        waits = []
        for _ in range(TRIES):
            before = shown.get_attribute(name) or ""
            shown.page.evaluate(WATCH, name)
            slower = _slower()
            act()
            began = time.time()
            expect(shown).not_to_have_attribute(name, before, timeout=most_ms)
            waits.append((shown.page.evaluate("window.changedAt") / 1000 - began) / slower)
        medians.append(statistics.median(waits))
    return min(medians)


def _slower() -> float:
    """By how much other processes slow down one that has work to do: 1.0 where there are none."""
    began, worked = time.monotonic(), time.thread_time()
    while time.thread_time() - worked < SPIN_S:
        pass
    return max(1.0, (time.monotonic() - began) / SPIN_S)
