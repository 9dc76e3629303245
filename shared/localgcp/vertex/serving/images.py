"""Which prebuilt container an image URI names, and what this machine serves it with."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib import metadata

from localgcp.vertex.errors import invalid, precondition

_HOSTS = r"(?:us|europe|asia)-docker\.pkg\.dev"
_PREBUILT = re.compile(rf"{_HOSTS}/vertex-ai/prediction/")
_WHOLE = re.compile(
    rf"{_HOSTS}/vertex-ai/prediction/(?P<name>[a-z]+\d?)-(?P<device>cpu|gpu)\.(?P<version>\d+-\d+):latest"
)
# The package that reads the model in each image.
PACKAGES = {"sklearn": "scikit-learn", "xgboost": "xgboost", "tf2": "tensorflow", "tf": "tensorflow"}


@dataclass(frozen=True)
class Image:
    """A prebuilt prediction image: `framework` is the name in its URI, such as "sklearn"."""

    uri: str
    framework: str
    version: tuple[int, int]


def is_prebuilt(uri: str) -> bool:
    return _PREBUILT.match(uri) is not None


def prebuilt(uri: str) -> Image:
    """Raises VertexError for a URI that no prebuilt image has, or whose library is newer than this machine's."""
    found = _WHOLE.fullmatch(uri)
    if found is None:
        raise invalid(
            f"'{uri}' is no prebuilt prediction image; their form is "
            "us-docker.pkg.dev/vertex-ai/prediction/sklearn-cpu.1-5:latest (us, europe or asia)."
        )
    major, minor = found["version"].split("-")
    image = Image(uri, found["name"], (int(major), int(minor)))
    _check(image)
    return image


def _check(image: Image) -> None:
    package = PACKAGES.get(image.framework)
    if package is None:
        known = ", ".join(sorted(PACKAGES))
        raise precondition(
            f"The prebuilt image '{image.uri}' cannot be served on this machine, which has {known}; "
            'give serving_container_command for a server of your own, or run with TARGET="vertex".'
        )
    installed = metadata.version(package)
    here = tuple(int(part) for part in installed.split(".")[:2])
    # An older image is fine: what reads the file is the library here, which has to know the older form.
    if image.version > here:
        wanted = ".".join(map(str, image.version))
        raise precondition(
            f"The image '{image.uri}' has {package} {wanted} and this machine {installed}, which may not read its "
            f"models; use an image with at most {here[0]}-{here[1]}."
        )
