"""The check in the browser sees what is planted; and Sphinx shows text as text. Both need the environment `site`."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
from labkit.classroom.page import Html, code, link, page, table_html
from labkit.site.sources import write_sources

from tests.conftest import replace

ROOT = Path(__file__).resolve().parents[3]
GOOD = '<p>Text, <a href="other.html#place">a link</a></p><h2 id="place">Place</h2>'
FAULTS = {
    "dead.html": ('<a href="gone.html">x</a>', "dead link: gone.html"),
    "anchor.html": ('<a href="other.html#gone">x</a>', "dead anchor: other.html#gone"),
    "contrast.html": ('<p style="color:#999;background:#fff">grey on white</p>', "color-contrast"),
    "dark.html": ('<p style="color:#333">dark on dark</p>', "axe, dark: color-contrast"),
    "code.html": (
        '<div class="highlight"><pre><span style="color:#999">(</span> <span style="color:#999">word</span></pre></div>'
        * 2,
        "axe, light: color-contrast (1)",
    ),
    "external.html": ('<img src="https://example.org/x.png" alt="x">', "external: fetches https://example.org/x.png"),
    "style.html": (
        "<style>@import url(https://example.org/a.css);</style>",
        "external: asks for https://example.org/a.css",
    ),
    "missing.html": ("<style>@import url(gone.css);</style>", "missing: /gone.css: 404"),
    "wide.html": ('<div style="width:500px">x</div>', "width: "),
    "alt.html": ('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">', "picture: no alternative text"),
    "nofocus.html": (
        '<a style="outline:none" href="other.html">no outline</a>',
        "focus: not to be seen on 'a no outline'",
    ),
    "trap.html": (
        '<a href="other.html" onkeydown="event.preventDefault()">trap</a> <a href="index.html">behind it</a>',
        "keyboard: Tab does not reach",
    ),
    "titles.html": ("<h1>second</h1>", "headings: 2 h1"),
    "skip.html": ("<script>document.querySelector('.skip').remove()</script><a href='other.html'>x</a>", "skip link: "),
    "lost.html": ("<p>x</p>", "no way to it"),
}


def loose(title: str, body: str) -> str:
    """A page without its policy, so that it may do what it should not."""
    return page(title, body).replace('http-equiv="Content-Security-Policy"', 'name="no-policy"')


def checked(python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [python, str(ROOT / "ci" / "site_check.py"), str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def test_each_planted_fault_is_seen_and_nothing_else(site_python: str, chromium: str, tmp_path: Path) -> None:
    links = "".join(f'<p><a href="{name}">{name}</a></p>' for name in FAULTS if name != "lost.html")
    (tmp_path / "index.html").write_text(loose("Index", f'{GOOD}{links}<p><a href="report.html">report</a></p>'))
    (tmp_path / "other.html").write_text(loose("Other", GOOD))
    rows = [[link("other.html", "a"), Html("<b>x</b>"), code("y" * 200)]]
    (tmp_path / "report.html").write_text(page("Report", table_html(["a", "b" * 60, "c"], rows, "Wide table")))
    for name, (body, _) in FAULTS.items():
        (tmp_path / name).write_text(loose(name, body))
    run = checked(site_python, tmp_path)
    assert run.returncode == 1, run.stderr
    lines = run.stdout.splitlines()[:-1]
    for name, (_, fault) in FAULTS.items():
        assert any(line.startswith(f"{name}: ") and fault in line for line in lines), (name, lines)
    assert {line.split(": ")[0] for line in lines} == set(FAULTS)
    assert f"{len(FAULTS) + 3} pages" in run.stdout
    refused = re.search(r"of which (\d+) leave 127", run.stdout)
    assert refused and int(refused[1]) >= 2


def test_a_folder_without_pages_is_refused_in_one_line(site_python: str, chromium: str, tmp_path: Path) -> None:
    run = checked(site_python, tmp_path)
    assert run.returncode == 2 and run.stderr.count("\n") == 1 and "nox -s site" in run.stderr


def test_without_chromium_one_line_says_so(site_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    run = checked(site_python, tmp_path)
    assert (
        run.returncode == 2
        and run.stderr == "There is no Chromium on this machine. On Debian: apt-get install chromium\n"
    )


NASTY = "Say <b>*what*</b> {doc}`x` [a](b) $a_1$ means"


def test_sphinx_makes_the_pages_and_text_stays_text(site_python: str, site_home: Path, tmp_path: Path) -> None:
    replace(site_home / "labs/2-data/tiny-lab/lab.toml", "Have something to test with", NASTY)
    write_sources(tmp_path / "source")
    command = [site_python, "-m", "sphinx", "-b", "html", "-W", "--keep-going", "--quiet", "source", "html"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr
    lab = (tmp_path / "html/labs/2-data/tiny-lab.html").read_text()
    assert NASTY.replace("<", "&lt;").replace(">", "&gt;") in lab.replace("’", "'")
    assert lab.count("<h1") == 1 and 'alt="Plot: How &lt;far&gt;. x axis: days"' in lab
    guide = (tmp_path / "html/blueprint/2023.html").read_text()
    assert '<th scope="col"' in guide and '<th scope="row"' in guide and "<th class" not in guide
    assert 'id="t001-2023"' in guide
