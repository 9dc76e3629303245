"""`labs next`: up to three labs to go on with, and why."""

from __future__ import annotations

from labkit.catalog.sequences import find_sequence
from labkit.classroom.progress import read_progress, standing
from labkit.lesson.journal import progress_file
from labkit.lesson.next_lab import followed, propose, read_board


def next_labs(sequence: str = "") -> list[str]:
    """The lines that are printed. `sequence`: a name, else the class's. Raises LabError for an unknown one."""
    path = find_sequence(sequence) if sequence else followed()
    board = read_board(standing(read_progress(progress_file())))
    lines = []
    if path is not None and set(path.labs) & set(board.labs) <= board.done:
        lines.append(f'Every lab of "{path.title}" is done.')
    proposals = propose(board, path)
    for one in proposals:
        card = one.lab.card
        lines += [f"labs start {one.lab.slug}", f"  {card.title} ({card.minutes} minutes)", f"  {one.reason}"]
    return lines if proposals else [*lines, "No lab is left to propose: every one here is done."]
