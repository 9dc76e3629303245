"""Leaves the lab's own reference answers out of the tracebacks that a learner with a sealed copy sees."""

from __future__ import annotations

from types import TracebackType
from typing import Any

SOLUTION = "<solution of "  # how the file names of reference answers begin (see `reference`)


def hide_solutions(shell: Any) -> None:
    """From now on an error inside a reference answer is shown without the answer's lines. Without a shell: nothing."""
    if shell is not None:
        shell.set_custom_exc((Exception,), _shown)


def _shown(shell: Any, kind: type[BaseException], error: BaseException, trace: Any, tb_offset: Any = None) -> None:
    seen: set[int] = set()
    chained: BaseException | None = error
    while chained is not None and id(chained) not in seen:
        seen.add(id(chained))
        chained.__traceback__ = without_solutions(chained.__traceback__)
        chained = chained.__cause__ or chained.__context__
    shell.showtraceback((kind, error, without_solutions(trace)), tb_offset=tb_offset)


def without_solutions(trace: TracebackType | None) -> TracebackType | None:
    """The traceback without its frames in reference answers."""
    kept = []
    while trace is not None:
        if not trace.tb_frame.f_code.co_filename.startswith(SOLUTION):
            kept.append(trace)
        trace = trace.tb_next
    for frame, below in zip(kept, [*kept[1:], None], strict=True):
        frame.tb_next = below
    return kept[0] if kept else None
