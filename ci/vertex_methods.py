"""Writes the table of services and methods into the local Vertex AI's README, from what the tests have seen.

A method "works" when it has semantics and has given an answer without an error while the tests ran (they note it in
.work/vertex-methods); one with semantics that no test has seen answer is a fault. All others have just been asked and
have refused with UNIMPLEMENTED. Runs after the tests, in the environment core; `--write` renews the README.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from localgcp.vertex import surface
from localgcp.vertex.core import Core
from localgcp.vertex.errors import VertexError
from localgcp.vertex.machines import shipped
from localgcp.vertex.messages import raw_class
from localgcp.vertex.registered import INSTALL

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "shared" / "localgcp" / "vertex" / "README.md"
SEEN = ROOT / ".work" / "vertex-methods"
BEGIN, END = "<!-- methods: written by ci/vertex_methods.py -->", "<!-- end of methods -->"


def refusing() -> tuple[set[str], set[str]]:
    """The methods with semantics, and those that answer UNIMPLEMENTED when they are called."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        core = Core(place / "state", place / "buckets", "local-project", "us-central1", shipped())
        try:
            for install in INSTALL:
                install(core)
            handled = core.handled
            return handled, {method.key for method in surface.by_key().values() if _refuses(core, method)}
        finally:
            core.stop()


def _refuses(core: Core, method: surface.Method) -> bool:
    if method.key in core.handled:
        return False
    try:
        core.call(method, raw_class(method.request)())
    except VertexError as error:
        return error.status == "UNIMPLEMENTED"
    return False


def seen() -> set[str]:
    """The methods that have answered while the tests ran, in any process."""
    return {key for path in SEEN.glob("*.txt") for key in path.read_text(encoding="utf-8").split()}


def table(working: set[str], refused: set[str]) -> str:
    """A row per service that has any method here; the services that have none in one line below."""
    lines = ["| service | works | UNIMPLEMENTED |", "|---|---|---|"]
    services = sorted({key.split(".")[0] for key in working | refused})
    empty = []
    for service in services:
        works = sorted(key.split(".")[1] for key in working if key.startswith(f"{service}."))
        not_here = sorted(key.split(".")[1] for key in refused if key.startswith(f"{service}."))
        if works:
            lines.append(f"| {service} | {', '.join(works)} | {', '.join(not_here)} |")
        else:
            empty.append(f"{service} ({len(not_here)})")
    total = len(working) + len(refused)
    lines += ["", f"{len(working)} of {total} methods. Services of which nothing is emulated: {', '.join(empty)}."]
    return "\n".join(lines)


def main(arguments: list[str]) -> int:
    handled, refused = refusing()
    answered = seen()
    silent = sorted(handled - answered)
    for key in silent:
        print(f"{key} has semantics, and no test has seen it answer")
    lost = sorted(set(surface.by_key()) - handled - refused)
    for key in lost:
        print(f"{key} has no semantics, and does not answer UNIMPLEMENTED")
    text = README.read_text(encoding="utf-8")
    if BEGIN not in text or END not in text:
        print(f"{README} has no lines {BEGIN} and {END}")
        return 1
    head, rest = text.split(BEGIN)
    wanted = f"{head}{BEGIN}\n{table(handled & answered, refused)}\n{END}{rest.split(END)[1]}"
    if "--write" in arguments:
        README.write_text(wanted, encoding="utf-8")
    elif wanted != text:
        print(f"{README}: its table of methods is not what the tests have seen. Run ci/vertex_methods.py --write.")
        return 1
    print(f"{len(handled & answered)} methods of the local Vertex AI have answered in the tests, {len(refused)} refuse")
    return 1 if silent or lost else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
