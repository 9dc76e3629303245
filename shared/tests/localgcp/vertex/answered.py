"""Notes which methods of the local Vertex AI have answered while the tests ran; ci/vertex_methods.py reads it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from localgcp.vertex.core import Core

FOLDER = Path(__file__).resolve().parents[4] / ".work" / "vertex-methods"


def forget() -> None:
    """Removes what an earlier run has noted."""
    shutil.rmtree(FOLDER, ignore_errors=True)


@contextmanager
def noting() -> Iterator[None]:
    """Adds the methods that answer without an error to a file of this process."""
    original, found = Core.call, set[str]()

    def call(self: Core, method: Any, request: Any) -> Any:
        answer = original(self, method, request)
        found.add(method.key)
        return answer

    Core.call = call  # type: ignore[method-assign]
    try:
        yield
    finally:
        Core.call = original  # type: ignore[method-assign]
        FOLDER.mkdir(parents=True, exist_ok=True)
        with (FOLDER / f"{os.getpid()}.txt").open("a", encoding="utf-8") as file:
            file.writelines(f"{key}\n" for key in sorted(found))
