"""papermill and nbformat, imported without what they would bring for file systems and formats that no run uses.

Three of their optional imports cost more than all the rest: a grammar of internationalized addresses (jsonschema, for
a format that no notebook schema names), and papermill's clients of Cloud Storage and of HDFS. Each is inside a `try`
that goes on without it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

_SPARED = ("rfc3987_syntax", "gcsfs", "pyarrow", "pyarrow.fs")


@contextmanager
def spared() -> Iterator[None]:
    """While it is open, the optional packages look as if they were not installed; later imports find them."""
    hidden = [name for name in _SPARED if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name) is None:
                sys.modules.pop(name, None)


with spared():
    import jupytext as jupytext
    import nbformat as nbformat
    import papermill as papermill
    from nbclient.exceptions import CellTimeoutError as CellTimeoutError
    from nbclient.exceptions import DeadKernelError as DeadKernelError
    from nbformat import NotebookNode as NotebookNode
    from papermill.exceptions import PapermillExecutionError as PapermillExecutionError
