"""Links of a folder of HTML pages: each must lead to a file, or to a place on a page, that is there."""

from __future__ import annotations

from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

# Attributes that a browser follows by itself, without a click.
FETCHED = {
    "img": "src",
    "script": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "embed": "src",
}
# <link rel=…> that names a page and fetches nothing.
NAMES_ONLY = {"next", "prev", "search", "index", "canonical", "author", "copyright"}


@dataclass(frozen=True)
class Fault:
    """What is wrong on a page: the check that found it, and what."""

    page: str
    check: str
    what: str

    def __str__(self) -> str:
        return f"{self.page}: {self.check}: {self.what}"


class Page(HTMLParser):
    """The ids of a page, its links, and what it fetches from where."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.h1 = 0
        self.lang = ""
        self.without_scope = 0
        self.without_alt: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.ids |= {given[name] for name in ("id", "name") if name in given and (name == "id" or tag == "a")}
        if tag == "html":
            self.lang = given.get("lang", "")
        self.h1 += tag == "h1"
        self.without_scope += tag == "th" and "scope" not in given
        if tag == "img" and not given.get("alt"):
            self.without_alt.append(given.get("src", "")[:60])
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        elif tag == "link" and "href" in given:
            named = set(given.get("rel", "").split()) & NAMES_ONLY
            (self.links if named else self.fetched).append(given["href"])
        elif tag in FETCHED and FETCHED[tag] in given:
            self.fetched.append(given[FETCHED[tag]])


def read_pages(folder: Path) -> dict[str, Page]:
    """Every HTML file below `folder`, by its path from there."""
    return {
        path.relative_to(folder).as_posix(): Page(path.read_text(encoding="utf-8"))
        for path in sorted(folder.rglob("*.html"))
    }


def check_links(folder: Path, pages: dict[str, Page]) -> tuple[list[Fault], int]:
    """What is wrong with links, structure and reach of all pages; and how many internal links there were."""
    faults: list[Fault] = []
    reached, counted = {"index.html"}, 0
    for name, page in pages.items():
        for address in page.links + page.fetched:
            if urlsplit(address).scheme or address.startswith("//"):
                if address in page.fetched and not address.startswith("data:"):
                    faults.append(Fault(name, "external", f"fetches {address[:80]}"))
                continue
            counted += 1
            target, anchor = urldefrag(address)
            path = (folder / name).parent / unquote(urlsplit(target).path) if target else folder / name
            inside = path.resolve().relative_to(folder.resolve()).as_posix() if path.exists() else ""
            if not inside or not path.is_file():
                faults.append(Fault(name, "dead link", address))
            elif anchor and inside in pages and unquote(anchor) not in pages[inside].ids:
                faults.append(Fault(name, "dead anchor", address))
            reached |= {inside} - {name, ""} if address in page.links else set()
        faults += _structure(name, page)
    faults += [Fault(name, "no way to it", "no page links here") for name in pages if name not in reached]
    return faults, counted


def _structure(name: str, page: Page) -> list[Fault]:
    faults = []
    if page.h1 != 1:
        faults.append(Fault(name, "headings", f"{page.h1} h1, not one"))
    if not page.lang:
        faults.append(Fault(name, "language", "<html> has no lang"))
    faults += [Fault(name, "picture", f"no alternative text: {source}") for source in page.without_alt]
    return faults
