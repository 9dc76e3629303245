"""Which version of a lab an answer belongs to: a hash of what decides whether it is right."""

from __future__ import annotations

import hashlib
import re
import tomllib
from pathlib import Path

from labkit.catalog.problems import LabError

_PARTS = ("lab.py", "checks.py", "quiz.toml")
_VERSION = re.compile(r"[0-9a-f]{12}")


def lab_version(folder: Path) -> str:
    """12 hexadecimal digits: of the lab's text, checks and quiz, or in a handed-out folder what its handout.toml says.

    Raises LabError when the folder has neither.
    """
    if not (folder / "lab.py").exists():
        return _handed_out(folder / "handout.toml")
    whole = hashlib.sha256()
    for name in _PARTS:
        if (folder / name).exists():
            # The length stands between name and bytes, so that no other split of the files gives the same text.
            data = (folder / name).read_bytes()
            whole.update(f"{name}\0{len(data)}\0".encode() + data)
    return whole.hexdigest()[:12]


def _handed_out(path: Path) -> str:
    mend = "Unpack the class's archive again."
    try:
        version = str(tomllib.loads(path.read_text(encoding="utf-8")).get("version", ""))
    except FileNotFoundError:
        raise LabError(f"{path.parent}: neither lab.py nor handout.toml is there. {mend}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise LabError(f"{path}: not TOML: {error}. {mend}") from None
    if not _VERSION.fullmatch(version):
        raise LabError(f"{path}: `version` is {version!r}, not 12 hexadecimal digits. {mend}")
    return version
