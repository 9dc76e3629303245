"""A feedback notebook as one HTML page that fetches nothing and in which no script of a learner's runs.

nbconvert's full templates load MathJax, require.js and mermaid from the network. Here its `basic` template gives only
the cells, cleaned by bleach, and the page around them forbids scripts and every request. Formulas stay as typed.
"""

from __future__ import annotations

import logging
import re
import warnings
from functools import cache
from typing import Any

from nbformat import NotebookNode

from labkit.classroom.page import Html, code, page

_TAGS = frozenset(
    "a abbr b blockquote br caption code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i img kbd li ol p pre s span strong "
    "sub sup table tbody td th thead tr ul".split()
)
_MARKS = {  # tag -> attributes, beside class on every tag
    "a": ("href", "title"),
    "div": ("style",),
    "img": ("src", "alt", "title"),
    "td": ("colspan", "rowspan"),
    "th": ("colspan", "rowspan", "scope"),
}
_STYLES = frozenset(["border-left", "padding-left"])  # the bar at the side of the feedback
_HEADING = re.compile(r"<(/?)h([1-5])(?=[ >])")


def feedback_page(notebook: NotebookNode, title: str) -> str:
    """The whole page."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # nbconvert, about outputs that it has no form for
        body, _ = _exporter().from_notebook_node(notebook)
    # The page's title is its only h1: the notebook's own headings stand below it.
    lowered = _HEADING.sub(lambda found: f"<{found[1]}h{int(found[2]) + 1}", body)
    return page(title, lowered)


@cache
def _exporter() -> Any:
    from nbconvert import HTMLExporter

    filters = {"clean_html": _clean, "highlight_code": _code}
    exporter = HTMLExporter(template_name="basic", sanitize_html=True, exclude_anchor_links=True, filters=filters)
    exporter.exclude_input_prompt = exporter.exclude_output_prompt = True
    exporter.log.setLevel(logging.ERROR)
    return exporter


def _code(source: str, **_: object) -> Html:
    """A code cell without colours: to clean coloured code takes longer than all the rest, and the page has none."""
    return code(source)


def _clean(element: object) -> str:
    """HTML with only what shows text, tables and images; everything else becomes visible text."""
    if isinstance(element, Html):
        return element
    import bleach
    from bleach.css_sanitizer import CSSSanitizer

    text = element.decode() if isinstance(element, bytes) else str(element)
    css = CSSSanitizer(allowed_css_properties=_STYLES)
    protocols = {"http", "https", "mailto", "data"}
    return str(bleach.clean(text, tags=_TAGS, attributes=_allowed, protocols=protocols, css_sanitizer=css))


def _allowed(tag: str, name: str, value: str) -> bool:
    """Whether an attribute may stay. An image is inside the page, a link leads out of it and never runs."""
    if tag == "img" and name == "src":
        return value.startswith("data:image/")
    if tag == "a" and name == "href":
        return not value.strip().lower().startswith("data:")
    return name == "class" or name in _MARKS.get(tag, ())
