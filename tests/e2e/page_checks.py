"""What must hold of every page: no error, no scroll to the side, the reader's language, axe."""

import re
import time

from playwright.sync_api import Page, Route, expect

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
BEYOND = "document.documentElement.scrollWidth - window.innerWidth"
SETTLED_S = 10
CHINESE = re.compile(r"[\u4e00-\u9fff]+")
WORD = re.compile(r"[A-Za-z]{3,}")
MEASURE = re.compile(r"\b(AUC|Brier)\b")  # names of measures, the same in each language
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
