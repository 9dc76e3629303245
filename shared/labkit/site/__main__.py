"""python -m labkit.site <folder>: writes the sources of the site; `nox -s site` makes the pages from them."""

from __future__ import annotations

import sys
from pathlib import Path

from labkit.catalog.problems import LabError
from labkit.site.sources import write_sources

if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("Name the folder for the sources: python -m labkit.site .work/site/source")
    try:
        print(f"{write_sources(Path(sys.argv[1]))} pages")
    except LabError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
