"""A Sphinx extension: formulas as MathML, and tables whose headers say what they are headers of.

MathML needs no script and no font from elsewhere, and screen readers read it.
"""

from __future__ import annotations

import re
from html import escape
from typing import Any

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.writers.html5 import HTML5Translator

# docutils knows \bigl and \bigr, which say where they open and close, and not \big: its delimiter keeps its own size.
SIZES = re.compile(r"\\(?:big|Big|bigg|Bigg)(?![A-Za-z])")
logger = logging.getLogger(__name__)


def mathml(latex: str, block: bool, node: nodes.Node) -> str:
    """The formula as MathML; a warning, and the LaTeX itself, where it cannot be read."""
    try:
        return str(tex2mathml(SIZES.sub("", latex), as_block=block))
    except Exception as error:  # docutils raises errors of its own, and IndexError and the like for some input
        logger.warning("formula %r: %s", latex, error, location=node, type="mathml")
        return f"<code>{escape(latex)}</code>"


def inline_formula(self: HTML5Translator, node: nodes.math) -> None:
    self.body.append(mathml(node.astext(), False, node))
    raise nodes.SkipNode


def block_formula(self: HTML5Translator, node: nodes.math_block) -> None:
    self.body.append(f'<div class="scroller">{mathml(node.astext(), True, node)}</div>\n')
    raise nodes.SkipNode


class AccessibleTranslator(HTML5Translator):
    """Sphinx's translator, and what it leaves out: `scope` of headers, a frame in which a wide table scrolls."""

    def visit_table(self, node: nodes.table) -> None:
        self.body.append('<div class="scroller">')
        super().visit_table(node)

    def depart_table(self, node: nodes.table) -> None:
        super().depart_table(node)
        self.body.append("</div>\n")

    def visit_entry(self, node: nodes.entry) -> None:
        super().visit_entry(node)
        in_head = isinstance(node.parent.parent, nodes.thead)
        scope = "col" if in_head else "row"
        self.body[-1] = re.sub(r"^<th\b", f'<th scope="{scope}"', self.body[-1])


def setup(app: Sphinx) -> dict[str, Any]:
    app.set_translator("html", AccessibleTranslator, override=True)
    app.add_html_math_renderer("mathml", (inline_formula, None), (block_formula, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
