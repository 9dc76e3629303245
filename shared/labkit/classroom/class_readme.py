"""The README.md of a class's archive: set-up, how to work, how to hand in."""

from __future__ import annotations

from collections.abc import Sequence

from labkit.catalog.collection import LabFolder

_TEXT = """\
# {title}

{count} in this folder, {minutes} minutes in all. A lab is a notebook: it makes one idea visible with an experiment
and a number, and you do a part of it. Everything runs on your own machine. No account is needed, and nothing is sent
anywhere.

| lab | title | minutes | environment |
|---|---|---|---|
{table}

## Set up, once
You need Linux on x86-64, a C++ compiler, Python, and a network for this one step: it fetches the packages, about 5 GB
on disk. On macOS and Windows open this folder in its devcontainer (VS Code: "Reopen in Container"), which is the same
Linux.
```sh
python -m pip install "nox[uv]"
nox -s environment -- {environments}
source .venvs/core/bin/activate
labs doctor
```
`labs doctor` says what is missing and the command that mends it. From here on no network is needed.

## Work
```sh
labs list
labs start {first}
```
makes your own copy in `workspace/{first}/` and opens it in JupyterLab; started again, it opens the same
copy, as you left it. Read from the top. Before the result you are asked for a guess. In an exercise write your answer
and run the next cell: it says *correct*, *not yet* with the reason, *error*, or *not attempted*, and the lab goes on
either way. `lab.hint("…")` gives one hint more each time, `lab.solution("…")` shows one way to do it. The quiz at the
end tells why each option is right or wrong.

`labs next` proposes the next lab, `labs progress` shows what you have done. Work in the copies in `workspace/` only.

## Hand in
```sh
labs hand-in --name "Your Name"
```
writes one zip file into this folder and says what is in it: your copies, and the record of what you did in them
(checks, hints, quiz, when). Give that file to your trainer. You can hand in as often as you like: nothing of what you
gave before is lost.

## What is not here
The worked labs are with your trainer. What checks, hints and quiz know lies in each lab's `lab.sealed`, made
unreadable so that nobody sees an answer by accident. That is no protection: whoever wants to open it can. Grades do
not depend on it, since your trainer's own copy of the checks decides.
"""


def readme(title: str, labs: Sequence[LabFolder]) -> str:
    """The text for these labs."""
    rows = [f"| {lab.slug} | {lab.card.title} | {lab.card.minutes} | {lab.card.environment} |" for lab in labs]
    environments = dict.fromkeys(["core", *(lab.card.environment for lab in labs)])
    return _TEXT.format(
        title=title,
        count="1 lab is" if len(labs) == 1 else f"{len(labs)} labs are",
        minutes=sum(lab.card.minutes for lab in labs),
        table="\n".join(rows),
        environments=" ".join(environments),
        first=labs[0].slug,
    )
