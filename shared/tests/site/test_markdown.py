"""Text stays text in the site's sources."""

from __future__ import annotations

import pytest
from labkit.site.markdown import Markdown, definitions, items, link, table, text


@pytest.mark.parametrize(
    "value, written",
    [
        ("plain words, 4.2 per cent", "plain words, 4.2 per cent"),
        ("a*b_c`d", r"a\*b\_c\`d"),
        ("<script>", r"\<script\>"),
        ("[a](b) {doc}`x`", r"\[a\](b) \{doc\}\`x\`"),
        ("$5 and $6 | ~x~ ^ &amp;", r"\$5 and \$6 \| \~x\~ \^ \&amp;"),
        ("# no title", r"\# no title"),
        ("- no item", r"\- no item"),
        ("1. no number", r"1\. no number"),
        (":no: option", r"\:no: option"),
        ("%no comment", r"\%no comment"),
        ("two\nlines\t more", "two lines more"),
        (Markdown("**kept**"), "**kept**"),
        (7, "7"),
    ],
)
def test_punctuation_that_means_something_is_escaped(value: object, written: str) -> None:
    assert text(value) == written


def test_a_link_escapes_its_title_only() -> None:
    assert link("a [b]", "/x/y.md") == r"[a \[b\]](</x/y.md>)"


def test_lists_and_definitions_indent_what_belongs_together() -> None:
    assert items(["a", "# b"]) == "- a\n- \\# b\n"
    assert definitions([("A", "one"), ("B", ["two", "three"])]) == "A\n: one\n\nB\n: - two\n  - three\n"


def test_a_table_has_a_header_row_and_a_header_column() -> None:
    assert table(["a", "b"], [["x", ""], ["- y", 2]], "All | of it").splitlines() == [
        "::::{list-table} All \\| of it",
        ":header-rows: 1",
        ":stub-columns: 1",
        "",
        "* - a",
        "  - b",
        "* - x",
        "  -",
        "* - \\- y",
        "  - 2",
        "::::",
    ]
