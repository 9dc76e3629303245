"""Whose a handed-in file is, and of which lab: from what stands in it, and from the names of files and folders.

The learner, in this order: the hand-in.toml of the same zip or of a folder above; the folder nearest to the file that
is not one of a workspace or a lab; the name of the file, without what names a lab or a copy; the name of the zip; the
folder that was given. Else nobody is named, and the file's place gets a number.
"""

from __future__ import annotations

import hashlib
import re
import tomllib
import unicodedata
from collections.abc import Collection, Mapping
from pathlib import PurePosixPath

from labkit.classroom.handin import CARD
from labkit.classroom.intake import Found
from labkit.classroom.submitted import decode

_OPENS = re.compile(r"""\blesson\s*\.\s*open\(\s*\\?["']([a-z0-9][a-z0-9-]*)\\?["']""")
_SECTION = re.compile(r"[1-6]-[a-z-]+")
# Learning platforms put these around a name: "Ada Lovelace_12345_assignsubmission_file_".
_PLATFORM = re.compile(r"_\d+_assignsubmission_(file|onlinetext)_?|_attempt_[\d-]+")
_WORDS = re.compile(r"[^\W_]+(?:['’.][^\W_]+)*")
_NO_NAME = frozenset(
    "abgabe all answer answers assignment checkpoint class copie copy download downloads earlier exercise exercises "
    "final hand handed handin home homework in inbox ipynb json kopie lab labs learner learners new notebook "
    "notebooks of old other progress solution solutions student students submission submissions submitted tmp txt "
    "untitled upload uploads work workspace zip".split()
)
_NUMBER = re.compile(r"v?\d+")


def read_card(found: Found) -> str | None:
    """The learner's name in a hand-in.toml; None for one that cannot be read."""
    try:
        name = tomllib.loads(decode(found.data or b"")[0]).get("name")
    except tomllib.TOMLDecodeError:
        return None
    return " ".join(name.split())[:200] if isinstance(name, str) and name.strip() else None


def learner_of(found: Found, cards: Mapping[tuple[str, tuple[str, ...]], str], lab: str, names: Collection[str]) -> str:
    """The learner's name, "" where nothing tells it.

    `cards`: the names in hand-in.toml by root and folder. `names`: of labs and sequences, which are nobody's.
    """
    for depth in range(len(found.parts) - 1, -1, -1):
        if name := cards.get((found.root, found.parts[:depth])):
            return name
    # hand-in-ada-l.zip and Ada.zip are named after their learner; inbox is not, but Ada/ is.
    above = [PurePosixPath(part).stem for part in reversed(found.root.split("!"))]
    for folder in reversed(found.parts[:-1]):
        if name := _name_in(folder, names):
            return name
    # A file may shorten the slug of its lab: "Ada_l1.ipynb".
    if name := _name_in(PurePosixPath(found.name).stem, names, lab.split("-")):
        return name
    return next(filter(None, (_name_in(text, names) for text in above)), "")


def card_place(found: Found) -> tuple[str, tuple[str, ...]] | None:
    """Where the hand-in.toml counts, for `cards`; None for another file."""
    return (found.root, found.parts[:-1]) if found.name.lower() == CARD else None


def _name_in(text: str, names: Collection[str], words: Collection[str] = ()) -> str:
    """What is left of a name without labs, sequences, sections, copies, numbers, and `words`."""
    if _SECTION.fullmatch(text):
        return ""
    text = _PLATFORM.sub(" ", text)
    for name in sorted(names, key=len, reverse=True):
        spelled = r"[-_ ]".join(map(re.escape, name.split("-")))
        text = re.sub(rf"(?<![a-z0-9]){spelled}(?![a-z0-9])", " ", text, flags=re.IGNORECASE)
    return " ".join(word for word in _WORDS.findall(text) if not _means_nobody(word.casefold(), words))


def _means_nobody(word: str, words: Collection[str]) -> bool:
    return bool(_NUMBER.fullmatch(word)) or word.rstrip("0123456789") in _NO_NAME or word in words


def lab_of(text: str, found: Found, slugs: Collection[str]) -> tuple[str, str]:
    """The slug of the lab, "" for none, and a remark. `text`: of the cells, or the whole file's where it is broken.

    What the notebook opens counts before the folder's name, and that before the file's.
    """
    named = _by_names(found, slugs)
    opened = list(dict.fromkeys(_OPENS.findall(text)))
    known = [slug for slug in opened if slug in slugs]
    if known:
        slug = named if named in known else known[0]
        return slug, f"named {named}, opens {slug}" if named and named != slug else ""
    if opened and not named:
        return "", f"opens {opened[0]!r}, which is no lab of this collection"
    return named, "" if named else "nothing says which lab it is"


def _by_names(found: Found, slugs: Collection[str]) -> str:
    for part in (*reversed(found.parts[:-1]), PurePosixPath(found.name).stem):
        plain = re.sub(r"[ _]", "-", part.casefold())
        if plain in slugs:
            return plain
        inside = [slug for slug in slugs if re.search(rf"(?<![a-z0-9]){re.escape(slug)}(?![a-z0-9])", plain)]
        if inside:
            return max(inside, key=len)
    return ""


def identity(name: str) -> str:
    """The name of a learner's folder: the same for spellings that differ in case, spaces, signs and accents only."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    letters = "".join(sign for sign in plain if not unicodedata.combining(sign))
    spelled = re.sub(r"[^a-z0-9]+", "-", letters).strip("-")
    foreign = [sign for sign in letters if sign.isalnum() and not sign.isascii()]
    if not foreign and spelled and not spelled.startswith("unknown"):
        return spelled[:60]
    # Letters that ASCII does not have tell people apart as well, and nobody is called as those without a name are.
    return f"{spelled[:50] or 'learner'}-{hashlib.sha256(''.join(letters.split()).encode()).hexdigest()[:8]}"
