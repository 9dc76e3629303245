"""Python packages of a training job: unpacked beside the replica, never installed."""

from __future__ import annotations

import tarfile
import zipfile
from importlib import metadata
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement

from localgcp.vertex.errors import VertexError, invalid, precondition


def unpack(archive: Path, uri: str, folder: Path) -> list[Path]:
    """Unpacks a wheel or source distribution; gives what belongs on the path of modules.

    Raises VertexError when there is no such object, it is no package, or it requires what is not installed here.
    """
    if not archive.is_file():
        raise precondition(f"The package {uri} does not exist.")
    # Not under its own name: the SDK puts the time into it, whose colons would divide PYTHONPATH.
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / str(len(list(folder.iterdir())))
    target.mkdir()
    try:
        if zipfile.is_zipfile(archive):
            with zipfile.ZipFile(archive) as wheel:
                wheel.extractall(target)
            roots = [target]
        else:
            with tarfile.open(archive) as source:
                source.extractall(target, filter="data")
            roots = [path.parent for path in target.glob("*/setup.py")] or list(target.glob("*/")) or [target]
    except (tarfile.TarError, zipfile.BadZipFile) as error:
        raise invalid(f"The package {uri} cannot be unpacked: {error}.") from None
    _check_requirements(target, uri)
    return [root / "src" if (root / "src").is_dir() else root for root in roots]


def _check_requirements(target: Path, uri: str) -> None:
    """The service would install them; here they must be in this environment already."""
    missing = []
    for text in _requirements(target):
        try:
            requirement = Requirement(text)
            if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
                continue
            if not requirement.specifier.contains(metadata.version(requirement.name), prereleases=True):
                missing.append(f"{text} (here: {metadata.version(requirement.name)})")
        except metadata.PackageNotFoundError:
            missing.append(text)
        except InvalidRequirement:
            raise invalid(f"The package {uri} has a requirement that cannot be read: '{text}'.") from None
    if missing:
        message = f"The package {uri} requires {', '.join(missing)}, which this environment does not have"
        raise VertexError(
            "FAILED_PRECONDITION", f'{message}; packages are not installed locally. Run with TARGET="vertex".'
        )


def _requirements(target: Path) -> list[str]:
    found = []
    for path in (
        *target.glob("*.dist-info/METADATA"),
        *target.glob("*/*.egg-info/PKG-INFO"),
        *target.glob("*/PKG-INFO"),
    ):
        lines = path.read_text(encoding="utf-8", errors="replace").split("\n\n")[0].splitlines()
        found += [line.partition(":")[2].strip() for line in lines if line.startswith("Requires-Dist:")]
    for path in target.glob("*/*.egg-info/requires.txt"):
        for line in path.read_text(encoding="utf-8").splitlines():
            if line.startswith("["):
                break  # extras, which nobody has asked for
            if line.strip():
                found.append(line.strip())
    return list(dict.fromkeys(found))
