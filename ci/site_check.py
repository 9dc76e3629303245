"""Looks at every page of the site in Chromium: links, requests, phone width, keyboard, accessibility (axe-core).

    python ci/site_check.py .work/site/html --shots .work/site/shots

Runs in the environment `site`; Chromium is the machine's own. Exit status: 0 when nothing is wrong, 1 when something
is, 2 when the check could not be made.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Error, Page, sync_playwright
from playwright.sync_api import TimeoutError as TooLate
from site_links import Fault, check_links, read_pages
from site_server import NO_NAMES, Requests, served

PHONE = {"width": 360, "height": 740}
DESK = {"width": 1280, "height": 900}
RULES = {
    "runOnly": {"type": "tag", "values": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]},
    "resultTypes": ["violations"],
}
SEARCHED = "leakage"

# What the Tab key must reach: everything that can be used and is shown. Parts of a closed <details> are not.
# Each gets a number, and each that takes the focus from then on is noted, with whether one sees that it has it.
WATCH_FOCUS = """() => {
  const controls = 'a[href], button, input:not([type=hidden]), select, textarea, summary, [tabindex="0"]';
  const shown = e => e.checkVisibility({visibilityProperty: true}) && e.tabIndex >= 0 && !e.disabled;
  const name = e => e.tagName.toLowerCase() + ' ' + (e.textContent || e.name || '').trim().slice(0, 40);
  const all = [...document.querySelectorAll(controls)].filter(shown);
  const number = new Map(all.map((e, n) => [e, n]));
  window.focused = [];
  document.addEventListener('focusin', ({target}) => {
    const style = getComputedStyle(target), box = target.getBoundingClientRect();
    const drawn = (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0) || style.boxShadow !== 'none';
    const inside = box.width > 0 && box.height > 0 && box.right > 0 && box.left < innerWidth;
    window.focused.push({stop: number.get(target) ?? -1, seen: drawn && inside, name: name(target)});
  }, true);
  return all.map(name);
}"""

# A lab's code has thousands of coloured words: axe-core looks at the first of each colour on each ground.
MARK_REPEATED = """() => {
  const seen = new Set();
  for (const e of document.querySelectorAll('.highlight span')) {
    if (e.children.length || e.textContent.trim().length < 2) continue;  // axe-core judges no single letter
    const own = getComputedStyle(e), ground = e.closest('.cell_input, .cell_output')?.className;
    const key = [own.color, own.backgroundColor, own.opacity, ground].join();
    if (seen.has(key)) e.dataset.repeated = ''; else seen.add(key);
  }
}"""


def check_width(page: Page, name: str) -> list[Fault]:
    """At the width of a phone the page does not scroll sideways."""
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide <= PHONE["width"]:
        return []
    widest = page.evaluate(
        """(width) => [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > width + 1)
           .slice(0, 3).map(e => e.tagName.toLowerCase() + '.' + e.className).join(', ')""",
        PHONE["width"],
    )
    return [Fault(name, "width", f"{wide} px at a width of {PHONE['width']}: {widest}")]


def check_keyboard(page: Page, name: str) -> tuple[list[Fault], int]:
    """Every control is a stop of the Tab key, in one round, and one sees where the focus is."""
    names = page.evaluate(WATCH_FOCUS)
    for _ in range(len(names) + 1):
        page.keyboard.press("Tab")
    focused = page.evaluate("window.focused")
    reached = {each["stop"] for each in focused}
    unseen = dict.fromkeys(each["name"] for each in focused if not each["seen"])
    faults = [Fault(name, "focus", f"not to be seen on {control!r}") for control in unseen]
    missed = [control for stop, control in enumerate(names) if stop not in reached]
    if missed:
        what = f"Tab does not reach {missed[:3]} ({len(missed)} of {len(names)})"
        faults.append(Fault(name, "keyboard", what))
    return faults, len(reached)


def check_skip_link(page: Page, name: str) -> list[Fault]:
    """The first stop leads past the top of the page: after it, the next stop lies in <main>."""
    page.keyboard.press("Tab")
    first = page.evaluate("document.activeElement.getAttribute('href') || ''")
    if not first.startswith("#"):
        return [Fault(name, "skip link", "the first stop of the Tab key is not a link into the page")]
    page.keyboard.press("Enter")
    inside = page.evaluate("document.querySelector('main')?.contains(document.activeElement) ?? false")
    return [] if inside else [Fault(name, "skip link", f"{first} does not take the focus into <main>")]


def check_axe(page: Page, name: str, scheme: str) -> list[Fault]:
    """axe-core's rules of WCAG 2.2, levels A and AA."""
    page.evaluate(MARK_REPEATED)
    found = Axe().run(page, context={"exclude": [["[data-repeated]"]]}, options=RULES).response["violations"]
    return [
        Fault(name, f"axe, {scheme}", f"{rule['id']} ({len(rule['nodes'])}): {rule['nodes'][0]['html'][:110]}")
        for rule in found
    ]


def check_search(page: Page, home: str) -> list[Fault]:
    """From the home page with the keys alone: to the field, a word, Enter, to the first result, Enter."""
    name = "search.html"
    page.goto(f"{home}/index.html")
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.name === 'q'"):
            break
    page.keyboard.type(SEARCHED)
    page.keyboard.press("Enter")
    try:
        page.wait_for_selector("#search-results li a", timeout=15_000)
        page.wait_for_load_state("networkidle")
    except TooLate:
        return [Fault(name, "search", f"no result for {SEARCHED!r}")]
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("!!document.activeElement.closest('#search-results')"):
            page.keyboard.press("Enter")
            page.wait_for_url(lambda url: "search.html" not in url, timeout=15_000)
            return []
    return [Fault(name, "search", "Tab does not reach a result")]


def look(browser: Browser, folder: Path, names: list[str], home: str) -> tuple[list[Fault], Counter[str]]:
    """All checks that need a browser, on every page."""
    faults: list[Fault] = []
    counts: Counter[str] = Counter()
    phone = browser.new_context(viewport=PHONE, color_scheme="dark", reduced_motion="reduce")
    desk = browser.new_context(viewport=DESK, color_scheme="light", reduced_motion="reduce")
    asked = [Requests(context, home) for context in (phone, desk)]
    small, large = phone.new_page(), desk.new_page()
    for name in names:
        for requests in asked:
            requests.page = name
        small.goto(f"{home}/{name}", wait_until="load")
        faults += check_width(small, name) + check_skip_link(small, name)
        # Loaded again: the Tab key goes on from where the skip link led to.
        small.goto(f"{home}/{name}", wait_until="load")
        found, stops = check_keyboard(small, name)
        faults += found + check_axe(small, name, "dark")
        large.goto(f"{home}/{name}", wait_until="load")
        faults += check_axe(large, name, "light")
        counts.update(pages=1, stops=stops)
        print(f"looked at {name}", file=sys.stderr, flush=True)
    if (folder / "search.html").exists():
        faults += check_search(large, home)
        faults += check_axe(large, "search result", "light")
    faults += [fault for requests in asked for fault in requests.faults]
    counts["requests"] = sum(requests.count for requests in asked)
    counts["external"] = sum(requests.external for requests in asked)
    return faults, counts


def take_shots(browser: Browser, names: list[str], home: str, folder: Path) -> None:
    """A picture of each page in `names`, on a desk in light and on a phone in dark colours."""
    folder.mkdir(parents=True, exist_ok=True)
    for size, scheme in ((DESK, "light"), (PHONE, "dark")):
        context = browser.new_context(viewport=size, color_scheme=scheme)
        page = context.new_page()
        for name in names:
            page.goto(f"{home}/{name}", wait_until="networkidle")
            stem = name.split("?")[0].removesuffix(".html").replace("/", "_")
            page.screenshot(path=folder / f"{stem}-{size['width']}.png", full_page=False)
        context.close()


def kinds_of_pages(names: list[str]) -> list[str]:
    """One page of each kind: the overviews, a section, a lab."""
    labs = [name for name in names if name.count("/") == 2 and not name.endswith("/index.html")]
    sections = [name for name in names if name.count("/") == 2 and name.endswith("/index.html")]
    others = [name for name in names if name.count("/") < 2 and name != "search.html"]
    return others + sections[:1] + labs[:2] + ([f"search.html?q={SEARCHED}"] if "search.html" in names else [])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="the pages, with index.html")
    parser.add_argument("--shots", type=Path, help="a folder for screenshots of each kind of page")
    given = parser.parse_args()
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        print("There is no Chromium on this machine. On Debian: apt-get install chromium", file=sys.stderr)
        return 2
    if not (given.folder / "index.html").exists():
        print(f"{given.folder} holds no index.html. Make the site first: nox -s site", file=sys.stderr)
        return 2
    started = time.monotonic()
    pages = read_pages(given.folder)
    faults, links = check_links(given.folder, pages)
    try:
        with served(given.folder) as home, sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=[NO_NAMES])
            found, counts = look(browser, given.folder, list(pages), home)
            if given.shots:
                take_shots(browser, kinds_of_pages(list(pages)), home, given.shots)
            browser.close()
    except Error as error:
        print(f"Chromium could not look at the pages: {error.message.splitlines()[0]}", file=sys.stderr)
        return 2
    all_faults = list(dict.fromkeys(faults + found))
    for fault in all_faults:
        print(fault)
    print(
        f"{counts['pages']} pages, {links} internal links, {counts['requests']} requests, of which "
        f"{counts['external']} leave 127.0.0.1, {counts['stops']} stops of the Tab key, {len(all_faults)} faults, "
        f"{time.monotonic() - started:.0f} s"
    )
    return 1 if all_faults else 0


if __name__ == "__main__":
    sys.exit(main())
