"""Parses every SQL text of every lab with ZetaSQL, the service's own grammar; runs in the environment dev.

The local BigQuery reads SQL with another parser (sqlglot), which takes some things that the service refuses. Texts:
what each lab sent in its newest worked run (the journal's event `queries`), and ```sql blocks in its prose.
Arguments: slugs; none means every lab that has run.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import wasmtime

ROOT = Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"^# ```sql\n(.*?)^# ```$", re.MULTILINE | re.DOTALL)


def parser() -> Any:
    """A parser with every feature on: the question is what is GoogleSQL at all, not which edition has it."""
    plain = wasmtime.Config.__init__

    def cached(self: Any, *args: Any, **kwargs: Any) -> None:
        plain(self, *args, **kwargs)
        self.cache = True  # compiling the grammar takes half a minute; wasmtime keeps it for the next time

    wasmtime.Config.__init__ = cached
    from zetasql.api import Parser
    from zetasql.types import LanguageOptions

    return Parser(LanguageOptions.maximum_features())


def fault(parser: Any, sql: str) -> str:
    """What the grammar says against a text; empty when it is well-formed."""
    from zetasql.core.exceptions import ZetaSQLError

    try:
        # As a script: a single statement is one, too.
        parser.parse_script(sql)
    except ZetaSQLError as error:
        return str(error)
    return ""


def sent(slug: str) -> list[str]:
    """What the lab sent in its newest worked run, without the wrong answers that were tried on purpose."""
    journals = sorted((ROOT / ".work" / "runs" / slug).glob("*-worked/journal.jsonl"))
    texts = []
    for line in journals[-1].read_text().splitlines() if journals else []:
        event = json.loads(line)
        if event["event"] == "queries":
            texts = event["texts"]
    return texts


def written(lab: Path) -> Iterator[str]:
    """```sql blocks in the prose."""
    for found in BLOCK.finditer((lab / "lab.py").read_text()):
        yield re.sub(r"^# ?", "", found[1], flags=re.MULTILINE)


def main(slugs: list[str]) -> int:
    labs = [card.parent for card in sorted(ROOT.glob("labs/[1-6]-*/*/lab.toml"))]
    texts = {
        (lab.name, text): None
        for lab in labs
        if not slugs or lab.name in slugs
        for text in [*sent(lab.name), *written(lab)]
    }
    if not texts:
        print("SQL grammar: no lab has sent SQL")
        return 0
    grammar = parser()
    if fault(grammar, "SELECT 1") or not fault(grammar, "SELECT * FRM x"):
        sys.exit("SQL grammar: ZetaSQL does not tell right from wrong here")
    faults = [(slug, text, said) for slug, text in texts if (said := fault(grammar, text))]
    for slug, text, said in faults:
        print(f"{slug}: {said}\n    " + "\n    ".join(text.strip().splitlines()))
    print(
        f"SQL grammar: {len(texts)} texts of {len({slug for slug, _ in texts})} labs, {len(faults)} refused by ZetaSQL"
    )
    return len(faults) > 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
