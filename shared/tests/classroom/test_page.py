"""The self-contained page: contrast, escaping, structure."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest
from labkit.classroom.page import DARK, LIGHT, Html, bar, code, link, page, table_html


def luminance(colour: str) -> float:
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_measured_as_wcag_does() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)  # the well-known grey that just fails


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["ground", "surface"])
@pytest.mark.parametrize("name", ["text", "faint", "accent", "good", "bad", "wait"])
def test_text_reaches_aa_on_both_grounds(colours: dict[str, str], ground: str, name: str) -> None:
    assert contrast(colours[name], colours[ground]) >= 4.5


@pytest.mark.parametrize("colours", [LIGHT, DARK], ids=["light", "dark"])
def test_lines_that_mean_something_reach_3(colours: dict[str, str]) -> None:
    assert min(contrast(colours["line"], colours[ground]) for ground in ("ground", "surface")) >= 3


class Outline(HTMLParser):
    """Tags with their attributes, in order, and the ends."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.tags if name == tag]


def test_a_page_has_language_title_one_h1_and_a_way_past_the_top() -> None:
    outline = Outline(page("Ada & <b>", table_html(["a"], [["x"]], "T"), lang="de"))
    assert outline.open == []
    assert outline.named("html") == [{"lang": "de"}]
    assert len(outline.named("h1")) == len(outline.named("title")) == 1
    assert outline.named("b") == []
    assert outline.named("a")[0]["href"] == "#main"
    assert outline.named("main")[0]["id"] == "main"


def test_a_page_may_fetch_and_run_nothing() -> None:
    text = page("T", bar(0.5, "half"))
    policy = next(meta["content"] for meta in Outline(text).named("meta") if "http-equiv" in meta)
    assert policy and "default-src 'none'" in policy and "script-src 'none'" in policy
    assert not re.search(r"https?:|@import|url\(|<script|<link", text)


def test_cells_are_escaped_and_headers_have_a_scope() -> None:
    text = table_html(["<i>", "b"], [["<script>alert(1)</script>", Html("<b>bold</b>")], ["x", 0.5]], 'of "all" <labs>')
    outline = Outline(text)
    assert [head["scope"] for head in outline.named("th")] == ["col", "col", "row", "row"]
    assert outline.named("script") == outline.named("i") == []
    assert len(outline.named("b")) == 1
    assert outline.named("div")[0] == {
        "class": "table",
        "role": "region",
        "aria-label": 'of "all" <labs>',
        "tabindex": "0",
    }
    assert '<td class="number">0.5</td>' in text


def test_code_is_shown_and_not_read() -> None:
    assert code("<img src=x onerror=y>") == "<pre><code>&lt;img src=x onerror=y&gt;</code></pre>"


@pytest.mark.parametrize("share, width", [(0.25, 25), (-1, 0), (7, 100), (float("nan"), 0)])
def test_a_bar_stays_in_its_frame(share: float, width: int) -> None:
    text = bar(share, "<25 %>")
    assert f"width:{width}%" in text and "&lt;25 %&gt;" in text


@pytest.mark.parametrize("address", ["javascript:alert(1)", "JaVa\tScript:x", " data:text/html,x", "file:///etc"])
def test_a_link_runs_nothing(address: str) -> None:
    with pytest.raises(ValueError, match="no address"):
        link(address, "x")


@pytest.mark.parametrize("address", ["a.html", "a/b:c.html", "#x:y", "https://example.org/?a=1&b=2", "../x.html?q=a:b"])
def test_other_links_are_written_with_their_text_escaped(address: str) -> None:
    assert Outline(link(address, "<x>")).named("a") == [{"href": address}]
