"""Sphinx's configuration for the site. It is copied beside the sources, which `python -m labkit.site` writes."""

import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

project = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))["title"]
html_title = project
language = "en"
extensions = ["myst_nb", "accessible"]
exclude_patterns = ["theme"]

# The notebooks are shown as they are stored; nothing runs, and no script for widgets is fetched.
nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, object] = {}
nb_merge_streams = True
nb_number_source_lines = False

myst_enable_extensions = ["dollarmath", "deflist", "attrs_inline", "colon_fence"]
# $…$ as Jupyter reads it: `$5 and $6` is money.
myst_dmath_allow_space = False
myst_dmath_allow_digits = False
myst_heading_anchors = 3
# A lab may go from its title to a third-level heading.
suppress_warnings = ["myst.header"]

html_theme_path = ["."]
html_theme = "theme"
html_static_path = ["_static"]
html_css_files = ["tokens.css", "site.css"]
html_js_files = ["scrollers.js"]
html_copy_source = False
html_show_sourcelink = False
html_permalinks_icon = "#"
html_use_index = False
html_math_renderer = "mathml"
# Search by stems finds "leaking" for "leak"; the whole text of a lab is too long to show in a result.
html_show_search_summary = True
