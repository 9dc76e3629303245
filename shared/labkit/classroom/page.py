"""One HTML page that needs nothing but itself: colours, tables, bars. For reports, progress and the site.

Nothing is fetched and nothing runs: the page's own policy forbids both. It follows the reader's light or dark setting,
and every pair of colours used on it has a contrast of at least 4.5 (WCAG AA).
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is HTML already. Everything else is escaped."""


# The same names in both: text and the moods are written on `ground` and on `surface`.
LIGHT = {
    "ground": "#ffffff",
    "surface": "#f3f5f8",
    "line": "#868e99",
    "text": "#1b1f24",
    "faint": "#525b66",
    "accent": "#0b57d0",
    "good": "#1b6e35",
    "bad": "#b3261e",
    "wait": "#7a5200",
}
DARK = {
    "ground": "#14171b",
    "surface": "#1f242b",
    "line": "#6f7a87",
    "text": "#e6e9ed",
    "faint": "#aab3bd",
    "accent": "#8ab4f8",
    "good": "#7bd392",
    "bad": "#ff9a91",
    "wait": "#e8bd62",
}
FONT = 'system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans", sans-serif'
MONOSPACE = 'ui-monospace, "Cascadia Mono", "Noto Sans Mono", "Liberation Mono", Menlo, Consolas, monospace'

POLICY = "default-src 'none'; script-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'"

RULES = """
* { box-sizing: border-box; }
html { color-scheme: light dark; -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--ground); color: var(--text); font: 1rem/1.5 var(--font); }
body { overflow-wrap: break-word; }
main { max-width: 64rem; margin: 0 auto; padding: 1rem; }
main:focus { outline: none; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0 1rem; }
h2 { font-size: 1.25rem; line-height: 1.3; margin: 2rem 0 .5rem; }
h3 { font-size: 1.05rem; margin: 1.5rem 0 .5rem; }
a { color: var(--accent); }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.skip { position: absolute; left: -100rem; }
.skip:focus { left: .5rem; top: .5rem; padding: .5rem 1rem; background: var(--ground); z-index: 1; }
.faint { color: var(--faint); }
.good { color: var(--good); }
.bad { color: var(--bad); }
.wait { color: var(--wait); }
.table { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; min-width: 20rem; }
caption { text-align: left; font-weight: 600; padding: .25rem 0; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
thead th { background: var(--surface); }
tbody th { font-weight: 500; }
.number { text-align: right; font-variant-numeric: tabular-nums; }
.bar { display: inline-flex; align-items: center; gap: .5rem; min-width: 9rem; }
.bar > span:first-child { flex: 0 0 5rem; height: .75rem; border: 1px solid var(--line); background: var(--surface); }
.bar i { display: block; height: 100%; background: var(--accent); }
code, pre { font-family: var(--monospace); font-size: .9em; }
pre { background: var(--surface); padding: .6rem; margin: .5rem 0; white-space: pre-wrap; overflow-wrap: anywhere; }
details { margin: .5rem 0; }
summary { cursor: pointer; padding: .25rem 0; }
img, svg { max-width: 100%; height: auto; }
@media print { .skip { display: none; } .table { overflow: visible; } a { color: inherit; } }
"""


def tokens() -> str:
    """The colours and fonts as CSS variables (--ground, --text, …), light and dark."""
    light, dark = ("".join(f"--{name}: {value}; " for name, value in colours.items()) for colours in (LIGHT, DARK))
    fonts = f"--font: {FONT}; --monospace: {MONOSPACE};"
    return f":root {{ {light}{fonts} }}\n@media (prefers-color-scheme: dark) {{ :root {{ {dark}}} }}"


def escaped(value: object) -> Html:
    """A value as HTML: what is `Html` already stays, None is empty, everything else is escaped."""
    return value if isinstance(value, Html) else Html("" if value is None else html.escape(str(value)))


def link(address: str, text: object) -> Html:
    """A link. Raises ValueError for an address that a browser would run (javascript:) or that leaves the folder."""
    # A colon before the first slash makes a scheme; controls and blanks are dropped by browsers before they look.
    first = "".join(sign for sign in address if sign > " ").split("/")[0].split("#")[0].split("?")[0]
    if ":" in first and not first.lower().startswith(("http:", "https:")):
        raise ValueError(f"{address!r} is no address that a page may link to.")
    return Html(f'<a href="{html.escape(address)}">{escaped(text)}</a>')


def bar(share: float, label: str) -> Html:
    """A bar filled to `share` (0 to 1; beyond that it is cut) with its label as text beside it."""
    filled = min(max(share, 0.0), 1.0) if share == share else 0.0
    drawn = f'<span aria-hidden="true"><i style="width:{100 * filled:.0f}%"></i></span>'
    return Html(f'<span class="bar">{drawn}<span>{escaped(label)}</span></span>')


def code(text: str) -> Html:
    """Source text or output, as it is; long lines wrap."""
    return Html(f"<pre><code>{html.escape(text)}</code></pre>")


def table_html(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str) -> Html:
    """A table; the first cell of a row is its header. Cells are escaped unless they are `Html`; numbers stand right.

    On a narrow screen the table scrolls by itself, also by the keyboard, and the page does not.
    """
    head = "".join(f'<th scope="col">{escaped(column)}</th>' for column in columns)
    body = "\n".join(f"<tr>{_row(row)}</tr>" for row in rows)
    name = html.escape(caption)
    return Html(
        f'<div class="table" role="region" aria-label="{name}" tabindex="0"><table><caption>{name}</caption>\n'
        f"<thead><tr>{head}</tr></thead>\n<tbody>\n{body}\n</tbody></table></div>\n"
    )


def _row(row: Sequence[object]) -> str:
    cells = []
    for place, value in enumerate(row):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        kind = ' class="number"' if number else ""
        tag, scope = ("td", "") if place else ("th", ' scope="row"')
        cells.append(f"<{tag}{scope}{kind}>{escaped(value)}</{tag}>")
    return "".join(cells)


def page(title: str, body: str, lang: str = "en") -> str:
    """A whole page with `title` as its only h1. `body` is HTML: whoever makes it has escaped what others wrote."""
    name = html.escape(title)
    return f"""<!DOCTYPE html>
<html lang="{html.escape(lang)}">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>{name}</title>
<style>
{tokens()}
{RULES}</style>
</head>
<body>
<a class="skip" href="#main">Skip to the content</a>
<main id="main" tabindex="-1">
<h1>{name}</h1>
{body}
</main>
</body>
</html>
"""
