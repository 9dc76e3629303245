"""`labs assign`: an archive for a class. Learners' copies, no answer in plain text, and all that it takes to work."""

from __future__ import annotations

import difflib
import io
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

from labkit.catalog import LabError
from labkit.catalog.collection import LabFolder, find_lab, lab_folders
from labkit.catalog.datasets import read_dataset
from labkit.catalog.places import data_folder, home, labs_folder
from labkit.catalog.sequences import find_sequence, sequence_files
from labkit.classroom.class_readme import readme
from labkit.classroom.handin import toml_text
from labkit.classroom.handout import handed_out, own_files

# The checkout that holds the code; the labs may lie elsewhere ($LABS_HOME).
CODE = Path(__file__).resolve().parents[3]
OWN = "class"  # the sequence of an archive that was put together from slugs


@dataclass(frozen=True)
class Assigned:
    """An archive that was written: where, its labs, the number of files, and its bytes."""

    path: Path
    labs: tuple[str, ...]
    files: int
    size: int


@dataclass(frozen=True)
class Order:
    """What a class is to do: the name of a sequence, its title, its labs in order, and its file in labs/sequences."""

    sequence: str
    title: str
    labs: tuple[LabFolder, ...]
    text: str


def assign(names: Sequence[str], out: Path, title: str = "", today: date | None = None) -> Assigned:
    """Writes the archive for a sequence, or for some labs, to `out`.

    The bytes depend on the collection, the order and the day alone. Raises LabError for a name that is neither, and
    for a file that is there already.
    """
    if out.suffix != ".zip":
        raise LabError(f"--out {out}: an archive's name ends in .zip.")
    if out.exists():
        raise LabError(f"{out} is there already and is not overwritten. Give another name.")
    if not out.absolute().parent.is_dir():
        raise LabError(f"--out {out}: there is no such folder. Make it first.")
    order = _order(names, title)
    day = today or datetime.now(UTC).date()
    files = {**_code(order.labs), **_labs(order.labs), **_about(order, day)}
    data = _zipped(files, f"labs-{order.sequence}", day)
    _write_new(out, data)
    return Assigned(out, tuple(lab.slug for lab in order.labs), len(files), len(data))


def _order(names: Sequence[str], title: str) -> Order:
    if not names:
        raise LabError("Name a sequence or some labs: `labs sequences` and `labs list` show them.")
    known = [path.stem for path in sequence_files()]
    if len(names) == 1 and names[0] in known:
        sequence = find_sequence(names[0])
        labs = tuple(find_lab(slug) for slug in sequence.labs)
        return Order(sequence.name, title or sequence.title, labs, sequence.path.read_text(encoding="utf-8"))
    slugs = [folder.name for folder in lab_folders()]
    for name in names:
        if name in known:
            raise LabError(f"{name!r} is a sequence: give one sequence alone, or labs.")
        if name not in slugs:
            near = difflib.get_close_matches(name, [*known, *slugs], n=3)
            hint = f"Did you mean {' or '.join(near)}?" if near else "`labs sequences` and `labs list` show them."
            raise LabError(f"No sequence and no lab is called {name!r}. {hint}")
    labs = tuple(find_lab(slug) for slug in dict.fromkeys(names))
    title = title or "The labs of this class"
    return Order(OWN, title, labs, _own_sequence(title, labs))


def _own_sequence(title: str, labs: Sequence[LabFolder]) -> str:
    slugs = ", ".join(toml_text(lab.slug) for lab in labs)
    minutes = sum(lab.card.minutes for lab in labs)
    return (
        f'title = {toml_text(title)}\nfor = "Those who were given this archive."\nminutes = {minutes}\n\n'
        f'[[part]]\ntitle = "All of them"\nlabs = [{slugs}]\n'
    )


def _code(labs: Sequence[LabFolder]) -> dict[str, bytes]:
    """labkit, the local Google Cloud, and the locks of the environments that the labs need."""
    files = {name: (CODE / name).read_bytes() for name in ("pyproject.toml", "noxfile.py", "LICENSE", ".gitignore")}
    for package in ("labkit", "localgcp"):
        for path in own_files(CODE / "shared" / package):
            files[path.relative_to(CODE).as_posix()] = path.read_bytes()
    for name in {"core", "core-macos-arm64", *(lab.card.environment for lab in labs)}:
        lock = CODE / "environments" / f"{name}.txt"
        files[f"environments/{name}.txt"] = lock.read_bytes()
    devcontainer = Path(".devcontainer") / "devcontainer.json"
    return files | {devcontainer.as_posix(): (CODE / devcontainer).read_bytes()}


def _labs(labs: Sequence[LabFolder]) -> dict[str, bytes]:
    """The handed-out folders, the blueprint, and the data that the labs load."""
    files = {}
    for lab in labs:
        below = lab.folder.relative_to(home()).as_posix()
        files.update({f"{below}/{name}": data for name, data in handed_out(lab).items()})
    paths = own_files(labs_folder() / "blueprint")
    for name in {name for lab in labs for name in lab.card.data}:
        paths += _data_files(name)
    return files | {path.relative_to(home()).as_posix(): path.read_bytes() for path in paths}


def _data_files(name: str) -> Iterator[Path]:
    dataset = read_dataset(name)
    yield data_folder() / "registry" / f"{name}.toml"
    for beside in (dataset.file, dataset.generator):
        if beside is not None:
            yield data_folder() / beside


def _about(order: Order, day: date) -> dict[str, bytes]:
    """What says which class this is: the read-me, class.toml, the sequence."""
    card = (
        f"sequence = {toml_text(order.sequence)}\ntitle = {toml_text(order.title)}\ncreated = {day.isoformat()}\n"
        f"labs = [{', '.join(toml_text(lab.slug) for lab in order.labs)}]\n"
    )
    texts = {
        "README.md": readme(order.title, order.labs),
        "class.toml": card,
        f"labs/sequences/{order.sequence}.toml": order.text,
    }
    return {name: text.encode() for name, text in texts.items()}


def _zipped(files: dict[str, bytes], folder: str, day: date) -> bytes:
    """A zip with everything in one folder. Members are sorted and carry the day: equal files give equal bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name in sorted(files):
            member = zipfile.ZipInfo(f"{folder}/{name}", (day.year, day.month, day.day, 0, 0, 0))
            member.compress_type, member.create_system, member.external_attr = zipfile.ZIP_DEFLATED, 3, 0o644 << 16
            archive.writestr(member, files[name])
    return stream.getvalue()


def _write_new(path: Path, data: bytes) -> None:
    """Writes a file that must not be there yet, whole or not at all."""
    try:
        with path.open("xb") as file:
            try:
                file.write(data)
            except OSError:
                path.unlink()
                raise
    except FileExistsError:
        raise LabError(f"{path} is there already and is not overwritten. Give another name.") from None
    except OSError as error:
        raise LabError(f"{path} could not be written: {error.strerror}. Give another place.") from None
